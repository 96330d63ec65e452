//! Nodes: a schema as it was read, references resolved and shorthand spelled out.
//!
//! Responsible for: the one form that defaults, paths and comparisons look at, and its translation for the JSON Schema
//! crate. Must never: hold a reference, or what was not checked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl Type {
    pub(super) const ALL: [Self; 6] =
        [Self::Object, Self::Array, Self::String, Self::Integer, Self::Number, Self::Boolean];

    /// The word of a schema for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }

    /// The type of a value; null has none.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Null => None,
            Value::Bool(_) => Some(Self::Boolean),
            Value::Number(number) if number.is_f64() => Some(Self::Number),
            Value::Number(_) => Some(Self::Integer),
            Value::String(_) => Some(Self::String),
            Value::Array(_) => Some(Self::Array),
            Value::Object(_) => Some(Self::Object),
        }
    }
}

/// The types that a value may have of which both are known; an integer is a number.
fn both(one: Option<BTreeSet<Type>>, other: Option<BTreeSet<Type>>) -> Option<BTreeSet<Type>> {
    let (Some(one), Some(other)) = (&one, &other) else { return one.or(other) };
    let fits = |type_: Type, into: &BTreeSet<Type>| {
        into.contains(&type_) || (type_ == Type::Integer && into.contains(&Type::Number))
    };
    let types = one.union(other).copied();
    Some(types.filter(|type_| fits(*type_, one) && fits(*type_, other)).collect())
}

/// What an object may have beside its properties.
#[derive(Debug, Default)]
pub(super) enum Additional {
    /// Anything.
    #[default]
    Open,
    /// Nothing.
    Closed,
    /// Values of a map.
    Values(Box<Node>),
}

/// One schema, and those below it.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) type_: Option<Type>,
    pub(super) int_or_string: bool,
    pub(super) nullable: bool,
    pub(super) properties: BTreeMap<String, Node>,
    pub(super) additional: Additional,
    /// Whether it says itself that an object may have other members than the declared ones.
    pub(super) says_open: bool,
    pub(super) items: Option<Box<Node>>,
    pub(super) required: Vec<String>,
    /// The only values allowed.
    pub(super) values: Option<Vec<Value>>,
    pub(super) default: Option<Value>,
    /// What is referred to beside the keywords of its own; both hold.
    pub(super) target: Option<Box<Node>>,
    pub(super) all_of: Vec<Node>,
    pub(super) any_of: Vec<Node>,
    pub(super) one_of: Vec<Node>,
    pub(super) not: Option<Box<Node>>,
    /// Keywords that only validation looks at, as the crate knows them.
    pub(super) constraints: Map<String, Value>,
}

impl Node {
    /// The types that a value may have; none when nothing is known. Of alternatives, those of all of them.
    pub(super) fn types(&self) -> Option<BTreeSet<Type>> {
        let own = match (self.type_, self.int_or_string, &self.values) {
            (Some(type_), ..) => Some([type_].into()),
            (None, true, _) => Some([Type::Integer, Type::String].into()),
            (None, false, Some(values)) => Some(values.iter().filter_map(Type::of).collect()),
            (None, false, None) => None,
        };
        let besides = self.target.as_deref().into_iter().chain(&self.all_of).map(Self::types);
        let alternatives = [&self.any_of, &self.one_of].into_iter().filter(|nodes| !nodes.is_empty());
        let alternatives = alternatives.map(|nodes| {
            let types: Option<Vec<BTreeSet<Type>>> = nodes.iter().map(Self::types).collect();
            types.map(|types| types.into_iter().flatten().collect())
        });
        besides.chain(alternatives).fold(own, both)
    }

    /// The only values allowed, as far as they are listed.
    pub(super) fn listed(&self) -> Option<&[Value]> {
        self.values.as_deref().or_else(|| self.target.as_ref().and_then(|target| target.listed()))
    }

    pub(super) fn has_default(&self) -> bool {
        self.default.is_some() || self.target.as_ref().is_some_and(|target| target.has_default())
    }

    /// The default, of its own or of what it refers to.
    pub(super) fn default_value(&self) -> Option<&Value> {
        self.default.as_ref().or_else(|| self.target.as_ref().and_then(|target| target.default_value()))
    }

    /// A declared property.
    pub(super) fn declared(&self, name: &str) -> Option<&Self> {
        self.find(&mut |part| part.properties.get(name))
    }

    pub(super) fn property_names(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        self.each(&mut |part| names.extend(part.properties.keys().map(String::as_str)));
        names
    }

    pub(super) fn required(&self) -> impl Iterator<Item = &str> {
        let mut names = BTreeSet::new();
        self.each(&mut |part| names.extend(part.required.iter().map(String::as_str)));
        names.into_iter()
    }

    /// Whether undeclared properties are refused.
    pub(super) fn is_closed(&self) -> bool {
        self.any(|part| matches!(part.additional, Additional::Closed))
    }

    /// Whether it says that undeclared properties are welcome.
    pub(super) fn says_open(&self) -> bool {
        self.any(|part| part.says_open)
    }

