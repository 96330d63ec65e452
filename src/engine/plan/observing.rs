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
use super::super::value::{bytes, cut_stored, shown, stored_bytes};
use super::{MAX_ACTIVITY_OUTPUT_BYTES, MAX_TOTAL_OUTPUT_BYTES, Notice, Planner, UNEXPLAINED, UNSEEN};
use crate::api::common::Object;
use crate::api::orchestration::{ActivityState, ActivityStatus};

impl Planner<'_> {
    /// Looks at every activity once.
    pub(super) fn observe(&mut self) {
        let mut output_bytes = None;
        for activity in 0..self.compiled.activities.len() {
            self.plan.work += 1;
            if is_final(self.state(activity)) {
                continue;
            }
            match self.observed.attempt(activity).clone() {
                Attempt::Absent => {}
                Attempt::Refused { since, retry_at: _, reason, message } => {
                    self.refused(activity, since, reason, message);
                }
                Attempt::Requested { at } => {
                    self.wake(at.max(self.now).saturating_add(UNSEEN).unwrap_or(Timestamp::MAX));
                    self.running(activity, at, None, None, None);
                }
                Attempt::Waiting { since, reason, message } => {
                    // Once its Job is gone nothing tells of the end of a pod.
                    if reason.as_deref().is_none_or(|reason| reason == FailureReason::JobVanished.as_str()) {
                        let explained = since.saturating_add(UNEXPLAINED).unwrap_or(Timestamp::MAX);
                        let again = self.now.saturating_add(UNSEEN).unwrap_or(Timestamp::MAX);
                        self.wake(if explained > self.now { explained } else { again });
                    }
                    self.running(activity, since, None, reason, message);
                }
                Attempt::Running { start_time } => {
                    self.running(activity, start_time, Some(start_time), None, None);
                }
                Attempt::Stopping => self.stopping(activity),
                Attempt::Stopped => self.stopped(activity),
                Attempt::Ended(outcome) => self.ended(activity, outcome, &mut output_bytes),
            }
        }
    }

    fn refused(&mut self, activity: usize, since: Timestamp, reason: String, message: String) {
        let limit = self.message_limit();
        self.advance(activity, ActivityState::Pending, |entry| {
            entry.ready_time.get_or_insert_with(|| stamp(since));
            entry.reason = Some(cut_stored(reason, 128));
            entry.message = Some(cut_stored(message, limit));
        });
    }

    fn running(
        &mut self,
        activity: usize,
        ready: Timestamp,
        start: Option<Timestamp>,
        reason: Option<String>,
        message: Option<String>,
    ) {
        let limit = self.message_limit();
        self.advance(activity, ActivityState::Running, |entry| {
            entry.attempt = entry.attempt.max(1);
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
    }

    /// A stop that is ours ends the activity. One that is not (a queueing system holds Jobs back by suspending them)
    /// is waited for.
    fn stopped(&mut self, activity: usize) {
        if self.stored.stop_time.is_some() {
            self.cancel(activity);
        } else {
            let why = "the Job is suspended, and not by the orchestrator".to_owned();
            self.running(activity, self.now, None, Some("Suspended".to_owned()), Some(why));
        }
    }

    fn ended(&mut self, activity: usize, outcome: Outcome, output_bytes: &mut Option<usize>) {
        let completion = outcome.completion_time.or(outcome.start_time).unwrap_or(self.now);
        let times = |entry: &mut ActivityStatus| {
            entry.attempt = entry.attempt.max(1);
            if let Some(start) = outcome.start_time {
                entry.start_time = Some(stamp(start));
            }
            entry.ready_time.get_or_insert_with(|| stamp(outcome.start_time.unwrap_or(completion)));
            entry.completion_time = Some(stamp(completion));
        };
        match outcome.verdict {
            Verdict::Failed { reason, message } => {
                self.fail_with(activity, reason, message, times);
            }
            Verdict::Complete(outputs) => {
                let total = output_bytes.get_or_insert_with(|| self.recorded_output_bytes());
                if let Err((reason, message)) = self.check_outputs(activity, &outputs, *total) {
                    return self.fail_with(activity, reason, message, times);
                }
                *total += stored_bytes(&outputs);
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
                let message = format!("{}\nthe outputs were {}", schema::text(&violations), shown(outputs));
                return Err((FailureReason::OutputInvalid, message));
            }
        }
        let size = stored_bytes(outputs);
        if recorded + size > MAX_TOTAL_OUTPUT_BYTES {
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
            .filter(|(_, entry)| entry.state == ActivityState::Failed)
            .map(|(activity, entry)| Notice::ActivityFailed {
                activity: *activity,
                attempt: entry.attempt,
                reason: entry.reason.clone().unwrap_or_default(),
                message: entry.message.clone().unwrap_or_default(),
            })
            .collect();
        self.plan.notices.extend(failures);
    }
}

/// The later of two optional times.
pub(super) fn latest(a: Option<&Time>, b: Option<&Time>) -> Option<Time> {
    a.into_iter().chain(b).max_by_key(|time| time.0).cloned()
}
