//! Last part of a plan: how an orchestration ends, what its status says, and when to look again.
//!
//! Responsible for: the precedence of ends, conditions, progress, output, urgency. Must never: change a finished
//! status.

use std::ops::Range;

use super::super::condition::{self, Statement, stamp};
use super::super::state::OrchestrationState;
use super::super::status::{duration, summary};
use super::super::value::stored_bytes;
use super::observing::latest;
use super::stopping::{ACTIVITY_FAILED, CANCELLED, DEADLINE_EXCEEDED, STILL_WAITING, is_stop};
use super::{MAX_OUTPUT_BYTES, Notice, Plan, Planner};
use crate::api::common::Object;
use crate::api::orchestration::{ActivityState, ActivityStatus, OrchestrationStatus};

impl Planner<'_> {
    /// A finished orchestration keeps its status; only the generation that it speaks of follows the object.
    pub(super) fn keep_finished(mut self) -> Plan {
        self.plan.update.summary = summary(self.stored);
        self.plan.update.summary.observed_generation = self.orchestration.metadata.generation;
        self.plan
    }

    /// Writes down what the round came to.
    pub(super) fn conclude(mut self) -> Plan {
        self.tell_failures();
        let mut end = self.end();
        let mut output = None;
        if let Some(end) = end.as_mut() {
            if end.state == OrchestrationState::Succeeded {
                output = self.output(&mut end.message);
            }
            self.conclude_with(end);
        }
        let mut summary = summary(self.stored);
        summary.observed_generation = self.orchestration.metadata.generation;
        summary.stop_time.clone_from(&self.stop_time);
        summary.stop_reason.clone_from(&self.stop_reason);
        summary.finally_time.clone_from(&self.finally_time);
        summary.finally_stop_time.clone_from(&self.finally_stop_time);
        let (succeeded, skipped) = self.done();
        let total = self.main().len();
        summary.progress = Some(format!("{}/{total}", succeeded + skipped));
        let state = self.display_state(end.as_ref());
        summary.state = Some(state.as_str().to_owned());
        let statements = self.statements(end.as_ref(), state, &progress(succeeded, skipped, total));
        summary.conditions = condition::state(
            &summary.conditions,
            self.orchestration.metadata.generation,
            self.now,
            statements,
        );
        if end.is_some() {
            self.finish(&mut summary);
            summary.output = output;
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

    fn done(&self) -> (usize, usize) {
        let main = self.main();
        (self.count(main.clone(), ActivityState::Succeeded), self.count(main, ActivityState::Skipped))
    }

    /// How the orchestration ends in this round, if it does. What is in `finally` comes in between.
    fn end(&mut self) -> Option<End> {
        if !self.main_is_over() {
            return None;
        }
        let main = self.main_end();
        if self.finally().is_empty() {
            return Some(main);
        }
        if self.stored.finally_time.is_none() && !self.is_terminated() {
            if !self.is_suspended() {
                self.begin_finally(&main);
                return None;
            }
            // Nothing may start. A success waits for what comes last; an end that is decided waits for nobody.
            if main.state == OrchestrationState::Succeeded && !self.has_to_end() {
                return None;
            }
        }
        let halted = self.finally_is_halted();
        let is_open = |activity: usize| match self.state(activity) {
            ActivityState::Running => true,
            _ => self.is_open(activity) && !halted,
        };
        if self.finally().any(is_open) {
            return None;
        }
        Some(self.with_finally(main))
    }

    /// Whether nothing that is not of `finally` runs or can still start.
    fn main_is_over(&mut self) -> bool {
        if self.count(self.main(), ActivityState::Running) > 0 {
            return false;
        }
        if self.main_is_halted() {
            return true;
        }
        let lost = self.lost();
        let is_lost = |activity: usize| lost.get(activity).copied().unwrap_or_default();
        !self.main().any(|activity| self.is_open(activity) && !is_lost(activity))
    }

    /// How all but `finally` ended: success whatever was asked for, then an activity's failure, then what was decided
    /// first, or else the deadline before a shutdown.
    fn main_end(&self) -> End {
        if self.main().all(|activity| self.is_done(activity)) {
            let skipped = self.count(self.main(), ActivityState::Skipped);
            let total = self.main().len();
            let message = match (skipped, total) {
                (0, 1) => "the only activity has succeeded".to_owned(),
                (0, total) => format!("all {total} activities have succeeded"),
                _ => progress(total - skipped, skipped, total),
            };
            return End { state: OrchestrationState::Succeeded, reason: "Completed", message };
        }
        if let Some(failed) = self.first_failed(self.main()) {
            let message = self.explain(failed);
            return End { state: OrchestrationState::Failed, reason: ACTIVITY_FAILED, message };
        }
        let unfinished = self.unfinished(self.main());
        if self.is_shut_down() {
            let message = format!("was shut down before it had finished: {unfinished}");
            return End { state: OrchestrationState::Cancelled, reason: CANCELLED, message };
        }
        let message = format!("did not finish by its deadline: {unfinished}");
        End { state: OrchestrationState::Failed, reason: DEADLINE_EXCEEDED, message }
    }

    /// Whether it ends because of a shutdown, if it does not because of its activities: what was decided first, or else
    /// the deadline before a shutdown.
    fn is_shut_down(&self) -> bool {
        match self.stop_reason.as_deref() {
            Some(CANCELLED) => true,
            Some(DEADLINE_EXCEEDED) => false,
            _ if self.stored.stop_time.is_some() => false,
            _ => !self.is_past_deadline() && self.orchestration.spec.shutdown.is_some(),
        }
    }

    fn has_to_end(&self) -> bool {
        self.is_past_deadline() || self.orchestration.spec.shutdown.is_some()
    }

    /// The state that the orchestration is about to have, for what is in `finally`.
    pub(super) fn run_state(&self) -> &'static str {
        self.main_end().state.as_str()
    }

    /// All others are final: what is in `finally` becomes ready. From here on it is decided how they ended.
    fn begin_finally(&mut self, main: &End) {
        self.close(self.main());
        self.finally_time = Some(stamp(self.now));
        if matches!(main.reason, CANCELLED | DEADLINE_EXCEEDED) {
            self.stop_reason.get_or_insert_with(|| main.reason.to_owned());
        }
        self.urgent();
        self.wake(self.now);
    }

    /// The end with what became of `finally`: it turns no failure into success, one that fails makes the whole fail, and
    /// what went wrong first is told beside it.
    fn with_finally(&self, main: End) -> End {
        if self.finally().all(|activity| self.is_done(activity)) {
            return main;
        }
        let last = self.finally_end();
        if main.state == OrchestrationState::Succeeded {
            return last;
        }
        let has_failed = last.reason == ACTIVITY_FAILED;
        if has_failed && main.state == OrchestrationState::Cancelled {
            return End { message: format!("{}; {}", last.message, main.message), ..last };
        }
        let place = if has_failed { "in finally, " } else { "" };
        End { message: format!("{}; {place}{}", main.message, last.message), ..main }
    }

    /// How what is in `finally` ended, if not all of it is done.
    fn finally_end(&self) -> End {
        if let Some(failed) = self.first_failed(self.finally()) {
            let message = self.explain(failed);
            return End { state: OrchestrationState::Failed, reason: ACTIVITY_FAILED, message };
        }
        let unfinished = self.unfinished(self.finally());
        let cancelled = |message| End { state: OrchestrationState::Cancelled, reason: CANCELLED, message };
        if self.is_terminated() {
            return cancelled(format!("was shut down before finally had finished: {unfinished}"));
        }
        let late = |message| End { state: OrchestrationState::Failed, reason: DEADLINE_EXCEEDED, message };
        if self.stored.finally_time.is_none() {
            let message = format!("finally was left out, because spec.suspend is true: {unfinished}");
            return if self.is_shut_down() { cancelled(message) } else { late(message) };
        }
        let seconds = self.compiled.finally_deadline_seconds;
        let held_up =
            if self.is_suspended() { ", and nothing starts while spec.suspend is true" } else { "" };
        late(format!("finally did not finish within {seconds} s{held_up}: {unfinished}"))
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

    pub(super) fn first_failed(&self, among: Range<usize>) -> Option<usize> {
        let order = self.compiled.order.iter().copied();
        let failed = order.filter(|at| among.contains(at) && self.state(*at) == ActivityState::Failed);
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
    fn unfinished(&self, among: Range<usize>) -> String {
        let order = self.compiled.order.iter().copied();
        let open: Vec<usize> = order.filter(|at| among.contains(at) && !self.is_done(*at)).collect();
        let mut shown: Vec<String> = open
            .iter()
            .take(5)
            .map(|activity| {
                let (state, message) = was(self.entry(*activity));
                let why = message.map(|message| format!(": {message}")).unwrap_or_default();
                format!("\"{}\" was {state:?}{why}", self.id(*activity))
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
    fn close(&mut self, among: Range<usize>) {
        for activity in among {
            if self.is_open(activity) {
                self.advance(activity, ActivityState::NotStarted, |_| {});
            }
        }
    }

    fn conclude_with(&mut self, end: &End) {
        self.close(0..self.compiled.activities.len());
        self.urgent();
        self.plan.effects.clear();
        self.plan.wake_at = None;
        let (reason, message) = (end.reason.to_owned(), end.message.clone());
        let succeeded = end.state == OrchestrationState::Succeeded;
        self.plan.notices.push(Notice::Finished { succeeded, reason, message });
    }

    fn finish(&self, summary: &mut OrchestrationStatus) {
        // Never before the last activity, should the clocks of two machines differ.
        let last = (0..self.compiled.activities.len()).fold(summary.start_time.clone(), |last, at| {
            latest(last.as_ref(), self.entry(at).completion_time.as_ref())
        });
        let completion = latest(Some(&stamp(self.now)), last.as_ref());
        if let (Some(start), Some(completion)) = (&summary.start_time, &completion) {
            summary.duration = Some(duration(start.0, completion.0));
        }
        summary.completion_time = completion;
    }

    fn display_state(&self, end: Option<&End>) -> OrchestrationState {
        let running = || self.count(0..self.compiled.activities.len(), ActivityState::Running);
        match end {
            Some(end) => end.state,
            None if self.is_suspended() && running() == 0 => OrchestrationState::Suspended,
            None if self.has_started() => OrchestrationState::Running,
            None => OrchestrationState::Pending,
        }
    }

    fn has_started(&self) -> bool {
        (0..self.compiled.activities.len()).any(|activity| has_started(self.entry(activity)))
    }

    fn statements(&self, end: Option<&End>, state: OrchestrationState, progress: &str) -> Vec<Statement> {
        let accepted = self.stored.conditions.iter().find(|condition| condition.type_ == "Accepted");
        let (reason, message) =
            accepted.map_or(("Accepted", ""), |c| (c.reason.as_str(), c.message.as_str()));
        let mut statements = vec![Statement::new("Accepted", Some(true), reason, message)];
        let Some(end) = end else {
            let (reason, message) = match state {
                OrchestrationState::Suspended if self.awaits_finally() => {
                    ("Suspended", format!("suspended before finally; {progress}"))
                }
                OrchestrationState::Suspended => ("Suspended", format!("suspended; {progress}")),
                _ => ("Progressing", progress.to_owned()),
            };
            statements.push(Statement::new("Reconciling", Some(true), reason, message.clone()));
            statements.push(Statement::new("Succeeded", None, reason, message));
            statements.push(Statement::new("Finished", Some(false), "NotFinished", "the orchestration runs"));
            return statements;
        };
        let succeeded = end.state == OrchestrationState::Succeeded;
        if !succeeded {
            statements.push(Statement::new("Stalled", Some(true), end.reason, end.message.clone()));
        }
        statements.push(Statement::new("Succeeded", Some(succeeded), end.reason, end.message.clone()));
        statements.push(Statement::new("Finished", Some(true), end.reason, end.message.clone()));
        statements
    }

    /// Whether all is done but what is in `finally`, and nothing of that is ready.
    fn awaits_finally(&self) -> bool {
        let is_ready = self.finally().is_empty() || self.stored.finally_time.is_some();
        !is_ready && self.main().all(|activity| self.is_done(activity))
    }

    /// The first start is to be seen at once. What else is urgent was found on the way: outputs that are waited for
    /// in `start`, the intent to stop in `begin_to_end`.
    fn hurry(&mut self) {
        if self.has_started() && !self.before.iter().any(|entry| has_started(entry)) {
            self.plan.notices.insert(0, Notice::Started);
            self.urgent();
        }
    }
}

/// What is skipped or taken over never starts.
fn has_started(entry: &ActivityStatus) -> bool {
    !matches!(entry.state, ActivityState::Pending | ActivityState::Skipped | ActivityState::NotStarted)
        && entry.taken_from.is_none()
}

/// What an activity was when its orchestration ended, and what it waited for. The entry that it is left with tells, in
/// whichever round it got it.
fn was(entry: &ActivityStatus) -> (ActivityState, Option<&str>) {
    let message = entry.message.as_deref();
    match entry.state {
        ActivityState::NotStarted => (ActivityState::Pending, message),
        ActivityState::Cancelled if is_stop(entry) => {
            let waited_for = message.and_then(|message| message.split_once(STILL_WAITING));
            (ActivityState::Running, waited_for.map(|(_, waited_for)| waited_for))
        }
        ActivityState::Cancelled => (ActivityState::Retrying, message),
        state => (state, message),
    }
}

/// How far an orchestration is, in words.
pub(in crate::engine) fn progress(succeeded: usize, skipped: usize, total: usize) -> String {
    let skipped = match skipped {
        0 => String::new(),
        1 => ", 1 was skipped".to_owned(),
        more => format!(", {more} were skipped"),
    };
    format!("{succeeded} of {total} activities have succeeded{skipped}")
}

/// How an orchestration ends.
struct End {
    state: OrchestrationState,
    reason: &'static str,
    message: String,
}
