//! What keeps new attempts from starting, and what ends those that run.
//!
//! Responsible for: failure policies, the deadline, shutdown, and the deadline of `finally`. Must never: ask for a stop
//! before the intent is stored.

use jiff::{SignedDuration, Timestamp};

use super::super::condition::stamp;
use super::super::effect::Effect;
use super::super::observe::FailureReason;
use super::super::value::cut_stored;
use super::{Planner, STOP_GRACE};
use crate::api::orchestration::{ActivityState, ActivityStatus, Shutdown};
use crate::api::orchestration_definition::FailurePolicy;

/// Why a run has to end, as it stands in `status.stopReason`: the reason of its condition.
pub(super) const ACTIVITY_FAILED: &str = "ActivityFailed";
pub(super) const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
pub(super) const CANCELLED: &str = "Cancelled";
/// What comes between why an activity was stopped and what it still waited for.
pub(super) const STILL_WAITING: &str = ", still waiting: ";

impl Planner<'_> {
    pub(super) fn is_past_deadline(&self) -> bool {
        self.now >= self.deadline
    }

    pub(super) fn is_terminated(&self) -> bool {
        self.orchestration.spec.shutdown == Some(Shutdown::Terminate)
    }

    fn has_failed(&self) -> bool {
        self.count(self.main(), ActivityState::Failed) > 0
    }

    /// Whether no activity but those of `finally` gets a new attempt.
    pub(super) fn main_is_halted(&self) -> bool {
        let has_ended =
            |activity| matches!(self.state(activity), ActivityState::Cancelled | ActivityState::NotStarted);
        self.stored.stop_time.is_some()
            || self.stored.stop_reason.is_some()
            || self.stored.finally_time.is_some()
            || self.is_past_deadline()
            || self.orchestration.spec.shutdown.is_some()
            || (self.compiled.failure_policy != FailurePolicy::Continue && self.has_failed())
            || self.main().any(has_ended)
    }

    /// Whether nothing in `finally` gets a new attempt.
    pub(super) fn finally_is_halted(&self) -> bool {
        self.is_terminated()
            || self.stored.finally_stop_time.is_some()
            || self.finally_deadline().is_none_or(|deadline| self.now >= deadline)
    }

    /// When everything in `finally` has to have ended; nothing before it is ready.
    fn finally_deadline(&self) -> Option<Timestamp> {
        let began = self.stored.finally_time.as_ref()?.0;
        let seconds = SignedDuration::from_secs(self.compiled.finally_deadline_seconds);
        Some(began.saturating_add(seconds).unwrap_or(Timestamp::MAX))
    }

    /// What has to stop is stopped: first the intent is recorded, then the stop is asked for, and it is final when
    /// nothing of it runs any more, or when that takes too long.
    pub(super) fn begin_to_end(&mut self) {
        if !self.is_past_deadline() {
            self.wake(self.deadline);
        }
        let running = self.running_of(self.main());
        match (self.stored.stop_time.as_ref().map(|time| time.0), self.stop_cause()) {
            (Some(began), _) => self.stop(&running, began),
            (None, Some(cause)) if !running.is_empty() => {
                self.stop_time = Some(stamp(self.now));
                self.stop_reason.get_or_insert_with(|| cause.to_owned());
                self.urgent();
                self.wake(self.now);
            }
            (None, _) => {}
        }
        let Some(deadline) = self.finally_deadline() else { return };
        let running = self.running_of(self.finally());
        match self.stored.finally_stop_time.as_ref().map(|time| time.0) {
            Some(began) => self.stop(&running, began),
            None if !self.finally_is_halted() => self.wake(deadline),
            None if !running.is_empty() => {
                self.finally_stop_time = Some(stamp(self.now));
                self.urgent();
                self.wake(self.now);
            }
            None => {}
        }
    }

    fn running_of(&self, among: std::ops::Range<usize>) -> Vec<usize> {
        among.filter(|activity| self.state(*activity) == ActivityState::Running).collect()
    }

    /// Why what runs has to stop, if it has to: a failure, then the deadline, then a shutdown.
    fn stop_cause(&self) -> Option<&'static str> {
        if self.compiled.failure_policy == FailurePolicy::Cancel && self.has_failed() {
            Some(ACTIVITY_FAILED)
        } else if self.is_past_deadline() {
            Some(DEADLINE_EXCEEDED)
        } else {
            self.is_terminated().then_some(CANCELLED)
        }
    }

    fn stop(&mut self, running: &[usize], began: Timestamp) {
        for activity in running.iter().copied() {
            let grace_ends = began.saturating_add(self.stop_grace(activity)).unwrap_or(Timestamp::MAX);
            if self.now >= grace_ends {
                self.cancel(activity, true);
                continue;
            }
            self.wake(grace_ends);
            let stop = Effect::Stop { activity, attempt: self.attempt(activity) };
            if !self.is_stop_seen(activity) && !self.plan.effects.contains(&stop) {
                self.plan.effects.push(stop);
            }
        }
    }

    fn stop_grace(&self, activity: usize) -> SignedDuration {
        let seconds = self.compiled.activities.get(activity).map_or(0, |a| a.stop_grace_seconds);
        SignedDuration::from_secs(seconds).max(STOP_GRACE)
    }

    /// An activity was stopped because the orchestration has to end. What it still waited for is told to the end.
    pub(super) fn cancel(&mut self, activity: usize, is_overdue: bool) {
        let limit = self.message_limit();
        let (reason, mut message) = self.cancelled_because(activity);
        if is_overdue && !self.is_stop_over(activity) {
            let seconds = self.stop_grace(activity).as_secs();
            message.push_str(&format!(", and has not ended within {seconds} s: it may still run"));
        }
        self.advance(activity, ActivityState::Cancelled, |entry| {
            if let Some(waited_for) = &entry.message {
                message.push_str(STILL_WAITING);
                message.push_str(waited_for);
            }
            entry.reason = Some(reason.as_str().to_owned());
            entry.message = Some(cut_stored(message, limit));
        });
    }

    fn is_stop_over(&self, activity: usize) -> bool {
        use super::super::observe::Attempt;
        match self.seen(activity) {
            Attempt::Absent | Attempt::Refused { .. } | Attempt::Stopped | Attempt::Ended(_) => true,
            Attempt::Requested { .. }
            | Attempt::Waiting { .. }
            | Attempt::Running { .. }
            | Attempt::Stopping => false,
        }
    }

    fn cancelled_because(&self, activity: usize) -> (FailureReason, String) {
        let terminated =
            || (FailureReason::Cancelled, "stopped because of spec.shutdown: Terminate".to_owned());
        if self.compiled.is_finally(activity) {
            return if self.is_terminated() {
                terminated()
            } else {
                (FailureReason::DeadlineExceeded, "stopped at the deadline of finally".to_owned())
            };
        }
        match self.stored.stop_reason.as_deref() {
            Some(ACTIVITY_FAILED) => {
                let failed = self.first_failed(self.main()).map_or("", |failed| self.id(failed));
                (FailureReason::Cancelled, format!("stopped because activity \"{failed}\" has failed"))
            }
            Some(CANCELLED) => terminated(),
            // An earlier version recorded no reason, and knew only this one.
            _ => (FailureReason::DeadlineExceeded, "stopped at the deadline of the orchestration".to_owned()),
        }
    }
}

/// Whether a cancelled activity was stopped. Otherwise it waited for another attempt, and keeps the reason of the last.
pub(super) fn is_stop(entry: &ActivityStatus) -> bool {
    let reasons = [FailureReason::Cancelled, FailureReason::DeadlineExceeded];
    entry.reason.as_deref().is_some_and(|said| reasons.iter().any(|reason| reason.as_str() == said))
}
