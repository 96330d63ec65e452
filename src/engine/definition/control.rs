//! Run control of the activities: how often, and how long.
//!
//! Responsible for: filling in, field by field, what the activity, its type and the defaults say. Must never: leave a
//! policy with a longest pause that is shorter than the first.

use super::super::problem::ProblemCode;
use super::super::retry::Policy;
use super::Findings;
use crate::api::ActivityDefinitionSpec;
use crate::api::common::{MAX_SECONDS, Retry};
use crate::api::orchestration_definition::{Activity, DEFAULT_STARTING_DEADLINE_SECONDS};

/// The grace period of a pod when nothing is said, as Kubernetes has it.
const TERMINATION_GRACE_SECONDS: i64 = 30;
/// What the end of a pod may take beyond its grace period: the Job controller, the kubelet and our watch.
const STOP_MARGIN_SECONDS: i64 = 30;

/// What an activity type says of its attempts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    retry: Option<Retry>,
    timeout_seconds: Option<i64>,
    starting_deadline_seconds: Option<i64>,
    termination_grace_seconds: Option<i64>,
}

impl From<&ActivityDefinitionSpec> for Limits {
    fn from(spec: &ActivityDefinitionSpec) -> Self {
        Self {
            retry: spec.retry,
            timeout_seconds: spec.timeout_seconds,
            starting_deadline_seconds: spec.starting_deadline_seconds,
            termination_grace_seconds: spec
                .job
                .as_ref()
                .and_then(|job| job.template.get("spec")?.get("terminationGracePeriodSeconds")?.as_i64()),
        }
    }
}

/// What counts for one activity.
pub(super) struct Control {
    pub(super) retry: Policy,
    pub(super) timeout_seconds: Option<i64>,
    pub(super) starting_deadline_seconds: i64,
    pub(super) stop_grace_seconds: i64,
}

/// What counts for one activity, of which much may be said elsewhere.
pub(super) fn of_activity(
    at: usize,
    activity: &Activity,
    type_: &Limits,
    active_deadline_seconds: i64,
    found: &mut Findings,
) -> Control {
    let retry = Policy::of(activity.retry.as_ref(), type_.retry.as_ref());
    // What the type alone says is told of the type.
    if retry.max_seconds < retry.initial_seconds
        && activity.retry.is_some_and(|retry| retry.backoff.is_some())
    {
        let message = format!("{} is less than initialSeconds, {}", retry.max_seconds, retry.initial_seconds);
        found.at(at, ProblemCode::LimitExceeded, ".retry.backoff.maxSeconds", message);
    }
    let timeout_seconds = activity.timeout_seconds.or(type_.timeout_seconds);
    if let Some(timeout) = timeout_seconds.filter(|timeout| *timeout > active_deadline_seconds) {
        let field = if activity.timeout_seconds.is_some() { ".timeoutSeconds" } else { ".type" };
        let message = format!(
            "a time-out of {timeout} s never comes, spec.activeDeadlineSeconds ends everything after {active_deadline_seconds} s"
        );
        found.warn(at, ProblemCode::LimitExceeded, field, message);
    }
    Control {
        retry,
        timeout_seconds,
        stop_grace_seconds: type_
            .termination_grace_seconds
            .unwrap_or(TERMINATION_GRACE_SECONDS)
            .clamp(0, MAX_SECONDS)
            .saturating_add(STOP_MARGIN_SECONDS),
        starting_deadline_seconds: activity
            .starting_deadline_seconds
            .or(type_.starting_deadline_seconds)
            .unwrap_or(DEFAULT_STARTING_DEADLINE_SECONDS),
    }
}
