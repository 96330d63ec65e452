//! Validation: what is wrong with a value, in words.
//!
//! Responsible for: all violations with path and rule, in document order. Must never: fetch, backtrack, or show more of
//! a value than a few words.

use std::borrow::Cow;
use std::sync::Arc;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{Draft, PatternOptions, ValidationError};
use serde_json::Value;

use super::keywords::Patterns;
use super::limits::{MAX_OVERLAP, MAX_WORK};
use super::node::{Additional, Node};
use super::{Violation, keywords, member, shown};
use crate::engine::problem::suggestion;
use crate::engine::value::without_nulls;

/// Most allowed values or names in a message.
const MAX_NAMES: usize = 20;

/// Validates by one schema.
pub(super) struct Validator {
    schema: Value,
    validator: jsonschema::Validator,
    overlap: usize,
}

impl Validator {
    /// For a schema that was read. The error is for people.
    pub(super) fn build(node: &Node, patterns: &Arc<Patterns>) -> Result<Self, String> {
        let overlap = overlap(node);
        if overlap > MAX_OVERLAP {
            return Err(format!(
                "at most {MAX_OVERLAP} alternatives of allOf, anyOf, oneOf and not may apply to one value, here are {overlap}"
            ));
        }
        Ok(Self { overlap, ..Self::of(node.translated(), patterns)? })
    }

    /// For a schema in the crate's words.
    pub(super) fn of(schema: Value, patterns: &Arc<Patterns>) -> Result<Self, String> {
        let patterns = Arc::clone(patterns);
        let validator = jsonschema::options()
            .with_draft(Draft::Draft7)
            // The schema holds no `pattern` any more; linear time all the same.
            .with_pattern_options(PatternOptions::regex().size_limit(1 << 16))
            .should_validate_formats(false)
            .with_keyword(keywords::PATTERN, move |_, value, _| keywords::pattern(value, &patterns))
            .with_keyword(keywords::FORMAT, keywords::format)
            .with_keyword(keywords::RANGE, keywords::range)
            .with_keyword(keywords::MAP_KEYS, keywords::map_keys)
            .with_keyword(keywords::EMBEDDED, keywords::embedded)
            .build(&schema)
            .map_err(|error| error.to_string())?;
        Ok(Self { schema, validator, overlap: MAX_OVERLAP })
    }

    /// Every violation, in document order.
    pub(super) fn violations(&self, value: &Value, at: &str) -> Vec<Violation> {
        let value = match value {
            Value::Object(object) if has_null_members(value) => {
                Cow::Owned(Value::Object(without_nulls(object.clone())))
            }
            _ => Cow::Borrowed(value),
        };
        if self.validator.is_valid(&value) {
            return Vec::new();
        }
        let errors: Vec<ValidationError<'_>> = if count(&value).saturating_mul(self.overlap) > MAX_WORK {
            self.validator.validate(&value).err().into_iter().collect()
        } else {
            self.validator.iter_errors(&value).collect()
        };
        let mut found: Vec<(Vec<Step>, Violation)> =
            errors.iter().flat_map(|error| self.told(error, &value, at)).collect();
        found.sort_by(|(a, one), (b, other)| a.cmp(b).then_with(|| one.rule.cmp(&other.rule)));
        let mut violations: Vec<Violation> = found.into_iter().map(|(_, violation)| violation).collect();
        // Several alternatives may say the same.
        violations.dedup();
        violations
    }

    /// One error of the crate: a missing or unknown property is told at its own path.
    fn told(&self, error: &ValidationError<'_>, value: &Value, at: &str) -> Vec<(Vec<Step>, Violation)> {
        let (steps, path) = located(error.instance_path().as_str(), value, at);
        let rule = rule(error.kind());
        let of_member = |name: &str, message: String| {
            let steps = steps.iter().cloned().chain([Step::Member(name.to_owned())]).collect();
            (steps, Violation { path: member(&path, name), rule: rule.to_owned(), message })
        };
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = self.siblings(error.schema_path().as_str());
                let tell = |name: &String| of_member(name, unknown(name, &known));
                unexpected.iter().map(tell).collect()
            }
            // Where no property is declared, all of an object's members are one error.
            ValidationErrorKind::FalseSchema => {
                let members = value.pointer(error.instance_path().as_str()).and_then(Value::as_object);
                let names = members.into_iter().flatten().map(|(name, _)| name);
                names.map(|name| of_member(name, unknown(name, &[]))).collect()
            }
            ValidationErrorKind::Required { property: Value::String(name) } => {
                vec![of_member(name, "required".to_owned())]
            }
            kind => {
                let message = wording(kind, error.instance());
                vec![(steps.clone(), Violation { path: path.clone(), rule: rule.to_owned(), message })]
            }
        }
    }

    /// The properties that are declared beside a keyword.
    fn siblings(&self, keyword: &str) -> Vec<&str> {
        let schema = keyword.rsplit_once('/').and_then(|(schema, _)| self.schema.pointer(schema));
        let properties = schema.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
        properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    let meant = suggestion(name, known.iter().copied());
    match known {
        _ if !meant.is_empty() => format!("unknown property{meant}"),
        [] => "unknown property (there are none)".to_owned(),
        names => {
            format!("unknown property (there are {})", listed(names.iter().map(|name| (*name).to_owned())))
        }
    }
}

