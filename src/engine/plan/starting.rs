//! Second part of a plan: what is ready starts, or is skipped.
//!
//! Responsible for: readiness, order and parallelism. Must never: start or skip an activity before the outputs that it
//! reads are stored; a pod deleted in between would make them unrepeatable. Nor start anything on a success that might be
//! none in the end, because there is no room for its outputs.

use super::super::definition::CompiledActivity;
use super::super::effect::Effect;
use super::super::observe::Attempt;
use super::super::state::{is_done, is_final};
use super::super::value::{cut_stored, printable};
use super::Planner;
use super::preparing::Prepared;
use crate::api::orchestration::ActivityState;
use crate::api::orchestration_definition::{Execution, FailurePolicy};

/// Reason of an activity that is skipped.
const CONDITION_FALSE: &str = "ConditionFalse";

impl Planner<'_> {
    /// Starts what is ready, in tier order and then as defined, as far as `parallelism` allows. What is skipped makes
    /// others ready in the same round.
    pub(super) fn start(&mut self) {
        let (main, finally) = (!self.main_is_halted(), !self.finally_is_halted());
        if self.is_suspended() || !(main || finally) {
            return;
        }
        let running = self.count(0..self.compiled.activities.len(), ActivityState::Running);
        let mut free = self.compiled.parallelism.saturating_sub(running);
        let mut lost = vec![false; self.compiled.activities.len()];
        let mut open_tier = self.open_tier(0, &lost);
        for activity in self.compiled.order.iter().copied() {
            self.plan.work += 1;
            if free == 0 {
                return;
            }
            let Some(compiled) = self.compiled.activities.get(activity) else { continue };
            let is_finally = self.compiled.is_finally(activity);
            self.find_lost(activity, &mut lost);
            if !(if is_finally { finally } else { main }) {
                continue;
            }
            if compiled.tier > open_tier {
                // What was skipped on the way may have opened it.
                open_tier = self.open_tier(open_tier, &lost);
            }
            if !self.awaits_its_turn(activity)
                || (compiled.tier > open_tier && !is_finally)
                || !self.dependencies_are_done(activity)
            {
                continue;
            }
            match self.seen(activity) {
                Attempt::Absent => {}
                Attempt::Refused { since, retry_at, reason, message } => {
                    let deadline = self.starting_deadline(activity, *since);
                    if self.now >= deadline {
                        self.fail_refused(activity, reason, message);
                        if self.ends_with(activity) {
                            return;
                        }
                        continue;
                    }
                    if *retry_at > self.now {
                        self.wake(deadline.min(*retry_at));
                        free -= 1;
                        continue;
                    }
                }
                _ => {
                    free -= 1;
                    continue;
                }
            }
            if self.is_room_contested || !self.outputs_are_stored(compiled, is_finally) {
                self.urgent();
                free -= 1;
                continue;
            }
            match self.prepare(activity, compiled) {
                Ok(Prepared::Inputs(inputs)) => {
                    free -= 1;
                    let attempt = self.attempt(activity);
                    self.plan.effects.push(Effect::Start { activity, attempt, inputs });
                }
                Ok(Prepared::Skip(condition)) => self.skip(activity, condition),
                Err((reason, message)) => {
                    self.fail(activity, reason, message);
                    if self.ends_with(activity) {
                        return;
                    }
                }
            }
        }
    }

    /// Whether an activity is to be started. One whose attempt has failed in this round is so only once that is stored:
    /// what is observed speaks of the attempt that is stored.
    fn awaits_its_turn(&mut self, activity: usize) -> bool {
        let entry = self.entry(activity);
        match entry.state {
            ActivityState::Pending | ActivityState::Unknown => true,
            ActivityState::Retrying => {
                let next = entry.next_attempt_time.as_ref().map_or(self.now, |next| next.0);
                let is_stored = !self.has_failed_anew(activity, entry);
                if next > self.now {
                    self.wake(next);
                }
                is_stored && next <= self.now
            }
            ActivityState::Running
            | ActivityState::Succeeded
            | ActivityState::Skipped
            | ActivityState::Failed
            | ActivityState::Cancelled
            | ActivityState::NotStarted => false,
        }
    }

    /// Whether nothing new starts after an activity has failed in this round, and that includes what would have started
    /// with it.
    fn ends_with(&mut self, activity: usize) -> bool {
        let ends = self.state(activity) == ActivityState::Failed
            && !self.compiled.is_finally(activity)
            && self.main_is_halted();
        if ends {
            self.plan.effects.retain(|effect| !matches!(effect, Effect::Start { .. }));
        }
        ends
    }

    /// The last tier whose activities may start; all before `from` are known to be over.
    fn open_tier(&self, from: usize, lost: &[bool]) -> usize {
        match self.compiled.execution {
            Execution::Eager => usize::MAX,
            Execution::Tiered => {
                let is_over =
                    |at: &usize| is_final(self.state(*at)) || lost.get(*at).copied().unwrap_or_default();
                let later = self.compiled.tiers.iter().skip(from);
                from + later.take_while(|tier| tier.iter().all(is_over)).count()
            }
        }
    }

    /// Which activities can never start, because something that they depend on has not succeeded.
    pub(super) fn lost(&mut self) -> Vec<bool> {
        let mut lost = vec![false; self.compiled.activities.len()];
        for activity in self.compiled.tiers.iter().flatten().copied() {
            self.find_lost(activity, &mut lost);
        }
        lost
    }

    /// Finds out whether an activity can never start, when it is known of all before it. Only where all goes on after a
    /// failure; otherwise nothing starts anyway.
    fn find_lost(&mut self, activity: usize, lost: &mut [bool]) {
        if self.compiled.failure_policy != FailurePolicy::Continue
            || !matches!(self.state(activity), ActivityState::Pending | ActivityState::Unknown)
        {
            return;
        }
        let dependencies = self.compiled.graph.dependencies(activity);
        self.plan.work += dependencies.len() as u64;
        let is_lost = dependencies.iter().any(|on| {
            let has_no_success = is_final(self.state(*on)) && !self.is_done(*on);
            has_no_success || lost.get(*on).copied().unwrap_or_default()
        });
        if let Some(flag) = lost.get_mut(activity) {
            *flag = is_lost;
        }
    }

    fn dependencies_are_done(&mut self, activity: usize) -> bool {
        let dependencies = self.compiled.graph.dependencies(activity);
        self.plan.work += dependencies.len() as u64;
        dependencies.iter().all(|dependency| self.is_done(*dependency))
    }

    /// What is in `finally` reads what there is, the outputs of what has failed included: there are none.
    fn outputs_are_stored(&self, compiled: &CompiledActivity, is_finally: bool) -> bool {
        compiled.reads.iter().all(|read| {
            let state = self.stored_entry(*read).state;
            if is_finally { is_final(state) } else { is_done(state) }
        })
    }

    fn skip(&mut self, activity: usize, condition: &str) {
        let limit = self.message_limit();
        self.advance(activity, ActivityState::Skipped, |entry| {
            entry.reason = Some(CONDITION_FALSE.to_owned());
            entry.message = Some(cut_stored(printable(&format!("when is false: {condition}")), limit));
        });
    }
}
