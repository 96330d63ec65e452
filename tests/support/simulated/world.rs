//! A world: one server, one orchestration, its nodes, and operators that come and go, on paused time.
//!
//! Responsible for: one run from its beginning to a while after its end, and what was wrong with it. Must never:
//! depend on the machine: the same schedule gives the same run.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Once, OnceLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use orchestrator::client::CALL_TIMEOUT;
use orchestrator::clock::Clock;
use orchestrator::config::Settings;
use orchestrator::embedded::kinds::definition::Definition;
use orchestrator::embedded::random::Random;
use orchestrator::embedded::server::Server;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tower::timeout::Timeout;

use super::direct::Direct;
use super::faults::{Ail, Fault, Planned, Schedule};
use super::nodes::Nodes;
use super::reading::{controller, text};
use super::scenario::{NAMESPACE, RUN, Scenario, paths};
use super::users::Act;
use super::wire::{Net, Process, Wire};
use super::witness::{Shared, witness};

/// Pause before an operator that died lives again.
const RESTART: Duration = Duration::from_secs(1);
/// Longest that a run may take after its deadline: the grace of its end, and the longest pause after failures.
const PATIENCE: Duration = Duration::from_secs(60 + 900);
/// How long everything must have been done before it counts as done: what is slow or late comes to its end, a silent
/// watch is given up, a server that is away comes back.
const SETTLE: Duration = Duration::from_secs(100);
const SETTLE_AFTER_SILENCE: Duration = Duration::from_secs(310);
const SETTLE_AFTER_OUTAGE: Duration = Duration::from_secs(1000);
/// How long nothing may be written once all is done: in most runs some minutes, in some so long that every periodic
/// look comes by.
const QUIET: Duration = Duration::from_secs(200);
const LONG_QUIET: Duration = Duration::from_secs(620);
/// More requests than any run needs, watches aside.
const MOST_REQUESTS: usize = 400;

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

/// What is the same in many runs.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub settings: Settings,
    /// Invariants that are not looked at.
    pub ignored: Vec<u32>,
    /// Whether requests are written down.
    pub is_traced: bool,
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What was wrong; nothing is good.
    pub violations: Vec<String>,
    /// Requests of operators until all was done.
    pub requests: usize,
    /// The requests themselves, if they were written down.
    pub trace: Vec<String>,
}

impl Outcome {
    /// Whether a violation has these words; no words are in every one.
    pub fn has(&self, words: &str) -> bool {
        self.violations.iter().any(|violation| violation.contains(words))
    }
}

/// A server in which the definitions of a scenario are there and Ready. Made once for every scenario.
pub fn prepared(scenario: &Scenario) -> Server {
    static PREPARED: OnceLock<Mutex<BTreeMap<&'static str, Server>>> = OnceLock::new();
    let mut all = PREPARED.get_or_init(Mutex::default).lock().unwrap();
    all.entry(scenario.name).or_insert_with(|| prepare(scenario)).clone()
}

fn prepare(scenario: &Scenario) -> Server {
    // On a thread of its own: who asks may be in a runtime.
    let scenario = scenario.clone();
    std::thread::spawn(move || runtime().block_on(make_ready(&scenario))).join().unwrap()
}

async fn make_ready(scenario: &Scenario) -> Server {
    let server = empty(VirtualClock::new(beginning() - SignedDuration::from_secs(60)));
    let users = Direct::new(&server, "user");
    let namespace =
        serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    users.create("/api/v1/namespaces", &namespace).await;
    users.create(&paths::activities(), &Scenario::activity()).await;
    users.create(&paths::definitions(), &scenario.definition()).await;
    let (_stop, shutdown) = watch::channel(false);
    let clock = VirtualClock::new(beginning() - SignedDuration::from_secs(60));
    let operator =
        tokio::spawn(orchestrator::app::run(server.client(), clock, Settings::default(), shutdown));
    sleep(Duration::from_secs(30)).await;
    operator.abort();
    let definition = users.get(&format!("{}/flow", paths::definitions())).await.unwrap();
    assert!(definition["status"]["revision"].is_string(), "{definition}");
    server
}

/// A server with our kinds and nothing else.
pub fn empty(clock: Arc<dyn Clock>) -> Server {
    let kinds = orchestrator::api::crds();
    let compile = |kind| Definition::compile(&serde_json::to_value(kind).unwrap()).unwrap();
    let builder = Server::builder(clock).random(Random::from_seed(1));
    kinds.into_iter().map(compile).fold(builder, |builder, kind| builder.definition(kind)).build()
}

