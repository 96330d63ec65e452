//! Second part of a plan: what is ready starts, or is skipped.
//!
//! Responsible for: readiness, order and parallelism. Must never: start or skip an activity before the outputs that it
//! reads are stored; a pod deleted in between would make them unrepeatable.

use super::super::definition::CompiledActivity;
use super::super::effect::Effect;
use super::super::observe::Attempt;
use super::super::state::is_done;
use super::super::value::cut_stored;
use super::Planner;
use super::preparing::Prepared;
use crate::api::orchestration::ActivityState;
use crate::api::orchestration_definition::Execution;

/// Reason of an activity that is skipped.
const CONDITION_FALSE: &str = "ConditionFalse";

impl Planner<'_> {
    /// Starts what is ready, in tier order and then as defined, as far as `parallelism` allows. What is skipped makes
    /// others ready in the same round.
    pub(super) fn start(&mut self) {
        if self.is_failing() || self.is_past_deadline() {
            return;
        }
        let mut free = self.compiled.parallelism.saturating_sub(self.count(ActivityState::Running));
        let mut open_tier = self.open_tier(0);
        for activity in self.compiled.order.iter().copied() {
            self.plan.work += 1;
            if free == 0 {
                return;
            }
            let Some(compiled) = self.compiled.activities.get(activity) else { continue };
            if compiled.tier > open_tier {
                // What was skipped on the way may have opened it.
                open_tier = self.open_tier(open_tier);
            }
            if !matches!(self.state(activity), ActivityState::Pending | ActivityState::Unknown)
                || compiled.tier > open_tier
                || !self.dependencies_are_done(activity)
            {
                continue;
            }
            match self.observed.attempt(activity) {
                Attempt::Absent => {}
                Attempt::Refused { retry_at, .. } if *retry_at <= self.now => {}
                Attempt::Refused { retry_at, .. } => {
                    self.wake(*retry_at);
                    free -= 1;
                    continue;
                }
                _ => {
                    free -= 1;
                    continue;
                }
            }
            if !self.outputs_are_stored(compiled) {
                self.urgent();
                free -= 1;
                continue;
            }
            match self.prepare(activity, compiled) {
                Ok(Prepared::Inputs(inputs)) => {
                    free -= 1;
                    self.plan.effects.push(Effect::Start {
                        activity,
                        attempt: self.attempt(activity),
                        inputs,
                    });
                }
                Ok(Prepared::Skip(condition)) => self.skip(activity, condition),
                Err((reason, message)) => {
                    // After a failure nothing new starts, and that includes what would have started with it.
                    self.plan.effects.clear();
                    return self.fail(activity, reason, message);
                }
            }
        }
    }

    /// The last tier whose activities may start; all before `from` are known to be done.
    fn open_tier(&self, from: usize) -> usize {
        match self.compiled.execution {
            Execution::Eager => usize::MAX,
            Execution::Tiered => {
                let later = self.compiled.tiers.iter().skip(from);
                from + later.take_while(|tier| tier.iter().all(|at| self.is_done(*at))).count()
            }
        }
    }

    fn dependencies_are_done(&mut self, activity: usize) -> bool {
        let dependencies = self.compiled.graph.dependencies(activity);
        self.plan.work += dependencies.len() as u64;
        dependencies.iter().all(|dependency| self.is_done(*dependency))
    }

    fn outputs_are_stored(&self, compiled: &CompiledActivity) -> bool {
        compiled.reads.iter().all(|read| is_done(self.stored_entry(*read).state))
    }

    fn skip(&mut self, activity: usize, condition: &str) {
        let limit = self.message_limit();
        self.advance(activity, ActivityState::Skipped, |entry| {
            entry.reason = Some(CONDITION_FALSE.to_owned());
            entry.message = Some(cut_stored(format!("when is false: {condition}"), limit));
        });
    }
}
