//! What a user is told: by kubectl when something is refused, and by conditions when it is not.
//!
//! Responsible for: the words exactly as they were said. Must never: judge them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition, OrchestrationSchedule};
use serde_json::{Value, json};

use super::cluster::{TestNamespace, cluster};
use super::objects::{activity_definition, definition};

/// A kind of ours, as far as a test of conditions needs to know.
pub trait Told {
    /// The conditions, none before the first visit.
    fn conditions(&self) -> &[Condition];
    /// The generation that the status speaks of.
    fn observed_generation(&self) -> Option<i64>;
}

macro_rules! told {
    ($($kind:ty),*) => {$(
        impl Told for $kind {
            fn conditions(&self) -> &[Condition] {
                self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
            }

            fn observed_generation(&self) -> Option<i64> {
                self.status.as_ref().and_then(|status| status.observed_generation)
            }
        }
    )*};
}

told!(ActivityDefinition, OrchestrationDefinition, Orchestration, OrchestrationSchedule);

/// A condition by its type.
pub fn condition<'a>(object: &'a impl Told, type_: &str) -> Option<&'a Condition> {
    object.conditions().iter().find(|condition| condition.type_ == type_)
}

/// A condition as `Status Reason: message`; empty if there is none.
pub fn says(object: &impl Told, type_: &str) -> String {
    condition(object, type_).map_or_else(String::new, |c| format!("{} {}: {}", c.status, c.reason, c.message))
}

/// What `kubectl create` says to these documents, a line each, without what stands before every message.
pub fn kubectl_create(namespace: &TestNamespace, documents: &[String]) -> Vec<String> {
    let (_, printed) = cluster().kubectl_on(&documents.join("\n---\n"), &["-n", &namespace.name, "create"]);
    let told = |line: &str| match line.split_once("when creating \"STDIN\": ") {
        Some((_, message)) => message.to_owned(),
        None => line.to_owned(),
    };
    printed.lines().map(told).collect()
}

/// An object of ours in YAML, with a spec in YAML as a user writes it.
pub fn yaml(kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: orchestrator.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}")
}

/// A spec in YAML as JSON.
pub fn spec(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}: {yaml}"))
}

impl TestNamespace {
    /// Makes an activity type that the operator knows to be Ready when this returns.
    pub async fn type_that_is_known(&self, name: &str) {
        self.create(activity_definition(name)).await;
        // The type's own condition would say only that it was written, not that every cache shows it.
        let probe = format!("knows-{name}");
        self.create(definition(&probe, json!({"activities": [{"id": "a", "type": name}]}))).await;
        self.definition_ready(&probe, "True", "Ready").await;
    }
}
