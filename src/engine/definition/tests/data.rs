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
        "UnknownReference: AT.source: \"zzz\" is neither an activity nor a property of the input (has: count, domain, hosts, owner, region, size, tier, a)",
    );
    input("input.regoin", "UnknownReference: AT: the input has no \"regoin\" (did you mean \"region\"?)");
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
fn a_whole_source_is_an_object_also_where_nothing_is_declared() {
    let activities = |source: &str, target: &str| {
        let strict = format!(
            "id: b, type: strict, dependsOn: a, inputs: [{{source: input.i, target: id}}, count, {{source: {source}, target: {target}}}]"
        );
        yaml(&["id: a, type: free", &strict])
    };
    let wrong = |source: &str, target: &str, wanted: &str| {
        check(
            &activities(source, target),
            &[&format!(
                "TypeMismatch: spec.activities[1].inputs[2].source: \"{source}\": object, and {wanted} is wanted"
            )],
        );
    };
    wrong("a", "hosts", "array");
    wrong("a", "region", "string");
    wrong("input", "size", "number");
    assert!(compile_yaml(&activities("a", "owner")).is_ok());
    assert!(compile_yaml(&activities("input", "owner")).is_ok());
    let open =
        format!("schema: {{properties: {{count: {{type: integer}}}}}}\n{}", activities("input", "hosts"));
    check(
        &open,
        &["TypeMismatch: spec.activities[1].inputs[2].source: \"input\": object, and array is wanted"],
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
fn a_misspelt_activity_is_not_taken_for_an_input_of_which_nothing_is_declared() {
    let undeclared = |field: &str, first: &str, meant: &str| {
        format!(
            "UnknownReference: {field}: \"{first}\" is neither an activity nor a declared property of the input{meant}; use input.{first} for the input"
        )
    };
    let reads = |source: &str| {
        yaml(&["id: build, type: free", &format!("id: b, type: free, dependsOn: build, inputs: [{source}]")])
    };
    let field = "spec.activities[1].inputs[0]";
    check(&reads("nobody.n"), &[&undeclared(field, "nobody", "")]);
    check(&reads("biuld.n"), &[&undeclared(field, "biuld", " (did you mean \"build\"?)")]);
    check(&reads("'biuld[\"n\"]'"), &[&undeclared(field, "biuld", " (did you mean \"build\"?)")]);
    check(&format!("schema: {{}}\n{}", reads("nobody.n")), &[&undeclared(field, "nobody", "")]);
    check(
        "activities: [{id: a, type: free}]\noutput: [{source: nobody.n}]",
        &[&undeclared("spec.output[0].source", "nobody", "")],
    );
    // What can only be the input, or is declared to hold anything.
    for good in ["nobody", "{source: 'nobody[0]', target: x}", "input.nobody.n", "input.biuld.n"] {
        assert!(compile_yaml(&reads(good)).is_ok(), "{good}");
    }
    for schema in ["{additionalProperties: {type: object}}", "{properties: {domain: {type: string}}}"] {
        assert!(compile_yaml(&format!("schema: {schema}\n{}", reads("nobody.n"))).is_ok(), "{schema}");
    }
    // A schema with a mistake may have declared it.
    let told = compile_yaml(&format!("schema: {{type: strng}}\n{}", reads("nobody.n"))).unwrap_err();
    assert_eq!(told.len(), 1, "{told:?}");
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
fn a_name_that_an_open_schema_does_not_declare_is_a_warning() {
    let open = "schema: {openAPIV3Schema: {type: object, properties: {domain: {type: string}, owner: {type: object, properties: {email: {}}}}}}\n";
    let told = |schema: &str, reader: &str| {
        let activities =
            yaml(&["id: test, type: open", &format!("id: b, type: free, dependsOn: test, {reader}")]);
        let found = compiled(&format!("{schema}{activities}"));
        found.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let advice = "; declare it, or say additionalProperties: true";
    let warn = |reader: &str, at: &str, why: &str| {
        let expected = format!("UnknownReference: spec.activities[1]{at}: {why}{advice}");
        assert_eq!(told(open, reader), expected, "{reader}");
    };
    let neither = "is neither an activity nor a declared property of the input";
    warn("inputs: [tset.url]", ".inputs[0]", &format!("\"tset\" {neither} (did you mean \"test\"?)"));
    warn(
        "inputs: [{source: domian, target: x}]",
        ".inputs[0].source",
        &format!("\"domian\" {neither} (did you mean \"domain\"?)"),
    );
    warn("inputs: [zzz]", ".inputs[0]", &format!("\"zzz\" {neither} (has: domain, owner, test)"));
    // What says that it reads the input means no activity.
    let declares = "the input declares no";
    warn("inputs: [input.zzz]", ".inputs[0]", &format!("{declares} \"zzz\" (has: domain, owner)"));
    warn("inputs: [input.tset]", ".inputs[0]", &format!("{declares} \"tset\" (has: domain, owner)"));
    warn(
        "inputs: [owner.emial]",
        ".inputs[0]",
        "the input declares no \"owner.emial\" (did you mean \"email\"?)",
    );
    warn("inputs: [test.ulr]", ".inputs[0]", "activity \"test\" declares no output \"ulr\" (has: url)");
    warn(
        "when: 'true && activities.test.outputs.ulr == 1'",
        ".when",
        "line 1 column 9: activity \"test\" declares no output \"ulr\" (has: url)",
    );
    warn(
        "when: input.domian == 1",
        ".when",
        &format!("line 1 column 1: {declares} \"domian\" (did you mean \"domain\"?)"),
    );
    warn(
        "when: has(input.ownre.email)",
        ".when",
        &format!("line 1 column 5: {declares} \"ownre\" (did you mean \"owner\"?)"),
    );
    let output =
        format!("{open}{}output: [{{source: test.ulr, target: x}}]\n", yaml(&["id: test, type: open"]));
    assert_eq!(
        compiled(&output).warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [format!(
            "UnknownReference: spec.output[0].source: activity \"test\" declares no output \"ulr\" (has: url){advice}"
        )]
    );
    // What is declared, or said to be open, or of which nothing is declared.
    for fine in [
        "inputs: [domain, owner.email, test.url, input.owner]",
        "inputs: [test]",
        "when: input.domain == 'x'",
        // To ask whether something is there is to know that it may not be.
        "when: has(input.domian) || has(input.owner.phone) || has(activities.test.outputs.ulr)",
    ] {
        assert_eq!(told(open, fine), "", "{fine}");
    }
    for schema in
        ["", "schema: {openAPIV3Schema: {type: object, properties: {a: {}}, additionalProperties: true}}\n"]
    {
        assert_eq!(told(schema, "inputs: [input.zzz.y]"), "", "{schema}");
    }
}

const WARNING: &str = "SkippedReference: spec.activities[1].inputs[0].source: \"a\" may be skipped, and ActivityDefinition \"needy\" requires the input \"id\" (give it a default, or repeat the when of \"a\" here)";

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
    check("type: needy", &[WARNING]);
    check("type: free", &[]);
    // Skipped together, for certain or by intent.
    check("type: needy, when: input.wanted", &[]);
    check("type: needy, when: (input.wanted)", &[]);
    check("type: needy, when: input.more && (input.wanted && input.x)", &[]);
    check("type: needy, when: activities.a.state == 'Succeeded'", &[]);
    check("type: needy, when: has(activities.a.outputs.x)", &[]);
    // A condition on something else is no reason.
    for other in ["input.more", "!input.wanted", "input.wanted || input.more", "input.wanted == true", "true"]
    {
        check(&format!("type: needy, when: '{other}'"), &[WARNING]);
    }
    let short =
        yaml(&["id: a, type: free, when: input.wanted", "id: b, type: needy, dependsOn: a, inputs: [a.id]"]);
    let told: Vec<String> = compiled(&short).warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told, [WARNING.replace(".source", "")]);
}

#[test]
fn all_that_a_condition_asks_is_compared() {
    let is_guarded = |read: &str, own: &str| {
        let activities = yaml(&[
            &format!("id: a, type: free, when: {}", json!(read)),
            &format!("id: b, type: needy, dependsOn: a, inputs: [a.id], when: {}", json!(own)),
        ]);
        compiled(&activities).warnings.is_empty()
    };
    for same in
        ["input.l.exists(x, x > 1)", "has(input.a.b)", "input.a in ['x', {'k': 1}]", "size(input.t) == 3"]
    {
        assert!(is_guarded(same, same), "{same}");
        assert!(is_guarded(same, &format!("true && {same}")), "{same}");
        assert!(!is_guarded(&format!("input.y && {same}"), same), "{same}");
    }
    assert!(!is_guarded("input.l.exists(x, x > 1)", "input.l.exists(x, x > 2)"));
    assert!(!is_guarded("has(input.a.b)", "input.a.b"));
    assert!(!is_guarded("input.a == 1", "input.a == 1.0"));
    assert!(!is_guarded("input.t.matches('a')", "input.t.contains('a')"));
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
        &format!("id: b, type: free, dependsOn: [a, tenant-config], when: {}", json!(when)),
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
        "NotAnAncestor: AT: line 1 column 1: \"b\" reads \"later\" but does not depend on it (add dependsOn: [later])",
    );
    condition(
        "activities.b.state == 'Skipped'",
        "NotAnAncestor: AT: line 1 column 1: \"b\" may not read its own outputs",
    );
    condition(
        "activities.laterr.state == 'Skipped'",
        "UnknownReference: AT: line 1 column 1: no activity \"laterr\" (did you mean \"later\"?)",
    );
    condition(
        "input.domian == 'x'",
        "UnknownReference: AT: line 1 column 1: the input has no \"domian\" (did you mean \"domain\"?)",
    );
    condition(
        "activities.a.outputs.ulr == 'x'",
        "UnknownReference: AT: line 1 column 1: activity \"a\" has no output \"ulr\" (has: deep, hosts, port, url, zone)",
    );
}

#[test]
fn a_condition_agrees_with_the_types_of_what_it_reads() {
    condition("input.count > 3 && input.size / 2.0 < 1.5 && activities.a.outputs.port == input.count", "");
    condition(
        "input.domain == 'x' && input.count == 'x'",
        "TypeMismatch: AT: line 1 column 24: \"==\" compares an integer with a string, which are never equal",
    );
    condition(
        "activities.a.outputs.url == activities.a.outputs.port",
        "TypeMismatch: AT: line 1 column 1: \"==\" compares a string with an integer, which are never equal",
    );
    condition("input.domain", "TypeMismatch: AT: line 1 column 1: must be a boolean, is a string");
    condition(
        "activities.a.outputs.hosts.exists(host, host.name == 'x')",
        "UnknownReference: AT: line 1 column 41: there is no \"name\"",
    );
    // With what is read wrongly, in the order of the text.
    condition(
        "input.count == 'x' ||\n  activities.later.state == 'x' ||\n  input.domian == 'x' || input.hosts == 1",
        "TypeMismatch: AT: line 1 column 1: \"==\" compares an integer with a string, which are never equal\n\
         NotAnAncestor: AT: line 2 column 3: \"b\" reads \"later\" but does not depend on it (add dependsOn: [later])\n\
         UnknownReference: AT: line 3 column 3: the input has no \"domian\" (did you mean \"domain\"?)\n\
         TypeMismatch: AT: line 3 column 26: \"==\" compares a list with an integer, which are never equal",
    );
    // Nothing is known of what nothing is declared of.
    condition(
        "activities['tenant-config'].outputs.x == 1 || activities['tenant-config'].outputs.x == 'x'",
        "",
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
