//! Built-in kinds: those that our controllers, and people beside them, use.
//!
//! Responsible for: their names, paths and field selectors. Must never: know what their objects mean.

use std::sync::{Arc, LazyLock};

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod, Secret, ServiceAccount};
use k8s_openapi::api::events::v1::Event as NewEvent;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::json;

use super::strategy::Strategy;
use super::{Kind, MakeSchema};
use crate::embedded::validate::schema::Schema;

static ALL: LazyLock<Vec<Arc<Kind>>> = LazyLock::new(make);
static METADATA: LazyLock<Schema> = LazyLock::new(schema_of::<ObjectMeta>);

/// All built-in kinds. They are made once in a process, and their schemas when they are first needed.
pub fn all() -> &'static [Arc<Kind>] {
    &ALL
}

/// The schema of every object's metadata.
pub fn metadata() -> &'static Schema {
    &METADATA
}

fn schema_of<T: JsonSchema>() -> Schema {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
    let mut schema = Schema::compile(&schema).unwrap_or_default();
    let name = T::schema_name();
    schema.name = name.rsplit('.').next().unwrap_or(&name).to_owned();
    schema
}

/// Fields of a selector whose label is their path.
fn plain(labels: &[&str]) -> Vec<(String, Vec<String>)> {
    labels.iter().map(|label| ((*label).to_owned(), label.split('.').map(str::to_owned).collect())).collect()
}

/// The same with a label of its own.
fn field(label: &str, path: &str) -> (String, Vec<String>) {
    (label.to_owned(), path.split('.').map(str::to_owned).collect())
}

fn make() -> Vec<Arc<Kind>> {
    let object = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"];
    let mut core_event = plain(&["reason", "reportingComponent", "source.component", "type"]);
    core_event.extend(
        object.map(|member| field(&format!("involvedObject.{member}"), &format!("involvedObject.{member}"))),
    );
    core_event.push(field("source", "source.component"));
    let mut new_event = plain(&["reason", "type"]);
    new_event.extend(
        object.map(|member| field(&format!("regarding.{member}"), &format!("involvedObject.{member}"))),
    );
    new_event.push(field("reportingController", "reportingComponent"));
    let pod = plain(&[
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ]);
    let namespace = vec![field("status.phase", "status.phase"), field("name", "metadata.name")];
    vec![
        kind::<ConfigMap>("", "v1", "ConfigMap", "configmaps", Strategy::ConfigMap, vec![]),
        kind::<Secret>("", "v1", "Secret", "secrets", Strategy::Secret, plain(&["type"])),
        kind::<Pod>("", "v1", "Pod", "pods", Strategy::Pod, pod),
        kind::<ServiceAccount>("", "v1", "ServiceAccount", "serviceaccounts", Strategy::Plain, vec![]),
        kind::<Namespace>("", "v1", "Namespace", "namespaces", Strategy::Namespace, namespace),
        kind::<Event>("", "v1", "Event", "events", Strategy::CoreEvent, core_event),
        kind::<NewEvent>("events.k8s.io", "v1", "Event", "events", Strategy::NewEvent, new_event),
        kind::<Job>(
            "batch",
            "v1",
            "Job",
            "jobs",
            Strategy::Job,
            vec![field("status.successful", "status.succeeded")],
        ),
        kind::<Lease>("coordination.k8s.io", "v1", "Lease", "leases", Strategy::Lease, vec![]),
        kind::<ControllerRevision>(
            "apps",
            "v1",
            "ControllerRevision",
            "controllerrevisions",
            Strategy::ControllerRevision,
            vec![],
        ),
        definitions(),
    ]
}

fn kind<T: JsonSchema + 'static>(
    group: &str,
    version: &str,
    kind: &str,
    plural: &str,
    strategy: Strategy,
    fields: Vec<(String, Vec<String>)>,
) -> Arc<Kind> {
    let make: MakeSchema = Box::new(schema_of::<T>);
    Arc::new(Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        list_kind: format!("{kind}List"),
        plural: plural.to_owned(),
        namespaced: strategy != Strategy::Namespace,
        has_status: matches!(strategy, Strategy::Job | Strategy::Pod | Strategy::Namespace),
        // Events are the same objects in both groups.
        storage: if plural == "events" { "/events".to_owned() } else { format!("{group}/{plural}") },
        strategy,
        fields,
        schema: LazyLock::new(make),
    })
}

/// The kind of definitions of kinds. Their schema is what compiles them.
fn definitions() -> Arc<Kind> {
    let make: MakeSchema = Box::new(|| {
        let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        Schema::compile(&open).unwrap_or_default()
    });
    Arc::new(Kind {
        group: "apiextensions.k8s.io".to_owned(),
        version: "v1".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
        list_kind: "CustomResourceDefinitionList".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
        namespaced: false,
        has_status: true,
        strategy: Strategy::Definition,
        fields: vec![],
        storage: "apiextensions.k8s.io/customresourcedefinitions".to_owned(),
        schema: LazyLock::new(make),
    })
}
