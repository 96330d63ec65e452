//! What a Job and its pod say about an attempt, in the engine's words: the table "How an attempt ended".
//!
//! Responsible for: one verdict for every combination of facts; the Job's condition is the truth, the pod says more.
//! Must never: look at the world, decide what comes next, or let a pod's words through as they are.

use jiff::{SignedDuration, Timestamp};

use super::facts::{JobEnd, JobFacts, Phase, PodFacts, Said, Terminated};
use crate::api::common::Object;
use crate::engine::observe::{Attempt, FailureReason, Outcome, Verdict};
use crate::engine::{text, value};

/// Most bytes of a message.
const MAX_MESSAGE: usize = 1024;
/// Room for what explains a message, so that the text of the pod never crowds it out.
const MAX_WORDS: usize = 640;
/// The exit codes of a container that was asked to end, or made to.
const SIGKILLED: i32 = 137;
const SIGTERMED: i32 = 143;
/// A node's clock tells when a container ended, and the API server's when its deletion was asked for: in whole seconds.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(5);
/// The runtime's reason for a container that used more memory than it may.
const OOM_KILLED: &str = "OOMKilled";

/// What the definitions expect of an attempt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expectation<'a> {
    /// The activity declares an output schema, or somebody reads its outputs.
    pub outputs_matter: bool,
    /// Exit codes after which trying again is pointless.
    pub fatal: &'a [i32],
}

/// What can be said about an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// What is known of it.
    Attempt(Attempt),
    /// The Job has ended and the pod's last words are missing: read the pod from the server, then ask again with
    /// `pod_is_current`.
    PodNeeded,
}

/// What a Job, and its pod if there is one, say about an attempt.
///
/// `pod_is_current`: the pod, or that there is none, is the server's own answer from after the Job was read. A
/// cached pod is as good once it is terminal.
#[must_use]
pub fn attempt(
    job: &JobFacts,
    pod: Option<&PodFacts>,
    pod_is_current: bool,
    expectation: Expectation<'_>,
) -> Seen {
    // A pod with our labels that another made says nothing about this attempt.
    let pod =
        pod.filter(|pod| pod.identity.owner.as_ref().is_some_and(|owner| owner.uid == job.identity.uid));
    let Some(end) = &job.end else { return Seen::Attempt(unfinished(job, pod)) };
    let failure = Failure::from(&end.said);
    let pod_is_settled = pod_is_current || pod.is_some_and(PodFacts::is_terminal);
    if !pod_is_settled && (end.complete || failure != Failure::Disruption) {
        return Seen::PodNeeded;
    }
    let verdict = if end.complete {
        complete(pod, expectation)
    } else {
        let (reason, message) = failed(end, failure, pod, expectation);
        Verdict::Failed { reason, message: text::head(&message, MAX_MESSAGE) }
    };
    let start_time = pod.and_then(|pod| pod.start_time);
    // Another clock wrote the Job's time.
    let completion_time = pod.and_then(|pod| pod.finish_time).or(end.time.max(start_time));
    Seen::Attempt(Attempt::Ended(Outcome { verdict, start_time, completion_time }))
}

fn unfinished(job: &JobFacts, pod: Option<&PodFacts>) -> Attempt {
    if job.is_stopped() {
        return Attempt::Stopped;
    }
    if job.suspended {
        return Attempt::Stopping;
    }
    let said = pod.and_then(PodFacts::waits_for);
    // A pod whose first container has started may never get another one, and then never ends.
    let is_held_up = pod.is_some_and(|pod| pod.phase == Phase::Pending) && said.is_some();
    if let Some(start_time) = pod.and_then(|pod| pod.start_time).filter(|_| !is_held_up) {
        return Attempt::Running { start_time };
    }
    let message = said.map(|said| text::head(&text::one_line(&said.message), MAX_MESSAGE));
    Attempt::Waiting {
        since: job.identity.creation_time,
        reason: said.map(|said| text::one_line(&said.reason)).filter(|reason| !reason.is_empty()),
        message: message.filter(|message| !message.is_empty()),
    }
}

