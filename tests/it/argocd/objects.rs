//! Objects of the Argo CD scenarios: what `support::objects` makes, with the annotations of Argo CD.

use serde_json::{Value, json};

pub use crate::support::objects::{activity_definition, definition, orchestration, schedule};

/// An object with an annotation of Argo CD.
pub fn annotated(mut object: Value, key: &str, value: &str) -> Value {
    object["metadata"]["annotations"][format!("argocd.argoproj.io/{key}")] = json!(value);
    object
}

/// An object in a wave.
pub fn in_wave(object: Value, wave: i32) -> Value {
    annotated(object, "sync-wave", &wave.to_string())
}

/// A definition of one activity, whose id is the definition's name.
pub fn single(name: &str, type_: &str) -> Value {
    definition(name, json!({"activities": [{"id": name, "type": type_}]}))
}

/// A definition of two activities, `<name>` and then `then`.
pub fn pair(name: &str, type_: &str) -> Value {
    let activities = json!([{"id": name, "type": type_}, {"id": "then", "type": type_, "dependsOn": name}]);
    definition(name, json!({"activities": activities}))
}

/// What the operator has nothing to do with.
pub fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}})
}
