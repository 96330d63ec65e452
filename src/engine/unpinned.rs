//! Orchestrations whose revision is gone, or is not what it was: nothing can be started, and they end all the same.
//!
//! Responsible for: saying so in the status, and stopping what runs at the deadline. Must never: take back what was
//! recorded.

use jiff::Timestamp;

use super::acceptance::deadline;
use super::condition::{self, Statement, stamp};
use super::status::{StatusUpdate, duration, summary};
use crate::api::Orchestration;
use crate::api::orchestration::{ActivityState, Shutdown};
use crate::api::orchestration_definition::DEFAULT_ACTIVE_DEADLINE_SECONDS;

/// Reason in the conditions.
pub const REASON: &str = "RevisionNotFound";

/// What to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Attempts to be stopped first, by activity id and number.
    pub stop: Vec<(String, u32)>,
    /// The status to record.
    pub update: StatusUpdate,
    /// When to look again at the latest; nothing once finished.
    pub wake_at: Option<Timestamp>,
}

/// Decides for an accepted Orchestration that has no revision to run from; `why` is a sentence for people. The
/// definition's own deadline went with the revision, so that the default stands in for it.
#[must_use]
pub fn decide(orchestration: &Orchestration, why: &str, now: Timestamp) -> Decision {
    let status = orchestration.status.clone().unwrap_or_default();
    let generation = orchestration.metadata.generation;
    let mut decision = Decision::default();
    let next = &mut decision.update.summary;
    *next = summary(&status);
    next.observed_generation = generation;
    let accepted = condition::find(&status.conditions, "Accepted");
    let accepted = accepted.map_or(("Accepted", ""), |c| (c.reason.as_str(), c.message.as_str()));
    let mut statements = vec![Statement::new("Accepted", Some(true), accepted.0, accepted.1)];
    let ends = deadline(orchestration, DEFAULT_ACTIVE_DEADLINE_SECONDS);
    let is_terminated = orchestration.spec.shutdown == Some(Shutdown::Terminate);
    if now < ends && !is_terminated {
        statements.push(Statement::new("Reconciling", Some(true), REASON, why));
        statements.push(Statement::new("Succeeded", None, REASON, why));
        statements.push(Statement::new("Finished", Some(false), "NotFinished", "the orchestration runs"));
        decision.wake_at = Some(ends);
    } else {
        // The deadline comes before a shutdown.
        let (state, reason, message) = if now < ends {
            ("Cancelled", "Cancelled", format!("was shut down: {why}"))
        } else {
            ("Failed", REASON, format!("{why}, and the deadline has passed"))
        };
        statements.push(Statement::new("Stalled", Some(true), reason, message.clone()));
        statements.push(Statement::new("Succeeded", Some(false), reason, message.clone()));
        statements.push(Statement::new("Finished", Some(true), reason, message));
        next.state = Some(state.to_owned());
        next.completion_time = Some(stamp(now));
        next.duration = Some(duration(status.start_time.as_ref().map_or(now, |start| start.0), now));
        for (id, activity) in &status.activities {
            let mut entry = activity.clone();
            match activity.state {
                ActivityState::Retrying => {
                    entry.state = ActivityState::Cancelled;
                    entry.completion_time = Some(stamp(now));
                    entry.next_attempt_time = None;
                }
                ActivityState::Running => {
                    decision.stop.push((id.clone(), activity.attempt.max(1)));
                    entry.state = ActivityState::Cancelled;
                    entry.completion_time = Some(stamp(now));
                    entry.reason = Some(reason.to_owned());
                }
                ActivityState::Pending | ActivityState::Unknown => entry.state = ActivityState::NotStarted,
                ActivityState::Succeeded
                | ActivityState::Skipped
                | ActivityState::Failed
                | ActivityState::Cancelled
                | ActivityState::NotStarted => continue,
            }
            decision.update.activities.insert(id.clone(), entry);
        }
    }
    let next = &mut decision.update.summary;
    next.conditions = condition::state(&status.conditions, generation, now, statements);
    decision
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use serde_json::json;

    fn running() -> Orchestration {
        serde_json::from_value(json!({
            "metadata": {"name": "o", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"type": "t", "activeDeadlineSeconds": 60},
            "status": {"state": "Running", "revision": "gone", "activities": {
                "a": {"state": "Succeeded", "attempt": 1}, "b": {"state": "Running", "attempt": 1}, "c": {"state": "Pending"},
            }},
        }))
        .unwrap()
    }

    fn after(seconds: i64) -> Timestamp {
        "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn nothing_that_was_recorded_is_taken_back() {
        let decision = decide(&running(), "it is gone", after(10));
        assert_eq!(decision.update.summary.state.as_deref(), Some("Running"));
        assert!(decision.update.activities.is_empty() && decision.stop.is_empty());
        assert_eq!(decision.wake_at, Some(after(60)));
        assert!(condition::is_true(&decision.update.summary.conditions, "Accepted"));
    }

    #[test]
    fn what_is_terminated_ends_at_once_and_what_is_stopped_at_its_deadline() {
        let mut orchestration = running();
        orchestration.spec.shutdown = Some(Shutdown::Stop);
        assert_eq!(decide(&orchestration, "it is gone", after(10)).wake_at, Some(after(60)));
        orchestration.spec.shutdown = Some(Shutdown::Terminate);
        let decision = decide(&orchestration, "it is gone", after(10));
        assert_eq!((decision.stop.len(), decision.wake_at), (1, None));
        assert_eq!(decision.update.summary.state.as_deref(), Some("Cancelled"));
        let decision = decide(&orchestration, "it is gone", after(60));
        assert_eq!(decision.update.summary.state.as_deref(), Some("Failed"));
    }

    #[test]
    fn at_the_deadline_what_runs_is_stopped_and_told_apart() {
        let orchestration = running();
        let decision = decide(&orchestration, "it is gone", after(60));
        assert_eq!(decision.stop, [("b".to_owned(), 1)]);
        let status = decision.update.apply(orchestration.status.as_ref().unwrap());
        let state = |id: &str| status.activities[id].state;
        assert_eq!(
            (state("a"), state("b"), state("c")),
            (ActivityState::Succeeded, ActivityState::Cancelled, ActivityState::NotStarted)
        );
        assert!(status.completion_time.is_some() && decision.wake_at.is_none());
    }
}
