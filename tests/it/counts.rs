//! Counts on the real control plane: what a run costs, and what never happens. Times are printed and decide nothing.

use std::collections::HashSet;
use std::time::Instant;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::{WatchStreamExt, watcher};
use orchestrator::api::Orchestration;
use orchestrator::api::orchestration::{ActivityState, OrchestrationStatus};
use serde_json::{Value, json};
use tokio::sync::MutexGuard;

use crate::support::cluster::{PATIENCE, TestNamespace};
use crate::support::held::Held;
use crate::support::kubelet::{Act, Kubelet, Work};
use crate::support::ledger::{Ledger, What};
use crate::support::objects::{activity_definition, chain, definition, fan_out, orchestration};
use crate::support::operator::Operator;
use crate::support::process::OperatorProcess;
use crate::support::reconciles::reconciles;

mod idle;

/// The counts of a run depend on how soon the Job controller answers: large runs come one after the other.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ALONE.lock().await
}

/// What a run has cost.
#[derive(Debug)]
struct Figures {
    jobs: usize,
    status_writes: usize,
    events: usize,
    /// Paths of the writes that were refused because somebody else was faster.
    conflicts: Vec<String>,
    reconciles: usize,
    reads_of_the_definition: usize,
    /// Bytes of every status write, and how many activities each tells of.
    writes: Vec<(usize, usize)>,
}

fn figures(what: &str, namespace: &TestNamespace, operator: &Operator, definition: &str) -> Figures {
    let requests = &operator.requests;
    let writes = requests.that(|one| one.path.ends_with("/status") && one.path.contains("/orchestrations/"));
    let told = |patch: &Value| patch["status"]["activities"].as_object().map_or(0, serde_json::Map::len);
    let figures = Figures {
        jobs: requests.count_that(|one| one.makes_job()),
        status_writes: writes.len(),
        events: requests.count_that(|one| one.path.contains("/events") && one.is_write()),
        conflicts: requests
            .that(|one| one.status == 409)
            .into_iter()
            .map(|one| format!("{} {}", one.method, one.path))
            .collect(),
        reconciles: reconciles("Orchestration", &namespace.name),
        reads_of_the_definition: requests.count("GET", &format!("/orchestrationdefinitions/{definition}")),
        writes: writes.iter().map(|one| (one.body.len(), told(&one.json()))).collect(),
    };
    println!("{what}: {figures:?}");
    figures
}

fn succeeded(finished: Orchestration) -> OrchestrationStatus {
    let status = finished.status.unwrap();
    assert_eq!(status.state.as_deref(), Some("Succeeded"), "{status:?}");
    assert!(status.activities.values().all(|activity| activity.state == ActivityState::Succeeded));
    status
}

/// Waits until so many Orchestrations have finished, all of them well.
async fn all_succeeded(namespace: &TestNamespace, count: usize) {
    let mut versions =
        watcher(namespace.api::<Orchestration>(), watcher::Config::default()).applied_objects().boxed();
    let mut finished = HashSet::new();
    while finished.len() < count {
        let next = tokio::time::timeout(PATIENCE, versions.next()).await;
        let version =
            next.unwrap_or_else(|_| panic!("only {} have finished", finished.len())).unwrap().unwrap();
        let name = version.name_any();
        if version.status.as_ref().is_some_and(|status| status.completion_time.is_some()) {
            succeeded(version);
            finished.insert(name);
        }
    }
}

/// A kubelet that holds the pods of these activities, and lets all others succeed at once.
fn holding(namespace: &TestNamespace, activities: &'static [&'static str]) -> (Kubelet, Held) {
    let held = Held::default();
    let kubelet = Kubelet::start(namespace, {
        let held = held.clone();
        move |work| if activities.contains(&work.activity.as_str()) { held.hold(work) } else { well(work) }
    });
    (kubelet, held)
}

