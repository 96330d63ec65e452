//! The untyped shorthand of a definition: `dependsOn` as a string or a list, an input as a string or an object.
//!
//! Responsible for: the JSON types that the CRD cannot check. Must never: be needed after the compile.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::problem::{ProblemCode, suggestion};
use super::{Findings, MAX_DEPENDENCIES};
use crate::api::common::Mapping;
use crate::api::orchestration_definition::Activity;

/// The dependencies of one activity as indices, each once. What is wrong is told and left out.
pub(super) fn dependencies(
    at: usize,
    activity: &Activity,
    index: &BTreeMap<&str, usize>,
    names: &[&str],
    found: &mut Findings,
) -> Vec<usize> {
    let items: Vec<(String, &Value)> = match &activity.depends_on {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) if list.len() > MAX_DEPENDENCIES => {
            let message = format!("must have at most {MAX_DEPENDENCIES} entries, has {}", list.len());
            found.at(at, ProblemCode::LimitExceeded, ".dependsOn", message);
            return Vec::new();
        }
        Some(Value::Array(list)) => {
            list.iter().enumerate().map(|(item, value)| (format!(".dependsOn[{item}]"), value)).collect()
        }
        Some(value) => vec![(".dependsOn".to_owned(), value)],
    };
    if at >= found.main {
        if !items.is_empty() {
            let message = "what is in finally waits for all others, and for nothing else";
            found.at(at, ProblemCode::UnknownDependency, ".dependsOn", message);
        }
        return Vec::new();
    }
    let mut dependencies = Vec::new();
    let mut seen = BTreeSet::new();
    for (field, value) in items {
        let Value::String(id) = value else {
            let message = wrong_type(value, "an activity id, or a list of activity ids");
            found.at(at, ProblemCode::TypeMismatch, &field, message);
            continue;
        };
        match index.get(id.as_str()) {
            _ if *id == activity.id => {
                found.at(
                    at,
                    ProblemCode::SelfDependency,
                    &field,
                    format!("\"{id}\" may not depend on itself"),
                );
            }
            None => {
                let others = names.iter().copied().filter(|name| *name != activity.id);
                let message = format!("no activity \"{}\"{}", shorten(id), found.suggestion(id, others));
                found.at(at, ProblemCode::UnknownDependency, &field, message);
            }
            Some(dependency) if *dependency >= found.main => {
                let message = format!("\"{id}\" is in finally, which starts when all others are final");
                found.at(at, ProblemCode::UnknownDependency, &field, message);
            }
            Some(_) if !seen.insert(id.as_str()) => {
                found.warn(at, ProblemCode::DuplicateId, &field, format!("\"{id}\" is listed twice"));
            }
            Some(dependency) => dependencies.push(*dependency),
        }
    }
    dependencies
}

/// An item of `inputs`, normalised, with the field path of its source.
pub(super) fn input(
    at: usize,
    item: usize,
    value: &Value,
    found: &mut Findings,
) -> Option<(String, Mapping)> {
    let field = format!(".inputs[{item}]");
    let object = match value {
        Value::String(source) => return Some((field, Mapping { source: source.clone(), target: None })),
        Value::Object(object) => object,
        other => {
            let message = wrong_type(other, "a source path, or {source, target}");
            found.at(at, ProblemCode::TypeMismatch, &field, message);
            return None;
        }
    };
    let mut complete = true;
    for key in object.keys().filter(|key| !matches!(key.as_str(), "source" | "target")) {
        let message = format!(
            "unknown field \"{}\"{}; allowed are source and target",
            shorten(key),
            suggestion(key, ["source", "target"].into_iter())
        );
        found.at(at, ProblemCode::TypeMismatch, &field, message);
        complete = false;
    }
    let source = match object.get("source") {
        Some(Value::String(source)) => Some(source.clone()),
        Some(other) => {
            let message = wrong_type(other, "a source path");
            found.at(at, ProblemCode::TypeMismatch, &format!("{field}.source"), message);
            None
        }
        None => {
            found.at(at, ProblemCode::InvalidPath, &format!("{field}.source"), "is required");
            None
        }
    };
    let target = match object.get("target") {
        None | Some(Value::Null) => None,
        Some(Value::String(target)) => Some(target.clone()),
        Some(other) => {
            let message = wrong_type(other, "a name");
            found.at(at, ProblemCode::TypeMismatch, &format!("{field}.target"), message);
            complete = false;
            None
        }
    };
    let source = source.filter(|_| complete)?;
    Some((format!("{field}.source"), Mapping { source, target }))
}

/// Says what was found instead, and how YAML makes booleans and numbers of ids.
fn wrong_type(value: &Value, expected: &str) -> String {
    match value {
        Value::Bool(found) => {
            format!(
                "must be {expected}, found the boolean {found}: quote what YAML reads as a boolean (y, n, on, off, yes, no)"
            )
        }
        Value::Number(found) => {
            format!("must be {expected}, found the number {found}: quote what YAML reads as a number")
        }
        Value::Null => format!("must be {expected}, found null"),
        Value::String(_) => format!("must be {expected}, found a string"),
        Value::Array(_) => format!("must be {expected}, found a list"),
        Value::Object(_) => format!("must be {expected}, found an object"),
    }
}

/// Text of a user in a message: cut to what helps, and kept on its line.
pub(super) fn shorten(text: &str) -> String {
    let mut shown = String::new();
    for (at, character) in text.chars().enumerate() {
        match character {
            _ if at == 80 => return shown + "…",
            '"' | '\\' | '\'' => shown.push(character),
            // Line breaks, and what turns the direction of writing.
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}
