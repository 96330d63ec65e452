//! Starts: what must be so before a Job is made.
//!
//! Responsible for: dependencies, attempts, budgets, and everything that keeps an activity from starting. Must never:
//! hold against the operator what it could not know.

use orchestrator::api::orchestration::ActivityState;
use orchestrator::embedded::store::Store;
use orchestrator::engine::names::child_name;
use serde_json::Value;

use super::{Activity, Book, find};
use crate::support::simulated::nodes::label;
use crate::support::simulated::reading::{
    children, entry, is_active, is_alive, is_done, is_final, recorded, text, time,
};
use crate::support::simulated::scenario::Step;

/// Attempts that the cluster may take away.
const DISRUPTIONS: u64 = 10;

impl Book {
    /// A Job is made: may its activity start?
    pub(super) fn check_start(
        &mut self,
        store: &Store,
        job: &Value,
        key: &Activity,
        owner: &str,
        attempt: u32,
    ) {
        let (uid, activity) = key;
        if text(job, "/metadata/name") != Some(child_name(owner, uid, activity, attempt).as_str()) {
            self.broken(
                5,
                format!("the name {} does not follow from \"{activity}\"", job["metadata"]["name"]),
            );
        }
        let is_removed = self.made(key).and_then(|made| made.attempts.get(&attempt).copied());
        if is_removed == Some(false) {
            self.broken(1, format!("a second Job of \"{activity}\" while nobody took away the first"));
        }
        // A run that is gone takes the Job with it at once.
        let Some(run) = find(store, owner, uid) else { return };
        let state = recorded(run, activity);
        let before = entry(run, activity)["attempt"].as_u64().unwrap_or_default();
        // Of two operators one may know less than the other, also of a start that was refused.
        let is_given_up = matches!(state, ActivityState::NotStarted | ActivityState::Cancelled);
        if !self.is_alone && (is_given_up || (u64::from(attempt) <= before && is_removed.is_none())) {
            return;
        }
        self.check_attempt(run, activity, attempt, state, before);
        let Some(step) = self.scenario.step(activity).cloned() else { return };
        if self.is_alone {
            self.check_alone(store, run, key, attempt, &step);
            self.check_wishes(run, key);
        }
        if self.scenario.is_finally(activity) {
            self.check_last(run, activity);
        } else {
            self.check_needs(run, uid, &step);
        }
        let input = text(job, "/spec/template/metadata/annotations/orchestrator.dev~1input").unwrap_or("{}");
        let input: Value = serde_json::from_str(input).unwrap_or_default();
        if input != self.scenario.inputs(activity, run) {
            self.broken(3, format!("\"{activity}\" gets {input}"));
        }
    }

    /// The first attempt of what waits, or the next one of what has failed, once that is recorded and its pause is over.
    fn check_attempt(
        &mut self,
        run: &Value,
        activity: &str,
        attempt: u32,
        state: ActivityState,
        before: u64,
    ) {
        if is_final(state) || run.pointer("/status/completionTime").is_some() {
            return self.broken(2, format!("\"{activity}\" is started although it is recorded as {state:?}"));
        }
        match state {
            ActivityState::Running => {
                self.broken(1, format!("\"{activity}\" is started although it is recorded as Running"));
            }
            ActivityState::Retrying if u64::from(attempt) == before + 1 => {
                let next = time(run, &format!("/status/activities/{activity}/nextAttemptTime"));
                if next.is_none_or(|next| next > self.now()) {
                    self.broken(4, format!("attempt {attempt} of \"{activity}\" begins before its time"));
                }
            }
            ActivityState::Retrying => {
                self.broken(4, format!("attempt {attempt} of \"{activity}\" follows attempt {before}"));
            }
            _ if attempt != 1 => self.broken(
                4,
                format!(
                    "attempt {attempt} of \"{activity}\" begins before the one before is recorded as failed"
                ),
            ),
            _ => {}
        }
        let disruptions = entry(run, activity)["disruptions"].as_u64().unwrap_or_default();
        let retries = self.scenario.step(activity).map_or(u64::MAX / 2, |step| u64::from(step.retries));
        if u64::from(attempt) > 1 + retries + disruptions || disruptions > DISRUPTIONS {
            self.broken(4, format!("attempt {attempt} of \"{activity}\" after {disruptions} disruptions"));
        }
    }

