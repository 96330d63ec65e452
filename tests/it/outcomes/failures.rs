//! One activity fails: what runs ends, nothing new starts, and people are told; and how little a success tells.

use orchestrator::api::orchestration::ActivityState;
use serde_json::json;

use super::{assert_failed, condition};
use crate::support::kubelet::Act;
use crate::support::scene::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failure_what_runs_ends_and_nothing_new_starts() {
    let scene = Scene::new(|work| match work.activity.as_str() {
        "bad" => Act::Fail(1, "Error", "no route to host".to_owned()),
        _ => Act::Run,
    })
    .await;
    scene.step_type().await;
    // `queued` is ready all the time, and waits for its turn.
    let activities = json!([
        {"id": "good", "type": "step"},
        {"id": "bad", "type": "step"},
        {"id": "worse", "type": "step"},
        {"id": "queued", "type": "step"},
        {"id": "after-good", "type": "step", "dependsOn": "good"},
        {"id": "after-bad", "type": "step", "dependsOn": "bad"},
    ]);
    scene.run(json!({"activities": activities, "parallelism": 3}), json!({})).await;
    scene.activity("bad", |entry| entry.state == ActivityState::Failed).await;
    scene.started("good").await;
    scene.started("worse").await;
    scene.act("worse", &Act::Fail(2, "Error", "later".to_owned())).await;
    scene.activity("worse", |entry| entry.state == ActivityState::Failed).await;
    scene.act("good", &Act::outputs(&json!({"n": 1}))).await;
    let status = scene.finished().await;

    assert_failed(&status, "bad", "ExitCode", "exit code 1 (Error): no route to host");
    assert_failed(&status, "worse", "ExitCode", "exit code 2 (Error): later");
    let good = &status.activities["good"];
    assert_eq!((good.state, json!(good.outputs)), (ActivityState::Succeeded, json!({"n": 1})));
    for id in ["queued", "after-good", "after-bad"] {
        let entry = &status.activities[id];
        assert_eq!(
            (entry.state, entry.attempt, &entry.reason),
            (ActivityState::NotStarted, 0, &None),
            "{id}"
        );
    }
    let message = "activity \"bad\" failed: ExitCode: exit code 1 (Error): no route to host";
    assert_eq!(condition(&status, "Succeeded"), ("False", "ActivityFailed", message));
    assert_eq!(condition(&status, "Finished"), ("True", "ActivityFailed", message));
    assert_eq!(condition(&status, "Stalled"), ("True", "ActivityFailed", message));
    assert!(status.conditions.iter().all(|condition| condition.type_ != "Reconciling"));
    assert_eq!((status.progress.as_deref(), status.state.as_deref()), (Some("1/6"), Some("Failed")));
    assert_eq!(scene.creations(), 3);

    let mut events = scene.events("Failed").await;
    events.sort();
    let event =
        |type_: &str, reason: &str, message: &str| (type_.to_owned(), reason.to_owned(), message.to_owned());
    assert_eq!(
        events,
        [
            event("Normal", "Started", "runs 6 activities in 2 tiers"),
            event(
                "Warning",
                "ActivityFailed",
                "activity \"bad\", attempt 1: ExitCode: exit code 1 (Error): no route to host"
            ),
            event(
                "Warning",
                "ActivityFailed",
                "activity \"worse\", attempt 1: ExitCode: exit code 2 (Error): later"
            ),
            event("Warning", "Failed", message),
        ]
    );
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successful_run_tells_its_beginning_and_its_end_and_nothing_else() {
    let scene = Scene::new(|_| Act::Succeed(String::new())).await;
    scene.step_type().await;
    let activities = json!([
        {"id": "a", "type": "step"}, {"id": "b", "type": "step"},
        {"id": "c", "type": "step", "dependsOn": ["a", "b"]},
    ]);
    scene.run(json!({"activities": activities}), json!({})).await;
    let status = scene.finished().await;
    let message = "all 3 activities have succeeded";
    assert_eq!(condition(&status, "Succeeded"), ("True", "Completed", message));
    let mut events = scene.events("Completed").await;
    events.sort();
    let event = |reason: &str, message: &str| ("Normal".to_owned(), reason.to_owned(), message.to_owned());
    assert_eq!(events, [event("Completed", message), event("Started", "runs 3 activities in 2 tiers")]);
    scene.end().await;
}
