//! Memory: what this process knows of its own acts and the caches do not show yet.
//!
//! Responsible for: the last status that was written, and the starts that were asked for, per Orchestration. Must
//! never: be needed for safety across a restart; the world is observed again then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use tokio::time::Instant;

use super::guard::Guarded;
use crate::api::orchestration::{OrchestrationSpec, OrchestrationStatus};
use crate::api::{Orchestration, OrchestrationDefinition, OrchestrationSchedule};
use crate::engine::observe::Outcome;

/// What is known of all Orchestrations, by uid.
#[derive(Debug, Default)]
pub struct Memory {
    runs: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Run>>>>,
}

/// An attempt of an Orchestration: index of the activity, and number.
pub type Key = (usize, u32);

/// What is known of one Orchestration.
#[derive(Debug, Default)]
pub struct Run {
    /// The object as we last wrote it, or read it from the server itself. Nothing after a restart.
    pub latest: Option<Arc<Orchestration>>,
    /// A write has failed: the version that it was computed from is old, or nobody knows whether it still is the newest.
    pub is_outdated: bool,
    /// When we last wrote its status.
    pub last_write: Option<Instant>,
    /// What became of the starts that are not in a stored status yet.
    pub issues: HashMap<Key, Issue>,
    /// Nothing can have been started that is neither in the stored status, nor in `issues`, nor in the caches: this
    /// process accepted the run, or has asked the server for its Jobs.
    pub knows_its_starts: bool,
    /// When the stop of an attempt was last asked for.
    pub stops: HashMap<Key, Instant>,
}

/// Objects of other kinds as we last wrote them.
#[derive(Debug, Default)]
pub struct Written {
    /// OrchestrationDefinitions.
    pub definitions: Latest<OrchestrationDefinition>,
    /// OrchestrationSchedules.
    pub schedules: Latest<OrchestrationSchedule>,
}

/// Objects of one kind as we last wrote them, by uid, until the cache shows as much.
#[derive(Debug)]
pub struct Latest<K>(Mutex<HashMap<String, Arc<Guarded<K>>>>);

impl<K> Default for Latest<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Resource<DynamicType = ()>> Latest<K> {
    /// The newest version known: the cached one, or the one that we wrote last.
    pub fn newest(&self, cached: Arc<Guarded<K>>) -> Arc<Guarded<K>> {
        let uid = cached.uid().unwrap_or_default();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get(&uid) {
            if is_newer(own.as_ref(), cached.as_ref()) {
                return Arc::clone(own);
            }
            all.remove(&uid);
        }
        cached
    }

    /// Remembers an object as the server answered our write of it.
    pub fn keep(&self, written: Guarded<K>) {
        let uid = written.uid().unwrap_or_default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, Arc::new(written));
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// What became of a start.
#[derive(Clone, Debug, PartialEq)]
pub enum Issue {
    /// The server accepted it.
    Requested {
        /// When.
        at: Timestamp,
    },
    /// The server refused it for now.
    Refused {
        /// Nobody knows whether the server made the Job all the same.
        in_doubt: bool,
        /// Since when.
        since: Timestamp,
        /// When it is tried again.
        retry_at: Timestamp,
        /// One word.
        reason: String,
        /// The server's words.
        message: String,
    },
    /// It can never succeed.
    Failed(Outcome),
}

impl Memory {
    /// What is known of one Orchestration. Reconciles of one object never overlap, so that the lock is never waited
    /// for.
    pub fn run(&self, uid: &str) -> Arc<tokio::sync::Mutex<Run>> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(runs.entry(uid.to_owned()).or_default())
    }

    /// Forgets an Orchestration that is gone.
    pub fn forget(&self, uid: &str) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

impl Run {
    /// The server's words to the first start that it refuses now.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.issues.values().find_map(|issue| match issue {
            Issue::Refused { message, .. } => Some(message.as_str()),
            _ => None,
        })
    }

    /// Keeps of a finished Orchestration no more than that it has finished. No event follows that could make us forget
    /// it, because our own writes wake nobody; and until the cache shows the end, it must not be carried on.
    pub fn retire(&mut self, finished: &Orchestration) {
        let ObjectMeta { name, namespace, uid, generation, resource_version, .. } = finished.metadata.clone();
        let rest = Orchestration {
            metadata: ObjectMeta {
                name,
                namespace,
                uid,
                generation,
                resource_version,
                ..ObjectMeta::default()
            },
            spec: OrchestrationSpec { input: None, ..finished.spec.clone() },
            status: finished.status.as_ref().map(|status| OrchestrationStatus {
                observed_generation: status.observed_generation,
                completion_time: status.completion_time.clone(),
                ..OrchestrationStatus::default()
            }),
        };
        *self = Self { latest: Some(Arc::new(rest)), ..Self::default() };
    }

    /// The newest version known: the cached one, or the one that we wrote last.
    #[must_use]
    pub fn newest(&self, cached: &Orchestration) -> Arc<Orchestration> {
        match &self.latest {
            Some(own) if is_newer(own.as_ref(), cached) => Arc::clone(own),
            _ => Arc::new(cached.clone()),
        }
    }
}

/// Whether an object has a later resourceVersion than another. Resource versions of one kind are comparable decimal
/// numbers (KEP-5504, stable in Kubernetes 1.35).
#[must_use]
pub fn is_newer<K: ResourceExt>(one: &K, other: &K) -> bool {
    let version = |object: &K| object.resource_version().unwrap_or_default();
    let (one, other) = (version(one), version(other));
    (one.len(), one) > (other.len(), other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(version: &str) -> Orchestration {
        serde_json::from_value(
            serde_json::json!({"metadata": {"resourceVersion": version}, "spec": {"type": "t"}}),
        )
        .unwrap()
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_newer(&at("10"), &at("9")));
        assert!(!is_newer(&at("9"), &at("10")));
        assert!(!is_newer(&at("10"), &at("10")));
    }

    #[test]
    fn an_old_cache_does_not_hide_our_own_write() {
        let run = Run { latest: Some(Arc::new(at("10"))), ..Run::default() };
        assert_eq!(run.newest(&at("9")).resource_version().as_deref(), Some("10"));
        assert_eq!(run.newest(&at("11")).resource_version().as_deref(), Some("11"));
    }
}
