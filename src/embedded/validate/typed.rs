//! Typed decoding: what a program with compiled types does to the JSON of a built-in kind, and to any metadata.
//!
//! Responsible for: refusing values of the wrong type in the words of the Go decoder, and dropping nulls and empty
//! collections as a round through its types does. Must never: validate a value of the right type.

use serde_json::Value;

use super::schema::{Additional, Schema, Type};

/// Decodes a value in place. `owner` is the type that holds it, and `path` its path without indices.
pub fn decode(value: &mut Value, schema: &Schema, owner: &str, path: &str) -> Result<(), String> {
    let mismatch = |found: &Value| {
        let wanted = go_type(schema);
        Err(format!(
            "json: cannot unmarshal {} into Go struct field {owner}.{path} of type {wanted}",
            go_word(found)
        ))
    };
    if schema.int_or_string {
        return if value.is_string() || value.is_number() { Ok(()) } else { mismatch(value) };
    }
    match schema.type_ {
        None => Ok(()),
        // JSON of its own.
        Some(Type::Object) if schema.preserves_unknown => Ok(()),
        Some(Type::Object) => {
            let Value::Object(members) = value else { return mismatch(value) };
            // A field that the type does not have stays, whatever its value: strict decoding tells of it.
            let is_map = matches!(schema.additional, Additional::Values(_));
            let is_known = |name: &str| is_map || schema.properties.contains_key(name);
            members.retain(|name, member| !(member.is_null() && is_known(name)));
            let owner = if schema.name.is_empty() { owner } else { schema.name.as_str() };
            for (name, member) in members.iter_mut() {
                if let Some(inner) = schema.properties.get(name) {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    decode(member, inner, owner, &path)?;
                } else if let Additional::Values(inner) = &schema.additional {
                    decode(member, inner, owner, path)?;
                }
            }
            members
                .retain(|name, member| !(is_known(name) && is_omitted(schema.properties.get(name), member)));
            Ok(())
        }
        Some(Type::Array) => {
            let Value::Array(elements) = value else { return mismatch(value) };
            let Some(items) = &schema.items else { return Ok(()) };
            elements.iter_mut().try_for_each(|element| decode(element, items, owner, path))
        }
        // A quantity may be written as a number.
        Some(Type::String) if schema.name == "Quantity" && value.is_number() => {
            *value = Value::String(value.to_string());
            Ok(())
        }
        Some(Type::String) if value.is_string() => Ok(()),
        Some(Type::Boolean) if value.is_boolean() => Ok(()),
        Some(Type::Integer) if value.is_i64() || value.is_u64() => Ok(()),
        Some(Type::Number) if value.is_number() => Ok(()),
        Some(Type::Integer) if value.is_number() => Err(format!(
            "json: cannot unmarshal number {value} into Go struct field {owner}.{path} of type {}",
            go_type(schema)
        )),
        Some(Type::String | Type::Boolean | Type::Integer | Type::Number) => mismatch(value),
    }
}

/// Empty lists and maps are the same as absent ones; an empty struct is not.
fn is_omitted(schema: Option<&Schema>, value: &Value) -> bool {
    match value {
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => {
            members.is_empty()
                && schema.is_some_and(|schema| matches!(schema.additional, Additional::Values(_)))
        }
        _ => false,
    }
}

fn go_type(schema: &Schema) -> String {
    if schema.int_or_string {
        return "intstr.IntOrString".to_owned();
    }
    match schema.type_ {
        Some(Type::String) => "string".to_owned(),
        Some(Type::Boolean) => "bool".to_owned(),
        Some(Type::Integer) if schema.format.is_empty() => "int32".to_owned(),
        Some(Type::Integer) => schema.format.clone(),
        Some(Type::Number) => "float64".to_owned(),
        Some(Type::Array) => format!("[]{}", schema.items.as_deref().map(go_type).unwrap_or_default()),
        Some(Type::Object) => match &schema.additional {
            Additional::Values(values) => format!("map[string]{}", go_type(values)),
            Additional::Unsaid | Additional::Any => format!("v1.{}", schema.name),
        },
        None => "interface {}".to_owned(),
    }
}

/// What the Go decoder calls a value.
pub(in crate::embedded) fn go_word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
