//! Acceptance: an Orchestration meets its definition, or waits for it, or is refused.
//!
//! Responsible for: the status of an Orchestration before anything of it has started. Must never: fetch a
//! definition.

use jiff::{SignedDuration, Timestamp};

use super::condition::{self, Statement, stamp};
use super::definition::Compiled;
use super::status::{StatusUpdate, duration, summary};
use super::value;
use crate::api::orchestration::{ActivityStatus, Orchestration, OrchestrationStatus};
use crate::api::orchestration_definition::DEFAULT_ACTIVE_DEADLINE_SECONDS;

/// Reason and message for an input that could not be handed on: what reads it there ends at a certain depth.
pub const INPUT_TOO_DEEP: (&str, &str) =
    ("InputTooDeep", "spec.input: is nested too deeply, at most 32 levels are allowed");

/// What is known of the definition when an Orchestration asks for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Definition<'a> {
    /// It can be run, from this revision.
    Ready {
        /// Name of the ControllerRevision.
        revision: &'a str,
        /// What is in it.
        compiled: &'a Compiled,
    },
    /// It takes no new Orchestrations, whether or not it could be run.
    Inactive,
    /// It exists and cannot be used yet.
    NotReady(String),
    /// There is none of that name.
    NotFound,
}

/// What to do with an Orchestration that has no revision yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The new status.
    pub update: StatusUpdate,
    /// Whether it goes on from here: accepted.
    pub accepted: bool,
    /// When to look again at the latest; nothing once finished.
    pub wake_at: Option<Timestamp>,
}

