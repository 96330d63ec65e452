//! Writes a second of the embedded API server, through kube's client: `cargo bench --bench embedded`.
//!
//! Responsible for: the numbers of a create and of a status write, alone and while many watch. Must never: decide
//! whether they are good.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams, PostParams, WatchParams};
use kube::{CustomResourceExt, ResourceExt};
use orchestrator::api::Orchestration;
use orchestrator::clock::SystemClock;
use orchestrator::embedded::kinds::definition::Definition;
use orchestrator::embedded::server::Server;
use serde_json::json;

/// How long each is measured.
const FOR: Duration = Duration::from_secs(2);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for watchers in [0, 1, 100] {
            creates(watchers).await;
            for activities in [2, 20, 200] {
                statuses(watchers, activities).await;
            }
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
        let object: ConfigMap = serde_json::from_value(object).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
        count += 1;
    }
    tell("creates of ConfigMaps", watchers, count, start);
}

async fn statuses(watchers: usize, activities: usize) {
    let api: Api<Orchestration> = Api::default_namespaced(server().client());
    let object = json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "metadata": {"name": "o"},
        "spec": {"type": "t", "input": {"a": {"b": "c"}}},
    });
    let mut object =
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    let entry = json!({"tier": 0, "state": "Running", "attempt": 1, "startTime": "2026-01-01T00:00:00Z"});
    let all: serde_json::Map<_, _> =
        (0..activities).map(|index| (format!("activity-{index}"), entry.clone())).collect();
    let patch = json!({"status": {"state": "Running", "activities": all}});
    object = api.patch_status("o", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
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
    tell(&format!("status writes, {activities} activities"), watchers, count, start);
}

async fn watch<K>(api: &Api<K>, count: usize)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    for _ in 0..count {
        let events = api.watch_metadata(&WatchParams::default(), "0").await.unwrap();
        tokio::spawn(async move { events.try_for_each(|_| async { Ok(()) }).await });
    }
}

fn tell(what: &str, watchers: usize, count: u32, start: Instant) {
    println!(
        "{what:32} {watchers:4} watchers: {:8.0} a second",
        f64::from(count) / start.elapsed().as_secs_f64()
    );
}
