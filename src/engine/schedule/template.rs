//! Templates: the Orchestration of a tick, and what is wrong with a template before any tick.
//!
//! Responsible for: one form of a schedule's run, whoever makes it; the tick in its label. Must never: make a run, or
//! fetch a definition.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use serde_json::{Value, json};

use crate::api::common::Object;
use crate::api::orchestration_schedule::OrchestrationTemplate;
use crate::api::{Orchestration, OrchestrationSchedule, labels};
use crate::engine::acceptance::{self, INPUT_TOO_LARGE, Refusal};
use crate::engine::metadata::{is_qualified, without_tools};
use crate::engine::names::label_value;
use crate::engine::problem::{Problem, ProblemCode};
use crate::engine::schema::Schema;

/// Path of the input in a schedule.
pub const INPUT: &str = "spec.orchestrationTemplate.spec.input";
/// Path of the template's metadata.
const METADATA: &str = "spec.orchestrationTemplate.metadata";

/// How a run is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'n> {
    /// So: the run of a tick.
    Exact(&'n str),
    /// So, and an ending that the server makes up: a run of its own.
    Generated(&'n str),
}

/// A run of a schedule, as it is created: the template with the schedule as its owner and the tick in a label. Whoever
/// creates it, the schedule counts it as its own.
#[must_use]
pub fn run(schedule: &OrchestrationSchedule, name: Name<'_>, tick: Timestamp) -> Value {
    let OrchestrationTemplate { metadata, spec } = &schedule.spec.orchestration_template;
    let owner = schedule.metadata.name.as_deref().unwrap_or_default();
    // A run that carried what tools write on their own objects would be taken for one of theirs.
    let own =
        |all| -> Object { without_tools(all).map(|(key, value)| (key.clone(), json!(value))).collect() };
    let (mut labels, annotations) = (own(&metadata.labels), own(&metadata.annotations));
    labels.insert(labels::SCHEDULE.to_owned(), label_value(owner).into());
    labels.insert(labels::SCHEDULED_TIME.to_owned(), label(tick).into());
    let mut made = json!({
        "apiVersion": "orchestrator.dev/v1alpha1",
        "kind": "Orchestration",
        "metadata": {
            "namespace": schedule.metadata.namespace,
            "labels": labels,
            "ownerReferences": [{
                "apiVersion": "orchestrator.dev/v1alpha1",
                "kind": "OrchestrationSchedule",
                "name": owner,
                "uid": schedule.metadata.uid,
                "controller": true,
            }],
        },
        "spec": spec,
    });
    let (field, name) = match name {
        Name::Exact(name) => ("name", name),
        Name::Generated(prefix) => ("generateName", prefix),
    };
    if let Some(own) = made.get_mut("metadata").and_then(Value::as_object_mut) {
        own.insert(field.to_owned(), name.into());
        if !annotations.is_empty() {
            own.insert("annotations".to_owned(), Value::Object(annotations));
        }
    }
    made
}

/// A tick as the value of a label: `20261121T090000Z`. A label has no colons.
#[must_use]
pub fn label(tick: Timestamp) -> String {
    tick.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// The tick that a label tells of; nothing if it is none.
#[must_use]
pub fn tick(label: &str) -> Option<Timestamp> {
    let part = |from: usize, to: usize| -> Option<i16> {
        let digits = label.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let small = |from, to| part(from, to).and_then(|value| i8::try_from(value).ok());
    if label.len() != 16 || label.get(8..9)? != "T" || label.get(15..)? != "Z" {
        return None;
    }
    let date = Date::new(part(0, 4)?, small(4, 6)?, small(6, 8)?).ok()?;
    let time = Time::new(small(9, 11)?, small(11, 13)?, small(13, 15)?, 0).ok()?;
    let zoned = DateTime::from_parts(date, time).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp())
}

/// The tick that an Orchestration was made for, by its label.
#[must_use]
pub fn tick_of(orchestration: &Orchestration) -> Option<Timestamp> {
    let labels = orchestration.metadata.labels.as_ref()?;
    tick(labels.get(labels::SCHEDULED_TIME)?)
}

/// What is wrong with a template by itself, and what its schedule never says of it.
#[must_use]
pub fn problems(template: &OrchestrationTemplate) -> Vec<Problem> {
    let labels = template.metadata.labels.keys().map(|key| ("labels", key));
    let annotations = template.metadata.annotations.keys().map(|key| ("annotations", key));
    let wrong = labels.chain(annotations).filter(|(_, key)| !is_qualified(key));
    wrong
        .map(|(field, key)| {
            let message = format!(
                "{key:?} is no key: a name of at most 63 letters, digits, \"-\", \"_\" and \".\", perhaps behind a \
                 DNS subdomain and \"/\""
            );
            Problem::new(ProblemCode::InvalidTemplate, format!("{METADATA}.{field}"), message)
        })
        .collect()
}

/// A mistake in the input of a template: reason, path and message.
pub type InputMistake = (&'static str, String, String);

/// Where the input of a template is not as the definition's schema says, or cannot be handed on at all.
#[must_use]
pub fn check_input(template: &OrchestrationTemplate, schema: Option<&Schema>) -> Vec<InputMistake> {
    let given = template.spec.input.as_ref();
    if let Some((reason, message)) = given.and_then(acceptance::check_size) {
        let message = message.strip_prefix("spec.input: ").unwrap_or(&message).to_owned();
        return vec![(reason, INPUT.to_owned(), message)];
    }
    match acceptance::check_input(&template.spec.type_, schema, given, INPUT) {
        None => Vec::new(),
        Some(Refusal::TooLarge(message)) => vec![(INPUT_TOO_LARGE, INPUT.to_owned(), message)],
        Some(Refusal::Invalid(violations)) => violations
            .into_iter()
            .map(|violation| ("InvalidInput", violation.path, violation.message))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(name: &str) -> OrchestrationSchedule {
        serde_json::from_value(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationSchedule",
            "metadata": {"name": name, "namespace": "prod", "uid": "u-1"},
            "spec": {"schedule": "@daily", "orchestrationTemplate": {
                "metadata": {
                    "labels": {"team": "dns", "app.kubernetes.io/instance": "app", "helm.sh/chart": "c-1"},
                    "annotations": {"example.com/note": "n", "argocd.argoproj.io/sync-wave": "3"},
                },
                "spec": {"type": "t.example.com", "input": {"diff": true}, "correlationId": "c"},
            }},
        }))
        .unwrap()
    }

    #[test]
    fn a_label_tells_the_tick_and_nothing_else_is_one() {
        for text in ["1970-01-01T00:00:00Z", "2026-11-21T09:00:00Z", "2028-02-29T23:59:59Z"] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(tick(&label(time)), Some(time), "{}", label(time));
        }
        assert_eq!(label("2026-11-21T09:00:00Z".parse().unwrap()), "20261121T090000Z");
        for wrong in [
            "",
            "20261121T090000",
            "2026-11-21T09:00:00Z",
            "20261321T090000Z",
            "20260229T090000Z",
            "20261121T240000Z",
            "+0261121T090000Z",
            "20261121 090000Z",
            "20261121T090000z",
            "ä0261121T09000Z",
            "20261121T0900 0Z",
        ] {
            assert_eq!(tick(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_run_is_the_template_with_its_owner_and_its_tick() {
        let at = "2026-11-21T09:00:00Z".parse().unwrap();
        let made = run(&schedule("sync"), Name::Exact("sync-1"), at);
        assert_eq!(
            made,
            json!({
                "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration",
                "metadata": {
                    "name": "sync-1", "namespace": "prod",
                    "labels": {
                        "team": "dns", "orchestrator.dev/schedule": "sync",
                        "orchestrator.dev/scheduled-time": "20261121T090000Z",
                    },
                    "annotations": {"example.com/note": "n"},
                    "ownerReferences": [{
                        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationSchedule", "name": "sync",
                        "uid": "u-1", "controller": true,
                    }],
                },
                "spec": {"type": "t.example.com", "input": {"diff": true}, "correlationId": "c"},
            })
        );
        let typed: Orchestration = serde_json::from_value(made).unwrap();
        assert_eq!(tick_of(&typed), Some(at));
        let long = "a".repeat(253);
        let made = run(&schedule(&long), Name::Generated("a-"), at);
        assert_eq!(made["metadata"]["generateName"], "a-");
        assert_eq!(made["metadata"]["labels"]["orchestrator.dev/schedule"], "a".repeat(63));
    }

    #[test]
    fn a_key_is_what_kubernetes_takes() {
        let long = format!("{}/a", "a".repeat(254));
        for (key, is_one) in [
            ("team", true),
            ("a/B_c.d-E", true),
            ("example.com/x", true),
            ("", false),
            ("/x", false),
            ("a/", false),
            ("A.com/x", false),
            ("a b", false),
            ("-a", false),
            ("a/b/c", false),
            (long.as_str(), false),
            (&"a".repeat(64), false),
            ("example..com/x", false),
        ] {
            assert_eq!(is_qualified(key), is_one, "{key}");
        }
        let mut wrong = schedule("s").spec.orchestration_template;
        wrong.metadata.labels.insert("a b".to_owned(), "c".to_owned());
        assert_eq!(
            problems(&wrong).iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "InvalidTemplate: spec.orchestrationTemplate.metadata.labels: \"a b\" is no key: a name of at most 63 \
                 letters, digits, \"-\", \"_\" and \".\", perhaps behind a DNS subdomain and \"/\""
            ]
        );
    }
}
