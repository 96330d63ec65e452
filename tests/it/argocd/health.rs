//! Health follows what runs: what a person sees in Argo CD is what the operator has written.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::Argo;
use super::application::{Application, untyped};
use super::objects::{activity_definition, orchestration, pair, schedule, single};
use crate::support::held::Held;
use crate::support::kubelet::{Act, Kubelet};

/// What an Orchestration's state is to Argo CD.
const STATES: [(&str, &str); 6] = [
    ("Pending", "Progressing"),
    ("Running", "Progressing"),
    ("Waiting", "Progressing"),
    ("Suspended", "Suspended"),
    ("Succeeded", "Healthy"),
    ("Failed", "Degraded"),
];

/// Runs in every state, and a schedule whose run fails.
pub async fn follows(argo: &Argo) {
    let application = Application::new(argo, "health").await;
    let held = Held::default();
    let _kubelet = Kubelet::start_on(argo.client.clone(), "health", {
        let held = held.clone();
        move |work| match work.activity.as_str() {
            "held" => held.hold(work),
            "fails" => Act::Fail(3, "Error", "the disk is full".to_owned()),
            _ => Act::outputs(&json!({})),
        }
    });
    let stopwatch = Stopwatch::start(argo, &application);
    let mut paused = orchestration("paused", "quick", json!({}));
    paused["spec"]["suspend"] = json!(true);
    application.commit(&[
        activity_definition("step"),
        pair("held", "step"),
        single("fails", "step"),
        single("quick", "step"),
        orchestration("running", "held", json!({})),
        orchestration("waiting", "absent", json!({})),
        orchestration("failing", "fails", json!({})),
        orchestration("done", "quick", json!({})),
        paused,
        schedule("yearly", "@yearly", "fails", json!({})),
    ]);
    application.synced().await;

    let kind = "Orchestration";
    application.health("ActivityDefinition", "step", "Healthy").await;
    application.health("OrchestrationDefinition", "held", "Healthy").await;
    held.until(1).await;
    let mut told = BTreeMap::new();
    for (name, status, words) in [
        ("running", "Progressing", "0/2, waiting for held"),
        ("waiting", "Progressing", "\"absent\" not found"),
        ("failing", "Degraded", "the disk is full"),
        ("paused", "Suspended", "0 of 1"),
        ("done", "Healthy", "succeeded"),
    ] {
        let message = application.health(kind, name, status).await;
        assert!(message.contains(words), "{name}: {message}");
        told.insert(name, format!("{status}: {message}"));
    }
    application.health("OrchestrationSchedule", "yearly", "Healthy").await;
    // A run of it, which fails.
    let run = ["app", "actions", "run", "health", "run-now", "--kind", "OrchestrationSchedule"];
    let (ran, text) = argo.argocd(&[&run[..], &["--resource-name", "yearly"]].concat());
    assert!(ran, "{text}");
    let message = application.health("OrchestrationSchedule", "yearly", "Degraded").await;
    told.insert("yearly", format!("Degraded: {message}"));
    // What makes it the worst goes; what is left makes it progress.
    let whole = application.get().await;
    assert_eq!(whole["status"]["health"]["status"], "Degraded");

    held.release(&application.namespace, |_| Act::outputs(&json!({}))).await;
    application.health(kind, "running", "Healthy").await;
    for (name, message) in &told {
        println!("  {name}: {message}");
    }
    argo.covers("health of a running, a waiting, a failed, a suspended and a succeeded Orchestration");
    argo.covers("health of definitions, of a schedule that waits and of one whose run has failed");
    let slowest = stopwatch.slowest().await;
    argo.covers(format!("health follows {} writes of status, the slowest after {:?}", slowest.1, slowest.0));
}

/// When states were first seen, by name and what Argo CD should say.
type Seen = Arc<Mutex<BTreeMap<(String, String), Instant>>>;

/// How long Argo CD takes to say what the operator has written.
struct Stopwatch {
    written: Seen,
    told: Seen,
    tasks: [JoinHandle<()>; 2],
}

impl Stopwatch {
    fn start(argo: &Argo, application: &Application<'_>) -> Self {
        let (written, told) = (Seen::default(), Seen::default());
        let runs = untyped(&argo.client, &application.namespace.name, "Orchestration");
        let note = |seen: &Seen, name: &Value, health: &Value| {
            let key = (
                name.as_str().unwrap_or_default().to_owned(),
                health.as_str().unwrap_or_default().to_owned(),
            );
            seen.lock().unwrap().entry(key).or_insert_with(Instant::now);
        };
        let first = tokio::spawn(each(runs, String::new(), {
            let written = Arc::clone(&written);
            move |object| {
                let state = &object["status"]["state"];
                if let Some((_, health)) = STATES.iter().find(|(one, _)| state == one) {
                    note(&written, &object["metadata"]["name"], &json!(health));
                }
            }
        }));
        let second =
            tokio::spawn(each(argo.applications(), format!("metadata.name={}", application.name), {
                let told = Arc::clone(&told);
                move |object| {
                    for one in object["status"]["resources"].as_array().into_iter().flatten() {
                        if one["kind"] == "Orchestration" {
                            note(&told, &one["name"], &one["health"]["status"]);
                        }
                    }
                }
            }));
        Self { written, told, tasks: [first, second] }
    }

    /// The longest time, and how many there were: those of the final states that both have shown.
    async fn slowest(self) -> (Duration, usize) {
        for task in self.tasks {
            task.abort();
        }
        let (written, told) = (self.written.lock().unwrap(), self.told.lock().unwrap());
        let times: Vec<Duration> = written
            .iter()
            .filter_map(|(key, at)| Some(told.get(key)?.saturating_duration_since(*at)))
            .collect();
        assert!(times.len() >= 5, "{written:?} {told:?}");
        (times.iter().max().copied().unwrap(), times.len())
    }
}

async fn each(api: Api<DynamicObject>, fields: String, see: impl Fn(Value) + Send + 'static) {
    let config = watcher::Config::default().fields(&fields);
    let mut stream = watcher(api, config).default_backoff().applied_objects().boxed();
    while let Some(event) = stream.next().await {
        if let Ok(object) = event {
            see(serde_json::to_value(object).unwrap());
        }
    }
}
