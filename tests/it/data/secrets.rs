//! A canary: the value of a Secret that a pod uses is seen in the pod and nowhere else.

use std::collections::BTreeSet;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::Arc;

use futures::TryStreamExt;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::core::{GroupVersionKind, NamespaceResourceScope};
use kube::discovery::ApiResource;
use kube::runtime::wait::await_condition;
use kube::runtime::{WatchStreamExt, watcher};
use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition};
use orchestrator::app::local::Local;
use orchestrator::clock::{Clock, SystemClock};
use orchestrator::config::Settings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::cluster::PATIENCE;

const CANARY: &str = "canary-8f2b61d0";

/// The Secret, a type whose pod reads it, and runs that succeed and fail with it at hand.
fn documents() -> [Value; 5] {
    let main = json!({
        "name": "main", "image": "busybox:1.37",
        "command": ["sh", "-c", "printf '{\"length\": %s}' \"${#TOKEN}\" > \"$ORCHESTRATOR_OUTPUT_FILE\"; exit \"$INPUT_CODE\""],
        "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}}],
    });
    let run = |name: &str, code: i32| {
        json!({"apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "metadata": {"name": name},
            "spec": {"type": "flow", "input": {"code": code}}})
    };
    [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "stringData": {"token": CANARY}}),
        json!({"apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": "login"},
            "spec": {"retry": {"maxRetries": 0}, "job": {"template": {"spec": {"containers": [main]}}}}}),
        json!({"apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition", "metadata": {"name": "flow"},
            "spec": {"activities": [{"id": "login", "type": "login", "inputs": ["code"]}],
                "output": [{"source": "login.length"}]}}),
        run("good", 0),
        run("bad", 3),
    ]
}

#[test]
fn no_result_and_no_log_shows_a_secret_that_a_pod_uses() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.yaml");
    let text: Vec<String> = documents().iter().map(Value::to_string).collect();
    std::fs::write(&file, text.join("\n---\n")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_orchestrator"))
        .args(["run", file.to_str().unwrap(), "-o", "json", "--timeout", "60s", "--log-level", "trace"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (told, logged) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{logged}");
    let finished: Value = serde_json::from_str(&told).unwrap();
    let statuses: Vec<&Value> =
        finished["items"].as_array().unwrap().iter().map(|item| &item["status"]).collect();
    // The pods did have it.
    assert_eq!(statuses[0]["output"], json!({"length": CANARY.len()}), "{told}");
    assert!(
        statuses[1]["activities"]["login"]["message"].as_str().unwrap().contains("exit code 3"),
        "{told}"
    );
    assert!(!told.contains(CANARY), "{told}");
    assert!(logged.len() > 10_000, "everything is logged: {logged}");
    assert!(!logged.contains(CANARY), "a log shows it");
}

/// Every object of a kind, as text.
async fn texts<K>(client: &Client) -> Vec<String>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug,
{
    let found = Api::<K>::default_namespaced(client.clone()).list(&ListParams::default()).await.unwrap();
    found.items.iter().map(|object| serde_json::to_string(object).unwrap()).collect()
}

/// Every Event, once there are so many: the last ones are written behind the status that they tell of.
async fn told(client: &Client, least: usize) -> Vec<String> {
    let events: Api<Event> = Api::default_namespaced(client.clone());
    let mut seen = BTreeSet::new();
    let counted = async {
        let mut watched = pin!(watcher(events, watcher::Config::default()).applied_objects());
        while seen.len() < least {
            seen.insert(watched.try_next().await.unwrap().expect("a watch has no end").metadata.name);
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.expect("so many Events");
    texts::<Event>(client).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_object_shows_a_secret_that_a_pod_uses() {
    let directory = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let local = Local::start(&clock, Settings::default(), directory.path(), None).unwrap();
    let client = local.client();
    for document in documents() {
        let (api_version, kind) =
            (document["apiVersion"].as_str().unwrap(), document["kind"].as_str().unwrap());
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &resource);
        let object = serde_json::from_value(document.clone()).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
    }
    let runs: Api<Orchestration> = Api::default_namespaced(client.clone());
    let is_finished = |run: Option<&Orchestration>| {
        run.and_then(|run| run.status.as_ref()).is_some_and(|status| status.completion_time.is_some())
    };
    for name in ["good", "bad"] {
        let finished = await_condition(runs.clone(), name, is_finished);
        tokio::time::timeout(std::time::Duration::from_secs(60), finished).await.unwrap().unwrap();
    }
    let good = runs.get("good").await.unwrap().status.unwrap();
    assert_eq!(good.output.map(Value::Object), Some(json!({"length": CANARY.len()})), "the pod did have it");
    let kinds = [
        ("Orchestration", texts::<Orchestration>(&client).await, 2),
        ("OrchestrationDefinition", texts::<OrchestrationDefinition>(&client).await, 1),
        ("ActivityDefinition", texts::<ActivityDefinition>(&client).await, 1),
        ("ControllerRevision", texts::<ControllerRevision>(&client).await, 1),
        ("Job", texts::<Job>(&client).await, 2),
        ("Pod", texts::<Pod>(&client).await, 2),
        ("Event", told(&client, 4).await, 4),
    ];
    for (kind, objects, least) in kinds {
        assert!(objects.len() >= least, "{kind}: {}", objects.len());
        for object in objects {
            assert!(!object.contains(CANARY), "{kind}: {object}");
        }
    }
    local.stop(std::future::pending()).await;
}
