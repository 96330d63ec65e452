//! Entries: what may become of the state of one activity.
//!
//! Responsible for: legal transitions, times and numbers that never go back, and that a state is what really happened.
//! Must never: ask the engine's own table.

use orchestrator::api::orchestration::ActivityState;
use orchestrator::embedded::store::Store;
use serde_json::Value;

use super::{Activity, Book};
use crate::support::simulated::reading::{entry, is_final, recorded};
use crate::support::simulated::scenario::Scenario;

use ActivityState::{Cancelled, Failed, NotStarted, Pending, Retrying, Running, Skipped, Succeeded, Unknown};

impl Book {
    /// What an entry says now, whatever it said before.
    pub(super) fn check_entry(&mut self, key: &Activity, state: ActivityState, entry: &Value) {
        let id = &key.1;
        let attempt = entry["attempt"].as_u64().unwrap_or_default();
        let made = self.made(key);
        let was_made = made.is_some_and(|made| made.attempts.keys().any(|made| u64::from(*made) == attempt));
        let is_left = made.is_some_and(|made| made.attempts.values().any(|is_removed| !is_removed));
        let step = self.scenario.step(id).cloned();
        match state {
            Running if !was_made => {
                self.broken(3, format!("\"{id}\" is recorded as Running, and no Job was ever made"));
            }
            NotStarted | Skipped if self.is_certain(key) && (is_left || attempt > 0) => {
                self.broken(2, format!("\"{id}\" is recorded as {state:?}, and there is a Job of it"));
            }
            Skipped if step.is_some_and(|step| step.when.is_none()) => {
                self.broken(8, format!("\"{id}\" is skipped without a condition"));
            }
            Cancelled | Retrying if attempt == 0 => {
                self.broken(8, format!("\"{id}\" is recorded as {state:?} without an attempt"));
            }
            Succeeded => self.check_success(key, entry),
            _ => {}
        }
        if (state == Retrying) == entry["nextAttemptTime"].is_null() {
            self.broken(
                4,
                format!("\"{id}\" is {state:?}, with the next attempt at {}", entry["nextAttemptTime"]),
            );
        }
        if state != Succeeded && !entry["outputs"].is_null() {
            self.broken(7, format!("\"{id}\" is {state:?} and has outputs"));
        }
        let has_ended = is_final(state) && state != NotStarted;
        if has_ended == entry["completionTime"].is_null() {
            self.broken(9, format!("\"{id}\" is {state:?} and ended at {}", entry["completionTime"]));
        }
    }

    fn check_success(&mut self, key: &Activity, entry: &Value) {
        let id = &key.1;
        let is_taken = !entry["takenFrom"].is_null();
        let may_be_taken = self.scenario.taken.contains(&id.as_str());
        if is_taken && (!may_be_taken || entry["attempt"].as_u64().is_some_and(|attempt| attempt > 0)) {
            self.broken(8, format!("\"{id}\" is taken over: {entry}"));
        }
        if !is_taken && !self.complete.contains(key) {
            self.broken(7, format!("\"{id}\" is recorded as Succeeded, and its Job never was"));
        }
        // What nobody reads may be lost with its pod.
        let is_lost = entry["outputs"].is_null() && !self.scenario.is_read(id);
        if !is_lost && entry["outputs"] != Scenario::outputs(id) {
            self.broken(7, format!("the output of \"{id}\" is recorded as {}", entry["outputs"]));
        }
    }

    /// From one status to the next.
    pub(super) fn check_transition(&mut self, store: &Store, old: &Value, new: &Value, key: &Activity) {
        let id = &key.1;
        let (before, after) = (entry(old, id), entry(new, id));
        let (from, to) = (recorded(old, id), recorded(new, id));
        if !follows(from, to) {
            self.broken(8, format!("\"{id}\" goes from {from:?} to {to:?}"));
        }
        if is_final(from) && before != after {
            self.broken(9, format!("\"{id}\" has ended, and changes from {before} to {after}"));
        }
        let number = |entry: &Value, what: &str| entry[what].as_u64().unwrap_or_default();
        for what in ["attempt", "disruptions"] {
            let (before, after) = (number(before, what), number(after, what));
            if after < before || after > before + 1 {
                self.broken(4, format!("the {what} of \"{id}\" goes from {before} to {after}"));
            }
        }
        let is_next = number(after, "attempt") > number(before, "attempt");
        if is_next && number(before, "attempt") > 0 && from != Retrying {
            self.broken(
                4,
                format!("\"{id}\" has another attempt, and nobody recorded that the last one failed"),
            );
        }
        let is_same = |what: &str| before[what] == after[what];
        if !is_next && from == Retrying && to == Retrying && !is_same("nextAttemptTime") {
            self.broken(9, format!("the next attempt of \"{id}\" was put off"));
        }
        if !is_next
            && from == Running
            && to == Running
            && !before["startTime"].is_null()
            && !is_same("startTime")
        {
            self.broken(9, format!("the start of \"{id}\" has changed"));
        }
        if before.get("outputs").is_some() && !is_same("outputs") {
            self.broken(7, format!("the output of \"{id}\" has changed"));
        }
        let is_last = self.scenario.is_finally(id);
        if is_last
            && from == Pending
            && !matches!(to, Pending | NotStarted)
            && old["status"]["finallyTime"].is_null()
        {
            self.broken(3, format!("\"{id}\" in finally becomes {to:?} before it is ready"));
        }
        let has_failed_anew = to == Retrying && (from != Retrying || is_next);
        let has_ended = is_final(to) && !is_final(from);
        if has_failed_anew || (has_ended && to == Failed) {
            self.check_failure(store, old, new, key);
        }
        if has_failed_anew || has_ended {
            self.check_over(store, new, key);
        }
    }
}

/// Whether a state may follow another: an attempt may begin and end between two looks, what has begun never becomes what
/// has not, and what has ended stays.
fn follows(from: ActivityState, to: ActivityState) -> bool {
    match (from, to) {
        (Pending | Unknown, to) => to != Unknown,
        (Running | Retrying, Pending | Skipped | NotStarted | Unknown) => false,
        (Running | Retrying, _) => true,
        (Succeeded | Skipped | Failed | Cancelled | NotStarted, to) => from == to,
    }
}