    /// Nothing of another attempt runs, and no more activities at once than may.
    fn check_alone(&mut self, store: &Store, run: &Value, key: &Activity, attempt: u32, step: &Step) {
        let (uid, activity) = key;
        let is_other = |object: &Value| label(object, "attempt") != attempt.to_string();
        let pods =
            children(store, "/pods", uid, activity).any(|pod| is_other(&pod.value) && is_alive(&pod.value));
        let jobs = children(store, "batch/jobs", uid, activity)
            .any(|job| is_other(&job.value) && is_active(&job.value));
        if (pods || jobs) && self.is_certain(key) {
            self.broken(1, format!("attempt {attempt} of \"{activity}\" begins while another one goes on"));
        }
        let steps = self.scenario.steps.clone();
        let is_busy = |other: &&Step| {
            let key = (uid.clone(), other.id.clone());
            self.is_certain(&key)
                && children(store, "batch/jobs", uid, &other.id).any(|job| is_active(&job.value))
        };
        let busy = steps.iter().filter(is_busy).count();
        if self.scenario.parallelism.is_some_and(|most| busy > most) {
            self.broken(3, format!("{busy} activities run at once"));
        }
        let is_failed = |other: &Step| recorded(run, &other.id) == ActivityState::Failed;
        let is_last = self.scenario.is_finally(&step.id);
        if !is_last && self.scenario.policy != "Continue" && steps.iter().any(is_failed) {
            self.broken(11, format!("\"{activity}\" is started after a failure was recorded"));
        }
        let closed: &[&str] =
            if is_last { &["finallyStopTime"] } else { &["stopTime", "stopReason", "finallyTime"] };
        if let Some(why) = closed.iter().find(|time| !run["status"][**time].is_null()) {
            self.broken(11, format!("\"{activity}\" is started after the stop: {why} is recorded"));
        }
    }

    /// What users have asked for and the operator has seen: the status says up to which generation.
    fn check_wishes(&mut self, run: &Value, key: &Activity) {
        let Some(asked) = self.asked.get(&key.0) else { return };
        let seen = run.pointer("/status/observedGeneration").and_then(Value::as_i64).unwrap_or_default();
        let is_seen = |since: Option<i64>| since.is_some_and(|since| seen >= since);
        let is_last = self.scenario.is_finally(&key.1);
        let wishes = [
            (is_seen(asked.suspend), "it is suspended"),
            (is_seen(asked.stop) && !is_last, "its shutdown was seen"),
            (is_seen(asked.terminate), "its termination was seen"),
        ];
        for (_, wish) in wishes.into_iter().filter(|(holds, _)| *holds) {
            self.broken(11, format!("\"{}\" is started although {wish}", key.1));
        }
    }

    /// What is in `finally` starts when all others are final, and that is recorded.
    fn check_last(&mut self, run: &Value, activity: &str) {
        let is_open = |id: &str| !is_final(recorded(run, id));
        if self.scenario.main(run).into_iter().any(is_open) || run.pointer("/status/finallyTime").is_none() {
            self.broken(
                3,
                format!("\"{activity}\" in finally is started before all others are recorded as final"),
            );
        }
    }

    fn check_needs(&mut self, run: &Value, uid: &str, step: &Step) {
        let scenario = std::sync::Arc::clone(&self.scenario);
        for need in &step.needs {
            // A condition that does not hold will not hold later either.
            let may_be_skipped = scenario.step(need).is_some_and(|need| need.when.is_some());
            let is_known = is_done(recorded(run, need))
                || (!step.reads
                    && (may_be_skipped || self.complete.contains(&(uid.to_owned(), need.clone()))));
            if !is_known {
                self.broken(3, format!("\"{}\" is started before \"{need}\" is done and recorded", step.id));
            }
        }
        if !scenario.tiered {
            return;
        }
        let tier = |of: &str| run.pointer(&format!("/status/activities/{of}/tier")).and_then(Value::as_u64);
        let own = tier(&step.id);
        for earlier in scenario.steps.iter().filter(|other| tier(&other.id) < own) {
            let has_failed = |id: &str| {
                let state = recorded(run, id);
                (is_final(state) && !is_done(state)) || self.failed.contains(&(uid.to_owned(), id.to_owned()))
            };
            let is_lost = has_failed(&earlier.id) || earlier.needs.iter().any(|need| has_failed(need));
            let is_over = is_final(recorded(run, &earlier.id))
                || self.complete.contains(&(uid.to_owned(), earlier.id.clone()))
                || (scenario.policy == "Continue" && is_lost);
            if !is_over {
                self.broken(
                    3,
                    format!(
                        "\"{}\" is started before \"{}\" of an earlier tier is done",
                        step.id, earlier.id
                    ),
                );
            }
        }
    }
}
