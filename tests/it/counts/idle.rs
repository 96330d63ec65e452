//! What an operator does when there is nothing to do: an hour of paused time, on the API server in this process.

use std::sync::Arc;
use std::time::Duration;

use kube::client::ClientBuilder;
use orchestrator::config::{Scope, Settings};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::in_process::{PausedClock, Server};
use crate::support::objects::{activity_definition, definition, orchestration};
use crate::support::reconciles::{reconciles, start_counting};
use crate::support::recording::Recording;

const HOUR: Duration = Duration::from_secs(3600);

/// The server's only namespace.
const NAMESPACE: &str = "idle";

fn path(resource: &str, name: &str) -> String {
    let group = match resource {
        "jobs" => "/apis/batch/v1",
        "pods" => "/api/v1",
        _ => "/apis/orchestrator.dev/v1alpha1",
    };
    format!("{group}/namespaces/{NAMESPACE}/{resource}/{name}")
}

fn put(server: &Server, resource: &str, mut object: Value) -> Value {
    object["metadata"]["namespace"] = json!(NAMESPACE);
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    server.put(&path(resource, &name), object)
}

fn ready(server: &Server, resource: &str, name: &str) -> Option<()> {
    let object = server.get(&path(resource, name))?;
    let conditions = object["status"]["conditions"].as_array()?.clone();
    conditions.iter().any(|held| held["type"] == "Ready" && held["status"] == "True").then_some(())
}

/// Starts an Orchestration and waits until its only Job has a pod that runs. The result is the Job's path.
async fn start(server: &Server, name: &str) -> String {
    put(server, "orchestrations", orchestration(name, "one", json!({})));
    let begin = path("jobs", name);
    let job_path = server.until(|server| server.paths(&begin).pop()).await;
    let job = server.get(&job_path).unwrap();
    let mut metadata = job["spec"]["template"]["metadata"].clone();
    metadata["name"] = json!(format!("{name}-pod"));
    metadata["ownerReferences"] = json!([{
        "apiVersion": "batch/v1", "kind": "Job", "controller": true,
        "name": job["metadata"]["name"], "uid": job["metadata"]["uid"],
    }]);
    let state = json!({"running": {"startedAt": "2026-01-01T00:00:01Z"}});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": job["spec"]["template"]["spec"],
        "status": {"phase": "Running", "containerStatuses": [container(state)]},
    });
    put(server, "pods", pod);
    server
        .until(|server| {
            let run = server.get(&path("orchestrations", name))?;
            let started = &run["status"]["activities"]["only"]["startTime"];
            (!started.is_null()).then_some(())
        })
        .await;
    job_path
}

fn container(state: Value) -> Value {
    json!({"name": "main", "image": "none", "imageID": "", "ready": true, "restartCount": 0, "state": state})
}

async fn finish(server: &Server, name: &str, job_path: &str) {
    let mut pod = server.get(&path("pods", &format!("{name}-pod"))).unwrap();
    let times = ("2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z");
    let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": times.0, "finishedAt": times.1}});
    pod["status"] = json!({"phase": "Succeeded", "containerStatuses": [container(ended)]});
    put(server, "pods", pod);
    let mut job = server.get(job_path).unwrap();
    job["status"] =
        json!({"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": times.1}]});
    put(server, "jobs", job);
    server
        .until(|server| {
            let run = server.get(&path("orchestrations", name))?;
            (run["status"]["state"] == "Succeeded").then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_finished_orchestration_costs_nothing_in_an_hour_and_a_running_one_no_write() {
    start_counting();
    let server = Server::default();
    let requests = Recording::default();
    let client = ClientBuilder::new(server.clone(), NAMESPACE).with_layer(&requests).build();
    let settings = Settings { scope: Scope::Namespace(NAMESPACE.to_owned()), ..Settings::default() };
    let (shutdown, receiver) = watch::channel(false);
    let clock = Arc::new(PausedClock::default());
    let operator = tokio::spawn(orchestrator::app::run(client, clock, settings, receiver));

    put(&server, "activitydefinitions", activity_definition("step"));
    let only = json!({"activities": [{"id": "only", "type": "step"}]});
    put(&server, "orchestrationdefinitions", definition("one", only));
    server.until(|server| ready(server, "orchestrationdefinitions", "one")).await;
    let job = start(&server, "done").await;
    finish(&server, "done", &job).await;
    // Whatever was still to be said.
    tokio::time::sleep(Duration::from_secs(60)).await;

    let count = || {
        let kinds = ["ActivityDefinition", "OrchestrationDefinition", "Orchestration"];
        let reconciled = kinds.map(|kind| reconciles(kind, NAMESPACE));
        (reconciled, requests.count_that(|one| one.method != "GET"), requests.all().len())
    };
    let (reconciled, writes, all) = count();
    tokio::time::sleep(HOUR).await;
    let (reconciled_after, writes_after, all_after) = count();
    println!("an hour of a finished Orchestration: {} requests, all of them watches", all_after - all);
    assert_eq!(reconciled_after, reconciled);
    assert_eq!(writes_after, writes);
    let watches = requests.count_that(|one| one.query.contains("watch=true"));
    assert!(watches > 5 * 12, "time went by: {watches} watches");

    start(&server, "running").await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (reconciled, writes, _) = count();
    tokio::time::sleep(HOUR).await;
    let (reconciled_after, writes_after, _) = count();
    println!("an hour of a running one: {} reconciles", reconciled_after[2] - reconciled[2]);
    assert_eq!(writes_after, writes);
    assert!(reconciled_after[2] - reconciled[2] <= 7, "a look every ten minutes");

    shutdown.send_replace(true);
    operator.await.unwrap();
}
