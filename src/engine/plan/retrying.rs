//! Attempts that failed, or do not start: another attempt, or the end of the activity.
//!
//! Responsible for: both budgets, the pause before the next attempt, and the starting deadline. Must never: start an
//! attempt while something of another may run; an attempt is given up only when nothing of it does.

use jiff::{SignedDuration, Timestamp};

use super::super::condition::stamp;
use super::super::effect::Effect;
use super::super::observe::{Attempt, FailureReason};
use super::super::retry::{self, Next, class, next_attempt_time};
use super::super::state::is_final;
use super::super::value::cut_stored;
use super::{Planner, UNSEEN};
use crate::api::orchestration::{ActivityState, ActivityStatus};

/// What an attempt was at the end of.
pub(super) struct Failure {
    pub(super) reason: FailureReason,
    pub(super) message: String,
    /// When it ended, as far as anybody knows.
    pub(super) ended: Timestamp,
}

impl Planner<'_> {
    /// An attempt has failed: another follows, or the activity has failed. `times` completes the entry in that case.
    pub(super) fn fail_attempt(
        &mut self,
        activity: usize,
        failure: Failure,
        times: impl FnOnce(&mut ActivityStatus),
    ) {
        let Some(compiled) = self.compiled.activities.get(activity) else { return };
        let attempt = self.attempt(activity);
        let disruptions = self.stored_entry(activity).disruptions;
        let class = class(failure.reason);
        let Next::Attempt { disruptions } = retry::next(class, attempt, disruptions, &compiled.retry) else {
            return self.fail_with(activity, failure.reason, failure.message, |entry| {
                times(entry);
                entry.next_attempt_time = None;
            });
        };
        let pause = compiled.retry.pause(self.uid(), &compiled.id, attempt);
        let next = next_attempt_time(failure.ended, self.now, pause);
        let limit = self.message_limit();
        self.advance(activity, ActivityState::Retrying, |entry| {
            entry.attempt = attempt;
            entry.disruptions = disruptions;
            entry.ready_time = None;
            entry.start_time = None;
            entry.next_attempt_time = Some(stamp(next));
            entry.reason = Some(failure.reason.as_str().to_owned());
            entry.message = Some(cut_stored(failure.message, limit));
        });
    }

    pub(super) fn uid(&self) -> &str {
        self.orchestration.metadata.uid.as_deref().unwrap_or_default()
    }

    /// Nothing is known of the next attempt. What was refused before is not ready while nothing may start: its time is
    /// counted anew afterwards. And a pause is never longer than it was, should the clock have been put back.
    pub(super) fn absent(&mut self, activity: usize) {
        let entry = self.entry(activity);
        match entry.state {
            ActivityState::Pending | ActivityState::Unknown => {
                if self.is_suspended() && entry.ready_time.is_some() {
                    self.advance(activity, ActivityState::Pending, |entry| {
                        entry.ready_time = None;
                        entry.reason = None;
                        entry.message = None;
                    });
                }
            }
            ActivityState::Retrying => {
                let Some(compiled) = self.compiled.activities.get(activity) else { return };
                let pause = compiled.retry.pause(self.uid(), &compiled.id, entry.attempt);
                let latest = next_attempt_time(self.now, self.now, pause);
                let is_late = entry.next_attempt_time.as_ref().is_some_and(|next| next.0 > latest);
                let was_ready = self.is_suspended() && entry.ready_time.is_some();
                if is_late || was_ready {
                    self.advance(activity, ActivityState::Retrying, |entry| {
                        if is_late {
                            entry.next_attempt_time = Some(stamp(latest));
                        }
                        if was_ready {
                            entry.ready_time = None;
                        }
                    });
                }
            }
            ActivityState::Running
            | ActivityState::Succeeded
            | ActivityState::Skipped
            | ActivityState::Failed
            | ActivityState::Cancelled
            | ActivityState::NotStarted => {}
        }
    }

    /// When an attempt that has not started has failed; counted from when it was ready.
    pub(super) fn starting_deadline(&self, activity: usize, since: Timestamp) -> Timestamp {
        let ready = self.entry(activity).ready_time.as_ref().map_or(since, |ready| ready.0);
        let seconds = self.compiled.activities.get(activity).map_or(0, |a| a.starting_deadline_seconds);
        ready.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
    }

    /// A start that was refused for too long: nothing of the attempt exists, so that it has failed at once.
    pub(super) fn fail_refused(&mut self, activity: usize, reason: &str, message: &str) {
        let attempt = self.attempt(activity);
        let now = self.now;
        let message = self.too_late(activity, Some(reason), Some(message));
        let failure = Failure { reason: FailureReason::StartingDeadlineExceeded, message, ended: now };
        self.fail_attempt(activity, failure, |entry| entry.attempt = attempt);
    }

    /// An attempt exists and has not started in time: first the intent is recorded, then its stop is asked for, and
    /// `stopped` fails it when nothing of it can start any more.
    pub(super) fn give_up(
        &mut self,
        activity: usize,
        since: Timestamp,
        reason: Option<&str>,
        message: Option<&str>,
    ) {
        if is_given_up(self.stored_entry(activity)) {
            self.plan.effects.push(Effect::Stop { activity, attempt: self.attempt(activity) });
            return self.wake(self.now.saturating_add(UNSEEN).unwrap_or(Timestamp::MAX));
        }
        let why = FailureReason::of_wait(reason);
        let message = self.too_late(activity, reason, message);
        self.running(activity, since, None, Some(why.as_str().to_owned()), Some(message));
        self.urgent();
        self.wake(self.now);
    }

    fn too_late(&self, activity: usize, reason: Option<&str>, message: Option<&str>) -> String {
        let seconds = self.compiled.activities.get(activity).map_or(0, |a| a.starting_deadline_seconds);
        let mut text = format!("it did not start within {seconds} s");
        match (reason, message) {
            (Some(reason), Some(message)) => text.push_str(&format!("; at last: {reason}: {message}")),
            (Some(only), None) | (None, Some(only)) => text.push_str(&format!("; at last: {only}")),
            (None, None) => {}
        }
        text
    }

    /// Nothing runs any more of an attempt that was given up.
    pub(super) fn fail_given_up(&mut self, activity: usize) {
        let stored = self.stored_entry(activity);
        let reason = match stored.reason.as_deref() {
            Some(reason) if reason == FailureReason::ImagePullFailed.as_str() => {
                FailureReason::ImagePullFailed
            }
            _ => FailureReason::StartingDeadlineExceeded,
        };
        let message = stored.message.clone().unwrap_or_default();
        let failure = Failure { reason, message, ended: self.now };
        self.fail_attempt(activity, failure, |_| {});
    }

    /// What waits for another attempt and will get none is over. Its last reason stays.
    pub(super) fn settle(&mut self) {
        let (main, finally) = (self.main_is_halted(), self.finally_is_halted());
        for activity in 0..self.compiled.activities.len() {
            let is_halted = if self.compiled.is_finally(activity) { finally } else { main };
            let entry = self.entry(activity);
            if entry.state != ActivityState::Retrying {
                continue;
            }
            if is_halted {
                self.advance(activity, ActivityState::Cancelled, |entry| entry.next_attempt_time = None);
            } else if self.has_failed_anew(activity, entry)
                && entry.next_attempt_time.as_ref().is_some_and(|next| next.0 <= self.now)
            {
                self.urgent();
                self.wake(self.now);
            }
        }
    }

    /// Attempts that failed in this round and are followed by others.
    pub(super) fn has_failed_anew(&self, activity: usize, entry: &ActivityStatus) -> bool {
        let stored = self.stored_entry(activity);
        entry.state == ActivityState::Retrying
            && (stored.state != ActivityState::Retrying || stored.attempt != entry.attempt)
    }

    /// Whether the stop of an activity was decided on, for the whole run or its `finally`.
    pub(super) fn is_stopping(&self, activity: usize) -> bool {
        if self.compiled.is_finally(activity) {
            self.stored.finally_stop_time.is_some()
        } else {
            self.stored.stop_time.is_some()
        }
    }

    /// Whether something of an activity may still come to its end.
    pub(super) fn is_open(&self, activity: usize) -> bool {
        !is_final(self.state(activity))
    }

    /// Whether a stop was asked for already and its answer is awaited.
    pub(super) fn is_stop_seen(&self, activity: usize) -> bool {
        matches!(self.seen(activity), Attempt::Stopping | Attempt::Stopped)
    }
}

/// Whether it is on record that an attempt did not start in time.
pub(in crate::engine) fn is_given_up(entry: &ActivityStatus) -> bool {
    let reasons = [FailureReason::StartingDeadlineExceeded, FailureReason::ImagePullFailed];
    entry.state == ActivityState::Running
        && entry.start_time.is_none()
        && entry.reason.as_deref().is_some_and(|said| reasons.iter().any(|reason| reason.as_str() == said))
}
