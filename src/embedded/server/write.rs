//! Writes: create, update, patch and delete.
//!
//! Responsible for: the order in which Kubernetes checks a write, and one write at a time. Must never: store what was
//! not validated, or what changes nothing.

use std::sync::Arc;

use http::header::ACCEPT;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::answer::{self, Shape};
use super::begin::{begin_object, established, forget_kind, register};
use super::body::Body;
use super::options::{WriteOptions, delete_options, write_options};
use super::{Call, Server, decode, patch as patches};
use crate::embedded::field::FieldError;
use crate::embedded::kinds::Kind;
use crate::embedded::kinds::definition::Definition;
use crate::embedded::kinds::strategy::{self, Strategy};
use crate::embedded::refusal::Refusal;
use crate::embedded::selector::Selector;
use crate::embedded::state::{State, is_finished};
use crate::embedded::store::{Key, Object, uid};

/// How often another name is generated when one is taken.
const ATTEMPTS_AT_A_NAME: usize = 8;

/// Creates an object.
pub fn create(server: &Server, call: &Call<'_>) -> Result<Response<Body>, Refusal> {
    let shape = Shape::accepted(call.header(ACCEPT))?;
    let options = write_options(&call.parameters, "CreateOptions")?;
    let object = decode::body(call, options.is_strict)?;
    check_namespace(call, &object)?;
    create_object(server, call, &object, options, shape)
}

fn check_namespace(call: &Call<'_>, object: &Value) -> Result<(), Refusal> {
    let said = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    if said.is_empty() || said == call.target.namespace() {
        return Ok(());
    }
    Err(other_namespace())
}

fn other_namespace() -> Refusal {
    Refusal::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request",
    )
}

fn create_object(
    server: &Server,
    call: &Call<'_>,
    sent: &Value,
    options: WriteOptions,
    shape: Shape,
) -> Result<Response<Body>, Refusal> {
    let (kind, namespace) = (&call.target.kind, call.target.namespace());
    let mut state = server.state();
    if kind.namespaced {
        let name = sent.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let Some(found) = state.namespace(namespace) else {
            return Err(Refusal::namespace_not_found(namespace));
        };
        if found.value.pointer("/metadata/deletionTimestamp").is_some() {
            return Err(Refusal::namespace_terminating(kind, name, namespace));
        }
    }
    let is_generated = sent.pointer("/metadata/name").is_none();
    let mut attempt = 0;
    let (key, mut object) = loop {
        attempt += 1;
        let mut object = sent.clone();
        let name = begin_object(&mut state, kind, &mut object, namespace);
        let mut errors = strategy::check(kind, &object, None, false, &state.evaluator);
        if kind.strategy == Strategy::Definition {
            errors.extend(Definition::compile(&object).err().into_iter().flatten());
        }
        if !errors.is_empty() {
            return Err(Refusal::invalid(kind, &name, &errors));
        }
        if sent
            .pointer("/metadata/resourceVersion")
            .and_then(Value::as_str)
            .is_some_and(|version| !version.is_empty())
        {
            return Err(Refusal::internal("resourceVersion should not be set on objects to be created"));
        }
        let key = State::key(kind, namespace, &name);
        let Some(existing) = state.store.get(&key) else { break (key, object) };
        if !is_generated || attempt >= ATTEMPTS_AT_A_NAME {
            let is_going = existing.value.pointer("/metadata/deletionTimestamp").is_some();
            let refuse = if is_going { Refusal::still_exists } else { Refusal::already_exists };
            return Err(refuse(kind, &name));
        }
    };
    if options.is_dry_run {
        return Ok(answer::value(kind, &object, shape, StatusCode::CREATED));
    }
    if kind.strategy == Strategy::Definition {
        object = established(object, &state.now());
        register(&mut state, &object);
    }
    let stored = state.put(kind, &key, object, &call.context);
    state.collect_garbage();
    drop(state);
    Ok(answer::object(kind, &stored, shape, StatusCode::CREATED))
}

