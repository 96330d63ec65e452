//! How an attempt ended: Jobs that are deleted, or end by a deadline of their own.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use orchestrator::api::orchestration::ActivityState;
use serde_json::json;

use super::{all_retrying, assert_failed, assert_taken_away};
use crate::support::kubelet::{Act, Work};
use crate::support::scene::{Scene, gone};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_job_has_vanished_only_once_its_pod_is_gone() {
    let scene = Scene::new(|_| Act::Run).await;
    scene.bound_type().await;
    scene.step_type().await;
    let activities = json!([{"id": "graceful", "type": "bound"}, {"id": "orphaned", "type": "step"}]);
    scene.run(json!({"activities": activities}), json!({})).await;
    let jobs = scene.namespace.api::<Job>();
    let mut names = Vec::new();
    for (id, how) in [("graceful", DeleteParams::background()), ("orphaned", DeleteParams::orphan())] {
        scene.started(id).await;
        let job = scene.job(id, |_| true).await;
        jobs.delete(&job.name_any(), &how).await.unwrap();
        gone(jobs.clone(), &job).await;
        names.push(job.name_any());
    }
    for id in ["graceful", "orphaned"] {
        let waits = scene.activity(id, |entry| entry.reason.as_deref() == Some("JobVanished")).await;
        assert_eq!(waits.state, ActivityState::Running, "its pod is still there");
        assert_eq!(waits.message.as_deref(), Some("the Job is gone; its pod is still ending"));
    }
    // A kubelet ends the one in its grace period, and the other ends by itself.
    scene.act("graceful", &Act::Fail(143, "Error", String::new())).await;
    scene.remove_pod("graceful").await;
    scene.act("orphaned", &Act::Succeed(String::new())).await;
    all_retrying(&scene, &["graceful", "orphaned"]).await;
    scene.let_the_deadline_pass().await;
    let status = scene.finished().await;
    for (id, name) in ["graceful", "orphaned"].into_iter().zip(&names) {
        let message = format!("the Job {name} is gone, and no pod of it is alive");
        assert_taken_away(&status, id, "JobVanished", &message);
    }
    assert_eq!(scene.creations(), 2);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_deleted_after_its_result_was_recorded_changes_nothing() {
    let script = |work: &Work| match work.activity.as_str() {
        "early" => Act::outputs(&json!({"n": 1})),
        _ => Act::Run,
    };
    let scene = Scene::new(script).await;
    scene.step_type().await;
    let activities = json!([
        {"id": "early", "type": "step"},
        {"id": "late", "type": "step", "dependsOn": "early", "inputs": ["early.n"]},
    ]);
    scene.run(json!({"activities": activities, "output": [{"source": "early.n"}]}), json!({})).await;
    scene.started("late").await;
    let recorded = scene.activity("early", |entry| entry.state == ActivityState::Succeeded).await;
    let job = scene.job("early", |_| true).await;
    let jobs = scene.namespace.api::<Job>();
    jobs.delete(&job.name_any(), &DeleteParams::background()).await.unwrap();
    gone(jobs, &job).await;
    scene.act("late", &Act::Succeed(String::new())).await;
    let status = scene.finished().await;
    assert_eq!(status.activities["early"], recorded);
    assert_eq!(status.state.as_deref(), Some("Succeeded"));
    assert_eq!(json!(status.output), json!({"n": 1}));
    assert_eq!(scene.creations(), 2);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_past_its_own_deadline_did_not_start_in_time_or_did_not_end_in_time() {
    let scene = Scene::new(|work| if work.activity == "started" { Act::Run } else { Act::Nothing }).await;
    scene.bound_type().await;
    scene.step_type().await;
    let activities = json!([{"id": "started", "type": "bound"}, {"id": "unstarted", "type": "step"}]);
    scene.run(json!({"activities": activities}), json!({})).await;
    scene.started("started").await;
    for id in ["started", "unstarted"] {
        let job = scene.job(id, |_| true).await;
        let patch = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": 1}}));
        let jobs = scene.namespace.api::<Job>();
        jobs.patch(&job.name_any(), &PatchParams::default(), &patch).await.unwrap();
    }
    scene.pod("started", |pod| pod.metadata.deletion_timestamp.is_some()).await;
    scene.act("started", &Act::Fail(143, "Error", String::new())).await;
    let status = scene.finished().await;
    assert_failed(
        &status,
        "started",
        "TimedOut",
        "it did not end in time: DeadlineExceeded: Job was active longer than specified deadline",
    );
    assert_failed(&status, "unstarted", "StartingDeadlineExceeded", "it did not start in time");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_whose_node_is_deleted_was_disrupted() {
    let scene = Scene::new(|_| Act::Run).await;
    scene.bound_type().await;
    let nodes: Api<Node> = Api::all(scene.namespace.client.clone());
    let name = &scene.namespace.name;
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
    let activities = json!([{"id": "lost", "type": "bound"}]);
    scene.run(json!({ "activities": activities }), json!({})).await;
    scene.started("lost").await;
    nodes.delete(name, &DeleteParams::default()).await.unwrap();
    // Kubernetes waits for 40 seconds, and then says so of the pods.
    let waits = scene.activity("lost", |entry| entry.state == ActivityState::Retrying).await;
    assert_eq!((waits.reason.as_deref(), waits.attempt, waits.disruptions), (Some("Disrupted"), 1, 1));
    let message = waits.message.unwrap();
    assert!(message.starts_with("the pod was disrupted: "), "{message}");
    scene.let_the_deadline_pass().await;
    scene.finished().await;
    scene.end().await;
}
