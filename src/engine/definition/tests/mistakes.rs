//! Every mistake that a compile can find, with its exact text.

use super::*;

#[test]
fn all_mistakes_are_told_at_once_in_field_order() {
    check(
        r#"
activities:
- {id: fetch, type: missing}
- {id: build, type: t, dependsOn: [fecth, build, 3], inputs: [test.report, 'x..y', {target: z}]}
- {id: input, type: sick, dependsOn: true}
- {id: test, type: t, dependsOn: deploy}
- {id: deploy, type: t, dependsOn: test, inputs: [run.id]}
output:
- {source: 'a.'}
- {source: fetch.url}
- {source: build.url}
"#,
        &[
            "CycleDetected: spec.activities: dependency cycle test -> deploy -> test",
            "ActivityDefinitionNotFound: spec.activities[0].type: ActivityDefinition \"missing\" not found in this namespace",
            "UnknownDependency: spec.activities[1].dependsOn[0]: no activity \"fecth\" (did you mean \"fetch\"?)",
            "SelfDependency: spec.activities[1].dependsOn[1]: \"build\" may not depend on itself",
            "TypeMismatch: spec.activities[1].dependsOn[2]: must be an activity id, or a list of activity ids, found the number 3: quote what YAML reads as a number",
            "InvalidPath: spec.activities[1].inputs[1]: \"x..y\" column 3: expected a name (letters, digits, \"_\", \"-\"), found \".\"",
            "InvalidPath: spec.activities[1].inputs[2].source: is required",
            "ReservedName: spec.activities[2].id: \"input\" is reserved, as are input, run, schedule, activities",
            "ActivityNotReady: spec.activities[2].type: ActivityDefinition \"sick\" is not ready: InvalidJobTemplate: spec.job: wrong; ForbiddenPodField: too",
            "TypeMismatch: spec.activities[2].dependsOn: must be an activity id, or a list of activity ids, found the boolean true: quote what YAML reads as a boolean (y, n, on, off, yes, no)",
            "UnknownReference: spec.activities[4].inputs[0]: \"run\" is neither an activity nor readable here; use input.run for the input",
            "InvalidPath: spec.output[0].source: \"a.\" column 3: expected a name (letters, digits, \"_\", \"-\"), found the end",
            "DuplicateTarget: spec.output[2].source: the target \"url\" is filled from \"fetch.url\" already",
        ],
    );
}

#[test]
fn a_type_must_exist_and_be_ready() {
    check_activities(
        &["id: a, type: missing", "id: b, type: sick"],
        &[
            "ActivityDefinitionNotFound: spec.activities[0].type: ActivityDefinition \"missing\" not found in this namespace",
            "ActivityNotReady: spec.activities[1].type: ActivityDefinition \"sick\" is not ready: InvalidJobTemplate: spec.job: wrong; ForbiddenPodField: too",
        ],
    );
}

