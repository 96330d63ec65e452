//! The witness: the invariants of `engine.md`, checked inside the server at every write.
//!
//! Responsible for: one message per broken invariant, with its number. Must never: change anything, or trust what the
//! operator says.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use orchestrator::api::orchestration::ActivityState;
use orchestrator::embedded::state::{Observer, Write};
use orchestrator::embedded::store::{Key, Store};
use orchestrator::engine::names::child_name;
use orchestrator::engine::state::{is_final, is_legal};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use super::nodes::{News, has};
use super::reading::{controller, is_in_use, recorded, text, without_suspension};
use super::scenario::Scenario;

/// Who sends what an operator sends, and what arrives after it has given up waiting. Of the latter nobody can say any
/// more whether it is still meant.
pub const OPERATOR: &str = "operator";
pub const LATE: &str = "operator, late";

/// What it has seen.
pub struct Book {
    scenario: Arc<Scenario>,
    /// Invariants that are not looked at.
    ignored: Vec<u32>,
    /// One operator at a time. Of two, one may end a run while the other's last create is under way.
    pub is_alone: bool,
    /// What was broken.
    pub violations: Vec<String>,
    /// Jobs that were made for an activity of a run, and whether somebody else took the last one away.
    jobs: HashMap<(String, String), (usize, bool)>,
    /// Activities with a Job that somebody else took the labels or the owner from: it is no longer known as theirs.
    hidden: HashSet<(String, String)>,
    /// Activities whose Job was complete.
    complete: HashSet<(String, String)>,
    /// Writes of operators, Events aside.
    pub writes: usize,
    news: UnboundedSender<News>,
    finished: Arc<Notify>,
}

/// The book, shared with who reads it in the end.
pub type Shared = Arc<Mutex<Book>>;

/// A new book, and the observer that writes it.
pub fn witness(
    scenario: &Arc<Scenario>,
    ignored: Vec<u32>,
    news: UnboundedSender<News>,
    finished: Arc<Notify>,
) -> (Shared, Observer) {
    let book = Arc::new(Mutex::new(Book {
        scenario: Arc::clone(scenario),
        ignored,
        is_alone: true,
        violations: Vec::new(),
        jobs: HashMap::new(),
        hidden: HashSet::new(),
        complete: HashSet::new(),
        writes: 0,
        news,
        finished,
    }));
    let shared = Arc::clone(&book);
    (book, Box::new(move |write| shared.lock().unwrap().see(write)))
}

impl Book {
    /// How many Jobs were made for each activity, over all runs.
    pub fn most_jobs_of_one_activity(&self) -> usize {
        self.jobs.values().map(|(count, _)| *count).max().unwrap_or_default()
    }

    fn broken(&mut self, invariant: u32, what: String) {
        if !self.ignored.contains(&invariant) {
            self.violations.push(format!("invariant {invariant}: {what}"));
        }
    }

    fn see(&mut self, write: &Write<'_>) {
        let is_ours = write.context.user_agent == OPERATOR;
        let storage = write.kind.storage.as_str();
        let is_collected = storage == "apps/controllerrevisions" && write.new.is_none();
        if is_ours && storage != "/events" && !is_collected {
            self.writes += 1;
        }
        match storage {
            "batch/jobs" => self.see_job(write, is_ours),
            "/pods" => self.see_pod(write, is_ours),
            "orchestrator.dev/orchestrations" => {
                self.only_the_status(write, is_ours);
                if let Some(new) = write.new {
                    self.see_run(write.store, write.old, new);
                }
                self.finished.notify_waiters();
            }
            "apps/controllerrevisions" => {
                if is_ours && is_collected && is_in_use(write.store, write.key) {
                    self.broken(12, format!("the revision {} of a run was collected", write.key.name));
                }
                if let (Some(old), Some(new)) = (write.old, write.new)
                    && old["data"] != new["data"]
                {
                    self.broken(12, format!("the revision {} was changed", write.key.name));
                }
            }
            "/events" => {}
            _ => self.only_the_status(write, is_ours),
        }
    }

