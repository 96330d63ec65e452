//! Orchestrations that run on the real control plane, with a scripted kubelet.

use orchestrator::api::orchestration::ActivityState;
use serde_json::{Value, json};

use crate::support::cluster::TestNamespace;
use crate::support::kubelet::{Act, Kubelet};
use crate::support::operator::Operator;
use crate::support::reconciles::reconciles;

/// An activity type whose pods only the scripted kubelet sees.
pub fn activity_definition(name: &str) -> Value {
    json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": name},
        "spec": {"job": {"template": {"spec": {
            "schedulerName": "none",
            "containers": [{"name": "main", "image": "none", "command": ["true"]}],
        }}}},
    })
}

/// A definition with these activities.
pub fn definition(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition",
        "metadata": {"name": name}, "spec": spec,
    })
}

/// An Orchestration.
pub fn orchestration(name: &str, type_: &str, input: Value) -> Value {
    json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration",
        "metadata": {"name": name}, "spec": {"type": type_, "input": input},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_20_hands_outputs_on_with_one_post_and_about_one_write_each() {
    let namespace = TestNamespace::new().await;
    let operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |work| {
        let number = work.input["number"].as_i64().unwrap();
        Act::outputs(&json!({"number": number + 1}))
    });
    namespace.create(activity_definition("step")).await;
    let activities: Vec<Value> = (0..20)
        .map(|step| match step {
            0 => json!({"id": "step-0", "type": "step", "inputs": ["number"]}),
            _ => json!({
                "id": format!("step-{step}"), "type": "step",
                "dependsOn": format!("step-{}", step - 1), "inputs": [format!("step-{}.number", step - 1)],
            }),
        })
        .collect();
    let output = json!([{"source": "step-19.number"}]);
    namespace.create(definition("chain", json!({"activities": activities, "output": output}))).await;
    namespace.definition_ready("chain", "True", "Ready").await;
    namespace.create(orchestration("run", "chain", json!({"number": 1}))).await;
    let finished = namespace.finished("run").await;
    let status = finished.status.unwrap();
    assert_eq!(status.state.as_deref(), Some("Succeeded"));
    assert_eq!(status.progress.as_deref(), Some("20/20"));
    assert_eq!(Value::Object(status.output.unwrap()), json!({"number": 21}));
    assert!(status.activities.values().all(|activity| activity.state == ActivityState::Succeeded));

    let posts = operator.requests.count_that(|one| one.method == "POST" && one.path.ends_with("/jobs") && !one.query.contains("dryRun"));
    let writes = operator.requests.count("PATCH", "/orchestrations/run/status");
    let events = operator.requests.count_that(|one| one.path.contains("/events"));
    let conflicts = operator.requests.count_that(|one| one.status == 409);
    let reconciled = reconciles("Orchestration", &namespace.name);
    println!("chain of 20: {posts} Jobs, {writes} status writes, {events} Events, {conflicts} conflicts, {reconciled} reconciles");
    assert_eq!(posts, 20);
    assert!(writes <= 24, "{writes} status writes");
    assert!(events <= 2, "{events} Events");
    assert_eq!(conflicts, 0);
    assert!(reconciled <= 80, "{reconciled} reconciles");
}
