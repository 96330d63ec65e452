//! The plan: from a compiled definition, the stored status and what is observed, what to do and what to record.
//!
//! Responsible for: every step of an accepted orchestration. Must never: fail, panic, or claim in a status what was
//! not observed; an effect comes first and its observation is recorded afterwards.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::condition::stamp;
use super::definition::{Compiled, CompiledActivity};
use super::effect::Effect;
use super::observe::{Attempt, FailureReason, Observed};
use super::retry;
use super::state::{is_done, is_final, is_legal};
use super::status::StatusUpdate;
use super::value::cut_stored;
use crate::api::common::Object;
use crate::api::orchestration::{ActivityState, ActivityStatus, Orchestration, OrchestrationStatus};

mod ending;
mod observing;
mod preparing;
mod retrying;
mod starting;
mod stopping;
#[cfg(test)]
mod tests;

pub(super) use ending::progress;

/// Largest input of one activity, in bytes of JSON.
pub const MAX_INPUT_BYTES: usize = 65_536;
/// Largest outputs of one activity, in bytes of JSON.
pub const MAX_ACTIVITY_OUTPUT_BYTES: usize = 4096;
/// Largest sum of all outputs of one orchestration, in bytes as they are stored, so that its status can always be.
pub const MAX_TOTAL_OUTPUT_BYTES: usize = 524_288;
/// Largest output of an orchestration, in bytes as they are stored. It repeats what activities produced, or the input, up to a
/// hundred times.
pub const MAX_OUTPUT_BYTES: usize = 262_144;
/// How long a stop may take at least before the orchestration ends without waiting for it; longer for pods that have a
/// longer grace period of their own.
pub const STOP_GRACE: SignedDuration = SignedDuration::from_secs(60);
/// How long a start may go unseen before the server is asked about it.
pub const UNSEEN: SignedDuration = SignedDuration::from_secs(10);
/// How long an attempt may wait without a known reason before one is looked for.
pub const UNEXPLAINED: SignedDuration = SignedDuration::from_secs(3);

/// Everything that a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// What is run.
    pub compiled: &'a Compiled,
    /// The Orchestration with its stored status; it is accepted.
    pub orchestration: &'a Orchestration,
    /// What is known of every attempt.
    pub observed: &'a Observed,
    /// The time.
    pub now: Timestamp,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// To be done first; each is idempotent.
    pub effects: Vec<Effect>,
    /// The status to record. Equal to the stored one if nothing changed.
    pub update: StatusUpdate,
    /// When to record it.
    pub urgency: Urgency,
    /// What to tell people, once the status is recorded.
    pub notices: Vec<Notice>,
    /// When to look again at the latest; nothing once finished.
    pub wake_at: Option<Timestamp>,
    /// Activities and edges looked at: the measure of the plan's cost.
    pub work: u64,
}

/// When a status is to be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Together with what comes in the next moment, at most once a second.
    #[default]
    Soon,
    /// At once: somebody waits for it.
    Now,
}

/// Something worth telling.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The first activity has started.
    Started,
    /// An activity has failed.
    ActivityFailed {
        /// Index of the activity.
        activity: usize,
        /// Number of the attempt.
        attempt: u32,
        /// Why, for programs.
        reason: String,
        /// Why, for people.
        message: String,
    },
    /// An attempt has failed, and another follows.
    Retrying {
        /// Index of the activity.
        activity: usize,
        /// Number of the attempt that has failed.
        attempt: u32,
        /// Why, for programs.
        reason: String,
        /// Why, for people.
        message: String,
    },
    /// The orchestration has ended.
    Finished {
        /// Whether it succeeded.
        succeeded: bool,
        /// Reason of the condition Succeeded.
        reason: String,
        /// Message of the condition Succeeded.
        message: String,
    },
    /// A transition that the table does not allow was asked for, and not made. A bug.
    IllegalTransition {
        /// Index of the activity.
        activity: usize,
        /// State that it is in.
        from: ActivityState,
        /// State that it was to get.
        to: ActivityState,
    },
}

/// Plans one round. Applied to its own result it has no effects and changes nothing.
#[must_use]
pub fn plan(situation: &Situation<'_>) -> Plan {
    let mut planner = Planner::new(situation);
    if planner.stored.completion_time.is_some() {
        return planner.keep_finished();
    }
    planner.observe();
    planner.start();
    planner.settle();
    planner.begin_to_end();
    planner.conclude()
}

/// One round while it is being planned.
struct Planner<'a> {
    compiled: &'a Compiled,
    orchestration: &'a Orchestration,
    observed: &'a Observed,
    now: Timestamp,
    deadline: Timestamp,
    stored: &'a OrchestrationStatus,
    /// The stored entry of every activity, by index.
    before: Vec<&'a ActivityStatus>,
    /// The input with its defaults, once it was needed.
    input: OnceCell<Object>,
    /// When the stopping began, as it is to be recorded, and why.
    stop_time: Option<Time>,
    stop_reason: Option<String>,
    /// When what is in `finally` became ready, and when its stopping began, as they are to be recorded.
    finally_time: Option<Time>,
    finally_stop_time: Option<Time>,
    /// The entries that changed.
    changed: BTreeMap<usize, ActivityStatus>,
    /// Outputs are new, and whether there is room for them might be decided otherwise as long as they are not stored.
    is_room_contested: bool,
    plan: Plan,
}

