//! Acceptance: an Orchestration meets its definition, or waits for it, or is refused.
//!
//! Responsible for: the status of an Orchestration before anything of it has started. Must never: fetch a
//! definition.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::condition::{self, Statement, stamp};
use super::definition::{Compiled, input};
use super::plan::{MAX_INPUT_BYTES, progress};
use super::resume;
use super::schema::{self, MAX_ADDED, Schema, Violation};
use super::status::{StatusUpdate, duration, summary};
use super::value::{bytes, is_too_deep, printable, stored_bytes};
use crate::api::common::Object;
use crate::api::orchestration::{ActivityState, ActivityStatus, Orchestration, OrchestrationStatus};
use crate::api::orchestration_definition::DEFAULT_ACTIVE_DEADLINE_SECONDS;

/// Reason and message for an input that could not be handed on: what reads it there ends at a certain depth.
pub const INPUT_TOO_DEEP: (&str, &str) =
    ("InputTooDeep", "spec.input: is nested too deeply, at most 32 levels are allowed");

/// Reason for an input that is larger than may be.
pub const INPUT_TOO_LARGE: &str = "InputTooLarge";
/// Path of the input of an Orchestration.
pub const INPUT: &str = "spec.input";

/// Largest input as the API server stores it, in bytes: twice what it may have as JSON. Together with the status it must
/// fit into one object.
pub const MAX_STORED_INPUT_BYTES: usize = 2 * MAX_INPUT_BYTES;

/// Why an input can never be run with, as reason and message: it is nested too deeply, or too large. Nothing if it may
/// be good. No definition is needed to tell.
#[must_use]
pub fn check_size(input: &Object) -> Option<(&'static str, String)> {
    if is_too_deep(input) {
        return Some((INPUT_TOO_DEEP.0, INPUT_TOO_DEEP.1.to_owned()));
    }
    let (size, stored) = (bytes(input), stored_bytes(input));
    let message = if size > MAX_INPUT_BYTES {
        format!("spec.input: has {size} bytes of JSON, at most {MAX_INPUT_BYTES} are allowed")
    } else if stored > MAX_STORED_INPUT_BYTES {
        format!(
            "spec.input: has {stored} bytes as it is stored, where <, > and & take six bytes each, at most {MAX_STORED_INPUT_BYTES} are allowed"
        )
    } else {
        return None;
    };
    Some((INPUT_TOO_LARGE, message))
}

/// What is said of an input whose defaults are more than are ever added.
#[must_use]
pub fn defaults_too_large() -> String {
    format!(
        "has more than {MAX_ADDED} bytes of JSON with the defaults of its schema, at most {MAX_INPUT_BYTES} are allowed"
    )
}

/// What is wrong with an input, by the schema of its definition.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// With the defaults of the schema it is larger than an input may be: what is said of it.
    TooLarge(String),
    /// It is not as the schema says.
    Invalid(Vec<Violation>),
}

impl Refusal {
    /// Reason and message for a condition, a line for each of the first violations.
    #[must_use]
    pub fn told(&self) -> (&'static str, String) {
        match self {
            Self::TooLarge(message) => (INPUT_TOO_LARGE, format!("spec.input: {message}")),
            Self::Invalid(violations) => ("InvalidInput", printable(&schema::text(violations))),
        }
    }

    /// Reason and message of everything that is wrong, one by one: among lines a count would be taken for a mistake.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::TooLarge(_) => {
                let (reason, message) = self.told();
                vec![format!("{reason}: {message}")]
            }
            Self::Invalid(violations) => {
                violations.iter().map(|it| format!("InvalidInput: {}", printable(&it.to_string()))).collect()
            }
        }
    }
}

/// Why an input, at this path, cannot be run with by the schema of its definition, with the defaults that activities will
/// read; nothing if it can. `type_` is the name of the definition.
#[must_use]
pub fn check_input(
    type_: &str,
    schema: Option<&Schema>,
    given: Option<&Object>,
    at: &str,
) -> Option<Refusal> {
    let schema = schema?;
    let Ok(whole) = input(Some(schema), given) else {
        return Some(Refusal::TooLarge(defaults_too_large()));
    };
    let size = bytes(&whole);
    if size > MAX_INPUT_BYTES {
        let message = format!(
            "has {size} bytes of JSON with the defaults of its schema, at most {MAX_INPUT_BYTES} are allowed"
        );
        return Some(Refusal::TooLarge(message));
    }
    let mut violations = schema.validate(&Value::Object(whole), at);
    for violation in violations.iter_mut().filter(|violation| violation.rule == "required") {
        violation.message = format!("required by OrchestrationDefinition \"{type_}\" schema");
    }
    (!violations.is_empty()).then_some(Refusal::Invalid(violations))
}

