//! Two operators in this process, on paused time: the embedded server, the Job controller's role, and a kubelet.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use http::Method;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::client::ClientBuilder;
use kube::runtime::{WatchStreamExt, wait::await_condition, watcher};
use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition};
use orchestrator::clock::Clock;
use orchestrator::config::{Election, Settings};
use orchestrator::embedded::kinds::definition::Definition;
use orchestrator::embedded::server::Server;
use orchestrator::embedded::{job, random::Random};
use orchestrator::engine::lease::Terms;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use super::wire::{Sent, State, Wire};
use crate::support::in_process::PausedClock;
use crate::support::kubelet::{Act, perform};
use crate::support::objects::{activity_definition, chain, orchestration};

/// client-go's terms, which are ours.
const DURATION: Duration = Duration::from_secs(15);
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY_PERIOD: Duration = Duration::from_secs(2);
const HOUR: Duration = Duration::from_secs(3600);

/// One operator.
struct Replica {
    wire: Wire,
    shutdown: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Replica {
    /// Waits until it has ended by itself, which takes no longer than this.
    async fn ends_within(&mut self, longest: Duration) {
        timeout(longest, &mut self.task).await.expect("it ends").unwrap();
    }
}

/// Everything around the operators.
struct World {
    server: Server,
    client: Client,
    clock: Arc<dyn Clock>,
    /// Names of all Jobs ever made.
    jobs: Arc<Mutex<Vec<String>>>,
    _others: JoinSet<()>,
    _stop: watch::Sender<bool>,
}

impl World {
    fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::default());
        let jobs: Arc<Mutex<Vec<String>>> = Arc::default();
        let made = Arc::clone(&jobs);
        let mut builder = Server::builder(Arc::clone(&clock)).random(Random::from_seed(1)).observer(
            Box::new(move |write| {
                if write.context.verb == "create" && write.kind.plural == "jobs" {
                    made.lock().unwrap().push(write.key.name.clone());
                }
            }),
        );
        for kind in orchestrator::api::crds() {
            builder = builder.definition(Definition::compile(&serde_json::to_value(kind).unwrap()).unwrap());
        }
        let server = builder.build();
        let client = server.client();
        let (stop, stopped) = watch::channel(false);
        let mut others = JoinSet::new();
        others.spawn(job::run(client.clone(), Arc::clone(&clock), job::Settings::default(), stopped));
        others.spawn(kubelet(client.clone()));
        Self { server, client, clock, jobs, _others: others, _stop: stop }
    }

    fn replica(&self, identity: &str) -> Replica {
        let wire = Wire::default();
        let client = ClientBuilder::new(self.server.clone(), "default").with_layer(&wire).build();
        let election = Election {
            namespace: None,
            name: "orchestrator".to_owned(),
            identity: identity.to_owned(),
            terms: Terms::default(),
        };
        let settings = Settings { election: Some(election), ..Settings::default() };
        let (shutdown, receiver) = watch::channel(false);
        let task = tokio::spawn(orchestrator::app::run(client, Arc::clone(&self.clock), settings, receiver));
        Replica { wire, shutdown, task }
    }

    /// Two replicas; the first one leads, and the second one has seen that it does.
    async fn two(&self) -> (Replica, Replica) {
        let one = self.replica("one");
        self.held_by("one").await;
        let two = self.replica("two");
        sleep(RETRY_PERIOD).await;
        (one, two)
    }

    fn leases(&self) -> Api<Lease> {
        Api::default_namespaced(self.client.clone())
    }

    async fn lease(&self) -> LeaseSpec {
        self.leases().get("orchestrator").await.unwrap().spec.unwrap()
    }

    async fn held_by(&self, holder: &str) -> LeaseSpec {
        let is_held = |lease: Option<&Lease>| {
            let spec = lease.and_then(|lease| lease.spec.as_ref());
            spec.and_then(|spec| spec.holder_identity.as_deref()) == Some(holder)
        };
        let found = timeout(HOUR, await_condition(self.leases(), "orchestrator", is_held)).await;
        found.expect("somebody else leads").unwrap().unwrap().spec.unwrap()
    }

    async fn create<K>(&self, object: Value)
    where
        K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
            + serde::de::DeserializeOwned
            + serde::Serialize
            + Clone
            + std::fmt::Debug,
    {
        let api: Api<K> = Api::default_namespaced(self.client.clone());
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }

    async fn define(&self, length: usize) {
        self.create::<ActivityDefinition>(activity_definition("step")).await;
        self.create::<OrchestrationDefinition>(chain("chain", length)).await;
    }

    async fn begin(&self, name: &str) {
        self.create::<Orchestration>(orchestration(name, "chain", json!({"number": 0}))).await;
    }

    async fn succeeded(&self, name: &str) {
        let api: Api<Orchestration> = Api::default_namespaced(self.client.clone());
        let is_done = |run: Option<&Orchestration>| {
            run.and_then(|run| run.status.as_ref()?.completion_time.as_ref()).is_some()
        };
        timeout(HOUR, await_condition(api.clone(), name, is_done)).await.expect("it finishes").unwrap();
        let state = api.get(name).await.unwrap().status.unwrap().state;
        assert_eq!(state.as_deref(), Some("Succeeded"));
    }

    /// Fails unless so many Jobs were made, each once.
    fn made_once(&self, expected: usize) {
        let mut jobs = self.jobs.lock().unwrap().clone();
        assert_eq!(jobs.len(), expected, "{jobs:?}");
        jobs.sort();
        jobs.dedup();
        assert_eq!(jobs.len(), expected, "{jobs:?}");
    }
}

