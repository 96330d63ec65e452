//! The invariants that hold of every run, whatever happened: of all Jobs that ever were, of all requests, and of the
//! objects that users own.
//!
//! Responsible for: seeing every Job of a namespace, also those that are gone. Must never: depend on what a test is
//! about.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Resource, ResourceExt};
use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cluster::{PATIENCE, TestNamespace};
use super::recording::Recording;

/// Field manager of the operator.
const OPERATOR: &str = "orchestrator";

/// The Jobs that the operator made, as they were when they were first seen, by uid.
type Seen = BTreeMap<String, Job>;

/// Sees every Job of a namespace.
pub struct Witness {
    seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
}

impl Witness {
    /// Begins to look.
    pub fn start(namespace: &TestNamespace) -> Self {
        let jobs = watcher(namespace.api::<Job>(), watcher::Config::default()).default_backoff();
        let (sender, seen) = watch::channel(Seen::new());
        let task = tokio::spawn(async move {
            let looking = jobs.applied_objects().try_for_each(|job| {
                if is_of_operator(&job.metadata) {
                    sender.send_modify(|seen| {
                        seen.entry(job.uid().unwrap()).or_insert(job);
                    });
                }
                std::future::ready(Ok(()))
            });
            let _ = looking.await;
        });
        Self { seen, task }
    }

    /// Fails if an invariant was broken. `created` is how many Jobs the operator has made.
    pub async fn check(mut self, namespace: &TestNamespace, requests: &Recording, created: usize) {
        let complete = self.seen.wait_for(|seen| seen.len() >= created);
        let seen =
            tokio::time::timeout(PATIENCE, complete).await.expect("every Job is seen").unwrap().clone();
        self.task.abort();
        one_job_per_attempt(&seen);
        for job in seen.values() {
            has_one_owner(job);
        }
        only_allowed_writes(requests);
        untouched::<ActivityDefinition>(namespace).await;
        untouched::<OrchestrationDefinition>(namespace).await;
        untouched::<Orchestration>(namespace).await;
    }
}

/// At most one Job per (orchestration uid, activity, attempt), ever.
fn one_job_per_attempt(seen: &Seen) {
    let mut attempts: BTreeMap<[String; 3], BTreeSet<&str>> = BTreeMap::new();
    for (uid, job) in seen {
        let label = |key: &str| job.labels().get(key).cloned().unwrap_or_default();
        let key =
            ["orchestration-uid", "activity", "attempt"].map(|key| label(&format!("orchestrator.dev/{key}")));
        assert!(key.iter().all(|part| !part.is_empty()), "{} does not say what it is", job.name_any());
        attempts.entry(key).or_default().insert(uid);
    }
    let twice: Vec<_> = attempts.iter().filter(|(_, jobs)| jobs.len() > 1).collect();
    assert!(twice.is_empty(), "attempts with several Jobs: {twice:?}");
}

/// Exactly one controller, which is the Orchestration that it says.
fn has_one_owner(job: &Job) {
    let owners = job.owner_references();
    assert_eq!(owners.len(), 1, "{}: {owners:?}", job.name_any());
    let owner = &owners[0];
    assert_eq!(owner.kind, "Orchestration");
    assert_eq!(owner.controller, Some(true));
    assert_eq!(Some(&owner.uid), job.labels().get("orchestrator.dev/orchestration-uid"));
    assert_eq!(Some(&owner.name), job.annotations().get("orchestrator.dev/orchestration"));
}

/// What the operator writes: Jobs, revisions, Events, and the status of our kinds.
fn only_allowed_writes(requests: &Recording) {
    for one in requests.all().iter().filter(|one| one.method != "GET") {
        let parts: Vec<&str> = one.path.split('/').collect();
        let allowed = matches!(
            (one.method.as_str(), parts.as_slice()),
            ("POST", ["", "apis", "batch", "v1", "namespaces", _, "jobs"])
                | ("PATCH", ["", "apis", "batch", "v1", "namespaces", _, "jobs", _])
                | ("POST", ["", "apis", "apps", "v1", "namespaces", _, "controllerrevisions"])
                | ("POST" | "PATCH", ["", "apis", "events.k8s.io", "v1", "namespaces", _, "events", ..])
                | ("PATCH", ["", "apis", "orchestrator.dev", "v1alpha1", "namespaces", _, _, _, "status"])
        );
        assert!(allowed, "the operator may not ask for {one:?}");
        // A quota refuses a POST in the same way.
        assert!(one.method == "POST" || one.status != 403, "the operator has no right to {one:?}");
    }
}

/// Of a user's object the operator has written nothing but the status.
async fn untouched<K>(namespace: &TestNamespace)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    for object in namespace.api::<K>().list(&ListParams::default()).await.unwrap() {
        let entries = object.meta().managed_fields.clone().unwrap_or_default();
        for entry in entries.iter().filter(|entry| entry.manager.as_deref() == Some(OPERATOR)) {
            assert_eq!(entry.subresource.as_deref(), Some("status"), "{}: {entry:?}", object.name_any());
        }
    }
}

fn is_of_operator(metadata: &ObjectMeta) -> bool {
    let entries = metadata.managed_fields.as_deref().unwrap_or_default();
    entries.iter().any(|entry| entry.manager.as_deref() == Some(OPERATOR) && entry.subresource.is_none())
}
