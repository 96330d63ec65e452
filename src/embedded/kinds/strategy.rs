//! Strategies: what is particular to a kind when its objects are created, updated and deleted.
//!
//! Responsible for: one exhaustive list of differences between kinds. Must never: store anything.

use serde_json::{Map, Value, json};

use super::{Kind, builtin, config, event, job, pod};
use crate::embedded::field::{FieldError, Path};
use crate::embedded::validate::rules::{self, Evaluator};
use crate::embedded::validate::structural::Validation;
use crate::embedded::validate::{metadata, names};

/// What a kind is to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// A custom kind: its schema says everything.
    Custom,
    /// A kind of which only the types are checked.
    Plain,
    /// ConfigMaps.
    ConfigMap,
    /// Secrets.
    Secret,
    /// Pods.
    Pod,
    /// Namespaces.
    Namespace,
    /// Events of the core group.
    CoreEvent,
    /// Events of events.k8s.io.
    NewEvent,
    /// Jobs.
    Job,
    /// Leases.
    Lease,
    /// ControllerRevisions.
    ControllerRevision,
    /// CustomResourceDefinitions.
    Definition,
}

/// What becomes of the objects that an object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay, without the owner.
    Orphan,
}

impl Strategy {
    /// What may be the name of an object.
    #[must_use]
    pub fn name_rule(self) -> fn(&str) -> Vec<String> {
        if self == Self::Namespace { names::label } else { names::subdomain }
    }

    /// Whether an update may leave out the version that it was made from.
    #[must_use]
    pub fn allows_unconditional_update(self) -> bool {
        !matches!(self, Self::Custom | Self::Lease | Self::Definition)
    }

    /// Whether an update of what does not exist creates it.
    #[must_use]
    pub fn may_create_on_update(self) -> bool {
        matches!(self, Self::Lease | Self::CoreEvent | Self::NewEvent)
    }

    /// What becomes of owned objects when nothing is said.
    #[must_use]
    pub fn default_propagation(self) -> Propagation {
        if self == Self::Job { Propagation::Orphan } else { Propagation::Background }
    }

    /// Whether a deletion is answered with the object.
    #[must_use]
    pub fn returns_deleted(self) -> bool {
        matches!(self, Self::Pod | Self::Namespace)
    }

    /// Whether changes of what is wanted are counted.
    #[must_use]
    pub fn counts_generations(self) -> bool {
        matches!(self, Self::Custom | Self::Job | Self::Pod | Self::Definition)
    }
}

/// Completes a new object. Its name and uid are known.
pub fn prepare_create(kind: &Kind, object: &mut Map<String, Value>) {
    if kind.has_status {
        object.remove("status");
    }
    match kind.strategy {
        Strategy::Job => {
            job::prepare(object);
            object.insert("status".to_owned(), json!({}));
        }
        Strategy::Pod => {
            if let Some(spec) = object.entry("spec").or_insert_with(|| json!({})).as_object_mut() {
                pod::defaults(spec);
                spec.entry("enableServiceLinks").or_insert_with(|| json!(true));
            }
            object.insert("status".to_owned(), json!({"phase": "Pending", "qosClass": "BestEffort"}));
        }
        Strategy::Namespace => {
            label_namespace(object);
            object.insert("spec".to_owned(), json!({"finalizers": ["kubernetes"]}));
            object.insert("status".to_owned(), json!({"phase": "Active"}));
        }
        Strategy::Secret => config::prepare_secret(object),
        Strategy::CoreEvent | Strategy::NewEvent => event::complete(object),
        Strategy::Lease => {
            object.entry("spec").or_insert_with(|| json!({}));
        }
        Strategy::ControllerRevision => {
            object.entry("revision").or_insert_with(|| json!(0));
        }
        Strategy::Custom | Strategy::Plain | Strategy::ConfigMap | Strategy::Definition => {}
    }
    if kind.strategy.counts_generations()
        && let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.insert("generation".to_owned(), json!(1));
    }
}

fn label_namespace(object: &mut Map<String, Value>) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let name = metadata.get("name").cloned().unwrap_or_default();
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name);
    }
}

/// Completes an update: what the path that it came by may not write is as it was.
pub fn prepare_update(kind: &Kind, new: &mut Value, old: &Value, is_status: bool) {
    if is_status && kind.is_custom() {
        // Of a custom object nothing but the status is taken.
        let status = new.as_object_mut().and_then(|members| members.remove("status"));
        let others = old.as_object().into_iter().flatten().filter(|(name, _)| *name != "status");
        *new = Value::Object(others.map(|(name, member)| (name.clone(), member.clone())).collect());
        set(new, "status", status);
        return;
    }
    if is_status {
        set(new, "spec", old.get("spec").cloned());
    } else if kind.has_status {
        set(new, "status", old.get("status").cloned());
    }
    match kind.strategy {
        Strategy::Namespace => {
            set(new, "spec", old.get("spec").cloned());
            new.as_object_mut().into_iter().for_each(label_namespace);
        }
        Strategy::Job | Strategy::Pod => {
            let spec = new.get_mut("spec").and_then(Value::as_object_mut);
            match kind.strategy {
                Strategy::Pod => spec.into_iter().for_each(pod::defaults),
                _ => new
                    .pointer_mut("/spec/template/spec")
                    .and_then(Value::as_object_mut)
                    .into_iter()
                    .for_each(pod::defaults),
            }
        }
        Strategy::Secret => new.as_object_mut().into_iter().for_each(config::prepare_secret),
        Strategy::CoreEvent | Strategy::NewEvent => new.as_object_mut().into_iter().for_each(event::complete),
        Strategy::ControllerRevision => {
            if let Some(new) = new.as_object_mut() {
                new.entry("revision").or_insert_with(|| json!(0));
            }
        }
        Strategy::Custom | Strategy::Plain | Strategy::ConfigMap | Strategy::Lease | Strategy::Definition => {
        }
    }
}

