//! The Job controller's role: Jobs become pods, and pods become the status of their Jobs.
//!
//! It serves the part of a Job that this operator uses, on any API server: completions, parallelism, backoffLimit,
//! activeDeadlineSeconds, podFailurePolicy, podReplacementPolicy and suspend. Indexed Jobs are left alone.
//!
//! Responsible for: watching, one step at a time for each Job, trying again. Must never: know what a Job is for, or
//! decide anything; [`decide`] does.

pub mod act;
pub mod cache;
pub mod decide;
pub mod pods;
pub mod policy;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::client::{answer, bounded, class, is_namespace_terminating, words};
use crate::clock::Clock;
use act::{KnownPod, Seen};
use cache::Cache;
use decide::Step;

/// Pause before a step that failed is tried again, doubled every time, and its limit.
const RETRY: Duration = Duration::from_millis(50);
const MAX_RETRY: Duration = Duration::from_secs(30);
/// Most steps for a Job without a pause: a status that the server does not take as it was written must not spin.
const MAX_STEPS: u32 = 32;

/// What the role serves.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Only Jobs of this namespace; otherwise all.
    pub namespace: Option<String>,
    /// Only Jobs with this `spec.managedBy`; otherwise those that Kubernetes' own controller would serve.
    pub managed_by: Option<String>,
    /// Node of pods whose template names neither node nor scheduler: saves the scheduler's work.
    pub node_name: Option<String>,
}

/// Plays the Job controller until `shutdown` turns true or its sender is gone.
pub async fn run(
    client: Client,
    clock: Arc<dyn Clock>,
    settings: Settings,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut jobs = watch_all::<Job>(&client, &settings);
    let mut pods = watch_all::<Pod>(&client, &settings);
    let mut role = Role::new(client, clock, settings);
    loop {
        role.work();
        let wake_at = role.timers.first().map(|(at, _)| *at);
        tokio::select! {
            // In this order: the newest knowledge first.
            biased;
            _ = shutdown.wait_for(|stop| *stop) => break,
            Some(event) = jobs.next() => role.job_event(event),
            Some(event) = pods.next() => role.pod_event(event),
            Some(done) = role.tasks.join_next() => role.done(done),
            () = sleep_until(wake_at) => role.wake(),
        }
    }
}

type Events<K> = futures::stream::BoxStream<'static, watcher::Result<watcher::Event<K>>>;

