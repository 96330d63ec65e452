//! Two processes on a real API server: the leader is killed, or stands still for longer than its lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::{Api, DeleteParams};
use kube::runtime::wait::await_condition;
use orchestrator::api::Orchestration;
use serde_json::json;

use crate::support::cluster::{PATIENCE, TestNamespace};
use crate::support::held::Held;
use crate::support::kubelet::{Act, Kubelet};
use crate::support::ledger::{Ledger, What};
use crate::support::objects::{activity_definition, fan_out, orchestration};
use crate::support::process::OperatorProcess;
use crate::support::scene::until;

/// Where `config/rbac` lets operators elect a leader.
const NAMESPACE: &str = "orchestrator-system";

/// Operators of one test namespace, with a Lease of its name.
struct Replicas<'n> {
    namespace: &'n TestNamespace,
    leases: Api<Lease>,
    flags: Vec<String>,
}

impl<'n> Replicas<'n> {
    fn new(namespace: &'n TestNamespace, flags: &[&str]) -> Self {
        let name = format!("--leader-elect-name={}", namespace.name);
        let in_namespace = format!("--leader-elect-namespace={NAMESPACE}");
        let mut all = vec!["--leader-elect".to_owned(), in_namespace, name];
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        Self { namespace, leases: Api::namespaced(namespace.client.clone(), NAMESPACE), flags: all }
    }

    async fn start(&self, machine: &str) -> OperatorProcess {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        OperatorProcess::start_with(self.namespace, machine, &flags).await
    }

    /// Waits until a process on this machine leads.
    async fn led_by(&self, machine: &str) -> LeaseSpec {
        let holder = if machine.is_empty() { String::new() } else { format!("{machine}_") };
        let leads = |lease: Option<&Lease>| {
            let held = lease.and_then(|lease| lease.spec.as_ref()?.holder_identity.as_deref());
            held.is_some_and(
                |held| if holder.is_empty() { held.is_empty() } else { held.starts_with(&holder) },
            )
        };
        let found = await_condition(self.leases.clone(), &self.namespace.name, leads);
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("{machine} never leads")).unwrap().unwrap().spec.unwrap()
    }

    /// A leader on one machine, and one that waits on the other.
    async fn two(&self) -> (OperatorProcess, OperatorProcess) {
        let one = self.start("one").await;
        self.led_by("one").await;
        let two = self.start("two").await;
        logged(&two, "this replica waits").await;
        (one, two)
    }

    async fn end(self, leader: OperatorProcess) {
        assert_eq!(leader.terminate().await.code(), Some(0));
        self.led_by("").await;
        self.leases.delete(&self.namespace.name, &DeleteParams::default()).await.unwrap();
    }
}

/// Waits until a process has logged something.
async fn logged(process: &OperatorProcess, text: &str) {
    until(text, || std::future::ready(process.log().contains(text).then_some(()))).await;
}

/// The writes that a process has sent, by its own log of its requests, the election left aside.
fn writes(log: &str) -> usize {
    let is_write = |line: &&str| {
        line.contains("requesting") && !line.contains("/leases") && !line.contains("http.method=GET")
    };
    log.lines().filter(is_write).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_in_a_fan_out_of_50_is_replaced_and_everything_runs_once() {
    let namespace = TestNamespace::new().await;
    let ledger = Ledger::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::Succeed(String::new()));
    let replicas = Replicas::new(&namespace, &[]);
    let (one, two) = replicas.two().await;
    namespace.create(activity_definition("step")).await;
    namespace.create(fan_out("fan", 50)).await;
    namespace.definition_ready("fan", "True", "Ready").await;
    namespace.create(orchestration("run", "fan", json!({}))).await;
    ledger.until(|ledger| ledger.count(What::JobMade) >= 5).await;
    one.kill().await;
    let (died, made) = (Instant::now(), ledger.count(What::JobMade));
    assert!(!two.log().contains("the controllers start"), "who waits does not work");
    let held = replicas.led_by("two").await;
    println!("SIGKILL after {made} of 50 Jobs: taken over after {:?}, of 15 s + 2 s", died.elapsed());
    assert_eq!((held.lease_transitions, held.lease_duration_seconds), (Some(1), Some(15)));
    let status = namespace.finished("run").await.status.unwrap();
    assert_eq!(status.progress.as_deref(), Some("50/50"), "{status:?}");
    ledger.ran_exactly_once(50).await;
    replicas.end(two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stands_still_past_its_lease_writes_nothing_when_it_goes_on_and_ends() {
    let namespace = TestNamespace::new().await;
    let ledger = Ledger::start(&namespace).await;
    let (held, free) = (Held::default(), Arc::new(AtomicBool::new(false)));
    let _kubelet = Kubelet::start(&namespace, {
        let (held, free) = (held.clone(), Arc::clone(&free));
        move |work| if free.load(Ordering::SeqCst) { Act::Succeed(String::new()) } else { held.hold(work) }
    });
    let replicas = Replicas::new(
        &namespace,
        &[
            "--leader-elect-lease-duration=5s",
            "--leader-elect-renew-deadline=3s",
            "--leader-elect-retry-period=1s",
            "--log-level=info,kube_client=debug",
        ],
    );
    let (mut one, two) = replicas.two().await;
    namespace.create(activity_definition("step")).await;
    let mut fan = fan_out("fan", 30);
    fan["spec"]["parallelism"] = json!(10);
    namespace.create(fan).await;
    namespace.definition_ready("fan", "True", "Ready").await;
    namespace.create(orchestration("run", "fan", json!({}))).await;
    held.until(10).await;
    namespace
        .until("run", |run: &Orchestration| {
            let activities = run.status.as_ref().map(|status| &status.activities);
            activities.is_some_and(|all| all.values().filter(|one| one.attempt == 1).count() == 10)
        })
        .await;
    one.freeze().await;
    let before = one.log();
    assert!(writes(&before) >= 10, "its own log shows its writes: {before}");

    // Ten of thirty run; the next one leads on. What the first one would do now has been done when it looks.
    let taken = replicas.led_by("two").await;
    assert_eq!(taken.lease_transitions, Some(1));
    held.release(&namespace, |_| Act::Succeed(String::new())).await;
    held.until(10).await;
    one.thaw().await;
    let end = tokio::time::timeout(PATIENCE, one.ended()).await.expect("it ends by itself");
    assert_eq!(end.code(), Some(1), "a failure, so that it is started again");
    let log = one.log();
    let after = &log[before.len()..];
    assert!(after.contains("leadership lost, the controllers are stopped"), "{after}");
    assert_eq!(writes(after), 0, "{after}");

    free.store(true, Ordering::SeqCst);
    held.release(&namespace, |_| Act::Succeed(String::new())).await;
    let status = namespace.finished("run").await.status.unwrap();
    assert_eq!(status.progress.as_deref(), Some("30/30"), "{status:?}");
    ledger.ran_exactly_once(30).await;
    assert_eq!(replicas.led_by("two").await.lease_transitions, Some(1));
    replicas.end(two).await;
}
