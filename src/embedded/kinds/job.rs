//! Jobs: defaults, generated selector and labels, and what must not change.
//!
//! Responsible for: what the API server makes of a Job before a controller sees it. Must never: make pods of it.

use serde_json::{Map, Value, json};

use super::pod;
use crate::embedded::field::FieldError;
use crate::embedded::validate::{metadata, names};

/// Labels that the API server writes, in the metadata and in the template.
const UID_LABELS: [&str; 2] = ["batch.kubernetes.io/controller-uid", "controller-uid"];
const NAME_LABELS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

/// Fills in what a new Job gets. The uid and the name are known already.
pub fn prepare(job: &mut Map<String, Value>) {
    let text = |job: &Map<String, Value>, key: &str| {
        job.get("metadata")
            .and_then(|metadata| metadata.get(key))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (uid, name) = (text(job, "uid"), text(job, "name"));
    let spec = job.entry("spec").or_insert_with(|| json!({}));
    let Some(spec) = spec.as_object_mut() else { return };
    let has_both = spec.contains_key("completions") || spec.contains_key("parallelism");
    if !has_both {
        spec.insert("completions".to_owned(), json!(1));
    }
    let replacement = if spec.contains_key("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    let is_manual = spec.get("manualSelector") == Some(&json!(true));
    for (key, value) in [
        ("parallelism", json!(1)),
        ("backoffLimit", json!(6)),
        ("completionMode", json!("NonIndexed")),
        ("suspend", json!(false)),
        ("podReplacementPolicy", json!(replacement)),
        ("manualSelector", json!(false)),
        ("template", json!({})),
    ] {
        spec.entry(key).or_insert(value);
    }
    for rule in spec
        .get_mut("podFailurePolicy")
        .and_then(|policy| policy.get_mut("rules"))
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        for condition in rule.get_mut("onPodConditions").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(condition) = condition.as_object_mut() {
                condition.entry("status").or_insert_with(|| json!("True"));
            }
        }
    }
    if let Some(template) = spec.get_mut("template").and_then(Value::as_object_mut) {
        let inner = template.entry("spec").or_insert_with(|| json!({}));
        if let Some(inner) = inner.as_object_mut() {
            let policy = inner.get("restartPolicy").cloned();
            pod::defaults(inner);
            // A Job has no default of it: it must be said.
            if policy.is_none() {
                inner.remove("restartPolicy");
            }
        }
        if !is_manual {
            label(template.entry("metadata").or_insert_with(|| json!({})), &uid, &name);
        }
    }
    if !is_manual {
        let [uid_label, _] = UID_LABELS;
        let selector = spec.entry("selector").or_insert_with(|| json!({}));
        if let Some(selector) = selector.as_object_mut() {
            let labels = selector.entry("matchLabels").or_insert_with(|| json!({}));
            if let Some(labels) = labels.as_object_mut() {
                labels.insert(uid_label.to_owned(), json!(uid));
            }
        }
    }
    // A Job that says nothing of itself is labelled like its pods.
    let labels = spec.get("template").and_then(|template| template.get("metadata")?.get("labels")).cloned();
    if let (Some(labels), Some(metadata)) = (labels, job.get_mut("metadata").and_then(Value::as_object_mut)) {
        metadata.entry("labels").or_insert(labels);
    }
}

fn label(metadata: &mut Value, uid: &str, name: &str) {
    let Some(metadata) = metadata.as_object_mut() else { return };
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    let Some(labels) = labels.as_object_mut() else { return };
    for key in UID_LABELS {
        labels.insert(key.to_owned(), json!(uid));
    }
    for key in NAME_LABELS {
        labels.insert(key.to_owned(), json!(name));
    }
}

/// Validates a Job, and an update of it.
#[must_use]
pub fn check(job: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = job.get("spec").unwrap_or(&Value::Null);
    for key in
        ["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"]
    {
        if let Some(number) = spec.get(key).and_then(Value::as_i64).filter(|number| *number < 0) {
            errors.push(FieldError::invalid(
                format!("spec.{key}"),
                &json!(number),
                "must be greater than or equal to 0",
            ));
        }
    }
    let labels = spec.pointer("/template/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    for (key, value) in labels {
        let value = value.as_str().unwrap_or_default();
        errors.extend(
            names::qualified(key)
                .iter()
                .map(|why| FieldError::invalid("spec.template.labels", &json!(key), why)),
        );
        errors.extend(
            names::label_value(value)
                .iter()
                .map(|why| FieldError::invalid("spec.template.labels", &json!(value), why)),
        );
    }
    let annotations = spec.pointer("/template/metadata/annotations").unwrap_or(&Value::Null);
    errors.extend(metadata::annotations(annotations, "spec.template.annotations"));
    let template = spec.pointer("/template/spec").unwrap_or(&Value::Null);
    let said = template.get("restartPolicy").and_then(Value::as_str).unwrap_or_default();
    let mut of_pod = pod::check(template, "spec.template.spec", &["Always", "OnFailure", "Never", ""]);
    if !matches!(said, "OnFailure" | "Never") {
        let why = "valid values: \"OnFailure\", \"Never\"";
        of_pod.push(FieldError::required("spec.template.spec.restartPolicy", why));
    }
    errors.extend(of_pod);
    if let Some(old) = old {
        errors.extend(check_update(job, old));
    }
    errors
}

fn check_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec =
        |job: &Value, key: &str| job.get("spec").and_then(|spec| spec.get(key)).cloned().unwrap_or_default();
    let keys = [
        "completions",
        "selector",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
        "completionMode",
        "template",
    ];
    for key in keys {
        let (after, before) = (spec(new, key), spec(old, key));
        if after == before || (key == "template" && may_replace_template(new, old, &after, &before)) {
            continue;
        }
        errors.push(FieldError::invalid(format!("spec.{key}"), &after, "field is immutable"));
    }
    errors
}

/// While a Job is suspended and nothing of it has run, scheduling directives of its template may change.
fn may_replace_template(new: &Value, old: &Value, after: &Value, before: &Value) -> bool {
    let is_suspended = |job: &Value| job.pointer("/spec/suspend") == Some(&json!(true));
    let started = old.pointer("/status/startTime").is_some();
    let without = |template: &Value| {
        let mut template = template.clone();
        if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
            for free in ["nodeSelector", "tolerations", "affinity", "schedulingGates"] {
                spec.remove(free);
            }
        }
        if let Some(template) = template.as_object_mut() {
            template.remove("metadata");
        }
        template
    };
    is_suspended(old) && is_suspended(new) && !started && without(after) == without(before)
}
