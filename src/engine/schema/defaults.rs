//! Defaults: missing members become what the schema says.
//!
//! Responsible for: defaults at any depth, as the API server applies them. Must never: change a value that is there, or
//! leave out a default without saying so.

use serde_json::Value;

use super::node::Node;
use crate::api::common::Object;

/// Most bytes of defaults that are added to one value. A default in the elements of a list multiplies; what would be
/// larger than this is larger than any input may be.
pub const MAX_ADDED: usize = 1024 * 1024;

/// The defaults that are missing from a value have more than [`MAX_ADDED`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Fills in defaults, in the members too.
///
/// # Errors
/// There are too many of them; the value is then left with some.
pub(super) fn apply_to_object(object: &mut Object, schema: &Node) -> Result<(), TooLarge> {
    Filler { left: MAX_ADDED }.object(object, schema)
}

/// Fills in defaults below a value.
///
/// # Errors
/// There are too many of them; the value is then left with some.
pub(super) fn apply(value: &mut Value, schema: &Node) -> Result<(), TooLarge> {
    Filler { left: MAX_ADDED }.value(value, schema)
}

struct Filler {
    left: usize,
}

impl Filler {
    fn value(&mut self, value: &mut Value, schema: &Node) -> Result<(), TooLarge> {
        match value {
            Value::Object(object) => self.object(object, schema),
            Value::Array(elements) => match schema.elements() {
                Some(items) => elements.iter_mut().try_for_each(|element| self.value(element, items)),
                None => Ok(()),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn object(&mut self, object: &mut Object, schema: &Node) -> Result<(), TooLarge> {
        for name in schema.property_names() {
            let is_missing = object.get(name).is_none_or(Value::is_null);
            let Some(default) = schema.declared(name).and_then(Node::default_value).filter(|_| is_missing)
            else {
                continue;
            };
            let size = name.len() + default.to_string().len();
            self.left = self.left.checked_sub(size).ok_or(TooLarge)?;
            object.insert(name.to_owned(), default.clone());
        }
        for (name, member) in object.iter_mut() {
            if let Some(inner) = schema.declared(name).or_else(|| schema.undeclared()) {
                self.value(member, inner)?;
            }
        }
        Ok(())
    }
}
