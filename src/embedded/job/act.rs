//! The effects of the Job controller's role: one step carried out, and what the server answered.
//!
//! Responsible for: requests that may be repeated, because they carry names or preconditions. Must never: decide.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Status;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::decide::Step;
use super::pods::FINALIZER;
use crate::client::{answer, bounded};

/// What Kubernetes makes random names of: no vowels, no characters that are easily mixed up.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX: usize = 5;
/// Longest beginning of a generated name.
const MAX_PREFIX: usize = 63 - SUFFIX;

/// What an answer says about the world.
#[derive(Debug)]
pub enum Seen {
    /// A Job as it is now.
    Job(Box<Job>),
    /// A pod as it is now.
    Pod(Box<Pod>),
    /// Uid of a pod that is no more.
    PodGone(String),
}

/// A pod as far as an effect needs it.
#[derive(Clone, Debug)]
pub struct KnownPod {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Where the finalizer stands among its finalizers.
    pub finalizer: Option<usize>,
}

impl From<&Pod> for KnownPod {
    fn from(pod: &Pod) -> Self {
        let finalizer = pod.finalizers().iter().position(|finalizer| finalizer == FINALIZER);
        Self { name: pod.name_any(), uid: pod.uid().unwrap_or_default(), finalizer }
    }
}

/// Carries out a step for a Job. What was seen until an error counts too.
pub async fn perform(
    client: &Client,
    job: Arc<Job>,
    pods: &[KnownPod],
    node_name: Option<&str>,
    step: Step,
    seen: &mut Vec<Seen>,
) -> Result<(), kube::Error> {
    let namespace = job.namespace().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let known = |name: &String| pods.iter().find(|pod| pod.name == *name);
    match step {
        Step::Create(number) => create(&api, &job, pods, node_name, number, seen).await,
        Step::Delete(names) => {
            for pod in names.iter().filter_map(known) {
                seen.extend(delete(&api, pod).await?);
            }
            Ok(())
        }
        Step::Withdraw(names) => {
            for pod in names.iter().filter_map(known) {
                seen.extend(release(&api, pod).await?);
                seen.extend(delete(&api, pod).await?);
            }
            Ok(())
        }
        Step::Release(names) => {
            for pod in names.iter().filter_map(known) {
                seen.extend(release(&api, pod).await?);
            }
            Ok(())
        }
        Step::Record(status) => {
            let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
            let patch = Patch::Merge(status_patch(&job, &status));
            let (name, parameters) = (job.name_any(), PatchParams::default());
            let job = bounded(jobs.patch_status(&name, &parameters, &patch)).await?;
            seen.push(Seen::Job(Box::new(job)));
            Ok(())
        }
        Step::Rest(_) => Ok(()),
    }
}

/// Removes the finalizer. A pod that is gone needs it no more.
pub async fn release(api: &Api<Pod>, pod: &KnownPod) -> Result<Option<Seen>, kube::Error> {
    let Some(index) = pod.finalizer else { return Ok(None) };
    let path = format!("/metadata/finalizers/{index}");
    // The tests make sure that nothing else is hit: another finalizer, or a pod of the same name.
    let operations = json!([
        {"op": "test", "path": "/metadata/uid", "value": pod.uid},
        {"op": "test", "path": path, "value": FINALIZER},
        {"op": "remove", "path": path},
    ]);
    let operations = serde_json::from_value(operations).map_err(kube::Error::SerdeError)?;
    let patch: Patch<Value> = Patch::Json(operations);
    let answer = bounded(api.patch(&pod.name, &PatchParams::default(), &patch)).await;
    forgiving_not_found(answer.map(seen_pod), pod)
}

async fn delete(api: &Api<Pod>, pod: &KnownPod) -> Result<Option<Seen>, kube::Error> {
    let preconditions = Preconditions { uid: Some(pod.uid.clone()), resource_version: None };
    let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
    let answer = bounded(api.delete(&pod.name, &parameters)).await;
    let gone = |_: Status| Seen::PodGone(pod.uid.clone());
    forgiving_not_found(answer.map(|answer| answer.either(seen_pod, gone)), pod)
}

fn forgiving_not_found(
    answer: Result<Seen, kube::Error>,
    pod: &KnownPod,
) -> Result<Option<Seen>, kube::Error> {
    match answer {
        Ok(seen) => Ok(Some(seen)),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Some(Seen::PodGone(pod.uid.clone()))),
        Err(error) => Err(error),
    }
}

