//! Tests of what is taken from Jobs and pods.

use serde_json::{Value, json};

use super::*;

fn at(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

fn job(value: Value) -> JobFacts {
    JobFacts::from(&serde_json::from_value::<Job>(value).unwrap())
}

fn pod(value: Value) -> PodFacts {
    PodFacts::from(&serde_json::from_value::<Pod>(value).unwrap())
}

fn pod_with(status: Value) -> PodFacts {
    pod(json!({"metadata": {"uid": "p"}, "spec": {"containers": [{"name": "main"}]}, "status": status}))
}

fn job_with(spec: Value, status: Value) -> JobFacts {
    job(json!({"metadata": {"uid": "j"}, "spec": {"suspend": spec, "template": {}}, "status": status}))
}

#[test]
fn a_job_knows_whose_it_is() {
    let facts = job(json!({
        "metadata": {
            "name": "tenant-config-abc", "namespace": "prod", "uid": "j-1", "resourceVersion": "42",
            "creationTimestamp": "2026-11-21T10:00:00Z",
            "labels": {"orchestrator.dev/orchestration-uid": "o-1", "orchestrator.dev/activity": "config", "orchestrator.dev/attempt": "3"},
            "annotations": {"orchestrator.dev/orchestration": "tenant", "orchestrator.dev/activity": "config-in-full"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"},
                {"apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "name": "tenant", "uid": "o-1", "controller": true},
            ],
        },
    }));
    assert_eq!(
        facts.identity,
        Identity {
            name: "tenant-config-abc".into(),
            namespace: "prod".into(),
            uid: "j-1".into(),
            resource_version: "42".into(),
            owner: Some(Owner { kind: "Orchestration".into(), name: "tenant".into(), uid: "o-1".into() }),
            orchestration_uid: Some("o-1".into()),
            orchestration: Some("tenant".into()),
            activity: Some("config-in-full".into()),
            attempt: Some(3),
            creation_time: "2026-11-21T10:00:00Z".parse().unwrap(),
            deletion_time: None,
        }
    );
}

#[test]
fn empty_objects_have_no_facts_and_do_not_panic() {
    assert_eq!(job(json!({"metadata": {}})), JobFacts::default());
    assert_eq!(pod(json!({"metadata": {}})), PodFacts { message_limit: 4096, ..PodFacts::default() });
    let odd = job(
        json!({"metadata": {"labels": {"orchestrator.dev/attempt": "-1"}, "deletionTimestamp": "2026-11-21T10:00:00Z"}}),
    );
    assert!(odd.identity.attempt.is_none() && odd.identity.is_deleted());
}

#[test]
fn only_complete_and_failed_that_are_true_are_an_end() {
    let ended = |type_: &str, status: &str| {
        job_with(json!(false), json!({"conditions": [{"type": type_, "status": status, "reason": "R", "message": "M", "lastTransitionTime": "2026-11-21T10:00:00Z"}]})).end
    };
    for (type_, status) in [
        ("FailureTarget", "True"),
        ("SuccessCriteriaMet", "True"),
        ("Complete", "False"),
        ("Failed", "Unknown"),
    ] {
        assert_eq!(ended(type_, status), None, "{type_} {status}");
    }
    let said = Said { reason: "R".into(), message: "M".into() };
    let time = at("2026-11-21T10:00:00Z");
    assert_eq!(ended("Complete", "True"), Some(JobEnd { complete: true, said: said.clone(), time }));
    assert_eq!(ended("Failed", "True"), Some(JobEnd { complete: false, said, time }));
}

#[test]
fn a_suspended_job_is_stopped_when_its_controller_counts_no_pod_any_more() {
    let suspended = json!([{"type": "Suspended", "status": "True"}]);
    assert!(job_with(json!(true), json!({"conditions": suspended})).is_stopped());
    assert!(!job_with(json!(true), json!({"conditions": suspended, "terminating": 1})).is_stopped());
    assert!(!job_with(json!(true), json!({"conditions": suspended, "active": 1})).is_stopped());
    // The controller may have made a pod that its last status does not count yet.
    assert!(!job_with(json!(true), json!({})).is_stopped());
    assert!(!job_with(json!(false), json!({"conditions": suspended})).is_stopped());
}

#[test]
fn a_job_triggers_when_it_ends_stops_or_is_deleted_and_only_once() {
    let quiet = job_with(json!(false), json!({"active": 1}));
    assert!(!JobFacts::triggers(None, &quiet));
    assert!(!JobFacts::triggers(Some(&quiet), &job_with(json!(false), json!({"active": 1, "ready": 1}))));
    let ended = job_with(json!(false), json!({"conditions": [{"type": "Complete", "status": "True"}]}));
    let stopped = job_with(json!(true), json!({"conditions": [{"type": "Suspended", "status": "True"}]}));
    let deleted = job(json!({"metadata": {"uid": "j", "deletionTimestamp": "2026-11-21T10:00:00Z"}}));
    for news in [ended, stopped, deleted] {
        assert!(JobFacts::triggers(None, &news));
        assert!(JobFacts::triggers(Some(&quiet), &news));
        assert!(!JobFacts::triggers(Some(&news), &news));
    }
}

#[test]
fn another_job_of_the_same_name_is_news() {
    let ended = job_with(json!(false), json!({"conditions": [{"type": "Complete", "status": "True"}]}));
    let mut other = ended.clone();
    other.identity.uid = "other".into();
    assert!(JobFacts::triggers(Some(&ended), &other));
}

#[test]
fn the_first_container_is_that_of_the_spec_although_statuses_are_sorted() {
    let facts = pod(json!({
        "metadata": {},
        "spec": {"containers": [{"name": "main"}, {"name": "a-proxy"}], "initContainers": [{"name": "prepare"}, {"name": "more"}]},
        "status": {
            "phase": "Failed", "startTime": "2026-11-21T09:00:00Z",
            "containerStatuses": [
                {"name": "a-proxy", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                 "state": {"terminated": {"exitCode": 3, "message": "x".repeat(2000), "startedAt": "2026-11-21T10:00:02Z", "finishedAt": "2026-11-21T10:00:09Z"}}},
                {"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                 "state": {"terminated": {"exitCode": 0, "reason": "Completed", "message": "y".repeat(4096), "startedAt": "2026-11-21T10:00:01Z", "finishedAt": "2026-11-21T10:00:05Z"}}},
            ],
            "initContainerStatuses": [
                {"name": "prepare", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                 "state": {"terminated": {"exitCode": 0, "startedAt": "2026-11-21T10:00:00Z", "finishedAt": "2026-11-21T10:00:01Z"}}},
            ],
        },
    }));
    assert_eq!(
        facts.first.as_ref().map(|first| (first.container.as_str(), first.message.len())),
        Some(("main", 4096))
    );
    assert_eq!(
        facts.other_failure.as_ref().map(|other| (other.container.as_str(), other.init)),
        Some(("a-proxy", false))
    );
    assert!(
        facts.other_failure.is_some_and(|other| other.message.len() <= 1024 && other.message.ends_with('x'))
    );
    assert_eq!(
        (facts.start_time, facts.finish_time),
        (at("2026-11-21T10:00:01Z"), at("2026-11-21T10:00:09Z")),
        "init containers come before"
    );
    assert_eq!(facts.message_limit, 3072);
}

fn status(state: Value) -> Value {
    json!({"name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

#[test]
fn acceptance_by_a_node_is_not_a_start() {
    let accepted = pod_with(
        json!({"phase": "Pending", "startTime": "2026-11-21T10:00:00Z", "containerStatuses": [status(json!({"waiting": {"reason": "ContainerCreating"}}))]}),
    );
    assert!(!accepted.has_started() && accepted.waits_for().is_none());
}

#[test]
fn a_pod_has_not_started_while_its_init_containers_run_and_says_so() {
    let with = |init: Value, main: Value, conditions: Value| {
        pod(json!({
            "metadata": {"uid": "p"},
            "spec": {"containers": [{"name": "main"}], "initContainers": [{"name": "fetch"}]},
            "status": {
                "phase": "Pending", "conditions": conditions, "containerStatuses": [status(main)],
                "initContainerStatuses": [{"name": "fetch", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": init}],
            },
        }))
    };
    let initializing = json!({"waiting": {"reason": "PodInitializing"}});
    let runs = json!({"running": {"startedAt": "2026-11-21T10:00:00Z"}});
    let done = json!({"terminated": {"exitCode": 0, "startedAt": "2026-11-21T10:00:00Z", "finishedAt": "2026-11-21T10:00:01Z"}});
    let before = with(json!({"waiting": {"reason": "PodInitializing"}}), initializing.clone(), json!([]));
    assert_eq!(before.waits_for(), None);
    let at_work = with(runs.clone(), initializing, json!([]));
    assert!(!at_work.has_started());
    let said = Said { reason: "PodInitializing".to_owned(), message: "init container fetch runs".to_owned() };
    assert_eq!(at_work.waits_for(), Some(&said));
    assert!(!PodFacts::triggers(Some(&before), &at_work), "the ordinary way to the start");
    let image = json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}});
    let stuck = with(done, image, json!([{"type": "Initialized", "status": "True"}]));
    assert!(!stuck.has_started() && PodFacts::triggers(Some(&at_work), &stuck));
    assert_eq!(stuck.waits_for().map(|said| said.reason.as_str()), Some("ImagePullBackOff"));
    // One that goes on beside the others is not waited for.
    let creating = json!({"waiting": {"reason": "ContainerCreating"}});
    let beside = with(runs, creating, json!([{"type": "Initialized", "status": "True"}]));
    assert!(!beside.has_started() && beside.waits_for().is_none());
}

#[test]
fn a_deletion_was_asked_for_before_the_grace_that_it_gives() {
    let asked = |ends: &str, grace: i64| {
        let metadata = json!({"deletionTimestamp": ends, "deletionGracePeriodSeconds": grace});
        pod(json!({ "metadata": metadata })).identity.deletion_time
    };
    // The kubelet ends it with a grace period of zero, which puts its time back to when it was asked for.
    assert_eq!(asked("2026-11-21T10:00:30Z", 30), at("2026-11-21T10:00:00Z"));
    assert_eq!(asked("2026-11-21T10:00:00Z", 0), at("2026-11-21T10:00:00Z"));
}

#[test]
fn a_container_that_was_made_and_could_not_start_has_no_start() {
    let facts = pod_with(json!({"phase": "Failed", "containerStatuses": [status(json!({"terminated": {
        "exitCode": 128, "reason": "StartError", "startedAt": "1970-01-01T00:00:00Z", "finishedAt": "2026-11-21T10:00:00Z",
    }}))]}));
    assert!(!facts.has_started());
    assert_eq!(facts.finish_time, at("2026-11-21T10:00:00Z"));
}

#[test]
fn a_restarted_container_keeps_its_start() {
    let mut waiting = status(json!({"waiting": {"reason": "CrashLoopBackOff"}}));
    waiting["lastState"] = json!({"terminated": {"exitCode": 1, "startedAt": "2026-11-21T10:00:00Z", "finishedAt": "2026-11-21T10:00:01Z"}});
    assert_eq!(pod_with(json!({"containerStatuses": [waiting]})).start_time, at("2026-11-21T10:00:00Z"));
}

#[test]
fn a_pod_triggers_only_on_what_matters() {
    let created = pod_with(json!({"phase": "Pending"}));
    let creating = pod_with(
        json!({"phase": "Pending", "containerStatuses": [status(json!({"waiting": {"reason": "ContainerCreating"}}))]}),
    );
    let waiting = |reason: &str| {
        pod_with(
            json!({"phase": "Pending", "containerStatuses": [status(json!({"waiting": {"reason": reason, "message": "m"}}))]}),
        )
    };
    let unscheduled = pod_with(
        json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]}),
    );
    let running = pod_with(
        json!({"phase": "Running", "containerStatuses": [status(json!({"running": {"startedAt": "2026-11-21T10:00:00Z"}}))]}),
    );
    let ready = {
        let mut ready = running.clone();
        ready.identity.resource_version = "9".into();
        ready
    };
    let ended = pod_with(
        json!({"phase": "Succeeded", "containerStatuses": [status(json!({"terminated": {"exitCode": 0, "startedAt": "2026-11-21T10:00:00Z", "finishedAt": "2026-11-21T10:00:01Z"}}))]}),
    );
    let deleted = {
        let mut deleted = running.clone();
        deleted.identity.deletion_time = at("2026-11-21T10:00:00Z");
        deleted
    };

    for (old, new, expected) in [
        (None, &created, false),
        (Some(&created), &creating, false),
        (Some(&creating), &waiting("ErrImagePull"), true),
        (Some(&waiting("ErrImagePull")), &waiting("ImagePullBackOff"), false),
        (Some(&waiting("ImagePullBackOff")), &waiting("CreateContainerConfigError"), true),
        (Some(&created), &unscheduled, true),
        (Some(&unscheduled), &unscheduled, false),
        (Some(&unscheduled), &creating, false),
        (Some(&creating), &running, true),
        (Some(&running), &ready, false),
        // The Job tells the end.
        (Some(&running), &ended, false),
        (None, &ended, true),
        (Some(&running), &deleted, true),
        (Some(&deleted), &deleted, false),
        (Some(&ended), &ended, false),
    ] {
        assert_eq!(PodFacts::triggers(old, new), expected, "{old:?} -> {new:?}");
    }
}
