//! Schemas: an `openAPIV3Schema` made ready for use.
//!
//! Responsible for: reading a schema once, references resolved, patterns and CEL rules compiled. Must never: judge a
//! value.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use super::rules::Rule;

/// Deepest nesting of a schema; a schema that refers to itself ends there.
const MAX_DEPTH: usize = 40;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Members by name.
    Object,
    /// A list.
    Array,
    /// A text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
}

impl Type {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// What an object may have beside its properties.
#[derive(Debug, Default)]
pub enum Additional {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// Anything.
    Any,
    /// Values of a map.
    Values(Box<Schema>),
}

/// What makes elements of a list the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// The list is one value.
    #[default]
    Atomic,
    /// Their values.
    Set,
    /// The values of these members.
    Map(Vec<String>),
}

/// A bound that a number must keep.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// The number.
    pub value: f64,
    /// Whether the number itself is outside.
    pub exclusive: bool,
}

/// One schema, and those below it.
#[derive(Debug, Default)]
pub struct Schema {
    /// Name of the type that it was taken from.
    pub name: String,
    /// The type; none for what may be anything.
    pub type_: Option<Type>,
    /// Whether null is a value of it.
    pub nullable: bool,
    /// Known members.
    pub properties: BTreeMap<String, Schema>,
    /// Other members.
    pub additional: Additional,
    /// Elements.
    pub items: Option<Box<Schema>>,
    /// Members that must be there.
    pub required: Vec<String>,
    /// The only values allowed; empty: all.
    pub values: Vec<Value>,
    /// The pattern of a text.
    pub pattern: Option<(String, Regex)>,
    /// The `format`.
    pub format: String,
    /// Lower bound of a number.
    pub minimum: Option<Bound>,
    /// Upper bound of a number.
    pub maximum: Option<Bound>,
    /// What a number must be a multiple of.
    pub multiple_of: Option<f64>,
    /// Least and most characters.
    pub length: (Option<u64>, Option<u64>),
    /// Fewest and most elements.
    pub item_count: (Option<u64>, Option<u64>),
    /// Fewest and most members.
    pub property_count: (Option<u64>, Option<u64>),
    /// What an absent value becomes.
    pub default: Option<Value>,
    /// Whether unknown members are kept.
    pub preserves_unknown: bool,
    /// Whether it is an object with metadata of its own.
    pub embedded: bool,
    /// Whether it is an integer or a text.
    pub int_or_string: bool,
    /// What makes elements the same.
    pub list_type: ListType,
    /// Whether an object is one value.
    pub atomic_map: bool,
    /// CEL rules.
    pub rules: Vec<Rule>,
    /// Whether there are rules here or below.
    pub ruled: bool,
    /// Whether there are times or durations here or below.
    pub timed: bool,
    /// Schemas of which all must hold.
    pub all_of: Vec<Schema>,
    /// Schemas of which one must hold.
    pub any_of: Vec<Schema>,
    /// Schemas of which exactly one must hold.
    pub one_of: Vec<Schema>,
    /// A schema that must not hold.
    pub not: Option<Box<Schema>>,
}

impl Schema {
    /// Reads a schema. The error says what cannot be read, with its path.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        let none = Map::new();
        let definitions = schema.get("$defs").and_then(Value::as_object).unwrap_or(&none);
        compile(schema, definitions, "", 0)
    }

    /// The schema of a member; none when it is not known.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(match &self.additional {
            Additional::Values(values) => Some(values),
            Additional::Unsaid | Additional::Any => None,
        })
    }
}