impl<'a> Planner<'a> {
    fn new(situation: &Situation<'a>) -> Self {
        let orchestration = situation.orchestration;
        let stored = orchestration.status.as_ref().unwrap_or(empty_status());
        let compiled = situation.compiled;
        let entry =
            |activity: &CompiledActivity| stored.activities.get(&activity.id).unwrap_or(empty_activity());
        Self {
            compiled,
            orchestration,
            observed: situation.observed,
            now: situation.now,
            deadline: super::acceptance::deadline(orchestration, compiled.active_deadline_seconds),
            stored,
            before: compiled.activities.iter().map(entry).collect(),
            input: OnceCell::new(),
            stop_time: stored.stop_time.clone(),
            stop_reason: stored.stop_reason.clone(),
            finally_time: stored.finally_time.clone(),
            finally_stop_time: stored.finally_stop_time.clone(),
            changed: BTreeMap::new(),
            is_room_contested: false,
            plan: Plan::default(),
        }
    }

    /// The entry of an activity as it is to be.
    fn entry(&self, activity: usize) -> &ActivityStatus {
        self.changed.get(&activity).unwrap_or_else(|| self.stored_entry(activity))
    }

    /// The entry of an activity as it is stored.
    fn stored_entry(&self, activity: usize) -> &'a ActivityStatus {
        self.before.get(activity).copied().unwrap_or(empty_activity())
    }

    fn state(&self, activity: usize) -> ActivityState {
        self.entry(activity).state
    }

    /// Number of the attempt that is observed, or would be started. What was observed speaks of what is stored.
    fn attempt(&self, activity: usize) -> u32 {
        retry::attempt(self.stored_entry(activity))
    }

    /// What is known of that attempt.
    fn seen(&self, activity: usize) -> &'a Attempt {
        self.observed.attempt(activity, self.attempt(activity))
    }

    /// The activities that are not of `finally`.
    fn main(&self) -> Range<usize> {
        0..self.compiled.main.min(self.compiled.activities.len())
    }

    /// The activities of `finally`.
    fn finally(&self) -> Range<usize> {
        self.main().end..self.compiled.activities.len()
    }

    /// Moves an activity to a state and changes its entry. The only place where a state is set.
    fn advance(&mut self, activity: usize, to: ActivityState, change: impl FnOnce(&mut ActivityStatus)) {
        let before = self.entry(activity);
        if !is_legal(before.state, to) {
            self.plan.notices.push(Notice::IllegalTransition { activity, from: before.state, to });
            return;
        }
        if is_final(before.state) {
            return;
        }
        let mut after = before.clone();
        after.state = to;
        after.tier = after.tier.or_else(|| self.tier(activity));
        change(&mut after);
        if is_final(to) && to != ActivityState::NotStarted && after.completion_time.is_none() {
            after.completion_time = Some(stamp(self.now));
        }
        if after == *self.stored_entry(activity) {
            self.changed.remove(&activity);
        } else {
            self.changed.insert(activity, after);
        }
    }

    fn tier(&self, activity: usize) -> Option<u32> {
        if self.compiled.is_finally(activity) {
            return None;
        }
        self.compiled.activities.get(activity).and_then(|activity| u32::try_from(activity.tier).ok())
    }

    /// An activity fails without an attempt.
    fn fail(&mut self, activity: usize, reason: FailureReason, message: String) {
        self.fail_with(activity, reason, message, |_| {});
    }

    /// An activity fails, and more of its entry changes.
    fn fail_with(
        &mut self,
        activity: usize,
        reason: FailureReason,
        message: String,
        change: impl FnOnce(&mut ActivityStatus),
    ) {
        let limit = self.message_limit();
        self.advance(activity, ActivityState::Failed, |entry| {
            change(entry);
            entry.reason = Some(reason.as_str().to_owned());
            entry.message = Some(cut_stored(message, limit));
        });
    }

    /// Longest message of one activity: 1 KiB, and less in a large orchestration, so that a thousand failures fit
    /// into one status.
    fn message_limit(&self) -> usize {
        (262_144 / self.compiled.activities.len().max(1)).clamp(200, 1024)
    }

    fn wake(&mut self, at: Timestamp) {
        self.plan.wake_at = Some(self.plan.wake_at.map_or(at, |before| before.min(at)));
    }

    fn urgent(&mut self) {
        self.plan.urgency = Urgency::Now;
    }

    fn count(&self, among: Range<usize>, wanted: ActivityState) -> usize {
        among.into_iter().filter(|activity| self.state(*activity) == wanted).count()
    }

    /// Whether nothing new may start because somebody wants it so.
    fn is_suspended(&self) -> bool {
        self.orchestration.spec.suspend
    }

    fn is_done(&self, activity: usize) -> bool {
        is_done(self.state(activity))
    }

    /// The input with its defaults: a function of what is pinned and immutable, so that it is the same in every round.
    fn input(&self) -> &Object {
        self.input.get_or_init(|| self.compiled.input(self.orchestration.spec.input.as_ref()))
    }
}

fn empty_activity() -> &'static ActivityStatus {
    static EMPTY: std::sync::LazyLock<ActivityStatus> = std::sync::LazyLock::new(ActivityStatus::default);
    &EMPTY
}

fn empty_status() -> &'static OrchestrationStatus {
    static EMPTY: std::sync::LazyLock<OrchestrationStatus> =
        std::sync::LazyLock::new(OrchestrationStatus::default);
    &EMPTY
}
