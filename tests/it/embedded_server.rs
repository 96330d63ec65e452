//! The embedded server with everything on it: the real controllers, the Job controller's role, and time that stands
//! still while nobody works.
//!
//! Responsible for: one Orchestration from its definitions to its end without a cluster. Must never: repeat what the
//! conformance suite says of single answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::runtime::{WatchStreamExt, wait::await_condition, watcher};
use kube::{Client, CustomResourceExt};
use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition};
use orchestrator::clock::Clock;
use orchestrator::config::Settings;
use orchestrator::embedded::kinds::definition::Definition;
use orchestrator::embedded::server::Server;
use orchestrator::embedded::{job, random::Random};
use serde_json::json;

use crate::support::kubelet::{Act, perform};

/// Tells tokio's time, which tests pause.
#[derive(Debug)]
struct TokioClock {
    begin: tokio::time::Instant,
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let base: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        base + SignedDuration::try_from(self.begin.elapsed()).unwrap()
    }
}

async fn kubelet(client: Client) {
    let pods: Api<Pod> = Api::all(client.clone());
    let mut events = watcher(pods, watcher::Config::default()).default_backoff().applied_objects().boxed();
    while let Some(pod) = events.next().await {
        let Ok(pod) = pod else { continue };
        let is_new = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Pending");
        if is_new {
            let pods: Api<Pod> = Api::namespaced(client.clone(), pod.metadata.namespace.as_deref().unwrap());
            perform(&pods, &pod, &Act::outputs(&json!({"resource": "r-1"}))).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_orchestration_runs_to_its_end_without_a_cluster() {
    let clock: Arc<dyn Clock> = Arc::new(TokioClock { begin: tokio::time::Instant::now() });
    let writes: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&writes);
    let mut builder =
        Server::builder(Arc::clone(&clock)).random(Random::from_seed(1)).observer(Box::new(move |write| {
            seen.lock()
                .unwrap()
                .push(format!("{} {} {}", write.context.verb, write.kind.plural, write.key.name));
        }));
    for crd in [ActivityDefinition::crd(), OrchestrationDefinition::crd(), Orchestration::crd()] {
        builder = builder.definition(Definition::compile(&serde_json::to_value(crd).unwrap()).unwrap());
    }
    let server = builder.build();
    let client = server.client();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let tasks = [
        tokio::spawn(job::run(client.clone(), Arc::clone(&clock), job::Settings::default(), stopped.clone())),
        tokio::spawn(orchestrator::app::run(client.clone(), clock, Settings::default(), stopped)),
        tokio::spawn(kubelet(client.clone())),
    ];

    let activities: Api<ActivityDefinition> = Api::default_namespaced(client.clone());
    let work = json!({"apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": "work.example.com"},
        "spec": {"provider": "p", "job": {"template": {"spec": {"containers": [{"name": "main", "image": "busybox", "command": ["true"]}]}}}}});
    activities.create(&PostParams::default(), &serde_json::from_value(work).unwrap()).await.unwrap();
    let definitions: Api<OrchestrationDefinition> = Api::default_namespaced(client.clone());
    let chain = json!({"apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition", "metadata": {"name": "chain.example.com"},
        "spec": {"activities": [{"id": "a", "type": "work.example.com"},
            {"id": "b", "type": "work.example.com", "dependsOn": ["a"], "inputs": [{"source": "a.resource", "target": "resource"}]}]}});
    definitions.create(&PostParams::default(), &serde_json::from_value(chain).unwrap()).await.unwrap();
    let orchestrations: Api<Orchestration> = Api::default_namespaced(client.clone());
    let run = json!({"apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "metadata": {"name": "run"}, "spec": {"type": "chain.example.com"}});
    orchestrations.create(&PostParams::default(), &serde_json::from_value(run).unwrap()).await.unwrap();

    let is_done = |object: Option<&Orchestration>| {
        object.and_then(|object| object.status.as_ref()?.completion_time.as_ref()).is_some()
    };
    let done = tokio::time::timeout(
        Duration::from_secs(3600),
        await_condition(orchestrations.clone(), "run", is_done),
    )
    .await;
    let now = orchestrations.get("run").await.unwrap();
    assert!(
        done.is_ok(),
        "{}\n{}",
        serde_json::to_string_pretty(&now).unwrap(),
        writes.lock().unwrap().join("\n")
    );
    assert_eq!(now.status.unwrap().state.as_deref(), Some("Succeeded"));
    let events: Api<Event> = Api::default_namespaced(client.clone());
    assert!(!events.list(&ListParams::default()).await.unwrap().items.is_empty());

    orchestrations.delete("run", &DeleteParams::background()).await.unwrap();
    let left = server.objects_at("batch", "jobs", None, server.version()).unwrap();
    assert!(left.iter().all(|job| job.value.pointer("/metadata/deletionTimestamp").is_some()), "{left:?}");
    stop.send(true).unwrap();
    tasks.into_iter().for_each(|task| task.abort());
}