/// A runtime on paused time.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Runs a schedule in a world of its own.
pub fn run(scenario: &Arc<Scenario>, schedule: &Schedule, rules: &Rules) -> Outcome {
    let snapshot = prepared(scenario);
    fastrand::seed(schedule.seed);
    let panics = panics();
    let mut outcome = runtime().block_on(async move {
        let mut world = World::new(&snapshot, scenario, schedule, rules).await;
        world.live().await
    });
    if self::panics() > panics {
        outcome.violations.push("invariant 17: something panicked".to_owned());
    }
    outcome
}

/// Panics on this thread so far. The operator survives them, and they are mistakes all the same.
fn panics() -> usize {
    thread_local!(static PANICS: Cell<usize> = const { Cell::new(0) });
    static COUNT: Once = Once::new();
    COUNT.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.with(|panics| panics.set(panics.get() + 1));
            before(panic);
        }));
    });
    PANICS.with(Cell::get)
}

/// The client of an operator, with the time limit of the real one.
pub fn client(net: &Arc<Net>, process: &Arc<Process>) -> Client {
    Client::new(Timeout::new(Wire::new(net, process), CALL_TIMEOUT), "default")
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
        let clock = VirtualClock::new(beginning());
        let (news, told) = mpsc::unbounded_channel();
        let finished = Arc::new(Notify::new());
        let (book, observer) = witness(scenario, ignored.to_vec(), news, Arc::clone(&finished));
        let server = snapshot.fork(clock.clone(), Random::from_seed(seed), Some(observer));
        tokio::spawn(Nodes::new(Direct::new(&server, "node"), clock.clone(), scenario).run(told));
        Self { server, clock, book, finished }
    }
}

struct World {
    place: Place,
    users: Direct,
    scenario: Arc<Scenario>,
    faults: Vec<Planned>,
    replicas: usize,
    settings: Settings,
    net: Arc<Net>,
    crashes: mpsc::UnboundedReceiver<usize>,
    operators: JoinSet<()>,
    alive: BTreeMap<usize, (Arc<Process>, AbortHandle)>,
    reborn: Vec<(Instant, usize)>,
    shutdown: watch::Sender<bool>,
}

impl World {
    async fn new(snapshot: &Server, scenario: &Arc<Scenario>, schedule: &Schedule, rules: &Rules) -> Self {
        let place = Place::new(snapshot, scenario, schedule.seed, &rules.ignored);
        place.book.lock().unwrap().is_alone = schedule.replicas == 1;
        let users = Direct::new(&place.server, "user");
        users.create(&paths::runs(), &scenario.run(RUN)).await;
        let (crash, crashes) = mpsc::unbounded_channel();
        let random = schedule.jitter.then(|| Random::from_seed(schedule.seed ^ 0x5eed));
        let net = Net::new(&place.server, scenario, schedule.faults.clone(), random, crash, rules.is_traced);
        let mut world = Self {
            place,
            users,
            scenario: Arc::clone(scenario),
            faults: schedule.faults.clone(),
            replicas: schedule.replicas,
            settings: rules.settings.clone(),
            net,
            crashes,
            operators: JoinSet::new(),
            alive: BTreeMap::new(),
            reborn: Vec::new(),
            shutdown: watch::channel(false).0,
        };
        (0..schedule.replicas).for_each(|replica| world.start(replica));
        world
    }

    fn start(&mut self, replica: usize) {
        let process = Process::new(replica);
        let client = client(&self.net, &process);
        let operator = orchestrator::app::run(
            client,
            self.place.clock.clone(),
            self.settings.clone(),
            self.shutdown.subscribe(),
        );
        let handle = self.operators.spawn(operator);
        self.alive.insert(replica, (process, handle));
    }

    /// From the first request to a while after the end.
    async fn live(&mut self) -> Outcome {
        let allowed = Duration::from_secs(self.scenario.deadline.unsigned_abs());
        let deadline = Instant::now() + allowed + PATIENCE;
        while !self.is_settled().await && Instant::now() < deadline {
            self.pass(deadline).await;
        }
        let requests = self.net.requests();
        self.net.disarm();
        self.check_end().await;
        let before = self.place.book.lock().unwrap().writes;
        let is_long = requests.is_multiple_of(5);
        self.pass_until(Instant::now() + if is_long { LONG_QUIET } else { QUIET }).await;
        let mut book = self.place.book.lock().unwrap();
        if book.writes > before {
            let count = book.writes - before;
            book.violations.push(format!("invariant 16: {count} writes after everything was done"));
        }
        let all = self.net.asked();
        if all > MOST_REQUESTS * self.replicas {
            book.violations.push(format!("invariant 16: {all} requests"));
        }
        Outcome { violations: book.violations.clone(), requests, trace: self.net.trace() }
    }

