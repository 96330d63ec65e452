//! The deadline of an Orchestration: what runs is stopped, and everything is told apart.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use orchestrator::api::Orchestration;
use orchestrator::api::orchestration::ActivityState;
use serde_json::json;

use super::condition;
use crate::support::kubelet::Act;
use crate::support::scene::{RUN, Scene};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_deadline_the_intent_is_recorded_then_jobs_are_suspended_and_their_pods_waited_for() {
    let scene =
        Scene::new(|work| if work.activity == "done" { Act::outputs(&json!({})) } else { Act::Run }).await;
    scene.bound_type().await;
    let activities = json!([
        {"id": "done", "type": "bound"},
        {"id": "runs", "type": "bound"},
        {"id": "never", "type": "bound", "dependsOn": "runs"},
    ]);
    scene.run(json!({"activities": activities}), json!({})).await;
    scene.started("runs").await;
    scene.activity("done", |entry| entry.state == ActivityState::Succeeded).await;
    scene.let_the_deadline_pass().await;

    let pod = scene.pod("runs", |pod| pod.metadata.deletion_timestamp.is_some()).await;
    let job = scene.job("runs", |job| job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true))).await;
    assert!(job.metadata.deletion_timestamp.is_none(), "the Job stays as a record");
    let run = scene.namespace.api::<Orchestration>().get(RUN).await.unwrap();
    let status = run.status.unwrap();
    assert!(status.stop_time.is_some() && status.completion_time.is_none(), "{status:?}");
    assert_eq!(status.activities["runs"].state, ActivityState::Running, "its pod is still there");
    // The intent was on record before anything was stopped.
    let requests = scene.operator.requests.all();
    let stop = requests.iter().position(|one| one.method == "PATCH" && one.path.contains("/jobs/")).unwrap();
    let written = run.metadata.managed_fields.unwrap_or_default();
    assert!(written.iter().any(|entry| entry.subresource.as_deref() == Some("status")));
    let last_write =
        requests[..stop].iter().rposition(|one| one.path.ends_with("/orchestrations/run/status"));
    assert!(last_write.is_some_and(|write| requests[write].status == 200), "{requests:?}");

    scene.act("runs", &Act::Fail(143, "Error", String::new())).await;
    crate::support::kubelet::remove(&scene.namespace.api::<Pod>(), &pod).await;
    let status = scene.finished().await;
    let entry = |id: &str| {
        let entry = &status.activities[id];
        (entry.state, entry.reason.as_deref(), entry.message.as_deref())
    };
    assert_eq!(entry("done"), (ActivityState::Succeeded, None, None));
    assert_eq!(
        entry("runs"),
        (
            ActivityState::Cancelled,
            Some("DeadlineExceeded"),
            Some("stopped at the deadline of the orchestration")
        )
    );
    assert_eq!(entry("never"), (ActivityState::NotStarted, None, None));
    let message = "did not finish by its deadline: \"runs\" was Running, \"never\" was Pending";
    assert_eq!(condition(&status, "Succeeded"), ("False", "DeadlineExceeded", message));
    assert_eq!(condition(&status, "Finished"), ("True", "DeadlineExceeded", message));
    assert_eq!(condition(&status, "Stalled"), ("True", "DeadlineExceeded", message));
    assert_eq!(status.state.as_deref(), Some("Failed"));
    let events = scene.events("DeadlineExceeded").await;
    let warning = ("Warning".to_owned(), "DeadlineExceeded".to_owned(), message.to_owned());
    assert_eq!(events.iter().filter(|one| one.0 == "Warning").collect::<Vec<_>>(), [&warning]);
    let kept = scene.namespace.api::<Job>().list(&Default::default()).await.unwrap().items.len();
    assert_eq!((kept, scene.creations()), (2, 2));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_never_be_scheduled_says_so_and_ends_at_the_deadline_with_the_schedulers_words() {
    let scene = Scene::new(|work| if work.activity == "slow" { Act::Run } else { Act::Nothing }).await;
    let nowhere =
        json!({"schedulerName": "default-scheduler", "nodeSelector": {"example.com/moon": "dark-side"}});
    scene.type_with("nowhere", json!({"template": {"spec": nowhere}})).await;
    scene.bound_type().await;
    let activities = json!([
        {"id": "lost", "type": "nowhere"},
        {"id": "slow", "type": "bound"},
        {"id": "after", "type": "bound", "dependsOn": "lost"},
    ]);
    scene.run(json!({"activities": activities}), json!({})).await;
    scene.started("slow").await;
    let lost = scene.activity("lost", |entry| entry.reason.is_some()).await;
    assert_eq!((lost.state, lost.reason.as_deref()), (ActivityState::Running, Some("Unschedulable")));
    assert_eq!(lost.start_time, None);
    // The server's own words.
    let pod = scene.pod("lost", |_| true).await;
    let conditions = pod.status.unwrap().conditions.unwrap();
    let scheduled = conditions.iter().find(|condition| condition.type_ == "PodScheduled").unwrap();
    assert_eq!(lost.message, scheduled.message);
    let words = lost.message.unwrap();
    assert!(words.contains("nodes are available") || words.contains("no nodes available"), "{words}");

    scene.let_the_deadline_pass().await;
    // The one that never started is stopped at once; the other keeps the run waiting.
    scene.activity("lost", |entry| entry.state == ActivityState::Cancelled).await;
    scene.pod("slow", |pod| pod.metadata.deletion_timestamp.is_some()).await;
    scene.act("slow", &Act::Fail(143, "Error", String::new())).await;
    scene.remove_pod("slow").await;
    let status = scene.finished().await;
    let (succeeded, reason, message) = condition(&status, "Succeeded");
    assert_eq!((succeeded, reason), ("False", "DeadlineExceeded"));
    assert!(message.starts_with("did not finish by its deadline: \"lost\" was "), "{message}");
    assert!(message.contains(&words), "it says what it waited for: {message}");
    assert!(
        message.contains("\"slow\" was Running") && message.ends_with("\"after\" was Pending"),
        "{message}"
    );
    scene.end().await;
}
