//! Metadata: what every object has, and what of it may change.
//!
//! Responsible for: names, labels, annotations, finalizers and owner references, and what an update may not touch.
//! Must never: know a kind.

use serde_json::{Value, json};

use super::names;
use crate::embedded::field::FieldError;

/// Finalizers that need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];
/// Most bytes of all annotations together.
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// Validates the metadata of an object. `name_rule` says what may be its name.
#[must_use]
pub fn check(metadata: &Value, name_rule: fn(&str) -> Vec<String>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let text = |key: &str| metadata.get(key).and_then(Value::as_str).unwrap_or_default();
    let generate_name = text("generateName");
    if !generate_name.is_empty() {
        // What is behind it makes a trailing `-` or `.` right.
        for why in
            name_rule(&format!("{}a", generate_name.get(..generate_name.len().min(248)).unwrap_or_default()))
        {
            errors.push(FieldError::invalid("metadata.generateName", &json!(generate_name), &why));
        }
    }
    let name = text("name");
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        errors.extend(
            name_rule(name).iter().map(|why| FieldError::invalid("metadata.name", &json!(name), why)),
        );
    }
    for (key, value) in metadata.get("labels").and_then(Value::as_object).into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        errors.extend(
            names::label_key(key).iter().map(|why| FieldError::invalid("metadata.labels", &json!(key), why)),
        );
        errors.extend(
            names::label_value(value)
                .iter()
                .map(|why| FieldError::invalid("metadata.labels", &json!(value), why)),
        );
    }
    let none = Value::Null;
    errors.extend(annotations(metadata.get("annotations").unwrap_or(&none), "metadata.annotations"));
    owners(metadata, &mut errors);
    for (index, finalizer) in strings(metadata, "finalizers").enumerate() {
        let field = format!("metadata.finalizers[{index}]");
        let value = json!(finalizer);
        errors.extend(names::qualified(finalizer).iter().map(|why| FieldError::invalid(&field, &value, why)));
        if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(&field, &value, why));
        }
    }
    errors
}

/// Validates the annotations at a field, of an object or of the pods that are made of it.
#[must_use]
pub fn annotations(annotations: &Value, field: &str) -> Vec<FieldError> {
    let (mut errors, mut size) = (Vec::new(), 0);
    for (key, value) in annotations.as_object().into_iter().flatten() {
        size += key.len() + value.as_str().unwrap_or_default().len();
        let wrong = names::qualified(&key.to_lowercase());
        errors.extend(wrong.iter().map(|why| FieldError::invalid(field, &json!(key), why)));
    }
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long(field, MAX_ANNOTATIONS as u64));
    }
    errors
}

fn owners(metadata: &Value, errors: &mut Vec<FieldError>) {
    let Some(list) = metadata.get("ownerReferences").and_then(Value::as_array) else { return };
    let mut controllers = Vec::new();
    for owner in list {
        let text = |key: &str| owner.get(key).and_then(Value::as_str).unwrap_or_default();
        for (key, why) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if text(key).is_empty() {
                errors.push(FieldError::invalid(format!("metadata.ownerReferences.{key}"), &json!(""), why));
            }
        }
        if text("apiVersion") == "v1" && text("kind") == "Event" {
            errors.push(FieldError::invalid(
                "metadata.ownerReferences",
                owner,
                "v1, Kind=Event is disallowed from being an owner",
            ));
        }
        if owner.get("controller").and_then(Value::as_bool).unwrap_or_default() {
            controllers.push(format!("{}/{}", text("kind"), text("name")));
        }
    }
    if let [first, .., last] = controllers.as_slice() {
        let why = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {last}"
        );
        let shown: Vec<String> = list.iter().map(in_order).collect();
        errors.push(FieldError::invalid("metadata.ownerReferences", &format!("[{}]", shown.join(",")), &why));
    }
}

/// An owner reference with its members in the order of the type, as messages show it.
fn in_order(owner: &Value) -> String {
    let names = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let members = names.iter().filter_map(|name| Some(format!("\"{name}\":{}", owner.get(name)?)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// Validates what an update does to the metadata.
#[must_use]
pub fn check_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for key in ["name", "namespace", "uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if new.get(key) != old.get(key) {
            let value = new.get(key).cloned().unwrap_or(Value::Null);
            errors.push(FieldError::invalid(format!("metadata.{key}"), &value, "field is immutable"));
        }
    }
    if old.get("deletionTimestamp").is_some() {
        let before: Vec<&str> = strings(old, "finalizers").collect();
        let mut added: Vec<&str> =
            strings(new, "finalizers").filter(|finalizer| !before.contains(finalizer)).collect();
        added.sort_unstable();
        if !added.is_empty() {
            let added: Vec<String> = added.iter().map(|finalizer| format!("\"{finalizer}\"")).collect();
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            errors.push(FieldError::forbidden("metadata.finalizers", &why));
        }
    }
    errors
}

/// The texts of a list in the metadata.
pub fn strings<'m>(metadata: &'m Value, key: &str) -> impl Iterator<Item = &'m str> + use<'m> {
    metadata.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}
