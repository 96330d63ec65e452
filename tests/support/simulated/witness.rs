//! The witness: the invariants of `engine.md` and `reliability.md`, checked inside the server at every write.
//!
//! Responsible for: one message per broken invariant, with its number. Must never: change anything, or trust what the
//! operator says.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use orchestrator::clock::Clock;
use orchestrator::embedded::state::{Observer, Write};
use orchestrator::embedded::store::Key;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use super::nodes::{News, has, label};
use super::reading::{controller, is_in_use, text, time, without_suspension};
use super::scenario::{RUN, Scenario};

mod attempts;
mod ends;
mod entries;
mod starts;
mod statuses;

/// Who sends what an operator sends, and what arrives when it is no more or does not wait for it: after a time-out, a
/// death, or the loss of its leadership. Of the latter nobody can say any more whether it is still meant.
pub const OPERATOR: &str = "operator";
pub const LATE: &str = "operator, late";

/// An activity of a run: the uid and the id.
type Activity = (String, String);

/// What it has seen.
pub struct Book {
    scenario: Arc<Scenario>,
    clock: Arc<dyn Clock>,
    /// Invariants that are not looked at.
    ignored: Vec<u32>,
    /// One operator at a time. Of two, one may end a run while the other's last create is under way.
    pub is_alone: bool,
    /// What was broken.
    pub violations: Vec<String>,
    made: HashMap<Activity, Made>,
    asked: HashMap<String, Asked>,
    /// Activities with a Job that was complete.
    complete: HashSet<Activity>,
    /// Activities with a Job that has failed.
    failed: HashSet<Activity>,
    /// The run as it was when it ended.
    pub ended: Option<Value>,
    /// Writes of operators, Events and Leases aside.
    pub writes: usize,
    news: UnboundedSender<News>,
    finished: Arc<Notify>,
}

/// The Jobs of an activity.
#[derive(Debug, Default)]
struct Made {
    /// For every attempt, whether somebody else took its last Job away.
    attempts: BTreeMap<u32, bool>,
    count: usize,
    /// Somebody else took the labels or the owner from a Job, so that it is no longer known as theirs; or a Job was made
    /// that nobody waited for.
    is_uncertain: bool,
}

/// What users have asked of a run, and with which generation.
#[derive(Debug, Default)]
struct Asked {
    suspend: Option<i64>,
    stop: Option<i64>,
    terminate: Option<i64>,
    /// The earliest deadline that ever held.
    deadline: Option<Timestamp>,
}

/// The book, shared with who reads it in the end.
pub type Shared = Arc<Mutex<Book>>;

/// A new book, and the observer that writes it.
pub fn witness(
    scenario: &Arc<Scenario>,
    clock: Arc<dyn Clock>,
    ignored: Vec<u32>,
    news: UnboundedSender<News>,
    finished: Arc<Notify>,
) -> (Shared, Observer) {
    let book = Arc::new(Mutex::new(Book {
        scenario: Arc::clone(scenario),
        clock,
        ignored,
        is_alone: true,
        violations: Vec::new(),
        made: HashMap::new(),
        asked: HashMap::new(),
        complete: HashSet::new(),
        failed: HashSet::new(),
        ended: None,
        writes: 0,
        news,
        finished,
    }));
    let shared = Arc::clone(&book);
    (book, Box::new(move |write| shared.lock().unwrap().see(write)))
}

impl Book {
    /// How many Jobs were made of an activity of a run.
    pub fn jobs(&self, uid: &str, activity: &str) -> usize {
        self.made(&(uid.to_owned(), activity.to_owned())).map_or(0, |made| made.count)
    }

    fn made(&self, key: &Activity) -> Option<&Made> {
        self.made.get(key)
    }

    /// Whether it is known for certain what was made of an activity.
    fn is_certain(&self, key: &Activity) -> bool {
        self.is_alone && !self.made(key).is_some_and(|made| made.is_uncertain)
    }

