//! A table of Jobs and pods, carried out step by step on plain values.

use serde_json::{Value, json};

use super::*;
use crate::embedded::job::pods::FINALIZER;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn time(second: i64) -> String {
    at(second).to_string()
}

/// A Job as this operator makes them, with another spec and status on top.
fn job(spec: Value, status: Value) -> Job {
    let mut whole = json!({
        "backoffLimit": 0, "completions": 1, "parallelism": 1, "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [
            {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [0]}},
        ]},
        "template": {"spec": {"containers": []}},
    });
    for (key, value) in spec.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let metadata = json!({"name": "x", "namespace": "ns", "uid": "job"});
    serde_json::from_value(json!({"metadata": metadata, "spec": whole, "status": status})).unwrap()
}

fn started() -> Value {
    json!({"startTime": time(0), "active": 1, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}})
}

/// A pod that is tracked, in a phase, with what else is said.
fn pod(phase: &str, status: Value) -> Pod {
    let mut whole = json!({"phase": phase});
    for (key, value) in status.as_object().unwrap() {
        whole[key] = value.clone();
    }
    serde_json::from_value(json!({
        "metadata": {"name": "x-abcde", "namespace": "ns", "uid": "pod", "finalizers": [FINALIZER]}, "status": whole,
    }))
    .unwrap()
}

fn exited(code: i32) -> Value {
    json!({"containerStatuses": [{
        "name": "main", "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": code, "finishedAt": time(50)}},
    }]})
}

fn deleted(mut pod: Pod) -> Pod {
    pod.metadata.deletion_timestamp = Some(Time(at(60)));
    pod
}

fn released(mut pod: Pod) -> Pod {
    pod.metadata.finalizers = None;
    pod
}

fn step(job: &Job, pods: &[Pod], now: i64) -> Step {
    next(job, &pods.iter().collect::<Vec<_>>(), at(now))
}

/// Carries out all steps on plain values, as a server without delays and a kubelet that does nothing would.
fn settle(job: &mut Job, pods: &mut Vec<Pod>, now: i64) -> Vec<&'static str> {
    let mut steps = Vec::new();
    for _ in 0..20 {
        let known =
            |pods: &mut Vec<Pod>, name: &String| pods.iter().position(|pod| pod.name_any() == *name).unwrap();
        match step(job, pods, now) {
            Step::Rest(_) => return steps,
            Step::Create(number) => {
                steps.push("create");
                for _ in 0..number {
                    let mut new = pod("Pending", json!({}));
                    new.metadata.name = Some(format!("x-{}", pods.len()));
                    new.metadata.uid = Some(format!("pod-{}", pods.len()));
                    pods.push(new);
                }
            }
            Step::Delete(names) => {
                steps.push("delete");
                for name in names {
                    let index = known(pods, &name);
                    pods[index] = deleted(pods[index].clone());
                }
            }
            Step::Withdraw(names) => {
                steps.push("withdraw");
                for name in names {
                    let index = known(pods, &name);
                    pods[index] = released(deleted(pods[index].clone()));
                }
            }
            Step::Record(status) => {
                steps.push("record");
                job.status = Some(*status);
            }
            Step::Release(names) => {
                steps.push("release");
                for name in names {
                    let index = known(pods, &name);
                    pods[index] = released(pods[index].clone());
                }
            }
        }
    }
    panic!("it does not settle: {steps:?}");
}

fn conditions(job: &Job) -> Vec<String> {
    let conditions = job.status.as_ref().unwrap().conditions.clone().unwrap_or_default();
    let text = |one: JobCondition| {
        format!("{}={} {}: {}", one.type_, one.status, one.reason.unwrap(), one.message.unwrap())
    };
    conditions.into_iter().map(text).collect()
}

#[track_caller]
fn ends(name: &str, spec: Value, pod: Pod, now: i64, expected: &[&str], steps: &[&str]) {
    let mut job = job(spec, started());
    let mut pods = vec![pod];
    let taken = settle(&mut job, &mut pods, now);
    assert_eq!(conditions(&job), expected, "{name}");
    assert_eq!(taken, steps, "{name}");
}

