//! Attempts: retries, budgets, time-outs and starting deadlines.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use orchestrator::api::orchestration::{ActivityState, ActivityStatus};
use serde_json::json;
use tokio::time::Instant;

use super::{activity, attempt, jobs, running, state, states, type_with};
use crate::support::kubelet::{Act, Work, container_status, now, perform, remove, terminated};
use crate::support::objects::{definition, orchestration};
use crate::support::sandbox::Sandbox;
use crate::support::told::says;

const ONE: fn() -> serde_json::Value = || definition("d", json!({"activities": [{"id": "a", "type": "t"}]}));

fn fails_until(last: u32) -> impl Fn(&Work) -> Act {
    move |work| {
        if attempt(work) < last {
            Act::Fail(1, "Error", "no route".to_owned())
        } else {
            Act::outputs(&json!({"n": attempt(work)}))
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_followed_by_others_after_growing_pauses() {
    let sandbox = Sandbox::start(fails_until(3));
    let retry = json!({"maxRetries": 2, "backoff": {"initialSeconds": 100, "factor": 3, "maxSeconds": 1000}});
    sandbox.apply([type_with(json!({"retry": retry})), ONE()]).await;
    sandbox.ready(&["d"]).await;
    sandbox.apply([orchestration("run", "d", json!({}))]).await;
    let waits = activity(&sandbox, "run", "a", |entry| entry.state == ActivityState::Retrying).await;
    assert_eq!((waits.attempt, waits.reason.as_deref()), (1, Some("ExitCode")));
    assert_eq!(waits.message.as_deref(), Some("exit code 1 (Error): no route"));
    assert!(waits.next_attempt_time.is_some() && waits.completion_time.is_none());
    let finished = sandbox.finished("run").await;
    assert_eq!(says(&finished, "Succeeded"), "True Completed: the only activity has succeeded");
    let entry = &finished.status.as_ref().unwrap().activities["a"];
    assert_eq!((entry.attempt, entry.disruptions, &entry.reason), (3, 0, &None));
    assert_eq!(json!(entry.outputs), json!({"n": 3}));
    let mut made: Vec<i64> =
        jobs(&sandbox, "a").await.iter().map(|job| job.creation_timestamp().unwrap().0.as_second()).collect();
    made.sort_unstable();
    let pauses: Vec<i64> = made.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((80..=105).contains(&pauses[0]) && (240..=305).contains(&pauses[1]), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn after_its_last_retry_an_activity_has_failed_and_a_restart_forgets_no_attempt() {
    let mut sandbox = Sandbox::start(|_| Act::Fail(1, "Error", String::new()));
    sandbox.apply([type_with(json!({"retry": {"maxRetries": 2}})), ONE()]).await;
    sandbox.ready(&["d"]).await;
    sandbox.apply([orchestration("run", "d", json!({}))]).await;
    for number in 1..=2 {
        activity(&sandbox, "run", "a", |entry| {
            entry.state == ActivityState::Retrying && entry.attempt == number
        })
        .await;
        sandbox.start_operator();
    }
    let finished = sandbox.finished("run").await;
    assert_eq!(
        says(&finished, "Succeeded"),
        "False ActivityFailed: activity \"a\" failed: ExitCode: exit code 1 (Error)"
    );
    assert_eq!(finished.status.as_ref().unwrap().activities["a"].attempt, 3);
    assert_eq!((jobs(&sandbox, "a").await.len(), sandbox.count("create jobs")), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_fatal_exit_code_is_not_tried_again() {
    let sandbox = Sandbox::start(|_| Act::Fail(2, "Error", "no such tenant".to_owned()));
    let mut type_ = type_with(json!({"retry": {"maxRetries": 5}}));
    type_["spec"]["job"]["exitCodes"] = json!({"fatal": [2]});
    sandbox.apply([type_, ONE()]).await;
    sandbox.ready(&["d"]).await;
    sandbox.apply([orchestration("run", "d", json!({}))]).await;
    let finished = sandbox.finished("run").await;
    assert_eq!(
        says(&finished, "Succeeded"),
        "False ActivityFailed: activity \"a\" failed: ExitCode: fatal exit code 2: no such tenant"
    );
    assert_eq!(sandbox.count("create jobs"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_deletes_is_made_up_for_and_is_no_retry() {
    let sandbox = Sandbox::start(|work| if attempt(work) < 3 { Act::Run } else { Act::outputs(&json!({})) });
    sandbox.apply([type_with(json!({"retry": {"maxRetries": 0}})), ONE()]).await;
    sandbox.ready(&["d"]).await;
    sandbox.apply([orchestration("run", "d", json!({}))]).await;
    for number in 1..=2_u32 {
        activity(&sandbox, "run", "a", |entry| {
            entry.attempt == number && entry.state == ActivityState::Running && entry.start_time.is_some()
        })
        .await;
        let newest =
            jobs(&sandbox, "a").await.into_iter().max_by_key(ResourceExt::creation_timestamp).unwrap();
        sandbox.api::<Job>().delete(&newest.name_any(), &DeleteParams::background()).await.unwrap();
        let waits = activity(&sandbox, "run", "a", |entry| {
            entry.state == ActivityState::Retrying && entry.attempt == number
        })
        .await;
        assert_eq!((waits.reason.as_deref(), waits.disruptions), (Some("JobVanished"), number));
    }
    let finished = sandbox.finished("run").await;
    let entry = &finished.status.as_ref().unwrap().activities["a"];
    assert_eq!((entry.state, entry.attempt, entry.disruptions), (ActivityState::Succeeded, 3, 2));
}

#[tokio::test(start_paused = true)]
async fn ten_disruptions_are_made_up_for_and_no_more() {
    let evicted = |_: &Work| {
        let main = container_status("main", &terminated(137, "Error", ""));
        Act::Status(json!({"phase": "Failed", "containerStatuses": [main], "conditions": [{
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "evicted",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]}))
    };
    let sandbox = Sandbox::start(evicted);
    sandbox.apply([type_with(json!({"retry": {"maxRetries": 5}})), ONE()]).await;
    sandbox.ready(&["d"]).await;
    sandbox.apply([orchestration("run", "d", json!({}))]).await;
    let finished = sandbox.finished("run").await;
    let entry = &finished.status.as_ref().unwrap().activities["a"];
    assert_eq!((entry.state, entry.attempt, entry.disruptions), (ActivityState::Failed, 11, 10), "{entry:?}");
    assert_eq!(entry.reason.as_deref(), Some("Disrupted"));
    assert_eq!(sandbox.count("create jobs"), 11);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_start_in_time_is_suspended_and_has_failed() {
    let sandbox = Sandbox::start(|work| match attempt(work) {
        1 => Act::Wait("ImagePullBackOff", "Back-off pulling image"),
        _ => Act::outputs(&json!({})),
    });
    let more =
        json!({"retry": {"maxRetries": 1, "backoff": {"initialSeconds": 5}}, "startingDeadlineSeconds": 50});
    sandbox.apply([type_with(more), ONE()]).await;
    sandbox.ready(&["d"]).await;
    sandbox.apply([orchestration("run", "d", json!({}))]).await;
    let waits = activity(&sandbox, "run", "a", |entry| entry.state == ActivityState::Retrying).await;
    assert_eq!(waits.reason.as_deref(), Some("ImagePullFailed"));
    assert_eq!(
        waits.message.as_deref(),
        Some("it did not start within 50 s; at last: ImagePullBackOff: Back-off pulling image")
    );
    let first = jobs(&sandbox, "a").await.remove(0);
    assert_eq!(first.spec.as_ref().unwrap().suspend, Some(true), "the Job stays as a record");
    let finished = sandbox.finished("run").await;
    assert_eq!((state(&finished), states(&finished).as_str()), ("Succeeded", "a Succeeded"));
    assert_eq!(finished.status.as_ref().unwrap().activities["a"].attempt, 2);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_the_pods_own_and_the_job_is_its_backstop() {
    let sandbox = Sandbox::start(|work| match attempt(work) {
        1 => Act::Run,
        2 => Act::Status(
            json!({"phase": "Failed", "reason": "DeadlineExceeded", "message": "Pod was active too long"}),
        ),
        _ => Act::outputs(&json!({})),
    });
    let more = json!({"retry": {"maxRetries": 2, "backoff": {"initialSeconds": 1}}, "timeoutSeconds": 60, "startingDeadlineSeconds": 30});
    sandbox.apply([type_with(more), ONE()]).await;
    sandbox.ready(&["d"]).await;
    sandbox.apply([orchestration("run", "d", json!({}))]).await;
    running(&sandbox, "run", "a").await;
    let pod = sandbox.api::<Pod>().list(&Default::default()).await.unwrap().items.remove(0);
    assert_eq!(pod.spec.unwrap().active_deadline_seconds, Some(60));
    let job = jobs(&sandbox, "a").await.remove(0);
    assert_eq!(job.spec.unwrap().active_deadline_seconds, Some(30 + 60 + 120));
    // No kubelet ends the first pod: its Job does.
    for (number, words) in [(1, ", and its pod is gone"), (2, ": Pod was active too long")] {
        let waits = activity(&sandbox, "run", "a", |entry| {
            entry.state == ActivityState::Retrying && entry.attempt == number
        })
        .await;
        assert_eq!(waits.reason.as_deref(), Some("TimedOut"), "{waits:?}");
        assert_eq!(waits.message, Some(format!("it did not end in time{words}")));
    }
    assert_eq!(state(&sandbox.finished("run").await), "Succeeded");
}

#[tokio::test(start_paused = true)]
async fn the_policy_of_the_use_goes_over_that_of_the_type_field_by_field() {
    let sandbox = Sandbox::start(|_| Act::Fail(1, "Error", String::new()));
    let activities = json!([{"id": "a", "type": "t", "retry": {"maxRetries": 2}}, {"id": "b", "type": "t"}]);
    sandbox
        .apply([
            type_with(json!({"retry": {"maxRetries": 0, "backoff": {"initialSeconds": 1}}})),
            definition("d", json!({"activities": activities, "failurePolicy": "Continue"})),
        ])
        .await;
    sandbox.ready(&["d"]).await;
    sandbox.apply([orchestration("run", "d", json!({}))]).await;
    let finished = sandbox.finished("run").await;
    let activities = &finished.status.as_ref().unwrap().activities;
    assert_eq!((activities["a"].attempt, activities["b"].attempt), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn what_init_containers_did_is_no_start_of_what_does_the_work() {
    let ended = terminated(0, "Completed", "");
    let stuck = json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}});
    let sandbox = Sandbox::start(move |work| match attempt(work) {
        1 => Act::Status(json!({
            "phase": "Pending", "startTime": now(), "conditions": [{
                "type": "Initialized", "status": "True", "lastTransitionTime": now(),
            }],
            "initContainerStatuses": [container_status("fetch", &ended)],
            "containerStatuses": [container_status("main", &stuck)],
        })),
        2 => Act::Status(json!({
            "phase": "Pending", "startTime": now(),
            "initContainerStatuses": [container_status("fetch", &json!({"running": {"startedAt": now()}}))],
            "containerStatuses": [container_status("main", &json!({"waiting": {"reason": "PodInitializing"}}))],
        })),
        _ => Act::outputs(&json!({})),
    });
    let mut type_ = type_with(
        json!({"retry": {"maxRetries": 2, "backoff": {"initialSeconds": 5}}, "startingDeadlineSeconds": 50}),
    );
    type_["spec"]["job"]["template"]["spec"]["initContainers"] = json!([{"name": "fetch", "image": "none"}]);
    sandbox.apply([type_, ONE()]).await;
    sandbox.ready(&["d"]).await;
    sandbox.apply([orchestration("run", "d", json!({}))]).await;
    for (number, waits_for, message, reason) in [
        (1, "ImagePullBackOff", "Back-off pulling image", "ImagePullFailed"),
        (2, "PodInitializing", "init container fetch runs", "StartingDeadlineExceeded"),
    ] {
        let waits = activity(&sandbox, "run", "a", |entry| {
            entry.state == ActivityState::Running
                && entry.attempt == number
                && entry.reason.as_deref() == Some(waits_for)
        })
        .await;
        assert_eq!((waits.message.as_deref(), waits.start_time), (Some(message), None));
        let late = activity(&sandbox, "run", "a", |entry| {
            entry.state == ActivityState::Retrying && entry.attempt == number
        })
        .await;
        let told = format!("it did not start within 50 s; at last: {waits_for}: {message}");
        assert_eq!((late.reason.as_deref(), late.message), (Some(reason), Some(told)));
    }
    assert_eq!(state(&sandbox.finished("run").await), "Succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_traps_its_deletion_is_made_up_for_whatever_its_exit_code() {
    let sandbox = Sandbox::start(|work| match attempt(work) {
        1..=3 => Act::Run,
        _ => Act::outputs(&json!({})),
    });
    let mut type_ = type_with(json!({"retry": {"maxRetries": 0, "backoff": {"initialSeconds": 1}}}));
    type_["spec"]["job"]["exitCodes"] = json!({"fatal": [42]});
    type_["spec"]["job"]["template"]["spec"]["nodeName"] = json!("node");
    sandbox.apply([type_, ONE()]).await;
    sandbox.ready(&["d"]).await;
    sandbox.apply([orchestration("run", "d", json!({}))]).await;
    let pods = sandbox.api::<Pod>();
    for (number, code) in [(1_u32, 1), (2, 42), (3, 9)] {
        let is_running = |entry: &ActivityStatus| entry.attempt == number && entry.start_time.is_some();
        activity(&sandbox, "run", "a", |entry| entry.state == ActivityState::Running && is_running(entry))
            .await;
        let all = pods.list(&Default::default()).await.unwrap().items;
        let of_attempt = |pod: &&Pod| {
            pod.metadata.labels.as_ref().unwrap()["orchestrator.dev/attempt"] == number.to_string()
        };
        let pod = all.iter().find(of_attempt).unwrap();
        pods.delete(&pod.name_any(), &DeleteParams::default()).await.unwrap();
        perform(&pods, pod, &Act::Fail(code, "Error", "interrupted".to_owned())).await;
        // One of them is gone before anybody looks.
        if number == 2 {
            remove(&pods, pod).await;
        }
        let waits = activity(&sandbox, "run", "a", |entry| {
            entry.state == ActivityState::Retrying && entry.attempt == number
        })
        .await;
        assert_eq!((waits.reason.as_deref(), waits.disruptions), (Some("PodDeleted"), number));
        assert_eq!(waits.message, Some(format!("the pod was deleted (exit code {code})")));
    }
    assert_eq!(state(&sandbox.finished("run").await), "Succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_missing_is_told_from_the_nodes_events() {
    let sandbox = Sandbox::start(|_| Act::Wait("ContainerCreating", ""));
    sandbox
        .apply([type_with(json!({"retry": {"maxRetries": 0}, "startingDeadlineSeconds": 120})), ONE()])
        .await;
    sandbox.ready(&["d"]).await;
    sandbox.apply([orchestration("run", "d", json!({}))]).await;
    activity(&sandbox, "run", "a", |entry| entry.state == ActivityState::Running).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let pod = sandbox.api::<Pod>().list(&Default::default()).await.unwrap().items.remove(0);
    let event = |name: &str, type_: &str, reason: &str, message: &str, at: &str| {
        json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": name}, "type": type_,
            "reason": reason, "message": message, "lastTimestamp": at,
            "involvedObject": {
                "apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": pod.name_any(), "uid": pod.uid(),
            },
        })
    };
    let missing = "MountVolume.SetUp failed for volume \"settings\" : secret \"settings\" not found";
    sandbox
        .apply([
            event("one", "Warning", "FailedScheduling", "0/1 nodes", "2026-01-01T00:00:01Z"),
            event("two", "Warning", "FailedMount", "an older word", "2026-01-01T00:00:02Z"),
            event("three", "Warning", "FailedMount", missing, "2026-01-01T00:00:03Z"),
            event("four", "Normal", "Pulling", "Pulling image", "2026-01-01T00:00:04Z"),
        ])
        .await;
    let waits = activity(&sandbox, "run", "a", |entry| entry.reason.is_some()).await;
    assert_eq!((waits.state, waits.reason.as_deref()), (ActivityState::Running, Some("FailedMount")));
    assert_eq!(waits.message.as_deref(), Some(missing));
    let finished = sandbox.finished("run").await;
    assert_eq!(
        says(&finished, "Succeeded"),
        format!(
            "False ActivityFailed: activity \"a\" failed: StartingDeadlineExceeded: it did not start within 120 s; at last: FailedMount: {missing}"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_job_that_no_watch_shows_is_seen_within_a_minute() {
    let sandbox = Sandbox::start(|_| Act::Run);
    sandbox.apply([type_with(json!({})), ONE()]).await;
    sandbox.ready(&["d"]).await;
    sandbox.apply([orchestration("run", "d", json!({}))]).await;
    running(&sandbox, "run", "a").await;
    // Somebody tidies up labels that are not theirs.
    let job = jobs(&sandbox, "a").await.remove(0);
    let labels: serde_json::Map<String, serde_json::Value> =
        job.labels().keys().map(|key| (key.clone(), serde_json::Value::Null)).collect();
    let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
    sandbox.api::<Job>().patch(&job.name_any(), &PatchParams::default(), &patch).await.unwrap();
    // The watch shows that it is gone, and it is found again.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let pods = sandbox.api::<Pod>();
    let pod = pods.list(&Default::default()).await.unwrap().items.remove(0);
    let ended = Instant::now();
    perform(&pods, &pod, &Act::outputs(&json!({"n": 1}))).await;
    assert_eq!(state(&sandbox.finished("run").await), "Succeeded");
    assert!(ended.elapsed() < Duration::from_secs(60), "{:?}", ended.elapsed());
}
