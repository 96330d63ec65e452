//! Revisions in the cluster: immutable ControllerRevisions, and a cache of what they compile to.
//!
//! Responsible for: storing a revision before the first Orchestration is pinned to it, and reading it back after a
//! restart. Must never: change one, or give it an owner: the garbage collector would take it with the definition.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::api::{Api, PostParams};
use kube::core::Status;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::time::Instant;

use super::context::ClientHandle;
use super::definitions::Resolved;
use super::error::Error;
use crate::api::labels;
use crate::client::{answer, bounded};
use crate::engine::names::hash;
use crate::engine::problem::{self, Problem};
use crate::engine::revision::{Pinned, Revision};
use crate::provider::job::template;

/// Most revisions that are kept compiled. More are read again when they are needed.
const CACHED: usize = 512;

/// A revision that can be run, or a sentence for people: it is gone, or is not what it should be.
pub type Stored = Result<Arc<Pinned>, String>;

/// Revisions by namespace and name.
#[derive(Debug)]
pub struct Revisions {
    client: ClientHandle,
    allow_host_access: bool,
    pinned: Mutex<HashMap<(String, String), Arc<Pinned>>>,
    /// Held for reading while a revision is stored that no status refers to yet, for writing while one is deleted.
    in_use: RwLock<()>,
    /// When a definition was last seen to name a revision, by namespace and name.
    named: Mutex<HashMap<(String, String), Instant>>,
}

impl Revisions {
    /// An empty cache.
    #[must_use]
    pub fn new(client: ClientHandle, allow_host_access: bool) -> Self {
        Self {
            client,
            allow_host_access,
            pinned: Mutex::default(),
            in_use: RwLock::default(),
            named: Mutex::default(),
        }
    }

    /// Keeps every revision from being deleted as long as the guard lives: from before one is stored until a status
    /// refers to it.
    pub async fn in_use(&self) -> RwLockReadGuard<'_, ()> {
        self.in_use.read().await
    }

    /// Waits until no acceptance is between its revision and its status, and holds up those to come.
    pub async fn none_in_use(&self) -> RwLockWriteGuard<'_, ()> {
        self.in_use.write().await
    }

    /// Remembers that a definition names a revision as its own: whoever reads it in this moment may pin an Orchestration
    /// to it.
    pub fn note_named(&self, namespace: &str, name: &str) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.insert((namespace.to_owned(), name.to_owned()), Instant::now());
    }

    /// The revisions that a definition came to name within a time, by namespace and name; what was before is forgotten.
    #[must_use]
    pub fn named_within(&self, time: Duration) -> HashSet<(String, String)> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.retain(|_, at| at.elapsed() < time);
        named.keys().cloned().collect()
    }

    /// Forgets a revision that is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        pinned.remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// Stores a revision, unless it is stored. The server itself is asked: somebody may have deleted it, and the
    /// namespace may be another one of the same name.
    pub async fn store(
        &self,
        namespace: &str,
        definition: &str,
        resolved: Resolved,
    ) -> Result<Stored, Error> {
        let name = &resolved.pinned.name;
        let mut stored = self.read(namespace, name).await?;
        if stored.is_none() {
            stored = self.create(namespace, &object(namespace, definition, &resolved)).await?;
        }
        if stored.is_some_and(|stored| !holds(&stored, definition, name)) {
            return Ok(Err(format!("the ControllerRevision \"{name}\" exists and holds something else")));
        }
        Ok(Ok(self.keep(namespace, resolved.pinned)))
    }

    async fn read(&self, namespace: &str, name: &str) -> Result<Option<ControllerRevision>, Error> {
        let found = bounded(self.api(namespace).get_opt(name)).await;
        found.map_err(|source| Error::Read { what: "the ControllerRevision", source })
    }

    /// Makes a revision, or finds the one that another run of the same definition made in the same moment.
    async fn create(
        &self,
        namespace: &str,
        revision: &ControllerRevision,
    ) -> Result<Option<ControllerRevision>, Error> {
        let parameters =
            PostParams { field_manager: Some(labels::MANAGER.to_owned()), ..PostParams::default() };
        match bounded(self.api(namespace).create(&parameters, revision)).await {
            Ok(created) => Ok(Some(created)),
            Err(error) if answer(&error).is_some_and(Status::is_already_exists) => {
                self.read(namespace, revision.metadata.name.as_deref().unwrap_or_default()).await
            }
            Err(source) => Err(Error::Write { what: "the ControllerRevision", source }),
        }
    }

    /// A stored revision of a definition.
    pub async fn get(&self, namespace: &str, definition: &str, name: &str) -> Result<Stored, Error> {
        if let Some(pinned) = self.cached(namespace, name) {
            return Ok(Ok(pinned));
        }
        let Some(stored) = self.read(namespace, name).await? else {
            return Ok(Err(format!("the ControllerRevision \"{name}\" that it runs from is gone")));
        };
        if !holds(&stored, definition, name) {
            return Ok(Err(format!("the ControllerRevision \"{name}\" does not hold what its name says")));
        }
        let pinned = Revision::from_data(stored.data.0).and_then(|revision| revision.pin(name.to_owned()));
        let allowed = pinned.and_then(|pinned| self.allowed(pinned));
        Ok(allowed
            .map(|pinned| self.keep(namespace, Arc::new(pinned)))
            .map_err(|why| format!("the ControllerRevision \"{name}\" cannot be run: {why}")))
    }

    /// A revision comes back from where others may write: what no definition may have, it may not have either.
    fn allowed(&self, pinned: Pinned) -> Result<Pinned, String> {
        let jobs = pinned.types.values().filter_map(|type_| type_.job.as_ref());
        let problems: Vec<Problem> =
            jobs.flat_map(|job| template::check(job, self.allow_host_access)).collect();
        if problems.is_empty() { Ok(pinned) } else { Err(problem::text(&problems)) }
    }

    /// A revision of this name that has been stored before, if it is still known.
    #[must_use]
    pub fn cached(&self, namespace: &str, name: &str) -> Option<Arc<Pinned>> {
        let pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        pinned.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    fn keep(&self, namespace: &str, pinned: Arc<Pinned>) -> Arc<Pinned> {
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

/// Whether a stored revision is the one of its name: the name follows from definition and content, so that nobody can
/// put another content under it.
fn holds(stored: &ControllerRevision, definition: &str, name: &str) -> bool {
    Revision::from_data(stored.data.0.clone()).is_ok_and(|revision| revision.name(definition) == name)
}

fn object(namespace: &str, definition: &str, resolved: &Resolved) -> ControllerRevision {
    let labels = [labels::APP_NAME, labels::MANAGED_BY, labels::PART_OF];
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(resolved.pinned.name.clone()),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels.chain([(labels::DEFINITION_HASH.to_owned(), hash(definition))]).collect()),
            annotations: Some([(labels::DEFINITION.to_owned(), definition.to_owned())].into()),
            ..ObjectMeta::default()
        },
        data: RawExtension(resolved.revision.to_data()),
        revision: Some(resolved.revision.definition.generation),
    }
}