    /// Of what users own, the operator writes nothing but the status.
    fn only_the_status(&mut self, write: &Write<'_>, is_ours: bool) {
        if !is_ours {
            return;
        }
        let (Some(old), Some(new)) = (write.old, write.new) else {
            return self.broken(13, format!("the operator made or removed {:?}", write.key));
        };
        let is_same = |pointer: &str| old.pointer(pointer) == new.pointer(pointer);
        let kept = [
            "/spec",
            "/metadata/labels",
            "/metadata/annotations",
            "/metadata/finalizers",
            "/metadata/ownerReferences",
        ];
        if write.context.subresource != "status" || !kept.into_iter().all(is_same) {
            self.broken(13, format!("the operator wrote more than the status of {:?}", write.key));
        }
    }

    fn see_pod(&mut self, write: &Write<'_>, is_ours: bool) {
        if is_ours {
            self.broken(13, format!("the operator wrote the pod {}", write.key.name));
        }
        let is_deleted = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_string();
        let job = write.key.name.trim_end_matches("-pod").to_owned();
        match (write.old, write.new) {
            (Some(old), Some(new)) if !is_deleted(old) && is_deleted(new) => self.tell(News::PodDeleted(job)),
            (Some(_), None) => self.tell(News::PodGone(job)),
            _ => {}
        }
    }

    fn tell(&self, news: News) {
        // Nobody listens where nodes play no role.
        let _ = self.news.send(news);
    }

    fn see_job(&mut self, write: &Write<'_>, is_ours: bool) {
        let name = &write.key.name;
        let Some(job) = write.new.or(write.old) else { return };
        let Some(activity) = text(job, "/metadata/annotations/orchestrator.dev~1activity") else { return };
        let Some(owner) = [write.old, write.new].into_iter().flatten().find_map(controller) else { return };
        let key = (owner.1.to_owned(), activity.to_owned());
        match (write.old, write.new) {
            (None, Some(new)) => {
                self.tell(News::JobMade(name.clone()));
                if write.context.user_agent != LATE {
                    self.check_start(write.store, &write.key.namespace, new, &key, owner.0);
                }
                let (count, is_removed) = self.jobs.entry(key).or_default();
                (*count, *is_removed) = (*count + 1, false);
            }
            (Some(old), Some(new)) => {
                if is_ours && without_suspension(old) != without_suspension(new) {
                    self.broken(
                        13,
                        format!("the operator changed more of the Job {name} than its suspension"),
                    );
                }
                if old["spec"]["suspend"] == false && new["spec"]["suspend"] == true {
                    self.tell(News::JobSuspended(name.clone()));
                }
                let changed = |what: &str| old["metadata"][what] != new["metadata"][what];
                if !is_ours && (changed("labels") || changed("ownerReferences")) {
                    self.hidden.insert(key.clone());
                    if let Some((_, is_removed)) = self.jobs.get_mut(&key) {
                        *is_removed = true;
                    }
                }
                if has(new, "Complete") {
                    self.complete.insert(key);
                }
            }
            (Some(_), None) if !is_ours => {
                if let Some((_, is_removed)) = self.jobs.get_mut(&key) {
                    *is_removed = true;
                }
            }
            _ => {}
        }
    }