/// Success, with the name of the activity as output.
fn well(work: &Work) -> Act {
    Act::outputs(&json!({"from": work.activity}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_20_hands_outputs_on_with_one_post_and_about_one_write_each() {
    let _alone = alone().await;
    let namespace = TestNamespace::new().await;
    let operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |work| {
        let number = work.input["number"].as_i64().unwrap();
        Act::outputs(&json!({"number": number + 1}))
    });
    namespace.create(activity_definition("step")).await;
    namespace.create(chain("chain", 20)).await;
    namespace.definition_ready("chain", "True", "Ready").await;
    let began = Instant::now();
    namespace.create(orchestration("run", "chain", json!({"number": 1}))).await;
    let status = succeeded(namespace.finished("run").await);
    println!("chain of 20: {:?}", began.elapsed());
    assert_eq!(status.progress.as_deref(), Some("20/20"));
    assert_eq!(Value::Object(status.output.unwrap()), json!({"number": 21}));

    let figures = figures("chain of 20", &namespace, &operator, "chain");
    assert_eq!(figures.jobs, 20);
    assert!(figures.status_writes <= 24, "{figures:?}");
    assert!(figures.events <= 2, "{figures:?}");
    assert!(figures.conflicts.is_empty(), "{figures:?}");
    assert!(figures.reconciles <= 80, "{figures:?}");
    assert_eq!(figures.reads_of_the_definition, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fan_out_of_100_costs_one_post_each_and_a_write_a_second() {
    let _alone = alone().await;
    let namespace = TestNamespace::new().await;
    let operator = Operator::start(&namespace).await;
    let ledger = Ledger::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::Succeed(String::new()));
    namespace.create(activity_definition("step")).await;
    namespace.create(fan_out("fan", 100)).await;
    namespace.definition_ready("fan", "True", "Ready").await;
    let began = Instant::now();
    namespace.create(orchestration("run", "fan", json!({}))).await;
    succeeded(namespace.finished("run").await);
    let makespan = began.elapsed();
    println!("fan-out of 100: {makespan:?}");
    ledger.ran_exactly_once(100).await;

    let figures = figures("fan-out of 100", &namespace, &operator, "fan");
    assert_eq!(figures.jobs, 100);
    let limit = 3 + usize::try_from(makespan.as_secs()).unwrap();
    assert!(figures.status_writes <= limit, "{figures:?}");
    assert!(figures.events <= 2, "{figures:?}");
    assert!(figures.conflicts.is_empty(), "{figures:?}");
    assert!(figures.reconciles <= 400, "{figures:?}");
    assert_eq!(figures.reads_of_the_definition, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_write_is_as_large_as_what_changed() {
    /// Bytes of the last two writes of a fan-out whose last activity ends alone.
    async fn last_writes(width: usize) -> Vec<(usize, usize)> {
        let namespace = TestNamespace::new().await;
        let operator = Operator::start(&namespace).await;
        let (_kubelet, held) = holding(&namespace, &["leaf-0"]);
        namespace.create(activity_definition("step")).await;
        namespace.create(fan_out("fan", width)).await;
        namespace.definition_ready("fan", "True", "Ready").await;
        namespace.create(orchestration("run", "fan", json!({}))).await;
        let all_but_one = format!("{}/{width}", width - 1);
        namespace
            .until("run", |run: &Orchestration| {
                run.status.as_ref().and_then(|status| status.progress.as_ref()) == Some(&all_but_one)
            })
            .await;
        held.release(&namespace, well).await;
        succeeded(namespace.finished("run").await);
        figures(&format!("fan-out of {width}"), &namespace, &operator, "fan").writes
    }
    let _alone = alone().await;
    let (few, many) = tokio::join!(last_writes(10), last_writes(100));
    for (bytes, told) in few.iter().chain(&many) {
        assert!(*bytes <= 1500 + 250 * told, "{bytes} bytes tell of {told} activities");
    }
    let ((few, one), (many, also_one)) = (few.last().unwrap(), many.last().unwrap());
    assert_eq!((*one, *also_one), (1, 1));
    assert!(many.abs_diff(*few) < 50, "the last activity of 10 took {few} bytes, of 100 {many}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sides_of_a_diamond_run_side_by_side_and_its_end_gets_both_outputs() {
    let namespace = TestNamespace::new().await;
    let operator = Operator::start(&namespace).await;
    let ledger = Ledger::start(&namespace).await;
    let (_kubelet, held) = holding(&namespace, &["left", "right"]);
    namespace.create(activity_definition("step")).await;
    let activities = json!([
        {"id": "top", "type": "step"},
        {"id": "left", "type": "step", "dependsOn": "top", "inputs": ["top.from"]},
        {"id": "right", "type": "step", "dependsOn": "top", "inputs": ["top.from"]},
        {"id": "bottom", "type": "step", "dependsOn": ["left", "right"], "inputs": [
            {"source": "left.from", "target": "left"}, {"source": "right.from", "target": "right"}
        ]},
    ]);
    let output =
        json!([{"source": "left.from", "target": "left"}, {"source": "bottom.from", "target": "bottom"}]);
    namespace.create(definition("diamond", json!({"activities": activities, "output": output}))).await;
    namespace.definition_ready("diamond", "True", "Ready").await;
    namespace.create(orchestration("run", "diamond", json!({}))).await;
    // Neither ends before both have a pod: one after the other, this would never come true.
    held.until(2).await;
    assert!(ledger.position(What::JobMade, "bottom").is_none());
    held.release(&namespace, well).await;
    let status = succeeded(namespace.finished("run").await);
    assert_eq!(Value::Object(status.output.unwrap()), json!({"left": "left", "bottom": "bottom"}));
    ledger.ran_exactly_once(4).await;
    let pods = namespace.api::<Pod>().list(&Default::default()).await.unwrap();
    let bottom = pods.iter().find(|pod| pod.annotations()["orchestrator.dev/activity"] == "bottom").unwrap();
    let input: Value = serde_json::from_str(&bottom.annotations()["orchestrator.dev/input"]).unwrap();
    assert_eq!(input, json!({"left": "left", "right": "right"}));

    let figures = figures("diamond", &namespace, &operator, "diamond");
    assert_eq!((figures.jobs, figures.reads_of_the_definition), (4, 1));
    assert!(figures.conflicts.is_empty(), "{figures:?}");
    assert!(figures.events <= 2, "{figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallelism_bounds_the_unfinished_jobs() {
    let namespace = TestNamespace::new().await;
    let operator = Operator::start(&namespace).await;
    let ledger = Ledger::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::Succeed(String::new()));
    namespace.create(activity_definition("step")).await;
    let mut narrow = fan_out("narrow", 12);
    narrow["spec"]["parallelism"] = json!(3);
    namespace.create(narrow).await;
    namespace.definition_ready("narrow", "True", "Ready").await;
    namespace.create(orchestration("run", "narrow", json!({}))).await;
    succeeded(namespace.finished("run").await);
    ledger.ran_exactly_once(12).await;
    assert_eq!(ledger.most_unfinished(), 3);
    let figures = figures("12 activities, 3 at a time", &namespace, &operator, "narrow");
    assert_eq!(figures.jobs, 12);
    assert!(figures.conflicts.is_empty(), "{figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tiered_execution_waits_for_the_whole_tier_and_eager_does_not() {
    let namespace = TestNamespace::new().await;
    let operator = Operator::start(&namespace).await;
    namespace.create(activity_definition("step")).await;
    let (_kubelet, held) = holding(&namespace, &["slow"]);
    for execution in ["Tiered", "Eager"] {
        let ledger = Ledger::start(&namespace).await;
        let activities = json!([
            {"id": "quick", "type": "step"}, {"id": "slow", "type": "step"},
            {"id": "next", "type": "step", "dependsOn": "quick"},
        ]);
        let name = execution.to_lowercase();
        namespace.create(definition(&name, json!({"execution": execution, "activities": activities}))).await;
        namespace.definition_ready(&name, "True", "Ready").await;
        namespace.create(orchestration(&name, &name, json!({}))).await;
        let of_this = |what: What, activity: &str| {
            let all = ledger.all();
            all.iter().position(|entry| {
                entry.what == what && entry.activity == activity && entry.orchestration == name
            })
        };
        if execution == "Eager" {
            ledger.until(|_| of_this(What::JobEnded, "next").is_some()).await;
        } else {
            // What an activity makes ready is started before the status says that it has ended.
            namespace
                .until(&name, |run: &Orchestration| {
                    let status = run.status.as_ref();
                    status.is_some_and(|status| status.progress.as_deref() == Some("1/3"))
                })
                .await;
            held.until(1).await;
        }
        held.release(&namespace, well).await;
        succeeded(namespace.finished(&name).await);
        ledger
            .until(|_| of_this(What::JobEnded, "slow").is_some() && of_this(What::JobMade, "next").is_some())
            .await;
        let waited = of_this(What::JobMade, "next") > of_this(What::JobEnded, "slow");
        assert_eq!(waited, execution == "Tiered", "{execution}: {:#?}", ledger.all());
    }
    assert_eq!(operator.requests.count_that(|one| one.makes_job()), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_orchestrations_make_five_hundred_jobs_in_little_memory() {
    const RUNS: usize = 500;
    let _alone = alone().await;
    let namespace = TestNamespace::new().await;
    let ledger = Ledger::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::Succeed(String::new()));
    let operator = OperatorProcess::start(&namespace).await;
    namespace.create(activity_definition("step")).await;
    namespace.create(fan_out("one", 1)).await;
    namespace.definition_ready("one", "True", "Ready").await;
    let before = operator.memory("VmRSS");
    let began = Instant::now();
    let create =
        async |number| namespace.create(orchestration(&format!("run-{number}"), "one", json!({}))).await;
    futures::stream::iter(0..RUNS).for_each_concurrent(8, create).await;
    all_succeeded(&namespace, RUNS).await;
    ledger.ran_exactly_once(RUNS).await;
    assert_eq!(ledger.count(What::JobMade), RUNS);
    println!(
        "{RUNS} Orchestrations of one activity in {:?}: {} KiB resident before, {} KiB after ({} KiB of it the heap's), {} KiB at most",
        began.elapsed(),
        before,
        operator.memory("VmRSS"),
        operator.memory("RssAnon"),
        operator.memory("VmHWM"),
    );
    assert!(operator.memory("VmHWM") < 400 * 1024, "absurd");
    assert_eq!(operator.terminate().await.code(), Some(0));
}
