//! A world to plan for: jobs that wait, run, end, are refused, suspended and stopped, by the throw of a dice; and the
//! memory of a shell that forgets everything in a crash.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::fixture::object;
use crate::api::common::Object;
use crate::api::orchestration::{ActivityState, OrchestrationStatus};
use crate::engine::definition::Compiled;
use crate::engine::effect::Effect;
use crate::engine::observe::{Attempt, FailureReason, Observed, Outcome, Verdict};
use crate::engine::plan::retrying::is_given_up;
use crate::engine::retry;
use crate::engine::state::is_final;

/// Every reason that an attempt can fail for.
const REASONS: [FailureReason; 16] = [
    FailureReason::Disrupted,
    FailureReason::ExitCode,
    FailureReason::ExitCode,
    FailureReason::FatalExitCode,
    FailureReason::JobVanished,
    FailureReason::PodDeleted,
    FailureReason::TimedOut,
    FailureReason::AdmissionDenied,
    FailureReason::Disrupted,
    FailureReason::ExitCode,
    FailureReason::JobVanished,
    FailureReason::NameConflict,
    FailureReason::OutputInvalid,
    FailureReason::OutputLost,
    FailureReason::StartingDeadlineExceeded,
    FailureReason::TimedOut,
];

/// Random numbers that are the same for the same seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below a limit.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit.max(1)
    }

    pub fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap()
    }

    pub fn seconds(&mut self, limit: u64) -> SignedDuration {
        SignedDuration::from_secs(i64::try_from(self.below(limit)).unwrap())
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }
}

/// What became of one attempt.
#[derive(Clone, Debug)]
pub struct Job {
    pub phase: Phase,
    created: Timestamp,
    started: Option<Timestamp>,
    /// Whether the caches show it.
    is_visible: bool,
    /// Whether it waits for ever.
    is_stuck: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    Waiting,
    Running,
    Stopping,
    Stopped,
    Ended(Outcome),
}

/// What the shell remembers of its starts.
#[derive(Clone, Debug)]
enum Issue {
    Requested(Timestamp),
    Refused { since: Timestamp, retry_at: Timestamp },
    Failed(Outcome),
}

#[derive(Debug)]
pub struct World {
    pub now: Timestamp,
    /// Every attempt that was ever started.
    pub jobs: BTreeMap<(usize, u32), Job>,
    issues: BTreeMap<(usize, u32), Issue>,
    pub dice: Dice,
    /// Of a thousand attempts, how many fail.
    pub failures: u64,
    /// Whether starts are refused and strangers suspend.
    pub is_troubled: bool,
    /// Whether a stop is never answered.
    pub is_stubborn: bool,
    /// Whether the orchestration has to end.
    pub is_ending: bool,
    /// The attempts that strangers may resume: a stop is a suspension, and who may undo one cannot be told from the
    /// other. Strangers know what is on record, and resume nothing that is over or given up.
    pub resumable: BTreeSet<(usize, u32)>,
    /// Attempts whose stop we asked for.
    stops: Vec<(usize, u32)>,
}

impl World {
    pub fn new(now: Timestamp, dice: Dice) -> Self {
        Self {
            now,
            jobs: BTreeMap::new(),
            issues: BTreeMap::new(),
            dice,
            failures: 0,
            is_troubled: true,
            is_stubborn: false,
            is_ending: false,
            resumable: BTreeSet::new(),
            stops: Vec::new(),
        }
    }

    /// What the shell sees: nothing of what is final in the stored status, and of others the current attempt.
    pub fn observe(&self, compiled: &Compiled, stored: &OrchestrationStatus) -> Observed {
        let mut observed = Observed::default();
        for (index, activity) in compiled.activities.iter().enumerate() {
            let entry = stored.activities.get(&activity.id);
            let state = entry.map_or(ActivityState::Pending, |entry| entry.state);
            if is_final(state) {
                continue;
            }
            let attempt = entry.map_or(1, retry::attempt);
            let job = self.jobs.get(&(index, attempt));
            let seen = match (self.issues.get(&(index, attempt)), job) {
                (Some(Issue::Failed(outcome)), _) => Attempt::Ended(outcome.clone()),
                (Some(Issue::Refused { since, retry_at }), _) => Attempt::Refused {
                    since: *since,
                    retry_at: *retry_at,
                    reason: "QuotaExceeded".to_owned(),
                    message: "exceeded quota".to_owned(),
                },
                (Some(Issue::Requested(at)), Some(job)) if !job.is_visible => Attempt::Requested { at: *at },
                (_, Some(job)) => job.attempt(index),
                (_, None) => Attempt::Absent,
            };
            if seen != Attempt::Absent {
                observed.insert(index, attempt, seen);
            }
        }
        observed
    }

