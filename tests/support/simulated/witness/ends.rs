//! Ends: what the end of a run must be, from what became of its activities.
//!
//! Responsible for: the precedence of ends in `api.md`, and the words for it. Must never: know the faults.

use orchestrator::api::orchestration::ActivityState;
use orchestrator::embedded::store::{Key, Store};
use serde_json::Value;

use super::statuses::condition;
use super::{Book, is_the_run};
use crate::support::simulated::reading::{entry, is_done, is_final, recorded, text, time};

/// Reasons of an end before anything was accepted.
const REFUSED: [&str; 5] =
    ["DefinitionNotFound", "DefinitionInactive", "InvalidInput", "DeadlineExceeded", "ResumeMismatch"];

impl Book {
    pub(super) fn check_end(&mut self, store: &Store, uid: &str, run: &Value, ids: &[String]) {
        let Some(completion) = text(run, "/status/completionTime") else { return };
        if is_the_run(run)
            && self.ended.as_ref().is_some_and(|ended| text(ended, "/metadata/uid") == Some(uid))
        {
            return;
        }
        let ended = |id: &String| entry(run, id)["completionTime"].as_str().unwrap_or_default().to_owned();
        if text(run, "/status/startTime").is_some_and(|start| start > completion)
            || ids.iter().any(|id| ended(id).as_str() > completion)
        {
            self.broken(9, "it ended before something of it did".to_owned());
        }
        if time(run, "/status/completionTime").is_none_or(|end| end > self.now()) {
            self.broken(9, format!("it ends in the future, at {completion}"));
        }
        let state = text(run, "/status/state").unwrap_or_default().to_owned();
        let told = condition(run, "Succeeded");
        let word = |what: &str| told.and_then(|told| told[what].as_str()).unwrap_or_default().to_owned();
        let (reason, message) = (word("reason"), word("message"));
        if message.is_empty() {
            self.broken(22, format!("it ended as {state}, {reason}, and nobody says why"));
        }
        if run.pointer("/status/revision").is_none() {
            let is_shut_down = reason == "Cancelled" && text(run, "/spec/shutdown").is_some();
            let is_right = match state.as_str() {
                "Failed" => REFUSED.contains(&reason.as_str()),
                "Cancelled" => is_shut_down,
                _ => false,
            };
            if !is_right {
                self.broken(10, format!("it ended unaccepted as {state}, {reason}"));
            }
            return;
        }
        let states: Vec<(&String, ActivityState)> = ids.iter().map(|id| (id, recorded(run, id))).collect();
        let is_open = states.iter().any(|(_, state)| !is_final(*state));
        if is_open || ids.len() != pinned(store, run) {
            self.broken(10, format!("it ended with {states:?}"));
        }
        let expected = self.expected(uid, run, &states);
        if (expected.0, expected.1) != (state.as_str(), reason.as_str()) {
            self.broken(
                10,
                format!("it ended as {state}, {reason}, and not as {expected:?}, with {states:?}"),
            );
        }
        if reason == "ActivityFailed" && !names_first_failed(run, ids, &message) {
            self.broken(22, format!("the message does not name what failed first: {message}"));
        }
        let knows_all =
            self.scenario.steps.iter().chain(&self.scenario.finally).all(|step| ids.contains(&step.id));
        let output = run.pointer("/status/output").unwrap_or(&Value::Null);
        let produced = if state == "Succeeded" { self.scenario.output() } else { Value::Null };
        if knows_all && *output != produced {
            self.broken(7, format!("it ended as {state} with the output {output}"));
        }
    }