/// Every pod takes a second.
async fn kubelet(client: Client) {
    let pods: Api<Pod> = Api::default_namespaced(client);
    let mut events =
        watcher(pods.clone(), watcher::Config::default()).default_backoff().applied_objects().boxed();
    while let Some(pod) = events.next().await {
        let Ok(pod) = pod else { continue };
        if pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Pending") {
            let pods = pods.clone();
            tokio::spawn(async move {
                sleep(Duration::from_secs(1)).await;
                perform(&pods, &pod, &Act::outputs(&json!({"number": 1}))).await;
            });
        }
    }
}

fn first(sent: Vec<Sent>) -> Instant {
    sent.first().expect("it did something").at
}

fn last(sent: Vec<Sent>) -> Instant {
    sent.last().expect("it did something").at
}

/// When a leader last said that it leads.
fn last_renewal(replica: &Replica) -> Instant {
    last(replica.wire.sent(|sent| sent.is_election() && sent.method == Method::PUT))
}

#[tokio::test(start_paused = true)]
async fn of_two_replicas_one_works_and_an_idle_hour_costs_its_renewals() {
    let world = World::new();
    let (one, two) = world.two().await;
    world.define(3).await;
    world.begin("run").await;
    world.succeeded("run").await;
    world.made_once(3);
    assert!(one.wire.sent(Sent::is_work).len() > 5);
    // What is said about the end at last.
    sleep(Duration::from_secs(60)).await;

    let count = |replica: &Replica| {
        let sent = replica.wire.sent(|_| true);
        let is_get = |sent: &&Sent| sent.method == Method::GET;
        let election = sent.iter().filter(|sent| sent.is_election());
        let reads = election.clone().filter(is_get).count();
        (reads, election.count() - reads, sent.iter().filter(|sent| sent.is_work()).count())
    };
    let before = (count(&one), count(&two));
    sleep(HOUR).await;
    let after = (count(&one), count(&two));
    let hour = |before: (usize, usize, usize), after: (usize, usize, usize)| {
        (after.0 - before.0, after.1 - before.1, after.2 - before.2)
    };
    let (leader, follower) = (hour(before.0, after.0), hour(before.1, after.1));
    println!("an idle hour (reads and writes of the Lease, other writes): {leader:?} and {follower:?}");
    // Every two seconds a renewal, twice as often a look.
    assert!(leader.0 == 0 && leader.1.abs_diff(1800) <= 2 && leader.2 == 0, "{leader:?}");
    assert!(follower.0.abs_diff(3600) <= 2 && follower.1 == 0 && follower.2 == 0, "{follower:?}");
    assert!(two.wire.sent(|sent| !sent.is_election()).is_empty(), "who waits does nothing else");
    assert_eq!(world.lease().await.lease_transitions, Some(0));

    one.shutdown.send_replace(true);
    one.task.await.unwrap();
    drop(two);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_dies_is_replaced_within_the_duration_and_two_seconds_and_nothing_runs_twice() {
    let world = World::new();
    let (one, two) = world.two().await;
    world.define(6).await;
    world.begin("run").await;
    while world.jobs.lock().unwrap().len() < 3 {
        sleep(Duration::from_millis(10)).await;
    }
    one.task.abort();
    let died = Instant::now();
    let held = world.held_by("two").await;
    println!("taken over {:?} after the leader's end", died.elapsed());
    assert!(died.elapsed() <= DURATION + RETRY_PERIOD);
    assert!(last_renewal(&one) + DURATION <= Instant::now(), "not before it had expired");
    assert_eq!(held.lease_transitions, Some(1));
    assert_eq!(held.acquire_time, held.renew_time);
    world.succeeded("run").await;
    world.made_once(6);
    assert!(first(two.wire.sent(Sent::is_work)) > last(one.wire.sent(Sent::is_work)));
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_a_way_to_the_server_stops_before_the_next_one_begins() {
    for state in [State::Silent, State::Refusing, State::Deaf] {
        let world = World::new();
        let (mut one, two) = world.two().await;
        world.define(3).await;
        // The Lease alone is out of reach: the work could go on.
        one.wire.election(state);
        let cut = Instant::now();
        let mut busy = 0;
        while !one.task.is_finished() {
            world.begin(&format!("run-{busy}")).await;
            busy += 1;
            sleep(Duration::from_millis(500)).await;
            assert!(cut.elapsed() <= RENEW_DEADLINE + Duration::from_secs(1), "{state:?}: it stops");
        }
        one.ends_within(Duration::ZERO).await;
        assert!(!*one.shutdown.borrow(), "an end that a restart heals");
        let (stopped, worked) = (Instant::now(), last(one.wire.sent(Sent::is_work)));
        println!("{state:?}: stopped {:?} after the way was lost", cut.elapsed());
        assert!(busy > 10 && worked > cut + Duration::from_secs(5), "{state:?}: it was at work");
        world.held_by("two").await;
        // Answers that were lost count for the others: they wait longer.
        let longest =
            DURATION + RETRY_PERIOD + if state == State::Deaf { RENEW_DEADLINE } else { Duration::ZERO };
        assert!(cut.elapsed() <= longest, "{state:?}: {:?}", cut.elapsed());
        for run in 0..busy {
            world.succeeded(&format!("run-{run}")).await;
        }
        assert!(first(two.wire.sent(Sent::is_work)) > stopped, "{state:?}");
        assert_eq!(last(one.wire.sent(Sent::is_work)), worked, "{state:?}");
        world.made_once(3 * busy);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_is_taken_stops_at_its_next_renewal() {
    let world = World::new();
    let (mut one, _two) = world.two().await;
    let taken = json!({"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 15}});
    world.leases().patch("orchestrator", &PatchParams::default(), &Patch::Merge(taken)).await.unwrap();
    one.ends_within(RETRY_PERIOD + Duration::from_millis(10)).await;
    assert_eq!(world.lease().await.holder_identity.as_deref(), Some("somebody"), "it is not given back");
    // Who does not renew loses it again.
    let taken = Instant::now();
    world.held_by("two").await;
    assert!(taken.elapsed() >= DURATION - RETRY_PERIOD && taken.elapsed() <= DURATION + RETRY_PERIOD);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_deleted_is_made_again_by_its_holder() {
    let world = World::new();
    let (one, _two) = world.two().await;
    let before = world.lease().await;
    world.leases().delete("orchestrator", &DeleteParams::default()).await.unwrap();
    let again = world.held_by("one").await;
    assert_eq!(again.acquire_time, before.acquire_time);
    assert_eq!(again.lease_transitions, Some(0));
    sleep(Duration::from_secs(60)).await;
    assert!(!one.task.is_finished());
    assert_eq!(world.lease().await.holder_identity.as_deref(), Some("one"));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_whose_answer_is_lost_loses_nothing() {
    let world = World::new();
    let (one, _two) = world.two().await;
    for _ in 0..5 {
        one.wire.election(State::Deaf);
        sleep(RETRY_PERIOD + Duration::from_millis(100)).await;
        one.wire.election(State::Whole);
        sleep(Duration::from_secs(20)).await;
        assert!(!one.task.is_finished());
    }
    let held = world.lease().await;
    assert_eq!((held.holder_identity.as_deref(), held.lease_transitions), (Some("one"), Some(0)));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_the_lease_back_and_the_next_one_begins_at_once() {
    let world = World::new();
    let (mut one, two) = world.two().await;
    world.define(3).await;
    world.begin("run").await;
    sleep(Duration::from_secs(1)).await;
    one.shutdown.send_replace(true);
    one.ends_within(Duration::from_secs(25)).await;
    let (released, at) = (world.lease().await, Instant::now());
    assert_eq!(released.holder_identity.as_deref(), Some(""));
    assert_eq!(released.lease_duration_seconds, Some(1));
    let held = world.held_by("two").await;
    println!("taken over {:?} after the Lease was given back", at.elapsed());
    assert!(at.elapsed() <= RETRY_PERIOD);
    assert_eq!(held.lease_transitions, Some(1));
    world.succeeded("run").await;
    world.made_once(3);
    assert!(first(two.wire.sent(Sent::is_work)) > last(one.wire.sent(Sent::is_work)));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_waits_ends_at_a_shutdown_and_leaves_the_lease_alone() {
    let world = World::new();
    let (one, mut two) = world.two().await;
    two.shutdown.send_replace(true);
    two.ends_within(Duration::from_millis(1)).await;
    assert!(two.wire.sent(|sent| sent.method != Method::GET).is_empty());
    assert_eq!(world.lease().await.holder_identity.as_deref(), Some("one"));
    drop(one);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_waited_for_and_a_restart_in_between_changes_nothing() {
    let world = World::new();
    let one = world.replica("one");
    one.wire.all(State::Refusing);
    sleep(HOUR).await;
    assert!(!one.task.is_finished(), "it waits");
    assert!(one.wire.sent(|_| true).is_empty());
    one.wire.all(State::Whole);
    world.held_by("one").await;
    // The same pod, but another process: what the first one held is not its own.
    one.task.abort();
    let (died, again) = (Instant::now(), world.replica("one again"));
    let held = world.held_by("one again").await;
    assert!(died.elapsed() >= DURATION - RETRY_PERIOD, "{:?}", died.elapsed());
    assert_eq!(held.lease_transitions, Some(1));
    drop(again);
}
