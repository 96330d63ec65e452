//! Second part of a plan: what is ready starts.
//!
//! Responsible for: readiness, order, parallelism, and what an activity gets. Must never: start an activity before
//! the outputs that it reads are stored; a pod deleted in between would make them unrepeatable.

use super::super::definition::{Binding, CompiledActivity, Root};
use super::super::effect::Effect;
use super::super::observe::{Attempt, FailureReason};
use super::super::path::read;
use super::super::value::without_nulls;
use super::observing::bytes;
use super::{MAX_INPUT_BYTES, Planner};
use crate::api::common::Object;
use crate::api::orchestration::ActivityState;
use crate::api::orchestration_definition::Execution;

impl Planner<'_> {
    /// Starts what is ready, in tier order and then as defined, as far as `parallelism` allows.
    pub(super) fn start(&mut self) {
        if self.is_failing() || self.is_past_deadline() {
            return;
        }
        let mut free = self.compiled.parallelism.saturating_sub(self.count(ActivityState::Running));
        let open_tier = self.open_tier();
        for activity in self.compiled.order.iter().copied() {
            self.plan.work += 1;
            if free == 0 {
                return;
            }
            let Some(compiled) = self.compiled.activities.get(activity) else { continue };
            if !matches!(self.state(activity), ActivityState::Pending | ActivityState::Unknown)
                || compiled.tier > open_tier
                || !self.dependencies_are_done(activity)
            {
                continue;
            }
            free -= 1;
            match self.observed.attempt(activity) {
                Attempt::Absent => {}
                Attempt::Refused { retry_at, .. } if *retry_at <= self.now => {}
                Attempt::Refused { retry_at, .. } => {
                    self.wake(*retry_at);
                    continue;
                }
                _ => continue,
            }
            if !self.outputs_are_stored(compiled) {
                self.urgent();
                continue;
            }
            let inputs = self.resolve(&compiled.inputs);
            let size = bytes(&inputs);
            if size > MAX_INPUT_BYTES {
                let message =
                    format!("the input has {size} bytes of JSON, at most {MAX_INPUT_BYTES} are allowed");
                self.fail(activity, FailureReason::InputTooLarge, message);
                return;
            }
            self.plan.effects.push(Effect::Start { activity, attempt: self.attempt(activity), inputs });
        }
    }

    /// The last tier whose activities may start.
    fn open_tier(&self) -> usize {
        match self.compiled.execution {
            Execution::Eager => usize::MAX,
            Execution::Tiered => {
                let done =
                    |tier: &Vec<usize>| tier.iter().all(|at| self.state(*at) == ActivityState::Succeeded);
                self.compiled.tiers.iter().take_while(|tier| done(tier)).count()
            }
        }
    }

    fn dependencies_are_done(&mut self, activity: usize) -> bool {
        let dependencies = self.compiled.graph.dependencies(activity);
        self.plan.work += dependencies.len() as u64;
        dependencies.iter().all(|dependency| self.state(*dependency) == ActivityState::Succeeded)
    }

    fn outputs_are_stored(&self, compiled: &CompiledActivity) -> bool {
        compiled.reads.iter().all(|read| self.stored_entry(*read).state == ActivityState::Succeeded)
    }

    /// The values of some bindings, from what is stored; what is absent is left out.
    pub(super) fn resolve(&self, bindings: &[Binding]) -> Object {
        let mut values = Object::new();
        for binding in bindings {
            let nothing = Object::new();
            let root = match binding.root {
                Root::Input => self.input().unwrap_or(&nothing),
                // The entry, not the stored one: the output of an orchestration is written with the last results.
                Root::Activity(activity) => self.entry(activity).outputs.as_ref().unwrap_or(&nothing),
            };
            if let Some(found) = read(root, &binding.path) {
                values.insert(binding.target.clone(), found.to_value());
            }
        }
        without_nulls(values)
    }
}
