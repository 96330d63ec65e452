//! Data that only a real server can judge, keep or refuse: what it makes of schemas, numbers, sizes and odd characters.

use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition};
use serde_json::{Value, json};

use crate::support::cluster::TestNamespace;
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{activity_definition, definition, orchestration};
use crate::support::operator::Operator;
use crate::support::told::{kubectl_create, says, spec, yaml};

/// Creates an Orchestration from text; the error is the server's message.
async fn create_raw(namespace: &TestNamespace, spec: &str) -> Result<String, String> {
    let path = format!(
        "/apis/orchestrator.dev/v1alpha1/namespaces/{}/orchestrations?fieldValidation=Strict",
        namespace.name
    );
    let object = format!(
        r#"{{"apiVersion":"orchestrator.dev/v1alpha1","kind":"Orchestration","metadata":{{"name":"raw"}},"spec":{spec}}}"#
    );
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(object.into_bytes())
        .unwrap();
    match namespace.client.request_text(request).await {
        Ok(created) => Ok(created),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_is_kept_as_it_was_written() {
    let namespace = TestNamespace::new().await;
    let schema = json!({"openAPIV3Schema": {
        "type": "object", "x-kubernetes-preserve-unknown-fields": true, "required": ["a"],
        "properties": {"a": {"type": "integer", "default": 9_007_199_254_740_993_i64, "maximum": 1.5e300},
            "b": {"type": "string", "pattern": "^(a+)+$", "nullable": true}},
    }});
    let mut type_ = activity_definition("t");
    type_["spec"]["inputSchema"] = schema.clone();
    type_["spec"]["outputSchema"] = json!({});
    namespace.create(type_).await;
    let mut flow = json!({"activities": [{"id": "a", "type": "t", "when": "input.a > 1"}]});
    flow["schema"] = schema.clone();
    namespace.create(definition("d", flow)).await;
    let type_ = namespace.api::<ActivityDefinition>().get("t").await.unwrap();
    assert_eq!(type_.spec.input_schema.map(Value::Object), Some(schema.clone()));
    assert_eq!(type_.spec.output_schema.map(Value::Object), Some(json!({})));
    let found = namespace.api::<OrchestrationDefinition>().get("d").await.unwrap();
    assert_eq!(found.spec.schema.map(Value::Object), Some(schema));
    assert_eq!(found.spec.activities[0].when.as_deref(), Some("input.a > 1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misspelt_field_and_one_of_the_wrong_type_are_refused() {
    let namespace = TestNamespace::new().await;
    let activity = |fields: &str| format!("{{activities: [{{id: a, type: t, {fields}}}]}}");
    let cases = [
        ("OrchestrationDefinition", activity("wen: 'true'"), "OrchestrationDefinition in version \"v1alpha1\" cannot be handled as a OrchestrationDefinition: strict decoding error: unknown field \"spec.activities[0].wen\"".to_owned()),
        ("OrchestrationDefinition", activity("when: true"), "OrchestrationDefinition.orchestrator.dev \"bad\" is invalid: spec.activities[0].when: Invalid value: \"boolean\": spec.activities[0].when in body must be of type string: \"boolean\"".to_owned()),
        ("OrchestrationDefinition", activity(&format!("when: {}", "x".repeat(4097))), "OrchestrationDefinition.orchestrator.dev \"bad\" is invalid: spec.activities[0].when: Too long: may not be more than 4096 bytes".to_owned()),
        ("OrchestrationDefinition", "{schema: [], activities: [{id: a, type: t}]}".to_owned(), "OrchestrationDefinition.orchestrator.dev \"bad\" is invalid: spec.schema: Invalid value: \"array\": spec.schema in body must be of type object: \"array\"".to_owned()),
        ("ActivityDefinition", "{inputSchemas: {}}".to_owned(), "ActivityDefinition in version \"v1alpha1\" cannot be handled as a ActivityDefinition: strict decoding error: unknown field \"spec.inputSchemas\"".to_owned()),
    ];
    let documents: Vec<String> = cases.iter().map(|(kind, spec, _)| yaml(kind, "bad", spec)).collect();
    let told = kubectl_create(&namespace, &documents);
    let expected: Vec<&String> = cases.iter().map(|(_, _, why)| why).collect();
    assert_eq!(told.iter().collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_with_a_key_twice_or_a_number_out_of_range_is_refused_by_the_server() {
    let namespace = TestNamespace::new().await;
    assert_eq!(
        create_raw(&namespace, r#"{"type": "d", "input": {"a": 1, "a": 2}}"#).await.unwrap_err(),
        "Orchestration in version \"v1alpha1\" cannot be handled as a Orchestration: strict decoding error: duplicate field \"spec.input.a\""
    );
    assert_eq!(
        create_raw(&namespace, r#"{"type": "d", "input": {"a": 1e400}}"#).await.unwrap_err(),
        "Orchestration in version \"v1alpha1\" cannot be handled as a Orchestration: json: cannot unmarshal number 1e400 into Go value of type float64"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_reach_an_activity_as_the_server_keeps_them() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |work| Act::outputs(&work.input));
    namespace.create(activity_definition("t")).await;
    let whole = "{schema: {type: object, properties: {exact: {type: integer}, least: {type: integer}, ratio: {type: number}, zero: {type: number}}},
        activities: [{id: a, type: t, inputs: [exact, least, ratio, zero, huge], when: input.exact == 9007199254740993}], output: [{source: a, target: all}]}";
    namespace.create(definition("d", spec(whole))).await;
    let numbers = r#"{"exact": 9007199254740993, "least": -9223372036854775808, "ratio": 0.1, "zero": -0, "huge": 1e21}"#;
    create_raw(&namespace, &format!(r#"{{"type": "d", "input": {numbers}}}"#)).await.unwrap();
    let finished = namespace.finished("raw").await;
    assert_eq!(says(&finished, "Succeeded"), "True Completed: the only activity has succeeded");
    let output = finished.status.unwrap().output.unwrap();
    assert_eq!(
        output["all"].to_string(),
        r#"{"exact":9007199254740993,"huge":1e+21,"least":-9223372036854775808,"ratio":0.1,"zero":0}"#
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_has_a_size_that_is_told() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let large = |bytes: usize| json!({"x": "x".repeat(bytes)});
    for (name, bytes) in [("more", 65_536 - 7), ("large", 1_400_000)] {
        namespace.create(orchestration(name, "d", large(bytes))).await;
        let finished = namespace.finished(name).await;
        let why =
            format!("InputTooLarge: spec.input: has {} bytes of JSON, at most 65536 are allowed", bytes + 8);
        assert_eq!(says(&finished, "Accepted"), format!("False {why}"));
        assert_eq!(says(&finished, "Succeeded"), format!("False {why}"));
    }
    let refused = create_raw(&namespace, &json!({"type": "d", "input": large(3_200_000)}).to_string()).await;
    assert_eq!(refused.unwrap_err(), "Request entity too large: limit is 3145728");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_of_a_megabyte_is_told_with_its_limit() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    namespace.type_that_is_known("t").await;
    let mut flow = json!({"activities": [{"id": "a", "type": "t"}]});
    flow["schema"] = json!({"type": "object", "description": "x".repeat(1_000_000)});
    namespace.create(definition("d", flow)).await;
    assert_eq!(
        namespace.definition_ready("d", "False", "Invalid").await,
        "LimitExceeded: spec.schema: SchemaTooLarge: a schema has at most 32768 bytes of JSON, this one has 1000034"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_characters_are_data_and_never_more() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |work| Act::outputs(&work.input));
    namespace.create(activity_definition("t")).await;
    let odd = "\u{0}\u{1b}[31m\u{202e}🦀\u{2028}</script>";
    let whole = "{schema: {type: object, properties: {n: {type: integer}}}, activities: [{id: a, type: t, inputs: [x]}], output: [{source: a.x}]}";
    namespace.create(definition("d", spec(whole))).await;
    namespace.create(orchestration("good", "d", json!({"x": odd}))).await;
    namespace.create(orchestration("bad", "d", json!({"x": odd, "n": odd}))).await;
    let good = namespace.finished("good").await.status.unwrap();
    assert_eq!(good.output.map(Value::Object), Some(json!({"x": odd})));
    let bad: Orchestration = namespace.finished("bad").await;
    let told = says(&bad, "Succeeded");
    assert!(told.starts_with("False InvalidInput: spec.input.n: expected integer, got string "), "{told}");
    assert!(!told.contains(|c: char| c.is_control() || c == '\u{202e}' || c == '\u{2028}'), "{told:?}");
}