fn compile(
    raw: &Value,
    definitions: &Map<String, Value>,
    path: &str,
    depth: usize,
) -> Result<Schema, String> {
    if depth > MAX_DEPTH {
        return Ok(Schema { preserves_unknown: true, ..Schema::default() });
    }
    if let Some(name) = raw.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix("#/$defs/"))
    {
        let Some(target) = definitions.get(name) else {
            return Err(format!("{path}: there is no definition {name}"));
        };
        let mut schema = compile(target, definitions, path, depth + 1)?;
        schema.name = name.rsplit('.').next().unwrap_or(name).to_owned();
        return Ok(schema);
    }
    let below = |key: &str, path: String| match raw.get(key) {
        Some(inner) if inner.is_object() => {
            compile(inner, definitions, &path, depth + 1).map(|schema| Some(Box::new(schema)))
        }
        _ => Ok(None),
    };
    let branches = |key: &str| {
        let list = raw.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().map(|inner| compile(inner, definitions, path, depth + 1)).collect::<Result<Vec<_>, _>>()
    };
    let mut properties = BTreeMap::new();
    for (name, inner) in raw.get("properties").and_then(Value::as_object).into_iter().flatten() {
        properties.insert(
            name.clone(),
            compile(inner, definitions, &format!("{path}.properties[{name}]"), depth + 1)?,
        );
    }
    let additional = match raw.get("additionalProperties") {
        Some(Value::Bool(true)) => Additional::Any,
        _ => below("additionalProperties", format!("{path}.additionalProperties"))?
            .map_or(Additional::Unsaid, Additional::Values),
    };
    let flag = |key: &str| raw.get(key).and_then(Value::as_bool).unwrap_or_default();
    let text = |key: &str| raw.get(key).and_then(Value::as_str);
    let count = |key: &str| raw.get(key).and_then(Value::as_u64);
    let bound = |key: &str, exclusive: &str| {
        raw.get(key).and_then(Value::as_f64).map(|value| Bound { value, exclusive: flag(exclusive) })
    };
    let pattern = match text("pattern") {
        Some(pattern) => Some((
            pattern.to_owned(),
            Regex::new(pattern)
                .map_err(|error| format!("{path}.pattern: the embedded server cannot read it: {error}"))?,
        )),
        None => None,
    };
    let mut schema = Schema {
        name: String::new(),
        type_: type_of(raw),
        nullable: flag("nullable"),
        properties,
        additional,
        items: below("items", format!("{path}.items"))?,
        required: strings(raw.get("required")),
        values: raw.get("enum").and_then(Value::as_array).cloned().unwrap_or_default(),
        pattern,
        format: text("format").unwrap_or_default().to_owned(),
        minimum: bound("minimum", "exclusiveMinimum"),
        maximum: bound("maximum", "exclusiveMaximum"),
        multiple_of: raw.get("multipleOf").and_then(Value::as_f64),
        length: (count("minLength"), count("maxLength")),
        item_count: (count("minItems"), count("maxItems")),
        property_count: (count("minProperties"), count("maxProperties")),
        default: raw.get("default").cloned(),
        preserves_unknown: flag("x-kubernetes-preserve-unknown-fields"),
        embedded: flag("x-kubernetes-embedded-resource"),
        int_or_string: flag("x-kubernetes-int-or-string"),
        list_type: match text("x-kubernetes-list-type") {
            Some("set") => ListType::Set,
            Some("map") => ListType::Map(strings(raw.get("x-kubernetes-list-map-keys"))),
            _ => ListType::Atomic,
        },
        atomic_map: text("x-kubernetes-map-type") == Some("atomic"),
        rules: rules(raw, path)?,
        ruled: false,
        timed: false,
        all_of: branches("allOf")?,
        any_of: branches("anyOf")?,
        one_of: branches("oneOf")?,
        not: below("not", format!("{path}.not"))?,
    };
    schema.ruled = !schema.rules.is_empty() || below_any(&schema, |inner| inner.ruled);
    let is_time = matches!(schema.format.as_str(), "date-time" | "duration");
    schema.timed = is_time || below_any(&schema, |inner| inner.timed);
    // A built-in type of which nothing is known holds JSON of its own.
    let says_nothing = schema.properties.is_empty() && matches!(schema.additional, Additional::Unsaid);
    schema.preserves_unknown |= !definitions.is_empty() && says_nothing && schema.type_ != Some(Type::Array);
    Ok(schema)
}

fn rules(raw: &Value, path: &str) -> Result<Vec<Rule>, String> {
    let list =
        raw.get("x-kubernetes-validations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let compiled = list.iter().enumerate().map(|(index, rule)| {
        Rule::compile(rule).map_err(|why| format!("{path}.x-kubernetes-validations[{index}].rule: {why}"))
    });
    compiled.collect()
}

/// Whether something holds of a schema directly below.
fn below_any(schema: &Schema, holds: fn(&Schema) -> bool) -> bool {
    let additional = match &schema.additional {
        Additional::Values(values) => holds(values),
        Additional::Unsaid | Additional::Any => false,
    };
    additional || schema.items.as_deref().is_some_and(holds) || schema.properties.values().any(holds)
}

/// The type; in the schemas of built-in kinds it may be a list with null.
fn type_of(raw: &Value) -> Option<Type> {
    let word = match raw.get("type")? {
        Value::Array(words) => words.iter().filter_map(Value::as_str).find(|word| *word != "null")?,
        word => word.as_str()?,
    };
    match word {
        "object" => Some(Type::Object),
        "array" => Some(Type::Array),
        "string" => Some(Type::String),
        "integer" => Some(Type::Integer),
        "number" => Some(Type::Number),
        "boolean" => Some(Type::Boolean),
        _ => None,
    }
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