/// One step from the root of a value, ordered as in the document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Element(usize),
    Member(String),
}

/// A JSON pointer into a value, as steps and as a path. The value says what is a member and what an element.
fn located(pointer: &str, value: &Value, at: &str) -> (Vec<Step>, String) {
    let (mut steps, mut path, mut current) = (Vec::new(), at.to_owned(), Some(value));
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        match (current, token.parse::<usize>()) {
            (Some(Value::Array(elements)), Ok(index)) => {
                path.push_str(&format!("[{index}]"));
                current = elements.get(index);
                steps.push(Step::Element(index));
            }
            (value, _) => {
                path = member(&path, &token);
                current = value.and_then(|value| value.get(&token));
                steps.push(Step::Member(token));
            }
        }
    }
    (steps, path)
}

/// The keyword that is violated, as the user wrote it.
fn rule(kind: &ValidationErrorKind) -> &str {
    match kind.keyword() {
        // No other schema of ours refuses everything.
        "falseSchema" => "additionalProperties",
        keywords::PATTERN => "pattern",
        keywords::FORMAT | keywords::RANGE => "format",
        keywords::MAP_KEYS => "x-kubernetes-list-map-keys",
        keywords::EMBEDDED => "x-kubernetes-embedded-resource",
        other => other,
    }
}