    /// The schema of the elements of a list.
    pub(super) fn elements(&self) -> Option<&Self> {
        self.find(&mut |part| part.items.as_deref())
    }

    /// The schema of undeclared properties.
    pub(super) fn undeclared(&self) -> Option<&Self> {
        self.find(&mut |part| match &part.additional {
            Additional::Values(values) => Some(&**values),
            Additional::Open | Additional::Closed => None,
        })
    }

    /// Whether alternatives leave open what a value looks like.
    pub(super) fn has_alternatives(&self) -> bool {
        self.any(|part| !part.any_of.is_empty() || !part.one_of.is_empty())
    }

    /// The first that is found in one of the schemas that hold together for certain: this one, what it refers to, and
    /// `allOf`. Every lookup comes here, so that nothing is collected.
    fn find<'a, T>(&'a self, look: &mut dyn FnMut(&'a Self) -> Option<T>) -> Option<T> {
        if let Some(found) = look(self) {
            return Some(found);
        }
        self.target.as_deref().into_iter().chain(&self.all_of).find_map(|part| part.find(look))
    }

    /// Visits the schemas that hold together for certain.
    fn each<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        self.target.as_deref().into_iter().chain(&self.all_of).for_each(|part| part.each(visit));
    }

    fn any(&self, is: impl Fn(&Self) -> bool) -> bool {
        self.find(&mut |part| is(part).then_some(())).is_some()
    }

    /// Whether an object may be as this schema says, as far as the types alone show it.
    pub(super) fn may_be_object(&self) -> bool {
        let some = |nodes: &[Self]| nodes.is_empty() || nodes.iter().any(Self::may_be_object);
        let is_of_type = self.type_.map_or(!self.int_or_string, |type_| type_ == Type::Object);
        is_of_type
            && self.values.as_ref().is_none_or(|values| values.iter().any(Value::is_object))
            && self.target.as_deref().into_iter().chain(&self.all_of).all(Self::may_be_object)
            && some(&self.any_of)
            && some(&self.one_of)
            && !self.not.as_deref().is_some_and(Self::is_every_object)
    }

    /// Whether every object is as this schema says, for certain.
    fn is_every_object(&self) -> bool {
        let is_of_type = self.type_.map_or(!self.int_or_string, |type_| type_ == Type::Object);
        is_of_type
            && self.values.is_none()
            && self.required.is_empty()
            && self.properties.is_empty()
            && matches!(self.additional, Additional::Open)
            && self.constraints.is_empty()
            && self.one_of.is_empty()
            && self.not.is_none()
            && self.target.as_deref().into_iter().chain(&self.all_of).all(Self::is_every_object)
            && (self.any_of.is_empty() || self.any_of.iter().any(Self::is_every_object))
    }

    /// This schema for the JSON Schema crate: draft 7 with the keywords of [`super::keywords`], without references.
    pub(super) fn translated(&self) -> Value {
        let mut schema = self.constraints.clone();
        let types = match (self.type_, self.int_or_string) {
            (Some(type_), _) => vec![type_],
            (None, true) => vec![Type::Integer, Type::String],
            (None, false) => Vec::new(),
        };
        match (types.as_slice(), self.nullable) {
            ([], _) => {}
            ([type_], false) => drop(schema.insert("type".to_owned(), json!(type_.word()))),
            (types, nullable) => {
                let words = types.iter().map(|type_| type_.word()).chain(nullable.then_some("null"));
                schema.insert("type".to_owned(), words.map(Value::from).collect());
            }
        }
        if !self.properties.is_empty() {
            let properties = self.properties.iter().map(|(name, node)| (name.clone(), node.translated()));
            schema.insert("properties".to_owned(), Value::Object(properties.collect()));
        }
        match &self.additional {
            Additional::Open => {}
            Additional::Closed => drop(schema.insert("additionalProperties".to_owned(), json!(false))),
            Additional::Values(node) => {
                schema.insert("additionalProperties".to_owned(), node.translated());
            }
        }
        if let Some(items) = &self.items {
            schema.insert("items".to_owned(), items.translated());
        }
        if !self.required.is_empty() {
            schema.insert("required".to_owned(), json!(self.required));
        }
        if let Some(values) = &self.values {
            let null = (self.nullable && !values.contains(&Value::Null)).then_some(Value::Null);
            schema.insert("enum".to_owned(), values.iter().cloned().chain(null).collect());
        }
        let translated = |nodes: &[Self]| nodes.iter().map(Self::translated).collect::<Vec<_>>();
        let mut all_of = translated(&self.all_of);
        all_of.extend(self.target.as_ref().map(|target| target.translated()));
        for (keyword, schemas) in
            [("allOf", all_of), ("anyOf", translated(&self.any_of)), ("oneOf", translated(&self.one_of))]
        {
            if !schemas.is_empty() {
                schema.insert(keyword.to_owned(), Value::Array(schemas));
            }
        }
        if let Some(not) = &self.not {
            schema.insert("not".to_owned(), not.translated());
        }
        Value::Object(schema)
    }
}