#[test]
fn an_id_is_unique_and_not_reserved() {
    let reserved = |at: usize, id: &str| {
        format!(
            "ReservedName: spec.activities[{at}].id: \"{id}\" is reserved, as are input, run, schedule, activities"
        )
    };
    let expected: Vec<String> = RESERVED_IDS.iter().enumerate().map(|(at, id)| reserved(at, id)).collect();
    let activities: Vec<String> = RESERVED_IDS.iter().map(|id| format!("id: {id}, type: t")).collect();
    check_activities(
        &activities.iter().map(String::as_str).collect::<Vec<_>>(),
        &expected.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    check_activities(
        &["id: a, type: t", "id: b, type: t", "id: a, type: t"],
        &["DuplicateId: spec.activities[2].id: \"a\" is the id of spec.activities[0] already"],
    );
}

#[test]
fn a_shortest_cycle_is_told_once() {
    check_activities(
        &["id: a, type: t, dependsOn: c", "id: b, type: t, dependsOn: a", "id: c, type: t, dependsOn: b"],
        &["CycleDetected: spec.activities: dependency cycle a -> b -> c -> a"],
    );
    check_activities(
        &[
            "id: a, type: t, dependsOn: c",
            "id: b, type: t, dependsOn: a",
            "id: c, type: t, dependsOn: b",
            "id: behind, type: t, dependsOn: [c, q]",
            "id: p, type: t, dependsOn: q",
            "id: q, type: t, dependsOn: p",
        ],
        &["CycleDetected: spec.activities: dependency cycle p -> q -> p"],
    );
}

#[test]
fn a_cycle_does_not_make_every_reader_a_mistake() {
    check_activities(
        &["id: a, type: t, dependsOn: b, inputs: [b.x]", "id: b, type: t, dependsOn: a, inputs: [a.x, b.y]"],
        &[
            "CycleDetected: spec.activities: dependency cycle a -> b -> a",
            "NotAnAncestor: spec.activities[1].inputs[1]: \"b\" may not read its own outputs",
        ],
    );
}

#[test]
fn a_dependency_is_an_activity_other_than_oneself() {
    check_activities(
        &["id: build, type: t", "id: c, type: t, dependsOn: [biuld, zzz, c]", "id: d, type: t, dependsOn: d"],
        &[
            "UnknownDependency: spec.activities[1].dependsOn[0]: no activity \"biuld\" (did you mean \"build\"?)",
            "UnknownDependency: spec.activities[1].dependsOn[1]: no activity \"zzz\"",
            "SelfDependency: spec.activities[1].dependsOn[2]: \"c\" may not depend on itself",
            "SelfDependency: spec.activities[2].dependsOn: \"d\" may not depend on itself",
        ],
    );
}

#[test]
fn a_dependency_that_is_listed_twice_is_a_warning() {
    check_activities(
        &["id: a, type: t", "id: b, type: t, dependsOn: [a, a]"],
        &["a | b", "warning: DuplicateId: spec.activities[1].dependsOn[1]: \"a\" is listed twice"],
    );
    let twice = compiled(&yaml(&["id: a, type: t", "id: b, type: t, dependsOn: [a, a]"]));
    assert_eq!(twice.graph.dependencies(1), [0]);
}

#[test]
fn what_yaml_did_not_read_as_text_is_to_be_quoted() {
    let dependency = |value: &str, found: &str| {
        let expected = format!(
            "TypeMismatch: spec.activities[1].dependsOn: must be an activity id, or a list of activity ids, found {found}"
        );
        check_activities(&["id: a, type: t", &format!("id: b, type: t, dependsOn: {value}")], &[&expected]);
    };
    dependency("true", "the boolean true: quote what YAML reads as a boolean (y, n, on, off, yes, no)");
    dependency("false", "the boolean false: quote what YAML reads as a boolean (y, n, on, off, yes, no)");
    dependency("y", "the boolean true: quote what YAML reads as a boolean (y, n, on, off, yes, no)");
    dependency("12", "the number 12: quote what YAML reads as a number");
    dependency("{a: b}", "an object");
    let item = |value: &str, found: &str| {
        let expected = format!(
            "TypeMismatch: spec.activities[1].dependsOn[1]: must be an activity id, or a list of activity ids, found {found}"
        );
        check_activities(
            &["id: a, type: t", &format!("id: b, type: t, dependsOn: [a, {value}]")],
            &[&expected],
        );
    };
    item("true", "the boolean true: quote what YAML reads as a boolean (y, n, on, off, yes, no)");
    item("null", "null");
    item("[a]", "a list");
}

#[test]
fn an_input_is_a_path_or_a_source_with_a_target() {
    let input = |value: &str, expected: &str| {
        check_activities(&[&format!("id: a, type: t, inputs: [{value}]")], &[expected]);
    };
    input(
        "true",
        "TypeMismatch: spec.activities[0].inputs[0]: must be a source path, or {source, target}, found the boolean true: quote what YAML reads as a boolean (y, n, on, off, yes, no)",
    );
    input(
        "[x]",
        "TypeMismatch: spec.activities[0].inputs[0]: must be a source path, or {source, target}, found a list",
    );
    input(
        "null",
        "TypeMismatch: spec.activities[0].inputs[0]: must be a source path, or {source, target}, found null",
    );
    input(
        "{source: 7}",
        "TypeMismatch: spec.activities[0].inputs[0].source: must be a source path, found the number 7: quote what YAML reads as a number",
    );
    input("{target: x}", "InvalidPath: spec.activities[0].inputs[0].source: is required");
    input(
        "{source: x, target: [y]}",
        "TypeMismatch: spec.activities[0].inputs[0].target: must be a name, found a list",
    );
    input(
        "{source: x, tarqet: y}",
        "TypeMismatch: spec.activities[0].inputs[0]: unknown field \"tarqet\" (did you mean \"target\"?); allowed are source and target",
    );
    check_activities(
        &["id: a, type: t, inputs: [{source: 1, target: 2, z: 3}]"],
        &[
            "TypeMismatch: spec.activities[0].inputs[0]: unknown field \"z\"; allowed are source and target",
            "TypeMismatch: spec.activities[0].inputs[0].source: must be a source path, found the number 1: quote what YAML reads as a number",
            "TypeMismatch: spec.activities[0].inputs[0].target: must be a name, found the number 2: quote what YAML reads as a number",
        ],
    );
}

#[test]
fn a_reader_depends_on_what_it_reads() {
    check_activities(
        &[
            "id: b, type: t",
            "id: c, type: t, inputs: [b.x, c.y, {source: d.z}, b]",
            "id: d, type: t, dependsOn: c",
        ],
        &[
            "NotAnAncestor: spec.activities[1].inputs[0]: \"c\" reads \"b\" but does not depend on it (add dependsOn: [b])",
            "NotAnAncestor: spec.activities[1].inputs[1]: \"c\" may not read its own outputs",
            "NotAnAncestor: spec.activities[1].inputs[2].source: \"c\" reads \"d\" but does not depend on it (add dependsOn: [d])",
            "NotAnAncestor: spec.activities[1].inputs[3]: \"c\" reads \"b\" but does not depend on it (add dependsOn: [b])",
        ],
    );
    // An ancestor through others is enough.
    check_activities(
        &["id: a, type: t", "id: b, type: t, dependsOn: a", "id: c, type: t, dependsOn: b, inputs: [a.x]"],
        &["a | b | c", "c: x = a.x"],
    );
}

#[test]
fn a_word_with_a_meaning_of_its_own_is_not_read() {
    let source = |source: &str, why: &str| {
        let expected = format!("UnknownReference: spec.activities[1].inputs[0]: {why}");
        check_activities(
            &["id: config, type: t", &format!("id: b, type: t, dependsOn: config, inputs: ['{source}']")],
            &[&expected],
        );
    };
    source(
        "activities.config.url",
        "\"activities\" is neither an activity nor readable here (did you mean \"config\"?); use input.activities for the input",
    );
    source(
        "activities[\"confg\"].url",
        "\"activities\" is neither an activity nor readable here (did you mean \"config\"?); use input.activities for the input",
    );
    source(
        "activities",
        "\"activities\" is neither an activity nor readable here; use input.activities for the input",
    );
    source("run.state", "\"run\" is neither an activity nor readable here; use input.run for the input");
    source(
        "schedule.name",
        "of the schedule, only schedule.time can be read; use input.schedule for the input",
    );
    check_activities(
        &["id: a, type: t, inputs: [input.run, input.activities.x]"],
        &["a", "a: run = $.run, x = $.activities.x"],
    );
}

#[test]
fn a_path_is_well_formed_and_short() {
    let path = |path: &str, why: &str| {
        check_activities(
            &[&format!("id: a, type: t, inputs: [{{source: '{path}'}}]")],
            &[&format!("InvalidPath: spec.activities[0].inputs[0].source: {why}")],
        );
    };
    path("", "\"\" column 1: expected a name (letters, digits, \"_\", \"-\"), found the end");
    path(".a", "\".a\" column 1: expected a name (letters, digits, \"_\", \"-\"), found \".\"");
    path("a b", "\"a b\" column 2: expected \".\", \"[\" or the end, found \" \"");
    path("a[x]", "\"a[x]\" column 3: expected a number or a key in double quotes, found \"x\"");
    path(&"p".repeat(10_240), "a path has at most 512 characters, this one has 10240");
}

#[test]
fn a_target_is_given_where_the_path_suggests_none() {
    let why = "target is required, because the last segment is no plain name (letters, digits, \"_\", \"-\")";
    check_activities(
        &[
            "id: a, type: t, inputs: ['hosts[0]', '.x', {source: 'input[\"a b\"]'}, {source: 'hosts[1]', target: ok}]",
        ],
        &[
            &format!("InvalidPath: spec.activities[0].inputs[0]: {why}"),
            "InvalidPath: spec.activities[0].inputs[1]: \".x\" column 1: expected a name (letters, digits, \"_\", \"-\"), found \".\"",
            &format!("InvalidPath: spec.activities[0].inputs[2].source: {why}"),
        ],
    );
}

#[test]
fn a_target_is_a_short_name_without_control_characters() {
    let long = format!("id: a, type: t, inputs: [{{source: x, target: {}}}]", "t".repeat(254));
    check_activities(
        &[&long],
        &["LimitExceeded: spec.activities[0].inputs[0].target: a target has at most 253 characters"],
    );
    check_activities(
        &["id: a, type: t, inputs: [{source: x, target: ''}, {source: z, target: \"a\\nb\"}]"],
        &[
            "InvalidPath: spec.activities[0].inputs[0].target: a target must not be empty, nor hold control characters",
            "InvalidPath: spec.activities[0].inputs[1].target: a target must not be empty, nor hold control characters",
        ],
    );
}

#[test]
fn two_inputs_never_have_one_target_or_variable() {
    check_activities(
        &[
            "id: a, type: t",
            "id: b, type: t, dependsOn: a, inputs: [domain, {source: a.domain}, {source: a.x, target: domain}]",
        ],
        &[
            "DuplicateTarget: spec.activities[1].inputs[1].source: the target \"domain\" is filled from \"domain\" already",
            "DuplicateTarget: spec.activities[1].inputs[2].target: the target \"domain\" is filled from \"a.domain\" already",
        ],
    );
    check_activities(
        &[
            "id: a, type: t, inputs: [ownerEmail, owner-email, {source: x, target: 'owner.email'}, owner__email]",
        ],
        &[
            "VariableCollision: spec.activities[0].inputs[1]: \"owner-email\" and \"ownerEmail\" would both be the variable INPUT_OWNER_EMAIL",
            "VariableCollision: spec.activities[0].inputs[2]: \"owner.email\" and \"owner-email\" would both be the variable INPUT_OWNER_EMAIL",
        ],
    );
}

#[test]
fn an_output_may_read_every_activity_and_the_input() {
    check(
        "activities: [{id: a, type: t}, {id: b, type: t}]\noutput: [{source: a.x}, {source: b}, {source: input.y.x, target: z}, {source: activities.a}, {source: 'q[0]'}]",
        &[
            "UnknownReference: spec.output[3].source: \"activities\" is neither an activity nor readable here (did you mean \"a\"?); use input.activities for the input",
            "InvalidPath: spec.output[4].source: target is required, because the last segment is no plain name (letters, digits, \"_\", \"-\")",
        ],
    );
}

#[test]
fn a_message_stays_on_its_line_whatever_the_text() {
    check_activities(
        &["id: a, type: t, dependsOn: [\"x\\nInvalid: y\\e\"], inputs: [{\"s\\u202E\\n\": 1, source: x}]"],
        &[
            "UnknownDependency: spec.activities[0].dependsOn[0]: no activity \"x\\nInvalid: y\\u{1b}\"",
            "TypeMismatch: spec.activities[0].inputs[0]: unknown field \"s\\u{202e}\\n\"; allowed are source and target",
        ],
    );
}
