//! Defaults: missing members become what the schema says.
//!
//! Responsible for: defaults at any depth, as the API server applies them. Must never: change a value that is there.

use serde_json::Value;

use super::node::Node;
use crate::api::common::Object;

/// Most bytes of defaults that are added to one value. A default in the elements of a list multiplies; what would be
/// larger than this is refused for its size anyway.
const MAX_ADDED: usize = 1024 * 1024;

/// Fills in defaults, in the members too.
pub(super) fn apply_to_object(object: &mut Object, schema: &Node) {
    Filler { left: MAX_ADDED }.object(object, schema);
}

/// Fills in defaults below a value.
pub(super) fn apply(value: &mut Value, schema: &Node) {
    Filler { left: MAX_ADDED }.value(value, schema);
}

struct Filler {
    left: usize,
}

impl Filler {
    fn value(&mut self, value: &mut Value, schema: &Node) {
        match value {
            Value::Object(object) => self.object(object, schema),
            Value::Array(elements) => {
                if let Some(items) = schema.elements() {
                    elements.iter_mut().for_each(|element| self.value(element, items));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn object(&mut self, object: &mut Object, schema: &Node) {
        for name in schema.property_names() {
            let is_missing = object.get(name).is_none_or(Value::is_null);
            let Some(default) = schema.declared(name).and_then(Node::default_value).filter(|_| is_missing)
            else {
                continue;
            };
            let size = name.len() + default.to_string().len();
            if size <= self.left {
                self.left -= size;
                object.insert(name.to_owned(), default.clone());
            }
        }
        for (name, member) in object.iter_mut() {
            if let Some(inner) = schema.declared(name).or_else(|| schema.undeclared()) {
                self.value(member, inner);
            }
        }
    }
}