/// The last answer about a pod shows it whole, although nothing holds it any more.
fn seen_pod(pod: Pod) -> Seen {
    let is_ending = pod.metadata.deletion_timestamp.is_some();
    let is_held =
        !pod.finalizers().is_empty() || pod.metadata.deletion_grace_period_seconds.unwrap_or_default() > 0;
    if is_ending && !is_held {
        Seen::PodGone(pod.uid().unwrap_or_default())
    } else {
        Seen::Pod(Box::new(pod))
    }
}

async fn create(
    api: &Api<Pod>,
    job: &Job,
    pods: &[KnownPod],
    node_name: Option<&str>,
    number: usize,
    seen: &mut Vec<Seen>,
) -> Result<(), kube::Error> {
    let names = (0..).map(|serial| pod_name(job, serial));
    for name in names.filter(|name| !pods.iter().any(|pod| pod.name == *name)).take(number) {
        let pod = new_pod(job, &name, node_name);
        let made = match bounded(api.create(&PostParams::default(), &pod)).await {
            // The answer to an earlier attempt was lost, or a pod of this name is still ending.
            Err(error) if answer(&error).is_some_and(Status::is_already_exists) => {
                let existing = bounded(api.get(&name)).await?;
                let owner = job.metadata.uid.as_deref().unwrap_or_default();
                if !existing.owner_references().iter().any(|reference| reference.uid == owner) {
                    return Err(error);
                }
                existing
            }
            answer => answer?,
        };
        seen.push(Seen::Pod(Box::new(made)));
    }
    Ok(())
}

/// Name of a pod of a Job: `<job>-` and five characters that follow from the Job's uid, so that a repeated request
/// makes no second pod.
fn pod_name(job: &Job, serial: usize) -> String {
    let hash = Sha256::digest(format!("{}/{serial}", job.metadata.uid.as_deref().unwrap_or_default()));
    let letter = |byte: &u8| {
        ALPHABET.get(usize::from(*byte) % ALPHABET.len()).map_or('x', |letter| char::from(*letter))
    };
    let suffix: String = hash.iter().take(SUFFIX).map(letter).collect();
    format!("{}{suffix}", prefix(job))
}

fn prefix(job: &Job) -> String {
    let prefix = format!("{}-", job.name_any());
    prefix.chars().take(MAX_PREFIX).collect()
}

/// The pod that a Job asks for.
fn new_pod(job: &Job, name: &str, node_name: Option<&str>) -> Pod {
    let template = job.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let metadata = template.metadata.unwrap_or_default();
    let (job_name, uid) = (job.name_any(), job.uid().unwrap_or_default());
    let mut labels: BTreeMap<String, String> = metadata.labels.unwrap_or_default();
    for prefix in ["batch.kubernetes.io/", ""] {
        labels.insert(format!("{prefix}controller-uid"), uid.clone());
        labels.insert(format!("{prefix}job-name"), job_name.clone());
    }
    let mut finalizers = metadata.finalizers.unwrap_or_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
    }
    let mut spec = template.spec.unwrap_or_default();
    let has_scheduler = spec.scheduler_name.as_deref().is_some_and(|name| name != "default-scheduler");
    if spec.node_name.is_none() && !has_scheduler {
        spec.node_name = node_name.map(str::to_owned);
    }
    Pod {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            generate_name: Some(prefix(job)),
            namespace: job.namespace(),
            labels: Some(labels),
            annotations: metadata.annotations,
            finalizers: Some(finalizers),
            owner_references: Some(vec![OwnerReference {
                api_version: "batch/v1".to_owned(),
                kind: "Job".to_owned(),
                name: job_name,
                uid,
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

/// A merge patch that makes a Job's status what it should be, if the Job is still as it was.
fn status_patch(job: &Job, status: &JobStatus) -> Value {
    let mut new = serde_json::to_value(status).unwrap_or_default();
    let old = job.status.as_ref().and_then(|old| serde_json::to_value(old).ok()).unwrap_or_default();
    remove_missing(&mut new, &old);
    json!({"metadata": {"resourceVersion": job.metadata.resource_version, "uid": job.metadata.uid}, "status": new})
}

/// What is there no more must be said in a merge patch.
fn remove_missing(new: &mut Value, old: &Value) {
    let (Some(new), Some(old)) = (new.as_object_mut(), old.as_object()) else { return };
    for (key, value) in old {
        match new.get_mut(key) {
            Some(kept) => remove_missing(kept, value),
            None => drop(new.insert(key.clone(), Value::Null)),
        }
    }
}

#[cfg(test)]
mod tests;