/// Puts an object in the place of another.
pub fn update(server: &Server, call: &Call<'_>) -> Result<Response<Body>, Refusal> {
    let shape = Shape::accepted(call.header(ACCEPT))?;
    let options = write_options(&call.parameters, "UpdateOptions")?;
    let object = decode::body(call, options.is_strict)?;
    check_namespace(call, &object)?;
    check_name(call, &object)?;
    let kind = &call.target.kind;
    let mut state = server.state();
    let key = State::key(kind, call.target.namespace(), call.target.name());
    let Some(old) = state.store.get(&key).cloned() else {
        drop(state);
        if kind.strategy.may_create_on_update() {
            return create_object(server, call, &object, options, shape);
        }
        return Err(Refusal::not_found(kind, &key.name));
    };
    let asked = uid(&object);
    if !asked.is_empty() && asked != uid(&old.value) {
        return Err(Refusal::other_uid(kind, &key.namespace, &key.name, asked, uid(&old.value)));
    }
    let stored = replace(&mut state, call, &key, &old, object, options)?;
    drop(state);
    Ok(respond(kind, stored, shape))
}

/// Changes an object.
pub fn patch(server: &Server, call: &Call<'_>) -> Result<Response<Body>, Refusal> {
    let shape = Shape::accepted(call.header(ACCEPT))?;
    let options = write_options(&call.parameters, "PatchOptions")?;
    let kind = &call.target.kind;
    let mut state = server.state();
    let key = State::key(kind, call.target.namespace(), call.target.name());
    let found = state.store.get(&key).cloned();
    let empty = json!({});
    let patched = patches::apply(call, kind, found.as_ref().map_or(&empty, |found| &found.value));
    // What is no patch at all is told before what is not there.
    let refused_as_such = |refusal: &Refusal| refusal.code == 415 || refusal.code == 400;
    let Some(old) = found else {
        return Err(patched
            .err()
            .filter(refused_as_such)
            .unwrap_or_else(|| Refusal::not_found(kind, &key.name)));
    };
    let mut object = patched?;
    let unfit = |words: &str| {
        // It is made once more for the message: almost always there is none.
        let patched = patches::apply(call, kind, &old.value).map(|patched| patched.to_string());
        let error = FieldError::invalid("patch", &json!(patched.unwrap_or_default()), words);
        Refusal::invalid_as("", "", "", &[error])
    };
    for name in ["kind", "apiVersion"] {
        if object.get(name) != kind.view(&old.value).as_ref().unwrap_or(&old.value).get(name) {
            return Err(unfit("the embedded server does not convert an object into one of another kind"));
        }
    }
    let unknown = decode::complete(kind, &mut object).map_err(|words| unfit(&words))?;
    if options.is_strict && !unknown.is_empty() {
        return Err(unfit(&decode::strict_words(&[], &unknown)));
    }
    check_name(call, &object)?;
    let stored = replace(&mut state, call, &key, &old, object, options)?;
    drop(state);
    Ok(respond(kind, stored, shape))
}

fn check_name(call: &Call<'_>, object: &Value) -> Result<(), Refusal> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (said, name) = (text("/metadata/name"), call.target.name());
    if said.is_empty() {
        return Err(Refusal::bad_request(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )));
    }
    if said != name {
        return Err(Refusal::bad_request(format!(
            "the name of the object ({said}) does not match the name on the URL ({name})"
        )));
    }
    let (said, namespace) = (text("/metadata/namespace"), call.target.namespace());
    if !said.is_empty() && said != namespace {
        return Err(other_namespace());
    }
    Ok(())
}

/// What is answered after an update.
enum Stored {
    Object(Arc<Object>),
    DryRun(Value),
}

fn respond(kind: &Kind, stored: Stored, shape: Shape) -> Response<Body> {
    match stored {
        Stored::Object(object) => answer::object(kind, &object, shape, StatusCode::OK),
        Stored::DryRun(object) => answer::value(kind, &object, shape, StatusCode::OK),
    }
}

