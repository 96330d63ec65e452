//! A kubelet that does what a test says: it writes the status of pods, and runs nothing.
//!
//! The Job controller takes a pod's status as truth, so that every outcome can be had, in any number and order. Pods
//! that a real scheduler must not see carry `schedulerName: none`.
//!
//! Responsible for: status patches as a real kubelet writes them. Must never: decide anything by itself.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use orchestrator::clock::Clock;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::cluster::TestNamespace;

/// A pod as a test sees it.
#[derive(Clone, Debug)]
pub struct Work {
    /// Id of its activity.
    pub activity: String,
    /// Its input.
    pub input: Value,
    /// The whole pod.
    pub pod: Pod,
}

/// What happens to a pod.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// It succeeds, with this termination message.
    Succeed(String),
    /// It runs, and fails with this exit code, runtime's reason and termination message.
    Fail(i32, &'static str, String),
    /// It runs for ever.
    Run,
    /// Its container waits, with reason and message.
    Wait(&'static str, &'static str),
    /// Nothing, until the test writes its status itself.
    Nothing,
    /// Its status becomes this one.
    Status(Value),
}

impl Act {
    /// Success with outputs.
    pub fn outputs(outputs: &Value) -> Self {
        Self::Succeed(outputs.to_string())
    }
}

/// A kubelet for all pods of one namespace.
pub struct Kubelet {
    task: JoinHandle<()>,
}

impl Kubelet {
    /// Starts a kubelet that asks `script` once for every pod.
    pub fn start(namespace: &TestNamespace, script: impl Fn(&Work) -> Act + Send + Sync + 'static) -> Self {
        Self::start_on(namespace.client.clone(), &namespace.name, script)
    }

    /// The same on any server.
    pub fn start_on(
        client: Client,
        namespace: &str,
        script: impl Fn(&Work) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self { task: tokio::spawn(serve(client, namespace.to_owned(), Arc::new(script))) }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(client: Client, namespace: String, script: Arc<dyn Fn(&Work) -> Act + Send + Sync>) {
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    let mut seen = HashSet::new();
    let mut stream =
        watcher(pods.clone(), watcher::Config::default()).default_backoff().applied_objects().boxed();
    while let Some(event) = stream.next().await {
        let Ok(pod) = event else { continue };
        if !seen.insert(pod.uid().unwrap_or_default()) {
            continue;
        }
        let work = work(&pod);
        let act = script(&work);
        let pods = pods.clone();
        // Each pod on its own: a node runs them side by side.
        tokio::spawn(async move { perform(&pods, &pod, &act).await });
    }
}

/// What a test sees of a pod.
pub fn work(pod: &Pod) -> Work {
    let annotation = |key: &str| pod.annotations().get(key).cloned().unwrap_or_default();
    Work {
        activity: annotation("orchestrator.dev/activity"),
        input: serde_json::from_str(&annotation("orchestrator.dev/input")).unwrap_or_default(),
        pod: pod.clone(),
    }
}

/// Makes something happen to a pod.
pub async fn perform(pods: &Api<Pod>, pod: &Pod, act: &Act) {
    let now = now();
    let status = match act {
        Act::Nothing => return,
        Act::Status(status) => status.clone(),
        Act::Succeed(message) => status(pod, "Succeeded", &terminated(0, "Completed", message), &now),
        Act::Fail(code, reason, message) => status(pod, "Failed", &terminated(*code, reason, message), &now),
        Act::Run => status(pod, "Running", &json!({"running": {"startedAt": now}}), &now),
        Act::Wait(reason, message) => {
            status(pod, "Pending", &json!({"waiting": {"reason": reason, "message": message}}), &now)
        }
    };
    write(pods, pod, status).await;
}

/// Ends the deletion of a pod: a kubelet does that once nothing of it runs any more.
pub async fn remove(pods: &Api<Pod>, pod: &Pod) {
    let _ = pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await;
}

/// The state of a container that has ended just now.
pub fn terminated(code: i32, reason: &str, message: &str) -> Value {
    let now = now();
    json!({"terminated": {"exitCode": code, "reason": reason, "message": message, "startedAt": now, "finishedAt": now}})
}

/// The status of one container.
pub fn container_status(name: &str, state: &Value) -> Value {
    let running = state.get("running").is_some();
    json!({
        "name": name, "image": "none", "imageID": "", "restartCount": 0,
        "ready": running, "started": running, "state": state,
    })
}

thread_local! {
    /// The clock of a test whose time stands still; such a test has one thread.
    static CLOCK: RefCell<Option<Arc<dyn Clock>>> = const { RefCell::new(None) };
}

/// Takes the time from a clock, in this thread.
pub fn use_clock(clock: Arc<dyn Clock>) {
    CLOCK.set(Some(clock));
}

/// The time as Kubernetes writes it.
pub fn now() -> String {
    let paused = CLOCK.with_borrow(|clock| clock.as_ref().map(|clock| clock.now()));
    paused.unwrap_or_else(Timestamp::now).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Writes a pod's status; a pod that is gone is none of our business.
pub async fn write(pods: &Api<Pod>, pod: &Pod, status: Value) {
    let patch = Patch::Merge(json!({ "status": status }));
    let _ = pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch).await;
}

/// The status of a pod whose containers are all in one state.
pub fn status(pod: &Pod, phase: &str, state: &Value, now: &str) -> Value {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let statuses: Vec<Value> =
        containers.iter().map(|container| container_status(&container.name, state)).collect();
    json!({"phase": phase, "startTime": now, "containerStatuses": statuses})
}
