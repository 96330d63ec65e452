//! Last part of a plan: how an orchestration ends, what its status says, and when to look again.
//!
//! Responsible for: the precedence of ends, conditions, progress, output, urgency. Must never: change a finished
//! status.

use jiff::Timestamp;

use super::super::condition::{Statement, stamp, state};
use super::super::effect::Effect;
use super::super::observe::Attempt;
use super::super::state::{OrchestrationState, is_final};
use super::super::status::{duration, summary};
use super::super::value::stored_bytes;
use super::observing::latest;
use super::{MAX_OUTPUT_BYTES, Notice, Plan, Planner, STOP_GRACE};
use crate::api::common::Object;
use crate::api::orchestration::{ActivityState, OrchestrationStatus};

impl Planner<'_> {
    pub(super) fn is_past_deadline(&self) -> bool {
        self.now >= self.deadline || self.stored.stop_time.is_some()
    }

    /// At the deadline, what runs is stopped: first the intent is recorded, then the stop is asked for, and it is
    /// final when nothing of it runs any more, or when that takes too long.
    pub(super) fn begin_to_end(&mut self) {
        if !self.is_past_deadline() {
            return self.wake(self.deadline);
        }
        let running: Vec<usize> = (0..self.compiled.activities.len())
            .filter(|activity| self.state(*activity) == ActivityState::Running)
            .collect();
        let Some(began) = self.stored.stop_time.as_ref().map(|time| time.0) else {
            if !running.is_empty() {
                self.stop_time = Some(stamp(self.now));
                self.urgent();
                self.wake(self.now);
            }
            return;
        };
        let grace_ends = began.saturating_add(STOP_GRACE).unwrap_or(Timestamp::MAX);
        for activity in running {
            if self.now >= grace_ends {
                self.cancel(activity);
                continue;
            }
            self.wake(grace_ends);
            if !matches!(self.observed.attempt(activity), Attempt::Stopping | Attempt::Stopped) {
                let attempt = self.attempt(activity);
                self.plan.effects.push(Effect::Stop { activity, attempt });
            }
        }
    }

    /// A finished orchestration keeps its status; only the generation that it speaks of follows the object.
    pub(super) fn keep_finished(mut self) -> Plan {
        self.plan.update.summary = summary(self.stored);
        self.plan.update.summary.observed_generation = self.orchestration.metadata.generation;
        self.plan
    }

    /// Writes down what the round came to.
    pub(super) fn conclude(mut self) -> Plan {
        self.tell_failures();
        let end = self.end();
        if let Some(end) = &end {
            self.close(end);
        }
        let mut summary = summary(self.stored);
        summary.observed_generation = self.orchestration.metadata.generation;
        summary.stop_time.clone_from(&self.stop_time);
        let (succeeded, skipped) = (self.count(ActivityState::Succeeded), self.count(ActivityState::Skipped));
        let total = self.compiled.activities.len();
        summary.progress = Some(format!("{}/{total}", succeeded + skipped));
        summary.state = Some(self.display_state(end.as_ref()).as_str().to_owned());
        let statements = self.statements(end.as_ref(), &progress(succeeded, skipped, total));
        summary.conditions =
            state(&summary.conditions, self.orchestration.metadata.generation, self.now, statements);
        if let Some(end) = end {
            self.finish(&mut summary, &end);
        } else {
            self.hurry();
        }
        self.plan.update.summary = summary;
        for (activity, entry) in std::mem::take(&mut self.changed) {
            if let Some(compiled) = self.compiled.activities.get(activity) {
                self.plan.update.activities.insert(compiled.id.clone(), entry);
            }
        }
        self.plan
    }

    /// How the orchestration ends in this round, if it does: success whatever was asked for, then an activity's
    /// failure, then the deadline.
    fn end(&self) -> Option<End> {
        let activities = 0..self.compiled.activities.len();
        if activities.clone().all(|activity| self.is_done(activity)) {
            let skipped = self.count(ActivityState::Skipped);
            let mut message = match skipped {
                0 => format!("all {} activities have succeeded", activities.len()),
                _ => progress(activities.len() - skipped, skipped, activities.len()),
            };
            let output = self.output(&mut message);
            return Some(End { succeeded: true, reason: "Completed", message, output });
        }
        if self.count(ActivityState::Running) > 0 {
            return None;
        }
        if let Some(failed) = self.first_failed() {
            return Some(End {
                succeeded: false,
                reason: "ActivityFailed",
                message: self.explain(failed),
                output: None,
            });
        }
        if self.is_past_deadline() || self.is_failing() {
            let message = format!("did not finish by its deadline: {}", self.unfinished());
            return Some(End { succeeded: false, reason: "DeadlineExceeded", message, output: None });
        }
        None
    }

    /// The output of a success. One that no status could hold is left out, and the message says so: a status that
    /// is never stored would be worse.
    fn output(&self, message: &mut String) -> Option<Object> {
        if self.compiled.output.is_empty() {
            return None;
        }
        let output = self.resolve(&self.compiled.output);
        let size = stored_bytes(&output);
        if size <= MAX_OUTPUT_BYTES {
            return Some(output);
        }
        message.push_str(&format!(
            "; the output has {size} bytes of JSON and is left out, at most {MAX_OUTPUT_BYTES} are kept"
        ));
        None
    }

    fn first_failed(&self) -> Option<usize> {
        let failed =
            self.compiled.order.iter().copied().filter(|at| self.state(*at) == ActivityState::Failed);
        failed.min_by_key(|activity| self.entry(*activity).completion_time.as_ref().map(|time| time.0))
    }

    fn explain(&self, activity: usize) -> String {
        let entry = self.entry(activity);
        let id = self.id(activity);
        let reason = entry.reason.as_deref().unwrap_or_default();
        let message = entry.message.as_deref().unwrap_or_default();
        format!("activity \"{id}\" failed: {reason}: {message}")
    }

    /// The first few activities that had not ended, and why.
    fn unfinished(&self) -> String {
        let open: Vec<usize> = self.compiled.order.iter().copied().filter(|at| !self.is_done(*at)).collect();
        let mut shown: Vec<String> = open
            .iter()
            .take(5)
            .map(|activity| {
                let stored = self.stored_entry(*activity);
                let why = stored.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
                format!("\"{}\" was {:?}{why}", self.id(*activity), stored.state)
            })
            .collect();
        if open.len() > shown.len() {
            shown.push(format!("and {} more", open.len() - shown.len()));
        }
        shown.join(", ")
    }

    pub(super) fn id(&self, activity: usize) -> &str {
        self.compiled.activities.get(activity).map_or("", |activity| &activity.id)
    }

    /// What never began is told apart from what was stopped.
    fn close(&mut self, end: &End) {
        for activity in 0..self.compiled.activities.len() {
            if !is_final(self.state(activity)) {
                self.advance(activity, ActivityState::NotStarted, |_| {});
            }
        }
        self.urgent();
        self.plan.effects.clear();
        self.plan.wake_at = None;
        let (reason, message) = (end.reason.to_owned(), end.message.clone());
        self.plan.notices.push(Notice::Finished { succeeded: end.succeeded, reason, message });
    }

    fn finish(&self, summary: &mut OrchestrationStatus, end: &End) {
        // Never before the last activity, should the clocks of two machines differ.
        let last = (0..self.compiled.activities.len()).fold(summary.start_time.clone(), |last, at| {
            latest(last.as_ref(), self.entry(at).completion_time.as_ref())
        });
        let completion = latest(Some(&stamp(self.now)), last.as_ref());
        if let (Some(start), Some(completion)) = (&summary.start_time, &completion) {
            summary.duration = Some(duration(start.0, completion.0));
        }
        summary.completion_time = completion;
        summary.output.clone_from(&end.output);
    }

    fn display_state(&self, end: Option<&End>) -> OrchestrationState {
        match end {
            Some(End { succeeded: true, .. }) => OrchestrationState::Succeeded,
            Some(End { succeeded: false, .. }) => OrchestrationState::Failed,
            None if self.has_started() => OrchestrationState::Running,
            None => OrchestrationState::Pending,
        }
    }

    fn has_started(&self) -> bool {
        (0..self.compiled.activities.len()).any(|activity| has_started(self.state(activity)))
    }

    fn statements(&self, end: Option<&End>, progress: &str) -> Vec<Statement> {
        let accepted = self.stored.conditions.iter().find(|condition| condition.type_ == "Accepted");
        let (reason, message) =
            accepted.map_or(("Accepted", ""), |c| (c.reason.as_str(), c.message.as_str()));
        let mut statements = vec![Statement::new("Accepted", Some(true), reason, message)];
        let Some(end) = end else {
            statements.push(Statement::new("Reconciling", Some(true), "Progressing", progress));
            statements.push(Statement::new("Succeeded", None, "Progressing", progress));
            statements.push(Statement::new("Finished", Some(false), "NotFinished", "the orchestration runs"));
            return statements;
        };
        if !end.succeeded {
            statements.push(Statement::new("Stalled", Some(true), end.reason, end.message.clone()));
        }
        statements.push(Statement::new("Succeeded", Some(end.succeeded), end.reason, end.message.clone()));
        statements.push(Statement::new("Finished", Some(true), end.reason, end.message.clone()));
        statements
    }

    /// The first start is to be seen at once. What else is urgent was found on the way: outputs that are waited for
    /// in `start`, the intent to stop in `begin_to_end`.
    fn hurry(&mut self) {
        if self.has_started() && !self.before.iter().any(|entry| has_started(entry.state)) {
            self.plan.notices.insert(0, Notice::Started);
            self.urgent();
        }
    }
}

/// What is skipped never starts.
fn has_started(state: ActivityState) -> bool {
    !matches!(state, ActivityState::Pending | ActivityState::Skipped)
}

fn progress(succeeded: usize, skipped: usize, total: usize) -> String {
    let skipped = match skipped {
        0 => String::new(),
        1 => ", 1 was skipped".to_owned(),
        more => format!(", {more} were skipped"),
    };
    format!("{succeeded} of {total} activities have succeeded{skipped}")
}

/// How an orchestration ends.
struct End {
    succeeded: bool,
    reason: &'static str,
    message: String,
    output: Option<Object>,
}
