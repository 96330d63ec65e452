//! Deletion: at once, with grace, or when the last finalizer is gone.
//!
//! Responsible for: preconditions, deletionTimestamp, grace periods and the finalizers of a propagation policy. Must
//! never: delete what is owned; that is the garbage collector's.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Context, State, set_finalizers, set_metadata};
use crate::embedded::kinds::strategy::{Propagation, Strategy};
use crate::embedded::kinds::{Kind, pod};
use crate::embedded::refusal::Refusal;
use crate::embedded::store::{Key, Object, uid};
use crate::embedded::validate::metadata::strings;

/// Finalizer of an object whose owned objects are to stay.
pub const ORPHAN: &str = "orphan";
/// Finalizer of an object whose owned objects go first.
pub const FOREGROUND: &str = "foregroundDeletion";

/// How to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// What becomes of owned objects; none: as the kind has it.
    pub propagation: Option<Propagation>,
    /// How long the end may take, in seconds.
    pub grace_period: Option<i64>,
    /// The uid that the object must have.
    pub uid: Option<String>,
    /// The version that the object must have.
    pub resource_version: Option<String>,
    /// Whether nothing is to be done.
    pub is_dry_run: bool,
}

/// What became of a deletion.
#[derive(Debug)]
pub struct Deleted {
    /// The object: its last state, or how it waits for its end.
    pub object: Arc<Object>,
    /// Whether it is gone.
    pub is_gone: bool,
}

impl State {
    /// Deletes an object.
    pub fn delete(
        &mut self,
        kind: &Arc<Kind>,
        key: &Key,
        options: &DeleteOptions,
        context: &Context,
    ) -> Result<Deleted, Refusal> {
        let Some(object) = self.store.get(key).cloned() else {
            return Err(Refusal::not_found(kind, &key.name));
        };
        check_preconditions(kind, &object, options)?;
        if kind.strategy == Strategy::Namespace {
            return self.delete_namespace(kind, key, &object, options, context);
        }
        let mut value = object.value.clone();
        let old: Vec<String> = finalizers(&value);
        let new = with_propagation(&old, options.propagation, kind.strategy);
        let grace =
            if kind.strategy == Strategy::Pod { pod::grace_period(&value, options.grace_period) } else { 0 };
        let waiting = value.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64);
        let is_deleting = value.pointer("/metadata/deletionTimestamp").is_some();
        if is_deleting && waiting.is_some_and(|waiting| waiting > 0 && grace >= waiting) {
            return Ok(Deleted { object, is_gone: false });
        }
        if new.is_empty() && grace == 0 {
            if options.is_dry_run {
                return Ok(Deleted { object, is_gone: true });
            }
            let removed = self.remove(kind, key, value.clone(), context);
            if kind.strategy == Strategy::Pod {
                self.mark(&mut value, 0);
                return Ok(Deleted { object: Object::new(value, removed.version), is_gone: true });
            }
            return Ok(Deleted { object: removed, is_gone: true });
        }
        set_finalizers(&mut value, &new);
        self.mark(&mut value, grace);
        if value == object.value || options.is_dry_run {
            return Ok(Deleted { object, is_gone: false });
        }
        Ok(Deleted { object: self.put(kind, key, value, context), is_gone: false })
    }

    /// Marks an object as going.
    fn mark(&self, value: &mut Value, grace: i64) {
        let generation = value.pointer("/metadata/generation").and_then(Value::as_i64);
        if value.pointer("/metadata/deletionTimestamp").is_none() {
            if let Some(generation) = generation {
                set_metadata(value, "generation", json!(generation + 1));
            }
            set_metadata(value, "deletionTimestamp", json!(self.now_plus(grace)));
            set_metadata(value, "deletionGracePeriodSeconds", json!(grace));
        } else if value
            .pointer("/metadata/deletionGracePeriodSeconds")
            .and_then(Value::as_i64)
            .is_some_and(|left| grace < left)
        {
            set_metadata(value, "deletionTimestamp", json!(self.now_plus(grace)));
            set_metadata(value, "deletionGracePeriodSeconds", json!(grace));
        }
    }

    /// A namespace goes when everything in it has gone.
    fn delete_namespace(
        &mut self,
        kind: &Arc<Kind>,
        key: &Key,
        object: &Arc<Object>,
        options: &DeleteOptions,
        context: &Context,
    ) -> Result<Deleted, Refusal> {
        if matches!(key.name.as_str(), "default" | "kube-system" | "kube-public") {
            return Err(Refusal::forbidden(kind, &key.name, "this namespace may not be deleted"));
        }
        let mut value = object.value.clone();
        if value.pointer("/metadata/deletionTimestamp").is_some() || options.is_dry_run {
            return Ok(Deleted { object: Arc::clone(object), is_gone: false });
        }
        set_metadata(&mut value, "deletionTimestamp", json!(self.now()));
        if let Some(phase) = value.pointer_mut("/status/phase") {
            *phase = json!("Terminating");
        }
        Ok(Deleted { object: self.put(kind, key, value, context), is_gone: false })
    }
}

fn check_preconditions(kind: &Kind, object: &Object, options: &DeleteOptions) -> Result<(), Refusal> {
    let name = object.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let found = uid(&object.value);
    if let Some(expected) = options.uid.as_deref().filter(|expected| *expected != found) {
        let why = format!(
            "the UID in the precondition ({expected}) does not match the UID in record ({found}). The object might have been deleted and then recreated"
        );
        return Err(Refusal::precondition(kind, name, &why));
    }
    let found = object.version.to_string();
    if let Some(expected) = options.resource_version.as_deref().filter(|expected| *expected != found) {
        let why = format!(
            "the ResourceVersion in the precondition ({expected}) does not match the ResourceVersion in record ({found}). The object might have been modified"
        );
        return Err(Refusal::precondition(kind, name, &why));
    }
    Ok(())
}

/// The finalizers of an object.
pub fn finalizers(object: &Value) -> Vec<String> {
    object
        .get("metadata")
        .map(|metadata| strings(metadata, "finalizers").map(str::to_owned).collect())
        .unwrap_or_default()
}

fn with_propagation(old: &[String], asked: Option<Propagation>, strategy: Strategy) -> Vec<String> {
    let has = |name: &str| old.iter().any(|finalizer| finalizer == name);
    let propagation = match asked {
        Some(asked) => asked,
        None if has(ORPHAN) => Propagation::Orphan,
        None if has(FOREGROUND) => Propagation::Foreground,
        None => strategy.default_propagation(),
    };
    let mut new: Vec<String> =
        old.iter().filter(|name| !matches!(name.as_str(), ORPHAN | FOREGROUND)).cloned().collect();
    match propagation {
        Propagation::Background => {}
        Propagation::Foreground => new.push(FOREGROUND.to_owned()),
        Propagation::Orphan => new.push(ORPHAN.to_owned()),
    }
    new
}
