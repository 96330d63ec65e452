//! Fields: paths into an object and what is wrong there.
//!
//! Responsible for: Kubernetes' wording of a field error and of its path. Must never: look at an object.

use std::fmt;

use serde_json::{Value, json};

/// A path into an object, built on the way down; it is written out only for an error.
#[derive(Clone, Copy, Debug)]
pub enum Path<'a> {
    /// The object itself.
    Root,
    /// A member of an object.
    Member(&'a Path<'a>, &'a str),
    /// A value of a map, whose key is not a name that the schema knows.
    Key(&'a Path<'a>, &'a str),
    /// An element of a list.
    Element(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    /// The path of a member.
    #[must_use]
    pub fn member(&'a self, name: &'a str) -> Self {
        Path::Member(self, name)
    }

    /// The path of a value of a map.
    #[must_use]
    pub fn key(&'a self, key: &'a str) -> Self {
        Path::Key(self, key)
    }

    /// The path of an element.
    #[must_use]
    pub fn element(&'a self, index: usize) -> Self {
        Path::Element(self, index)
    }

    /// The path without its first segment, if that is this member: a status is validated on its own.
    #[must_use]
    pub fn below(&self, first: Option<&str>) -> String {
        let whole = self.to_string();
        match first.and_then(|first| whole.strip_prefix(first)) {
            Some(rest) => rest.strip_prefix('.').unwrap_or(rest).to_owned(),
            None => whole,
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Member(Path::Root, name) | Path::Key(Path::Root, name) => formatter.write_str(name),
            Path::Member(parent, name) | Path::Key(parent, name) => write!(formatter, "{parent}.{name}"),
            Path::Element(parent, index) => write!(formatter, "{parent}[{index}]"),
        }
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is missing.
    Required,
    /// Its value is not allowed.
    Invalid,
    /// Its value is of the wrong type.
    Type,
    /// Its value is not one of those allowed.
    NotSupported,
    /// Its value exists already.
    Duplicate,
    /// It must not be there, or not change.
    Forbidden,
    /// It is too long.
    TooLong,
    /// There are too many.
    TooMany,
    /// It names what does not exist.
    NotFound,
}

/// An error at a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The path; empty is written `<nil>`.
    pub field: String,
    /// What is wrong.
    pub fault: Fault,
    /// The whole sentence after the path.
    pub message: String,
}

impl FieldError {
    /// A field is missing; `why` may be empty.
    #[must_use]
    pub fn required(field: impl fmt::Display, why: &str) -> Self {
        Self::new(field, Fault::Required, sentence("Required value", why))
    }

    /// A value is not allowed.
    #[must_use]
    pub fn invalid(field: impl fmt::Display, value: &impl fmt::Display, why: &str) -> Self {
        Self::new(field, Fault::Invalid, format!("Invalid value: {value}: {why}"))
    }

    /// A value, that is not repeated, is not allowed.
    #[must_use]
    pub fn invalid_unquoted(field: impl fmt::Display, why: &str) -> Self {
        Self::new(field, Fault::Invalid, format!("Invalid value: {why}"))
    }

    /// A value is of the wrong type.
    #[must_use]
    pub fn type_(field: impl fmt::Display, value: &Value, why: &str) -> Self {
        Self::new(field, Fault::Type, format!("Invalid value: {value}: {why}"))
    }

    /// A value is not one of those that are allowed; `value` and `supported` are JSON texts.
    #[must_use]
    pub fn not_supported(field: impl fmt::Display, value: &Value, supported: &[String]) -> Self {
        let message = format!("Unsupported value: {value}: supported values: {}", supported.join(", "));
        Self::new(field, Fault::NotSupported, message)
    }

    /// A value exists already.
    #[must_use]
    pub fn duplicate(field: impl fmt::Display, value: &Value) -> Self {
        Self::new(field, Fault::Duplicate, format!("Duplicate value: {value}"))
    }

    /// A field must not be there, or not change.
    #[must_use]
    pub fn forbidden(field: impl fmt::Display, why: &str) -> Self {
        Self::new(field, Fault::Forbidden, format!("Forbidden: {why}"))
    }

    /// A text is too long.
    #[must_use]
    pub fn too_long(field: impl fmt::Display, limit: u64) -> Self {
        Self::new(field, Fault::TooLong, format!("Too long: may not be more than {limit} bytes"))
    }

    /// There are too many items.
    #[must_use]
    pub fn too_many(field: impl fmt::Display, actual: usize, limit: u64) -> Self {
        Self::new(field, Fault::TooMany, format!("Too many: {actual}: must have at most {limit} items"))
    }

    /// A value names what does not exist.
    #[must_use]
    pub fn not_found(field: impl fmt::Display, value: &Value) -> Self {
        Self::new(field, Fault::NotFound, format!("Not found: {value}"))
    }

    fn new(field: impl fmt::Display, fault: Fault, message: String) -> Self {
        Self { field: field.to_string(), fault, message }
    }

    /// The cause in the details of a `Status`.
    #[must_use]
    pub fn cause(&self) -> Value {
        let reason = match self.fault {
            Fault::Required => "FieldValueRequired",
            Fault::Invalid => "FieldValueInvalid",
            Fault::Type => "FieldValueTypeInvalid",
            Fault::NotSupported => "FieldValueNotSupported",
            Fault::Duplicate => "FieldValueDuplicate",
            Fault::Forbidden => "FieldValueForbidden",
            Fault::TooLong => "FieldValueTooLong",
            Fault::TooMany => "FieldValueTooMany",
            Fault::NotFound => "FieldValueNotFound",
        };
        json!({"reason": reason, "message": self.message, "field": self.shown_field()})
    }

    fn shown_field(&self) -> &str {
        if self.field.is_empty() { "<nil>" } else { &self.field }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.shown_field(), self.message)
    }
}

fn sentence(start: &str, why: &str) -> String {
    if why.is_empty() { start.to_owned() } else { format!("{start}: {why}") }
}
