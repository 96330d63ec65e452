//! Facts: what we need to know of a Job and its pod, and nothing more, because every child in the cluster is cached.
//!
//! Responsible for: small owned copies, and which changes are worth a reconcile. Must never: judge how an attempt
//! ended; that is `outcome`'s.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodSpec, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::api::labels;
use crate::engine::text;

/// Most bytes of a message that is only shown to people.
const MAX_MESSAGE: usize = 1024;
/// Most bytes of a termination message that the kubelet keeps of one container, and of all containers of a pod.
const MAX_TERMINATION_MESSAGE: usize = 4096;
const MAX_TERMINATION_MESSAGES: usize = 12 * 1024;

/// Who a Job or a pod is, and for what it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Name of the object.
    pub name: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Uid of the object.
    pub uid: String,
    /// Version of the object that these facts were taken from.
    pub resource_version: String,
    /// The owner that controls it: a Job's Orchestration, a pod's Job.
    pub owner: Option<Owner>,
    /// Uid of the Orchestration, from the label.
    pub orchestration_uid: Option<String>,
    /// Full name of the Orchestration, from the annotation.
    pub orchestration: Option<String>,
    /// Id of the activity.
    pub activity: Option<String>,
    /// Number of the attempt.
    pub attempt: Option<u32>,
    /// When it was created. The API server always says so; without it, the beginning of time.
    pub creation_time: Timestamp,
    /// Somebody has asked for its deletion.
    pub deleted: bool,
}

/// The owner that controls an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// Uid of the owner.
    pub uid: String,
}

/// A reason for programs, and a message in the server's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// One CamelCase word.
    pub reason: String,
    /// Words for people, cut.
    pub message: String,
}

/// What we need to know of a Job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFacts {
    /// Who it is.
    pub identity: Identity,
    /// It is to be suspended.
    pub suspended: bool,
    /// The Job controller has acted on the suspension: only then do the counts know of it.
    pub suspension_observed: bool,
    /// Pods that run or wait.
    pub active: i32,
    /// Pods that are being ended.
    pub terminating: i32,
    /// How it ended; absent while it has not, or not all of its pods have.
    pub end: Option<JobEnd>,
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEnd {
    /// Its condition Complete is True; otherwise its condition Failed.
    pub complete: bool,
    /// Reason and message of the condition.
    pub said: Said,
    /// When the condition became True.
    pub time: Option<Timestamp>,
}

/// What we need to know of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodFacts {
    /// Who it is.
    pub identity: Identity,
    /// Where it is in its life.
    pub phase: Phase,
    /// Reason and message of the pod's status, such as `DeadlineExceeded` or `Evicted`.
    pub said: Said,
    /// When its first container started; the pod's own startTime is only when a node accepted it.
    pub start_time: Option<Timestamp>,
    /// When its last container ended.
    pub finish_time: Option<Timestamp>,
    /// Why it has no node.
    pub unscheduled: Option<Said>,
    /// Its condition DisruptionTarget: it was evicted, drained or preempted, or its node was lost.
    pub disruption: Option<Said>,
    /// Why a container waits, if that is more than that it is being made.
    pub waiting: Option<Said>,
    /// How the first container of the template ended.
    pub first: Option<Terminated>,
    /// How the first failed one of all other containers ended, init containers before the rest.
    pub other_failure: Option<Terminated>,
    /// Most bytes that the kubelet keeps of a termination message of this pod; longer ones were cut.
    pub message_limit: usize,
}

/// The life of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not all containers have started.
    #[default]
    Pending,
    /// At least one container runs.
    Running,
    /// All containers have ended with 0.
    Succeeded,
    /// All containers have ended, and one has failed.
    Failed,
    /// Its node does not answer.
    Unknown,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminated {
    /// Name of the container.
    pub container: String,
    /// It is an init container.
    pub init: bool,
    /// The exit code.
    pub exit_code: i32,
    /// The signal that ended it, where the runtime tells.
    pub signal: Option<i32>,
    /// The runtime's word, such as `Completed`, `Error`, `OOMKilled`, `StartError`.
    pub reason: String,
    /// The termination message: whole for the first container, whose outputs it is; the end of it for others.
    pub message: String,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl From<&Job> for JobFacts {
    fn from(job: &Job) -> Self {
        let status = job.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        // Only these two are final: FailureTarget and SuccessCriteriaMet come before all pods are gone.
        let end =
            |type_: &str| holding(conditions, type_).map(|condition| job_end(condition, type_ == "Complete"));
        Self {
            identity: Identity::from(&job.metadata),
            suspended: job.spec.as_ref().and_then(|spec| spec.suspend).unwrap_or_default(),
            suspension_observed: holding(conditions, "Suspended").is_some(),
            active: status.and_then(|status| status.active).unwrap_or_default(),
            terminating: status.and_then(|status| status.terminating).unwrap_or_default(),
            end: end("Complete").or_else(|| end("Failed")),
        }
    }
}

impl JobFacts {
    /// Suspended, and nothing of it runs any more.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.suspended && self.suspension_observed && self.active == 0 && self.terminating == 0
    }

    /// Whether the change from old to new facts is worth a reconcile: it ended, was stopped, or is being deleted.
    #[must_use]
    pub fn triggers(old: Option<&Self>, new: &Self) -> bool {
        let old = old.filter(|old| old.identity.uid == new.identity.uid);
        let news = |fact: fn(&Self) -> bool| fact(new) && !old.is_some_and(fact);
        news(|job| job.end.is_some()) || news(Self::is_stopped) || news(|job| job.identity.deleted)
    }
}