    /// Carries out one effect.
    pub fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Start { activity, attempt, .. } => {
                let issue = self.start(*activity, *attempt);
                self.issues.insert((*activity, *attempt), issue);
            }
            Effect::Stop { activity, attempt } => {
                self.stops.push((*activity, *attempt));
                let Some(job) = self.jobs.get_mut(&(*activity, *attempt)) else { return };
                job.is_visible = true;
                match job.phase {
                    Phase::Waiting | Phase::Running => job.phase = Phase::Stopping,
                    Phase::Stopping | Phase::Stopped | Phase::Ended(_) => {}
                }
            }
        }
    }

    fn start(&mut self, activity: usize, attempt: u32) -> Issue {
        if self.jobs.contains_key(&(activity, attempt)) {
            return Issue::Requested(self.now);
        }
        if self.is_troubled && self.dice.one_in(4) {
            let since = match self.issues.get(&(activity, attempt)) {
                Some(Issue::Refused { since, .. }) => *since,
                _ => self.now,
            };
            let pause = SignedDuration::from_secs(1) + self.dice.seconds(5);
            return Issue::Refused { since, retry_at: self.now + pause };
        }
        if self.dice.below(4000) < self.failures {
            return Issue::Failed(self.failure(None));
        }
        let is_visible = self.dice.one_in(3);
        let is_stuck = self.is_troubled && self.dice.one_in(25);
        self.jobs.insert(
            (activity, attempt),
            Job { phase: Phase::Waiting, created: self.now, started: None, is_visible, is_stuck },
        );
        Issue::Requested(self.now)
    }

    fn failure(&mut self, start_time: Option<Timestamp>) -> Outcome {
        let verdict = Verdict::Failed { reason: self.dice.pick(&REASONS), message: "it failed".to_owned() };
        Outcome { verdict, start_time, completion_time: self.dice.one_in(2).then_some(self.now) }
    }

    fn outcome(&mut self, activity: usize, start_time: Option<Timestamp>) -> Outcome {
        if self.dice.below(1000) < self.failures {
            return self.failure(start_time);
        }
        let number = self.dice.below(100);
        let outputs = match number % 4 {
            0 => json!({}),
            1 => json!({"value": number}),
            2 => json!({"value": {"list": [null, {"of": activity}]}, "more": "text"}),
            _ => json!({"more": {}}),
        };
        Outcome { verdict: Verdict::Complete(object(outputs)), start_time, completion_time: Some(self.now) }
    }

    /// The shell is gone and comes back: it remembers nothing, and reads everything anew.
    pub fn crash(&mut self) {
        self.issues.clear();
        self.jobs.values_mut().for_each(|job| job.is_visible = true);
    }

    /// What is stored need not be remembered.
    pub fn forget_stored(&mut self, compiled: &Compiled, stored: &OrchestrationStatus) {
        self.issues.retain(|(activity, attempt), _| {
            let entry = stored.activities.get(&compiled.activities[*activity].id);
            entry.is_none_or(|entry| !is_final(entry.state) && *attempt >= retry::attempt(entry))
        });
        self.resumable.clear();
        for (index, activity) in compiled.activities.iter().enumerate() {
            let Some(entry) = stored.activities.get(&activity.id) else { continue };
            if !is_final(entry.state) && !is_given_up(entry) {
                self.resumable.insert((index, retry::attempt(entry)));
            }
        }
        self.is_ending = stored.stop_time.is_some() || stored.finally_stop_time.is_some();
    }

    /// A moment passes. In quiet times everything moves on at once.
    pub fn pass(&mut self) {
        let quiet = !self.is_troubled;
        for (activity, attempt) in self.jobs.keys().copied().collect::<Vec<_>>() {
            let stopped_by_us = self.stops.contains(&(activity, attempt));
            let moves = quiet || self.dice.one_in(2);
            let suspended = !quiet && self.dice.one_in(20);
            let now = self.now;
            let mut job = self.jobs[&(activity, attempt)].clone();
            job.is_visible |= moves;
            job.phase = match job.phase {
                Phase::Waiting | Phase::Running if suspended => Phase::Stopping,
                Phase::Waiting if job.is_stuck => Phase::Waiting,
                Phase::Waiting if moves => {
                    job.started = Some(now);
                    Phase::Running
                }
                Phase::Running if moves => Phase::Ended(self.outcome(activity, job.started)),
                Phase::Stopping if stopped_by_us && self.is_stubborn && self.is_ending => Phase::Stopping,
                Phase::Stopping if moves && job.started.is_some() && self.dice.one_in(10) => {
                    Phase::Ended(self.outcome(activity, job.started))
                }
                Phase::Stopping if moves => Phase::Stopped,
                Phase::Stopped
                    if moves
                        && !stopped_by_us
                        && !self.is_ending
                        && self.resumable.contains(&(activity, attempt)) =>
                {
                    Phase::Waiting
                }
                same => same,
            };
            self.jobs.insert((activity, attempt), job);
        }
    }

    /// A person suspends the orchestration: what was refused is not asked for any more.
    pub fn forget_refusals(&mut self) {
        self.issues.retain(|_, issue| !matches!(issue, Issue::Refused { .. }));
    }

    /// The outputs of an activity that has succeeded in this world.
    pub fn outputs(&self, activity: usize) -> Option<&Object> {
        self.verdicts(activity).find_map(|verdict| match verdict {
            Verdict::Complete(outputs) => Some(outputs),
            Verdict::Failed { .. } => None,
        })
    }

    /// Whether anything of an activity was ever started.
    pub fn has_started(&self, activity: usize) -> bool {
        self.jobs.range((activity, 0)..=(activity, u32::MAX)).next().is_some()
    }

    /// Whether an activity has failed in this world.
    pub fn has_failed(&self, activity: usize) -> bool {
        self.verdicts(activity).any(|verdict| matches!(verdict, Verdict::Failed { .. }))
    }

    fn verdicts(&self, activity: usize) -> impl Iterator<Item = &Verdict> {
        let issue =
            self.issues.range((activity, 0)..=(activity, u32::MAX)).filter_map(|(_, issue)| match issue {
                Issue::Failed(outcome) => Some(&outcome.verdict),
                Issue::Requested(_) | Issue::Refused { .. } => None,
            });
        let ended =
            self.jobs.range((activity, 0)..=(activity, u32::MAX)).filter_map(|(_, job)| match &job.phase {
                Phase::Ended(outcome) => Some(&outcome.verdict),
                _ => None,
            });
        issue.chain(ended)
    }

    /// Attempts of which something runs, or may run again.
    pub fn unfinished(&self) -> impl Iterator<Item = usize> {
        let runs = |job: &Job| matches!(job.phase, Phase::Waiting | Phase::Running | Phase::Stopping);
        self.jobs.iter().filter(move |(_, job)| runs(job)).map(|((activity, _), _)| *activity)
    }
}

impl Job {
    fn attempt(&self, activity: usize) -> Attempt {
        let explained = activity.is_multiple_of(2);
        match &self.phase {
            Phase::Waiting => Attempt::Waiting {
                since: self.created,
                reason: explained.then(|| "Unschedulable".to_owned()),
                message: explained.then(|| "0/3 nodes".to_owned()),
            },
            Phase::Running => Attempt::Running { start_time: self.started.unwrap_or(self.created) },
            Phase::Stopping => Attempt::Stopping,
            Phase::Stopped => Attempt::Stopped,
            Phase::Ended(outcome) => Attempt::Ended(outcome.clone()),
        }
    }
}
