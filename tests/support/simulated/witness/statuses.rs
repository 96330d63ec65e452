//! Statuses: what may become of the whole.
//!
//! Responsible for: times that are set once and for a reason, generations, conditions and progress. Must never: look at
//! single activities; `entries` does.

use orchestrator::api::orchestration::ActivityState;
use orchestrator::embedded::state::Write;
use serde_json::Value;

use super::{Book, is_the_run, seconds};
use crate::support::simulated::reading::{is_done, is_final, recorded, text, time};

/// What is written once.
const ONCE: [&str; 8] = [
    "revision",
    "startTime",
    "stopTime",
    "stopReason",
    "finallyTime",
    "finallyStopTime",
    "completionTime",
    "output",
];

impl Book {
    pub(super) fn see_run(&mut self, write: &Write<'_>, new: &Value, is_ours: bool) {
        let uid = text(new, "/metadata/uid").unwrap_or_default().to_owned();
        let generation = |pointer: &str| new.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
        if generation("/status/observedGeneration") > generation("/metadata/generation") {
            self.broken(14, "the status speaks of a generation that is still to come".to_owned());
        }
        self.note_wishes(&uid, new);
        let old = write.old.filter(|old| text(old, "/metadata/uid") == Some(&uid));
        let ids: Vec<String> = new
            .pointer("/status/activities")
            .and_then(Value::as_object)
            .map(|activities| activities.keys().cloned().collect())
            .unwrap_or_default();
        if let Some(old) = old {
            self.check_change(old, new);
            for id in old.pointer("/status/activities").and_then(Value::as_object).into_iter().flatten() {
                self.check_transition(write.store, old, new, &(uid.clone(), id.0.clone()));
            }
        }
        let is_changed = old.is_none_or(|old| old["status"] != new["status"]);
        for id in ids.iter().filter(|_| is_changed) {
            self.check_entry(&(uid.clone(), id.clone()), recorded(new, id), &new["status"]["activities"][id]);
        }
        let was_finished = old.is_some_and(|old| old.pointer("/status/completionTime").is_some());
        if is_ours && is_changed && !was_finished {
            self.check_words(old, new, &ids);
        }
        self.check_end(write.store, &uid, new, &ids);
        if is_the_run(new) && new.pointer("/status/completionTime").is_some() {
            self.ended = Some(new.clone());
        }
    }

    /// Remembers what users ask for.
    fn note_wishes(&mut self, uid: &str, run: &Value) {
        let generation = run.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
        let asked = self.asked.entry(uid.to_owned()).or_default();
        asked.suspend = (run["spec"]["suspend"] == true).then(|| asked.suspend.unwrap_or(generation));
        let shutdown = text(run, "/spec/shutdown");
        if shutdown.is_some() {
            asked.stop.get_or_insert(generation);
        }
        if shutdown == Some("Terminate") {
            asked.terminate.get_or_insert(generation);
        }
        let allowed = run.pointer("/spec/activeDeadlineSeconds").and_then(Value::as_i64).unwrap_or(86_400);
        let deadline = time(run, "/metadata/creationTimestamp").map(|made| made + seconds(allowed));
        asked.deadline = asked.deadline.into_iter().chain(deadline).min();
    }

    /// What is decided stays, and was decided for a reason.
    fn check_change(&mut self, old: &Value, new: &Value) {
        let is_same = |pointer: &str| old.pointer(pointer) == new.pointer(pointer);
        if old.pointer("/status").is_some() && new.pointer("/status").is_none() {
            self.broken(9, "the status is gone".to_owned());
        }
        for once in ONCE {
            let (before, after) = (&old["status"][once], &new["status"][once]);
            if !before.is_null() && before != after {
                self.broken(if once == "revision" { 12 } else { 9 }, format!("{once} has changed"));
            }
        }
        let is_finished = old.pointer("/status/completionTime").is_some();
        if is_finished
            && !["/status/state", "/status/activities", "/status/duration"].into_iter().all(is_same)
        {
            self.broken(9, "a finished status has changed".to_owned());
        }
        let seen = |run: &Value| run.pointer("/status/observedGeneration").and_then(Value::as_i64);
        if seen(old) > seen(new) {
            self.broken(14, "observedGeneration goes back".to_owned());
        }
        self.check_decisions(old, new);
    }