    /// State and reason. All that is done is a success, whatever was asked for; then come a failure, what was decided
    /// first, the deadline, and a shutdown.
    fn expected(
        &mut self,
        uid: &str,
        run: &Value,
        states: &[(&String, ActivityState)],
    ) -> (&'static str, &'static str) {
        let is_last = |id: &&String| self.scenario.is_finally(id);
        let of =
            |last: bool| states.iter().filter(move |(id, _)| is_last(id) == last).map(|(_, state)| *state);
        let has_failed = |last: bool| of(last).any(|state| state == ActivityState::Failed);
        let is_shut_down = text(run, "/spec/shutdown").is_some();
        let is_terminated = text(run, "/spec/shutdown") == Some("Terminate");
        let deadline = self.asked.get(uid).and_then(|asked| asked.deadline);
        let is_late = deadline.is_some_and(|deadline| deadline <= self.now());
        let has_run_last =
            of(true).next().is_none() || !run["status"]["finallyTime"].is_null() || is_terminated;
        // Nothing starts while it is suspended: an end that is decided waits for nobody, and says what it leaves out.
        let is_left_out = !has_run_last
            && run["spec"]["suspend"] == true
            && (is_shut_down || is_late || of(false).any(|state| state == ActivityState::Failed));
        let told = |what: &str| condition(run, "Succeeded").and_then(|told| told[what].as_str());
        let (said, message) = (told("reason").unwrap_or_default(), told("message").unwrap_or_default());
        // Of those that fail together one is named.
        let failed_last: Vec<&str> = states
            .iter()
            .filter(|(id, state)| *state == ActivityState::Failed && is_last(id))
            .map(|(id, _)| id.as_str())
            .collect();
        let is_told = failed_last.iter().any(|id| message.contains(&format!("\"{id}\"")));
        let untold = (!failed_last.is_empty() && !is_told)
            .then(|| format!("nobody says that one of {failed_last:?} failed: {message}"));
        let main_is_done = of(false).all(is_done);
        let last_is_done = of(true).all(is_done);
        let has_failed = (has_failed(false), has_failed(true));
        if let Some(untold) = untold {
            self.broken(22, untold);
        }
        if !(has_run_last || is_left_out && message.contains("finally was left out")) {
            self.broken(10, "it ended without what is in finally".to_owned());
        }
        // Which of the two was first, when both hold, is decided by whoever looks first, and stands in stopReason.
        let decided = text(run, "/status/stopReason");
        let late_or_shut_down = |late: bool| match decided {
            Some("DeadlineExceeded") => ("Failed", "DeadlineExceeded"),
            Some("Cancelled") => ("Cancelled", "Cancelled"),
            _ if late && (!is_shut_down || said == "DeadlineExceeded") => ("Failed", "DeadlineExceeded"),
            _ if is_shut_down => ("Cancelled", "Cancelled"),
            _ => ("Failed", "a cause"),
        };
        match (main_is_done, has_failed) {
            (true, _) if last_is_done => ("Succeeded", "Completed"),
            (false, (true, _)) | (true, (_, true)) => ("Failed", "ActivityFailed"),
            // What fails in finally makes no Cancelled of a failure.
            (false, (_, true)) if late_or_shut_down(is_late).0 == "Cancelled" => ("Failed", "ActivityFailed"),
            (false, _) => late_or_shut_down(is_late),
            (true, _) if is_terminated => ("Cancelled", "Cancelled"),
            (true, _) if is_left_out => late_or_shut_down(is_late),
            (true, _) => ("Failed", "DeadlineExceeded"),
        }
    }
}

/// How many activities the pinned definition has.
fn pinned(store: &Store, run: &Value) -> usize {
    let revision = Key {
        storage: "apps/controllerrevisions".to_owned(),
        namespace: text(run, "/metadata/namespace").unwrap_or_default().to_owned(),
        name: text(run, "/status/revision").unwrap_or_default().to_owned(),
    };
    let count = |what: &str| {
        let spec = store.get(&revision)?.value.pointer("/data/definition/spec")?;
        spec[what].as_array().map(Vec::len)
    };
    count("activities").unwrap_or_default() + count("finally").unwrap_or_default()
}

/// Whether a message names a failed activity that none failed before.
fn names_first_failed(run: &Value, ids: &[String], message: &str) -> bool {
    let failed = || ids.iter().filter(|id| recorded(run, id) == ActivityState::Failed);
    let ended = |id: &&String| entry(run, id)["completionTime"].as_str().unwrap_or_default().to_owned();
    let first = failed().map(|id| ended(&id)).min();
    failed().any(|id| Some(ended(&id)) == first && message.contains(&format!("\"{id}\"")))
}
