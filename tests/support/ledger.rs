//! A ledger of all Jobs and pods that were ever made in a namespace, in the order in which the server made them.
//!
//! Responsible for: seeing what is gone at the end. Must never: change anything.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::cluster::{PATIENCE, TestNamespace};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A Job was made.
    JobMade,
    /// A Job has ended, whatever the result.
    JobEnded,
    /// A pod was made.
    PodMade,
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub what: What,
    /// Name of the Orchestration.
    pub orchestration: String,
    /// Id of the activity.
    pub activity: String,
    /// Number of the attempt.
    pub attempt: String,
    /// Uid of the Job or pod.
    pub uid: String,
}

/// A ledger that is being kept. Jobs and pods are watched apart: only entries of one kind are in order.
pub struct Ledger {
    entries: Arc<Mutex<Vec<Entry>>>,
    length: Arc<watch::Sender<usize>>,
    _watches: JoinSet<()>,
}

impl Ledger {
    /// Starts a ledger. What is made from now on is in it.
    pub async fn start(namespace: &TestNamespace) -> Self {
        let entries: Arc<Mutex<Vec<Entry>>> = Arc::default();
        let length = Arc::new(watch::Sender::new(0));
        let ready = Arc::new(watch::Sender::new(0));
        let mut watches = JoinSet::new();
        let book =
            || Book { entries: Arc::clone(&entries), length: Arc::clone(&length), ready: Arc::clone(&ready) };
        watches.spawn(keep(namespace.api::<Job>(), of_job, book()));
        watches.spawn(keep(namespace.api::<Pod>(), |_| vec![What::PodMade], book()));
        ready.subscribe().wait_for(|lists| *lists == 2).await.unwrap();
        Self { entries, length, _watches: watches }
    }

    /// A copy of all entries so far.
    pub fn all(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    /// How often something happened.
    pub fn count(&self, what: What) -> usize {
        self.all().iter().filter(|entry| entry.what == what).count()
    }

    /// Where in the ledger something happened to an activity.
    pub fn position(&self, what: What, activity: &str) -> Option<usize> {
        self.all().iter().position(|entry| entry.what == what && entry.activity == activity)
    }

    /// Waits until the ledger is as it should be.
    pub async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let mut changes = self.length.subscribe();
        let wait = async {
            while !holds(self) {
                changes.changed().await.unwrap();
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("the ledger never became what it should be: {:#?}", self.all());
        }
    }

    /// Most Jobs that were unfinished at the same time.
    pub fn most_unfinished(&self) -> usize {
        let mut unfinished = HashSet::new();
        let mut most = 0;
        for entry in self.all() {
            match entry.what {
                What::JobMade => drop(unfinished.insert(entry.uid)),
                What::JobEnded => drop(unfinished.remove(&entry.uid)),
                What::PodMade => {}
            }
            most = most.max(unfinished.len());
        }
        most
    }

    /// Waits until every Job has ended and the ledger has its pod, and fails unless `expected` attempts of activities had
    /// one Job and one pod each.
    pub async fn ran_exactly_once(&self, expected: usize) {
        self.until(|ledger| {
            ledger.count(What::JobEnded) >= expected && ledger.count(What::PodMade) >= expected
        })
        .await;
        let mut made: BTreeMap<_, Vec<(What, String)>> = BTreeMap::new();
        for entry in self.all().into_iter().filter(|entry| entry.what != What::JobEnded) {
            let attempt = (entry.orchestration, entry.activity, entry.attempt);
            made.entry(attempt).or_default().push((entry.what, entry.uid));
        }
        let wrong: BTreeSet<String> =
            made.iter().filter(|(_, all)| all.len() != 2).map(|one| format!("{one:?}")).collect();
        assert!(wrong.is_empty(), "not exactly one Job and one pod: {wrong:#?}");
        assert_eq!(made.len(), expected);
    }
}

/// Where a watch writes.
struct Book {
    entries: Arc<Mutex<Vec<Entry>>>,
    length: Arc<watch::Sender<usize>>,
    /// How many lists are complete.
    ready: Arc<watch::Sender<i32>>,
}

fn of_job(job: &Job) -> Vec<What> {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref());
    let has_ended = conditions.unwrap_or_default().iter().any(|condition| {
        condition.status == "True" && matches!(condition.type_.as_str(), "Complete" | "Failed")
    });
    [What::JobMade, What::JobEnded].into_iter().take(1 + usize::from(has_ended)).collect()
}

async fn keep<K>(api: Api<K>, happened: fn(&K) -> Vec<What>, book: Book)
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + 'static,
{
    let mut seen = HashSet::new();
    let mut events = watcher(api, watcher::Config::default()).boxed();
    while let Some(event) = events.next().await {
        let object = match event {
            Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) => object,
            Ok(Event::InitDone) => {
                book.ready.send_modify(|lists| *lists += 1);
                continue;
            }
            Ok(Event::Init) => continue,
            Err(error) => {
                println!("the ledger's watch: {error}");
                continue;
            }
        };
        let annotation = |key: &str| object.annotations().get(key).cloned().unwrap_or_default();
        let attempt = object.labels().get("orchestrator.dev/attempt").cloned().unwrap_or_default();
        let uid = object.uid().unwrap_or_default();
        for what in happened(&object) {
            if seen.insert((what, uid.clone())) {
                let mut entries = book.entries.lock().unwrap();
                entries.push(Entry {
                    what,
                    orchestration: annotation("orchestrator.dev/orchestration"),
                    activity: annotation("orchestrator.dev/activity"),
                    attempt: attempt.clone(),
                    uid: uid.clone(),
                });
                book.length.send_replace(entries.len());
            }
        }
    }
}
