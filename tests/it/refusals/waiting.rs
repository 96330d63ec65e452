//! Pods that cannot start: images, ConfigMaps and Secrets that are not there.

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use orchestrator::api::orchestration::ActivityState;
use serde_json::json;

use crate::support::cluster::cluster;
use crate::support::kubelet::Act;
use crate::support::scene::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_waits_says_why_in_the_kubelets_words_and_may_start_after_all() {
    let back_off = "Back-off pulling image \"registry.example.com/dns:1\": ErrImagePull: not found";
    let scene = Scene::new(move |work| match work.activity.as_str() {
        "image" => Act::Wait("ImagePullBackOff", back_off),
        "config" => Act::Wait("CreateContainerConfigError", "configmap \"settings\" not found"),
        "ordinary" => Act::Wait("ContainerCreating", ""),
        _ => Act::Nothing,
    })
    .await;
    scene.step_type().await;
    let activities = json!([
        {"id": "image", "type": "step"}, {"id": "config", "type": "step"}, {"id": "ordinary", "type": "step"},
    ]);
    scene.run(json!({"activities": activities}), json!({})).await;
    for (id, reason, message) in [
        ("image", "ImagePullBackOff", back_off),
        ("config", "CreateContainerConfigError", "configmap \"settings\" not found"),
    ] {
        let entry = scene.activity(id, |entry| entry.reason.is_some()).await;
        assert_eq!((entry.state, entry.reason.as_deref()), (ActivityState::Running, Some(reason)));
        assert_eq!((entry.message.as_deref(), entry.start_time), (Some(message), None));
    }
    // Somebody pushes the image.
    scene.act("image", &Act::Run).await;
    let started = scene.started("image").await;
    assert_eq!((started.reason, started.message), (None, None));
    for id in ["image", "config", "ordinary"] {
        scene.act(id, &Act::Succeed(String::new())).await;
    }
    let status = scene.finished().await;
    assert_eq!(status.state.as_deref(), Some("Succeeded"));
    assert!(status.activities.values().all(|entry| entry.reason.is_none() && entry.message.is_none()));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_kubelet_says_what_is_missing() {
    let nodes: Api<Node> = Api::all(cluster().client().await);
    if nodes.list(&ListParams::default()).await.unwrap().items.is_empty() {
        assert!(std::env::var_os("ORCHESTRATOR_REQUIRE_NODE").is_none(), "a node is required");
        println!("SKIPPED: there is no node");
        return;
    }
    let scene = Scene::new(|_| Act::Nothing).await;
    let real = |container: serde_json::Value| json!({"template": {"spec": {"schedulerName": "default-scheduler", "containers": [container]}}});
    // Nothing listens on that port.
    scene.type_with("image", real(json!({"name": "main", "image": "127.0.0.1:1/missing:1"}))).await;
    let from = |source: &str| json!({"name": "main", "image": "busybox:1.37", "envFrom": [{source: {"name": "settings"}}]});
    scene.type_with("config", real(from("configMapRef"))).await;
    scene.type_with("secret", real(from("secretRef"))).await;
    let activities = json!([
        {"id": "image", "type": "image"}, {"id": "config", "type": "config"}, {"id": "secret", "type": "secret"},
    ]);
    scene.run(json!({"activities": activities}), json!({})).await;
    let said = async |id: &str| {
        let entry = scene.activity(id, |entry| entry.reason.is_some()).await;
        assert_eq!((entry.state, entry.start_time), (ActivityState::Running, None), "{id}");
        (entry.reason.unwrap(), entry.message.unwrap())
    };
    let (reason, message) = said("image").await;
    assert!(matches!(reason.as_str(), "ErrImagePull" | "ImagePullBackOff"), "{reason}: {message}");
    assert!(message.contains("127.0.0.1:1/missing:1"), "{message}");
    let error =
        |what: &str| ("CreateContainerConfigError".to_owned(), format!("{what} \"settings\" not found"));
    assert_eq!(said("config").await, error("configmap"));
    assert_eq!(said("secret").await, error("secret"));
    scene.end().await;
}