    /// Waits for the next thing that happens, at most a minute.
    async fn pass(&mut self, deadline: Instant) {
        let next = self.reborn.first().map_or(deadline, |(at, _)| *at);
        tokio::select! {
            biased;
            Some(replica) = self.crashes.recv() => {
                if let Some((_, handle)) = self.alive.remove(&replica) {
                    handle.abort();
                    self.reborn.push((Instant::now() + RESTART, replica));
                }
            }
            Some(ended) = self.operators.join_next(), if !self.operators.is_empty() => {
                if ended.is_ok() {
                    self.place.book.lock().unwrap().violations.push("invariant 17: an operator ended by itself".to_owned());
                }
            }
            () = self.place.finished.notified() => {}
            () = tokio::time::sleep_until(next.min(Instant::now() + Duration::from_secs(60))) => {}
        }
        if self.reborn.first().is_some_and(|(at, _)| *at <= Instant::now()) {
            let (_, replica) = self.reborn.remove(0);
            self.start(replica);
        }
    }

    async fn pass_until(&mut self, end: Instant) {
        while Instant::now() < end {
            self.pass(end).await;
        }
    }

    /// Whether nothing is left to do, for some seconds in which nothing went wrong either.
    async fn is_settled(&mut self) -> bool {
        if !self.is_done() {
            return false;
        }
        let happened = self.net.happened();
        self.pass_until(Instant::now() + self.settling()).await;
        self.is_done() && self.net.happened() == happened
    }

    fn settling(&self) -> Duration {
        let longest = self.faults.iter().map(|planned| match planned.fault {
            Fault::Watch(_, Ail::Silent) => SETTLE_AFTER_SILENCE,
            Fault::Down(_) => SETTLE_AFTER_OUTAGE,
            _ => SETTLE,
        });
        longest.max().unwrap_or(SETTLE)
    }

    fn is_done(&self) -> bool {
        let is_finished = match self.users.peek("orchestrator.dev", "orchestrations", RUN) {
            Some(run) => text(&run.value, "/status/completionTime").is_some(),
            None => {
                let version = self.place.server.version();
                self.place.server.objects_at("", "pods", None, version).is_ok_and(|pods| pods.is_empty())
            }
        };
        is_finished && self.reborn.is_empty()
    }

    /// What must be, now that all is over.
    async fn check_end(&self) {
        let users = &self.users;
        let run = users.get(&paths::run()).await;
        let mut wrong = Vec::new();
        let did = |act: Act| self.faults.iter().any(|planned| planned.fault == Fault::User(act));
        match &run {
            None if did(Act::DeleteRun) || did(Act::DeleteNamespace) => {
                let jobs = users.list(&paths::jobs()).await;
                let left = jobs.iter().filter(|job| controller(job).is_some()).count();
                if left > 0 {
                    wrong.push(format!("liveness 3: {left} Jobs are left of a run that is gone"));
                }
            }
            None => wrong.push("the run is gone".to_owned()),
            Some(run) => self.check_run(run, &mut wrong),
        }
        self.place.book.lock().unwrap().violations.extend(wrong);
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
        if !self.faults.iter().all(|planned| planned.fault.is_harmless()) {
            return;
        }
        let expected = if self.scenario.succeeds() { "Succeeded" } else { "Failed" };
        if state != expected {
            wrong
                .push(format!("it ends as {state}, and nothing touched it: {}", run["status"]["conditions"]));
        }
        for step in self.scenario.steps.iter().filter(|_| state == "Succeeded") {
            if run["status"]["activities"][&step.id]["outputs"] != Scenario::outputs(&step.id) {
                wrong.push(format!("the output of \"{}\" is lost, and nothing touched it", step.id));
            }
        }
        let jobs = self.place.book.lock().unwrap().most_jobs_of_one_activity();
        if jobs > 1 {
            wrong.push(format!("{jobs} Jobs were made of one activity, and nothing touched it"));
        }
    }
}
