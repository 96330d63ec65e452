//! The judge of a run that is over: what must have come of it.
//!
//! Responsible for: liveness, and that what nothing touched ended as it had to. Must never: look at single writes; the
//! witness does.

use serde_json::Value;

use super::World;
use crate::support::simulated::faults::{Fault, Replicas};
use crate::support::simulated::reading::{controller, entry, text};
use crate::support::simulated::scenario::{RUN, Scenario, paths};
use crate::support::simulated::users::Act;

impl World {
    /// What must be, now that all is over.
    pub(super) async fn judge(&self) {
        let run = self.users.get(&paths::run()).await;
        let mut wrong = Vec::new();
        let did = |act: Act| self.faults.iter().any(|planned| planned.fault == Fault::User(act));
        let ended = self.place.book.lock().unwrap().ended.clone();
        match (&run, &ended) {
            (Some(run), _) => self.check_run(run, &mut wrong),
            (None, ended) if did(Act::DeleteRun) || did(Act::DeleteNamespace) || self.has_expired(ended) => {
                let jobs = self.users.list(&paths::jobs()).await;
                let is_left = |job: &&Value| controller(job).is_some_and(|(name, _)| name == RUN);
                let left = jobs.iter().filter(is_left).count();
                if left > 0 {
                    wrong.push(format!("liveness 3: {left} Jobs are left of a run that is gone"));
                }
                if let Some(ended) = ended {
                    self.check_run(ended, &mut wrong);
                }
            }
            (None, _) => wrong.push("the run is gone".to_owned()),
        }
        self.place.book.lock().unwrap().violations.extend(wrong);
    }

    /// Whether a run has ended that is not kept.
    fn has_expired(&self, ended: &Option<Value>) -> bool {
        self.scenario.time_to_live.is_some() && ended.is_some()
    }

    fn check_run(&self, run: &Value, wrong: &mut Vec<String>) {
        let Some(state) =
            text(run, "/status/state").filter(|_| text(run, "/status/completionTime").is_some())
        else {
            let status = run["status"].to_string();
            return wrong.push(format!(
                "liveness 1: it never ends: {}",
                status.chars().take(600).collect::<String>()
            ));
        };
        let are = |holds: fn(Act) -> bool| {
            self.faults.iter().all(|planned| match planned.fault {
                Fault::User(act) => holds(act),
                _ => true,
            })
        };
        if are(Act::keeps_the_end) && state != self.scenario.end {
            let told = &run["status"]["conditions"];
            wrong.push(format!("it ends as {state}, and nobody asked for that: {told}"));
        }
        if !are(Act::is_harmless) {
            return;
        }
        for expected in self.scenario.expected() {
            let (id, entry) = (expected.id, entry(run, expected.id));
            // Of two operators one may know less, and start what the other has given up.
            let is_split = self.replicas == Replicas::Two;
            let is_right = is_split || expected.states.iter().any(|state| entry["state"] == **state);
            if !is_right || !entry["disruptions"].is_null() {
                wrong.push(format!("\"{id}\" ends so, and nothing touched it: {entry}"));
            }
            if entry["state"] == "Succeeded" && entry["outputs"] != Scenario::outputs(id) {
                wrong.push(format!("the output of \"{id}\" is lost, and nothing touched it"));
            }
            let uid = text(run, "/metadata/uid").unwrap_or_default();
            let jobs = self.place.book.lock().unwrap().jobs(uid, id);
            let most = *expected.jobs.end();
            if !(expected.jobs.contains(&jobs) || (is_split && jobs <= most.max(1))) {
                wrong.push(format!("{jobs} Jobs were made of \"{id}\", and nothing touched it"));
            }
        }
    }
}
