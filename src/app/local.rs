//! The operator with no cluster: embedded API server, controllers, the Job controller's role and the kubelet's role,
//! put together in one process.
//!
//! Responsible for: starting and stopping the parts in order. Must never: be a way around the API; what comes in and
//! out goes through the client.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::api::labels;
use crate::clock::Clock;
use crate::config::Settings;
use crate::embedded::kinds::definition::Definition;
use crate::embedded::runner::log;
use crate::embedded::server::Server;
use crate::embedded::{job, runner};
use crate::provider::job::facts::PodFacts;

/// Name of the one node.
const NODE: &str = "localhost";
/// Most bytes at the end of a log that are shown.
const TAIL_BYTES: u64 = 2048;
/// Most lines at the end of a log that are shown.
const TAIL_LINES: usize = 10;

/// Everything that runs.
#[derive(Debug)]
pub struct Local {
    /// The API server.
    pub server: Server,
    runner: runner::Settings,
    shutdown: watch::Sender<bool>,
    controllers: JoinSet<()>,
    node: JoinSet<()>,
}

impl Local {
    /// Starts all parts. Private directories of pods lie below `directory`, logs below `logs` if it is given, and they
    /// stay then.
    pub fn start(
        clock: &Arc<dyn Clock>,
        settings: Settings,
        directory: &Path,
        logs: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let mut builder = Server::builder(Arc::clone(clock));
        for definition in crate::api::crds() {
            let definition = serde_json::to_value(&definition)?;
            let compiled = Definition::compile(&definition)
                .map_err(|errors| anyhow::anyhow!("a kind of ours cannot be served: {errors:?}"))?;
            builder = builder.definition(compiled);
        }
        let server = builder.build();
        let mut runner = runner::Settings::new(directory);
        if let Some(logs) = logs {
            runner.logs = logs;
            runner.keep_logs = true;
        }
        let (shutdown, stop) = watch::channel(false);
        let mut node = JoinSet::new();
        let role = job::Settings { node_name: Some(NODE.to_owned()), ..job::Settings::default() };
        node.spawn(job::run(server.client(), Arc::clone(clock), role, stop.clone()));
        let kubelet = runner::run(server.client(), Arc::clone(clock), runner.clone(), stop.clone());
        node.spawn(async move {
            if let Err(error) = kubelet.await {
                tracing::error!(%error, "no processes can be run");
            }
        });
        let mut controllers = JoinSet::new();
        controllers.spawn(super::run(server.client(), Arc::clone(clock), settings, stop));
        Ok(Self { server, runner, shutdown, controllers, node })
    }

    /// A client of the API server.
    #[must_use]
    pub fn client(&self) -> Client {
        self.server.client()
    }

    /// When the first process was started; nothing before.
    #[must_use]
    pub fn first_process(&self) -> Option<Instant> {
        self.runner.first_process.get().copied()
    }

    /// The end of the log of an activity's last pod; empty if it wrote none.
    pub async fn log_tail(&self, namespace: &str, orchestration_uid: &str, activity: &str) -> String {
        let Some(pod) = self.last_pod(namespace, orchestration_uid, activity).await else {
            return String::new();
        };
        let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
        let mut tails = Vec::new();
        for container in containers {
            if let Ok(file) = self.runner.log(&pod, &container.name) {
                tails.push(tail(&file).await);
            }
        }
        tails.retain(|tail| !tail.is_empty());
        tails.join("\n")
    }

    /// What an activity's last pod waits for, in the kubelet's words; nothing if it does not. The status of the
    /// Orchestration tells it too, but is not written for every change at once.
    pub async fn waits_for(
        &self,
        namespace: &str,
        orchestration_uid: &str,
        activity: &str,
    ) -> Option<String> {
        let pod = self.last_pod(namespace, orchestration_uid, activity).await?;
        let facts = PodFacts::from(&pod);
        let said = facts.waits_for()?;
        Some(format!("{}: {}", said.reason, said.message))
    }

    async fn last_pod(&self, namespace: &str, orchestration_uid: &str, activity: &str) -> Option<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client(), namespace);
        let wanted =
            ListParams::default().labels(&format!("{}={orchestration_uid}", labels::ORCHESTRATION_UID));
        let found = pods.list(&wanted).await.ok()?;
        let of_activity = |pod: &Pod| {
            let annotations = pod.metadata.annotations.as_ref();
            annotations.and_then(|all| all.get(labels::ACTIVITY)).is_some_and(|id| id == activity)
        };
        let pods = found.items.into_iter().filter(of_activity);
        pods.max_by_key(|pod| pod.metadata.creation_timestamp.clone())
    }

    /// Stops the controllers, ends all processes, and waits for the processes until `at_once` is ready: then they are
    /// killed. The controllers are not waited for: what they write goes with the server.
    pub async fn stop(mut self, at_once: impl Future<Output = ()>) {
        self.controllers.shutdown().await;
        self.shutdown.send_replace(true);
        let ended = async { while self.node.join_next().await.is_some() {} };
        tokio::select! {
            () = ended => {}
            // The processes go with the parts that run them.
            () = at_once => {}
        }
    }
}

/// The last lines of a log.
async fn tail(file: &Path) -> String {
    let text = log::tail(file, TAIL_BYTES).await.unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests;
