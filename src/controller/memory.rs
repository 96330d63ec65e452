//! Memory: what this process knows of its own acts and the caches do not show yet.
//!
//! Responsible for: the last status that was written, and the starts that were asked for, per Orchestration. Must
//! never: be needed for safety across a restart; the world is observed again then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use kube::ResourceExt;
use tokio::time::Instant;

use crate::api::Orchestration;
use crate::engine::observe::Outcome;

/// What is known of all Orchestrations, by uid.
#[derive(Debug, Default)]
pub struct Memory {
    runs: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Run>>>>,
}

/// What is known of one Orchestration.
#[derive(Debug, Default)]
pub struct Run {
    /// The object as we last wrote it, or read it from the server itself. Nothing after a restart.
    pub latest: Option<Arc<Orchestration>>,
    /// When we last wrote its status.
    pub last_write: Option<Instant>,
    /// What became of the starts that are not in a stored status yet, by activity index.
    pub issues: HashMap<usize, Issue>,
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
    /// The newest version known: the cached one, or the one that we wrote last.
    #[must_use]
    pub fn newest(&self, cached: &Orchestration) -> Arc<Orchestration> {
        match &self.latest {
            Some(own) if is_newer(own, cached) => Arc::clone(own),
            _ => Arc::new(cached.clone()),
        }
    }
}

/// Whether an object has a later resourceVersion than another. Resource versions of one kind are comparable decimal
/// numbers (KEP-5504, stable in Kubernetes 1.35).
#[must_use]
pub fn is_newer(one: &Orchestration, other: &Orchestration) -> bool {
    let version = |object: &Orchestration| object.resource_version().unwrap_or_default();
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