impl From<&Pod> for PodFacts {
    fn from(pod: &Pod) -> Self {
        let empty = PodStatus::default();
        let status = pod.status.as_ref().unwrap_or(&empty);
        let containers = status.container_statuses.as_deref().unwrap_or_default();
        let init_containers = status.init_container_statuses.as_deref().unwrap_or_default();
        let conditions = status.conditions.as_deref().unwrap_or_default();
        let first = first_container(pod.spec.as_ref(), containers);
        let all = || init_containers.iter().chain(containers);
        let condition = |type_: &str, status: &str| {
            let found = conditions.iter().find(|held| held.type_ == type_ && held.status == status)?;
            Some(said(found.reason.as_deref(), found.message.as_deref()))
        };
        let (init_failures, failures) = (failures(init_containers, true), failures(containers, false));
        Self {
            identity: Identity::from(&pod.metadata),
            phase: Phase::from(status.phase.as_deref()),
            said: said(status.reason.as_deref(), status.message.as_deref()),
            start_time: all().flat_map(states).filter_map(started_at).min(),
            finish_time: all().flat_map(states).filter_map(finished_at).max(),
            unscheduled: condition("PodScheduled", "False"),
            disruption: condition("DisruptionTarget", "True"),
            // The first container's reason explains most; an init container's is why the first one waits.
            waiting: first.into_iter().chain(all()).find_map(waiting),
            first: first.and_then(|status| terminated(status, false, MAX_TERMINATION_MESSAGE)),
            other_failure: init_failures
                .chain(failures)
                .find(|failure| failure.init || first.is_none_or(|first| first.name != failure.container)),
            message_limit: message_limit(pod.spec.as_ref()),
        }
    }
}

impl PodFacts {
    /// A container of it has started.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.start_time.is_some()
    }

    /// Nothing of it runs or will run.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Why no container of it has started, as far as anything is known.
    #[must_use]
    pub fn waits_for(&self) -> Option<&Said> {
        self.waiting.as_ref().or(self.unscheduled.as_ref())
    }

    /// Whether the change from old to new facts is worth a reconcile: it started, waits for another reason, or is
    /// being deleted. Its end is not: the Job's condition follows, and is the truth.
    #[must_use]
    pub fn triggers(old: Option<&Self>, new: &Self) -> bool {
        let old = old.filter(|old| old.identity.uid == new.identity.uid);
        let news = |fact: fn(&Self) -> bool| fact(new) && !old.is_some_and(fact);
        let waits_for = |pod: &Self| pod.waits_for().map(|said| obstacle(&said.reason).to_owned());
        let other_reason = waits_for(new).is_some_and(|reason| old.and_then(waits_for) != Some(reason));
        news(Self::has_started) || news(|pod| pod.identity.deleted) || other_reason
    }
}

impl From<&ObjectMeta> for Identity {
    fn from(metadata: &ObjectMeta) -> Self {
        let own = |map: &Option<BTreeMap<String, String>>, key: &str| map.as_ref()?.get(key).cloned();
        let full = |key: &str| own(&metadata.annotations, key).or_else(|| own(&metadata.labels, key));
        let owners = metadata.owner_references.as_deref().unwrap_or_default();
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            namespace: metadata.namespace.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            owner: owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| Owner {
                kind: owner.kind.clone(),
                name: owner.name.clone(),
                uid: owner.uid.clone(),
            }),
            orchestration_uid: own(&metadata.labels, labels::ORCHESTRATION_UID),
            orchestration: full(labels::ORCHESTRATION),
            activity: full(labels::ACTIVITY),
            attempt: own(&metadata.labels, labels::ATTEMPT).and_then(|attempt| attempt.parse().ok()),
            creation_time: metadata.creation_timestamp.as_ref().map(|time| time.0).unwrap_or_default(),
            deleted: metadata.deletion_timestamp.is_some(),
        }
    }
}

