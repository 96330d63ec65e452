//! Reading: the schema that a user wrote becomes a [`Node`].
//!
//! Responsible for: every mistake in it, told with its place, and its limits. Must never: follow a reference out of
//! the schema.

mod values;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::keywords::{self, Patterns};
use super::limits::{Counts, check_size};
use super::node::{Additional, Node, Type};
use super::references::{Resolved, keyword as keyword_path, resolve};
use super::validate::Validator;
use super::{Mistake, defaults, format};
use crate::api::common::Object;
use crate::engine::problem::{ProblemCode, suggestion};
use values::{described, ranges};

/// The member that holds the schema, as in a CustomResourceDefinition.
const WRAPPER: &str = "openAPIV3Schema";

/// Keywords that say nothing of values.
const ANNOTATIONS: [&str; 13] = [
    "$comment",
    "$defs",
    "definitions",
    "deprecated",
    "description",
    "discriminator",
    "example",
    "examples",
    "externalDocs",
    "readOnly",
    "title",
    "writeOnly",
    "xml",
];

/// Keywords that are read.
const KEYWORDS: [&str; 31] = [
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "default",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "nullable",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "type",
    "uniqueItems",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-preserve-unknown-fields",
];

/// What a schema is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Any value.
    Value,
    /// An input or an output, which is always an object.
    Object,
}

/// Reads a schema, and makes ready what validates by it.
pub(super) fn read(raw: &Object, purpose: Purpose) -> Result<(Node, Validator), Vec<Mistake>> {
    let source = Value::Object(raw.clone());
    check_size(source.to_string().len()).map_err(|mistake| vec![mistake])?;
    let (root, at) = match raw.get(WRAPPER) {
        Some(inner) if raw.len() == 1 => (inner, format!(".{WRAPPER}")),
        Some(_) => {
            let message = format!("must be alone: {WRAPPER} holds the whole schema");
            return Err(vec![Mistake::new(ProblemCode::InvalidSchema, &format!(".{WRAPPER}"), message)]);
        }
        None => (&source, String::new()),
    };
    let mut reader = Reader {
        root,
        root_at: &at,
        mistakes: Vec::new(),
        counts: Counts::default(),
        defaults: Vec::new(),
        references: Vec::new(),
        patterns: Patterns::new(),
    };
    let mut node = reader.schema(root, &at, Place::default());
    if purpose == Purpose::Object {
        reader.check_object(&node, &at);
        if node.types().is_none() {
            node.type_ = Some(Type::Object);
        }
    }
    if reader.mistakes.is_empty() {
        reader.check_defaults();
    }
    if !reader.mistakes.is_empty() {
        return Err(once_each(reader.mistakes));
    }
    let validator = Validator::build(&node, &Arc::new(reader.patterns))
        .map_err(|message| vec![Mistake::new(ProblemCode::LimitExceeded, &at, message)])?;
    Ok((node, validator))
}

/// What is referred to twice is read twice.
fn once_each(mistakes: Vec<Mistake>) -> Vec<Mistake> {
    let mut told = Vec::with_capacity(mistakes.len());
    for mistake in mistakes {
        if !told.contains(&mistake) {
            told.push(mistake);
        }
    }
    told
}

/// Where a schema stands.
#[derive(Clone, Copy, Default)]
struct Place {
    depth: usize,
    /// Whether it stands in `allOf`, `anyOf`, `oneOf` or `not`, where defaults have no meaning.
    is_condition: bool,
}

impl Place {
    fn below(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    fn condition(self) -> Self {
        Self { depth: self.depth + 1, is_condition: true }
    }
}

struct Reader<'a> {
    root: &'a Value,
    root_at: &'a str,
    mistakes: Vec<Mistake>,
    counts: Counts,
    /// Schemas with defaults, translated, and the defaults with their own defaults, with the place of each.
    defaults: Vec<(String, Value, Value)>,
    /// The references that are being followed.
    references: Vec<&'a str>,
    patterns: Patterns,
}

impl<'a> Reader<'a> {
    fn wrong(&mut self, at: &str, message: impl Into<String>) {
        self.mistakes.push(Mistake::new(ProblemCode::InvalidSchema, at, message));
    }

