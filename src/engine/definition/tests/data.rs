//! What a compile says of the data that flows through a definition: schemas, types, conditions.

use super::*;

/// The input that the definitions here take.
const SCHEMA: &str = "schema: {openAPIV3Schema: {type: object, additionalProperties: false, properties: {
  domain: {type: string}, count: {type: integer}, size: {type: number}, region: {type: string, enum: [eu, us]},
  tier: {type: string}, owner: {type: object, additionalProperties: false, properties: {email: {type: string}, age: {type: integer}}},
  hosts: {type: array, items: {type: string}}}}}
";

fn with_schema(activities: &[&str]) -> String {
    format!("{SCHEMA}{}", yaml(activities))
}

fn check_data(activities: &[&str], expected: &[&str]) {
    check(&with_schema(activities), expected);
}

/// One input of a strict activity beside those that it requires, which come from the input.
fn input(item: &str, expected: &str) {
    let strict =
        format!("id: b, type: strict, dependsOn: a, inputs: [{{source: domain, target: id}}, count, {item}]");
    let found = compile_yaml(&with_schema(&[
        "id: a, type: strict, inputs: [{source: domain, target: id}, count]",
        &strict,
    ]));
    let told = match found {
        Ok(_) => String::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    let expected = expected.replace("AT", "spec.activities[1].inputs[2]");
    assert_eq!(told, expected, "{item}");
}

#[test]
fn a_tick_is_a_text_that_every_activity_may_read() {
    input("{source: schedule.time, target: region}", "");
    let compiled = compiled(&yaml(&["id: a, type: t, inputs: [schedule.time], when: has(schedule.time)"]));
    assert_eq!(compiled.activities[0].inputs[0].root, Root::ScheduleTime);
    assert_eq!(compiled.activities[0].inputs[0].target, "time");
    let told = compile_yaml(&with_schema(&[
        "id: a, type: strict, inputs: [{source: domain, target: id}, {source: schedule.time, target: count}]",
    ]));
    let told = told.unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(
        told.starts_with("TypeMismatch: spec.activities[0].inputs[1].source: \"schedule.time\": "),
        "{told}"
    );
}

#[test]
fn a_source_is_declared_where_it_reads() {
    input("hosts", "");
    input("a.hosts", "");
    input("{source: 'a.hosts[3]', target: region}", "");
    input("owner", "");
    input(
        "{source: domian, target: region}",
        "UnknownReference: AT.source: \"domian\" is neither an activity nor a property of the input (did you mean \"domain\"?)",
    );
    input(
        "{source: zzz, target: region}",
        "UnknownReference: AT.source: \"zzz\" is neither an activity nor a property of the input (has: count, domain, hosts, owner, region, size, tier, a, b)",
    );
    input(
        "input.regoin",
        "UnknownReference: AT: \"regoin\" is neither an activity nor a property of the input (did you mean \"region\"?)",
    );
    input(
        "{source: owner.mail, target: region}",
        "UnknownReference: AT.source: the input has no \"owner.mail\" (did you mean \"email\"?)",
    );
    input(
        "{source: a.ulr, target: region}",
        "UnknownReference: AT.source: activity \"a\" has no output \"ulr\" (has: deep, hosts, port, url, zone)",
    );
    input(
        "{source: a.deep.name.first, target: region}",
        "UnknownReference: AT.source: activity \"a\" has no output \"deep.name.first\" (it has none)",
    );
    input(
        "{source: a.deep.zzz, target: region}",
        "UnknownReference: AT.source: activity \"a\" has no output \"deep.zzz\" (has: name, ratio)",
    );
}

#[test]
fn both_sides_mean_the_same_type() {
    input("{source: a.port, target: size}", "");
    input("{source: a.zone, target: region}", "");
    input(
        "{source: size, target: region}",
        "TypeMismatch: AT.source: \"size\": number, and string is wanted",
    );
    input(
        "{source: a.hosts, target: size}",
        "TypeMismatch: AT.source: \"a.hosts\": array, and number is wanted",
    );
    input("{source: a, target: hosts}", "TypeMismatch: AT.source: \"a\": object, and array is wanted");
    check_data(
        &["id: b, type: strict, inputs: [{source: domain, target: id}, {source: size, target: count}]"],
        &["TypeMismatch: spec.activities[0].inputs[1].source: \"size\": number, and integer is wanted"],
    );
}

#[test]
fn an_activity_takes_what_it_declares() {
    input(
        "tier",
        "UnknownReference: AT: ActivityDefinition \"strict\" takes no input \"tier\" (has: count, hosts, id, owner, region, size)",
    );
    input(
        "{source: region, target: regoin}",
        "UnknownReference: AT.target: ActivityDefinition \"strict\" takes no input \"regoin\" (did you mean \"region\"?)",
    );
}

#[test]
fn every_required_input_is_fed() {
    check_data(
        &[
            "id: a, type: strict, inputs: [count]",
            "id: b, type: strict",
            "id: c, type: needy, inputs: [{source: domain, target: id}]",
        ],
        &[
            "MissingSource: spec.activities[0].inputs: ActivityDefinition \"strict\" requires the input \"id\", and nothing feeds it",
            "MissingSource: spec.activities[1].inputs: ActivityDefinition \"strict\" requires the input \"count\", and nothing feeds it",
            "MissingSource: spec.activities[1].inputs: ActivityDefinition \"strict\" requires the input \"id\", and nothing feeds it",
        ],
    );
    // What could not be read may have been it.
    check_data(
        &["id: a, type: needy, inputs: ['x..y']"],
        &[
            "InvalidPath: spec.activities[0].inputs[0]: \"x..y\" column 3: expected a name (letters, digits, \"_\", \"-\"), found \".\"",
        ],
    );
}

#[test]
fn an_output_that_nobody_reads_is_no_mistake() {
    check_data(
        &["id: a, type: strict, inputs: [{source: domain, target: id}, count]"],
        &["a", "a: id = $.domain, count = $.count"],
    );
}

#[test]
fn what_is_not_declared_is_not_known() {
    check_activities(
        &[
            "id: a, type: free",
            "id: b, type: needy, dependsOn: a, inputs: [{source: a.anything, target: id}, {source: whatever, target: size}]",
        ],
        &["a | b", "b: id = a.anything, size = $.whatever"],
    );
}

#[test]
fn an_id_that_is_a_property_of_the_input_could_mean_either() {
    check_data(
        &["id: domain, type: free", "id: b, type: free"],
        &[
            "AmbiguousReference: spec.activities[0].id: \"domain\" is also a property of the input in spec.schema, and a source could mean either: rename one",
        ],
    );
}

#[test]
fn a_default_has_a_variable_of_its_own() {
    check_activities(
        &["id: a, type: needy, inputs: [{source: x, target: id}, owner-email]"],
        &[
            "VariableCollision: spec.activities[0].inputs: \"owner-email\" and \"ownerEmail\", which has a default, would both be the variable INPUT_OWNER_EMAIL",
        ],
    );
    check_activities(
        &["id: a, type: needy, inputs: [{source: x, target: id}, ownerEmail]"],
        &["a", "a: id = $.x, ownerEmail = $.ownerEmail"],
    );
}

#[test]
fn a_required_input_from_what_may_be_skipped_is_a_warning() {
    let check = |reader: &str, warnings: &[&str]| {
        let activities = yaml(&[
            "id: a, type: free, when: input.wanted",
            &format!("id: b, dependsOn: a, inputs: [{{source: a.x, target: id}}], {reader}"),
        ]);
        let found: Vec<String> = compiled(&activities).warnings.iter().map(ToString::to_string).collect();
        assert_eq!(found, warnings, "{reader}");
    };
    check(
        "type: needy",
        &[
            "SkippedReference: spec.activities[1].inputs[0]: \"a\" may be skipped, and ActivityDefinition \"needy\" requires the input \"id\" (give it a default, or this activity a when)",
        ],
    );
    check("type: needy, when: input.wanted", &[]);
    check("type: free", &[]);
}

#[test]
fn the_output_is_declared_too() {
    check(
        &format!(
            "{}output: [{{source: a.url}}, {{source: a.ulr}}, {{source: domian}}]",
            with_schema(&["id: a, type: strict, inputs: [{source: domain, target: id}, count]"])
        ),
        &[
            "UnknownReference: spec.output[1].source: activity \"a\" has no output \"ulr\" (has: deep, hosts, port, url, zone)",
            "UnknownReference: spec.output[2].source: \"domian\" is neither an activity nor a property of the input (did you mean \"domain\"?)",
        ],
    );
}

#[test]
fn a_schema_is_a_schema() {
    check(
        "schema: {openAPIV3Schema: {type: strng, properties: {a: {pattern: '('}}}}\nactivities: [{id: a, type: broken}]",
        &[
            "InvalidSchema: spec.schema.openAPIV3Schema.properties.a.pattern: is no regular expression (RE2 syntax): unclosed group",
            "InvalidSchema: spec.schema.openAPIV3Schema.type: may be one of object, array, string, integer, number, boolean, is \"strng\" (did you mean \"string\"?)",
            "ActivityNotReady: spec.activities[0].type: ActivityDefinition \"broken\" is not ready: InvalidSchema: spec.inputSchema.openAPIV3Schema.type: may be one of object, array, string, integer, number, boolean, is \"strng\" (did you mean \"string\"?)",
        ],
    );
}

/// What is said of one condition.
fn condition(when: &str, expected: &str) {
    let activities = [
        "id: tenant-config, type: free",
        "id: a, type: strict, inputs: [{source: domain, target: id}, count]",
        &format!("id: b, type: free, dependsOn: a, when: {}", json!(when)),
        "id: later, type: free",
    ];
    let told = match compile_yaml(&with_schema(&activities)) {
        Ok(_) => String::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    assert_eq!(told, expected.replace("AT", "spec.activities[2].when"), "{when}");
}

#[test]
fn a_condition_reads_the_input_and_ancestors() {
    condition("input.domain != 'dark' && activities.a.state == 'Succeeded'", "");
    condition("has(activities.a.outputs.url) && activities.a.outputs.hosts[0] == input.domain", "");
    condition(
        "activities.later.state == 'Skipped'",
        "NotAnAncestor: AT: \"b\" reads \"later\" but does not depend on it (add dependsOn: [later])",
    );
    condition("activities.b.state == 'Skipped'", "NotAnAncestor: AT: \"b\" may not read its own outputs");
    condition(
        "activities.laterr.state == 'Skipped'",
        "UnknownReference: AT: no activity \"laterr\" (did you mean \"later\"?)",
    );
    condition(
        "input.domian == 'x'",
        "UnknownReference: AT: \"domian\" is neither an activity nor a property of the input (did you mean \"domain\"?)",
    );
    condition(
        "activities.a.outputs.ulr == 'x'",
        "UnknownReference: AT: activity \"a\" has no output \"ulr\" (has: deep, hosts, port, url, zone)",
    );
}

#[test]
fn what_a_condition_reads_is_known() {
    let compiled = compiled(
        "activities: [{id: a, type: t}, {id: b, type: t}, {id: c, type: t, dependsOn: [a, b], \
         when: \"activities.a.state == 'Succeeded' && activities.b.outputs.x == 1\"}]",
    );
    let of = |id: &str| &compiled.activities[compiled.index[id]];
    assert_eq!(of("c").reads, BTreeSet::from([0, 1]));
    assert_eq!(["a", "b"].map(|id| of(id).outputs_are_read), [false, true], "of a the state alone");
}