    /// A Job is made: may its activity start?
    fn check_start(
        &mut self,
        store: &Store,
        namespace: &str,
        job: &Value,
        key: &(String, String),
        owner: &str,
    ) {
        let (uid, activity) = key;
        let attempt =
            text(job, "/metadata/labels/orchestrator.dev~1attempt").and_then(|text| text.parse().ok());
        let attempt: u32 = attempt.unwrap_or_default();
        if attempt != 1 {
            self.broken(4, format!("attempt {attempt} of \"{activity}\", of 1"));
        }
        if text(job, "/metadata/name") != Some(child_name(owner, uid, activity, attempt).as_str()) {
            self.broken(
                5,
                format!("the name {} does not follow from \"{activity}\"", job["metadata"]["name"]),
            );
        }
        let place = Key {
            storage: "orchestrator.dev/orchestrations".to_owned(),
            namespace: namespace.to_owned(),
            name: owner.to_owned(),
        };
        let run =
            store.get(&place).map(|run| &run.value).filter(|run| text(run, "/metadata/uid") == Some(uid));
        let (count, is_removed) = self.jobs.get(key).copied().unwrap_or_default();
        if count > 0 && !is_removed {
            self.broken(1, format!("a second Job of \"{activity}\" while nobody took away the first"));
        }
        // A run that is gone takes the Job with it at once.
        let Some(run) = run else { return };
        let state = recorded(run, activity);
        if state == ActivityState::NotStarted && !self.is_alone {
            return;
        }
        if is_final(state) || run.pointer("/status/completionTime").is_some() {
            self.broken(2, format!("\"{activity}\" is started although it is recorded as {state:?}"));
        } else if state == ActivityState::Running {
            self.broken(1, format!("\"{activity}\" is started although it is recorded as Running"));
        }
        if run.pointer("/status/stopTime").is_some() {
            self.broken(11, format!("\"{activity}\" is started after the stop"));
        }
        let Some(step) = self.scenario.step(activity).cloned() else { return };
        for need in &step.needs {
            let is_recorded = recorded(run, need) == ActivityState::Succeeded;
            let is_known =
                is_recorded || (!step.reads && self.complete.contains(&(uid.clone(), need.clone())));
            if !is_known {
                self.broken(3, format!("\"{activity}\" is started before \"{need}\" is done and recorded"));
            }
        }
        if self.scenario.tiered {
            let tier =
                |of: &str| run.pointer(&format!("/status/activities/{of}/tier")).and_then(Value::as_u64);
            let (steps, own) = (self.scenario.steps.clone(), tier(activity));
            for earlier in steps.iter().filter(|other| tier(&other.id) < own) {
                if !self.complete.contains(&(uid.clone(), earlier.id.clone())) {
                    self.broken(
                        3,
                        format!(
                            "\"{activity}\" is started before \"{}\" of an earlier tier is done",
                            earlier.id
                        ),
                    );
                }
            }
        }
        let input = text(job, "/spec/template/metadata/annotations/orchestrator.dev~1input").unwrap_or("{}");
        let input: Value = serde_json::from_str(input).unwrap_or_default();
        if input != self.scenario.inputs(activity) {
            self.broken(3, format!("\"{activity}\" gets {input}"));
        }
    }

    fn see_run(&mut self, store: &Store, old: Option<&Value>, new: &Value) {
        let uid = text(new, "/metadata/uid").unwrap_or_default().to_owned();
        let generation = |pointer: &str| new.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
        if generation("/status/observedGeneration") > generation("/metadata/generation") {
            self.broken(14, "the status speaks of a generation that is still to come".to_owned());
        }
        if let Some(old) = old.filter(|old| text(old, "/metadata/uid") == Some(&uid)) {
            self.check_change(old, new);
        }
        let activities = new.pointer("/status/activities").and_then(Value::as_object);
        let mut states = Vec::new();
        for (id, entry) in activities.into_iter().flatten() {
            let state = recorded(new, id);
            states.push(state);
            let key = (uid.clone(), id.clone());
            if matches!(state, ActivityState::Running) && !self.jobs.contains_key(&key) {
                self.broken(3, format!("\"{id}\" is recorded as Running, and no Job was ever made"));
            }
            let is_certain =
                self.is_alone && state == ActivityState::NotStarted && !self.hidden.contains(&key);
            if is_certain && self.jobs.get(&key).is_some_and(|(_, is_removed)| !is_removed) {
                self.broken(2, format!("\"{id}\" is recorded as NotStarted, and there is a Job of it"));
            }
            if entry["attempt"].as_u64().unwrap_or_default() > 1 {
                self.broken(4, format!("\"{id}\" has the attempt {}", entry["attempt"]));
            }
            if state == ActivityState::Succeeded {
                if !self.complete.contains(&key) {
                    self.broken(7, format!("\"{id}\" is recorded as Succeeded, and its Job never was"));
                }
                // What nobody reads may be lost with its pod.
                let is_lost = entry["outputs"].is_null() && !self.scenario.is_read(id);
                if !is_lost && entry["outputs"] != Scenario::outputs(id) {
                    self.broken(7, format!("the output of \"{id}\" is recorded as {}", entry["outputs"]));
                }
            }
        }
        self.check_end(store, new, &states);
    }