    /// Notes what counting says. Nothing when there is too much.
    fn counted(&mut self, result: Result<(), Mistake>) -> Option<()> {
        result.map_err(|mistake| self.mistakes.push(mistake)).ok()
    }

    /// No input or output would ever be as a schema says that excludes objects.
    fn check_object(&mut self, root: &Node, at: &str) {
        const WHY: &str = "must allow an object, as every input and output is one";
        match root.type_ {
            _ if root.may_be_object() => {}
            Some(type_) if type_ != Type::Object => {
                self.wrong(&format!("{at}.type"), format!("{WHY}; this is {}", type_.word()));
            }
            _ => self.wrong(at, WHY),
        }
    }

    fn schema(&mut self, raw: &'a Value, at: &str, place: Place) -> Node {
        let mut node = Node::default();
        if self.counts.is_over() {
            return node;
        }
        let counted = self.counts.node(at);
        let nested = self.counts.depth(place.depth, at);
        if self.counted(counted).is_none() || self.counted(nested).is_none() {
            return node;
        }
        let Some(members) = raw.as_object() else {
            self.wrong(at, format!("must be an object with a schema, is {}", described(raw)));
            return node;
        };
        for (keyword, value) in members {
            if !value.is_null() {
                self.keyword(&mut node, keyword, value, &keyword_path(at, keyword), place);
            }
        }
        ranges(&mut node, members);
        self.bounds(&mut node, members, at);
        self.lists(&mut node, members, at);
        if let Some(reference) = members.get("$ref").filter(|reference| !reference.is_null()) {
            self.reference(&mut node, reference, members, at, place);
        }
        if let Some(default) = node.default.clone().filter(|_| self.mistakes.is_empty()) {
            let (at, mut whole) = (format!("{at}.default"), default);
            match defaults::apply(&mut whole, &node) {
                Ok(()) => self.defaults.push((at, node.translated(), whole)),
                Err(defaults::TooLarge) => {
                    let most = defaults::MAX_ADDED;
                    let message = format!("the defaults inside of it may have at most {most} bytes together");
                    self.mistakes.push(Mistake::new(ProblemCode::LimitExceeded, &at, message));
                }
            }
        }
        node
    }