fn complete(pod: Option<&PodFacts>, expectation: Expectation<'_>) -> Verdict {
    let Some((pod, first)) = pod.and_then(|pod| Some((pod, pod.first.as_ref()?))) else {
        return if expectation.outputs_matter {
            let message = "it succeeded, but its pod is gone, and its outputs with it".to_owned();
            Verdict::Failed { reason: FailureReason::OutputLost, message }
        } else {
            Verdict::Complete(Object::new())
        };
    };
    let cut_note = cut_note(first, pod.message_limit);
    match value::parse_outputs(&first.message) {
        // Blanks alone are no outputs, but what was cut away before so many of them may have been some. An object that
        // follows on a cut is whole: nothing that ends in an object is JSON with anything but blanks before it.
        Ok(_) if !cut_note.is_empty() && first.message.trim().is_empty() => Verdict::Failed {
            reason: FailureReason::OutputInvalid,
            message: format!("outputs must be a JSON object: only blanks are left{cut_note}"),
        },
        Ok(outputs) => Verdict::Complete(outputs),
        Err(problem) => Verdict::Failed {
            reason: FailureReason::OutputInvalid,
            message: format!(
                "outputs must be a JSON object: {}{cut_note}",
                text::head(&text::one_line(&problem), MAX_WORDS),
            ),
        },
    }
}

/// The kubelet cuts without a word. A character cut in two may have cost up to three bytes of a full message.
fn cut_note(first: &Terminated, limit: usize) -> String {
    if first.message.len() + 3 < limit {
        String::new()
    } else if limit == 4096 {
        "; possibly cut to its last 4,096 bytes, the most that Kubernetes keeps".to_owned()
    } else {
        format!(
            "; possibly cut to {limit} bytes, this container's share of the 12 KiB that Kubernetes keeps of a pod"
        )
    }
}

/// What the condition Failed of a Job says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    /// Rule 0 of the failure policy: the pod had the condition DisruptionTarget.
    Disruption,
    /// Rule 1: a container ended with another exit code than 0.
    ExitCode { code: i32, container: Option<String> },
    /// The Job was active longer than it may.
    Deadline,
    /// Something else, such as BackoffLimitExceeded: the pod failed without an exit code.
    Other,
}

impl From<&Said> for Failure {
    fn from(said: &Said) -> Self {
        // "Pod ns/x has condition DisruptionTarget matching FailJob rule at index 0"
        // "Container main for pod ns/x failed with exit code 3 matching FailJob rule at index 1"
        let after = |marker: &str| said.message.split_once(marker).map(|(_, rest)| rest);
        let number = |marker: &str| {
            let rest = after(marker)?;
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest.get(..end)?.parse::<i32>().ok()
        };
        match said.reason.as_str() {
            "PodFailurePolicy" => match (number(" rule at index "), number(" exit code ")) {
                (Some(0), _) => Self::Disruption,
                (_, Some(code)) => Self::ExitCode {
                    code,
                    container: after("Container ").and_then(|rest| rest.split(' ').next()).map(str::to_owned),
                },
                _ => Self::Other,
            },
            "DeadlineExceeded" => Self::Deadline,
            _ => Self::Other,
        }
    }
}

fn failed(
    end: &JobEnd,
    failure: Failure,
    pod: Option<&PodFacts>,
    expectation: Expectation<'_>,
) -> (FailureReason, String) {
    if failure == Failure::Disruption {
        let why = pod.and_then(|pod| pod.disruption.as_ref());
        return (
            FailureReason::Disrupted,
            format!("the pod was disrupted: {}", words(why.unwrap_or(&end.said))),
        );
    }
    // Its own deadline ends a pod with whatever exit code its containers then have, so it comes before the codes.
    if let Some(pod) = pod.filter(|pod| pod.said.reason == "DeadlineExceeded") {
        return (
            FailureReason::TimedOut,
            format!("it did not end in time: {}", text::one_line(&pod.said.message)),
        );
    }
    match failure {
        Failure::Disruption | Failure::Other => without_code(end, pod, expectation),
        Failure::ExitCode { code, container } => with_code(code, container.as_deref(), pod, expectation),
        Failure::Deadline if pod.is_some_and(PodFacts::has_started) => {
            (FailureReason::TimedOut, format!("it did not end in time: {}", words(&end.said)))
        }
        Failure::Deadline => {
            let waits_for = pod.and_then(PodFacts::waits_for);
            let obstacle = waits_for.map(|said| format!("; at last: {}", words(said)));
            (
                FailureReason::of_wait(waits_for.map(|said| said.reason.as_str())),
                format!("it did not start in time{}", obstacle.unwrap_or_default()),
            )
        }
    }
}

