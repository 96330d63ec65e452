//! What the embedded mode costs: `cargo bench --bench embedded`, or a part of it with `-- writes` or `-- processes`.
//!
//! Responsible for: figures of a write, alone and while many watch, and of activities from end to end. Must never: be a
//! test; times depend on the machine.
#![allow(clippy::unwrap_used, clippy::print_stdout)]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the time and its arguments")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams, PostParams, WatchParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, CustomResourceExt, Resource, ResourceExt};
use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition};
use orchestrator::app::local::Local;
use orchestrator::clock::{Clock, SystemClock};
use orchestrator::config::Settings;
use orchestrator::embedded::kinds::definition::Definition;
use orchestrator::embedded::server::Server;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// How long each kind of write is measured.
const FOR: Duration = Duration::from_secs(2);
/// Activities of each measurement of processes.
const ACTIVITIES: usize = 1000;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_asked = |part: &str| asked.is_empty() || asked.iter().any(|one| one == part);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        if is_asked("writes") {
            for watchers in [0, 1, 100] {
                creates(watchers).await;
                for activities in [2, 20, 200] {
                    statuses(watchers, activities).await;
                }
            }
        }
        if is_asked("processes") {
            bare().await;
            for orchestrations in [1, 10, 100, 1000] {
                processes(orchestrations, ACTIVITIES / orchestrations, false).await;
            }
            processes(1, 100, true).await;
        }
    });
}

fn server() -> Server {
    let definition = Definition::compile(&serde_json::to_value(Orchestration::crd()).unwrap()).unwrap();
    Server::builder(Arc::new(SystemClock)).definition(definition).build()
}

async fn creates(watchers: usize) {
    let api: Api<ConfigMap> = Api::default_namespaced(server().client());
    watch(&api, watchers).await;
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < FOR {
        let object =
            json!({"metadata": {"name": format!("m{count}"), "labels": {"a": "b"}}, "data": {"k": "v"}});
        create(&api, object).await;
        count += 1;
    }
    tell(&format!("creates of ConfigMaps, {watchers} watchers"), count, start);
}

async fn statuses(watchers: usize, activities: usize) {
    let api: Api<Orchestration> = Api::default_namespaced(server().client());
    create(&api, orchestration("o", "t")).await;
    let entry = json!({"tier": 0, "state": "Running", "attempt": 1, "startTime": "2026-01-01T00:00:00Z"});
    let all: serde_json::Map<_, _> =
        (0..activities).map(|index| (format!("activity-{index}"), entry.clone())).collect();
    let patch = json!({"status": {"state": "Running", "activities": all}});
    let mut object = api.patch_status("o", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    watch(&api, watchers).await;
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < FOR {
        let patch = json!({
            "metadata": {"resourceVersion": object.resource_version()},
            "status": {"activities": {"activity-0": {"attempt": count}}},
        });
        object = api.patch_status("o", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        count += 1;
    }
    tell(&format!("status writes of {activities} activities, {watchers} watchers"), count, start);
}

/// The limit: the same processes with nothing around them, as many at a time as the runner lets run.
async fn bare() {
    let parallel = orchestrator::embedded::runner::Settings::new(Path::new("/")).parallel;
    let start = Instant::now();
    let mut running = FuturesUnordered::new();
    for _ in 0..ACTIVITIES {
        if running.len() == parallel {
            running.next().await;
        }
        let mut child = tokio::process::Command::new("true").spawn().unwrap();
        running.push(async move { assert!(child.wait().await.unwrap().success()) });
    }
    running.collect::<()>().await;
    tell(&format!("bare processes, {parallel} at a time"), u32::try_from(ACTIVITIES).unwrap(), start);
}

/// Orchestrations of activities that do nothing, from their creation to their ends: side by side, or in a chain.
async fn processes(orchestrations: usize, activities: usize, chain: bool) {
    let directory = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let local = Local::start(&clock, Settings::default(), directory.path(), None).unwrap();
    let client = local.client();
    let spec = json!({"containers": [{"name": "main", "image": "none", "command": ["true"]}]});
    let noop: Value = json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": "noop"},
        "spec": {"job": {"template": {"spec": spec}}},
    });
    create(&Api::<ActivityDefinition>::default_namespaced(client.clone()), noop).await;
    let all: Vec<Value> = (0..activities)
        .map(|index| {
            let before = if chain && index > 0 { vec![format!("a{}", index - 1)] } else { Vec::new() };
            json!({"id": format!("a{index}"), "type": "noop", "dependsOn": before})
        })
        .collect();
    let definition = json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition", "metadata": {"name": "many"},
        "spec": {"activities": all},
    });
    create(&Api::<OrchestrationDefinition>::default_namespaced(client.clone()), definition).await;
    let api: Api<Orchestration> = Api::default_namespaced(client.clone());
    let start = Instant::now();
    for index in 0..orchestrations {
        create(&api, orchestration(&format!("o{index}"), "many")).await;
    }
    finished(&client, orchestrations).await;
    let how = if chain { "in a chain" } else { "side by side" };
    let count = u32::try_from(orchestrations * activities).unwrap();
    tell(&format!("{orchestrations} Orchestrations of {activities} activities {how}"), count, start);
    local.stop(std::future::pending()).await;
}

/// Waits until so many have succeeded; one that has failed would make the figure worthless.
async fn finished(client: &Client, count: usize) {
    let api: Api<Orchestration> = Api::default_namespaced(client.clone());
    let mut events = watcher(api, watcher::Config::default()).applied_objects().boxed();
    let mut done = std::collections::BTreeSet::new();
    while done.len() < count {
        let object = events.next().await.unwrap().unwrap();
        let status = object.status.clone().unwrap_or_default();
        if status.completion_time.is_some() {
            assert_eq!(status.state.as_deref(), Some("Succeeded"));
            done.insert(object.name_any());
        }
    }
}

fn orchestration(name: &str, type_: &str) -> Value {
    json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "metadata": {"name": name},
        "spec": {"type": type_, "input": {"a": {"b": "c"}}},
    })
}

async fn create<K>(api: &Api<K>, object: Value)
where
    K: Clone + DeserializeOwned + std::fmt::Debug + Serialize,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

async fn watch<K>(api: &Api<K>, count: usize)
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    for _ in 0..count {
        let events = api.watch_metadata(&WatchParams::default(), "0").await.unwrap();
        tokio::spawn(async move { events.try_for_each(|_| async { Ok(()) }).await });
    }
}

fn tell(what: &str, count: u32, start: Instant) {
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    println!("{what:<52} {rate:8.0} a second");
}
