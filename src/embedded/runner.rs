//! The kubelet's role: pods become processes of this machine.
//!
//! It works on any API server. The image of a container is not run: a container is its `command`, started as the
//! user who runs this program, with the variables and volumes of its template. Paths that the template mounts lie in
//! a private directory of the pod; variables, commands and arguments that name them are rewritten. **There is no
//! isolation**: a process sees and may do what its user sees and may do, `readOnly` and the security context mean
//! nothing, and a process that leaves its process group is not ended with its container.
//!
//! Responsible for: which pods are run, and that every process ends with the runner. Must never: let one pod's trouble
//! reach another, or make a pod.

pub mod environment;
pub mod expansion;
pub mod log;
pub mod paths;
pub mod pod;
pub mod prepare;
pub mod problem;
pub mod process;
pub mod report;
pub mod sources;
pub mod status;
pub mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::clock::Clock;
use pod::{Context, Sight, live};

/// Where programs are looked for if nothing else is said.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Processes at a time and for each processor.
const PER_PROCESSOR: usize = 4;

/// What the runner does.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory of the pods' private directories, made for the user only.
    pub directory: PathBuf,
    /// Directory of the logs: `<namespace>/<pod>/<container>.log`.
    pub logs: PathBuf,
    /// Logs stay when their pod is deleted.
    pub keep_logs: bool,
    /// Most bytes of a container's log on disk.
    pub log_limit: u64,
    /// Most processes at a time. A pod waits until all of its containers have a place.
    pub parallel: usize,
    /// Only pods of this namespace; otherwise of all.
    pub namespace: Option<String>,
    /// Which pods are run.
    pub claim: Claim,
    /// Variables that every process gets: the PATH at least. Nothing else is handed on.
    pub variables: Vec<(String, String)>,
    /// Longest time that processes have to end once the runner is asked to; shorter ones of a pod count.
    pub shutdown_grace: Duration,
    /// When the first process was started; the runner sets it. Clones of the settings share it.
    pub first_process: Arc<OnceLock<Instant>>,
}

/// Which pods the runner runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Pods of this node, and those without a node and with the default scheduler.
    NodeOrUnassigned(String),
    /// Pods of this node.
    Node(String),
    /// Pods without a node and with this scheduler. They stay without one, so that the API server deletes them at
    /// once instead of waiting for their end.
    Scheduler(String),
}

impl Settings {
    /// The default settings below a directory.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            directory: directory.to_owned(),
            logs: directory.join("logs"),
            keep_logs: false,
            log_limit: 10 * 1024 * 1024,
            parallel: processors * PER_PROCESSOR,
            namespace: None,
            claim: Claim::NodeOrUnassigned("localhost".to_owned()),
            variables: vec![("PATH".to_owned(), DEFAULT_PATH.to_owned())],
            shutdown_grace: Duration::from_secs(5),
            first_process: Arc::default(),
        }
    }

    /// File of a container's log; there is none before its first output.
    pub fn log(&self, pod: &Pod, container: &str) -> Result<PathBuf, String> {
        paths::below(&prepare::log_directory(&self.logs, pod)?, &format!("{container}.log"))
    }

    fn claims(&self, spec: Option<&PodSpec>) -> bool {
        let node = spec.and_then(|spec| spec.node_name.as_deref()).filter(|node| !node.is_empty());
        let scheduler = spec.and_then(|spec| spec.scheduler_name.as_deref()).unwrap_or("default-scheduler");
        match &self.claim {
            Claim::NodeOrUnassigned(own) => node.map_or(scheduler == "default-scheduler", |node| node == own),
            Claim::Node(own) => node == Some(own.as_str()),
            Claim::Scheduler(own) => node.is_none() && scheduler == own,
        }
    }
}