fn set(object: &mut Value, name: &str, value: Option<Value>) {
    let Some(members) = object.as_object_mut() else { return };
    match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
}

/// Whether an update changes what is wanted, so that the generation counts up.
#[must_use]
pub fn changes_generation(kind: &Kind, new: &Value, old: &Value) -> bool {
    match kind.strategy {
        Strategy::Custom => {
            let skipped = |name: &str| name == "metadata" || (kind.has_status && name == "status");
            let names = |object: &Value| {
                object
                    .as_object()
                    .map(|members| members.keys().cloned().collect::<Vec<_>>())
                    .unwrap_or_default()
            };
            names(new)
                .iter()
                .chain(&names(old))
                .filter(|name| !skipped(name))
                .any(|name| new.get(name) != old.get(name))
        }
        Strategy::Job | Strategy::Pod | Strategy::Definition => new.get("spec") != old.get("spec"),
        _ => false,
    }
}

/// Everything that is wrong with a new object, or with an update of one.
#[must_use]
pub fn check(
    kind: &Kind,
    object: &Value,
    old: Option<&Value>,
    is_status: bool,
    evaluator: &Evaluator,
) -> Vec<FieldError> {
    let none = Value::Null;
    let (meta, name_rule) = (object.get("metadata").unwrap_or(&none), kind.strategy.name_rule());
    let mut errors = metadata::check(meta, name_rule);
    if let Some(old) = old {
        errors.extend(metadata::check_update(meta, old.get("metadata").unwrap_or(&none)));
    }
    let spec = object.get("spec").unwrap_or(&none);
    let of_kind = match kind.strategy {
        Strategy::Custom => check_custom(kind, object, old, is_status, evaluator),
        Strategy::ConfigMap | Strategy::Secret => config::check_data(object, old),
        Strategy::ControllerRevision => config::check_revision(object, old),
        Strategy::Lease => config::check_lease(object),
        Strategy::CoreEvent => event::check(object, old, false),
        Strategy::NewEvent => event::check(object, old, true),
        Strategy::Job if !is_status => job::check(object, old),
        Strategy::Pod if !is_status => match old {
            Some(old) => pod::check_update(object, old),
            None => pod::check(spec, "spec", &["Always", "OnFailure", "Never"]),
        },
        Strategy::Job | Strategy::Pod | Strategy::Plain | Strategy::Namespace | Strategy::Definition => {
            Vec::new()
        }
    };
    errors.extend(of_kind);
    errors
}

fn check_custom(
    kind: &Kind,
    object: &Value,
    old: Option<&Value>,
    is_status: bool,
    evaluator: &Evaluator,
) -> Vec<FieldError> {
    let schema = kind.schema();
    let mut validation = Validation { part: is_status.then_some("status"), errors: Vec::new() };
    if is_status {
        if let (Some(status), Some(schema)) = (object.get("status"), schema.properties.get("status")) {
            let old = old.and_then(|old| old.get("status"));
            validation.check(schema, status, old, &Path::Member(&Path::Root, "status"));
        }
    } else {
        validation.check(schema, object, old, &Path::Root);
    }
    let mut errors = validation.errors;
    if schema.ruled {
        if rules::is_blocked_by(&errors) {
            errors.push(rules::not_checked());
        } else {
            evaluator.check(schema, object, old, &Path::Root, &mut errors);
        }
    }
    errors
}

/// Why a field cannot be selected by, in the words that the API server has for this kind.
#[must_use]
pub fn unknown_field(kind: &Kind, label: &str) -> String {
    match kind.strategy {
        Strategy::Job => format!("field label \"{label}\" not supported for Job"),
        Strategy::Custom
        | Strategy::Pod
        | Strategy::CoreEvent
        | Strategy::NewEvent
        | Strategy::Secret
        | Strategy::Namespace => {
            format!("field label not supported: {label}")
        }
        Strategy::Plain
        | Strategy::ConfigMap
        | Strategy::Lease
        | Strategy::ControllerRevision
        | Strategy::Definition => {
            format!(
                "\"{label}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
            )
        }
    }
}

/// The schema that a body is decoded with: that of its metadata for custom kinds.
#[must_use]
pub fn metadata_schema() -> &'static crate::embedded::validate::schema::Schema {
    builtin::metadata()
}