#[test]
fn every_end_has_kubernetes_words() {
    let deadline = json!({"activeDeadlineSeconds": 100});
    let both = |reason: &str| [format!("FailureTarget=True {reason}"), format!("Failed=True {reason}")];
    let check = |name: &str, spec: &Value, pod: Pod, now: i64, reason: &str, steps: &[&str]| {
        let expected = both(reason);
        ends(name, spec.clone(), pod, now, &expected.each_ref().map(String::as_str), steps);
    };
    let counted = ["record", "release"];
    ends(
        "success",
        json!({}),
        pod("Succeeded", exited(0)),
        70,
        &[
            "SuccessCriteriaMet=True CompletionsReached: Reached expected number of succeeded pods",
            "Complete=True CompletionsReached: Reached expected number of succeeded pods",
        ],
        &counted,
    );
    check(
        "exit code",
        &json!({}),
        pod("Failed", exited(3)),
        70,
        "PodFailurePolicy: Container main for pod ns/x-abcde failed with exit code 3 matching FailJob rule at index 1",
        &counted,
    );
    let mut disrupted = exited(143);
    disrupted["conditions"] =
        json!([{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]);
    check(
        "disruption, which comes before the code",
        &json!({}),
        deleted(pod("Failed", disrupted)),
        70,
        "PodFailurePolicy: Pod ns/x-abcde has condition DisruptionTarget matching FailJob rule at index 0",
        &counted,
    );
    check(
        "failed without a code",
        &json!({}),
        pod("Failed", json!({"reason": "OutOfcpu"})),
        70,
        "BackoffLimitExceeded: Job has reached the specified backoff limit",
        &counted,
    );
    check(
        "another policy: a code that is not listed",
        &json!({"podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [7]}}]}}),
        pod("Failed", exited(3)),
        70,
        "BackoffLimitExceeded: Job has reached the specified backoff limit",
        &counted,
    );
    check(
        "the pod's code comes before the Job's deadline",
        &deadline,
        pod("Failed", exited(3)),
        500,
        "PodFailurePolicy: Container main for pod ns/x-abcde failed with exit code 3 matching FailJob rule at index 1",
        &counted,
    );
}

#[test]
fn a_deadline_deletes_the_pod_and_waits_for_its_end() {
    let mut job = job(json!({"activeDeadlineSeconds": 100}), started());
    let mut pods = vec![pod("Running", json!({}))];
    assert_eq!(step(&job, &pods, 99), Step::Rest(Some(at(100))));
    assert_eq!(settle(&mut job, &mut pods, 100), ["delete", "record", "release", "record"]);
    let text = "DeadlineExceeded: Job was active longer than specified deadline";
    assert_eq!(conditions(&job), [format!("FailureTarget=True {text}")]);
    let status = job.status.clone().unwrap();
    assert_eq!((status.active, status.terminating, status.failed), (None, Some(1), Some(1)));
    assert!(!is_finished(&job));

    pods.clear();
    assert_eq!(settle(&mut job, &mut pods, 130), ["record"]);
    assert_eq!(conditions(&job), [format!("FailureTarget=True {text}"), format!("Failed=True {text}")]);
    assert_eq!(job.status.unwrap().failed, Some(1), "it is counted once");
}

#[test]
fn a_new_job_gets_a_pod_a_start_time_and_counts() {
    let mut job = job(json!({}), json!({}));
    let mut pods = Vec::new();
    assert_eq!(settle(&mut job, &mut pods, 5), ["create", "record"]);
    let status = serde_json::to_value(job.status.clone().unwrap()).unwrap();
    assert_eq!(
        status,
        json!({"startTime": time(5), "active": 1, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}})
    );
    pods[0] = pod("Running", json!({"conditions": [{"type": "Ready", "status": "True"}]}));
    assert_eq!(settle(&mut job, &mut pods, 6), ["record"]);
    assert_eq!(job.status.clone().unwrap().ready, Some(1));
    pods[0] = pod("Succeeded", exited(0));
    assert_eq!(settle(&mut job, &mut pods, 9), ["record", "release"]);
    let status = job.status.unwrap();
    assert_eq!((status.active, status.ready, status.succeeded), (None, Some(0), Some(1)));
    assert_eq!(status.completion_time, Some(Time(at(9))));
}

#[test]
fn a_deleted_pod_is_not_replaced_before_it_has_ended_and_then_fails_the_job() {
    let mut job = job(json!({}), started());
    let mut pods = vec![deleted(pod("Running", json!({})))];
    assert_eq!(settle(&mut job, &mut pods, 61), ["record"]);
    let status = job.status.clone().unwrap();
    assert_eq!((status.active, status.terminating), (None, Some(1)));
    pods[0] = deleted(pod("Failed", exited(143)));
    assert_eq!(settle(&mut job, &mut pods, 62), ["record", "release"]);
    assert!(conditions(&job)[1].starts_with("Failed=True PodFailurePolicy: Container main"));
}

#[test]
fn suspending_withdraws_the_pod_without_counting_it_and_resuming_makes_another() {
    let mut job = job(json!({"suspend": true}), started());
    let mut pods = vec![pod("Running", json!({}))];
    assert_eq!(settle(&mut job, &mut pods, 10), ["withdraw", "record"]);
    assert_eq!(conditions(&job), ["Suspended=True JobSuspended: Job suspended"]);
    let status = job.status.clone().unwrap();
    assert_eq!((status.active, status.terminating, status.start_time), (None, Some(1), None));

    // It ends with the code of its signal, and that is nobody's failure.
    pods[0] = released(deleted(pod("Failed", exited(143))));
    settle(&mut job, &mut pods, 11);
    pods.clear();
    settle(&mut job, &mut pods, 12);
    assert_eq!(conditions(&job), ["Suspended=True JobSuspended: Job suspended"]);
    let status = job.status.clone().unwrap();
    assert_eq!((status.active, status.terminating, status.failed), (None, Some(0), None));

    job.spec.as_mut().unwrap().suspend = Some(false);
    assert_eq!(settle(&mut job, &mut pods, 20), ["create", "record"]);
    assert_eq!(conditions(&job), ["Suspended=False JobResumed: Job resumed"]);
    assert_eq!(job.status.unwrap().start_time, Some(Time(at(20))));
}

#[test]
fn a_job_that_is_born_suspended_gets_no_pod_and_no_deadline() {
    let mut job = job(json!({"suspend": true, "activeDeadlineSeconds": 1}), json!({}));
    assert_eq!(settle(&mut job, &mut Vec::new(), 100), ["record"]);
    assert_eq!(conditions(&job), ["Suspended=True JobSuspended: Job suspended"]);
    assert_eq!(job.status.unwrap().start_time, None);
}

#[test]
fn an_ignored_failure_is_replaced_after_a_pause_and_not_counted() {
    let policy = json!({"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}}]});
    let mut job = job(json!({"podFailurePolicy": policy}), started());
    let mut pods = vec![pod("Failed", exited(7))];
    assert_eq!(settle(&mut job, &mut pods, 60), ["create", "release"]);
    assert_eq!(job.status.clone().unwrap().failed, None);
    assert!(conditions(&job).is_empty());
}

#[test]
fn with_a_backoff_limit_failures_are_counted_once_and_replaced_after_a_pause() {
    let mut job = job(json!({"backoffLimit": 2, "podFailurePolicy": null}), started());
    let mut pods = vec![pod("Failed", exited(1))];
    // It failed at 50; the pause is 10 s.
    assert_eq!(settle(&mut job, &mut pods, 55), ["record", "release", "record"]);
    assert_eq!(job.status.clone().unwrap().failed, Some(1));
    assert_eq!(step(&job, &pods, 55), Step::Rest(Some(at(60))));
    assert_eq!(settle(&mut job, &mut pods, 60), ["create", "record"]);
    assert_eq!(job.status.unwrap().active, Some(1));
}

#[test]
fn a_job_that_is_being_deleted_lets_its_pods_go_and_makes_none() {
    let mut job = job(json!({}), started());
    job.metadata.deletion_timestamp = Some(Time(at(1)));
    let mut pods = vec![pod("Running", json!({}))];
    assert_eq!(settle(&mut job, &mut pods, 2), ["release"]);
    assert_eq!(settle(&mut job, &mut Vec::new(), 2), ["record"]);
}

#[test]
fn a_finished_job_stays_as_it_is_and_releases_what_was_forgotten() {
    let mut job = job(json!({}), started());
    let mut pods = vec![pod("Succeeded", exited(0))];
    let Step::Record(status) = step(&job, &pods, 9) else { panic!("no record") };
    job.status = Some(*status);
    // A crash came between the record and the release.
    assert_eq!(settle(&mut job, &mut pods, 1000), ["release"]);
    job.spec.as_mut().unwrap().suspend = Some(true);
    assert_eq!(settle(&mut job, &mut Vec::new(), 1000), [""; 0]);
}

#[test]
fn pods_that_are_too_many_go_the_least_far_first() {
    let mut other = pod("Running", json!({"conditions": [{"type": "Ready", "status": "True"}]}));
    other.metadata.name = Some("ready".to_owned());
    let job = job(json!({}), started());
    assert_eq!(
        step(&job, &[other, pod("Running", json!({}))], 1),
        Step::Withdraw(vec!["x-abcde".to_owned()])
    );
}

#[test]
fn an_init_containers_code_counts_after_those_of_containers() {
    let mut status = exited(3);
    status["initContainerStatuses"] = exited(9)["containerStatuses"].clone();
    let job = job(json!({}), started());
    let spec = job.spec.as_ref().unwrap();
    let Consequence::FailJob(message) = consequence(spec, &pod("Failed", status.clone())) else { panic!() };
    assert!(message.contains("exit code 3"));
    status["containerStatuses"] = json!([]);
    let Consequence::FailJob(message) = consequence(spec, &pod("Failed", status)) else { panic!() };
    assert!(message.contains("exit code 9"));
}