    fn check_change(&mut self, old: &Value, new: &Value) {
        let is_set = |pointer: &str| old.pointer(pointer).is_some();
        let is_same = |pointer: &str| old.pointer(pointer) == new.pointer(pointer);
        if is_set("/status") && new.pointer("/status").is_none() {
            self.broken(9, "the status is gone".to_owned());
        }
        for once in [
            "/status/revision",
            "/status/startTime",
            "/status/stopTime",
            "/status/completionTime",
            "/status/output",
        ] {
            if is_set(once) && !is_same(once) {
                self.broken(if once == "/status/revision" { 12 } else { 9 }, format!("{once} has changed"));
            }
        }
        let is_finished = is_set("/status/completionTime");
        if is_finished
            && !["/status/state", "/status/activities", "/status/duration"].into_iter().all(is_same)
        {
            self.broken(9, "a finished status has changed".to_owned());
        }
        let seen = |run: &Value| run.pointer("/status/observedGeneration").and_then(Value::as_i64);
        if seen(old) > seen(new) {
            self.broken(14, "observedGeneration goes back".to_owned());
        }
        let activities = old.pointer("/status/activities").and_then(Value::as_object);
        for (id, before) in activities.into_iter().flatten() {
            let after = new.pointer(&format!("/status/activities/{id}")).cloned().unwrap_or_default();
            let (from, to) = (recorded(old, id), recorded(new, id));
            if !is_legal(from, to) {
                self.broken(8, format!("\"{id}\" goes from {from:?} to {to:?}"));
            }
            if before.get("outputs").is_some_and(|outputs| after.get("outputs") != Some(outputs)) {
                self.broken(7, format!("the output of \"{id}\" has changed"));
            }
            if before["attempt"].as_u64() > after["attempt"].as_u64() {
                self.broken(4, format!("the attempt of \"{id}\" goes back"));
            }
        }
    }

    fn check_end(&mut self, store: &Store, run: &Value, states: &[ActivityState]) {
        let Some(completion) = text(run, "/status/completionTime") else { return };
        if text(run, "/status/startTime").is_some_and(|start| start > completion) {
            self.broken(9, "it ended before it started".to_owned());
        }
        let conditions = run.pointer("/status/conditions").and_then(Value::as_array);
        let succeeded = conditions.into_iter().flatten().find(|condition| condition["type"] == "Succeeded");
        let reason = succeeded.and_then(|condition| condition["reason"].as_str()).unwrap_or_default();
        let revision = Key {
            storage: "apps/controllerrevisions".to_owned(),
            namespace: text(run, "/metadata/namespace").unwrap_or_default().to_owned(),
            name: text(run, "/status/revision").unwrap_or_default().to_owned(),
        };
        let pinned = store
            .get(&revision)
            .and_then(|revision| revision.value.pointer("/data/definition/spec/activities"));
        let total = pinned.and_then(Value::as_array).map_or(0, Vec::len);
        let all = |wanted: ActivityState| states.iter().all(|state| *state == wanted);
        match text(run, "/status/state") {
            Some("Succeeded") if states.len() == total && total > 0 && all(ActivityState::Succeeded) => {}
            Some("Failed")
                if states.iter().all(|state| is_final(*state))
                    && (states.contains(&ActivityState::Failed)
                        || !matches!(reason, "ActivityFailed" | "Completed" | "")) => {}
            other => self.broken(10, format!("it ended as {other:?}, {reason}, with {states:?}")),
        }
    }
}