fn wording(kind: &ValidationErrorKind, value: &Value) -> String {
    let got = || shown(value);
    match kind {
        ValidationErrorKind::Type { kind } => {
            let wanted = match kind {
                TypeKind::Single(type_) => type_.to_string(),
                TypeKind::Multiple(types) => {
                    types.iter().map(|type_| type_.to_string()).collect::<Vec<_>>().join(" or ")
                }
            };
            format!("expected {wanted}, got {}", described(value))
        }
        ValidationErrorKind::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            let options: Vec<String> = options.iter().filter(|option| !option.is_null()).map(shown).collect();
            format!("may be one of {}, got {}", listed(options.into_iter()), got())
        }
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}, got {}", got()),
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}, got {}", got()),
        ValidationErrorKind::ExclusiveMinimum { limit } => {
            format!("must be more than {limit}, got {}", got())
        }
        ValidationErrorKind::ExclusiveMaximum { limit } => {
            format!("must be less than {limit}, got {}", got())
        }
        ValidationErrorKind::MultipleOf { multiple_of } => {
            format!("must be a multiple of {multiple_of}, got {}", got())
        }
        ValidationErrorKind::MinLength { limit } => sized("least", *limit, "character", value),
        ValidationErrorKind::MaxLength { limit } => sized("most", *limit, "character", value),
        ValidationErrorKind::MinItems { limit } => sized("least", *limit, "item", value),
        ValidationErrorKind::MaxItems { limit } => sized("most", *limit, "item", value),
        ValidationErrorKind::MinProperties { limit } => sized("least", *limit, "member", value),
        ValidationErrorKind::MaxProperties { limit } => sized("most", *limit, "member", value),
        ValidationErrorKind::UniqueItems => "no two items may be equal".to_owned(),
        ValidationErrorKind::Custom { message, .. } => message.clone(),
        ValidationErrorKind::AnyOf { context } => {
            format!("must match one of {} alternatives at least: {}", context.len(), alternatives(context))
        }
        ValidationErrorKind::OneOfNotValid { context } => {
            format!("must match one of {} alternatives: {}", context.len(), alternatives(context))
        }
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            "must match exactly one of the alternatives of oneOf, matches several".to_owned()
        }
        ValidationErrorKind::Not { .. } => "must not match the schema of not".to_owned(),
        ValidationErrorKind::FalseSchema => "no property is allowed".to_owned(),
        other => format!("violates {}", other.keyword()),
    }
}

/// How many characters, items or members there are, and how many there may be.
fn sized(bound: &str, limit: u64, what: &str, value: &Value) -> String {
    let has = match value {
        Value::String(text) => text.chars().count(),
        Value::Array(elements) => elements.len(),
        Value::Object(members) => members.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    let plural = if limit == 1 { "" } else { "s" };
    format!("must have at {bound} {limit} {what}{plural}, has {has}")
}

/// Why each alternative does not match: the first reason of each.
fn alternatives(context: &[Vec<ValidationError<'static>>]) -> String {
    let reasons = context.iter().filter_map(|errors| errors.first()).map(|error| match error.kind() {
        ValidationErrorKind::Required { property } => {
            format!("{} is required", property.as_str().unwrap_or_default())
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            format!("{} is unknown", unexpected.first().map_or("", String::as_str))
        }
        kind => wording(kind, error.instance()),
    });
    let mut reasons: Vec<String> = reasons.collect();
    reasons.dedup();
    let more = reasons.len().saturating_sub(3);
    reasons.truncate(3);
    let text = reasons.join("; or ");
    if more > 0 { format!("{text}; and {more} more") } else { text }
}

fn listed(names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(MAX_NAMES);
    let mut names: Vec<String> = names.take(MAX_NAMES).collect();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    names.join(", ")
}

/// A value with its type; objects and lists by their type alone.
fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => format!("boolean {value}"),
        Value::Number(number) if number.is_f64() => format!("number {value}"),
        Value::Number(_) => format!("integer {value}"),
        Value::String(_) => format!("string {}", shown(value)),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
    }
}

/// How many values there are in one.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(members) => members.values().map(count).sum(),
        Value::Array(elements) => elements.iter().map(count).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn has_null_members(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.values().any(|member| member.is_null() || has_null_members(member)),
        Value::Array(elements) => elements.iter().any(has_null_members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// How many schemas may apply to one value, at most: each alternative adds what it may say at any depth.
fn overlap(node: &Node) -> usize {
    let additional = match &node.additional {
        Additional::Values(inner) => overlap(inner),
        Additional::Open | Additional::Closed => 1,
    };
    let deepest = node.properties.values().chain(node.items.as_deref()).map(overlap).max().unwrap_or(1);
    let besides = node.target.as_deref().into_iter().chain(node.not.as_deref());
    let alternatives = node.all_of.iter().chain(&node.any_of).chain(&node.one_of).chain(besides);
    alternatives.map(overlap).fold(deepest.max(additional), usize::saturating_add)
}
