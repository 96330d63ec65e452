//! Tests of every row of the table of how an attempt ended.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const CREATED: &str = "2026-11-21T10:00:00Z";
const STARTED: &str = "2026-11-21T10:00:03Z";
const FINISHED: &str = "2026-11-21T10:00:09Z";
const CONDITION: &str = "2026-11-21T10:00:10Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn job_from(status: Value, suspend: bool) -> JobFacts {
    let job = json!({
        "metadata": {"name": "x", "namespace": "ns", "uid": "job-uid", "creationTimestamp": CREATED},
        "spec": {"suspend": suspend, "template": {}},
        "status": status,
    });
    JobFacts::from(&serde_json::from_value::<k8s_openapi::api::batch::v1::Job>(job).unwrap())
}

fn active() -> JobFacts {
    job_from(json!({"active": 1}), false)
}

fn complete_job() -> JobFacts {
    job_from(
        json!({"conditions": [
            {"type": "SuccessCriteriaMet", "status": "True", "lastTransitionTime": FINISHED},
            {"type": "Complete", "status": "True", "reason": "CompletionsReached", "message": "Reached expected number of succeeded pods", "lastTransitionTime": CONDITION},
        ]}),
        false,
    )
}

fn failed_job(reason: &str, message: &str) -> JobFacts {
    job_from(
        json!({"conditions": [{"type": "Failed", "status": "True", "reason": reason, "message": message, "lastTransitionTime": CONDITION}]}),
        false,
    )
}

fn exited(code: i32) -> JobFacts {
    failed_job(
        "PodFailurePolicy",
        &format!(
            "Container main for pod ns/x-1 failed with exit code {code} matching FailJob rule at index 1"
        ),
    )
}

fn disrupted() -> JobFacts {
    failed_job(
        "PodFailurePolicy",
        "Pod ns/x-1 has condition DisruptionTarget matching FailJob rule at index 0",
    )
}

fn backoff_limit() -> JobFacts {
    failed_job("BackoffLimitExceeded", "Job has reached the specified backoff limit")
}

fn pod_from(metadata: Value, status: Value) -> PodFacts {
    let mut pod = json!({
        "metadata": {"name": "x-1", "namespace": "ns", "ownerReferences": [
            {"apiVersion": "batch/v1", "kind": "Job", "name": "x", "uid": "job-uid", "controller": true}
        ]},
        "spec": {"containers": [{"name": "main"}, {"name": "proxy"}], "initContainers": [{"name": "prepare"}]},
        "status": status,
    });
    pod["metadata"].as_object_mut().unwrap().extend(metadata.as_object().cloned().unwrap_or_default());
    PodFacts::from(&serde_json::from_value::<k8s_openapi::api::core::v1::Pod>(pod).unwrap())
}

fn container(name: &str, state: Value) -> Value {
    json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

fn terminated(code: i32, reason: &str, message: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason, "message": message, "startedAt": STARTED, "finishedAt": FINISHED}})
}

fn succeeded(message: &str) -> PodFacts {
    pod_from(
        json!({}),
        json!({"phase": "Succeeded", "containerStatuses": [container("main", terminated(0, "Completed", message))]}),
    )
}

fn crashed(code: i32, reason: &str, message: &str) -> PodFacts {
    pod_from(
        json!({}),
        json!({"phase": "Failed", "containerStatuses": [container("main", terminated(code, reason, message))]}),
    )
}

fn waiting(reason: &str, message: &str) -> PodFacts {
    let state = json!({"waiting": {"reason": reason, "message": message}});
    pod_from(json!({}), json!({"phase": "Pending", "containerStatuses": [container("main", state)]}))
}

fn running() -> PodFacts {
    pod_from(
        json!({}),
        json!({"phase": "Running", "containerStatuses": [container("main", json!({"running": {"startedAt": STARTED}}))]}),
    )
}

/// Its deletion was asked for while it ran.
fn deleted(pod: PodFacts) -> PodFacts {
    deleted_at(pod, STARTED)
}

fn deleted_at(mut pod: PodFacts, asked: &str) -> PodFacts {
    pod.identity.deletion_time = Some(time(asked));
    pod
}