    fn broken(&mut self, invariant: u32, what: String) {
        if !self.ignored.contains(&invariant) {
            self.violations.push(format!("invariant {invariant}: {what}"));
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn see(&mut self, write: &Write<'_>) {
        let is_ours = write.context.user_agent == OPERATOR && write.context.verb != "collect";
        let storage = write.kind.storage.as_str();
        let is_collected = storage == "apps/controllerrevisions" && write.new.is_none();
        if is_ours && !matches!(storage, "/events" | "coordination.k8s.io/leases") && !is_collected {
            self.writes += 1;
        }
        match storage {
            "batch/jobs" => self.see_job(write, is_ours),
            "/pods" => self.see_pod(write, is_ours),
            "orchestrator.dev/orchestrations" => {
                self.only_the_status(write, is_ours);
                if let Some(new) = write.new {
                    self.see_run(write, new, is_ours);
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
            "/events" | "coordination.k8s.io/leases" => {}
            _ => self.only_the_status(write, is_ours),
        }
    }

    /// Of what users own, the operator writes nothing but the status. What has ended it removes when its time is over.
    fn only_the_status(&mut self, write: &Write<'_>, is_ours: bool) {
        if !is_ours {
            return;
        }
        let (Some(old), Some(new)) = (write.old, write.new) else {
            let lives = |run: &Value| Some(seconds(run.pointer("/spec/ttlSecondsAfterFinished")?.as_i64()?));
            if !write.old.is_some_and(|old| self.is_over_since(old, lives(old))) {
                self.broken(13, format!("the operator made or removed {:?}", write.key));
            }
            return;
        };
        let is_same = |pointer: &str| old.pointer(pointer) == new.pointer(pointer);
        let kept = [
            "/spec",
            "/metadata/labels",
            "/metadata/annotations",
            "/metadata/finalizers",
            "/metadata/ownerReferences",
        ];
        let is_going = is_same("/metadata/deletionTimestamp");
        if write.context.subresource != "status" || !is_going || !kept.into_iter().all(is_same) {
            self.broken(13, format!("the operator wrote more than the status of {:?}", write.key));
        }
    }

    /// Whether a run ended so long ago.
    fn is_over_since(&self, run: &Value, long: Option<SignedDuration>) -> bool {
        time(run, "/status/completionTime").zip(long).is_some_and(|(end, long)| end + long <= self.now())
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
        let attempt = label(job, "attempt").parse().unwrap_or_default();
        match (write.old, write.new) {
            (None, Some(new)) => {
                self.tell(News::JobMade(name.clone()));
                let is_late = write.context.user_agent == LATE;
                if !is_late {
                    self.check_start(write.store, new, &key, owner.0, attempt);
                }
                let made = self.made.entry(key).or_default();
                made.count += 1;
                made.is_uncertain |= is_late;
                made.attempts.insert(attempt, false);
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
                    if is_ours {
                        self.check_stop(write.store, &key, owner.0, attempt);
                    }
                }
                let changed = |what: &str| old["metadata"][what] != new["metadata"][what];
                if !is_ours && (changed("labels") || changed("ownerReferences")) {
                    let made = self.made.entry(key.clone()).or_default();
                    made.is_uncertain = true;
                    made.attempts.insert(attempt, true);
                }
                if has(new, "Complete") {
                    self.complete.insert(key);
                } else if has(new, "Failed") {
                    self.failed.insert(key);
                }
            }
            (Some(_), None) if is_ours => {
                let retention = self.scenario.retention.unwrap_or(86_400);
                let owner = find(write.store, owner.0, owner.1);
                let lives = seconds(i64::try_from(retention).unwrap_or(i64::MAX));
                if !owner.is_some_and(|run| self.is_over_since(run, Some(lives))) {
                    self.broken(
                        2,
                        format!("the operator removed the Job {name}, which is the record of a start"),
                    );
                }
            }
            (Some(_), None) => {
                if let Some(made) = self.made.get_mut(&key) {
                    made.attempts.insert(attempt, true);
                }
            }
            (None, None) => {}
        }
    }
}

fn seconds(number: i64) -> SignedDuration {
    SignedDuration::from_secs(number)
}

/// A run, if it is still the same.
fn find<'s>(store: &'s orchestrator::embedded::store::Store, name: &str, uid: &str) -> Option<&'s Value> {
    let place = Key {
        storage: "orchestrator.dev/orchestrations".to_owned(),
        namespace: super::scenario::NAMESPACE.to_owned(),
        name: name.to_owned(),
    };
    store.get(&place).map(|run| &run.value).filter(|run| text(run, "/metadata/uid") == Some(uid))
}

/// Whether it is the run that the world is about.
fn is_the_run(run: &Value) -> bool {
    text(run, "/metadata/name") == Some(RUN)
}