/// What is said where the definition of an Orchestration takes no new ones.
#[must_use]
pub fn inactive(type_: &str) -> String {
    format!("OrchestrationDefinition \"{type_}\" takes no new Orchestrations (its spec.active is false)")
}

/// What is said where the definition of an Orchestration is not there.
#[must_use]
pub fn not_found(type_: &str) -> String {
    format!("OrchestrationDefinition \"{type_}\" not found in this namespace")
}

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
    if let Some((reason, message)) = orchestration.spec.input.as_ref().and_then(check_size) {
        return refuse(orchestration, reason, &message, now);
    }
    let type_ = &orchestration.spec.type_;
    let deadline = deadline(orchestration, DEFAULT_ACTIVE_DEADLINE_SECONDS);
    let (reason, message) = match definition {
        Definition::Inactive => {
            return refuse(orchestration, "DefinitionInactive", &inactive(type_), now);
        }
        Definition::Ready { revision, compiled } => {
            let (schema, input) = (compiled.schema.as_ref(), orchestration.spec.input.as_ref());
            if let Some(refusal) = check_input(type_, schema, input, INPUT) {
                let (reason, message) = refusal.told();
                return refuse(orchestration, reason, &message, now);
            }
            return accept(orchestration, revision, compiled, now);
        }
        Definition::NotReady(why) => {
            ("DefinitionNotReady", format!("OrchestrationDefinition \"{type_}\" is not ready: {why}"))
        }
        Definition::NotFound => ("DefinitionNotFound", not_found(type_)),
    };
    if now >= deadline {
        let reason = if *definition == Definition::NotFound { reason } else { "DeadlineExceeded" };
        return refuse(orchestration, reason, &format!("{message}, and the deadline has passed"), now);
    }
    if orchestration.spec.shutdown.is_some() {
        let message = format!("was shut down before it was accepted: {message}");
        return end(orchestration, "Cancelled", "Cancelled", &message, now);
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
    summary.progress = Some(format!("0/{}", compiled.main));
    summary.revision = Some(revision.to_owned());
    summary.start_time = Some(stamp(now));
    summary.scheduled_time = super::schedule::template::tick_of(orchestration).map(stamp);
    let message = format!("0 of {} activities have succeeded", compiled.main);
    let statements = [
        Statement::new("Accepted", Some(true), "Accepted", format!("runs from the revision {revision}")),
        Statement::new("Reconciling", Some(true), "Progressing", message.clone()),
        Statement::new("Succeeded", None, "Progressing", message),
        Statement::new("Finished", Some(false), "NotFinished", "the orchestration runs"),
    ];
    say(summary, orchestration, now, statements);
    for (index, activity) in compiled.activities.iter().enumerate() {
        let tier = (!compiled.is_finally(index)).then(|| u32::try_from(activity.tier).unwrap_or(u32::MAX));
        update.activities.insert(activity.id.clone(), ActivityStatus { tier, ..Default::default() });
    }
    Decision { update, accepted: true, wake_at: Some(now) }
}

/// An acceptance with what is taken over from a finished Orchestration, or a refusal if that does not fit.
#[must_use]
pub fn resume(
    orchestration: &Orchestration,
    mut accepted: Decision,
    taken: Result<BTreeMap<String, ActivityStatus>, String>,
    now: Timestamp,
) -> Decision {
    let taken = match taken {
        Ok(taken) => taken,
        Err(message) => return refuse(orchestration, resume::REASON, &message, now),
    };
    let (name, count) = (orchestration.spec.resume_from.as_deref().unwrap_or_default(), taken.len());
    let total = accepted.update.activities.values().filter(|entry| entry.tier.is_some()).count();
    let skipped = taken.values().filter(|entry| entry.state == ActivityState::Skipped).count();
    let summary = &mut accepted.update.summary;
    summary.progress = Some(format!("{count}/{total}"));
    for condition in &mut summary.conditions {
        match condition.type_.as_str() {
            "Accepted" => {
                condition
                    .message
                    .push_str(&format!("; takes over {count} of its activities from \"{name}\""));
            }
            "Reconciling" | "Succeeded" => condition.message = progress(count - skipped, skipped, total),
            _ => {}
        }
    }
    accepted.update.activities.extend(taken);
    accepted
}

fn refuse(orchestration: &Orchestration, reason: &str, message: &str, now: Timestamp) -> Decision {
    end(orchestration, "Failed", reason, message, now)
}

