//! The keywords of one schema, and the types that their values must have.
//!
//! Responsible for: bounds, lists, patterns, and telling of values of the wrong type. Must never: read another schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::format::Range;
use super::super::node::{Node, Type};
use super::super::{Mistake, keywords, shown};
use super::Reader;
use crate::api::common::Object;
use crate::engine::pattern::{self, Size};
use crate::engine::problem::{ProblemCode, suggestion};

/// The drafts of JSON Schema in which our keywords mean what they mean here.
const DRAFTS: [&str; 3] = ["draft-04", "draft-06", "draft-07"];

impl<'a> Reader<'a> {
    /// Bounds of numbers: exclusive ones are flags in OpenAPI v3 and numbers in JSON Schema.
    pub(super) fn bounds(&mut self, node: &mut Node, members: &Map<String, Value>, at: &str) {
        for (inclusive, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
            let bound = members.get(inclusive).filter(|bound| !bound.is_null());
            if let Some(bound) = bound.filter(|bound| !bound.is_number()) {
                self.wrong(
                    &format!("{at}.{inclusive}"),
                    format!("must be a number, is {}", described(bound)),
                );
                continue;
            }
            match members.get(exclusive) {
                Some(Value::Bool(true)) => match bound {
                    Some(bound) => drop(node.constraints.insert(exclusive.to_owned(), bound.clone())),
                    None => self.wrong(&format!("{at}.{exclusive}"), format!("needs {inclusive} beside it")),
                },
                Some(number @ Value::Number(_)) => {
                    node.constraints.insert(exclusive.to_owned(), number.clone());
                    node.constraints.extend(bound.map(|bound| (inclusive.to_owned(), bound.clone())));
                }
                None | Some(Value::Null | Value::Bool(false)) => {
                    node.constraints.extend(bound.map(|bound| (inclusive.to_owned(), bound.clone())));
                }
                Some(other) => {
                    let message = format!("must be true, false or a number, is {}", described(other));
                    self.wrong(&format!("{at}.{exclusive}"), message);
                }
            }
        }
    }

    /// What a schema says that it is written in.
    pub(super) fn draft(&mut self, value: &Value, at: &str) {
        let Some(text) = self.text(value, at) else { return };
        let name = text.trim_end_matches('#').strip_suffix("/schema");
        let draft = name.and_then(|name| {
            let rest = name.strip_prefix("http").map(|rest| rest.strip_prefix('s').unwrap_or(rest));
            rest.and_then(|rest| rest.strip_prefix("://json-schema.org/"))
        });
        if !draft.is_some_and(|draft| DRAFTS.contains(&draft)) {
            let drafts = DRAFTS.join(", ");
            let message = format!(
                "may be one of {drafts} of json-schema.org, is {}; leave it out, this is an OpenAPI v3 schema",
                shown(value)
            );
            self.wrong(at, message);
        }
    }

    /// Lists whose elements are told apart.
    pub(super) fn lists(&mut self, node: &mut Node, members: &'a Map<String, Value>, at: &str) {
        let Some(kind) = members.get("x-kubernetes-list-type").filter(|kind| !kind.is_null()) else { return };
        let kind_at = format!("{at}.x-kubernetes-list-type");
        match kind.as_str() {
            Some("atomic") => {}
            Some("set") => drop(node.constraints.insert("uniqueItems".to_owned(), json!(true))),
            Some("map") => {
                let keys_at = format!("{at}.x-kubernetes-list-map-keys");
                let keys = members.get("x-kubernetes-list-map-keys").unwrap_or(&Value::Null);
                let keys = self.names(keys, &keys_at);
                node.constraints.insert(keywords::MAP_KEYS.to_owned(), json!(keys));
            }
            _ => self.wrong(&kind_at, format!("may be atomic, set or map, is {}", shown(kind))),
        }
    }

    pub(super) fn pattern(&mut self, node: &mut Node, value: &Value, at: &str) {
        let Some(text) = self.text(value, at) else { return };
        if !self.patterns.contains_key(text) {
            let counted = self.counts.pattern(at);
            if self.counted(counted).is_none() {
                return;
            }
            match pattern::compile(text) {
                Ok((regex, size)) => {
                    let counted = match size {
                        Size::Small => Ok(()),
                        Size::Large => self.counts.large_pattern(at),
                    };
                    if self.counted(counted).is_none() {
                        return;
                    }
                    self.patterns.insert(text.to_owned(), regex);
                }
                Err((code, message)) => {
                    if code == ProblemCode::LimitExceeded {
                        self.counts.too_large_pattern();
                    }
                    return self.mistakes.push(Mistake::new(code, at, message));
                }
            }
        }
        node.constraints.insert(keywords::PATTERN.to_owned(), json!(text));
    }