/// A container ended with another exit code than 0, in the Job's own words.
fn with_code(
    code: i32,
    container: Option<&str>,
    pod: Option<&PodFacts>,
    expectation: Expectation<'_>,
) -> (FailureReason, String) {
    let all = || pod.into_iter().flat_map(|pod| pod.first.iter().chain(&pod.other_failure));
    let ended =
        all().find(|ended| ended.exit_code == code && container.is_none_or(|name| ended.container == name));
    if was_deleted(pod, ended) {
        return (FailureReason::PodDeleted, format!("the pod was deleted (exit code {code})"));
    }
    // The first container is the activity; of any other the message says which.
    let first = pod.and_then(|pod| pod.first.as_ref()).map(|first| first.container.as_str());
    let kind = if ended.is_some_and(|ended| ended.init) { "init container" } else { "container" };
    let known = ended.is_some() || first.is_some();
    let place = container.filter(|name| known && Some(*name) != first);
    let place = place.map(|name| format!(" in {kind} {}", text::one_line(name))).unwrap_or_default();
    let said = ended.map(|ended| text::one_line(&ended.message)).unwrap_or_default();
    let is_fatal = expectation.fatal.contains(&code);
    let reason = if is_fatal { FailureReason::FatalExitCode } else { FailureReason::ExitCode };
    let message = exit_code(code, is_fatal, ended) + &place;
    let message = text::head(&message, MAX_MESSAGE - MAX_WORDS);
    if said.is_empty() {
        return (reason, message);
    }
    let room = MAX_MESSAGE - message.len() - 2;
    (reason, format!("{message}: {}", text::tail(&said, room)))
}

/// Whether a pod was being deleted when a container of it ended: whatever its exit code then was, it says nothing about
/// the work. The Job controller deletes pods too, but of Jobs that are suspended or past their deadline, which say so.
/// And a pod is kept as long as its Job if nobody deletes it: one that is gone was deleted, and takes along when.
fn was_deleted(pod: Option<&PodFacts>, ended: Option<&Terminated>) -> bool {
    let Some(pod) = pod else { return true };
    let Some(asked) = pod.identity.deletion_time else { return false };
    // One that ran out of memory before would have failed undeleted too, and was not ended by a signal of the deletion.
    let is_signalled = ended
        .is_none_or(|ended| matches!(ended.exit_code, SIGKILLED | SIGTERMED) && ended.reason != OOM_KILLED);
    let latest = asked.saturating_sub(CLOCKS_DIFFER).unwrap_or(Timestamp::MIN);
    is_signalled || ended.and_then(|ended| ended.finished_at).is_none_or(|finished| finished >= latest)
}

/// The pod failed, and no container has an exit code.
fn without_code(
    end: &JobEnd,
    pod: Option<&PodFacts>,
    expectation: Expectation<'_>,
) -> (FailureReason, String) {
    let Some(pod) = pod else {
        return (FailureReason::PodDeleted, "the pod was deleted before it started".to_owned());
    };
    if let Some(why) = &pod.disruption {
        return (FailureReason::Disrupted, format!("the pod was disrupted: {}", words(why)));
    }
    if let Some(ended) = pod.first.iter().chain(&pod.other_failure).find(|ended| ended.exit_code != 0) {
        return with_code(ended.exit_code, Some(&ended.container), Some(pod), expectation);
    }
    if pod.identity.is_deleted() {
        return (FailureReason::PodDeleted, "the pod was deleted before it started".to_owned());
    }
    // A node that refuses a pod (OutOfcpu, NodeAffinity, UnexpectedAdmissionError) fails it before anything ran.
    let why = if pod.said.reason.is_empty() { &end.said } else { &pod.said };
    (FailureReason::Disrupted, format!("the pod failed before it ran: {}", words(why)))
}

/// `exit code 1 (Error)`, with what else the runtime knows.
fn exit_code(code: i32, fatal: bool, ended: Option<&Terminated>) -> String {
    let reason = ended.map(|ended| text::one_line(&ended.reason)).unwrap_or_default();
    // That it is an error needs no saying where it is called fatal.
    let idle = reason.is_empty() || (fatal && reason == "Error");
    let reason = (!idle).then_some(reason);
    let signal = ended.and_then(|ended| ended.signal).unwrap_or(code.saturating_sub(128));
    // What ran out of memory was killed: the signal says nothing more.
    let signal = signal_name(signal).filter(|_| reason.as_deref() != Some(OOM_KILLED)).map(str::to_owned);
    let details: Vec<_> = reason.into_iter().chain(signal).collect();
    let fatal = if fatal { "fatal " } else { "" };
    if details.is_empty() {
        format!("{fatal}exit code {code}")
    } else {
        format!("{fatal}exit code {code} ({})", details.join(", "))
    }
}

/// `Reason: message`, as far as there is either.
fn words(said: &Said) -> String {
    let (reason, message) = (text::one_line(&said.reason), text::one_line(&said.message));
    let both = if reason.is_empty() || message.is_empty() { "" } else { ": " };
    text::head(&format!("{reason}{both}{message}"), MAX_MESSAGE)
}

/// The names of the signals that end a process, as Linux numbers them.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
