//! Definitions as the caches show them: which activity types can be used, and what a definition comes to with them.
//!
//! Responsible for: reading the stores of both kinds of definition. Must never: write.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::watch;

use super::error::Error;
use super::guard::Guarded;
use crate::api::{ActivityDefinition, ActivityDefinitionSpec, OrchestrationDefinition};
use crate::engine::condition;
use crate::engine::definition::{Compiled, TypeState, compile};
use crate::engine::problem::Problem;
use crate::engine::revision::{Revision, Versioned};

/// The stores of both kinds of definition.
#[derive(Clone, Debug)]
pub struct Definitions {
    /// Activity types.
    pub activities: Store<Guarded<ActivityDefinition>>,
    /// Orchestration types.
    pub orchestrations: Store<Guarded<OrchestrationDefinition>>,
    /// Turns true when the first list of activity types is complete.
    pub activities_listed: watch::Receiver<bool>,
}

/// A definition that compiles, with the revision that it comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The graph.
    pub compiled: Compiled,
    /// The definition with its activity types.
    pub revision: Revision,
    /// Name of the revision.
    pub name: String,
}

impl Definitions {
    /// Waits until the first list of activity types is complete: before, every type would be missing.
    ///
    /// Not `Store::wait_until_ready`: in kube 5.0 all who wait share one receiver, which wakes only the last of them
    /// to be polled, and the others wait for ever.
    pub async fn wait_until_listed(&self) -> Result<(), Error> {
        self.activities_listed
            .clone()
            .wait_for(|listed| *listed)
            .await
            .map(|_| ())
            .map_err(|_| Error::NotReady)
    }

    /// Compiles a definition with the activity types of its namespace.
    pub fn resolve(&self, definition: &OrchestrationDefinition) -> Result<Resolved, Vec<Problem>> {
        let namespace = definition.namespace().unwrap_or_default();
        let names: BTreeSet<&str> = definition.spec.activities.iter().map(|a| a.type_.as_str()).collect();
        let mut types = BTreeMap::new();
        for name in names {
            if let Some(found) = self.activity(&namespace, name) {
                types.insert(name.to_owned(), found);
            }
        }
        let compiled = compile(&definition.spec, |type_| match types.get(type_) {
            None => TypeState::Missing,
            Some(Err(message)) => TypeState::NotReady(message.clone()),
            Some(Ok(versioned)) => TypeState::Ready(&versioned.spec),
        })?;
        let generation = definition.metadata.generation.unwrap_or_default();
        let definition_spec = Versioned { generation, spec: definition.spec.clone() };
        let activity_definitions =
            types.into_iter().filter_map(|(name, found)| Some((name, found.ok()?))).collect();
        let revision = Revision { definition: definition_spec, activity_definitions };
        let name = revision.name(&definition.name_any());
        Ok(Resolved { compiled, revision, name })
    }

    /// An activity type, or why it cannot be used; nothing if there is none.
    fn activity(
        &self,
        namespace: &str,
        type_: &str,
    ) -> Option<Result<Versioned<ActivityDefinitionSpec>, String>> {
        let found = self.activities.get(&ObjectRef::new(type_).within(namespace))?;
        let object = match &found.content {
            Ok(object) => object,
            Err(unreadable) => return Some(Err(format!("Unreadable: {unreadable}"))),
        };
        let status = object.status.clone().unwrap_or_default();
        let generation = object.metadata.generation.unwrap_or_default();
        if status.observed_generation != Some(generation) {
            return Some(Err("it has not been checked yet".to_owned()));
        }
        if condition::is_true(&status.conditions, "Ready") {
            return Some(Ok(Versioned { generation, spec: object.spec.clone() }));
        }
        let ready = condition::find(&status.conditions, "Ready");
        Some(Err(ready.map_or_else(String::new, condition::explained)))
    }
}
