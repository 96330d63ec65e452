//! Schemas: an `openAPIV3Schema` compiled once, then asked about values and about other schemas.
//!
//! Responsible for: what a schema says of a value (violations, defaults), of a path, and of another schema. Must
//! never: fetch anything, take longer than its limits allow, or change a value that is there.
//!
//! A schema means what it means in a CustomResourceDefinition: `nullable`, `format` and `x-kubernetes-*` included. In
//! addition it may hold `definitions` and refer to them by `$ref`; such references are resolved when it is compiled.

mod defaults;
mod format;
mod keywords;
mod known;
mod limits;
mod node;
mod read;
mod references;
mod validate;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::path::{Segment, is_name};
use super::problem::ProblemCode;
use super::value::{cut_stored, printable, stored_text_bytes};
use crate::api::common::Object;
pub use defaults::{MAX_ADDED, TooLarge};
pub use known::{Known, SubSchema, Undeclared, mismatch};
pub use limits::{
    MAX_DEPTH, MAX_LARGE_PATTERNS, MAX_NODES, MAX_OVERLAP, MAX_PATTERNS, MAX_PROPERTIES, MAX_REFERENCES,
    MAX_SIZE,
};
use node::Node;
use read::Purpose;
use validate::Validator;

/// Most violations that [`text`] shows.
pub const SHOWN: usize = 20;

/// A compiled schema. Cheap to clone; two are equal when they were written equally.
#[derive(Clone)]
pub struct Schema(Arc<Compiled>);

struct Compiled {
    source: Object,
    root: Node,
    validator: Validator,
}

/// A mistake in a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// `InvalidSchema` or `LimitExceeded`.
    pub code: ProblemCode,
    /// Path inside what was compiled, such as `.openAPIV3Schema.properties.a.pattern`; empty for the whole.
    pub pointer: String,
    /// What is wrong and what is allowed, one line.
    pub message: String,
}

impl Mistake {
    fn new(code: ProblemCode, pointer: &str, message: impl Into<String>) -> Self {
        Self { code, pointer: pointer.to_owned(), message: message.into() }
    }
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the value, such as `spec.input.owner.emails[0]`; of a missing or unknown property, the property's.
    pub path: String,
    /// The keyword that is violated, such as `required` or `minLength`.
    pub rule: String,
    /// What is wrong and what is allowed, one line.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

impl Schema {
    /// Compiles a schema as the user wrote it: `{openAPIV3Schema: {…}}`, or the schema itself. Without members,
    /// anything goes.
    ///
    /// # Errors
    /// Every mistake, in the order of the schema's sorted members: unknown keywords, keywords of the wrong type,
    /// patterns that cannot be matched in linear time, references that lead elsewhere, nowhere or in circles,
    /// defaults that the schema itself refuses, and whatever is larger than its limit.
    pub fn compile(raw: &Object) -> Result<Self, Vec<Mistake>> {
        Self::compile_for(raw, Purpose::Value)
    }

    /// Compiles the schema of an input or an output, which is an object also where the schema does not say so.
    ///
    /// # Errors
    /// As [`Self::compile`], and a schema that excludes objects.
    pub fn compile_object(raw: &Object) -> Result<Self, Vec<Mistake>> {
        Self::compile_for(raw, Purpose::Object)
    }

    fn compile_for(raw: &Object, purpose: Purpose) -> Result<Self, Vec<Mistake>> {
        let (root, validator) = read::read(raw, purpose)?;
        Ok(Self(Arc::new(Compiled { source: raw.clone(), root, validator })))
    }

    /// Every violation, in document order; `at` is the path of the value. Null members count as absent.
    ///
    /// Defaults are not applied: see [`Self::with_defaults`].
    #[must_use]
    pub fn validate(&self, value: &Value, at: &str) -> Vec<Violation> {
        self.0.validator.violations(value, at)
    }

    /// The value with the schema's defaults, as the API server applies them: where a member of an object is missing
    /// (or null), at any depth, in elements of lists and inside defaults too. What is there stays as it is.
    ///
    /// # Errors
    /// The defaults have more than [`MAX_ADDED`] bytes together: in the elements of a list they multiply.
    pub fn with_defaults(&self, value: &Object) -> Result<Object, TooLarge> {
        let mut value = value.clone();
        defaults::apply_to_object(&mut value, &self.0.root)?;
        Ok(value)
    }

    /// What is known of the value at a path below.
    #[must_use]
    pub fn at(&self, path: &[Segment]) -> Known<'_> {
        known::at(&self.0.root, path)
    }

    /// The first member on a path that is likely misspelt: the schema is open without saying so, declares others there, and
    /// not this one.
    #[must_use]
    pub fn undeclared(&self, path: &[Segment]) -> Option<Undeclared<'_>> {
        known::undeclared(&self.0.root, path)
    }

    /// The required properties at the top that have no default.
    pub fn required(&self) -> impl Iterator<Item = &str> {
        self.0.root.required().filter(|name| !self.has_default(name))
    }

    /// The declared properties at the top, sorted.
    pub fn properties(&self) -> impl Iterator<Item = &str> {
        self.0.root.property_names().into_iter()
    }

    /// Whether a property at the top has a default.
    #[must_use]
    pub fn has_default(&self, property: &str) -> bool {
        self.0.root.declared(property).is_some_and(Node::has_default)
    }

    /// Whether other properties than the declared ones are refused: `additionalProperties: false`.
    ///
    /// A CustomResourceDefinition would drop unknown members silently; here they are kept unless the schema is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.root.is_closed()
    }
}

#[cfg(test)]
impl Schema {
    /// Whether both are one compiled schema, and not only equal.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.source == other.0.source
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Schema").field(&self.0.source).finish()
    }
}

/// The first violations, one line each, and how many more there are.
#[must_use]
pub fn text(violations: &[Violation]) -> String {
    let mut lines: Vec<String> = violations.iter().take(SHOWN).map(ToString::to_string).collect();
    if violations.len() > SHOWN {
        lines.push(format!("and {} more", violations.len() - SHOWN));
    }
    lines.join("\n")
}

/// The same, printable and within so many bytes as they are stored: each line is shortened before one is left out, and
/// what is left out is counted.
#[must_use]
pub fn text_within(violations: &[Violation], limit: usize) -> String {
    const SHORTEST: usize = 120;
    let room = limit.saturating_sub("and 1000000 more".len() + LINE_BREAK);
    let share = (room / violations.len().clamp(1, SHOWN)).saturating_sub(LINE_BREAK);
    let longest = share.max(SHORTEST).min(room);
    let (mut lines, mut used) = (Vec::new(), 0);
    for violation in violations.iter().take(SHOWN) {
        let line = cut_stored(printable(&violation.to_string()), longest);
        used += stored_text_bytes(&line) + LINE_BREAK;
        if used > room + LINE_BREAK {
            break;
        }
        lines.push(line);
    }
    let left = violations.len() - lines.len();
    if left > 0 {
        lines.push(format!("and {left} more"));
    }
    lines.join("\n")
}

/// Bytes of a line break as it is counted where it is stored.
const LINE_BREAK: usize = 6;

/// A path with a member appended.
fn member(path: &str, name: &str) -> String {
    if is_name(name) { format!("{path}.{name}") } else { format!("{path}[{}]", Value::from(name)) }
}

/// A value as a message shows it: its JSON, shortened.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests;
