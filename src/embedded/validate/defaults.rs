//! Defaults: absent values become what the schema says.
//!
//! Responsible for: nulls that are no values, and defaults at any depth. Must never: change a value that is there.

use serde_json::Value;

use super::schema::{Additional, Schema};

/// Drops nulls that the schema does not allow, and fills in defaults.
pub fn apply(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(members) => {
            members.retain(|name, member| {
                !member.is_null()
                    || schema.member(name).is_none_or(|inner| inner.nullable || is_anything(inner))
            });
            for (name, inner) in &schema.properties {
                if let Some(default) = &inner.default
                    && !members.contains_key(name)
                {
                    members.insert(name.clone(), default.clone());
                }
            }
            for (name, member) in members.iter_mut() {
                if let Some(inner) = schema.properties.get(name) {
                    apply(member, inner);
                } else if let Additional::Values(inner) = &schema.additional {
                    apply(member, inner);
                }
            }
        }
        Value::Array(elements) => {
            if let Some(items) = &schema.items {
                for element in elements {
                    apply(element, items);
                }
            }
        }
        _ => {}
    }
}

fn is_anything(schema: &Schema) -> bool {
    schema.type_.is_none() && !schema.int_or_string
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nulls_go_before_defaults_come() {
        let schema = json!({"type": "object", "properties": {
            "a": {"type": "integer", "default": 3},
            "n": {"type": "string", "nullable": true},
            "m": {"type": "string"},
            "o": {"type": "object", "default": {}, "properties": {"p": {"type": "boolean", "default": true}}},
            "free": {"x-kubernetes-preserve-unknown-fields": true},
        }});
        let mut value = json!({"a": null, "n": null, "m": null, "free": null});
        apply(&mut value, &Schema::compile(&schema).unwrap());
        assert_eq!(value, json!({"a": 3, "n": null, "o": {"p": true}, "free": null}));
    }
}
