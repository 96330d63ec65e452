//! What the cluster takes away is made up for: evictions, deleted pods and deleted Jobs, and never two pods at once.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, EvictParams, ListParams};
use orchestrator::api::orchestration::{ActivityState, ActivityStatus};
use serde_json::json;

use super::independent;
use crate::support::kubelet::{Act, Work};
use crate::support::objects::activity_definition;
use crate::support::scene::Scene;

fn attempt(work: &Work) -> &str {
    &work.pod.metadata.labels.as_ref().unwrap()["orchestrator.dev/attempt"]
}

/// The pods of an activity that have not ended.
async fn alive(scene: &Scene, id: &str) -> usize {
    let pods = scene.namespace.api::<Pod>();
    let found =
        pods.list(&ListParams::default().labels(&format!("orchestrator.dev/activity={id}"))).await.unwrap();
    let ends = |pod: &Pod| {
        pod.status.as_ref().and_then(|s| s.phase.clone()).is_some_and(|p| p == "Failed" || p == "Succeeded")
    };
    found.items.iter().filter(|pod| !ends(pod)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evictions_and_deletions_are_followed_by_another_attempt_once_nothing_of_the_last_runs() {
    let scene =
        Scene::new(|work| if attempt(work) == "1" { Act::Run } else { Act::outputs(&json!({"n": 2})) }).await;
    // On a node of their own, so that their end waits for a kubelet.
    let mut type_ = activity_definition("quick");
    type_["spec"]["job"]["template"]["spec"]["nodeName"] = json!(scene.namespace.name);
    scene.namespace.create(type_).await;
    let ids = ["evicted", "deleted", "jobless"];
    scene.run(json!({"activities": independent("quick", &ids)}), json!({})).await;
    for id in ids {
        scene.started(id).await;
    }
    let pods = scene.namespace.api::<Pod>();
    let evicted = scene.pod("evicted", |_| true).await;
    pods.evict(&evicted.name_any(), &EvictParams::default()).await.unwrap();
    scene.delete_pod("deleted").await;
    let job = scene.job("jobless", |_| true).await;
    scene.namespace.api::<Job>().delete(&job.name_any(), &DeleteParams::background()).await.unwrap();
    scene.activity("jobless", |entry| entry.reason.as_deref() == Some("JobVanished")).await;
    // Their pods are still ending: nothing new may start.
    for id in ids {
        assert_eq!(alive(&scene, id).await, 1, "{id}");
        let entry = scene.activity(id, |_| true).await;
        assert_eq!((entry.attempt, entry.state), (1, ActivityState::Running), "{id}");
    }
    for id in ["evicted", "deleted"] {
        scene.act(id, &Act::Fail(143, "Error", String::new())).await;
        scene.remove_pod(id).await;
    }
    scene.act("jobless", &Act::Fail(143, "Error", String::new())).await;
    scene.remove_pod("jobless").await;
    let status = scene.finished().await;
    assert_eq!(status.state.as_deref(), Some("Succeeded"), "{status:?}");
    for id in ids {
        let ActivityStatus { attempt, disruptions, ref outputs, .. } = status.activities[id];
        assert_eq!((attempt, disruptions), (2, 1), "{id}");
        assert_eq!(json!(outputs), json!({"n": 2}), "{id}");
    }
    assert_eq!(scene.creations(), 6);
    scene.end().await;
}