fn end(orchestration: &Orchestration, state: &str, reason: &str, message: &str, now: Timestamp) -> Decision {
    let mut update = begin(orchestration);
    let summary = &mut update.summary;
    summary.state = Some(state.to_owned());
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
    use crate::engine::definition::{TypeState, compile};
    use serde_json::json;

    fn orchestration(spec: Value) -> Orchestration {
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
    fn an_input_is_bounded_as_json_and_as_it_is_stored() {
        let check = |text: String| {
            let input = json!({"x": text}).as_object().cloned().unwrap();
            check_size(&input).map(|(_, message)| message)
        };
        assert_eq!(check("x".repeat(MAX_INPUT_BYTES - 8)), None);
        assert_eq!(
            check("x".repeat(MAX_INPUT_BYTES - 7)).unwrap(),
            "spec.input: has 65537 bytes of JSON, at most 65536 are allowed"
        );
        assert_eq!(check("<".repeat(21_844)), None);
        assert_eq!(
            check("<".repeat(21_845)).unwrap(),
            "spec.input: has 131078 bytes as it is stored, where <, > and & take six bytes each, at most 131072 are allowed"
        );
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
    fn an_input_that_is_too_large_never_waits_for_its_definition() {
        let input = |bytes: usize| json!({"x": "x".repeat(bytes - "{'x':''}".len())});
        let told = |bytes: usize| {
            let object = orchestration(json!({"type": "t", "input": input(bytes)}));
            let decision = decide(&object, &Definition::NotFound, after(0));
            let succeeded =
                condition::find(&decision.update.summary.conditions, "Succeeded").unwrap().clone();
            format!("{} {}: {}", succeeded.status, succeeded.reason, succeeded.message)
        };
        assert!(told(65_536).starts_with("Unknown DefinitionNotFound"));
        assert_eq!(
            told(65_537),
            "False InputTooLarge: spec.input: has 65537 bytes of JSON, at most 65536 are allowed"
        );
    }

    /// What an Orchestration with this input is told by a definition with this schema.
    fn told(schema: Value, input: Value) -> String {
        let spec = json!({"schema": schema, "activities": [{"id": "a", "type": "t"}]});
        let plain = serde_json::from_value(json!({})).unwrap();
        let compiled = compile(&serde_json::from_value(spec).unwrap(), |_| TypeState::Ready(&plain)).unwrap();
        let object = orchestration(json!({"type": "x", "input": input}));
        let ready = Definition::Ready { revision: "x-1", compiled: &compiled };
        let decision = decide(&object, &ready, after(0));
        let condition = condition::find(&decision.update.summary.conditions, "Accepted").unwrap().clone();
        assert_eq!(decision.accepted, condition.status == "True");
        assert_eq!(decision.update.summary.revision.is_some(), decision.accepted);
        assert_eq!(decision.update.summary.completion_time.is_some(), !decision.accepted);
        format!("{} {}: {}", condition.status, condition.reason, condition.message)
    }

    #[test]
    fn an_input_is_as_the_schema_says_or_every_violation_is_told() {
        let schema = json!({"openAPIV3Schema": {
            "type": "object", "required": ["region", "size"], "additionalProperties": false, "properties": {
                "region": {"type": "string", "enum": ["eu", "us"]},
                "size": {"type": "integer", "default": 1, "minimum": 1},
                "replicas": {"type": "integer"},
                "owner": {"type": "object", "properties": {"emails": {"type": "array", "items": {"type": "string"}}}},
            },
        }});
        let accepted = "True Accepted: runs from the revision x-1";
        assert_eq!(told(schema.clone(), json!({"region": "eu"})), accepted);
        assert_eq!(told(schema.clone(), json!({"region": "eu", "size": null, "replicas": null})), accepted);
        assert_eq!(
            told(schema.clone(), json!({})),
            "False InvalidInput: spec.input.region: required by OrchestrationDefinition \"x\" schema"
        );
        assert_eq!(
            told(
                schema,
                json!({"region": "mars", "size": 0, "replicas": "3", "owner": {"emails": ["a", 7]}, "ragion": "eu"})
            ),
            "False InvalidInput: spec.input.owner.emails[1]: expected string, got integer 7\n\
             spec.input.ragion: unknown property (did you mean \"region\"?)\n\
             spec.input.region: may be one of \"eu\", \"us\", got \"mars\"\n\
             spec.input.replicas: expected integer, got string \"3\"\n\
             spec.input.size: must be at least 1, got 0"
        );
    }

    #[test]
    fn an_input_is_bounded_with_the_defaults_that_activities_read() {
        let with = |default: usize, more: usize| {
            let schema = json!({"type": "object", "properties": {"l": {"type": "array", "items": {
                "type": "object", "properties": {"d": {"type": "string", "default": "x".repeat(default)}}}}}});
            told(schema, json!({"l": vec![json!({}); more]}))
        };
        // {"l":[{"d":"x…"},…]}
        assert_eq!(with(6_543, 10), "True Accepted: runs from the revision x-1");
        assert_eq!(
            with(6_544, 10),
            "False InputTooLarge: spec.input: has 65537 bytes of JSON with the defaults of its schema, at most 65536 are allowed"
        );
        assert_eq!(
            with(20_000, 10_000),
            "False InputTooLarge: spec.input: has more than 1048576 bytes of JSON with the defaults of its schema, at most 65536 are allowed"
        );
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