/// Runs pods until `shutdown` turns true or its sender is gone; then ends all processes, says so, and returns. If the
/// future is dropped all process groups are killed.
pub async fn run(
    client: Client,
    clock: Arc<dyn Clock>,
    settings: Settings,
    mut shutdown: watch::Receiver<bool>,
) -> std::io::Result<()> {
    volumes::make_directory(&settings.directory)?;
    let pods: Api<Pod> = match &settings.namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let places = Arc::new(Semaphore::new(settings.parallel.max(1)));
    let context = Context { client, clock, settings: Arc::new(settings), places, shutdown: shutdown.clone() };
    let mut runner =
        Runner { context, pods: BTreeMap::new(), listed: BTreeSet::new(), tasks: JoinSet::new() };
    let mut events = watcher(pods, watcher::Config::default()).default_backoff().boxed();
    loop {
        tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop) => break,
            Some(event) = events.next() => match event {
                Ok(event) => runner.observe(event),
                Err(error) => tracing::debug!(%error, "the watch on pods has ended and begins again"),
            },
            Some(ended) = runner.tasks.join_next() => note(ended),
        }
    }
    // The watch goes on: an object that goes needs no last status.
    while !runner.tasks.is_empty() {
        tokio::select! {
            Some(ended) = runner.tasks.join_next() => note(ended),
            Some(Ok(event)) = events.next() => runner.update(event),
        }
    }
    Ok(())
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "the life of a pod ended in a way that must not be");
    }
}

struct Runner {
    context: Context,
    /// Every pod that was taken, by uid, until the object is no more: none is run twice.
    pods: BTreeMap<String, watch::Sender<Sight>>,
    /// What the current list has brought.
    listed: BTreeSet<String>,
    tasks: JoinSet<()>,
}

impl Runner {
    fn observe(&mut self, event: watcher::Event<Pod>) {
        if let watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) = &event {
            let is_new = pod.metadata.uid.as_ref().is_some_and(|uid| !self.pods.contains_key(uid));
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
            if is_new
                && !matches!(phase, "Succeeded" | "Failed")
                && self.context.settings.claims(pod.spec.as_ref())
            {
                self.take(pod);
            }
        }
        self.update(event);
    }

    fn take(&mut self, pod: &Pod) {
        let Some(uid) = pod.uid() else { return };
        let (sender, receiver) = watch::channel(Sight { pod: Arc::new(pod.clone()), gone: false });
        self.pods.insert(uid, sender);
        self.tasks.spawn(live(self.context.clone(), receiver));
    }

    fn update(&mut self, event: watcher::Event<Pod>) {
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(pod) => {
                self.listed.extend(pod.uid());
                self.see(pod);
            }
            watcher::Event::Apply(pod) => self.see(pod),
            watcher::Event::InitDone => {
                let gone = self.pods.keys().filter(|uid| !self.listed.contains(*uid));
                let gone: Vec<String> = gone.cloned().collect();
                gone.iter().for_each(|uid| self.gone(uid));
            }
            watcher::Event::Delete(pod) => {
                if self.pods.contains_key(&pod.uid().unwrap_or_default()) {
                    self.remove_logs(&pod);
                }
                self.gone(&pod.uid().unwrap_or_default());
            }
        }
    }

    fn see(&mut self, pod: Pod) {
        if let Some(sender) = pod.metadata.uid.as_ref().and_then(|uid| self.pods.get(uid)) {
            sender.send_modify(|sight| sight.pod = Arc::new(pod));
        }
    }

    fn gone(&mut self, uid: &str) {
        if let Some(sender) = self.pods.remove(uid) {
            sender.send_modify(|sight| sight.gone = true);
        }
    }

    fn remove_logs(&self, pod: &Pod) {
        let settings = &self.context.settings;
        let Ok(directory) = prepare::log_directory(&settings.logs, pod) else { return };
        if !settings.keep_logs {
            // A process that still ends may write more; then the directory stays.
            tokio::task::spawn_blocking(move || std::fs::remove_dir_all(directory));
        }
    }
}
