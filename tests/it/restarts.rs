//! Restarts on the real control plane: whatever ends the operator, every activity runs exactly once.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::client::ClientBuilder;
use kube::runtime::{WatchStreamExt, watcher};
use orchestrator::api::Orchestration;
use orchestrator::api::orchestration::{ActivityState, OrchestrationStatus};
use orchestrator::config::{Scope, Settings};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::cluster::{PATIENCE, TestNamespace, cluster};
use crate::support::fuse::Fuse;
use crate::support::held::Held;
use crate::support::in_process::{PausedClock, Server};
use crate::support::kubelet::{Act, Kubelet, Work};
use crate::support::ledger::{Ledger, What};
use crate::support::objects::{activity_definition, chain, definition, fan_out, orchestration};
use crate::support::operator::{Operator, service_account_config};
use crate::support::process::OperatorProcess;
use crate::support::proxy::Proxy;

/// The grace period that Kubernetes gives a pod by default.
const GRACE: Duration = Duration::from_secs(30);

fn state(status: &OrchestrationStatus) -> &str {
    status.state.as_deref().unwrap_or_default()
}

fn counting_kubelet(namespace: &TestNamespace) -> Kubelet {
    Kubelet::start(namespace, |work| {
        let number = work.input["number"].as_i64().unwrap();
        Act::outputs(&json!({"number": number + 1}))
    })
}

async fn terminated(operator: OperatorProcess) -> ExitStatus {
    tokio::time::timeout(GRACE, operator.terminate()).await.expect("it ends within its grace period")
}

