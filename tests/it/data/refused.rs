//! Mistakes in data, in the words of the conditions: nothing is started, and nothing is pinned.

use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition};
use serde_json::{Value, json};

use crate::support::kubelet::Act;
use crate::support::objects::{activity_definition, definition, orchestration};
use crate::support::sandbox::Sandbox;
use crate::support::told::{says, spec};

fn sandbox() -> Sandbox {
    Sandbox::start(|_| Act::outputs(&json!({})))
}

fn type_(name: &str, more: Value) -> Value {
    let mut type_ = activity_definition(name);
    type_["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    type_
}

#[tokio::test(start_paused = true)]
async fn a_type_with_a_broken_schema_is_told_there_and_where_it_is_used() {
    let sandbox = sandbox();
    sandbox
        .apply([
            type_("broken", json!({"inputSchema": {"openAPIV3Schema": {"type": "strng"}}})),
            definition("d", spec("activities: [{id: a, type: broken}]")),
        ])
        .await;
    let told = sandbox.told::<ActivityDefinition>("broken", "Ready").await;
    let why = "InvalidSchema: spec.inputSchema.openAPIV3Schema.type: may be one of object, array, string, integer, number, boolean, is \"strng\" (did you mean \"string\"?)";
    assert_eq!(told, format!("False InvalidSchema: {why}"));
    assert_eq!(
        sandbox.told::<ActivityDefinition>("broken", "Stalled").await,
        told.replace("False ", "True ")
    );
    let used =
        sandbox.until("d", |d: &OrchestrationDefinition| says(d, "Ready").contains("InvalidSchema")).await;
    assert_eq!(
        says(&used, "Ready"),
        format!(
            "False ActivityNotReady: ActivityNotReady: spec.activities[0].type: ActivityDefinition \"broken\" is not ready: {why}"
        )
    );
    // It heals with its type.
    sandbox
        .edit::<ActivityDefinition>("broken", json!({"inputSchema": {"openAPIV3Schema": {"type": "object"}}}))
        .await;
    sandbox.ready(&["d"]).await;
}

#[tokio::test(start_paused = true)]
async fn an_input_that_is_not_as_the_schema_says_starts_and_pins_nothing() {
    let sandbox = sandbox();
    let whole = "{schema: {openAPIV3Schema: {type: object, required: [region], properties: {region: {type: string}, n: {type: integer}}}}, \
                 activities: [{id: a, type: t}]}";
    sandbox.apply([activity_definition("t"), definition("d", spec(whole))]).await;
    sandbox.ready(&["d"]).await;
    sandbox.apply([orchestration("run", "d", json!({"n": "3"}))]).await;
    let finished = sandbox.finished("run").await;
    let why = "InvalidInput: spec.input.n: expected integer, got string \"3\"\nspec.input.region: required by OrchestrationDefinition \"d\" schema";
    for (type_, status) in
        [("Accepted", "False"), ("Stalled", "True"), ("Succeeded", "False"), ("Finished", "True")]
    {
        assert_eq!(says(&finished, type_), format!("{status} {why}"));
    }
    let status = finished.status.unwrap();
    assert_eq!(
        (status.state.as_deref(), status.revision, status.activities.len()),
        (Some("Failed"), None, 0)
    );
    assert_eq!(sandbox.count("create controllerrevisions"), 0);
    assert_eq!(sandbox.count("create jobs"), 0);
    let large = json!({"region": "x".repeat(70_000)});
    sandbox.apply([orchestration("large", "d", large)]).await;
    assert_eq!(
        sandbox.told::<Orchestration>("large", "Succeeded").await,
        "False InputTooLarge: spec.input: has 70013 bytes of JSON, at most 65536 are allowed"
    );
}

#[tokio::test(start_paused = true)]
async fn what_an_activity_lacks_or_gets_wrong_is_told_before_a_job_is_made() {
    let sandbox = Sandbox::start(|work| match work.activity.as_str() {
        "silent" => Act::outputs(&json!({"other": {"deep": 1}})),
        _ => Act::outputs(&json!({"id": 7})),
    });
    let needy = json!({"inputSchema": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}});
    let flow = |first: &str, when: &str| {
        definition(
            first,
            json!({"activities": [
                {"id": first, "type": "t"},
                {"id": "next", "type": "needy", "dependsOn": first, "inputs": [format!("{first}.id")], "when": when},
            ]}),
        )
    };
    sandbox
        .apply([
            activity_definition("t"),
            type_("needy", needy),
            flow("silent", "true"),
            flow("wrong", "true"),
            flow("broken", "activities.broken.outputs.none.deeper == 1"),
        ])
        .await;
    sandbox.ready(&["silent", "wrong", "broken"]).await;
    for (name, reason, why) in [
        (
            "silent",
            "MissingInput",
            "spec.activities[1].inputs[0]: activity \"silent\" produced no output \"id\" for the required input \"id\" of ActivityDefinition \"needy\" (has: other.deep)",
        ),
        ("wrong", "InvalidInput", "input.id: expected string, got integer 7"),
        ("broken", "ExpressionError", "when: line 1 column 1: no such key \"none\""),
    ] {
        sandbox.apply([orchestration(name, name, json!({}))]).await;
        let finished = sandbox.finished(name).await;
        let expected = format!("False ActivityFailed: activity \"next\" failed: {reason}: {why}");
        assert_eq!(says(&finished, "Succeeded"), expected);
        let entry = &finished.status.unwrap().activities["next"];
        assert_eq!((entry.attempt, entry.reason.as_deref()), (0, Some(reason)));
    }
    assert_eq!(sandbox.count("create jobs"), 3, "one for each first activity");
}

#[tokio::test(start_paused = true)]
async fn every_mistake_in_the_data_of_a_definition_is_told_at_once() {
    let sandbox = sandbox();
    let needy = json!({"inputSchema": {"openAPIV3Schema": {"type": "object", "additionalProperties": false, "required": ["id"],
        "properties": {"id": {"type": "string"}, "size": {"type": "integer"}}}}});
    let whole = "
schema: {openAPIV3Schema: {type: object, additionalProperties: false, properties: {domain: {type: string}, needs: {type: string}}}}
activities:
- {id: needs, type: t}
- {id: b, type: needy, dependsOn: needs, inputs: [{source: domian, target: id}, {source: domain, target: size}]}
- {id: c, type: needy, when: 'activities.b.state =='}
- {id: d, type: t, when: activities.b.state == 'Skipped'}
";
    sandbox.apply([activity_definition("t"), type_("needy", needy), definition("d", spec(whole))]).await;
    let found =
        sandbox.until("d", |d: &OrchestrationDefinition| says(d, "Ready").contains("TypeMismatch")).await;
    let told = says(&found, "Ready");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "False Invalid: AmbiguousReference: spec.activities[0].id: \"needs\" is also a property of the input in spec.schema, and a source could mean either: rename one",
            "UnknownReference: spec.activities[1].inputs[0].source: \"domian\" is neither an activity nor a property of the input (did you mean \"domain\"?)",
            "TypeMismatch: spec.activities[1].inputs[1].source: \"domain\": string, and integer is wanted",
        ]
    );
    assert_eq!(
        lines[3],
        "MissingSource: spec.activities[2].inputs: ActivityDefinition \"needy\" requires the input \"id\", and nothing feeds it"
    );
    assert_eq!(
        lines[4..],
        [
            "InvalidExpression: spec.activities[2].when: line 1 column 22: syntax error: mismatched input the end",
            "NotAnAncestor: spec.activities[3].when: line 1 column 1: \"d\" reads \"b\" but does not depend on it (add dependsOn: [b])"
        ]
    );
}
