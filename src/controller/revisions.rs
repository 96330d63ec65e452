//! Revisions in the cluster: immutable ControllerRevisions, and a cache of what they compile to.
//!
//! Responsible for: storing a revision before the first Orchestration is pinned to it, and reading it back after a
//! restart. Must never: change one, or give it an owner: the garbage collector would take it with the definition.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::api::{Api, PostParams};

use super::context::ClientHandle;
use super::definitions::Resolved;
use super::error::Error;
use crate::api::labels;
use crate::client::bounded;
use crate::engine::names::hash;
use crate::engine::revision::{Pinned, Revision};

/// Most revisions that are kept compiled. More are read again when they are needed.
const CACHED: usize = 512;

/// Revisions by namespace and name.
#[derive(Debug)]
pub struct Revisions {
    client: ClientHandle,
    pinned: Mutex<HashMap<(String, String), Arc<Pinned>>>,
}

impl Revisions {
    /// An empty cache.
    #[must_use]
    pub fn new(client: ClientHandle) -> Self {
        Self { client, pinned: Mutex::default() }
    }

    /// Stores a revision, unless it is known to be stored.
    pub async fn store(
        &self,
        namespace: &str,
        definition: &str,
        resolved: Resolved,
    ) -> Result<Arc<Pinned>, Error> {
        if let Some(pinned) = self.cached(namespace, &resolved.name) {
            return Ok(pinned);
        }
        let object = ControllerRevision {
            metadata: ObjectMeta {
                name: Some(resolved.name.clone()),
                namespace: Some(namespace.to_owned()),
                labels: Some(
                    [labels::APP_NAME, labels::MANAGED_BY, labels::PART_OF]
                        .iter()
                        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                        .chain([(labels::DEFINITION_HASH.to_owned(), hash(definition))])
                        .collect(),
                ),
                annotations: Some([(labels::DEFINITION.to_owned(), definition.to_owned())].into()),
                ..ObjectMeta::default()
            },
            data: RawExtension(resolved.revision.to_data()),
            revision: Some(resolved.revision.definition.generation),
        };
        let parameters =
            PostParams { field_manager: Some(labels::MANAGER.to_owned()), ..PostParams::default() };
        match bounded(self.api(namespace).create(&parameters, &object)).await {
            Ok(_) => {}
            // The name follows from the content, so that the one that exists is this one.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(source) => return Err(Error::Write { what: "the ControllerRevision", source }),
        }
        let Resolved { compiled, revision, name } = resolved;
        let types = revision
            .activity_definitions
            .into_iter()
            .map(|(type_, versioned)| (type_, versioned.spec))
            .collect();
        Ok(self.keep(namespace, Pinned { name, compiled, types }))
    }

    /// A stored revision; the error is a sentence for people if it is gone or cannot be read.
    pub async fn get(&self, namespace: &str, name: &str) -> Result<Result<Arc<Pinned>, String>, Error> {
        if let Some(pinned) = self.cached(namespace, name) {
            return Ok(Ok(pinned));
        }
        let stored = bounded(self.api(namespace).get_opt(name))
            .await
            .map_err(|source| Error::Read { what: "the ControllerRevision", source })?;
        let Some(data) = stored.map(|stored| stored.data) else {
            return Ok(Err(format!("the ControllerRevision \"{name}\" that it runs from is gone")));
        };
        let pinned = Revision::from_data(data.0).and_then(|revision| revision.pin(name.to_owned()));
        Ok(pinned
            .map(|pinned| self.keep(namespace, pinned))
            .map_err(|why| format!("the ControllerRevision \"{name}\" cannot be read: {why}")))
    }

    fn cached(&self, namespace: &str, name: &str) -> Option<Arc<Pinned>> {
        let pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        pinned.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    fn keep(&self, namespace: &str, pinned: Pinned) -> Arc<Pinned> {
        let pinned = Arc::new(pinned);
        let mut all = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= CACHED {
            all.clear();
        }
        all.insert((namespace.to_owned(), pinned.name.clone()), Arc::clone(&pinned));
        pinned
    }

    fn api(&self, namespace: &str) -> Api<ControllerRevision> {
        Api::namespaced(self.client.0.clone(), namespace)
    }
}