/// Watches that no version of an Orchestration takes back what an earlier one said.
fn guard_history(namespace: &TestNamespace) -> JoinHandle<()> {
    let mut versions =
        watcher(namespace.api::<Orchestration>(), watcher::Config::default()).applied_objects().boxed();
    tokio::spawn(async move {
        let mut last: Option<OrchestrationStatus> = None;
        while let Some(version) = versions.next().await {
            let Ok(Some(status)) = version.map(|version| version.status) else { continue };
            for (activity, before) in last.iter().flat_map(|last| &last.activities) {
                let after = &status.activities[activity];
                assert!(after.attempt >= before.attempt, "{activity}: {before:?}, then {after:?}");
                if before.state == ActivityState::Succeeded {
                    assert_eq!(before, after, "{activity}");
                }
            }
            if let Some(completed) = last.as_ref().and_then(|last| last.completion_time.as_ref()) {
                assert_eq!(status.completion_time.as_ref(), Some(completed));
            }
            last = Some(status);
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_twice_in_a_fan_out_of_50_runs_everything_once() {
    let namespace = TestNamespace::new().await;
    let ledger = Ledger::start(&namespace).await;
    let held = Held::default();
    let _kubelet = Kubelet::start(&namespace, {
        let held = held.clone();
        move |work| {
            let number: usize = work.activity.trim_start_matches("leaf-").parse().unwrap();
            if number.is_multiple_of(2) { Act::Succeed(String::new()) } else { held.hold(work) }
        }
    });
    let first = OperatorProcess::start(&namespace).await;
    namespace.create(activity_definition("step")).await;
    namespace.create(fan_out("fan", 50)).await;
    namespace.definition_ready("fan", "True", "Ready").await;
    namespace.create(orchestration("run", "fan", json!({}))).await;

    // In the middle of the starts.
    ledger.until(|ledger| ledger.count(What::JobMade) >= 5).await;
    first.kill().await;
    println!("killed after {} of 50 Jobs", ledger.count(What::JobMade));

    // While half of them run.
    let second = OperatorProcess::start(&namespace).await;
    namespace
        .until("run", |run: &Orchestration| {
            let status = run.status.as_ref();
            status.is_some_and(|status| status.progress.as_deref() == Some("25/50"))
        })
        .await;
    second.kill().await;

    // The rest ends while nobody looks.
    held.until(25).await;
    held.release(&namespace, |_| Act::Succeed(String::new())).await;
    ledger.until(|ledger| ledger.count(What::JobEnded) == 50).await;

    let third = OperatorProcess::start(&namespace).await;
    let status = namespace.finished("run").await.status.unwrap();
    assert_eq!(state(&status), "Succeeded", "{status:?}");
    assert_eq!(status.progress.as_deref(), Some("50/50"));
    ledger.ran_exactly_once(50).await;
    assert_eq!(terminated(third).await.code(), Some(0));
}

/// What an operator has to bring to its end that dies again and again.
struct Course {
    definition: Value,
    output: Value,
    /// Attempts of all activities together.
    attempts: usize,
}

/// Outputs travel from activity to activity.
fn handed_on() -> Course {
    Course { definition: chain("course", 3), output: json!({"number": 4}), attempts: 3 }
}

/// Everything starts at once, and nobody reads anything.
fn fanned_out() -> Course {
    Course { definition: fan_out("course", 6), output: Value::Null, attempts: 6 }
}

/// The middle of a chain fails twice before it succeeds.
fn tried_again() -> Course {
    let mut definition = chain("course", 3);
    definition["spec"]["activities"][1]["retry"] = json!({"maxRetries": 2, "backoff": {"initialSeconds": 1}});
    Course { definition, output: json!({"number": 4}), attempts: 5 }
}

fn attempt(work: &Work) -> &str {
    &work.pod.metadata.labels.as_ref().unwrap()["orchestrator.dev/attempt"]
}

/// Lives for so many writes, again and again. The answer to the last of them is lost. The result is how many lives it
/// took.
async fn lives_of(writes: i64, course: fn() -> Course) -> usize {
    let Course { definition, output, attempts } = course();
    let namespace = TestNamespace::new().await;
    let ledger = Ledger::start(&namespace).await;
    let history = guard_history(&namespace);
    let retries = definition["spec"]["activities"][1]["retry"].is_object();
    let _kubelet = Kubelet::start(&namespace, move |work| match work.activity.as_str() {
        "step-1" if retries && attempt(work) != "3" => Act::Fail(1, "Error", "not yet".to_owned()),
        _ => Act::outputs(&json!({"number": work.input["number"].as_i64().unwrap_or_default() + 1})),
    });
    namespace.create(activity_definition("step")).await;
    namespace.create(definition).await;
    namespace.create(orchestration("run", "course", json!({"number": 1}))).await;
    let finished = namespace.finished("run");
    tokio::pin!(finished);
    let mut lives = 0;
    let finished = loop {
        let fuse = Fuse::at_write(writes);
        let operator = Operator::start_with_fuse(&namespace, &fuse).await;
        lives += 1;
        tokio::select! {
            finished = &mut finished => break finished,
            () = fuse.blown() => operator.crash(),
        }
    };
    let status = finished.status.unwrap();
    assert_eq!(state(&status), "Succeeded", "{status:?}");
    assert_eq!(json!(status.output), output);
    ledger.ran_exactly_once(attempts).await;
    assert!(!history.is_finished(), "history was rewritten: {:?}", history.await);
    println!("{attempts} attempts, dying at every {writes}. write: {lives} lives");
    lives
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_dies_at_every_write_still_hands_every_output_on() {
    let lives = tokio::join!(
        lives_of(1, handed_on),
        lives_of(2, handed_on),
        lives_of(3, handed_on),
        lives_of(5, handed_on)
    );
    // Definitions, acceptance, revision, Jobs, outputs, end: one life each.
    assert!(lives.0 > 8, "{lives:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_dies_at_every_write_starts_everything_once() {
    let lives = tokio::join!(lives_of(1, fanned_out), lives_of(2, fanned_out), lives_of(4, fanned_out));
    assert!(lives.0 > 8, "{lives:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_dies_at_every_write_makes_every_attempt_once() {
    let lives = tokio::join!(lives_of(1, tried_again), lives_of(2, tried_again), lives_of(3, tried_again));
    assert!(lives.0 > 12, "{lives:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_an_idle_and_a_busy_process_in_time_and_the_next_one_goes_on() {
    let namespace = TestNamespace::new().await;
    let ledger = Ledger::start(&namespace).await;
    let operator = OperatorProcess::start(&namespace).await;
    namespace.create(activity_definition("step")).await;
    namespace.create(chain("chain", 2)).await;
    namespace.definition_ready("chain", "True", "Ready").await;
    assert!(operator.log().contains("the controllers start") && !operator.log().contains('\u{1b}'));
    let began = Instant::now();
    assert_eq!(terminated(operator).await.code(), Some(0));
    println!("SIGTERM ends an idle process in {:?}", began.elapsed());

    let operator = OperatorProcess::start(&namespace).await;
    namespace.create(orchestration("run", "chain", json!({"number": 1}))).await;
    ledger.until(|ledger| ledger.count(What::JobMade) == 1).await;
    let began = Instant::now();
    assert_eq!(terminated(operator).await.code(), Some(0));
    println!("SIGTERM ends a busy process in {:?}", began.elapsed());

    let _kubelet = counting_kubelet(&namespace);
    let _operator = Operator::start(&namespace).await;
    let status = namespace.finished("run").await.status.unwrap();
    assert_eq!(state(&status), "Succeeded", "{status:?}");
    ledger.ran_exactly_once(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_operators_at_once_run_everything_once_and_agree() {
    let namespace = TestNamespace::new().await;
    let ledger = Ledger::start(&namespace).await;
    let history = guard_history(&namespace);
    let _kubelet = Kubelet::start(&namespace, |work| match work.activity.as_str() {
        "breaks" => Act::Fail(3, "Error", "no".to_owned()),
        _ => Act::outputs(&json!({"from": work.activity})),
    });
    let (one, other) = tokio::join!(Operator::start(&namespace), Operator::start(&namespace));
    namespace.create(activity_definition("step")).await;
    let mut activities = vec![json!({"id": "root", "type": "step"})];
    activities.extend((0..10).map(|leaf| {
        json!({"id": format!("leaf-{leaf}"), "type": "step", "dependsOn": "root", "inputs": ["root.from"]})
    }));
    let leaves: Vec<String> = (0..10).map(|leaf| format!("leaf-{leaf}")).collect();
    activities.push(json!({"id": "last", "type": "step", "dependsOn": leaves, "inputs": ["leaf-9.from"]}));
    let output = json!([{"source": "last.from"}]);
    namespace.create(definition("layers", json!({"activities": activities, "output": output}))).await;
    namespace.definition_ready("layers", "True", "Ready").await;
    namespace.create(orchestration("run", "layers", json!({}))).await;
    let status = namespace.finished("run").await.status.unwrap();
    assert_eq!(state(&status), "Succeeded", "{status:?}");
    assert_eq!(Value::Object(status.output.clone().unwrap()), json!({"from": "last"}));
    ledger.ran_exactly_once(12).await;

    // Both still work, and what is finished stays as it is: a failure is told once both could have told it.
    let breaks = json!({"activities": [
        {"id": "breaks", "type": "step"}, {"id": "after", "type": "step", "dependsOn": "breaks"}
    ]});
    namespace.create(definition("breaks", breaks)).await;
    namespace.definition_ready("breaks", "True", "Ready").await;
    assert!(!history.is_finished(), "history was rewritten");
    history.abort();
    namespace.create(orchestration("broken", "breaks", json!({}))).await;
    let broken = namespace.finished("broken").await.status.unwrap();
    assert_eq!(state(&broken), "Failed", "{broken:?}");
    assert_eq!(broken.activities["breaks"].state, ActivityState::Failed);
    assert_eq!(broken.activities["after"].state, ActivityState::NotStarted);
    ledger.ran_exactly_once(13).await;
    assert_eq!(namespace.finished("run").await.status.unwrap(), status);

    let conflicts = |operator: &Operator| operator.requests.count_that(|request| request.status == 409);
    println!("two operators: {} and {} conflicts", conflicts(&one), conflicts(&other));
    one.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_lose_nothing() {
    let namespace = TestNamespace::new().await;
    let ledger = Ledger::start(&namespace).await;
    let history = guard_history(&namespace);
    let _kubelet = counting_kubelet(&namespace);
    let mut config = service_account_config().await;
    let proxy = Proxy::start(config.cluster_url.port_u16().unwrap());
    config.cluster_url = format!("https://{}", proxy.address).parse().unwrap();
    let operator = Operator::start_on(&namespace, config, &Fuse::never(), |_| {});
    namespace.create(activity_definition("step")).await;
    namespace.create(chain("chain", 4)).await;
    namespace.definition_ready("chain", "True", "Ready").await;
    let before = proxy.accepted();
    namespace.create(orchestration("run", "chain", json!({"number": 1}))).await;
    for jobs in 1..=4 {
        tokio::time::timeout(PATIENCE, ledger.until(|ledger| ledger.count(What::JobMade) >= jobs))
            .await
            .unwrap();
        proxy.cut();
    }
    let status = namespace.finished("run").await.status.unwrap();
    assert_eq!(state(&status), "Succeeded", "{status:?}");
    assert_eq!(Value::Object(status.output.unwrap()), json!({"number": 5}));
    ledger.ran_exactly_once(4).await;
    assert!(!history.is_finished(), "history was rewritten");
    assert!(proxy.accepted() > before, "the connections of {} were cut", cluster().kubeconfig().display());
    drop(operator);
}

/// A server that takes a write and never answers: what is under way cannot end by itself.
#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_a_server_that_does_not_answer() {
    let server = Server::default();
    let fuse = Fuse::at_write(1);
    let client = ClientBuilder::new(server.clone(), "stalled").with_layer(&fuse).build();
    let settings = Settings { scope: Scope::Namespace("stalled".to_owned()), ..Settings::default() };
    let (shutdown, receiver) = watch::channel(false);
    let clock = Arc::new(PausedClock::default());
    let operator = tokio::spawn(orchestrator::app::run(client, clock, settings, receiver));
    let path = "/apis/orchestrator.dev/v1alpha1/namespaces/stalled/activitydefinitions/step";
    let mut step = activity_definition("step");
    step["metadata"]["namespace"] = json!("stalled");
    server.put(path, step);
    fuse.blown().await;
    let began = tokio::time::Instant::now();
    shutdown.send_replace(true);
    operator.await.unwrap();
    println!("a shutdown beside a stalled call: {:?} of paused time", began.elapsed());
    assert!(began.elapsed() < GRACE);
}

/// A list that takes its time, when there is much that waits for it.
#[tokio::test(start_paused = true)]
async fn all_who_wait_for_the_first_list_of_activity_types_go_on_when_it_is_there() {
    let server = Server::default();
    server.delay("activitydefinitions", Duration::from_secs(5));
    let ours = "/apis/orchestrator.dev/v1alpha1/namespaces/waiting";
    let put = |resource: &str, mut object: Value| {
        object["metadata"]["namespace"] = json!("waiting");
        server.put(&format!("{ours}/{resource}/{}", object["metadata"]["name"].as_str().unwrap()), object);
    };
    put("activitydefinitions", activity_definition("step"));
    let names: Vec<String> = (0..10).map(|number| format!("number-{number}")).collect();
    for name in &names {
        put("orchestrationdefinitions", fan_out(name, 1));
        put("orchestrations", orchestration(name, name, json!({})));
    }
    let client = ClientBuilder::new(server.clone(), "waiting").build();
    let settings = Settings { scope: Scope::Namespace("waiting".to_owned()), ..Settings::default() };
    let (shutdown, receiver) = watch::channel(false);
    let clock = Arc::new(PausedClock::default());
    let operator = tokio::spawn(orchestrator::app::run(client, clock, settings, receiver));
    for name in &names {
        let job = format!("/apis/batch/v1/namespaces/waiting/jobs/{name}-");
        server.until(|server| server.paths(&job).pop()).await;
    }
    shutdown.send_replace(true);
    operator.await.unwrap();
}
