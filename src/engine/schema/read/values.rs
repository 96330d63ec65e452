//! The keywords of one schema, and the types that their values must have.
//!
//! Responsible for: bounds, lists, patterns, and telling of values of the wrong type. Must never: read another schema.

use serde_json::{Map, Value, json};

use super::super::node::{Node, Type};
use super::super::{Mistake, keywords, shown};
use super::Reader;
use crate::api::common::Object;
use crate::engine::pattern::{self, Size};
use crate::engine::problem::{ProblemCode, suggestion};

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

    pub(super) fn names(&mut self, value: &Value, at: &str) -> Vec<String> {
        let names = value
            .as_array()
            .map(|list| list.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
        names.flatten().unwrap_or_else(|| {
            self.wrong(at, format!("must be a list of strings, is {}", described(value)));
            Vec::new()
        })
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
