//! Objects that cannot be read: told to their owners, and harmless to everybody else.

use k8s_openapi::api::core::v1::Event;
use kube::runtime::watcher;
use orchestrator::api::{Orchestration, OrchestrationDefinition};
use serde_json::{Value, json};

use crate::support::cluster::{TestNamespace, cluster};
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{definition, orchestration};
use crate::support::operator::Operator;
use crate::support::scene::first;
use crate::support::told::{says, spec};

/// Objects nested in each other, innermost a number.
pub fn nested(levels: usize) -> String {
    format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels))
}

/// Creates an object from text that our own parser could not write.
pub async fn create_raw(namespace: &TestNamespace, plural: &str, object: &str) {
    let path = format!("/apis/orchestrator.dev/v1alpha1/namespaces/{}/{plural}", namespace.name);
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(object.as_bytes().to_vec())
        .unwrap();
    namespace.client.request_text(request).await.unwrap();
}

/// A part of an object, as kubectl prints it: our own parser could not read the whole.
fn part(namespace: &TestNamespace, object: &str, path: &str) -> Value {
    let printed =
        cluster().kubectl(&["-n", &namespace.name, "get", object, "-o", &format!("jsonpath={path}")]);
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
    cluster().kubectl(&[
        "-n",
        &namespace.name,
        "wait",
        "--for=condition=Finished",
        "--timeout=60s",
        "orch/deep",
    ]);
    let why = "InputTooDeep: spec.input: is nested too deeply, at most 32 levels are allowed";
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
    let about = watcher::Config::default().fields("involvedObject.name=deep");
    let event = first(namespace.api::<Event>(), about, |_| true).await;
    assert_eq!(format!("{}: {}", event.reason.unwrap(), event.message.unwrap()), why);
    assert_eq!(namespace.finished("before").await.status.unwrap().state.as_deref(), Some("Succeeded"));

    // What may be edited of a finished one may be edited of this one.
    cluster().kubectl(&[
        "-n",
        &namespace.name,
        "patch",
        "orch/deep",
        "--type=merge",
        "-p",
        r#"{"spec": {"activeDeadlineSeconds": 60}}"#,
    ]);
    cluster().kubectl(&[
        "-n",
        &namespace.name,
        "wait",
        "--for=jsonpath={.status.observedGeneration}=2",
        "--timeout=60s",
        "orch/deep",
    ]);
    assert_eq!(part(&namespace, "orch/deep", "{.status.state}"), json!("Failed"));

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
    let deep_type = format!(
        r#"{{"apiVersion":"orchestrator.dev/v1alpha1","kind":"ActivityDefinition","metadata":{{"name":"deep"}},"spec":{{"job":{{"template":{}}}}}}}"#,
        nested(3000)
    );
    create_raw(&namespace, "activitydefinitions", &deep_type).await;
    let deep_definition = format!(
        r#"{{"apiVersion":"orchestrator.dev/v1alpha1","kind":"OrchestrationDefinition","metadata":{{"name":"deep"}},"spec":{{"activities":[{{"id":"a","type":"t","inputs":[{}]}}]}}}}"#,
        nested(3000)
    );
    create_raw(&namespace, "orchestrationdefinitions", &deep_definition).await;
    namespace.type_that_is_known("t").await;
    let why = "Unreadable: the object is nested deeper than the 128 levels that can be read";
    for object in ["actdef/deep", "orchdef/deep"] {
        cluster().kubectl(&[
            "-n",
            &namespace.name,
            "wait",
            "--for=condition=Stalled",
            "--timeout=60s",
            object,
        ]);
        assert_eq!(
            conditions(&namespace, object),
            [format!("Ready=False {why}"), format!("Stalled=True {why}")]
        );
    }
    namespace.create(definition("user", spec("activities: [{id: a, type: deep}]"))).await;
    namespace.create(orchestration("run", "deep", json!({}))).await;
    let told = "ActivityNotReady: spec.activities[0].type: ActivityDefinition \"deep\" is not ready: Unreadable: the object is nested deeper than the 128 levels that can be read";
    let found = namespace
        .until("user", |definition: &OrchestrationDefinition| !says(definition, "Ready").is_empty())
        .await;
    assert_eq!(says(&found, "Ready"), format!("False ActivityNotReady: {told}"));
    let waiting = namespace.until("run", |run: &Orchestration| !says(run, "Accepted").is_empty()).await;
    let expected = format!("False DefinitionNotReady: OrchestrationDefinition \"deep\" is not ready: {why}");
    assert_eq!(says(&waiting, "Accepted"), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_becomes_too_deep_says_nothing_old_and_heals() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    namespace.type_that_is_known("t").await;
    namespace.create(definition("d", spec("activities: [{id: a, type: t}]"))).await;
    namespace.definition_ready("d", "True", "Ready").await;
    let edit = |input: &str| {
        let patch =
            format!(r#"{{"spec": {{"activities": [{{"id": "a", "type": "t", "inputs": [{input}]}}]}}}}"#);
        cluster().kubectl(&["-n", &namespace.name, "patch", "orchdef/d", "--type=merge", "-p", &patch]);
    };
    edit(&nested(3000));
    cluster().kubectl(&[
        "-n",
        &namespace.name,
        "wait",
        "--for=condition=Stalled",
        "--timeout=60s",
        "orchdef/d",
    ]);
    assert_eq!(part(&namespace, "orchdef/d", "{.status.revision}"), json!(""));
    assert_eq!(part(&namespace, "orchdef/d", "{.status.tiers}"), json!(""));
    assert_eq!(part(&namespace, "orchdef/d", "{.status.observedGeneration}"), json!(2));
    edit("\"x\"");
    assert_eq!(namespace.definition_ready("d", "True", "Ready").await, "1 activity in 1 tier");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_of_32_levels_runs_and_a_deeper_one_is_refused() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |work| Act::outputs(&work.input));
    namespace.type_that_is_known("t").await;
    let whole = "{activities: [{id: first, type: t, inputs: [a]}], output: [{source: input}]}";
    namespace.create(definition("d", spec(whole))).await;
    namespace.definition_ready("d", "True", "Ready").await;
    let input = |levels| serde_json::from_str::<Value>(&nested(levels)).unwrap();
    for (name, levels) in [("deep", 32), ("deeper", 33), ("deepest", 120)] {
        namespace.create(orchestration(name, "d", input(levels))).await;
    }
    let finished = namespace.finished("deep").await;
    assert_eq!(says(&finished, "Succeeded"), "True Completed: the only activity has succeeded");
    assert_eq!(json!(finished.status.unwrap().output), json!({"input": input(32)}));
    for name in ["deeper", "deepest"] {
        let why = "InputTooDeep: spec.input: is nested too deeply, at most 32 levels are allowed";
        let finished = namespace.finished(name).await;
        assert_eq!(says(&finished, "Accepted"), format!("False {why}"));
        assert_eq!(says(&finished, "Succeeded"), format!("False {why}"));
        assert_eq!(finished.status.unwrap().state.as_deref(), Some("Failed"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_somebody_scribbled_in_is_rebuilt_and_the_run_ends() {
    let namespace = TestNamespace::new().await;
    let operator = Operator::start(&namespace).await;
    namespace.type_that_is_known("t").await;
    namespace
        .create(definition("d", spec("activities: [{id: a, type: t}, {id: b, type: t, dependsOn: a}]")))
        .await;
    namespace.create(orchestration("run", "d", json!({}))).await;
    namespace
        .until("run", |o: &Orchestration| {
            o.status.as_ref().is_some_and(|status| status.activities.len() == 2)
        })
        .await;
    // The schema of the entries is loose, so that a status write stays cheap.
    let scribble = r#"{"status": {"activities": {"a": {"readyTime": "yesterday", "startTime": "", "state": "Sleeping"}}}}"#;
    cluster().kubectl(&[
        "-n",
        &namespace.name,
        "patch",
        "orch/run",
        "--subresource=status",
        "--type=merge",
        "-p",
        scribble,
    ]);
    // Also whoever starts anew can read it.
    operator.stop().await;
    let _operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::outputs(&json!({})));
    assert_eq!(
        says(&namespace.finished("run").await, "Succeeded"),
        "True Completed: all 2 activities have succeeded"
    );
}
