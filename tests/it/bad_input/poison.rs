//! Objects that cannot be read: told to their owners, and harmless to everybody else.

use orchestrator::api::{Orchestration, OrchestrationDefinition};
use serde_json::{Value, json};

use crate::support::cluster::{TestNamespace, cluster};
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{definition, orchestration};
use crate::support::operator::Operator;
use crate::support::told::{says, spec};

/// Objects nested in each other, innermost a number.
fn nested(levels: usize) -> String {
    format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels))
}

/// Creates an object from text that our own parser could not write.
async fn create_raw(namespace: &TestNamespace, plural: &str, object: &str) {
    let path = format!("/apis/orchestrator.dev/v1alpha1/namespaces/{}/{plural}", namespace.name);
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(object.as_bytes().to_vec())
        .unwrap();
    namespace.client.request_text(request).await.unwrap();
}

/// A part of an object, as kubectl prints it: our own parser could not read the whole.
fn part(namespace: &TestNamespace, object: &str, path: &str) -> Value {
    let printed = cluster().kubectl(&["-n", &namespace.name, "get", object, "-o", &format!("jsonpath={path}")]);
    serde_json::from_str(&printed).unwrap_or(Value::String(printed))
}

/// The conditions of an object, each as `Type=Status Reason: message`.
fn conditions(namespace: &TestNamespace, object: &str) -> Vec<String> {
    let conditions = part(namespace, object, "{.status.conditions}");
    let text = |condition: &Value, key: &str| condition[key].as_str().unwrap().to_owned();
    conditions
        .as_array()
        .unwrap()
        .iter()
        .map(|c| {
            format!("{}={} {}: {}", text(c, "type"), text(c, "status"), text(c, "reason"), text(c, "message"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_nested_3000_levels_deep_is_told_and_stops_nobody_else() {
    let namespace = TestNamespace::new().await;
    // It is there before the operator: its first list holds it.
    let deep = format!(
        r#"{{"apiVersion":"orchestrator.dev/v1alpha1","kind":"Orchestration","metadata":{{"name":"deep"}},"spec":{{"type":"d","input":{}}}}}"#,
        nested(3000)
    );
    create_raw(&namespace, "orchestrations", &deep).await;
    let operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::outputs(&json!({})));
    namespace.type_that_is_known("t").await;
    namespace.create(definition("d", spec("activities: [{id: a, type: t}]"))).await;
    namespace.create(orchestration("before", "d", json!({}))).await;
    cluster().kubectl(&["-n", &namespace.name, "wait", "--for=condition=Finished", "--timeout=60s", "orch/deep"]);
    let why = "InputTooDeep: spec.input: is nested deeper than 128 levels, which cannot be read";
    assert_eq!(
        conditions(&namespace, "orch/deep"),
        [
            format!("Accepted=False {why}"),
            format!("Stalled=True {why}"),
            format!("Succeeded=False {why}"),
            format!("Finished=True {why}"),
        ]
    );
    assert_eq!(part(&namespace, "orch/deep", "{.status.state}"), json!("Failed"));
    assert_eq!(namespace.finished("before").await.status.unwrap().state.as_deref(), Some("Succeeded"));

    // A watch that begins anew lists it again.
    operator.stop().await;
    let version = part(&namespace, "orch/deep", "{.metadata.resourceVersion}");
    let operator = Operator::start(&namespace).await;
    namespace.create(orchestration("after", "d", json!({}))).await;
    assert_eq!(namespace.finished("after").await.status.unwrap().state.as_deref(), Some("Succeeded"));
    assert_eq!(part(&namespace, "orch/deep", "{.metadata.resourceVersion}"), version, "it is told once");
    assert_eq!(operator.requests.count("PATCH", "/orchestrations/deep/status"), 0);
    cluster().kubectl(&["-n", &namespace.name, "delete", "orch/deep", "--timeout=60s"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_nested_3000_levels_deep_is_told_and_stops_no_other() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let activity = format!(
        r#"{{"apiVersion":"orchestrator.dev/v1alpha1","kind":"ActivityDefinition","metadata":{{"name":"deep"}},"spec":{{"job":{{"template":{}}}}}}}"#,
        nested(3000)
    );
    create_raw(&namespace, "activitydefinitions", &activity).await;
    let orchestration = format!(
        r#"{{"apiVersion":"orchestrator.dev/v1alpha1","kind":"OrchestrationDefinition","metadata":{{"name":"deep"}},"spec":{{"activities":[{{"id":"a","type":"t","inputs":[{}]}}]}}}}"#,
        nested(3000)
    );
    create_raw(&namespace, "orchestrationdefinitions", &orchestration).await;
    namespace.type_that_is_known("t").await;
    let why = "Unreadable: the object is nested deeper than 128 levels, which cannot be read";
    for object in ["actdef/deep", "orchdef/deep"] {
        cluster().kubectl(&["-n", &namespace.name, "wait", "--for=condition=Stalled", "--timeout=60s", object]);
        assert_eq!(conditions(&namespace, object), [format!("Ready=False {why}"), format!("Stalled=True {why}")]);
    }
    namespace.create(definition("user", spec("activities: [{id: a, type: deep}]"))).await;
    let told = "ActivityNotReady: spec.activities[0].type: ActivityDefinition \"deep\" is not ready: Unreadable: the object is nested deeper than 128 levels, which cannot be read";
    let found = namespace
        .until("user", |definition: &OrchestrationDefinition| !says(definition, "Ready").is_empty())
        .await;
    assert_eq!(says(&found, "Ready"), format!("False ActivityNotReady: {told}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_just_deep_enough_to_be_read_runs() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::outputs(&json!({})));
    namespace.type_that_is_known("t").await;
    namespace.create(definition("d", spec("activities: [{id: a, type: t, inputs: [a.a]}]"))).await;
    let input: Value = serde_json::from_str(&nested(100)).unwrap();
    namespace.create(orchestration("run", "d", input)).await;
    assert_eq!(says(&namespace.finished("run").await, "Succeeded"), "True Completed: all 1 activities have succeeded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_somebody_scribbled_in_is_rebuilt_and_the_run_ends() {
    let namespace = TestNamespace::new().await;
    let operator = Operator::start(&namespace).await;
    namespace.type_that_is_known("t").await;
    namespace.create(definition("d", spec("activities: [{id: a, type: t}, {id: b, type: t, dependsOn: a}]"))).await;
    namespace.create(orchestration("run", "d", json!({}))).await;
    namespace
        .until("run", |o: &Orchestration| o.status.as_ref().is_some_and(|status| status.activities.len() == 2))
        .await;
    // The schema of the entries is loose, so that a status write stays cheap.
    let scribble = r#"{"status": {"activities": {"a": {"readyTime": "yesterday", "startTime": "", "state": "Sleeping"}}}}"#;
    cluster().kubectl(&[
        "-n", &namespace.name, "patch", "orch/run", "--subresource=status", "--type=merge", "-p", scribble,
    ]);
    operator.stop().await;
    let _operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::outputs(&json!({})));
    assert_eq!(says(&namespace.finished("run").await, "Succeeded"), "True Completed: all 2 activities have succeeded");
}
