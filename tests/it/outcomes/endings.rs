//! How an attempt ended: pods that end, are disrupted, deleted, or lose their outputs.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::EvictParams;
use orchestrator::api::orchestration::ActivityState;
use serde_json::{Value, json};

use super::{all_retrying, assert_failed, assert_taken_away, condition, independent};
use crate::support::kubelet::{Act, Work, container_status, now, remove, terminated};
use crate::support::scene::Scene;

/// A failed pod with these container statuses, and more of a status.
fn failed(containers: Value, more: Value) -> Act {
    let mut status = json!({"phase": "Failed", "startTime": now(), "containerStatuses": containers});
    status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Act::Status(status)
}

fn script(work: &Work) -> Act {
    let fail = |code, message: &str| Act::Fail(code, "Error", message.to_owned());
    let main = |state: Value| container_status("main", &state);
    match work.activity.as_str() {
        "exit-1" => fail(1, "cannot reach the registry\nno route to host\n"),
        "exit-2" => fail(2, "no such tenant"),
        "exit-137" => fail(137, ""),
        "exit-143" => fail(143, "asked to end"),
        "exit-255" => fail(255, "\u{1b}[31mwild\u{1b}[0m"),
        "memory" => Act::Fail(137, "OOMKilled", String::new()),
        "expired" => failed(
            json!([main(terminated(137, "Error", ""))]),
            json!({
                "reason": "DeadlineExceeded",
                "message": "Pod was active on the node longer than the specified deadline",
            }),
        ),
        "sidecar" => {
            let sidecar = container_status("sidecar", &terminated(3, "Error", "lost the lock"));
            failed(json!([main(terminated(0, "Completed", "")), sidecar]), json!({}))
        }
        "prepare" => failed(
            json!([main(json!({"waiting": {"reason": "PodInitializing"}}))]),
            json!({"initContainerStatuses": [container_status("fetch", &terminated(4, "Error", "no disk"))]}),
        ),
        "pressure" => failed(
            json!([main(terminated(137, "Error", ""))]),
            json!({
                "reason": "Evicted", "message": "The node was low on resource: memory.",
                "conditions": [{
                    "type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet",
                    "message": "The node was low on resource: memory.",
                }],
            }),
        ),
        "refused" => failed(
            json!([]),
            json!({"reason": "OutOfcpu", "message": "Node didn't have enough resource: cpu"}),
        ),
        "outputs" => Act::outputs(&json!({"url": "https://a.example.com"})),
        _ => Act::Succeed(String::new()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_of_a_pod_has_its_reason_and_its_message() {
    let scene = Scene::new(script).await;
    scene.type_with("step", json!({"exitCodes": {"fatal": [2]}})).await;
    let container = |name: &str| json!({"name": name, "image": "none"});
    let two = json!({"template": {"spec": {"containers": [container("main"), container("sidecar")]}}});
    scene.type_with("two", two).await;
    scene.type_with("init", json!({"template": {"spec": {"initContainers": [container("fetch")]}}})).await;
    let mut activities = independent(
        "step",
        &[
            "exit-1", "exit-2", "exit-137", "exit-143", "exit-255", "memory", "expired", "pressure",
            "refused", "outputs", "silent",
        ],
    );
    activities
        .as_array_mut()
        .unwrap()
        .extend([json!({"id": "sidecar", "type": "two"}), json!({"id": "prepare", "type": "init"})]);
    scene.run(json!({"activities": activities}), json!({})).await;
    let status = scene.finished().await;

    let check = |id, reason, message| assert_failed(&status, id, reason, message);
    check("exit-1", "ExitCode", "exit code 1 (Error): cannot reach the registry | no route to host");
    check("exit-2", "ExitCode", "fatal exit code 2: no such tenant");
    check("exit-137", "ExitCode", "exit code 137 (Error, SIGKILL)");
    check("exit-143", "ExitCode", "exit code 143 (Error, SIGTERM): asked to end");
    check("exit-255", "ExitCode", "exit code 255 (Error): wild");
    check("memory", "ExitCode", "exit code 137 (OOMKilled)");
    check(
        "expired",
        "TimedOut",
        "it did not end in time: Pod was active on the node longer than the specified deadline",
    );
    check("sidecar", "ExitCode", "exit code 3 (Error) in container sidecar: lost the lock");
    check("prepare", "ExitCode", "exit code 4 (Error) in init container fetch: no disk");
    let taken_away = |id, reason, message| assert_taken_away(&status, id, reason, message);
    taken_away(
        "pressure",
        "Disrupted",
        "the pod was disrupted: TerminationByKubelet: The node was low on resource: memory.",
    );
    taken_away(
        "refused",
        "Disrupted",
        "the pod failed before it ran: OutOfcpu: Node didn't have enough resource: cpu",
    );
    let outputs = &status.activities["outputs"];
    assert_eq!(outputs.state, ActivityState::Succeeded);
    assert_eq!(json!(outputs.outputs), json!({"url": "https://a.example.com"}));
    let silent = &status.activities["silent"];
    assert_eq!((silent.state, &silent.outputs), (ActivityState::Succeeded, &None));
    assert!(status.activities.values().all(|entry| entry.attempt == 1));
    assert_eq!(status.progress.as_deref(), Some("2/13"));
    assert_eq!(status.state.as_deref(), Some("Failed"));
    let (succeeded, reason, message) = condition(&status, "Succeeded");
    assert_eq!((succeeded, reason), ("False", "ActivityFailed"));
    assert!(message.starts_with("activity \"") && message.contains("\" failed: "), "{message}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_was_taken_away_is_told_from_one_that_failed() {
    let scene = Scene::new(|work| if work.activity == "unstarted" { Act::Nothing } else { Act::Run }).await;
    scene.bound_type().await;
    let ids = ["evicted", "drained", "terminated", "killed", "trapped", "forgotten", "gone", "unstarted"];
    scene.run(json!({"activities": independent("bound", &ids)}), json!({})).await;
    for id in ids.iter().filter(|id| **id != "unstarted") {
        scene.started(id).await;
    }
    let end = |code| Act::Fail(code, "Error", "interrupted".to_owned());

    let pods = scene.namespace.api::<Pod>();
    for id in ["evicted", "drained"] {
        let pod = scene.pod(id, |_| true).await;
        pods.evict(&pod.name_any(), &EvictParams::default()).await.unwrap();
        scene.act(id, &end(143)).await;
    }
    scene.remove_pod("drained").await;
    for (id, code) in [("terminated", 143), ("killed", 137), ("trapped", 1), ("forgotten", 143), ("gone", 42)]
    {
        let pod = scene.delete_pod(id).await;
        scene.act(id, &end(code)).await;
        // A kubelet ends the deletion as soon as it has told the end: nobody may have read that yet.
        if matches!(id, "forgotten" | "gone") {
            remove(&pods, &pod).await;
        }
    }
    scene.delete_pod("unstarted").await;
    scene.act("unstarted", &Act::Status(json!({"phase": "Failed"}))).await;
    scene.remove_pod("unstarted").await;

    all_retrying(&scene, &ids).await;
    scene.let_the_deadline_pass().await;
    let status = scene.finished().await;
    let check = |id, reason, message| assert_taken_away(&status, id, reason, message);
    check("evicted", "Disrupted", "the pod was disrupted: EvictionByEvictionAPI: Eviction API: evicting");
    let drained = &status.activities["drained"];
    assert_eq!(drained.reason.as_deref(), Some("Disrupted"));
    let message = drained.message.as_deref().unwrap();
    assert!(
        message.starts_with("the pod was disrupted: PodFailurePolicy: Pod ")
            && message.contains("DisruptionTarget")
            || message == "the pod was disrupted: EvictionByEvictionAPI: Eviction API: evicting",
        "{message}"
    );
    check("terminated", "PodDeleted", "the pod was deleted (exit code 143)");
    check("killed", "PodDeleted", "the pod was deleted (exit code 137)");
    check("trapped", "PodDeleted", "the pod was deleted (exit code 1)");
    check("gone", "PodDeleted", "the pod was deleted (exit code 42)");
    check("forgotten", "PodDeleted", "the pod was deleted (exit code 143)");
    check("unstarted", "PodDeleted", "the pod was deleted before it started");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_whose_pod_is_gone_counts_unless_somebody_reads_its_outputs() {
    let scene = Scene::new(|_| Act::Run).await;
    scene.bound_type().await;
    let spec =
        json!({"activities": independent("bound", &["read", "unread"]), "output": [{"source": "read.url"}]});
    scene.run(spec, json!({})).await;
    for id in ["read", "unread"] {
        scene.started(id).await;
        // It traps SIGTERM, and ends with 0 while its node is being drained.
        scene.delete_pod(id).await;
        scene.act(id, &Act::outputs(&json!({"url": "u"}))).await;
        scene.remove_pod(id).await;
    }
    all_retrying(&scene, &["read"]).await;
    scene.activity("unread", |entry| entry.state == ActivityState::Succeeded).await;
    scene.let_the_deadline_pass().await;
    let status = scene.finished().await;
    assert_taken_away(
        &status,
        "read",
        "OutputLost",
        "it succeeded, but its pod is gone, and its outputs with it",
    );
    let unread = &status.activities["unread"];
    assert_eq!((unread.state, &unread.reason), (ActivityState::Succeeded, &None));
    let (succeeded, reason, message) = condition(&status, "Succeeded");
    assert_eq!((succeeded, reason), ("False", "DeadlineExceeded"));
    assert!(message.contains("\"read\" was Retrying: it succeeded, but its pod is gone"), "{message}");
    scene.end().await;
}
