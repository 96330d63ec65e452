//! Definitions as the caches show them: which activity types can be used, and what a definition comes to with them.
//!
//! Responsible for: reading the stores of both kinds of definition. Must never: write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::watch;

use super::error::Error;
use super::guard::Guarded;
use super::revisions::Revisions;
use super::schemas::SchemaCache;
use crate::api::{ActivityDefinition, OrchestrationDefinition};
use crate::engine::definition::{TypeState, compile};
use crate::engine::problem::Problem;
use crate::engine::revision::{Pinned, Revision, Versioned};
use crate::engine::{activity_type, condition};

/// Why an activity type cannot be used that was made or edited just now.
pub const NOT_CHECKED: &str = "it has not been checked yet";

/// The stores of both kinds of definition.
#[derive(Clone, Debug)]
pub struct Definitions {
    /// Activity types.
    pub activities: Store<Guarded<ActivityDefinition>>,
    /// Orchestration types.
    pub orchestrations: Store<Guarded<OrchestrationDefinition>>,
    /// The schemas of activity types, compiled.
    pub schemas: SchemaCache,
    /// Turns true when the first list of activity types is complete.
    pub activities_listed: watch::Receiver<bool>,
    /// Turns true when the first list of orchestration types is complete.
    pub orchestrations_listed: watch::Receiver<bool>,
}

/// A definition that compiles, with the revision that it comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// What can be run.
    pub pinned: Arc<Pinned>,
    /// What is stored of it.
    pub revision: Revision,
}

async fn wait(mut listed: watch::Receiver<bool>) -> Result<(), Error> {
    listed.wait_for(|listed| *listed).await.map(|_| ()).map_err(|_| Error::NotReady)
}

impl Definitions {
    /// Waits until the first list of activity types is complete: before, every type would be missing.
    ///
    /// Not `Store::wait_until_ready`: in kube 5.0 all who wait share one receiver, which wakes only the last of them
    /// to be polled, and the others wait for ever.
    pub async fn wait_until_listed(&self) -> Result<(), Error> {
        wait(self.activities_listed.clone()).await
    }

    /// The same of orchestration types.
    pub async fn wait_until_orchestrations_listed(&self) -> Result<(), Error> {
        wait(self.orchestrations_listed.clone()).await
    }

    /// Compiles a definition with the activity types of its namespace. What `revisions` knows of the same content is
    /// not compiled again: it has the same name.
    pub fn resolve(
        &self,
        definition: &OrchestrationDefinition,
        revisions: &Revisions,
    ) -> Result<Resolved, Vec<Problem>> {
        let namespace = definition.namespace().unwrap_or_default();
        let activities = definition.spec.activities.iter().chain(&definition.spec.finally);
        let names: BTreeSet<&str> = activities.map(|activity| activity.type_.as_str()).collect();
        let types: BTreeMap<&str, Result<Arc<Guarded<ActivityDefinition>>, String>> =
            names.into_iter().filter_map(|name| Some((name, self.activity(&namespace, name)?))).collect();
        let generation = definition.metadata.generation.unwrap_or_default();
        let usable = types.iter().filter_map(|(name, found)| {
            let object = found.as_ref().ok()?.content.as_ref().ok()?;
            let generation = object.metadata.generation.unwrap_or_default();
            Some(((*name).to_owned(), Versioned { generation, spec: object.spec.clone() }))
        });
        let revision = Revision {
            definition: Versioned { generation, spec: definition.spec.clone() },
            activity_definitions: usable.collect(),
        };
        let name = revision.name(&definition.name_any());
        // One that lacks a type has never been pinned.
        if let Some(pinned) = revisions.cached(&namespace, &name) {
            return Ok(Resolved { pinned, revision });
        }
        let compiled = compile(&definition.spec, |type_| match types.get(type_) {
            None => TypeState::Missing,
            Some(Err(message)) => TypeState::NotReady(message.clone()),
            Some(Ok(found)) => match &found.content {
                Ok(object) => self.schemas.of(object).map_or_else(
                    |problems| TypeState::NotReady(activity_type::explained(&problems)),
                    |schemas| TypeState::Compiled(schemas, &object.spec),
                ),
                Err(unreadable) => TypeState::NotReady(format!("Unreadable: {unreadable}")),
            },
        })?;
        let types = revision.activity_definitions.iter();
        let types = types.map(|(name, versioned)| (name.clone(), versioned.spec.clone())).collect();
        Ok(Resolved { pinned: Arc::new(Pinned { name, compiled, types }), revision })
    }

    /// An activity type that can be used, or why it cannot be; nothing if there is none.
    fn activity(
        &self,
        namespace: &str,
        type_: &str,
    ) -> Option<Result<Arc<Guarded<ActivityDefinition>>, String>> {
        let found = self.activities.get(&ObjectRef::new(type_).within(namespace))?;
        let object = match &found.content {
            Ok(object) => object,
            Err(unreadable) => return Some(Err(format!("Unreadable: {unreadable}"))),
        };
        let status = object.status.clone().unwrap_or_default();
        let generation = object.metadata.generation.unwrap_or_default();
        if status.observed_generation != Some(generation) {
            return Some(Err(NOT_CHECKED.to_owned()));
        }
        if condition::is_true(&status.conditions, "Ready") {
            return Some(Ok(found));
        }
        let ready = condition::find(&status.conditions, "Ready");
        Some(Err(ready.map_or_else(String::new, condition::explained)))
    }
}