    fn keyword(&mut self, node: &mut Node, keyword: &str, value: &'a Value, at: &str, place: Place) {
        match keyword {
            "type" => node.type_ = self.type_(value, at),
            "nullable" => node.nullable = self.flag(value, at),
            "x-kubernetes-int-or-string" => node.int_or_string = self.flag(value, at),
            "x-kubernetes-embedded-resource" => {
                if self.flag(value, at) {
                    node.constraints.insert(keywords::EMBEDDED.to_owned(), json!(true));
                }
            }
            "uniqueItems" => {
                if self.flag(value, at) {
                    node.constraints.insert(keyword.to_owned(), json!(true));
                }
            }
            "properties" => {
                let Some(properties) = self.object(value, at) else { return };
                let counted = self.counts.properties(properties.len(), at);
                if self.counted(counted).is_none() {
                    return;
                }
                for (name, inner) in properties {
                    let inner = self.schema(inner, &super::member(at, name), place.below());
                    node.properties.insert(name.clone(), inner);
                }
            }
            "additionalProperties" => match value {
                Value::Bool(true) => node.says_open = true,
                Value::Bool(false) => node.additional = Additional::Closed,
                _ => node.additional = Additional::Values(Box::new(self.schema(value, at, place.below()))),
            },
            "items" if value.is_array() => self.wrong(at, "must be one schema for all items, is a list"),
            "items" => node.items = Some(Box::new(self.schema(value, at, place.below()))),
            "required" => node.required = self.names(value, at),
            "enum" => node.values = self.values(value, at),
            "const" => node.values = Some(vec![value.clone()]),
            "default" if place.is_condition => {
                self.wrong(
                    at,
                    "has no meaning inside of allOf, anyOf, oneOf and not; put it under properties",
                );
            }
            "default" => node.default = Some(value.clone()),
            "allOf" => node.all_of = self.alternatives(value, at, place),
            "anyOf" => node.any_of = self.alternatives(value, at, place),
            "oneOf" => node.one_of = self.alternatives(value, at, place),
            "not" => node.not = Some(Box::new(self.schema(value, at, place.condition()))),
            "pattern" => self.pattern(node, value, at),
            "format" => {
                let known = self.text(value, at).and_then(format::known);
                if let Some(format) = known {
                    node.constraints.insert(keywords::FORMAT.to_owned(), json!(format));
                }
            }
            "$schema" => self.draft(value, at),
            "$id" | "id" => self.wrong(at, "is not supported: references begin at the root of this schema"),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                if value.as_u64().is_some() {
                    node.constraints.insert(keyword.to_owned(), value.clone());
                } else {
                    self.wrong(at, format!("must be a whole number from 0, is {}", super::shown(value)));
                }
            }
            "multipleOf" => {
                if value.as_f64().is_some_and(|factor| factor > 0.0) {
                    node.constraints.insert(keyword.to_owned(), value.clone());
                } else {
                    self.wrong(at, format!("must be a number above 0, is {}", super::shown(value)));
                }
            }
            "x-kubernetes-validations" => {
                self.wrong(at, "is not supported: say it with the other keywords, or in an activity's when");
            }
            "x-kubernetes-preserve-unknown-fields" => node.says_open |= value.as_bool().unwrap_or_default(),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "$ref" => {}
            other if other.starts_with("x-") || ANNOTATIONS.contains(&other) => {}
            other => {
                let meant = suggestion(other, KEYWORDS.into_iter());
                self.wrong(at, format!("is no keyword of an OpenAPI v3 schema{meant}"));
            }
        }
    }

    fn reference(
        &mut self,
        node: &mut Node,
        reference: &'a Value,
        members: &Map<String, Value>,
        at: &str,
        place: Place,
    ) {
        let at = format!("{at}.$ref");
        let counted = self.counts.reference(&at);
        if self.counted(counted).is_none() {
            return;
        }
        let Some(text) = self.text(reference, &at) else { return };
        if let Some(start) = self.references.iter().position(|followed| *followed == text) {
            let cycle = self.references.iter().skip(start).copied().chain([text]).collect::<Vec<_>>();
            self.wrong(&at, format!("RefCycle: {}", cycle.join(" -> ")));
            return;
        }
        let target = match resolve(self.root, text) {
            Resolved::Here(target) => target,
            Resolved::Not(message) => return self.wrong(&at, message),
        };
        self.references.push(text);
        let target_at = format!("{}{}", self.root_at, super::references::place(text));
        let target = self.schema(target, &target_at, place.below());
        self.references.pop();
        let says_more = members.keys().any(|keyword| {
            KEYWORDS.contains(&keyword.as_str()) && !matches!(keyword.as_str(), "$ref" | "default")
        });
        if says_more {
            node.target = Some(Box::new(target));
        } else {
            let default = node.default.take();
            *node = target;
            node.default = default.or(node.default.take());
        }
    }

    /// Every default must be a value that the schema allows, its own defaults applied. All are validated at once.
    fn check_defaults(&mut self) {
        if self.defaults.is_empty() {
            return;
        }
        let numbered = |index: usize| format!("{index:04}");
        let (mut schemas, mut values) = (Map::new(), Map::new());
        let mut places = Vec::new();
        for (index, (at, schema, value)) in std::mem::take(&mut self.defaults).into_iter().enumerate() {
            schemas.insert(numbered(index), schema);
            values.insert(numbered(index), value);
            places.push(at);
        }
        let found = Validator::of(json!({"properties": schemas}), &Arc::new(self.patterns.clone()))
            .map(|validator| validator.violations(&Value::Object(values), ""));
        match found {
            Ok(violations) => {
                for (index, at) in places.iter().enumerate() {
                    let prefix = format!(".{}", numbered(index));
                    for violation in &violations {
                        if let Some(below) = violation.path.strip_prefix(&prefix) {
                            self.wrong(&format!("{at}{below}"), violation.message.clone());
                        }
                    }
                }
            }
            Err(message) => self.wrong("", message),
        }
    }

    fn alternatives(&mut self, value: &'a Value, at: &str, place: Place) -> Vec<Node> {
        let list = self.list(value, at).unwrap_or_default();
        let place = place.condition();
        list.iter()
            .enumerate()
            .map(|(index, raw)| self.schema(raw, &format!("{at}[{index}]"), place))
            .collect()
    }
}
