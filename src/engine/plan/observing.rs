//! First part of a plan: what was observed becomes the state of the activities.
//!
//! Responsible for: translating attempts into entries. Must never: start or stop anything.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use super::super::condition::stamp;
use super::super::observe::{Attempt, FailureReason, Outcome, Verdict};
use super::super::schema;
use super::super::state::is_final;
use super::super::value::{bytes, cut_stored, printable, stored_bytes};
use super::retrying::{Failure, is_given_up};
use super::{MAX_ACTIVITY_OUTPUT_BYTES, MAX_TOTAL_OUTPUT_BYTES, Notice, Planner, UNEXPLAINED, UNSEEN};
use crate::api::common::Object;
use crate::api::orchestration::{ActivityState, ActivityStatus};

/// Most bytes that the outputs of one activity take where they are stored: `<` takes six.
const LARGEST_STORED_OUTPUTS: usize = 6 * MAX_ACTIVITY_OUTPUT_BYTES;

impl Planner<'_> {
    /// Looks at every activity once.
    pub(super) fn observe(&mut self) {
        let mut output_bytes = None;
        for activity in 0..self.compiled.activities.len() {
            self.plan.work += 1;
            if is_final(self.state(activity)) {
                continue;
            }
            match self.seen(activity).clone() {
                Attempt::Absent => self.absent(activity),
                Attempt::Refused { since, retry_at: _, reason, message } => {
                    self.refused(activity, since, reason, message);
                }
                Attempt::Requested { at } => {
                    self.wake(at.max(self.now).saturating_add(UNSEEN).unwrap_or(Timestamp::MAX));
                    self.running(activity, at, None, None, None);
                }
                Attempt::Waiting { since, reason, message } => self.waiting(activity, since, reason, message),
                Attempt::Running { start_time } => {
                    self.running(activity, start_time, Some(start_time), None, None);
                }
                Attempt::Stopping => self.stopping(activity),
                Attempt::Stopped => self.stopped(activity),
                Attempt::Ended(outcome) => self.ended(activity, outcome, &mut output_bytes),
            }
        }
        self.contest_room(output_bytes);
    }

    /// Whoever plans this round again, after a crash, may see other activities complete besides, and room for them first.
    /// Only where all outputs to come fit, that decides nothing.
    fn contest_room(&mut self, output_bytes: Option<usize>) {
        let Some(taken) = output_bytes else { return };
        let is_new = |activity: usize| {
            self.entry(activity).outputs.is_some() && self.stored_entry(activity).outputs.is_none()
        };
        let all = 0..self.compiled.activities.len();
        if all.clone().any(is_new) {
            let open = all.filter(|activity| self.is_open(*activity)).count();
            self.is_room_contested = taken + open * LARGEST_STORED_OUTPUTS > MAX_TOTAL_OUTPUT_BYTES;
        }
    }

    fn refused(&mut self, activity: usize, since: Timestamp, reason: String, message: String) {
        let limit = self.message_limit();
        let is_retry = self.state(activity) == ActivityState::Retrying;
        let state = if is_retry { ActivityState::Retrying } else { ActivityState::Pending };
        self.advance(activity, state, |entry| {
            entry.ready_time.get_or_insert_with(|| stamp(since));
            entry.reason = Some(cut_stored(reason, 128));
            entry.message = Some(cut_stored(message, limit));
        });
    }

    fn waiting(
        &mut self,
        activity: usize,
        since: Timestamp,
        reason: Option<String>,
        message: Option<String>,
    ) {
        // Once its Job is gone nothing tells of the end of a pod, and nothing is left to be stopped.
        let has_job = reason.as_deref() != Some(FailureReason::JobVanished.as_str());
        if reason.is_none() || !has_job {
            let explained = since.saturating_add(UNEXPLAINED).unwrap_or(Timestamp::MAX);
            let again = self.now.saturating_add(UNSEEN).unwrap_or(Timestamp::MAX);
            self.wake(if explained > self.now { explained } else { again });
        }
        let deadline = self.starting_deadline(activity, since);
        if has_job && self.entry(activity).start_time.is_none() && !self.is_stopping(activity) {
            if self.now >= deadline {
                return self.give_up(activity, since, reason.as_deref(), message.as_deref());
            }
            self.wake(deadline);
        }
        self.running(activity, since, None, reason, message);
    }

    pub(super) fn running(
        &mut self,
        activity: usize,
        ready: Timestamp,
        start: Option<Timestamp>,
        reason: Option<String>,
        message: Option<String>,
    ) {
        let limit = self.message_limit();
        let attempt = self.attempt(activity);
        self.advance(activity, ActivityState::Running, |entry| {
            entry.attempt = attempt;
            entry.next_attempt_time = None;
            entry.ready_time.get_or_insert_with(|| stamp(ready));
            if let Some(start) = start {
                entry.start_time.get_or_insert_with(|| stamp(start));
            }
            entry.reason = reason.map(|reason| cut_stored(reason, 128));
            entry.message = message.map(|message| cut_stored(message, limit));
        });
    }

    /// What ends has begun, also if whoever started it could not record it.
    fn stopping(&mut self, activity: usize) {
        if self.state(activity) != ActivityState::Running {
            self.running(activity, self.now, None, None, None);
        }
        if is_given_up(self.stored_entry(activity)) {
            self.wake(self.now.saturating_add(UNSEEN).unwrap_or(Timestamp::MAX));
        }
    }

    /// A stop that is ours ends the activity. One that is not (a queueing system holds Jobs back by suspending them)
    /// is waited for.
    fn stopped(&mut self, activity: usize) {
        if self.is_stopping(activity) {
            if self.state(activity) != ActivityState::Running {
                self.running(activity, self.now, None, None, None);
            }
            self.cancel(activity, false);
        } else if is_given_up(self.stored_entry(activity)) {
            self.fail_given_up(activity);
        } else {
            let why = "the Job is suspended, and not by the orchestrator".to_owned();
            self.running(activity, self.now, None, Some("Suspended".to_owned()), Some(why));
        }
    }

    fn ended(&mut self, activity: usize, outcome: Outcome, output_bytes: &mut Option<usize>) {
        let completion = outcome.completion_time.or(outcome.start_time).unwrap_or(self.now);
        let attempt = self.attempt(activity);
        let times = |entry: &mut ActivityStatus| {
            entry.attempt = attempt;
            entry.next_attempt_time = None;
            if let Some(start) = outcome.start_time {
                entry.start_time = Some(stamp(start));
            }
            entry.ready_time.get_or_insert_with(|| stamp(outcome.start_time.unwrap_or(completion)));
            entry.completion_time = Some(stamp(completion));
        };
        match outcome.verdict {
            // A Job that ends its pod by its own deadline leaves nothing that tells of the start; it was recorded.
            Verdict::Failed { reason: FailureReason::StartingDeadlineExceeded, .. }
                if self.stored_entry(activity).start_time.is_some() =>
            {
                let reason = FailureReason::TimedOut;
                let message = "it did not end in time, and its pod is gone".to_owned();
                self.fail_attempt(activity, Failure { reason, message, ended: completion }, times);
            }
            Verdict::Failed { reason, message } => {
                self.fail_attempt(activity, Failure { reason, message, ended: completion }, times);
            }
            Verdict::Complete(outputs) => {
                let total = output_bytes.get_or_insert_with(|| self.recorded_output_bytes());
                if let Err((reason, message)) = self.check_outputs(activity, &outputs, *total) {
                    return self.fail_with(activity, reason, message, times);
                }
                *total += if outputs.is_empty() { 0 } else { stored_bytes(&outputs) };
                self.advance(activity, ActivityState::Succeeded, |entry| {
                    times(entry);
                    entry.reason = None;
                    entry.message = None;
                    entry.outputs = (!outputs.is_empty()).then_some(outputs);
                });
            }
        }
    }

    /// Whether outputs can be recorded: decided here, because a status that the server refuses would be refused again
    /// and again.
    fn check_outputs(
        &self,
        activity: usize,
        outputs: &Object,
        recorded: usize,
    ) -> Result<(), (FailureReason, String)> {
        let size = bytes(outputs);
        if size > MAX_ACTIVITY_OUTPUT_BYTES {
            let message = format!(
                "the outputs have {size} bytes of JSON, at most {MAX_ACTIVITY_OUTPUT_BYTES} are kept: hand on a reference to what is larger"
            );
            return Err((FailureReason::OutputTooLarge, message));
        }
        let schema = self.compiled.activities.get(activity).and_then(|a| a.output_schema.as_ref());
        if let Some(schema) = schema {
            let violations = schema.validate(&Value::Object(outputs.clone()), "outputs");
            if !violations.is_empty() {
                // A quarter is left for what there was, which is cut at its end.
                let limit = self.message_limit();
                let why = schema::text_within(&violations, limit - limit / 4);
                let was = printable(&serde_json::to_string(outputs).unwrap_or_default());
                let message = format!("{why}\nthe outputs were {was}");
                return Err((FailureReason::OutputInvalid, message));
            }
        }
        let size = stored_bytes(outputs);
        // None are not stored.
        if !outputs.is_empty() && recorded + size > MAX_TOTAL_OUTPUT_BYTES {
            let message = format!(
                "the outputs of all activities together exceed {MAX_TOTAL_OUTPUT_BYTES} bytes with the {size} bytes of this one"
            );
            return Err((FailureReason::OutputTooLarge, message));
        }
        Ok(())
    }

    fn recorded_output_bytes(&self) -> usize {
        self.before.iter().filter_map(|entry| entry.outputs.as_ref()).map(stored_bytes).sum()
    }

    /// Failures of this round, for people.
    pub(super) fn tell_failures(&mut self) {
        let failures: Vec<Notice> = self
            .changed
            .iter()
            .filter_map(|(activity, entry)| {
                let (activity, attempt) = (*activity, entry.attempt);
                let reason = entry.reason.clone().unwrap_or_default();
                let message = entry.message.clone().unwrap_or_default();
                if entry.state == ActivityState::Failed {
                    Some(Notice::ActivityFailed { activity, attempt, reason, message })
                } else if self.has_failed_anew(activity, entry) {
                    Some(Notice::Retrying { activity, attempt, reason, message })
                } else {
                    None
                }
            })
            .collect();
        self.plan.notices.extend(failures);
    }
}

/// The later of two optional times.
pub(super) fn latest(a: Option<&Time>, b: Option<&Time>) -> Option<Time> {
    a.into_iter().chain(b).max_by_key(|time| time.0).cloned()
}