const NOTHING: Expectation<'_> = Expectation { outputs_matter: false, fatal: &[] };
const OUTPUTS: Expectation<'_> = Expectation { outputs_matter: true, fatal: &[] };

fn verdict(job: &JobFacts, pod: Option<&PodFacts>, expectation: Expectation<'_>) -> Verdict {
    match attempt(job, pod, true, expectation) {
        Seen::Attempt(Attempt::Ended(outcome)) => outcome.verdict,
        other => panic!("{other:?}"),
    }
}

fn check(job: &JobFacts, pod: Option<&PodFacts>, reason: FailureReason, message: &str) {
    check_with(job, pod, NOTHING, reason, message);
}

fn check_with(
    job: &JobFacts,
    pod: Option<&PodFacts>,
    expectation: Expectation<'_>,
    reason: FailureReason,
    message: &str,
) {
    let expected = Verdict::Failed { reason, message: message.to_owned() };
    assert_eq!(verdict(job, pod, expectation), expected);
}

fn check_complete(pod: Option<&PodFacts>, expectation: Expectation<'_>, outputs: Value) {
    match verdict(&complete_job(), pod, expectation) {
        Verdict::Complete(found) => assert_eq!(Value::Object(found), outputs),
        Verdict::Failed { .. } => panic!("failed"),
    }
}

fn check_waiting(job: &JobFacts, pod: Option<&PodFacts>, reason: Option<&str>, message: Option<&str>) {
    let expected = Attempt::Waiting {
        since: time(CREATED),
        reason: reason.map(str::to_owned),
        message: message.map(str::to_owned),
    };
    assert_eq!(attempt(job, pod, false, NOTHING), Seen::Attempt(expected));
}

// How an attempt ended: one test per row.