fn replace(
    state: &mut State,
    call: &Call<'_>,
    key: &Key,
    old: &Arc<Object>,
    mut new: Value,
    options: WriteOptions,
) -> Result<Stored, Refusal> {
    let kind = &call.target.kind;
    match new.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default() {
        "" | "0" if kind.strategy.allows_unconditional_update() => {}
        "" | "0" => {
            let error =
                FieldError::invalid("metadata.resourceVersion", &json!(0), "must be specified for an update");
            return Err(Refusal::invalid_as(&kind.group, &kind.plural, &key.name, &[error]));
        }
        version if version == old.version.to_string() => {}
        _ => return Err(Refusal::conflict(kind, &key.name)),
    }
    keep_system_metadata(kind, &mut new, &old.value);
    strategy::prepare_update(kind, &mut new, &old.value, call.target.is_status());
    if strategy::changes_generation(kind, &new, &old.value) {
        let generation =
            old.value.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
        if let Some(metadata) = new.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("generation".to_owned(), json!(generation + 1));
        }
    }
    let mut errors = strategy::check(kind, &new, Some(&old.value), call.target.is_status(), &state.evaluator);
    if kind.strategy == Strategy::Definition {
        errors.extend(Definition::compile(&new).err().into_iter().flatten());
    }
    if !errors.is_empty() {
        return Err(Refusal::invalid(kind, &key.name, &errors));
    }
    if options.is_dry_run {
        return Ok(Stored::DryRun(new));
    }
    if new == old.value && !is_finished(&new) {
        return Ok(Stored::Object(Arc::clone(old)));
    }
    if kind.strategy == Strategy::Definition {
        register(state, &new);
    }
    let stored = state.put_or_finish(kind, key, new, &call.context);
    state.collect_garbage();
    Ok(Stored::Object(stored))
}

/// Of the metadata, some is the server's own: what is left out stays, and generations are counted here.
fn keep_system_metadata(kind: &Kind, new: &mut Value, old: &Value) {
    let before = |key: &str| old.get("metadata").and_then(|metadata| metadata.get(key)).cloned();
    let Some(metadata) = new.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    for key in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if let (None, Some(value)) = (metadata.get(key), before(key)) {
            metadata.insert(key.to_owned(), value);
        }
    }
    for key in ["generation", "resourceVersion", "creationTimestamp"] {
        match before(key) {
            Some(value) => drop(metadata.insert(key.to_owned(), value)),
            None => drop(metadata.remove(key)),
        }
    }
    if let (true, Some(namespace)) = (kind.namespaced, before("namespace")) {
        metadata.insert("namespace".to_owned(), namespace);
    }
}

/// Deletes an object.
pub fn delete(server: &Server, call: &Call<'_>) -> Result<Response<Body>, Refusal> {
    let shape = Shape::accepted(call.header(ACCEPT))?;
    let options = delete_options(&call.parameters, call.bytes)?;
    let kind = &call.target.kind;
    let mut state = server.state();
    let key = State::key(kind, call.target.namespace(), call.target.name());
    let deleted = state.delete(kind, &key, &options, &call.context)?;
    if kind.strategy == Strategy::Definition && deleted.is_gone && !options.is_dry_run {
        forget_kind(&mut state, &deleted.object.value, &call.context);
    }
    state.collect_garbage();
    drop(state);
    if deleted.is_gone && !kind.strategy.returns_deleted() {
        return Ok(answer::deleted(kind, &key.name, uid(&deleted.object.value)));
    }
    Ok(answer::object(kind, &deleted.object, shape, StatusCode::OK))
}

/// Deletes all objects that are selected.
pub fn delete_all(server: &Server, call: &Call<'_>) -> Result<Response<Body>, Refusal> {
    let shape = Shape::accepted(call.header(ACCEPT))?;
    let options = delete_options(&call.parameters, call.bytes)?;
    let kind = &call.target.kind;
    let selector =
        Selector::parse(kind, call.parameters.text("labelSelector"), call.parameters.text("fieldSelector"))?;
    let mut state = server.state();
    let version = state.store.version();
    let selected: Vec<Arc<Object>> = state
        .store
        .list(&kind.storage, call.target.namespace.as_deref())
        .filter(|object| selector.matches(&object.value))
        .cloned()
        .collect();
    for object in &selected {
        let name = object.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let key = State::key(kind, call.target.namespace(), name);
        // What an earlier one took with it is gone already.
        match state.delete(kind, &key, &options, &call.context) {
            Err(refusal) if refusal.code != 404 => return Err(refusal),
            _ => {}
        }
    }
    state.collect_garbage();
    drop(state);
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".to_owned(), json!(version.to_string()));
    Ok(answer::list(kind, selected.iter().map(AsRef::as_ref), shape, &metadata))
}
