//! Attempts: how they end, and what follows.
//!
//! Responsible for: the table "How an attempt ended" of `protocol.md`, both budgets, the pauses, and that nothing is
//! stopped before that was decided. Must never: take the recorded reason for the truth; the Job is.

use jiff::SignedDuration;
use orchestrator::api::orchestration::ActivityState;
use orchestrator::embedded::store::Store;
use serde_json::Value;

use super::{Activity, Book, find, seconds};
use crate::support::simulated::nodes::{has, label};
use crate::support::simulated::reading::{children, entry, is_active, is_alive, recorded, text, time};
use crate::support::simulated::scenario::{FACTOR, FATAL, LONGEST_PAUSE, Step};

/// Attempts that the cluster may take away.
const DISRUPTIONS: u64 = 10;
/// Least time that what is stopped has to end.
const GRACE: SignedDuration = SignedDuration::from_secs(60);

/// What the Job of an attempt says of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    /// It was taken away.
    Disrupted,
    /// It has failed by itself, with this exit code.
    Failed(i64),
    /// It took too long.
    TooLong,
    /// It goes on.
    GoesOn,
    /// Nobody can say, or more than one answer is right.
    Open,
}

impl Book {
    /// A Job is suspended: was that decided, and stored?
    pub(super) fn check_stop(&mut self, store: &Store, key: &Activity, owner: &str, attempt: u32) {
        let (uid, activity) = key;
        let Some(run) = find(store, owner, uid) else { return };
        let decided = if self.scenario.is_finally(activity) { "finallyStopTime" } else { "stopTime" };
        let entry = entry(run, activity);
        let reason = entry["reason"].as_str().unwrap_or_default();
        let is_given_up = recorded(run, activity) == ActivityState::Running
            && entry["attempt"] == attempt
            && matches!(reason, "StartingDeadlineExceeded" | "ImagePullFailed");
        if run["status"][decided].is_null() && !is_given_up {
            self.broken(
                11,
                format!("the Job of \"{activity}\" is suspended before that is decided and stored"),
            );
        }
    }

    /// An entry leaves an attempt behind: nothing of it may go on, unless it was stopped and does not end.
    pub(super) fn check_over(&mut self, store: &Store, run: &Value, key: &Activity) {
        let (uid, activity) = key;
        if !self.is_certain(key) {
            return;
        }
        let goes_on = children(store, "/pods", uid, activity).any(|pod| is_alive(&pod.value))
            || children(store, "batch/jobs", uid, activity).any(|job| is_active(&job.value));
        let decided = if self.scenario.is_finally(activity) { "finallyStopTime" } else { "stopTime" };
        let stop = time(run, &format!("/status/{decided}"));
        let state = recorded(run, activity);
        let is_overdue =
            state == ActivityState::Cancelled && stop.is_some_and(|stop| stop + GRACE <= self.now());
        if goes_on && !is_overdue {
            self.broken(1, format!("\"{activity}\" is recorded as {state:?} while something of it goes on"));
        }
    }

    /// An attempt is recorded as failed, in the end or with another to follow.
    pub(super) fn check_failure(&mut self, store: &Store, old: &Value, new: &Value, key: &Activity) {
        let Some(step) = self.scenario.step(&key.1).cloned() else { return };
        let (before, after) = (entry(old, &key.1), entry(new, &key.1));
        let number = |entry: &Value, what: &str| entry[what].as_u64().unwrap_or_default();
        let (attempt, disruptions) = (number(after, "attempt"), number(after, "disruptions"));
        if attempt == 0 {
            return;
        }
        let is_retried = recorded(new, &key.1) == ActivityState::Retrying;
        let was_disrupted = disruptions > number(before, "disruptions");
        let counted = attempt - disruptions.min(attempt);
        let budget = u64::from(step.retries);
        if is_retried && (counted > budget || disruptions > DISRUPTIONS) {
            self.broken(4, format!("\"{}\" is tried again after its budget: {after}", key.1));
        }
        if is_retried {
            self.check_pause(store, new, key, attempt, &step);
        }
        if !self.is_certain(key) {
            return;
        }
        let truth = truth(store, key, attempt);
        let reason = after["reason"].as_str().unwrap_or_default();
        let is_right = match truth {
            Truth::GoesOn => false,
            Truth::Open => true,
            Truth::Disrupted if number(before, "disruptions") < DISRUPTIONS => is_retried && was_disrupted,
            Truth::Disrupted => !is_retried,
            Truth::Failed(code) if code == i64::from(FATAL) => !is_retried && reason == "ExitCode",
            Truth::Failed(_) => !was_disrupted && reason == "ExitCode" && is_retried == (counted <= budget),
            Truth::TooLong => !was_disrupted && is_retried == (counted <= budget),
        };
        if !is_right {
            let state = recorded(new, &key.1);
            self.broken(
                8,
                format!(
                    "attempt {attempt} of \"{}\" was {truth:?} and is recorded as {state:?}: {after}",
                    key.1
                ),
            );
        }
        let is_spent = matches!(reason, "TimedOut" | "StartingDeadlineExceeded" | "ImagePullFailed");
        if !is_retried && is_spent && counted <= budget {
            self.broken(4, format!("\"{}\" has failed with retries left: {after}", key.1));
        }
    }

