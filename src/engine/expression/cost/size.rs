//! Sizes: how large a value is, or may be.
//!
//! Responsible for: never taking a value for smaller than it is. Must never: know an expression.

use serde_json::Value;

use crate::api::common::Object;

/// Bytes of a text that count as one step.
pub(super) const PIECE: u64 = 16;

/// How large a value may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// Steps to copy or compare all of it.
    pub(super) weight: u64,
    /// Elements, members or characters.
    pub(super) length: u64,
    /// The largest weight of an element or member.
    pub(super) element: u64,
    /// The largest length of anything in it.
    pub(super) deepest: u64,
}

impl Size {
    pub(super) const SCALAR: Self = Self { weight: 1, length: 1, element: 1, deepest: 1 };

    pub(super) fn text(length: u64) -> Self {
        Self { weight: 1 + length / PIECE, length, element: 1, deepest: 1 }
    }

    pub(super) fn key(key: &str) -> Self {
        Self::text(count(key.len()))
    }

    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::SCALAR,
            Value::String(text) => Self::key(text),
            Value::Array(elements) => Self::holding(elements.iter().map(Self::of)),
            Value::Object(members) => Self::of_object(members),
        }
    }

    pub(super) fn of_object(members: &Object) -> Self {
        let parts = members.iter().flat_map(|(key, value)| [Self::key(key), Self::of(value)]);
        Self { length: count(members.len()), ..Self::holding(parts) }
    }

    /// A list of these.
    pub(super) fn holding(parts: impl Iterator<Item = Self>) -> Self {
        let empty = Self { weight: 1, length: 0, element: 0, deepest: 0 };
        parts.fold(empty, |whole, part| Self {
            weight: whole.weight.saturating_add(part.weight),
            length: whole.length.saturating_add(1),
            element: whole.element.max(part.weight),
            deepest: whole.deepest.max(part.length).max(part.deepest),
        })
    }

    /// A list of so many of these.
    pub(super) fn repeated(self, times: u64) -> Self {
        Self {
            weight: times.saturating_mul(self.weight).saturating_add(1),
            length: times,
            element: self.weight,
            deepest: self.length.max(self.deepest),
        }
    }

    /// The same, made of parts of a text: together no heavier than its characters.
    pub(super) fn bounded(self, text: Self) -> Self {
        Self { weight: text.length.saturating_mul(2).saturating_add(2), ..self }
    }

    /// An element, of which no more is known.
    pub(super) fn inside(self) -> Self {
        Self { weight: self.element, length: self.deepest, element: self.element, deepest: self.deepest }
    }

    /// Both, one after the other.
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            weight: self.weight.saturating_add(other.weight),
            length: self.length.saturating_add(other.length),
            element: self.element.max(other.element),
            deepest: self.deepest.max(other.deepest),
        }
    }

    /// One or the other.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            weight: self.weight.max(other.weight),
            length: self.length.max(other.length),
            element: self.element.max(other.element),
            deepest: self.deepest.max(other.deepest),
        }
    }
}

/// A number of things as a number of steps.
pub(super) fn count(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// The elements of the largest list or object in a value.
pub(super) fn largest(value: &Value) -> u64 {
    match value {
        Value::Array(elements) => elements.iter().map(largest).max().unwrap_or(0).max(count(elements.len())),
        Value::Object(members) => largest_of_object(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The same of an object.
pub(super) fn largest_of_object(members: &Object) -> u64 {
    members.values().map(largest).max().unwrap_or(0).max(count(members.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_size_counts_values_and_pieces_of_texts() {
        let size = |weight, length, element, deepest| Size { weight, length, element, deepest };
        assert_eq!(Size::of(&json!(1)), size(1, 1, 1, 1));
        assert_eq!(Size::of(&json!("x".repeat(33))), size(3, 33, 1, 1));
        assert_eq!(Size::of(&json!([1, [2, 3], "abc"])), size(6, 3, 3, 3));
        assert_eq!(Size::of(&json!({"a": [1, 2], "b": 1})), size(7, 2, 3, 2));
        assert_eq!(Size::of(&json!([])).inside(), size(0, 0, 0, 0));
        assert_eq!(Size::of(&json!([[1, 2], 3])).inside(), size(3, 2, 3, 2));
        assert_eq!(largest(&json!({"a": [[1, 2, 3]], "b": {"c": 1}})), 3);
    }
}
