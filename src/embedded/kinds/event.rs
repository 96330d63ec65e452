//! Events: one object, two shapes.
//!
//! Responsible for: core/v1 and events.k8s.io/v1 being the same objects under other names. Must never: make an Event.

use serde_json::{Map, Value, json};

use crate::embedded::field::FieldError;

/// Members whose name differs: core/v1 first.
const NAMES: [(&str, &str); 8] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("reportingInstance", "reportingInstance"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// An Event of core/v1 as one of events.k8s.io/v1.
#[must_use]
pub fn to_new(core: &Value) -> Value {
    let mut event = renamed(core, |(old, new)| (old, new));
    let is_empty = |value: Option<&Value>| value.and_then(Value::as_str).is_none_or(str::is_empty);
    for word in ["reportingController", "reportingInstance"] {
        if is_empty(event.get(word)) {
            event.remove(word);
        }
    }
    if event.get("regarding").is_some_and(|regarding| regarding == &json!({})) {
        event.remove("regarding");
    }
    event.insert("apiVersion".to_owned(), json!("events.k8s.io/v1"));
    Value::Object(event)
}

/// An Event of events.k8s.io/v1 as one of core/v1.
#[must_use]
pub fn to_core(new: &Value) -> Value {
    let mut event = renamed(new, |(old, new)| (new, old));
    event.insert("apiVersion".to_owned(), json!("v1"));
    Value::Object(event)
}

fn renamed(
    event: &Value,
    pair: fn((&'static str, &'static str)) -> (&'static str, &'static str),
) -> Map<String, Value> {
    let members = event.as_object().into_iter().flatten();
    let rename = |(name, value): (&String, &Value)| {
        let other = NAMES
            .iter()
            .map(|names| pair(*names))
            .find(|(from, _)| from == name)
            .map_or(name.as_str(), |(_, to)| to);
        (other.to_owned(), value.clone())
    };
    members.map(rename).collect()
}

/// Members that Go always writes, whatever they are.
pub fn complete(core: &mut Map<String, Value>) {
    for (name, value) in [
        ("involvedObject", json!({})),
        ("source", json!({})),
        ("firstTimestamp", Value::Null),
        ("lastTimestamp", Value::Null),
        ("eventTime", Value::Null),
        ("reportingComponent", json!("")),
        ("reportingInstance", json!("")),
    ] {
        core.entry(name).or_insert(value);
    }
}

/// Validates an Event of core/v1 shape; `is_new` says that it came as events.k8s.io/v1.
#[must_use]
pub fn check(core: &Value, old: Option<&Value>, is_new: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let text = |pointer: &str| core.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let involved = text("/involvedObject/namespace");
    let fits = involved == text("/metadata/namespace")
        || (involved.is_empty() && text("/metadata/namespace") == "default");
    if !fits {
        errors.push(FieldError::invalid(
            "involvedObject.namespace",
            &json!(involved),
            "does not match event.namespace",
        ));
    }
    if !is_new {
        return errors;
    }
    if let Some(old) = old {
        for name in [
            "involvedObject",
            "reason",
            "message",
            "reportingComponent",
            "reportingInstance",
            "action",
            "type",
            "eventTime",
        ] {
            if core.get(name) != old.get(name) {
                let value = core.get(name).cloned().unwrap_or(Value::Null);
                errors.push(FieldError::invalid(name, &value, "field is immutable"));
            }
        }
        return errors;
    }
    if core.get("eventTime").is_none_or(Value::is_null) {
        errors.push(FieldError::required("eventTime", ""));
    }
    if !matches!(text("/type"), "Normal" | "Warning") {
        errors.push(FieldError::invalid(
            "type",
            &json!(""),
            &format!("has invalid value: {}", text("/type")),
        ));
    }
    if !core.get("eventTime").is_none_or(Value::is_null) {
        if text("/reportingComponent").is_empty() {
            errors.push(FieldError::required("reportingController", ""));
        }
        for (name, field) in
            [("/reportingInstance", "reportingInstance"), ("/action", "action"), ("/reason", "reason")]
        {
            if text(name).is_empty() {
                errors.push(FieldError::required(field, ""));
            }
        }
        if text("/message").len() > 1024 {
            errors.push(FieldError::invalid("message", &json!(""), "can have at most 1024 characters"));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_are_the_same_object() {
        let new = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "regarding": {"uid": "u"}, "note": "n", "series": {"count": 2}});
        let core = to_core(&new);
        assert_eq!(
            (&core["involvedObject"]["uid"], &core["message"], &core["apiVersion"]),
            (&json!("u"), &json!("n"), &json!("v1"))
        );
        assert_eq!(to_new(&core), new);
    }
}
