//! Attempts in real containers: what a kubelet and a runtime make of their starts and ends.

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use orchestrator::api::orchestration::{ActivityState, ActivityStatus};
use serde_json::{Value, json};

use super::{assert_failed, independent};
use crate::support::cluster::cluster;
use crate::support::kubelet::Act;
use crate::support::scene::Scene;

/// A scene on a real node, if there is one.
async fn scene() -> Option<Scene> {
    let nodes: Api<Node> = Api::all(cluster().client().await);
    if nodes.list(&ListParams::default()).await.unwrap().items.is_empty() {
        assert!(std::env::var_os("ORCHESTRATOR_REQUIRE_NODE").is_none(), "a node is required");
        println!("SKIPPED: there is no node");
        return None;
    }
    Some(Scene::new(|_| Act::Nothing).await)
}

fn shell(name: &str, script: &str) -> Value {
    json!({"name": name, "image": "busybox:1.37", "command": ["sh", "-c", script]})
}

/// An activity type whose pods have these containers.
async fn real(scene: &Scene, name: &str, main: Value, more: Value) {
    let mut spec = json!({"schedulerName": "default-scheduler", "containers": [main]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    scene.type_with(name, json!({"exitCodes": {"fatal": [42]}, "template": {"spec": spec}})).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_traps_its_deletion_is_tried_again_and_one_that_fails_is_told_with_its_last_words() {
    let Some(scene) = scene().await else { return };
    for (id, code) in [("trapped-1", 1), ("trapped-9", 9), ("trapped-42", 42)] {
        let script = format!("trap 'echo interrupted; exit {code}' TERM; sleep 600 & wait");
        real(&scene, id, shell("main", &script), json!({})).await;
    }
    real(&scene, "failing", shell("main", "echo first; echo the last words; exit 42"), json!({})).await;
    let init = json!({"initContainers": [shell("fetch", "echo no disk; exit 4")]});
    real(&scene, "unprepared", shell("main", "true"), init).await;
    let silent = "echo '{\"n\": 1}' > $ORCHESTRATOR_OUTPUT_FILE; echo chatter";
    real(&scene, "succeeding", shell("main", silent), json!({})).await;
    let trapped = ["trapped-1", "trapped-9", "trapped-42"];
    let types = trapped.iter().chain(&["failing", "unprepared", "succeeding"]);
    let activities: Value = types.map(|type_| independent(type_, &[type_])[0].clone()).collect();
    scene.run(json!({"activities": activities, "failurePolicy": "Continue"}), json!({})).await;
    for (id, code) in trapped.into_iter().zip([1, 9, 42]) {
        scene.started(id).await;
        scene.delete_pod(id).await;
        let waits = scene.activity(id, |entry| entry.state == ActivityState::Retrying).await;
        let message = format!("the pod was deleted (exit code {code})");
        assert_eq!((waits.reason.as_deref(), waits.message), (Some("PodDeleted"), Some(message)));
        assert_eq!((waits.attempt, waits.disruptions), (1, 1));
    }
    for id in ["failing", "unprepared", "succeeding"] {
        scene.activity(id, |entry| entry.completion_time.is_some()).await;
    }
    scene.let_the_deadline_pass().await;
    let status = scene.finished().await;
    assert_failed(&status, "failing", "ExitCode", "fatal exit code 42: first | the last words");
    assert_failed(&status, "unprepared", "ExitCode", "exit code 4 (Error) in init container fetch: no disk");
    let succeeded = &status.activities["succeeding"];
    assert_eq!((succeeded.state, json!(succeeded.outputs)), (ActivityState::Succeeded, json!({"n": 1})));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_cannot_mount_and_what_comes_after_an_init_container_is_waited_for_with_words() {
    let Some(scene) = scene().await else { return };
    let mut mounting = shell("main", "true");
    mounting["volumeMounts"] = json!([{"name": "settings", "mountPath": "/settings"}]);
    for (id, source) in [
        ("secret", json!({"secret": {"secretName": "settings"}})),
        ("config", json!({"configMap": {"name": "settings"}})),
    ] {
        let mut volume = source;
        volume["name"] = json!("settings");
        real(&scene, id, mounting.clone(), json!({ "volumes": [volume] })).await;
    }
    // Nothing listens on that port.
    let image = json!({"name": "main", "image": "127.0.0.1:1/missing:1"});
    real(&scene, "image", image, json!({"initContainers": [shell("fetch", "true")]})).await;
    let slow = json!({"initContainers": [shell("fetch", "sleep 600")]});
    real(&scene, "slow", shell("main", "true"), slow).await;
    let ids = ["secret", "config", "image", "slow"];
    let activities: Value = ids.iter().map(|type_| independent(type_, &[type_])[0].clone()).collect();
    scene.run(json!({ "activities": activities }), json!({})).await;
    let said = async |id: &str, reasons: &str| {
        let is_said = |entry: &ActivityStatus| {
            entry.reason.as_ref().is_some_and(|said| reasons.split(' ').any(|reason| reason == said))
        };
        let entry = scene.activity(id, is_said).await;
        assert_eq!((entry.state, entry.start_time), (ActivityState::Running, None), "{id}");
        entry.message.unwrap()
    };
    let missing = |what: &str| {
        format!("MountVolume.SetUp failed for volume \"settings\" : {what} \"settings\" not found")
    };
    assert_eq!(said("secret", "FailedMount").await, missing("secret"));
    assert_eq!(said("config", "FailedMount").await, missing("configmap"));
    // The two words for an image take turns.
    let message = said("image", "ErrImagePull ImagePullBackOff").await;
    assert!(message.contains("127.0.0.1:1/missing:1"), "{message}");
    assert_eq!(said("slow", "PodInitializing").await, "init container fetch runs");
    scene.let_the_deadline_pass().await;
    let status = scene.finished().await;
    let message = status.activities["secret"].message.as_deref().unwrap();
    assert!(message.ends_with(&format!(", still waiting: {}", missing("secret"))), "{message}");
    scene.end().await;
}
