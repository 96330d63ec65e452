//! A world: one server, one orchestration, its nodes, and operators that come and go, on paused time.
//!
//! Responsible for: one run from its beginning to a while after its end, and what was wrong with it. Must never:
//! depend on the machine: the same schedule gives the same run.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Once};
use std::time::Duration;

use kube::Client;
use orchestrator::client::CALL_TIMEOUT;
use orchestrator::config::{Election, Settings};
use orchestrator::embedded::random::Random;
use orchestrator::embedded::server::Server;
use orchestrator::engine::lease::Terms;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tower::timeout::Timeout;

use super::direct::Direct;
use super::faults::{Ail, Fault, Planned, Replicas, Schedule};
use super::nodes::label;
use super::process::{End, Process};
use super::reading::text;
use super::scenario::{RUN, Scenario, paths};
use super::users::Act;
use super::wire::{LEASE, Net, Wire};

mod judge;
mod place;

pub use place::{Place, prepared};

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

/// One life of an operator.
struct Life {
    process: Arc<Process>,
    task: AbortHandle,
    shutdown: watch::Sender<bool>,
}

struct World {
    place: Place,
    users: Direct,
    scenario: Arc<Scenario>,
    faults: Vec<Planned>,
    replicas: Replicas,
    settings: Settings,
    net: Arc<Net>,
    ends: mpsc::UnboundedReceiver<(usize, End)>,
    operators: JoinSet<usize>,
    alive: BTreeMap<usize, Life>,
    reborn: Vec<(Instant, usize)>,
    /// What users of the scenario are still to do.
    acts: VecDeque<(Instant, Act)>,
    lives: usize,
}

impl World {
    async fn new(snapshot: &Server, scenario: &Arc<Scenario>, schedule: &Schedule, rules: &Rules) -> Self {
        let place = Place::new(snapshot, scenario, schedule.seed, &rules.ignored);
        place.book.lock().unwrap().is_alone = schedule.replicas != Replicas::Two;
        let users = Direct::new(&place.server, "user");
        users.create(&paths::runs(), &scenario.run(RUN)).await;
        let (end, ends) = mpsc::unbounded_channel();
        let random = schedule.jitter.then(|| Random::from_seed(schedule.seed ^ 0x5eed));
        let net = Net::new(&place.server, scenario, schedule, random, end, rules.is_traced);
        let mut settings = rules.settings.clone();
        if let Some(seconds) = scenario.retention {
            settings.job_retention = Duration::from_secs(seconds);
        }
        let begin = Instant::now();
        let acts = scenario.acts.iter().map(|(after, act)| (begin + Duration::from_secs(*after), *act));
        let mut world = Self {
            place,
            users,
            acts: acts.collect(),
            scenario: Arc::clone(scenario),
            faults: schedule.faults.clone(),
            replicas: schedule.replicas,
            settings,
            net,
            ends,
            operators: JoinSet::new(),
            alive: BTreeMap::new(),
            reborn: Vec::new(),
            lives: 0,
        };
        (0..schedule.replicas.count()).for_each(|replica| world.start(replica));
        world
    }

    fn start(&mut self, replica: usize) {
        self.lives += 1;
        let process = Process::new(replica, self.lives);
        let client = client(&self.net, &process);
        let mut settings = self.settings.clone();
        if self.replicas == Replicas::Elected {
            settings.election = Some(Election {
                namespace: None,
                name: LEASE.to_owned(),
                identity: process.identity(),
                terms: Terms::default(),
            });
        }
        let (shutdown, stop) = watch::channel(false);
        let operator = orchestrator::app::run(client, self.place.clock.clone(), settings, stop);
        let task = self.operators.spawn(async move {
            operator.await;
            replica
        });
        self.alive.insert(replica, Life { process, task, shutdown });
    }

