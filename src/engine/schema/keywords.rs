//! Keywords that the JSON Schema crate does not know, or knows otherwise than the API server.
//!
//! Responsible for: patterns, formats, lists with keys and embedded resources as validators of that crate. Must never:
//! read what a user wrote; [`super::read`] has checked it.

use std::collections::{BTreeMap, HashSet};

use jsonschema::paths::Location;
use jsonschema::{Keyword, ValidationError};
use regex::Regex;
use serde_json::{Map, Value, json};

use super::{format, shown};

/// A pattern in the API server's dialect.
pub(super) const PATTERN: &str = "x-pattern";
/// A format that the API server validates.
pub(super) const FORMAT: &str = "x-format";
/// A range that the API server keeps numbers of a type and format in.
pub(super) const RANGE: &str = "x-range";
/// The members that tell elements of a list apart.
pub(super) const MAP_KEYS: &str = "x-map-keys";
/// An object that is a Kubernetes object.
pub(super) const EMBEDDED: &str = "x-embedded";

/// What the crate makes of a keyword, or why it cannot.
pub(super) type Made<'a> = Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>>;

/// A keyword that finds something wrong, in words, or nothing.
struct Judge<F>(F);

impl<'i, F: Fn(&Value) -> Option<String> + Send + Sync> Keyword<'i> for Judge<F> {
    fn validate(&self, value: &'i Value) -> Result<(), ValidationError<'i>> {
        (self.0)(value).map_or(Ok(()), |why| Err(ValidationError::custom(why)))
    }

    fn is_valid(&self, value: &'i Value) -> bool {
        (self.0)(value).is_none()
    }
}

/// Compiled patterns by their text.
pub(super) type Patterns = BTreeMap<String, Regex>;

pub(super) fn pattern<'a>(value: &'a Value, patterns: &Patterns) -> Made<'a> {
    let pattern = value.as_str().unwrap_or_default().to_owned();
    let regex =
        patterns.get(&pattern).cloned().ok_or_else(|| ValidationError::schema("an unknown pattern"))?;
    Ok(Box::new(Judge(move |value: &Value| {
        let text = value.as_str().filter(|text| !regex.is_match(text))?;
        Some(format!("must match {pattern}, got {}", shown(&json!(text))))
    })))
}

pub(super) fn format<'a>(_: &'a Map<String, Value>, value: &'a Value, _: Location) -> Made<'a> {
    let name = value.as_str().unwrap_or_default().to_owned();
    Ok(Box::new(Judge(move |value: &Value| {
        let text = value.as_str().filter(|text| !format::holds(&name, text))?;
        Some(format!("must have the format {name}, got {}", shown(&json!(text))))
    })))
}

pub(super) fn range<'a>(_: &'a Map<String, Value>, value: &'a Value, _: Location) -> Made<'a> {
    let name = value.as_str().unwrap_or_default();
    let range = format::Range::named(name).ok_or_else(|| ValidationError::schema("an unknown range"))?;
    Ok(Box::new(Judge(move |value: &Value| {
        let Value::Number(number) = value else { return None };
        (!range.holds(number)).then(|| format!("must be {}, got {number}", range.words()))
    })))
}

pub(super) fn map_keys<'a>(_: &'a Map<String, Value>, value: &'a Value, _: Location) -> Made<'a> {
    let keys: Vec<String> =
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    Ok(Box::new(Judge(move |value: &Value| {
        let mut seen = HashSet::new();
        let elements = value.as_array()?;
        let twice = elements.iter().filter(|element| element.is_object()).find_map(|element| {
            let key: Value = keys.iter().map(|key| element.get(key).cloned().unwrap_or_default()).collect();
            (!seen.insert(key.to_string())).then_some(key)
        })?;
        Some(format!("no two elements may have the same {}, two have {}", keys.join(", "), shown(&twice)))
    })))
}

pub(super) fn embedded<'a>(_: &'a Map<String, Value>, _: &'a Value, _: Location) -> Made<'a> {
    Ok(Box::new(Judge(|value: &Value| {
        let object = value.as_object()?;
        let is_missing =
            |key: &&str| object.get(*key).and_then(Value::as_str).is_none_or(|text| text.trim().is_empty());
        let missing: Vec<&str> = ["apiVersion", "kind"].into_iter().filter(is_missing).collect();
        (!missing.is_empty())
            .then(|| format!("must be a Kubernetes object: {} is required", missing.join(" and ")))
    })))
}