    /// The next attempt comes after a pause that grows with every attempt, and not much later.
    fn check_pause(&mut self, store: &Store, run: &Value, key: &Activity, attempt: u64, step: &Step) {
        let exponent = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let pause = step.pause.saturating_mul(FACTOR.saturating_pow(exponent)).min(LONGEST_PAUSE);
        let longest = seconds(i64::from(pause) + 1);
        let Some(next) = time(run, &format!("/status/activities/{}/nextAttemptTime", key.1)) else {
            return self.broken(4, format!("nobody knows when \"{}\" is tried again", key.1));
        };
        let made = children(store, "batch/jobs", &key.0, &key.1)
            .find(|job| label(&job.value, "attempt") == attempt.to_string())
            .and_then(|job| time(&job.value, "/metadata/creationTimestamp"));
        let is_early = made.is_some_and(|made| next < made + seconds(i64::from(pause) * 4 / 5));
        if is_early || next > self.now() + longest {
            self.broken(4, format!("attempt {attempt} of \"{}\" is followed by another at {next}", key.1));
        }
    }
}

/// A pod is kept if it is deleted while it runs; one that has ended is gone at once.
fn is_deleted(pod: &Value) -> bool {
    !pod["metadata"]["deletionTimestamp"].is_null()
}

/// How an attempt ended, by its Job.
fn truth(store: &Store, (uid, activity): &Activity, attempt: u64) -> Truth {
    let is_of = |object: &Value| label(object, "attempt") == attempt.to_string();
    let Some(job) = children(store, "batch/jobs", uid, activity).find(|job| is_of(&job.value)) else {
        return Truth::Open;
    };
    let pod = children(store, "/pods", uid, activity).find(|pod| is_of(&pod.value)).map(|pod| &pod.value);
    let conditions = job.value.pointer("/status/conditions").and_then(Value::as_array);
    let failed = conditions.into_iter().flatten().find(|condition| condition["type"] == "Failed");
    let Some(failed) = failed else {
        return match () {
            () if has(&job.value, "Complete") => Truth::Disrupted,
            () if is_active(&job.value) => Truth::GoesOn,
            // Given up, and stopped.
            () => Truth::TooLong,
        };
    };
    let message = failed["message"].as_str().unwrap_or_default();
    let code = message.split_once(" exit code ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
    let is_timed_out = pod.is_some_and(|pod| text(pod, "/status/reason") == Some("DeadlineExceeded"));
    match (failed["reason"].as_str(), code) {
        (Some("PodFailurePolicy"), _) if message.ends_with("index 0") => Truth::Disrupted,
        (Some("PodFailurePolicy"), _) if is_timed_out => Truth::TooLong,
        // Whether it was deleted before it ended, the pod alone tells.
        (Some("PodFailurePolicy"), Some(_)) if pod.is_none() => Truth::Open,
        (Some("PodFailurePolicy"), Some(code)) => match pod.is_some_and(is_deleted) {
            true => Truth::Disrupted,
            false => Truth::Failed(code),
        },
        (Some("DeadlineExceeded"), _) => Truth::TooLong,
        _ => Truth::Open,
    }
}