fn watch_all<K>(client: &Client, settings: &Settings) -> Events<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
{
    let api: Api<K> = match &settings.namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    watcher(api, watcher::Config::default()).default_backoff().boxed()
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The answer to a step.
struct Done {
    uid: String,
    seen: Vec<Seen>,
    result: Result<(), kube::Error>,
}

struct Role {
    client: Client,
    clock: Arc<dyn Clock>,
    settings: Settings,
    recorder: Recorder,
    jobs: Cache<Job>,
    pods: Cache<Pod>,
    /// Uids of Jobs to look at.
    dirty: BTreeSet<String>,
    /// Uids of Jobs with a step on its way, and how many came before it without a pause.
    busy: BTreeMap<String, u32>,
    /// Failed steps in a row, by the uid of the Job.
    failures: BTreeMap<String, u32>,
    timers: BTreeSet<(Instant, String)>,
    tasks: JoinSet<Done>,
}

impl Role {
    fn new(client: Client, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        let reporter = Reporter { controller: "job-controller".to_owned(), instance: None };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            clock,
            settings,
            jobs: Cache::new(|job| job.metadata.uid.clone()),
            pods: Cache::new(|pod| Some(owner(pod)?.uid.clone())),
            dirty: BTreeSet::new(),
            busy: BTreeMap::new(),
            failures: BTreeMap::new(),
            timers: BTreeSet::new(),
            tasks: JoinSet::new(),
        }
    }

    fn job_event(&mut self, event: watcher::Result<watcher::Event<Job>>) {
        match event {
            Ok(event) => {
                let touched = self.jobs.observe(map(event, prune_job));
                self.dirty.extend(touched);
            }
            Err(error) => tracing::debug!(%error, "the watch on Jobs has ended and begins again"),
        }
    }

    fn pod_event(&mut self, event: watcher::Result<watcher::Event<Pod>>) {
        match event {
            Ok(event) => {
                let touched = self.pods.observe(map(event, prune_pod));
                self.dirty.extend(touched);
            }
            Err(error) => tracing::debug!(%error, "the watch on pods has ended and begins again"),
        }
    }

    fn wake(&mut self) {
        let now = Instant::now();
        while let Some((_, uid)) = self.timers.first().filter(|(at, _)| *at <= now).cloned() {
            self.timers.pop_first();
            self.dirty.insert(uid);
        }
    }

    /// Starts a step for every Job that needs one and has none on its way.
    fn work(&mut self) {
        // A half list would let a Job look as if it had no pods.
        if !self.jobs.is_complete() || !self.pods.is_complete() {
            return;
        }
        let due: Vec<String> =
            self.dirty.iter().filter(|uid| !self.busy.contains_key(*uid)).cloned().collect();
        for uid in due {
            self.dirty.remove(&uid);
            match self.jobs.get(&uid).cloned() {
                Some(job) => self.advance(&uid, job, 0),
                None => self.release_orphans(&uid),
            }
        }
    }

    fn advance(&mut self, uid: &str, job: Arc<Job>, steps: u32) {
        if !self.serves(&job) {
            return;
        }
        let pods: Vec<&Pod> = self.pods.members(uid).collect();
        let now = self.clock.now();
        self.timers.retain(|(_, other)| other != uid);
        match decide::next(&job, &pods, now) {
            Step::Rest(wake_at) => {
                if let Some(at) = wake_at {
                    let pause = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                    self.timers.insert((Instant::now() + pause, uid.to_owned()));
                }
            }
            _ if steps >= MAX_STEPS => {
                tracing::warn!(job = %job.name_any(), "the status of the Job does not settle");
                self.timers.insert((Instant::now() + MAX_RETRY, uid.to_owned()));
            }
            step => {
                let pods: Vec<KnownPod> = pods.into_iter().map(KnownPod::from).collect();
                let (client, uid, node) =
                    (self.client.clone(), uid.to_owned(), self.settings.node_name.clone());
                self.busy.insert(uid.clone(), steps + 1);
                self.tasks.spawn(async move {
                    let mut seen = Vec::new();
                    let result = act::perform(&client, job, &pods, node.as_deref(), step, &mut seen).await;
                    Done { uid, seen, result }
                });
            }
        }
    }

    fn serves(&self, job: &Job) -> bool {
        let Some(spec) = &job.spec else { return decide::is_finished(job) };
        let is_meant = match &self.settings.managed_by {
            Some(manager) => spec.managed_by.as_ref() == Some(manager),
            None => spec.managed_by.as_ref().is_none_or(|manager| manager == decide::JOB_CONTROLLER),
        };
        if is_meant && spec.completion_mode.as_deref() == Some("Indexed") {
            tracing::warn!(job = %job.name_any(), "Indexed Jobs are not served here");
            return false;
        }
        is_meant
    }

    /// Pods whose Job is gone must not be held by it. That it is gone is asked for, because the news of pods may be
    /// faster than the news of Jobs.
    fn release_orphans(&mut self, uid: &str) {
        self.failures.remove(uid);
        self.timers.retain(|(_, other)| other != uid);
        let held = || self.pods.members(uid).filter(|pod| pods::is_tracked(pod));
        let Some((namespace, owner)) = held().find_map(|pod| Some((pod.namespace()?, owner(pod)?.clone())))
        else {
            return;
        };
        // With a manager of our own, orphans are the business of Kubernetes' controller.
        if self.settings.managed_by.is_some() {
            return;
        }
        let pods: Vec<KnownPod> = held().map(KnownPod::from).collect();
        let (client, uid) = (self.client.clone(), uid.to_owned());
        self.busy.insert(uid.clone(), 0);
        self.tasks.spawn(async move {
            let mut seen = Vec::new();
            let result = orphans(&client, &namespace, &owner, &pods, &mut seen).await;
            Done { uid, seen, result }
        });
    }

    fn done(&mut self, done: Result<Done, JoinError>) {
        let Ok(Done { uid, seen, result }) = done else { return };
        let steps = self.busy.remove(&uid).unwrap_or_default();
        for seen in seen {
            let touched = match seen {
                Seen::Job(job) => self.jobs.insert(prune_job(*job)),
                Seen::Pod(pod) => self.pods.insert(prune_pod(*pod)),
                Seen::PodGone(uid) => self.pods.remove(&uid),
            };
            self.dirty.extend(touched);
        }
        match result {
            Ok(()) => {
                self.failures.remove(&uid);
                // At once and not when its turn comes, so that the number of steps is known.
                if let Some(job) = self.jobs.get(&uid).cloned() {
                    self.dirty.remove(&uid);
                    self.advance(&uid, job, steps);
                }
            }
            Err(error) => self.failed(&uid, &error),
        }
    }

    fn failed(&mut self, uid: &str, error: &kube::Error) {
        let failures = self.failures.entry(uid.to_owned()).or_default();
        *failures = failures.saturating_add(1);
        let pause = RETRY.saturating_mul(2_u32.saturating_pow(*failures - 1)).min(MAX_RETRY);
        self.dirty.remove(uid);
        self.timers.insert((Instant::now() + pause, uid.to_owned()));
        let Some(job) = self.jobs.get(uid) else { return };
        tracing::debug!(job = %job.name_any(), class = ?class(error), error = %words(error), "a step failed");
        let refusal = answer(error).filter(|status| status.is_forbidden() || status.is_invalid());
        if let Some(status) = refusal.filter(|status| !is_namespace_terminating(status)) {
            let (recorder, reference) = (self.recorder.clone(), job.object_ref(&()));
            let event = Event {
                type_: EventType::Warning,
                reason: "FailedCreate".to_owned(),
                note: Some(format!("Error creating: {}", status.message).chars().take(1000).collect()),
                action: "Creating".to_owned(),
                secondary: None,
            };
            // People read it; nothing depends on it.
            tokio::spawn(async move { recorder.publish(&event, &reference).await });
        }
    }
}

