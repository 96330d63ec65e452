//! ConfigMaps, Secrets, ControllerRevisions and Leases: small kinds, small rules.
//!
//! Responsible for: what of them must not change, and what must be there. Must never: read what they hold.

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use crate::embedded::field::FieldError;
use crate::embedded::validate::names;

/// What cannot change once `immutable` is set.
const WHEN_IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// Validates a ConfigMap or a Secret.
#[must_use]
pub fn check_data(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for member in ["data", "binaryData"] {
        for key in object.get(member).and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key) {
            let field = format!("{member}[{key}]");
            errors.extend(
                names::config_key(key).iter().map(|why| FieldError::invalid(&field, &json!(key), why)),
            );
        }
    }
    let Some(old) = old else { return errors };
    if old.get("type").is_some() && old.get("type") != object.get("type") {
        errors.push(FieldError::invalid(
            "type",
            &object.get("type").cloned().unwrap_or_default(),
            "field is immutable",
        ));
    }
    if old.get("immutable") == Some(&json!(true)) {
        for member in ["immutable", "data", "binaryData"] {
            if object.get(member) != old.get(member) {
                errors.push(FieldError::forbidden(member, WHEN_IMMUTABLE));
            }
        }
    }
    errors
}

/// What a Secret is stored as: `stringData` is encoded into `data`.
pub fn prepare_secret(secret: &mut Map<String, Value>) {
    if let Some(Value::Object(texts)) = secret.remove("stringData") {
        let data = secret.entry("data").or_insert_with(|| json!({}));
        if let Some(data) = data.as_object_mut() {
            for (key, text) in texts {
                data.insert(key, json!(BASE64.encode(text.as_str().unwrap_or_default().as_bytes())));
            }
        }
    }
    secret.entry("type").or_insert_with(|| json!("Opaque"));
}

/// What of a Secret is no base64.
#[must_use]
pub fn undecodable(secret: &Value) -> Option<String> {
    let values = secret.get("data").and_then(Value::as_object).into_iter().flatten();
    let texts = values.filter_map(|(_, value)| value.as_str());
    texts
        .filter_map(|text| BASE64.decode(text.as_bytes()).err())
        .next()
        .map(|error| format!("illegal base64 data at input byte {}", error.position))
}

/// Validates a ControllerRevision.
#[must_use]
pub fn check_revision(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let revision = object.get("revision").and_then(Value::as_i64).unwrap_or_default();
    if revision < 0 {
        errors.push(FieldError::invalid("revision", &json!(revision), "must be greater than or equal to 0"));
    }
    match object.get("data") {
        None => errors.push(FieldError::required("data", "data is mandatory")),
        Some(Value::Object(_)) => {}
        Some(_) => errors.push(FieldError::required("data", "data must be a valid JSON object")),
    }
    if let Some(old) = old
        && object.get("data") != old.get("data")
    {
        let data = object.get("data").cloned().unwrap_or_default();
        errors.push(FieldError::invalid("data", &data, "field is immutable"));
    }
    errors
}

/// Validates a Lease.
#[must_use]
pub fn check_lease(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
    if let Some(seconds) = number("/spec/leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
        errors.push(FieldError::invalid(
            "spec.leaseDurationSeconds",
            &json!(seconds),
            "must be greater than 0",
        ));
    }
    if let Some(count) = number("/spec/leaseTransitions").filter(|count| *count < 0) {
        errors.push(FieldError::invalid(
            "spec.leaseTransitions",
            &json!(count),
            "must be greater than or equal to 0",
        ));
    }
    errors
}
