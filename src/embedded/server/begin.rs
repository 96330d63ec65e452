//! Beginnings: what a server has before the first request, and what every new object gets.
//!
//! Responsible for: names, uids and times of new objects, and kinds that come and go with their definitions. Must
//! never: validate anything.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::embedded::kinds::definition::{self, Definition};
use crate::embedded::kinds::{Kind, Kinds, strategy};
use crate::embedded::state::{Context, State};
use crate::embedded::store::Object;

/// Puts in what a server begins with.
pub fn begin(state: &mut State, definitions: Vec<Definition>) {
    let context = Context { verb: "create", user_agent: "embedded-server".to_owned(), ..Context::default() };
    for name in ["default", "kube-system"] {
        if let Some(kind) = Kinds::default().of_storage("/namespaces") {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            store_new(state, kind, object, &context);
        }
    }
    for definition in definitions {
        let object = definition.object.clone();
        if let Some(kind) = state.kinds.of_storage("apiextensions.k8s.io/customresourcedefinitions").cloned()
        {
            let object = established(object, &state.now());
            store_new(state, &kind, object, &context);
            definition.kinds.into_iter().for_each(|kind| state.kinds.insert(kind));
        }
    }
}

fn store_new(state: &mut State, kind: &Arc<Kind>, mut object: Value, context: &Context) {
    let status = object.get("status").cloned();
    let name = begin_object(state, kind, &mut object, "");
    if let (Some(status), Some(members)) = (status, object.as_object_mut()) {
        members.insert("status".to_owned(), status);
    }
    let key = State::key(kind, "", &name);
    state.put(kind, &key, object, context);
}

/// A definition as it is once it is served.
pub fn established(mut object: Value, now: &str) -> Value {
    let status = definition::status(&object, now);
    if let Some(members) = object.as_object_mut() {
        members.insert("status".to_owned(), status);
    }
    object
}

/// Gives a new object its name, uid and times, and what its kind adds. The result is the name.
pub fn begin_object(state: &mut State, kind: &Kind, object: &mut Value, namespace: &str) -> String {
    let mut name = String::new();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let text = |metadata: &Map<String, Value>, key: &str| {
            metadata.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        name = text(metadata, "name");
        let prefix = text(metadata, "generateName");
        if name.is_empty() && !prefix.is_empty() {
            name = format!("{}{}", prefix.chars().take(58).collect::<String>(), state.suffix());
            metadata.insert("name".to_owned(), json!(name));
        }
        for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion"] {
            metadata.remove(key);
        }
        metadata.insert("uid".to_owned(), json!(state.uid()));
        metadata.insert("creationTimestamp".to_owned(), json!(state.now()));
        if kind.namespaced {
            metadata.insert("namespace".to_owned(), json!(namespace));
        }
    }
    if let Some(members) = object.as_object_mut() {
        strategy::prepare_create(kind, members);
    }
    name
}

/// Makes the kinds of a definition known.
pub fn register(state: &mut State, object: &Value) {
    if let Ok(definition) = Definition::compile(object) {
        definition.kinds.into_iter().for_each(|kind| state.kinds.insert(kind));
    }
}

/// With a definition all objects of its kind go.
pub fn forget_kind(state: &mut State, definition: &Value, context: &Context) {
    let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let storage = format!("{}/{}", text("/spec/group"), text("/spec/names/plural"));
    let Some(kind) = state.kinds.of_storage(&storage).cloned() else { return };
    let objects: Vec<Arc<Object>> = state.store.list(&storage, None).cloned().collect();
    for object in objects {
        let text = |pointer: &str| object.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let key = State::key(&kind, text("/metadata/namespace"), text("/metadata/name"));
        state.remove(&kind, &key, object.value.clone(), context);
    }
    state.kinds.remove(&kind.group, &kind.plural);
}