/// Releases the pods of a Job that is gone.
async fn orphans(
    client: &Client,
    namespace: &str,
    owner: &OwnerReference,
    pods: &[KnownPod],
    seen: &mut Vec<Seen>,
) -> Result<(), kube::Error> {
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    if let Some(job) = bounded(jobs.get_opt(&owner.name)).await?
        && job.metadata.uid.as_deref() == Some(owner.uid.as_str())
    {
        seen.push(Seen::Job(Box::new(job)));
        return Ok(());
    }
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    for pod in pods {
        seen.extend(act::release(&api, pod).await?);
    }
    Ok(())
}

/// The Job that a pod belongs to.
fn owner(pod: &Pod) -> Option<&OwnerReference> {
    let is_job = |owner: &&OwnerReference| owner.kind == "Job" && owner.api_version.starts_with("batch/");
    pod.owner_references().iter().filter(is_job).find(|owner| owner.controller == Some(true))
}

fn map<K>(event: watcher::Event<K>, prune: fn(K) -> K) -> watcher::Event<K> {
    match event {
        watcher::Event::Apply(object) => watcher::Event::Apply(prune(object)),
        watcher::Event::InitApply(object) => watcher::Event::InitApply(prune(object)),
        other => other,
    }
}

/// Without what no decision needs. All Jobs are kept here for as long as they exist.
fn prune_job(mut job: Job) -> Job {
    job.metadata.managed_fields = None;
    if decide::is_finished(&job)
        && let Some(spec) = &mut job.spec
    {
        spec.template = Default::default();
    }
    job
}

/// Without what no decision needs, inputs of up to 256 KiB among it.
fn prune_pod(mut pod: Pod) -> Pod {
    pod.metadata.managed_fields = None;
    pod.metadata.annotations = None;
    pod.metadata.labels = None;
    pod.spec = None;
    pod
}
