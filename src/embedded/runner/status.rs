//! The status of a pod, from how far its containers are.
//!
//! Responsible for: phases, container states and conditions as a kubelet writes them. Must never: drop a condition
//! that somebody else has written.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodCondition, PodSpec};
use serde_json::{Value, json};

/// How far a pod is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// When the runner took it.
    pub start_time: Option<Timestamp>,
    /// The init containers, as in the spec.
    pub init: Vec<State>,
    /// The containers, as in the spec.
    pub main: Vec<State>,
    /// Nothing of it runs or will run.
    pub ended: bool,
    /// Why it was ended, if it did not end by itself.
    pub cause: Option<Cause>,
}

/// How far a container is.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It has not started: reason and message.
    Waiting(&'static str, Option<String>),
    /// It runs since.
    Running(Timestamp),
    /// It has ended.
    Ended(Ended),
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Its exit code; 128 and the number of the signal that ended it.
    pub exit_code: i32,
    /// One CamelCase word.
    pub reason: &'static str,
    /// The termination message, or why it could not start.
    pub message: String,
    /// When it started; nothing if it could not.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// Why a pod was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Somebody deleted it.
    Deleted,
    /// Its own activeDeadlineSeconds.
    Deadline,
    /// The runner ends.
    Shutdown,
    /// A runner before this one has run it, and its processes are not known any more.
    Lost,
}

impl Cause {
    /// Whether the pod has failed even if its containers have not.
    fn fails(self) -> bool {
        match self {
            Self::Deleted => false,
            Self::Deadline | Self::Shutdown | Self::Lost => true,
        }
    }

    /// Reason and message of the pod.
    fn said(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Deleted => None,
            Self::Deadline => {
                Some(("DeadlineExceeded", "Pod was active on the node longer than the specified deadline"))
            }
            Self::Shutdown => {
                Some(("Terminated", "Pod was terminated in response to imminent node shutdown."))
            }
            Self::Lost => {
                Some(("NodeLost", "The processes of the pod were lost when the runner was started again."))
            }
        }
    }

    /// Whether it was no doing of the pod, nor of its deadline.
    fn is_disruption(self) -> bool {
        matches!(self, Self::Shutdown | Self::Lost)
    }
}

impl Progress {
    /// A pod of which nothing has started.
    #[must_use]
    pub fn new(spec: Option<&PodSpec>) -> Self {
        let init = spec.and_then(|spec| spec.init_containers.as_ref()).map_or(0, Vec::len);
        let main = spec.map_or(0, |spec| spec.containers.len());
        let reason = if init > 0 { "PodInitializing" } else { "ContainerCreating" };
        Self {
            init: vec![State::Waiting("PodInitializing", None); init],
            main: vec![State::Waiting(reason, None); main],
            ..Self::default()
        }
    }

    fn is_initialized(&self) -> bool {
        self.init.iter().all(|state| matches!(state, State::Ended(ended) if ended.exit_code == 0))
    }

    /// The phase of the pod.
    #[must_use]
    pub fn phase(&self) -> &'static str {
        let succeeded = |state: &State| matches!(state, State::Ended(ended) if ended.exit_code == 0);
        let forced = self.cause.is_some_and(Cause::fails);
        if self.ended {
            let all = self.init.iter().chain(&self.main).all(succeeded);
            if all && !forced { "Succeeded" } else { "Failed" }
        } else if self.is_initialized() && !self.main.iter().any(|state| matches!(state, State::Waiting(..)))
        {
            "Running"
        } else {
            "Pending"
        }
    }
}

/// The status of a pod, for a merge patch. `pod` is its newest known state.
#[must_use]
pub fn status(pod: &Pod, progress: &Progress, now: Timestamp) -> Value {
    let spec = pod.spec.as_ref();
    let init = spec.and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default();
    let main = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let mut status = json!({
        "phase": progress.phase(),
        "startTime": progress.start_time.map(time),
        "conditions": conditions(pod, progress, now),
        "containerStatuses": statuses(main, &progress.main),
    });
    if let Some(fields) = status.as_object_mut() {
        if !init.is_empty() {
            fields.insert("initContainerStatuses".to_owned(), statuses(init, &progress.init));
        }
        let said = progress.cause.filter(|_| progress.ended).and_then(Cause::said);
        if let Some((reason, message)) = said {
            fields.insert("reason".to_owned(), reason.into());
            fields.insert("message".to_owned(), message.into());
        }
    }
    status
}

