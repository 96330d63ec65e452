//! Places: a server with nodes and a witness, before anything happens in it.
//!
//! Responsible for: what many runs begin with, made once. Must never: have an operator of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orchestrator::clock::Clock;
use orchestrator::config::Settings;
use orchestrator::embedded::kinds::definition::Definition;
use orchestrator::embedded::random::Random;
use orchestrator::embedded::server::Server;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep};

use super::runtime;
use crate::support::simulated::direct::Direct;
use crate::support::simulated::nodes::Nodes;
use crate::support::simulated::scenario::{FIRST, NAMESPACE, Scenario, paths};
use crate::support::simulated::witness::{Shared, witness};

/// The time of a world: it goes as tokio's does.
#[derive(Debug)]
pub struct VirtualClock {
    base: Timestamp,
    start: Instant,
}

impl VirtualClock {
    /// A clock that shows this time now.
    pub fn new(base: Timestamp) -> Arc<Self> {
        Arc::new(Self { base, start: Instant::now() })
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.base + SignedDuration::try_from(self.start.elapsed()).unwrap_or_default()
    }
}

/// The time at which all worlds begin.
pub fn beginning() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A server in which the definitions of a scenario are there and Ready. Made once for every scenario.
pub fn prepared(scenario: &Scenario) -> Server {
    static PREPARED: OnceLock<Mutex<BTreeMap<&'static str, Server>>> = OnceLock::new();
    let mut all = PREPARED.get_or_init(Mutex::default).lock().unwrap();
    all.entry(scenario.name).or_insert_with(|| prepare(scenario)).clone()
}

fn prepare(scenario: &Scenario) -> Server {
    // On a thread of its own: who asks may be in a runtime.
    let scenario = Arc::new(scenario.clone());
    std::thread::spawn(move || runtime().block_on(make_ready(&scenario))).join().unwrap()
}

async fn make_ready(scenario: &Arc<Scenario>) -> Server {
    let clock = VirtualClock::new(beginning() - SignedDuration::from_secs(600));
    let server = empty(clock.clone());
    let users = Direct::new(&server, "user");
    let namespace =
        serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    users.create("/api/v1/namespaces", &namespace).await;
    users.create(&paths::activities(), &scenario.activity_type()).await;
    users.create(&paths::definitions(), &scenario.first_definition()).await;
    work_on(&server, clock).await;
    let definition = users.get(&format!("{}/flow", paths::definitions())).await.unwrap();
    assert!(definition["status"]["revision"].is_string(), "{definition}");
    if scenario.broke.is_none() {
        return server;
    }
    let place = Place::at(&server, scenario, 1, &[], beginning() - SignedDuration::from_secs(300));
    let users = Direct::new(&place.server, "user");
    users.create(&paths::runs(), &scenario.run(FIRST)).await;
    work_on(&place.server, place.clock.clone()).await;
    users.patch(&format!("{}/flow", paths::definitions()), &scenario.definition()).await;
    work_on(&place.server, place.clock.clone()).await;
    let first = users.get(&format!("{}/{FIRST}", paths::runs())).await.unwrap();
    assert_eq!(first["status"]["state"], "Failed", "{first}");
    assert_eq!(place.book.lock().unwrap().violations, Vec::<String>::new());
    // Without its witness.
    place.server.fork(place.clock, Random::from_seed(1), None)
}

/// An operator works for a while.
async fn work_on(server: &Server, clock: Arc<VirtualClock>) {
    let (_stop, shutdown) = watch::channel(false);
    let operator =
        tokio::spawn(orchestrator::app::run(server.client(), clock, Settings::default(), shutdown));
    sleep(Duration::from_secs(60)).await;
    operator.abort();
}

/// A server with our kinds and nothing else.
pub fn empty(clock: Arc<dyn Clock>) -> Server {
    let kinds = orchestrator::api::crds();
    let compile = |kind| Definition::compile(&serde_json::to_value(kind).unwrap()).unwrap();
    let builder = Server::builder(clock).random(Random::from_seed(1));
    kinds.into_iter().map(compile).fold(builder, |builder, kind| builder.definition(kind)).build()
}

/// A server with nodes and a witness, and no operator yet.
pub struct Place {
    pub server: Server,
    pub clock: Arc<VirtualClock>,
    pub book: Shared,
    /// Tells of every change of an Orchestration.
    pub finished: Arc<Notify>,
}

impl Place {
    /// A place that begins like a snapshot.
    pub fn new(snapshot: &Server, scenario: &Arc<Scenario>, seed: u64, ignored: &[u32]) -> Self {
        Self::at(snapshot, scenario, seed, ignored, beginning())
    }

    /// The same at another time.
    fn at(snapshot: &Server, scenario: &Arc<Scenario>, seed: u64, ignored: &[u32], now: Timestamp) -> Self {
        let clock = VirtualClock::new(now);
        let (news, told) = mpsc::unbounded_channel();
        let finished = Arc::new(Notify::new());
        let (book, observer) =
            witness(scenario, clock.clone(), ignored.to_vec(), news, Arc::clone(&finished));
        let server = snapshot.fork(clock.clone(), Random::from_seed(seed), Some(observer));
        tokio::spawn(Nodes::new(Direct::new(&server, "node"), clock.clone(), scenario).run(told));
        Self { server, clock, book, finished }
    }
}
