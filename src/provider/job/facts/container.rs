//! Containers: what their statuses in a pod say.
//!
//! Responsible for: starts, ends and waits of single containers. Must never: say what they mean for the pod.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{MAX_MESSAGE, Said, said};
use crate::engine::text;

/// Most bytes of a termination message that the kubelet keeps of one container, and of all containers of a pod.
pub(super) const MAX_TERMINATION_MESSAGE: usize = 4096;
const MAX_TERMINATION_MESSAGES: usize = 12 * 1024;
/// Reason of a wait for init containers, in the kubelet's word.
pub(super) const INITIALIZING: &str = "PodInitializing";

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

/// The status of the first container of the spec. Statuses are sorted by name, so the first of them may be another.
pub(super) fn first_container<'a>(
    spec: Option<&PodSpec>,
    statuses: &'a [ContainerStatus],
) -> Option<&'a ContainerStatus> {
    match spec.and_then(|spec| spec.containers.first()) {
        Some(container) => statuses.iter().find(|status| status.name == container.name),
        None => statuses.first(),
    }
}

/// The states of a container, before its last restart too: a restart takes the start out of the current one.
pub(super) fn states(status: &ContainerStatus) -> impl Iterator<Item = &ContainerState> {
    status.state.iter().chain(&status.last_state)
}

pub(super) fn started_at(state: &ContainerState) -> Option<Timestamp> {
    let running = state.running.as_ref().and_then(|running| running.started_at.as_ref());
    let terminated = state.terminated.as_ref().and_then(|terminated| terminated.started_at.as_ref());
    running.or(terminated).and_then(instant)
}

pub(super) fn finished_at(state: &ContainerState) -> Option<Timestamp> {
    state.terminated.as_ref()?.finished_at.as_ref().and_then(instant)
}

/// A time that something really happened at: the kubelet writes 1970 for a container that was made but could not start.
pub(super) fn instant(time: &Time) -> Option<Timestamp> {
    (time.0 > Timestamp::UNIX_EPOCH).then_some(time.0)
}

/// What a container waits for, if it is more than the ordinary way to its start.
pub(super) fn waiting(status: &ContainerStatus) -> Option<Said> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason =
        waiting.reason.as_deref().filter(|reason| !matches!(*reason, "ContainerCreating" | INITIALIZING))?;
    Some(said(Some(reason), waiting.message.as_deref()))
}

/// The init container that is at work.
pub(super) fn initializing(init_containers: &[ContainerStatus]) -> Option<Said> {
    let is_running = |status: &&ContainerStatus| status.state.as_ref().is_some_and(|s| s.running.is_some());
    let status = init_containers.iter().find(is_running)?;
    Some(said(Some(INITIALIZING), Some(&format!("init container {} runs", status.name))))
}

/// Reasons that take turns while one obstacle lasts are one.
pub(super) fn obstacle(reason: &str) -> &str {
    if reason == "ErrImagePull" { "ImagePullBackOff" } else { reason }
}

pub(super) fn failures(statuses: &[ContainerStatus], init: bool) -> impl Iterator<Item = Terminated> {
    let failed = |ended: &ContainerStateTerminated| ended.exit_code != 0;
    statuses
        .iter()
        .filter(move |status| {
            status.state.as_ref().and_then(|state| state.terminated.as_ref()).is_some_and(failed)
        })
        .filter_map(move |status| terminated(status, init, MAX_MESSAGE))
}

pub(super) fn terminated(status: &ContainerStatus, init: bool, limit: usize) -> Option<Terminated> {
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
pub(super) fn message_limit(spec: Option<&PodSpec>) -> usize {
    let containers =
        spec.map_or(1, |spec| spec.containers.len() + spec.init_containers.as_ref().map_or(0, Vec::len));
    MAX_TERMINATION_MESSAGE.min(MAX_TERMINATION_MESSAGES / containers.max(1))
}
