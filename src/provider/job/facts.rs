//! Facts: what we need to know of a Job and its pod, and nothing more, because every child in the cluster is cached.
//!
//! Responsible for: small owned copies, and which changes are worth a reconcile. Must never: judge how an attempt
//! ended; that is `outcome`'s.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::labels;
use crate::engine::text;

mod container;

pub use container::Terminated;
use container::{
    INITIALIZING, MAX_TERMINATION_MESSAGE, failures, finished_at, first_container, initializing, instant,
    message_limit, obstacle, started_at, states, terminated, waiting,
};

/// Most bytes of a message that is only shown to people.
const MAX_MESSAGE: usize = 1024;

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
    /// When somebody asked for its deletion; nothing if nobody has.
    pub deletion_time: Option<Timestamp>,
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
    /// When the first container of its template started: the one whose outputs count. The pod's own startTime is only when
    /// a node accepted it, and init containers come before.
    pub start_time: Option<Timestamp>,
    /// When its last container ended.
    pub finish_time: Option<Timestamp>,
    /// Why it has no node.
    pub unscheduled: Option<Said>,
    /// Its condition DisruptionTarget: it was evicted, drained or preempted, or its node was lost.
    pub disruption: Option<Said>,
    /// Why a container waits, if that is more than that it is being made; or which init container the first one waits for.
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
        news(|job| job.end.is_some()) || news(Self::is_stopped) || news(|job| job.identity.is_deleted())
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
            start_time: first.into_iter().flat_map(states).filter_map(started_at).min(),
            finish_time: all().flat_map(states).filter_map(finished_at).max(),
            unscheduled: condition("PodScheduled", "False"),
            disruption: condition("DisruptionTarget", "True"),
            // The first container's reason explains most; an init container's is why the first one waits. Init containers
            // that go on beside it are none of its obstacles.
            waiting: first.into_iter().chain(all()).find_map(waiting).or_else(|| {
                let is_initialized = condition("Initialized", "True").is_some();
                initializing(init_containers).filter(|_| !is_initialized)
            }),
            first: first.and_then(|status| terminated(status, false, MAX_TERMINATION_MESSAGE)),
            other_failure: init_failures
                .chain(failures)
                .find(|failure| failure.init || first.is_none_or(|first| first.name != failure.container)),
            message_limit: message_limit(pod.spec.as_ref()),
        }
    }
}

impl PodFacts {
    /// Its first container has started.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.start_time.is_some()
    }

    /// Nothing of it runs or will run.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Why its first container has not started, as far as anything is known.
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
        // Init containers are on the ordinary way to the start: nobody needs to hear of them at once.
        let waits_for = |pod: &Self| {
            let reason = pod.waits_for().map(|said| obstacle(&said.reason).to_owned());
            reason.filter(|reason| reason != INITIALIZING)
        };
        let other_reason = waits_for(new).is_some_and(|reason| old.and_then(waits_for) != Some(reason));
        news(Self::has_started) || news(|pod| pod.identity.is_deleted()) || other_reason
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
            deletion_time: deletion_time(metadata),
        }
    }
}

impl Identity {
    /// Somebody has asked for its deletion.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deletion_time.is_some()
    }
}

/// The deletionTimestamp is when the grace period ends, whoever shortens it.
fn deletion_time(metadata: &ObjectMeta) -> Option<Timestamp> {
    let ends = metadata.deletion_timestamp.as_ref()?.0;
    let grace = SignedDuration::from_secs(metadata.deletion_grace_period_seconds.unwrap_or_default());
    Some(ends.saturating_sub(grace).unwrap_or(ends))
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

#[cfg(test)]
mod tests;
