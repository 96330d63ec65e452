//! Pruning: members that a schema does not know are dropped.
//!
//! Responsible for: what is kept, as the API server keeps it, and the paths of what is not. Must never: drop what may
//! be preserved.

use serde_json::Value;

use super::schema::{Additional, Schema};
use crate::embedded::field::Path;

/// Drops what a schema does not know, and notes the path of each. `keep` are members of this value that stay as they
/// are.
pub fn prune(value: &mut Value, schema: &Schema, keep: &[&str], path: &Path<'_>, dropped: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            let mut unknown = Vec::new();
            for (name, member) in members.iter_mut() {
                if keep.contains(&name.as_str())
                    || (schema.embedded && matches!(name.as_str(), "apiVersion" | "kind" | "metadata"))
                {
                    continue;
                }
                if let Some(inner) = schema.properties.get(name) {
                    prune(member, inner, &[], &path.member(name), dropped);
                    continue;
                }
                match &schema.additional {
                    Additional::Values(inner) => prune(member, inner, &[], &path.key(name), dropped),
                    _ if schema.preserves_unknown => {}
                    Additional::Any => empty(member, &path.key(name), dropped),
                    Additional::Unsaid => unknown.push(name.clone()),
                }
            }
            for name in unknown {
                members.remove(&name);
                dropped.push(path.member(&name).to_string());
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter_mut().enumerate() {
                match &schema.items {
                    Some(items) => prune(element, items, &[], &path.element(index), dropped),
                    None if schema.preserves_unknown => {}
                    None => empty(element, &path.element(index), dropped),
                }
            }
        }
        _ => {}
    }
}

/// Below `additionalProperties: true` nothing is known: objects lose all their members.
fn empty(value: &mut Value, path: &Path<'_>, dropped: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            dropped.extend(members.keys().map(|name| path.member(name).to_string()));
            members.clear();
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter_mut().enumerate() {
                empty(element, &path.element(index), dropped);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::needless_pass_by_value,
        reason = "a call with a json literal reads better without a borrow"
    )]

    use super::*;
    use serde_json::json;

    fn check(schema: Value, value: Value, expected: Value, paths: &[&str]) {
        let (mut value, mut dropped) = (value, Vec::new());
        prune(&mut value, &Schema::compile(&schema).unwrap(), &[], &Path::Root, &mut dropped);
        assert_eq!((value, dropped), (expected, paths.iter().map(|path| (*path).to_owned()).collect()));
    }

    #[test]
    fn unknown_members_go_and_preserved_ones_stay() {
        let schema = json!({"type": "object", "properties": {
            "a": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"b": {"type": "object"}}},
            "m": {"type": "object", "additionalProperties": true},
            "l": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string"}}}},
        }});
        check(
            schema,
            json!({"z": 1, "a": {"u": {"v": 1}, "b": {"c": 1}}, "m": {"k": {"n": 1}}, "l": [{"x": "1", "y": 2}]}),
            json!({"a": {"u": {"v": 1}, "b": {}}, "m": {"k": {}}, "l": [{"x": "1"}]}),
            &["a.b.c", "l[0].y", "m.k.n", "z"],
        );
    }
}