    /// From the first request to a while after the end.
    async fn live(&mut self) -> Outcome {
        let allowed = Duration::from_secs(self.scenario.deadline.unsigned_abs());
        let finally = match self.scenario.finally.is_empty() {
            true => Duration::ZERO,
            false => Duration::from_secs(self.scenario.finally_deadline.unsigned_abs()),
        };
        let deadline = Instant::now() + allowed + finally + PATIENCE;
        // What happens while everything settles, long after the end, has a time of its own to settle.
        let latest = deadline + self.settling() * u32::try_from(self.faults.len() + 1).unwrap_or(u32::MAX);
        while !self.is_settled().await && Instant::now() < if self.is_done() { latest } else { deadline } {
            self.pass(latest).await;
        }
        let requests = self.net.requests();
        self.net.disarm();
        self.judge().await;
        let before = self.place.book.lock().unwrap().writes;
        let is_long = requests.is_multiple_of(5);
        self.pass_until(Instant::now() + if is_long { LONG_QUIET } else { QUIET }).await;
        let mut book = self.place.book.lock().unwrap();
        if book.writes > before {
            let count = book.writes - before;
            book.violations.push(format!("invariant 16: {count} writes after everything was done"));
        }
        let all = self.net.asked();
        if all > MOST_REQUESTS * self.replicas.count() {
            book.violations.push(format!("invariant 16: {all} requests"));
        }
        book.violations.extend(self.net.wrong());
        Outcome { violations: book.violations.clone(), requests, trace: self.net.trace() }
    }

    /// Waits for the next thing that happens, at most a minute.
    async fn pass(&mut self, deadline: Instant) {
        let reborn = self.reborn.first().map(|(at, _)| *at);
        let act = self.acts.front().map(|(at, _)| *at);
        let latest = deadline.min(Instant::now() + Duration::from_secs(60));
        let next = reborn.into_iter().chain(act).fold(latest, Instant::min);
        tokio::select! {
            biased;
            Some((replica, end)) = self.ends.recv() => self.end(replica, end),
            Some(Ok(replica)) = self.operators.join_next(), if !self.operators.is_empty() => self.ended(replica),
            () = self.place.finished.notified() => {}
            () = tokio::time::sleep_until(next) => {}
        }
        if self.reborn.first().is_some_and(|(at, _)| *at <= Instant::now()) {
            let (_, replica) = self.reborn.remove(0);
            self.start(replica);
        }
        if self.acts.front().is_some_and(|(at, _)| *at <= Instant::now())
            && let Some((_, act)) = self.acts.pop_front()
        {
            self.net.something_happens();
            act.perform(&self.users, &self.scenario).await;
        }
    }

    /// An operator dies, or is asked to end.
    fn end(&mut self, replica: usize, end: End) {
        match end {
            End::Death => {
                if let Some(life) = self.alive.remove(&replica) {
                    life.task.abort();
                    self.reborn.push((Instant::now() + RESTART, replica));
                }
            }
            End::Shutdown => {
                if let Some(life) = self.alive.get(&replica) {
                    life.shutdown.send_replace(true);
                }
            }
        }
    }

    /// An operator has ended by itself: because it was asked to, or because it leads no more.
    fn ended(&mut self, replica: usize) {
        let Some(life) = self.alive.remove(&replica) else { return };
        life.process.die();
        if !*life.shutdown.borrow() && self.replicas != Replicas::Elected {
            let mut book = self.place.book.lock().unwrap();
            book.violations.push("invariant 17: an operator ended by itself".to_owned());
        }
        self.net.something_happens();
        self.reborn.push((Instant::now() + RESTART, replica));
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
        let is_over = match self.users.peek("orchestrator.dev", "orchestrations", RUN) {
            Some(run) => {
                let is_kept = self.scenario.time_to_live.is_none();
                let is_finished = text(&run.value, "/status/completionTime").is_some();
                is_finished
                    && is_kept
                    && (self.scenario.retention.is_none() || !self.is_left("batch", "jobs"))
            }
            None => !self.is_left("", "pods"),
        };
        let is_stopping = self.alive.values().any(|life| *life.shutdown.borrow());
        is_over && self.acts.is_empty() && self.reborn.is_empty() && !is_stopping
    }

    /// Whether anything of the run is left that is known as its own.
    fn is_left(&self, group: &str, plural: &str) -> bool {
        let objects = self.place.server.objects_at(group, plural, None, self.place.server.version());
        let is_ours = |object: &serde_json::Value| {
            label(object, "orchestration") == RUN && !label(object, "orchestration-uid").is_empty()
        };
        objects.is_ok_and(|objects| objects.iter().any(|object| is_ours(&object.value)))
    }
}