#[test]
fn a_complete_job_with_a_readable_pod_is_complete_with_its_outputs() {
    check_complete(
        Some(&succeeded(r#"{"url": "https://x", "gone": null}"#)),
        OUTPUTS,
        json!({"url": "https://x"}),
    );
    check_complete(Some(&succeeded("")), OUTPUTS, json!({}));
}

#[test]
fn a_complete_job_without_a_pod_has_lost_outputs_that_matter() {
    check_with(
        &complete_job(),
        None,
        OUTPUTS,
        FailureReason::OutputLost,
        "it succeeded, but its pod is gone, and its outputs with it",
    );
}

#[test]
fn a_complete_job_without_a_pod_is_complete_if_nobody_wants_its_outputs() {
    check_complete(None, NOTHING, json!({}));
}

#[test]
fn a_job_that_failed_by_rule_0_was_disrupted_whatever_the_pod_says() {
    let words = "the pod was disrupted: PodFailurePolicy: Pod ns/x-1 has condition DisruptionTarget matching FailJob rule at index 0";
    check(&disrupted(), None, FailureReason::Disrupted, words);
    check(&disrupted(), Some(&deleted(crashed(137, "Error", ""))), FailureReason::Disrupted, words);
    let evicted = pod_from(
        json!({}),
        json!({"phase": "Failed", "reason": "Evicted", "conditions": [
            {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
        ]}),
    );
    check(
        &disrupted(),
        Some(&evicted),
        FailureReason::Disrupted,
        "the pod was disrupted: EvictionByEvictionAPI: Eviction API: evicting",
    );
}

#[test]
fn a_pod_that_ran_past_its_own_deadline_timed_out_whatever_its_exit_code() {
    for (code, job) in [(137, exited(137)), (143, exited(143)), (3, exited(3)), (0, backoff_limit())] {
        let pod = deleted(pod_from(
            json!({}),
            json!({
                "phase": "Failed", "reason": "DeadlineExceeded", "message": "Pod was active on the node longer than the specified deadline",
                "containerStatuses": [container("main", terminated(code, "Error", ""))],
            }),
        ));
        check(
            &job,
            Some(&pod),
            FailureReason::TimedOut,
            "it did not end in time: Pod was active on the node longer than the specified deadline",
        );
    }
}

#[test]
fn a_deleted_pod_that_was_ended_by_a_signal_was_deleted() {
    for code in [137, 143] {
        let message = format!("the pod was deleted (exit code {code})");
        check(&exited(code), Some(&deleted(crashed(code, "Error", ""))), FailureReason::PodDeleted, &message);
        check(&exited(code), None, FailureReason::PodDeleted, &message);
    }
}

#[test]
fn a_pod_that_was_killed_and_not_deleted_has_an_exit_code() {
    check(
        &exited(137),
        Some(&crashed(137, "Error", "")),
        FailureReason::ExitCode,
        "exit code 137 (Error, SIGKILL)",
    );
    check(
        &exited(143),
        Some(&crashed(143, "Error", "bye")),
        FailureReason::ExitCode,
        "exit code 143 (Error, SIGTERM): bye",
    );
}

#[test]
fn a_pod_that_ends_in_its_own_way_when_it_is_deleted_was_deleted_whatever_its_exit_code() {
    let fatal = Expectation { outputs_matter: false, fatal: &[42] };
    for code in [1, 9, 42, 255] {
        let message = format!("the pod was deleted (exit code {code})");
        let trapped = deleted(crashed(code, "Error", "interrupted"));
        check_with(&exited(code), Some(&trapped), fatal, FailureReason::PodDeleted, &message);
    }
    // A node's clock may be behind that of the server.
    let behind = deleted_at(crashed(1, "Error", ""), "2026-11-21T10:00:14Z");
    check(&exited(1), Some(&behind), FailureReason::PodDeleted, "the pod was deleted (exit code 1)");
    let killed = deleted(crashed(137, "OOMKilled", ""));
    check(&exited(137), Some(&killed), FailureReason::PodDeleted, "the pod was deleted (exit code 137)");
}

#[test]
fn a_pod_that_had_failed_by_its_own_fault_when_it_was_deleted_has_an_exit_code() {
    const LATER: &str = "2026-11-21T10:00:15Z";
    check(
        &exited(1),
        Some(&deleted_at(crashed(1, "Error", "boom"), LATER)),
        FailureReason::ExitCode,
        "exit code 1 (Error): boom",
    );
    check(
        &exited(137),
        Some(&deleted_at(crashed(137, "OOMKilled", ""), LATER)),
        FailureReason::ExitCode,
        "exit code 137 (OOMKilled)",
    );
}

#[test]
fn a_pod_that_succeeds_while_it_is_deleted_has_succeeded() {
    check_complete(Some(&deleted(succeeded(r#"{"n": 1}"#))), OUTPUTS, json!({"n": 1}));
}

#[test]
fn an_exit_code_comes_with_the_runtimes_reason_and_the_last_words() {
    check(
        &exited(1),
        Some(&crashed(1, "Error", "no route to host\n")),
        FailureReason::ExitCode,
        "exit code 1 (Error): no route to host",
    );
    check(&exited(255), Some(&crashed(255, "Error", "")), FailureReason::ExitCode, "exit code 255 (Error)");
    check(
        &exited(137),
        Some(&crashed(137, "OOMKilled", "")),
        FailureReason::ExitCode,
        "exit code 137 (OOMKilled)",
    );
    check(
        &exited(139),
        Some(&crashed(139, "Error", "")),
        FailureReason::ExitCode,
        "exit code 139 (Error, SIGSEGV)",
    );
    check(
        &exited(128),
        Some(&crashed(128, "StartError", "exec: \"foo\": executable file not found in $PATH")),
        FailureReason::ExitCode,
        "exit code 128 (StartError): exec: \"foo\": executable file not found in $PATH",
    );
}

#[test]
fn a_failed_pod_that_is_gone_was_deleted_whatever_its_exit_code() {
    let fatal = Expectation { outputs_matter: false, fatal: &[3] };
    let message = "the pod was deleted (exit code 3)";
    check_with(&exited(3), None, fatal, FailureReason::PodDeleted, message);
}

#[test]
fn a_fatal_exit_code_says_so() {
    let fatal = Expectation { outputs_matter: false, fatal: &[2, 139] };
    check_with(
        &exited(2),
        Some(&crashed(2, "Error", "bad input")),
        fatal,
        FailureReason::FatalExitCode,
        "fatal exit code 2: bad input",
    );
    check_with(
        &exited(139),
        Some(&crashed(139, "Error", "")),
        fatal,
        FailureReason::FatalExitCode,
        "fatal exit code 139 (SIGSEGV)",
    );
}

#[test]
fn another_container_that_failed_is_named() {
    let job = |name: &str| {
        failed_job(
            "PodFailurePolicy",
            &format!(
                "Container {name} for pod ns/x-1 failed with exit code 4 matching FailJob rule at index 1"
            ),
        )
    };
    let init = pod_from(
        json!({}),
        json!({
            "phase": "Failed", "initContainerStatuses": [container("prepare", terminated(4, "Error", "no disk"))],
            "containerStatuses": [container("main", json!({"waiting": {"reason": "PodInitializing"}}))],
        }),
    );
    check(
        &job("prepare"),
        Some(&init),
        FailureReason::ExitCode,
        "exit code 4 (Error) in init container prepare: no disk",
    );
    let proxy = pod_from(
        json!({}),
        json!({"phase": "Failed", "containerStatuses": [
            container("main", terminated(0, "Completed", "{}")), container("proxy", terminated(4, "Error", "")),
        ]}),
    );
    check(&job("proxy"), Some(&proxy), FailureReason::ExitCode, "exit code 4 (Error) in container proxy");
    check(&job("third"), Some(&proxy), FailureReason::ExitCode, "exit code 4 in container third");
}

#[test]
fn a_pod_that_is_gone_without_an_exit_code_was_deleted() {
    let message = "the pod was deleted before it started";
    check(&backoff_limit(), None, FailureReason::PodDeleted, message);
    check(
        &backoff_limit(),
        Some(&deleted(waiting("ContainerCreating", ""))),
        FailureReason::PodDeleted,
        message,
    );
}

#[test]
fn a_pod_that_its_node_refused_was_disrupted() {
    let refused = pod_from(
        json!({}),
        json!({"phase": "Failed", "reason": "OutOfcpu", "message": "Pod was rejected: Node didn't have enough resource: cpu"}),
    );
    check(
        &backoff_limit(),
        Some(&refused),
        FailureReason::Disrupted,
        "the pod failed before it ran: OutOfcpu: Pod was rejected: Node didn't have enough resource: cpu",
    );
}

#[test]
fn a_job_past_its_deadline_that_never_started_missed_its_starting_deadline() {
    let job = failed_job("DeadlineExceeded", "Job was active longer than specified deadline");
    check(&job, None, FailureReason::StartingDeadlineExceeded, "it did not start in time");
    check(
        &job,
        Some(&deleted(waiting("ImagePullBackOff", "Back-off pulling image \"x\""))),
        FailureReason::ImagePullFailed,
        "it did not start in time; at last: ImagePullBackOff: Back-off pulling image \"x\"",
    );
}

#[test]
fn a_job_past_its_deadline_that_had_started_timed_out() {
    let job = failed_job("DeadlineExceeded", "Job was active longer than specified deadline");
    check(
        &job,
        Some(&deleted(crashed(137, "Error", ""))),
        FailureReason::TimedOut,
        "it did not end in time: DeadlineExceeded: Job was active longer than specified deadline",
    );
}

#[test]
fn a_failure_of_an_unknown_kind_is_told_by_the_pod() {
    let job = failed_job("SomethingNew", "words");
    check(&job, Some(&crashed(7, "Error", "x")), FailureReason::ExitCode, "exit code 7 (Error): x");
    check(
        &job,
        Some(&pod_from(json!({}), json!({"phase": "Failed"}))),
        FailureReason::Disrupted,
        "the pod failed before it ran: SomethingNew: words",
    );
    let unreadable = failed_job("PodFailurePolicy", "in words of a later release");
    check(&unreadable, Some(&crashed(7, "Error", "x")), FailureReason::ExitCode, "exit code 7 (Error): x");
}

// Before the end.

#[test]
fn a_job_without_a_pod_waits_for_nothing_known() {
    check_waiting(&active(), None, None, None);
    check_waiting(&active(), Some(&waiting("ContainerCreating", "")), None, None);
    check_waiting(&active(), Some(&waiting("PodInitializing", "")), None, None);
}

#[test]
fn a_waiting_attempt_is_explained_in_the_servers_words() {
    for (reason, message) in [
        ("ImagePullBackOff", "Back-off pulling image \"registry/x:1\""),
        ("ErrImagePull", "not found"),
        ("InvalidImageName", "couldn't parse image name"),
        ("CreateContainerConfigError", "secret \"x\" not found"),
    ] {
        check_waiting(&active(), Some(&waiting(reason, message)), Some(reason), Some(message));
    }
    let unscheduled = pod_from(
        json!({}),
        json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
        ]}),
    );
    check_waiting(&active(), Some(&unscheduled), Some("Unschedulable"), Some("0/3 nodes are available"));
    let hostile = waiting("ErrImagePull", "\u{1b}[31mx\u{202e}\0\ny");
    check_waiting(&active(), Some(&hostile), Some("ErrImagePull"), Some("x\u{fffd}\u{fffd} | y"));
}

#[test]
fn an_attempt_whose_first_init_container_cannot_start_waits() {
    let pod = pod_from(
        json!({}),
        json!({
            "phase": "Pending",
            "initContainerStatuses": [container("prepare", json!({"waiting": {"reason": "ImagePullBackOff", "message": "m"}}))],
            "containerStatuses": [container("main", json!({"waiting": {"reason": "PodInitializing"}}))],
        }),
    );
    check_waiting(&active(), Some(&pod), Some("ImagePullBackOff"), Some("m"));
}

#[test]
fn an_attempt_whose_init_container_has_run_still_waits_for_the_image_of_the_first_container() {
    let pod = |init: Value, reason: &str| {
        pod_from(
            json!({}),
            json!({
                "phase": "Pending", "initContainerStatuses": [container("prepare", init)],
                "containerStatuses": [container("main", json!({"waiting": {"reason": reason, "message": "m"}}))],
            }),
        )
    };
    let runs = json!({"running": {"startedAt": STARTED}});
    let preparing = pod(runs, "PodInitializing");
    check_waiting(&active(), Some(&preparing), Some("PodInitializing"), Some("init container prepare runs"));
    let stuck = pod(terminated(0, "Completed", ""), "ImagePullBackOff");
    check_waiting(&active(), Some(&stuck), Some("ImagePullBackOff"), Some("m"));
    let job = failed_job("DeadlineExceeded", "Job was active longer than specified deadline");
    let message = "it did not start in time; at last: ImagePullBackOff: m";
    check(&job, Some(&stuck), FailureReason::ImagePullFailed, message);
}

#[test]
fn an_attempt_of_which_another_container_cannot_start_waits_and_says_for_what() {
    let pod = |phase: &str, first: Value, second: &str| {
        let waits = json!({"waiting": {"reason": second, "message": "m"}});
        pod_from(
            json!({}),
            json!({"phase": phase, "containerStatuses": [container("main", first), container("two", waits)]}),
        )
    };
    let runs = || json!({"running": {"startedAt": STARTED}});
    for first in [runs(), terminated(0, "Completed", "")] {
        let stuck = pod("Pending", first, "ErrImagePull");
        check_waiting(&active(), Some(&stuck), Some("ErrImagePull"), Some("m"));
    }
    let expected = Seen::Attempt(Attempt::Running { start_time: time(STARTED) });
    // On the ordinary way to its start, or after it.
    assert_eq!(
        attempt(&active(), Some(&pod("Pending", runs(), "ContainerCreating")), false, NOTHING),
        expected
    );
    assert_eq!(
        attempt(&active(), Some(&pod("Running", runs(), "CrashLoopBackOff")), false, NOTHING),
        expected
    );
}

#[test]
fn an_attempt_runs_from_the_start_of_the_first_container_until_its_job_has_ended() {
    let expected = Seen::Attempt(Attempt::Running { start_time: time(STARTED) });
    assert_eq!(attempt(&active(), Some(&running()), false, NOTHING), expected);
    assert_eq!(attempt(&active(), Some(&succeeded("{}")), false, NOTHING), expected);
    let failure_target = job_from(
        json!({"conditions": [{"type": "FailureTarget", "status": "True", "reason": "PodFailurePolicy"}]}),
        false,
    );
    assert_eq!(attempt(&failure_target, Some(&running()), false, NOTHING), expected);
}

#[test]
fn a_suspended_job_is_stopped_once_nothing_of_it_runs() {
    let suspended = |terminating: i32| {
        job_from(
            json!({"terminating": terminating, "conditions": [{"type": "Suspended", "status": "True"}]}),
            true,
        )
    };
    assert_eq!(
        attempt(&suspended(0), Some(&deleted(running())), false, NOTHING),
        Seen::Attempt(Attempt::Stopped)
    );
    assert_eq!(
        attempt(&suspended(1), Some(&deleted(running())), false, NOTHING),
        Seen::Attempt(Attempt::Stopping)
    );
    let unobserved = job_from(json!({}), true);
    assert_eq!(attempt(&unobserved, None, false, NOTHING), Seen::Attempt(Attempt::Stopping));
}

// Which pod counts.

#[test]
fn an_ended_job_needs_its_pods_last_words() {
    for job in [complete_job(), exited(1), exited(137), backoff_limit(), failed_job("DeadlineExceeded", "")] {
        assert_eq!(attempt(&job, None, false, NOTHING), Seen::PodNeeded);
        assert_eq!(attempt(&job, Some(&running()), false, NOTHING), Seen::PodNeeded);
        assert_ne!(attempt(&job, Some(&crashed(1, "Error", "")), false, NOTHING), Seen::PodNeeded);
        assert_ne!(attempt(&job, None, true, NOTHING), Seen::PodNeeded);
    }
    assert_ne!(attempt(&disrupted(), None, false, NOTHING), Seen::PodNeeded);
}

#[test]
fn a_pod_of_another_job_says_nothing() {
    let mut forged = succeeded(r#"{"url": "https://evil"}"#);
    forged.identity.owner.as_mut().unwrap().uid = "other".to_owned();
    assert_eq!(attempt(&complete_job(), Some(&forged), false, NOTHING), Seen::PodNeeded);
    check_complete(Some(&forged), NOTHING, json!({}));
    check_waiting(&active(), Some(&forged), None, None);
}

#[test]
fn times_are_the_containers_and_the_jobs_where_there_is_no_pod() {
    let times = |job: &JobFacts, pod: Option<&PodFacts>| match attempt(job, pod, true, NOTHING) {
        Seen::Attempt(Attempt::Ended(outcome)) => (outcome.start_time, outcome.completion_time),
        other => panic!("{other:?}"),
    };
    assert_eq!(times(&complete_job(), Some(&succeeded(""))), (Some(time(STARTED)), Some(time(FINISHED))));
    assert_eq!(times(&complete_job(), None), (None, Some(time(CONDITION))));
    let mut slow_clock = disrupted();
    slow_clock.end.as_mut().unwrap().time = Some(time(CREATED));
    assert_eq!(times(&slow_clock, Some(&running())), (Some(time(STARTED)), Some(time(STARTED))));
}

// Outputs and messages.

#[test]
fn outputs_that_are_not_an_object_are_invalid_with_their_place() {
    let check_output = |output: &str, message: &str| {
        check_with(&complete_job(), Some(&succeeded(output)), OUTPUTS, FailureReason::OutputInvalid, message);
    };
    check_output("created", "outputs must be a JSON object: line 1 column 1: expected value");
    check_output("{\"a\": 1,\n}", "outputs must be a JSON object: line 2 column 1: trailing comma");
    check_output("[1]", "outputs must be a JSON object: line 1 column 1: a list instead of an object");
    check_output(
        r#"{"id": 9223372036854775808}"#,
        "outputs must be a JSON object: line 1 column 8: the integer 9223372036854775808 is beyond 64 bits signed",
    );
}

#[test]
fn outputs_that_were_cut_say_so() {
    let long = format!("{}\"}}", "x".repeat(4094));
    check_with(
        &complete_job(),
        Some(&succeeded(&long)),
        OUTPUTS,
        FailureReason::OutputInvalid,
        "outputs must be a JSON object: line 1 column 1: expected value; possibly cut to its last 4,096 bytes, the most that Kubernetes keeps",
    );
    let mut shared = succeeded(&"x".repeat(3072));
    shared.message_limit = 3072;
    check_with(
        &complete_job(),
        Some(&shared),
        OUTPUTS,
        FailureReason::OutputInvalid,
        "outputs must be a JSON object: line 1 column 1: expected value; possibly cut to 3072 bytes, this container's share of the 12 KiB that Kubernetes keeps of a pod",
    );
}

#[test]
fn the_largest_outputs_that_kubernetes_keeps_are_read() {
    let value = "x".repeat(4096 - r#"{"a":""}"#.len());
    check_complete(Some(&succeeded(&format!(r#"{{"a":"{value}"}}"#))), OUTPUTS, json!({"a": value}));
}

#[test]
fn blanks_that_fill_a_message_may_have_cut_outputs_away() {
    let cut = "outputs must be a JSON object: only blanks are left; possibly cut to its last 4,096 bytes, the most that Kubernetes keeps";
    let full = |blank: &str| succeeded(&blank.repeat(4096));
    check_with(&complete_job(), Some(&full(" ")), OUTPUTS, FailureReason::OutputInvalid, cut);
    check_with(&complete_job(), Some(&full("\n")), OUTPUTS, FailureReason::OutputInvalid, cut);
    check_complete(Some(&succeeded(&" ".repeat(4092))), OUTPUTS, json!({}));
    let behind = format!("{}{{\"a\":1}}", " ".repeat(4096 - 7));
    check_complete(Some(&succeeded(&behind)), OUTPUTS, json!({"a": 1}));
}

#[test]
fn a_message_cannot_steer_a_terminal() {
    let hostile = crashed(1, "Error", "\u{1b}[31mfirst\u{1b}[0m\r\nsecond\0\u{202e}dne\u{9b}2J\n");
    check(
        &exited(1),
        Some(&hostile),
        FailureReason::ExitCode,
        "exit code 1 (Error): first | second\u{fffd}\u{fffd}dne\u{fffd}2J",
    );
}

#[test]
fn a_long_message_keeps_the_last_words() {
    let text = format!("{}the end", "🦀".repeat(1000));
    let Verdict::Failed { message, .. } = verdict(&exited(1), Some(&crashed(1, "Error", &text)), NOTHING)
    else {
        panic!()
    };
    assert!(message.len() <= 1024 && message.len() > 1000, "{}", message.len());
    assert!(message.starts_with("exit code 1 (Error): …") && message.ends_with("the end"), "{message}");
}

proptest! {
    // What is left of outputs that were cut parses only if nothing but blanks was cut away.
    #[test]
    fn no_end_of_outputs_is_taken_for_outputs(
        keys in prop::collection::vec("[a-z{}\":, ]{0,6}", 1..6), cut in 1usize..200,
    ) {
        let nested = keys.iter().fold(json!({}), |inner, key| json!({key.as_str(): inner, "k": [inner], "s": key}));
        let text = nested.to_string();
        let end = text.get(cut.min(text.len() - 1)..).unwrap_or_default();
        prop_assert!(value::parse_outputs(end).is_err(), "{end}");
    }

    #[test]
    fn nothing_that_a_pod_or_a_job_says_makes_it_panic_or_talk_too_long(
        code in any::<i32>(), signal in any::<Option<i32>>(), texts in prop::collection::vec(".{0,200}|[🦀\u{0}]{900,1100}", 6),
        policy in any::<bool>(), has_pod in any::<bool>(), gone in any::<bool>(),
    ) {
        let [reason, message, pod_reason, pod_message, end_reason, end_message] = texts.as_slice() else { panic!() };
        let mut pod = crashed(code, reason, message);
        pod.first.as_mut().unwrap().signal = signal;
        pod.said = Said { reason: pod_reason.clone(), message: pod_message.clone() };
        pod.identity.deletion_time = gone.then(|| time(STARTED));
        for job in [
            complete_job(),
            failed_job(if policy { "PodFailurePolicy" } else { end_reason }, end_message),
            failed_job("PodFailurePolicy", &format!("Container {end_reason} for pod failed with exit code {code} matching FailJob rule at index 1")),
        ] {
            if let Verdict::Failed { message, .. } = verdict(&job, Some(&pod).filter(|_| has_pod), OUTPUTS) {
                prop_assert!(message.len() <= 1024, "{}", message.len());
                prop_assert!(!message.chars().any(char::is_control));
            }
        }
    }
}
