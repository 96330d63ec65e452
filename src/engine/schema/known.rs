//! What a schema knows: of a path, and of what another schema will make of its values.
//!
//! Responsible for: telling for certain what cannot be. Must never: refuse what may be.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;

use super::node::{Node, Type};
use super::{member, shown};
use crate::engine::path::Segment;

/// What is known of a value.
#[derive(Clone, Debug)]
pub enum Known<'a> {
    /// Nothing: it may be anything, or not be there.
    Anything,
    /// It cannot be there: what should hold it has no such member, or is no object or list.
    Absent {
        /// The members that there may be instead, sorted; none if it cannot have any.
        has: Vec<&'a str>,
    },
    /// It has this schema, if it is there.
    Schema(SubSchema<'a>),
}

impl Known<'static> {
    /// What is known of an object of which nothing else is declared.
    #[must_use]
    pub fn object() -> Self {
        static OBJECT: LazyLock<Node> =
            LazyLock::new(|| Node { type_: Some(Type::Object), ..Node::default() });
        Self::Schema(SubSchema(&OBJECT))
    }
}

/// A part of a compiled schema.
#[derive(Clone, Copy, Debug)]
pub struct SubSchema<'a>(&'a Node);

impl<'a> SubSchema<'a> {
    /// Whether it has a default.
    #[must_use]
    pub fn has_default(&self) -> bool {
        self.0.has_default()
    }

    /// What is known of the value one step below.
    #[must_use]
    pub fn below(&self, segment: &Segment) -> Known<'a> {
        at(self.0, std::slice::from_ref(segment))
    }

    /// Whether null is allowed, which is no absent value in a list.
    #[must_use]
    pub fn is_nullable(&self) -> bool {
        self.0.nullable
    }

    /// The only type that it allows in the word of a schema; an integer is a number where both are allowed.
    #[must_use]
    pub fn only_type(&self) -> Option<&'static str> {
        let types = self.0.types()?;
        let is_number = types.len() == 2 && types.contains(&Type::Integer) && types.contains(&Type::Number);
        match types.first() {
            Some(only) if types.len() == 1 => Some(only.word()),
            _ => is_number.then(|| Type::Number.word()),
        }
    }

    /// The types that it allows in the words of a schema, joined by `or`; none if any.
    #[must_use]
    pub fn types(&self) -> Option<String> {
        self.0.types().map(|types| words(&types))
    }
}

/// What is known of the value at a path.
pub(super) fn at<'a>(root: &'a Node, path: &[Segment]) -> Known<'a> {
    let mut node = root;
    for segment in path {
        let wanted = match segment {
            Segment::Key(_) => Type::Object,
            Segment::Index(_) => Type::Array,
        };
        if node.types().is_some_and(|types| !types.contains(&wanted)) {
            return Known::Absent { has: Vec::new() };
        }
        let below = match segment {
            Segment::Key(key) => node.declared(key).or_else(|| node.undeclared()),
            Segment::Index(_) => node.elements(),
        };
        node = match (below, segment) {
            (Some(below), _) => below,
            (None, Segment::Key(_)) if node.is_closed() => {
                return Known::Absent { has: node.property_names().into_iter().collect() };
            }
            (None, _) => return Known::Anything,
        };
    }
    Known::Schema(SubSchema(node))
}

/// A member that is not declared, where others are and nobody has said that there may be more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeclared<'a> {
    /// How many segments lead to it, itself included.
    pub length: usize,
    /// The members that are declared beside it, sorted.
    pub has: Vec<&'a str>,
}

/// The first member on a path that is likely misspelt: it may be there, but is not declared as others are.
pub(super) fn undeclared<'a>(root: &'a Node, path: &[Segment]) -> Option<Undeclared<'a>> {
    let mut node = root;
    for (at, segment) in path.iter().enumerate() {
        let below = match segment {
            Segment::Key(key) => node.declared(key).or_else(|| node.undeclared()),
            Segment::Index(_) => node.elements(),
        };
        node = match below {
            Some(below) => below,
            None => {
                let has = node.property_names();
                let is_key = matches!(segment, Segment::Key(_));
                let may_be_meant = node.is_closed() || node.says_open() || node.has_alternatives();
                let is_odd = is_key && !has.is_empty() && !may_be_meant;
                return is_odd.then(|| Undeclared { length: at + 1, has: has.into_iter().collect() });
            }
        };
    }
    None
}

/// None where a value of `producer` may be good for `consumer`; else why not, such as `string, and integer is wanted`.
///
/// What is known is held against what is known. An integer is a number; a list of allowed values must lie in the
/// other; a member that may be missing is good for a required one, which shows when it runs.
#[must_use]
pub fn mismatch(producer: Known<'_>, consumer: Known<'_>) -> Option<String> {
    match (producer, consumer) {
        (Known::Schema(producer), Known::Schema(consumer)) => compare(producer.0, consumer.0, ""),
        (Known::Anything | Known::Absent { .. }, _) | (_, Known::Anything | Known::Absent { .. }) => None,
    }
}

fn compare(producer: &Node, consumer: &Node, at: &str) -> Option<String> {
    let told = |why: String| Some(if at.is_empty() { why } else { format!("{at}: {why}") });
    if let (Some(given), Some(wanted)) = (producer.types(), consumer.types()) {
        let fits = |type_: &Type| {
            wanted.contains(type_) || (*type_ == Type::Integer && wanted.contains(&Type::Number))
        };
        if !given.is_empty() && !wanted.is_empty() && !given.iter().any(fits) {
            return told(format!("{}, and {} is wanted", words(&given), words(&wanted)));
        }
    }
    if let (Some(given), Some(allowed)) = (producer.listed(), consumer.listed())
        && let Some(other) = given.iter().find(|value| !allowed.contains(value) && !value.is_null())
    {
        let allowed: Vec<String> = allowed.iter().map(shown).collect();
        return told(format!("may be {}, and one of {} is wanted", shown(other), allowed.join(", ")));
    }
    if producer.has_alternatives() || consumer.has_alternatives() {
        return None;
    }
    if let (Some(given), Some(wanted)) = (producer.elements(), consumer.elements())
        && let Some(why) = compare(given, wanted, &format!("{at}[]"))
    {
        return Some(why);
    }
    for name in consumer.property_names() {
        let given = producer.declared(name).or_else(|| producer.undeclared());
        if let (Some(given), Some(wanted)) = (given, consumer.declared(name))
            && let Some(why) = compare(given, wanted, &member(at, name))
        {
            return Some(why);
        }
    }
    // What nothing can satisfy is not held against the other side.
    let requires = |node: &Node, name: &str| node.required().any(|required| required == name);
    if producer.is_closed() {
        let names = producer.property_names();
        let is_lacking = |name: &&str| {
            let is_filled = consumer.declared(name).is_some_and(Node::has_default);
            !names.contains(name) && !requires(producer, name) && !is_filled
        };
        if let Some(name) = consumer.required().find(is_lacking) {
            return told(format!("never has {}, which is wanted", shown(&Value::from(name))));
        }
    }
    if consumer.is_closed() {
        let is_surplus = |name: &&str| consumer.declared(name).is_none() && !requires(consumer, name);
        if let Some(name) = producer.required().find(is_surplus) {
            return told(format!("always has {}, which is not allowed", shown(&Value::from(name))));
        }
    }
    None
}

fn words(types: &BTreeSet<Type>) -> String {
    types.iter().map(|type_| type_.word()).collect::<Vec<_>>().join(" or ")
}