impl From<Option<&str>> for Phase {
    fn from(phase: Option<&str>) -> Self {
        match phase {
            Some("Running") => Self::Running,
            Some("Succeeded") => Self::Succeeded,
            Some("Failed") => Self::Failed,
            Some("Unknown") => Self::Unknown,
            _ => Self::Pending,
        }
    }
}

fn holding<'a>(conditions: &'a [JobCondition], type_: &str) -> Option<&'a JobCondition> {
    conditions.iter().find(|condition| condition.type_ == type_ && condition.status == "True")
}

fn job_end(condition: &JobCondition, complete: bool) -> JobEnd {
    JobEnd {
        complete,
        said: said(condition.reason.as_deref(), condition.message.as_deref()),
        time: condition.last_transition_time.as_ref().and_then(instant),
    }
}

fn said(reason: Option<&str>, message: Option<&str>) -> Said {
    Said {
        reason: text::head(reason.unwrap_or_default(), MAX_MESSAGE),
        message: text::head(message.unwrap_or_default(), MAX_MESSAGE),
    }
}

/// The status of the first container of the spec. Statuses are sorted by name, so the first of them may be another.
fn first_container<'a>(
    spec: Option<&PodSpec>,
    statuses: &'a [ContainerStatus],
) -> Option<&'a ContainerStatus> {
    match spec.and_then(|spec| spec.containers.first()) {
        Some(container) => statuses.iter().find(|status| status.name == container.name),
        None => statuses.first(),
    }
}

/// The states of a container, before its last restart too: a restart takes the start out of the current one.
fn states(status: &ContainerStatus) -> impl Iterator<Item = &ContainerState> {
    status.state.iter().chain(&status.last_state)
}

fn started_at(state: &ContainerState) -> Option<Timestamp> {
    let running = state.running.as_ref().and_then(|running| running.started_at.as_ref());
    let terminated = state.terminated.as_ref().and_then(|terminated| terminated.started_at.as_ref());
    running.or(terminated).and_then(instant)
}

fn finished_at(state: &ContainerState) -> Option<Timestamp> {
    state.terminated.as_ref()?.finished_at.as_ref().and_then(instant)
}

/// A time that something really happened at: the kubelet writes 1970 for a container that was made but could not start.
fn instant(time: &Time) -> Option<Timestamp> {
    (time.0 > Timestamp::UNIX_EPOCH).then_some(time.0)
}

/// What a container waits for, if it is more than the ordinary way to its start.
fn waiting(status: &ContainerStatus) -> Option<Said> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting
        .reason
        .as_deref()
        .filter(|reason| !matches!(*reason, "ContainerCreating" | "PodInitializing"))?;
    Some(said(Some(reason), waiting.message.as_deref()))
}

/// Reasons that take turns while one obstacle lasts are one.
fn obstacle(reason: &str) -> &str {
    if reason == "ErrImagePull" { "ImagePullBackOff" } else { reason }
}

fn failures(statuses: &[ContainerStatus], init: bool) -> impl Iterator<Item = Terminated> {
    let failed = |ended: &ContainerStateTerminated| ended.exit_code != 0;
    statuses
        .iter()
        .filter(move |status| {
            status.state.as_ref().and_then(|state| state.terminated.as_ref()).is_some_and(failed)
        })
        .filter_map(move |status| terminated(status, init, MAX_MESSAGE))
}

fn terminated(status: &ContainerStatus, init: bool, limit: usize) -> Option<Terminated> {
    let ended = status.state.as_ref()?.terminated.as_ref()?;
    Some(Terminated {
        container: status.name.clone(),
        init,
        exit_code: ended.exit_code,
        signal: ended.signal.filter(|signal| *signal > 0),
        reason: ended.reason.clone().unwrap_or_default(),
        message: text::tail(ended.message.as_deref().unwrap_or_default(), limit),
        started_at: ended.started_at.as_ref().and_then(instant),
        finished_at: ended.finished_at.as_ref().and_then(instant),
    })
}

/// The kubelet shares the limit of a pod among its containers.
fn message_limit(spec: Option<&PodSpec>) -> usize {
    let containers =
        spec.map_or(1, |spec| spec.containers.len() + spec.init_containers.as_ref().map_or(0, Vec::len));
    MAX_TERMINATION_MESSAGE.min(MAX_TERMINATION_MESSAGES / containers.max(1))
}

#[cfg(test)]
mod tests;