fn statuses(containers: &[Container], states: &[State]) -> Value {
    let status = |(container, state): (&Container, &State)| {
        let is_running = matches!(state, State::Running(_));
        json!({
            "name": container.name, "image": container.image.as_deref().unwrap_or_default(), "imageID": "",
            "restartCount": 0, "ready": is_running, "started": is_running, "state": container_state(state),
        })
    };
    containers.iter().zip(states).map(status).collect()
}

fn container_state(state: &State) -> Value {
    match state {
        State::Waiting(reason, None) => json!({"waiting": {"reason": reason}}),
        State::Waiting(reason, Some(message)) => json!({"waiting": {"reason": reason, "message": message}}),
        State::Running(since) => json!({"running": {"startedAt": time(*since)}}),
        State::Ended(ended) => {
            // A kubelet writes 1970 for what could not start.
            let started_at = ended.started_at.unwrap_or(Timestamp::UNIX_EPOCH);
            let mut terminated = json!({
                "exitCode": ended.exit_code, "reason": ended.reason,
                "startedAt": time(started_at), "finishedAt": time(ended.finished_at),
            });
            if let Some(fields) = terminated.as_object_mut().filter(|_| !ended.message.is_empty()) {
                fields.insert("message".to_owned(), ended.message.as_str().into());
            }
            json!({"terminated": terminated})
        }
    }
}

fn conditions(pod: &Pod, progress: &Progress, now: Timestamp) -> Value {
    let old = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let mut conditions: Vec<Value> = Vec::new();
    let mut set = |type_: &str, holds: bool, reason: Option<&str>, message: Option<&str>| {
        let status = if holds { "True" } else { "False" };
        let unchanged = old.iter().find(|condition| condition.type_ == type_ && condition.status == status);
        let since = unchanged.and_then(|condition| condition.last_transition_time.as_ref());
        let since = since.map_or(now, |since| since.0);
        let mut condition = json!({"type": type_, "status": status, "lastTransitionTime": time(since)});
        if let Some(fields) = condition.as_object_mut() {
            fields.extend(reason.map(|reason| ("reason".to_owned(), reason.into())));
            fields.extend(message.map(|message| ("message".to_owned(), message.into())));
        }
        conditions.push(condition);
    };
    let phase = progress.phase();
    let is_ready = phase == "Running" && progress.main.iter().all(|state| matches!(state, State::Running(_)));
    let unready = match phase {
        _ if is_ready => None,
        "Succeeded" => Some("PodCompleted"),
        "Failed" => Some("PodFailed"),
        _ => Some("ContainersNotReady"),
    };
    let initialized = progress.is_initialized();
    set("PodScheduled", true, None, None);
    set("Initialized", initialized, (!initialized).then_some("ContainersNotInitialized"), None);
    set("ContainersReady", is_ready, unready, None);
    set("Ready", is_ready, unready, None);
    if let Some(cause) = progress.cause.filter(|cause| progress.ended && cause.is_disruption()) {
        set("DisruptionTarget", true, Some("TerminationByKubelet"), cause.said().map(|(_, message)| message));
    }
    let has_type = |one: &Value, type_: &str| one.get("type").and_then(Value::as_str) == Some(type_);
    let is_ours = |condition: &&PodCondition| conditions.iter().any(|one| has_type(one, &condition.type_));
    let foreign: Vec<Value> =
        old.iter().filter(|one| !is_ours(one)).filter_map(|one| serde_json::to_value(one).ok()).collect();
    conditions.extend(foreign);
    Value::Array(conditions)
}

/// Whole seconds, as all of Kubernetes writes them.
fn time(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

#[cfg(test)]
mod tests;
