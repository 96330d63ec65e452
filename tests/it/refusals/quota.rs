//! Quotas: a Job or a pod that may not be made now.

use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::{Patch, PatchParams};
use orchestrator::api::orchestration::ActivityState;
use serde_json::{Value, json};

use crate::outcomes::condition;
use crate::support::cluster::TestNamespace;
use crate::support::kubelet::Act;
use crate::support::scene::Scene;

/// Sets a quota, and waits until it is in force.
async fn set_quota(namespace: &TestNamespace, resource: &str, hard: &str) {
    let quota: Value = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"},
        "spec": {"hard": {resource: hard}},
    });
    let api = namespace.api::<ResourceQuota>();
    api.patch("small", &PatchParams::apply("test").force(), &Patch::Apply(&quota)).await.unwrap();
    namespace
        .until("small", |quota: &ResourceQuota| {
            let status = quota.status.as_ref().and_then(|status| status.hard.as_ref());
            status.and_then(|hard| hard.get(resource)).is_some_and(|quantity| quantity.0 == hard)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_over_quota_waits_in_the_servers_words_and_starts_when_there_is_room() {
    let scene = Scene::new(|_| Act::Succeed(String::new())).await;
    set_quota(&scene.namespace, "count/jobs.batch", "0").await;
    // The template is proven all the same: quota says nothing against it.
    scene.step_type().await;
    scene.run(json!({"activities": [{"id": "only", "type": "step"}]}), json!({})).await;
    let refused = scene.activity("only", |entry| entry.reason.is_some()).await;
    assert_eq!((refused.state, refused.reason.as_deref()), (ActivityState::Pending, Some("QuotaExceeded")));
    let message = refused.message.unwrap();
    assert!(message.starts_with("jobs.batch \"run-only-"), "{message}");
    let words = "is forbidden: exceeded quota: small, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0";
    assert!(message.ends_with(words), "{message}");
    assert_eq!((refused.attempt, refused.start_time), (0, None), "it is not an attempt");
    assert!(refused.ready_time.is_some());

    set_quota(&scene.namespace, "count/jobs.batch", "1").await;
    let status = scene.finished().await;
    let entry = &status.activities["only"];
    assert_eq!((entry.state, entry.attempt, &entry.reason), (ActivityState::Succeeded, 1, &None));
    assert_eq!(entry.ready_time, refused.ready_time, "it was ready when it was first refused");
    assert_eq!(scene.creations(), 1);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_quota_never_lets_in_was_not_started_when_the_deadline_comes() {
    let scene = Scene::new(|_| Act::Succeed(String::new())).await;
    set_quota(&scene.namespace, "count/jobs.batch", "0").await;
    scene.step_type().await;
    scene.run(json!({"activities": [{"id": "only", "type": "step"}]}), json!({})).await;
    let refused = scene.activity("only", |entry| entry.reason.is_some()).await;
    scene.let_the_deadline_pass().await;
    let status = scene.finished().await;
    let entry = &status.activities["only"];
    assert_eq!((entry.state, entry.attempt), (ActivityState::NotStarted, 0));
    assert_eq!(
        (&entry.reason, &entry.message),
        (&refused.reason, &refused.message),
        "why it never started stays"
    );
    let message =
        format!("did not finish by its deadline: \"only\" was Pending: {}", refused.message.unwrap());
    assert_eq!(condition(&status, "Succeeded"), ("False", "DeadlineExceeded", message.as_str()));
    assert_eq!(status.stop_time, None, "nothing had to be stopped");
    assert_eq!((scene.jobs().await.len(), scene.creations()), (0, 0));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_is_refused_is_explained_by_the_events_of_its_job() {
    let scene = Scene::new(|_| Act::Succeed(String::new())).await;
    set_quota(&scene.namespace, "pods", "0").await;
    scene.step_type().await;
    scene.type_with("stranger", json!({"template": {"spec": {"serviceAccountName": "nobody"}}})).await;
    let activities = json!([{"id": "quota", "type": "step"}, {"id": "account", "type": "stranger"}]);
    scene.run(json!({"activities": activities}), json!({})).await;
    let check = |reason: &'static str, id: &'static str, ends: String| {
        let scene = &scene;
        async move {
            let entry = scene.activity(id, |entry| entry.reason.is_some()).await;
            assert_eq!((entry.state, entry.reason.as_deref()), (ActivityState::Running, Some(reason)));
            assert_eq!(entry.start_time, None);
            let message = entry.message.unwrap();
            assert!(message.starts_with(&format!("Error creating: pods \"run-{id}-")), "{message}");
            assert!(message.ends_with(&ends), "{message}");
        }
    };
    let words = "is forbidden: exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0";
    check("QuotaExceeded", "quota", words.to_owned()).await;
    let namespace = &scene.namespace.name;
    let words =
        format!("error looking up service account {namespace}/nobody: serviceaccount \"nobody\" not found");
    check("PodRejected", "account", words).await;

    set_quota(&scene.namespace, "pods", "5").await;
    let entry = scene.activity("quota", |entry| entry.state == ActivityState::Succeeded).await;
    assert_eq!((entry.reason, entry.message, entry.attempt), (None, None, 1));
    scene.end().await;
}
