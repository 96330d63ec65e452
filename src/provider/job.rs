//! The Job provider: an attempt of an activity is a Kubernetes Job.
//!
//! Responsible for: making, suspending and reading the Jobs and pods of attempts. Must never: decide what comes
//! next, or touch a Job that another owner made.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::core::Status;
use kube::{Client, Resource};
use serde_json::{Value, json};

use crate::api::labels;
use crate::client::{Class, bounded, class, words};
use crate::engine::observe::{Attempt, FailureReason, Outcome, Verdict};
use crate::engine::plan::UNSEEN;

pub mod build;
pub mod cache;
mod explain;
pub mod facts;
pub mod outcome;
mod pod;
pub mod refusal;
pub mod start;
pub mod template;

use cache::Index;
use explain::{About, Explanations};
use facts::{JobFacts, PodFacts};
use outcome::{Expectation, Seen};
use refusal::Refusal;

/// Reason of a start whose request failed or was not answered.
pub const API_SERVER_ERROR: &str = "ApiServerError";

/// What went wrong while looking at, or stopping, an attempt.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A Job or its pods could not be read.
    #[error("cannot read {what} of the Job {job}: {}", words(.source))]
    Read {
        /// What was being read.
        what: &'static str,
        /// Name of the Job.
        job: String,
        /// Why it failed.
        source: kube::Error,
    },
    /// The Jobs of an Orchestration could not be read.
    #[error("cannot list the Jobs of the Orchestration with the uid {uid}: {}", words(.source))]
    List {
        /// Uid of the Orchestration.
        uid: String,
        /// Why it failed.
        source: kube::Error,
    },
    /// A Job could not be suspended.
    #[error("cannot suspend the Job {job}: {}", words(.source))]
    Suspend {
        /// Name of the Job.
        job: String,
        /// Why it failed.
        source: kube::Error,
    },
}

impl Error {
    /// Why it failed.
    #[must_use]
    pub fn cause(&self) -> &kube::Error {
        match self {
            Self::Read { source, .. } | Self::List { source, .. } | Self::Suspend { source, .. } => source,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> Class {
        class(self.cause())
    }
}

/// One attempt that is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Namespace of the Orchestration.
    pub namespace: &'a str,
    /// Uid of the Orchestration.
    pub uid: &'a str,
    /// Name that the Job has.
    pub job: &'a str,
    /// Whether a stored status says that it was started.
    pub recorded: bool,
    /// When this process started it, if it did.
    pub requested_at: Option<Timestamp>,
    /// What the definitions expect.
    pub expectation: Expectation<'a>,
    /// The time.
    pub now: Timestamp,
}

/// What the API server thinks of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A Job of it can be made.
    Good,
    /// A Job of it is refused, in the server's words.
    Bad(String),
    /// The server could not say now.
    Unknown(String),
}

/// Makes, stops and reads the Jobs of attempts.
#[derive(Debug)]
pub struct JobProvider {
    client: ClientHandle,
    /// All Jobs that we made.
    pub jobs: Index<JobFacts>,
    /// All pods of these Jobs.
    pub pods: Index<PodFacts>,
    explanations: Mutex<Explanations>,
}

/// The client has no Debug of its own.
struct ClientHandle(Client);

impl std::fmt::Debug for ClientHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Client")
    }
}

/// The label by which the Job controller marks the pods of a Job.
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

