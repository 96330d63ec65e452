//! Definitions: a CustomResourceDefinition becomes kinds.
//!
//! Responsible for: reading a definition once, all its mistakes told. Must never: keep objects.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use super::strategy::Strategy;
use super::{Kind, MakeSchema};
use crate::embedded::field::FieldError;
use crate::embedded::validate::schema::Schema;

/// A definition that has been read: cheap to clone, and to use in many servers.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The CustomResourceDefinition.
    pub object: Value,
    /// What it defines, one for every version that is served.
    pub kinds: Vec<Arc<Kind>>,
}

impl Definition {
    /// Reads a CustomResourceDefinition.
    pub fn compile(object: &Value) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let spec = object.get("spec").unwrap_or(&Value::Null);
        let text =
            |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (group, plural, kind) = (text("/group"), text("/names/plural"), text("/names/kind"));
        for (field, value) in
            [("spec.group", &group), ("spec.names.plural", &plural), ("spec.names.kind", &kind)]
        {
            if value.is_empty() {
                errors.push(FieldError::required(field, ""));
            }
        }
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        if name != format!("{plural}.{group}") {
            errors.push(FieldError::invalid(
                "metadata.name",
                &json!(name),
                "must be spec.names.plural+\".\"+spec.group",
            ));
        }
        let versions = spec.get("versions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if versions.is_empty() {
            errors.push(FieldError::required("spec.versions", ""));
        }
        let mut kinds = Vec::new();
        for (index, version) in versions.iter().enumerate() {
            let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
            let Some(schema) = version.pointer("/schema/openAPIV3Schema") else {
                errors.push(FieldError::required(path, "schemas are required"));
                continue;
            };
            match Schema::compile(schema) {
                Ok(schema) if version.get("served").and_then(Value::as_bool).unwrap_or_default() => {
                    let make: MakeSchema = Box::new(move || schema);
                    kinds.push(Arc::new(Kind {
                        group: group.clone(),
                        version: version.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
                        kind: kind.clone(),
                        list_kind: Some(text("/names/listKind"))
                            .filter(|word| !word.is_empty())
                            .unwrap_or(format!("{kind}List")),
                        plural: plural.clone(),
                        namespaced: text("/scope") == "Namespaced",
                        has_status: version.pointer("/subresources/status").is_some(),
                        strategy: Strategy::Custom,
                        fields: selectable(version),
                        storage: format!("{group}/{plural}"),
                        schema: LazyLock::new(make),
                    }));
                }
                Ok(_) => {}
                Err(why) => errors.push(FieldError::invalid_unquoted(path, &why)),
            }
        }
        if errors.is_empty() { Ok(Self { object: object.clone(), kinds }) } else { Err(errors) }
    }
}

fn selectable(version: &Value) -> Vec<(String, Vec<String>)> {
    let list = version.get("selectableFields").and_then(Value::as_array).into_iter().flatten();
    let paths = list.filter_map(|field| field.get("jsonPath")?.as_str()?.strip_prefix('.'));
    paths.map(|path| (path.to_owned(), path.split('.').map(str::to_owned).collect())).collect()
}

/// What the API server writes into the status of a definition that it serves.
#[must_use]
pub fn status(object: &Value, now: &str) -> Value {
    let condition = |type_: &str, reason: &str, message: &str| json!({"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now});
    let versions = object.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten();
    let stored = versions.filter(|version| version.get("storage") == Some(&json!(true)));
    let stored: Vec<Value> = stored.filter_map(|version| version.get("name").cloned()).collect();
    json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": object.pointer("/spec/names"),
        "storedVersions": stored,
    })
}
