//! Jobs that have our names and are not ours.

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use orchestrator::engine::names::child_name;
use serde_json::{Value, json};

use crate::outcomes::{assert_failed, condition};
use crate::support::kubelet::Act;
use crate::support::scene::{RUN, Scene};

/// A Job that another made; it holds no pod.
fn stranger(name: &str, metadata: Value) -> Value {
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
        "spec": {"suspend": true, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "theirs", "image": "none"}],
        }}},
    });
    job["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    job
}

/// A run whose Jobs' names are taken: by Jobs with this metadata, for these activities.
async fn taken(ids: &[&str], metadata: impl Fn(&str, &str) -> Value) {
    let scene = Scene::new(|_| Act::Succeed(String::new())).await;
    scene.step_type().await;
    // Without its definition the run waits, so that others can be faster.
    let uid = scene.begin(json!({})).await.uid().unwrap();
    let name = |id: &str| child_name(RUN, &uid, id, 1);
    let mut strangers = Vec::new();
    for id in ids {
        let job: Job = scene.namespace.create_as(stranger(&name(id), metadata(&uid, id))).await.unwrap();
        let settled = |job: &Job| job.status.as_ref().is_some_and(|status| status.conditions.is_some());
        strangers.push(scene.namespace.until(&job.name_any(), settled).await);
    }
    let activities: Value = ids.iter().map(|id| json!({"id": id, "type": "step"})).collect();
    scene.define(json!({"activities": activities})).await;
    let status = scene.finished().await;
    let message = |id: &str| format!("Job \"{}\" exists but is not owned by this Orchestration", name(id));
    for (id, before) in ids.iter().zip(&strangers) {
        assert_failed(&status, id, "NameConflict", &message(id));
        let after = scene.namespace.api::<Job>().get(&name(id)).await.unwrap();
        assert_eq!(after.resource_version(), before.resource_version(), "{id} was touched");
    }
    let whole = format!("activity \"{}\" failed: NameConflict: {}", ids[0], message(ids[0]));
    assert_eq!(condition(&status, "Succeeded"), ("False", "ActivityFailed", whole.as_str()));
    assert_eq!(scene.creations(), 0);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_of_somebody_else_with_our_name_is_left_alone_and_fails_the_activity() {
    taken(&["plain"], |_, _| json!({})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_looks_like_ours_and_is_not_is_left_alone_too() {
    // With all that we select by, so that it is in our caches; and even an owner, but not one that controls it.
    taken(&["labelled", "owned"], |uid, id| {
        let labels = json!({
            "app.kubernetes.io/managed-by": "orchestrator", "orchestrator.dev/orchestration-uid": uid,
            "orchestrator.dev/orchestration": RUN, "orchestrator.dev/activity": id, "orchestrator.dev/attempt": "1",
        });
        let owner = json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "name": RUN, "uid": uid,
            "controller": false,
        });
        let owners = if id == "owned" { json!([owner]) } else { json!([]) };
        json!({"labels": labels, "ownerReferences": owners})
    })
    .await;
}