impl JobProvider {
    /// A provider with empty caches; the watches fill them.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client: ClientHandle(client),
            jobs: Index::default(),
            pods: Index::default(),
            explanations: Mutex::default(),
        }
    }

    /// What is known of an attempt. Asks the server itself where the caches cannot be trusted.
    pub async fn observe(&self, look: &Look<'_>) -> Result<Attempt, Error> {
        if let Some(job) = self.jobs.of_job(look.namespace, look.job).first() {
            return self.read(look, job).await;
        }
        let is_unseen_for_long = look.requested_at.is_some_and(|at| look.now.duration_since(at) >= UNSEEN);
        match look.requested_at {
            Some(at) if !is_unseen_for_long => Ok(Attempt::Requested { at }),
            None if !look.recorded => Ok(Attempt::Absent),
            _ => self.missing(look).await,
        }
    }

    /// The names of all Jobs of an Orchestration, from the server itself; also of those that are gone while a pod of theirs
    /// still ends.
    pub async fn made_for(&self, namespace: &str, uid: &str) -> Result<HashSet<String>, Error> {
        let of = ListParams::default().labels(&format!("{}={uid}", labels::ORCHESTRATION_UID));
        let found = bounded(self.job_api(namespace).list(&of)).await;
        let unread = |source| Error::List { uid: uid.to_owned(), source };
        let found = found.map_err(unread)?;
        let pods: Api<Pod> = Api::namespaced(self.client.0.clone(), namespace);
        let pods = bounded(pods.list(&of)).await.map_err(unread)?;
        let alive = pods.items.iter().filter(|pod| !PodFacts::from(*pod).is_terminal());
        let orphaned = alive.filter_map(|pod| pod.metadata.labels.as_ref()?.get(JOB_NAME).cloned());
        let jobs = found.items.iter().filter(|job| is_owned(job, uid));
        Ok(jobs.filter_map(|job| job.metadata.name.clone()).chain(orphaned).collect())
    }

    /// Whether an attempt has a Job that the watch does not show: what becomes of it wakes nobody.
    pub fn is_unwatched(&self, namespace: &str, job: &str) -> bool {
        self.jobs.of_job(namespace, job).is_empty()
    }

    /// What is known of an attempt that may or may not have been started; nothing if it was not. The server itself is
    /// asked.
    pub async fn find(&self, look: &Look<'_>) -> Result<Option<Attempt>, Error> {
        let read = |source| Error::Read { what: "the state", job: look.job.to_owned(), source };
        match bounded(self.job_api(look.namespace).get_opt(look.job)).await.map_err(read)? {
            Some(job) => Ok(Some(self.read(look, &JobFacts::from(&job)).await?)),
            None => Ok(None),
        }
    }

    /// A Job that should exist is not in the cache: the server itself is asked, and so are its pods, because those
    /// of a deleted Job run on for their grace period.
    async fn missing(&self, look: &Look<'_>) -> Result<Attempt, Error> {
        let read = |what| move |source| Error::Read { what, job: look.job.to_owned(), source };
        if let Some(job) =
            bounded(self.job_api(look.namespace).get_opt(look.job)).await.map_err(read("the state"))?
        {
            return self.read(look, &JobFacts::from(&job)).await;
        }
        let pods = self.list_pods(look).await?;
        if let Some(pod) = pods.iter().find(|pod| !pod.is_terminal()) {
            return Ok(Attempt::Waiting {
                since: pod.identity.creation_time,
                reason: Some("JobVanished".to_owned()),
                message: Some("the Job is gone; its pod is still ending".to_owned()),
            });
        }
        let message = format!("the Job {} is gone, and no pod of it is alive", look.job);
        Ok(Attempt::Ended(failed(FailureReason::JobVanished, message)))
    }

    async fn read(&self, look: &Look<'_>, job: &JobFacts) -> Result<Attempt, Error> {
        if job.identity.owner.as_ref().is_none_or(|owner| owner.uid != look.uid) {
            return Ok(Attempt::Ended(failed(FailureReason::NameConflict, name_conflict(look.job))));
        }
        let cached = self.pods.of_job(look.namespace, look.job);
        let attempt =
            match outcome::attempt(job, newest(cached.iter().map(Arc::as_ref)), false, look.expectation) {
                Seen::Attempt(attempt) => attempt,
                Seen::PodNeeded => {
                    let pods = self.list_pods(look).await?;
                    match outcome::attempt(job, newest(pods.iter()), true, look.expectation) {
                        Seen::Attempt(attempt) => attempt,
                        Seen::PodNeeded => Attempt::Requested { at: job.identity.creation_time },
                    }
                }
            };
        // Our own clock counts, where it was there: the server's may be another.
        let attempt = match attempt {
            Attempt::Waiting { since, reason, message } => {
                Attempt::Waiting { since: look.requested_at.unwrap_or(since), reason, message }
            }
            other => other,
        };
        match attempt {
            Attempt::Waiting { since, reason: None, .. } => {
                let about = match newest(cached.iter().map(Arc::as_ref)) {
                    Some(pod) => About::Pod(&pod.identity.uid),
                    None => About::Job(&job.identity.uid),
                };
                let is_long = look.now.duration_since(since) >= about.patience();
                let said = if is_long { self.explain(look, about).await? } else { None };
                let (reason, message) = said.unzip();
                Ok(Attempt::Waiting { since, reason, message })
            }
            other => Ok(other),
        }
    }

    async fn list_pods(&self, look: &Look<'_>) -> Result<Vec<PodFacts>, Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.0.clone(), look.namespace);
        let wanted = ListParams::default().labels(&format!(
            "{}={},{JOB_NAME}={}",
            labels::ORCHESTRATION_UID,
            look.uid,
            look.job
        ));
        let found = bounded(pods.list(&wanted)).await.map_err(|source| Error::Read {
            what: "the pods",
            job: look.job.to_owned(),
            source,
        })?;
        Ok(found.items.iter().map(PodFacts::from).collect())
    }

    /// Asks for the end of what runs of an attempt: a suspended Job ends its pods and stays as a record.
    pub async fn stop(&self, namespace: &str, job: &str) -> Result<(), Error> {
        let patch = Patch::Merge(json!({"spec": {"suspend": true}}));
        let parameters =
            PatchParams { field_manager: Some(labels::MANAGER.to_owned()), ..PatchParams::default() };
        match bounded(self.job_api(namespace).patch_metadata(job, &parameters, &patch)).await {
            Ok(_) => Ok(()),
            // Gone: nothing is left to stop.
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(source) => Err(Error::Suspend { job: job.to_owned(), source }),
        }
    }

    /// Asks the API server whether a Job of a template could be made. Nothing is made.
    pub async fn prove(&self, namespace: &str, body: &Value) -> Proof {
        let path = format!(
            "{}?dryRun=All&fieldValidation=Strict&fieldManager={}",
            Job::url_path(&(), Some(namespace)),
            labels::MANAGER
        );
        let request = http::Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body.to_string().into_bytes());
        let answered = match request {
            Ok(request) => bounded(self.client.0.request::<Value>(request)).await,
            Err(error) => return Proof::Unknown(error.to_string()),
        };
        match answered {
            Ok(_) => Proof::Good,
            Err(kube::Error::Api(status)) => proof(&status),
            Err(error) => Proof::Unknown(words(&error)),
        }
    }

    fn job_api(&self, namespace: &str) -> Api<Job> {
        Api::namespaced(self.client.0.clone(), namespace)
    }
}

/// Only what the server says of the template itself counts. Quota is checked after the template, so that it proves it.
fn proof(status: &Status) -> Proof {
    match (status.code, refusal::classify(status)) {
        (400 | 422, Refusal::ForEver(FailureReason::InvalidJobTemplate)) => {
            Proof::Bad(status.message.clone())
        }
        (_, Refusal::ForNow("QuotaExceeded")) => Proof::Good,
        _ => Proof::Unknown(status.message.clone()),
    }
}

/// A Job has one pod; while one is replaced there may be two, and the younger one counts.
fn newest<'a>(pods: impl Iterator<Item = &'a PodFacts>) -> Option<&'a PodFacts> {
    pods.max_by_key(|pod| pod.identity.creation_time)
}

fn is_owned(job: &Job, uid: &str) -> bool {
    JobFacts::from(job).identity.owner.is_some_and(|owner| owner.uid == uid)
}

fn failed(reason: FailureReason, message: String) -> Outcome {
    Outcome { verdict: Verdict::Failed { reason, message }, start_time: None, completion_time: None }
}

fn name_conflict(job: &str) -> String {
    format!("Job \"{job}\" exists but is not owned by this Orchestration")
}