    fn check_decisions(&mut self, old: &Value, new: &Value) {
        let is_new = |what: &str| old["status"][what].is_null() && !new["status"][what].is_null();
        let is_terminated = text(new, "/spec/shutdown") == Some("Terminate");
        let uid = text(new, "/metadata/uid").unwrap_or_default();
        let deadline = self.asked.get(uid).and_then(|asked| asked.deadline);
        let is_late = deadline.is_some_and(|deadline| deadline <= self.now());
        let states: Vec<ActivityState> =
            self.scenario.main(new).into_iter().map(|id| recorded(new, id)).collect();
        let has_failed = states.contains(&ActivityState::Failed);
        if is_new("stopTime")
            && !(is_terminated || is_late || (self.scenario.policy == "Cancel" && has_failed))
        {
            self.broken(11, "what runs is to stop, and nobody asked for it".to_owned());
        }
        let reason = text(new, "/status/stopReason");
        let is_meant = match reason {
            Some("Cancelled") => text(new, "/spec/shutdown").is_some(),
            Some("DeadlineExceeded") => is_late,
            Some("ActivityFailed") => has_failed,
            _ => false,
        };
        if is_new("stopReason") && !is_meant {
            self.broken(10, format!("it has to stop because of {reason:?}"));
        }
        if is_new("finallyTime") && !states.iter().all(|state| is_final(*state)) {
            self.broken(3, format!("finally is ready, with {states:?}"));
        }
        if is_new("finallyStopTime") {
            let ready = time(new, "/status/finallyTime");
            let ends = ready.map(|ready| ready + seconds(self.scenario.finally_deadline));
            if !is_terminated && ends.is_none_or(|ends| ends > self.now()) {
                self.broken(11, "finally is to stop before its time".to_owned());
            }
        }
    }

    /// What we say of the whole.
    fn check_words(&mut self, old: Option<&Value>, new: &Value, ids: &[String]) {
        let main: Vec<&String> = ids.iter().filter(|id| !self.scenario.is_finally(id)).collect();
        let done = main.iter().filter(|id| is_done(recorded(new, id))).count();
        if !main.is_empty() && text(new, "/status/progress") != Some(&format!("{done}/{}", main.len())) {
            self.broken(10, format!("the progress is {}, with {done} done", new["status"]["progress"]));
        }
        let has_ended = new.pointer("/status/completionTime").is_some();
        let state = text(new, "/status/state").unwrap_or_default();
        if matches!(state, "Succeeded" | "Failed" | "Cancelled") != has_ended {
            self.broken(10, format!("the state is {state:?}, and it has ended: {has_ended}"));
        }
        let holds = |type_: &str| condition(new, type_).is_some_and(|held| held["status"] == "True");
        let is_stalled = has_ended && state != "Succeeded";
        for (type_, expected) in [
            ("Finished", has_ended),
            ("Reconciling", !has_ended),
            ("Stalled", is_stalled),
            ("Succeeded", state == "Succeeded"),
        ] {
            if holds(type_) != expected {
                self.broken(22, format!("{type_} is not {expected} in the state {state:?}"));
            }
        }
        for held in new.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten() {
            let type_ = held["type"].as_str().unwrap_or_default();
            let before =
                old.and_then(|old| condition(old, type_)).filter(|old| old["status"] == held["status"]);
            if before.is_some_and(|before| before["lastTransitionTime"] != held["lastTransitionTime"]) {
                self.broken(14, format!("{type_} has another transition time and the same status"));
            }
            if held["reason"].as_str().is_none_or(str::is_empty) {
                self.broken(22, format!("{type_} has no reason"));
            }
        }
    }
}

/// A condition of a run.
pub(super) fn condition<'v>(run: &'v Value, type_: &str) -> Option<&'v Value> {
    let all = run.pointer("/status/conditions").and_then(Value::as_array);
    all.into_iter().flatten().find(|condition| condition["type"] == type_)
}