    pub(super) fn type_(&mut self, value: &Value, at: &str) -> Option<Type> {
        let known = value.as_str().and_then(|word| Type::ALL.into_iter().find(|type_| type_.word() == word));
        if known.is_none() {
            let words = Type::ALL.map(Type::word);
            let meant = suggestion(value.as_str().unwrap_or_default(), words.into_iter());
            let message = format!("may be one of {}, is {}{meant}", words.join(", "), shown(value));
            self.wrong(at, message);
        }
        known
    }

    pub(super) fn flag(&mut self, value: &Value, at: &str) -> bool {
        value.as_bool().unwrap_or_else(|| {
            self.wrong(at, format!("must be true or false, is {}", described(value)));
            false
        })
    }

    pub(super) fn text<'v>(&mut self, value: &'v Value, at: &str) -> Option<&'v str> {
        if !value.is_string() {
            self.wrong(at, format!("must be a string, is {}", described(value)));
        }
        value.as_str()
    }

    pub(super) fn object<'v>(&mut self, value: &'v Value, at: &str) -> Option<&'v Object> {
        if !value.is_object() {
            self.wrong(at, format!("must be an object, is {}", described(value)));
        }
        value.as_object()
    }

    /// A list with at least one element.
    pub(super) fn list<'v>(&mut self, value: &'v Value, at: &str) -> Option<&'v [Value]> {
        let list = value.as_array().filter(|list| !list.is_empty());
        if list.is_none() {
            self.wrong(at, format!("must be a list with at least one element, is {}", described(value)));
        }
        list.map(Vec::as_slice)
    }

    /// A list of different strings.
    pub(super) fn names(&mut self, value: &Value, at: &str) -> Vec<String> {
        let names = value
            .as_array()
            .map(|list| list.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
        let Some(names) = names.flatten() else {
            self.wrong(at, format!("must be a list of strings, is {}", described(value)));
            return Vec::new();
        };
        self.check_different(value.as_array().map_or(&[], Vec::as_slice), at);
        names
    }

    /// The values of an enumeration.
    pub(super) fn values(&mut self, value: &Value, at: &str) -> Option<Vec<Value>> {
        let values = self.list(value, at)?;
        self.check_different(values, at);
        Some(values.to_vec())
    }

    /// Tells of values that stand in a list already.
    fn check_different(&mut self, values: &[Value], at: &str) {
        let mut seen = BTreeMap::new();
        for (index, value) in values.iter().enumerate() {
            let first = *seen.entry(canonical(value)).or_insert(index);
            if first != index {
                let message = format!("{} is listed already, as [{first}]", shown(value));
                self.wrong(&format!("{at}[{index}]"), message);
            }
        }
    }
}

/// The ranges of numbers. Every integer has 64 bits: what is larger is rounded where it is stored.
pub(super) fn ranges(node: &mut Node, members: &Map<String, Value>) {
    let format = members.get("format").and_then(Value::as_str).and_then(Range::named);
    let range = match (node.type_, format) {
        (Some(Type::Integer), Some(Range::Int32)) => Range::Int32,
        (Some(Type::Integer), _) => Range::Int64,
        (None, _) if node.int_or_string => Range::Int64,
        (Some(Type::Number), Some(Range::Float)) => Range::Float,
        _ => return,
    };
    node.constraints.insert(keywords::RANGE.to_owned(), json!(range.name()));
}

/// A text that is the same for equal values: 1 and 1.0 are.
fn canonical(value: &Value) -> String {
    let list = |parts: Vec<String>| parts.join(",");
    match value {
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            Some(float) => float.to_string(),
            None => number.to_string(),
        },
        Value::Array(elements) => format!("[{}]", list(elements.iter().map(canonical).collect())),
        Value::Object(members) => {
            let mut parts: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            parts.sort();
            format!("{{{}}}", list(parts))
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.to_string(),
    }
}

/// A value by its type, or itself if it says more.
pub(super) fn described(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(list) if list.is_empty() => "an empty list".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        scalar => shown(scalar),
    }
}