/// When an Orchestration has to be finished. The smaller of its own deadline and the definition's counts; from its
/// creation.
#[must_use]
pub fn deadline(orchestration: &Orchestration, definition_seconds: i64) -> Timestamp {
    let seconds = orchestration
        .spec
        .active_deadline_seconds
        .map_or(definition_seconds, |own| own.min(definition_seconds));
    let created =
        orchestration.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    created.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// Decides whether an Orchestration is accepted.
#[must_use]
pub fn decide(orchestration: &Orchestration, definition: &Definition<'_>, now: Timestamp) -> Decision {
    if orchestration.spec.input.as_ref().is_some_and(value::is_too_deep) {
        return refuse(orchestration, INPUT_TOO_DEEP.0, INPUT_TOO_DEEP.1, now);
    }
    let type_ = &orchestration.spec.type_;
    let deadline = deadline(orchestration, DEFAULT_ACTIVE_DEADLINE_SECONDS);
    let (reason, message) = match definition {
        Definition::Inactive => {
            let message = format!(
                "OrchestrationDefinition \"{type_}\" takes no new Orchestrations (its spec.active is false)"
            );
            return refuse(orchestration, "DefinitionInactive", &message, now);
        }
        Definition::Ready { revision, compiled } => {
            return accept(orchestration, revision, compiled, now);
        }
        Definition::NotReady(why) => {
            ("DefinitionNotReady", format!("OrchestrationDefinition \"{type_}\" is not ready: {why}"))
        }
        Definition::NotFound => {
            ("DefinitionNotFound", format!("OrchestrationDefinition \"{type_}\" not found in this namespace"))
        }
    };
    if now >= deadline {
        let reason = if *definition == Definition::NotFound { reason } else { "DeadlineExceeded" };
        return refuse(orchestration, reason, &format!("{message}, and the deadline has passed"), now);
    }
    let mut update = begin(orchestration);
    update.summary.state = Some("Pending".to_owned());
    let statements = [
        Statement::new("Accepted", Some(false), reason, message.clone()),
        Statement::new("Reconciling", Some(true), reason, message.clone()),
        Statement::new("Succeeded", None, reason, message),
        Statement::new("Finished", Some(false), "NotFinished", "nothing has started"),
    ];
    say(&mut update.summary, orchestration, now, statements);
    Decision { update, accepted: false, wake_at: Some(deadline) }
}

fn accept(orchestration: &Orchestration, revision: &str, compiled: &Compiled, now: Timestamp) -> Decision {
    let mut update = begin(orchestration);
    let summary = &mut update.summary;
    summary.state = Some("Pending".to_owned());
    summary.progress = Some(format!("0/{}", compiled.activities.len()));
    summary.revision = Some(revision.to_owned());
    summary.start_time = Some(stamp(now));
    let message = format!("0 of {} activities have succeeded", compiled.activities.len());
    let statements = [
        Statement::new("Accepted", Some(true), "Accepted", format!("runs from the revision {revision}")),
        Statement::new("Reconciling", Some(true), "Progressing", message.clone()),
        Statement::new("Succeeded", None, "Progressing", message),
        Statement::new("Finished", Some(false), "NotFinished", "the orchestration runs"),
    ];
    say(summary, orchestration, now, statements);
    for activity in &compiled.activities {
        let tier = u32::try_from(activity.tier).unwrap_or(u32::MAX);
        update
            .activities
            .insert(activity.id.clone(), ActivityStatus { tier: Some(tier), ..Default::default() });
    }
    Decision { update, accepted: true, wake_at: Some(now) }
}

fn refuse(orchestration: &Orchestration, reason: &str, message: &str, now: Timestamp) -> Decision {
    let mut update = begin(orchestration);
    let summary = &mut update.summary;
    summary.state = Some("Failed".to_owned());
    summary.completion_time = Some(stamp(now));
    let from = orchestration.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
    summary.duration = Some(duration(from, now));
    let statements = [
        Statement::new("Accepted", Some(false), reason, message),
        Statement::new("Stalled", Some(true), reason, message),
        Statement::new("Succeeded", Some(false), reason, message),
        Statement::new("Finished", Some(true), reason, message),
    ];
    say(summary, orchestration, now, statements);
    Decision { update, accepted: false, wake_at: None }
}

fn begin(orchestration: &Orchestration) -> StatusUpdate {
    let mut summary = orchestration.status.as_ref().map(summary).unwrap_or_default();
    summary.observed_generation = orchestration.metadata.generation;
    StatusUpdate { summary, ..Default::default() }
}

fn say(
    summary: &mut OrchestrationStatus,
    orchestration: &Orchestration,
    now: Timestamp,
    statements: impl IntoIterator<Item = Statement>,
) {
    summary.conditions =
        condition::state(&summary.conditions, orchestration.metadata.generation, now, statements);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn orchestration(spec: serde_json::Value) -> Orchestration {
        serde_json::from_value(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration",
            "metadata": {"name": "o", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec,
        }))
        .unwrap()
    }

    fn after(seconds: i64) -> Timestamp {
        "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn the_smaller_deadline_counts() {
        let own = orchestration(json!({"type": "t", "activeDeadlineSeconds": 60}));
        assert_eq!(deadline(&own, 3600), after(60));
        assert_eq!(deadline(&own, 30), after(30));
        assert_eq!(deadline(&orchestration(json!({"type": "t"})), 3600), after(3600));
    }

    #[test]
    fn an_input_that_is_too_deep_never_waits_for_its_definition() {
        let nested = (1..33).fold(json!({}), |inner, _| json!({"a": inner}));
        let decision =
            decide(&orchestration(json!({"type": "t", "input": nested})), &Definition::NotFound, after(0));
        let succeeded = condition::find(&decision.update.summary.conditions, "Succeeded").unwrap();
        assert_eq!((succeeded.status.as_str(), succeeded.reason.as_str()), ("False", "InputTooDeep"));
        let decision = decide(
            &orchestration(json!({"type": "t", "input": nested["a"]})),
            &Definition::NotFound,
            after(0),
        );
        assert!(decision.update.summary.completion_time.is_none());
    }

    #[test]
    fn a_definition_that_never_comes_ends_at_the_deadline_with_a_reason() {
        let waiting = orchestration(json!({"type": "t", "activeDeadlineSeconds": 60}));
        let decision = decide(&waiting, &Definition::NotFound, after(59));
        assert_eq!(decision.wake_at, Some(after(60)));
        assert!(decision.update.summary.completion_time.is_none());
        let decision = decide(&waiting, &Definition::NotFound, after(60));
        let succeeded = condition::find(&decision.update.summary.conditions, "Succeeded").unwrap();
        assert_eq!((succeeded.status.as_str(), succeeded.reason.as_str()), ("False", "DefinitionNotFound"));
        assert!(succeeded.message.contains("\"t\" not found"), "{}", succeeded.message);
        assert_eq!(decision.update.summary.duration.as_deref(), Some("1m0s"));
        let decision = decide(&waiting, &Definition::NotReady("x".to_owned()), after(60));
        assert_eq!(
            condition::find(&decision.update.summary.conditions, "Succeeded").unwrap().reason,
            "DeadlineExceeded"
        );
    }
}
