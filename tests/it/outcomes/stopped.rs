//! People and failures that stop a run, with the commands of the documentation and the real Job controller.

use k8s_openapi::api::core::v1::Pod;
use orchestrator::api::Orchestration;
use orchestrator::api::orchestration::{ActivityState, OrchestrationStatus};
use serde_json::{Value, json};

use super::condition;
use crate::support::cluster::cluster;
use crate::support::kubelet::{Act, remove};
use crate::support::scene::{RUN, Scene};

fn patch(scene: &Scene, spec: Value) {
    let patch = json!({ "spec": spec }).to_string();
    cluster().kubectl(&["-n", &scene.namespace.name, "patch", "orch/run", "--type", "merge", "-p", &patch]);
}

fn wait(scene: &Scene, state: &str) {
    let wanted = format!("--for=jsonpath={{.status.state}}={state}");
    cluster().kubectl(&["-n", &scene.namespace.name, "wait", &wanted, "--timeout=60s", "orch/run"]);
}

/// Ends a pod that has been told to, as a kubelet does.
async fn end(scene: &Scene, id: &str) {
    let pod = scene.pod(id, |pod| pod.metadata.deletion_timestamp.is_some()).await;
    let job = scene.job(id, |job| job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true))).await;
    assert!(job.metadata.deletion_timestamp.is_none(), "the Job stays as a record");
    let status = scene.namespace.api::<Orchestration>().get(RUN).await.unwrap().status.unwrap();
    assert!(status.stop_time.is_some() && status.completion_time.is_none(), "{status:?}");
    assert_eq!(status.activities[id].state, ActivityState::Running, "its pod is still there");
    scene.act(id, &Act::Fail(143, "Error", String::new())).await;
    remove(&scene.namespace.api::<Pod>(), &pod).await;
}

fn entry<'a>(status: &'a OrchestrationStatus, id: &str) -> (ActivityState, Option<&'a str>, Option<&'a str>) {
    let entry = &status.activities[id];
    (entry.state, entry.reason.as_deref(), entry.message.as_deref())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspend_starts_nothing_more_and_stop_lets_end_what_runs() {
    let scene = Scene::new(|_| Act::Run).await;
    scene.bound_type().await;
    let activities = json!([
        {"id": "a", "type": "bound"}, {"id": "b", "type": "bound", "dependsOn": "a"},
        {"id": "c", "type": "bound", "dependsOn": "b"},
    ]);
    scene.run(json!({"activities": activities}), json!({})).await;
    scene.started("a").await;
    patch(&scene, json!({"suspend": true}));
    scene.act("a", &Act::Succeed(String::new())).await;
    wait(&scene, "Suspended");
    assert_eq!(scene.creations(), 1);
    patch(&scene, json!({"suspend": false}));
    scene.started("b").await;
    patch(&scene, json!({"shutdown": "Stop"}));
    scene.act("b", &Act::Succeed(String::new())).await;
    wait(&scene, "Cancelled");
    let status = scene.finished().await;
    assert_eq!((status.activities["b"].state, scene.creations()), (ActivityState::Succeeded, 2));
    assert_eq!(entry(&status, "c"), (ActivityState::NotStarted, None, None));
    let why = ("False", "Cancelled", "was shut down before it had finished: \"c\" was Pending");
    assert_eq!(condition(&status, "Succeeded"), why);
    // On a finished run both are without effect, but seen.
    patch(&scene, json!({"shutdown": "Terminate", "suspend": true}));
    let generation = "--for=jsonpath={.status.observedGeneration}=5";
    cluster().kubectl(&["-n", &scene.namespace.name, "wait", generation, "--timeout=60s", "orch/run"]);
    assert_eq!(scene.finished().await.conditions.len(), status.conditions.len());
    wait(&scene, "Cancelled");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminate_is_recorded_then_suspends_the_jobs_and_is_final_when_their_pods_are_gone() {
    let scene = Scene::new(|_| Act::Run).await;
    scene.bound_type().await;
    let activities = json!([{"id": "a", "type": "bound"}, {"id": "b", "type": "bound", "dependsOn": "a"}]);
    scene.run(json!({"activities": activities}), json!({})).await;
    scene.started("a").await;
    patch(&scene, json!({"shutdown": "Terminate"}));
    end(&scene, "a").await;
    wait(&scene, "Cancelled");
    let status = scene.finished().await;
    let why = "stopped because of spec.shutdown: Terminate";
    assert_eq!(entry(&status, "a"), (ActivityState::Cancelled, Some("Cancelled"), Some(why)));
    assert_eq!(entry(&status, "b"), (ActivityState::NotStarted, None, None));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_policy_cancel_a_failure_stops_what_runs_and_is_what_the_run_names() {
    let scene = Scene::new(|_| Act::Run).await;
    scene.bound_type().await;
    let activities = json!([{"id": "a", "type": "bound"}, {"id": "b", "type": "bound"}]);
    let definition = json!({"activities": activities, "failurePolicy": "Cancel"});
    scene.run(definition, json!({})).await;
    scene.started("a").await;
    scene.started("b").await;
    scene.act("b", &Act::Fail(3, "Error", "first line\nno route to host".to_owned())).await;
    end(&scene, "a").await;
    let status = scene.finished().await;
    assert_eq!(status.state.as_deref(), Some("Failed"));
    let why = "stopped because activity \"b\" has failed";
    assert_eq!(entry(&status, "a"), (ActivityState::Cancelled, Some("Cancelled"), Some(why)));
    let (_, reason, message) = condition(&status, "Succeeded");
    assert_eq!(reason, "ActivityFailed");
    assert!(
        message.starts_with("activity \"b\" failed: ExitCode: exit code 3 (Error): ")
            && message.ends_with("no route to host"),
        "{message}"
    );
    scene.end().await;
}
