//! The life of one pod, from the moment the runner takes it to its last status.
//!
//! Responsible for: the order of things: a free place, preparation, init containers, containers, the last status,
//! nothing left behind. Must never: touch another pod.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::Settings;
use super::log;
use super::prepare::{self, Launch, Layout, Obstacle, Plan};
use super::problem::{NOT_STARTED, Problem};
use super::process::{self, Stop};
use super::report::Reporter;
use super::sources::Sources;
use super::status::{Cause, Ended, Progress, State};
use super::volumes::{make_directory, write};
use crate::clock::Clock;

/// Most bytes of a termination message of one container, and of all containers of a pod.
const MAX_MESSAGE: usize = 4096;
const MAX_MESSAGES: usize = 12 * 1024;
/// Most bytes and lines of a log that stands for a termination message.
const MAX_LOG_MESSAGE: u64 = 2048;
const MAX_LOG_LINES: usize = 80;
/// Pause before what was missing is looked for again, doubled every time, and its limit.
const MISSING_PAUSE: Duration = Duration::from_millis(500);
const MAX_MISSING_PAUSE: Duration = Duration::from_secs(15);
/// What a kubelet gives at least to a pod that is to end at once.
const MIN_GRACE: Duration = Duration::from_secs(2);
/// Exit code of what was killed.
const KILLED: i32 = 137;
/// What a pod gets that says nothing.
const DEFAULT_GRACE: i64 = 30;

/// What the runner knows of a pod.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Its newest state.
    pub pod: Arc<Pod>,
    /// The object is no more.
    pub gone: bool,
}

/// What all pods share.
#[derive(Clone)]
pub struct Context {
    /// The API server.
    pub client: kube::Client,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What the runner was asked to do.
    pub settings: Arc<Settings>,
    /// Places for processes.
    pub places: Arc<Semaphore>,
    /// Turns true when the runner ends.
    pub shutdown: watch::Receiver<bool>,
}

/// Lives a pod's life.
pub async fn live(context: Context, sight: watch::Receiver<Sight>) {
    let pod = sight.borrow().pod.clone();
    let (progress, _) = watch::channel(Progress::new(pod.spec.as_ref()));
    let (stop, _) = watch::channel(None);
    let life = Life { context: &context, pod: &pod, progress: &progress, stop: &stop };
    let reporter = Reporter::new(&context, sight.clone());
    let run = async {
        if pod.status.as_ref().is_some_and(|status| status.start_time.is_some()) {
            life.lost().await;
        } else {
            life.run(sight.clone()).await;
        }
        life.progress.send_modify(|progress| progress.ended = true);
    };
    let ((), version) = tokio::join!(run, reporter.follow(progress.subscribe()));
    let progress = progress.borrow().clone();
    if progress.cause == Some(Cause::Shutdown) && progress.start_time.is_none() {
        // Nothing of it was begun: the next runner may take it.
        return;
    }
    reporter.finish(&progress, version).await;
}

struct Life<'a> {
    context: &'a Context,
    pod: &'a Pod,
    progress: &'a watch::Sender<Progress>,
    stop: &'a watch::Sender<Option<Stop>>,
}

impl Life<'_> {
    async fn run(&self, sight: watch::Receiver<Sight>) {
        let processes = self.pod.spec.as_ref().map_or(1, |spec| spec.containers.len()).max(1);
        let places = u32::try_from(processes.min(self.context.settings.parallel)).unwrap_or(u32::MAX);
        let mut sight = sight;
        tokio::select! {
            // What is to end before it has begun needs no place.
            biased;
            () = self.watch_for_end(&mut sight, None) => {}
            place = self.context.places.acquire_many(places) => {
                let _place = place;
                let start_time = self.now();
                self.progress.send_modify(|progress| progress.start_time = Some(start_time));
                let deadline = self.deadline();
                let ended = self.run_in_place();
                tokio::pin!(ended);
                loop {
                    tokio::select! {
                        biased;
                        () = &mut ended => break,
                        () = self.watch_for_end(&mut sight, deadline) => {}
                    }
                }
            }
        }
    }

    /// Somebody has begun with it: a runner that is no more.
    async fn lost(&self) {
        let ended = Ended {
            exit_code: KILLED,
            reason: "ContainerStatusUnknown",
            message: "The container could not be located when the pod was terminated".to_owned(),
            started_at: None,
            finished_at: self.now(),
        };
        let status = self.pod.status.as_ref();
        let start_time = status.and_then(|status| status.start_time.as_ref()).map(|time| time.0);
        self.progress.send_modify(|progress| {
            progress.start_time = start_time;
            progress.cause = Some(Cause::Lost);
            progress.main.fill(State::Ended(ended));
        });
        self.clean(self.root()).await;
    }

    fn root(&self) -> PathBuf {
        self.context.settings.directory.join("pods").join(self.pod.uid().unwrap_or_default())
    }

    fn deadline(&self) -> Option<Instant> {
        let seconds = self.pod.spec.as_ref()?.active_deadline_seconds?;
        Instant::now().checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
    }

    /// Waits until the pod is to end, or is to end sooner than was known, and says so to its processes.
    async fn watch_for_end(&self, sight: &mut watch::Receiver<Sight>, deadline: Option<Instant>) {
        let mut shutdown = self.context.shutdown.clone();
        let known = *self.stop.borrow();
        loop {
            let deleted = deletion_grace(&sight.borrow_and_update());
            if let Some(grace) = deleted
                && self.end_by(Cause::Deleted, grace, known)
            {
                return;
            }
            let undecided = known.is_none();
            tokio::select! {
                () = news(sight) => {}
                () = turned_true(&mut shutdown), if undecided => {
                    let grace = specified_grace(self.pod).min(self.context.settings.shutdown_grace);
                    self.end_by(Cause::Shutdown, grace, known);
                    return;
                }
                () = sleep_until(deadline), if undecided => {
                    self.end_by(Cause::Deadline, specified_grace(self.pod), known);
                    return;
                }
            }
        }
    }

    /// The first cause stays. The result is whether this is news.
    fn end_by(&self, cause: Cause, grace: Duration, known: Option<Stop>) -> bool {
        let now = Instant::now();
        let kill_at = now.checked_add(grace).unwrap_or(now);
        if known.is_some_and(|stop| stop.kill_at <= kill_at) {
            return false;
        }
        self.stop.send_replace(Some(Stop { kill_at }));
        self.progress.send_modify(|progress| progress.cause = progress.cause.or(Some(cause)));
        true
    }

    fn is_stopped(&self) -> bool {
        self.stop.borrow().is_some()
    }

    async fn run_in_place(&self) {
        let root = self.root();
        let Some(plan) = self.prepare(root.clone()).await else {
            self.clean(root).await;
            return;
        };
        let mut succeeded = true;
        for (index, launch) in plan.init.iter().enumerate() {
            succeeded = succeeded && !self.is_stopped() && self.container(launch, Place::Init(index)).await;
        }
        if succeeded && !self.is_stopped() {
            let containers = plan.main.iter().enumerate();
            let mut running: FuturesUnordered<_> =
                containers.map(|(index, launch)| self.container(launch, Place::Main(index))).collect();
            while running.next().await.is_some() {}
        }
        self.clean(root).await;
    }

    /// Makes everything that the processes need. Nothing if that cannot be, or is needed no more.
    async fn prepare(&self, root: PathBuf) -> Option<Plan> {
        let mut pause = MISSING_PAUSE;
        let mut stop = self.stop.subscribe();
        loop {
            let obstacle = match self.try_prepare(root.clone()).await {
                Ok(plan) => return Some(plan),
                Err(obstacle) => obstacle,
            };
            match &obstacle.problem {
                Problem::Missing(message) => {
                    let waiting = State::Waiting("CreateContainerConfigError", Some(message.clone()));
                    self.set_named(&obstacle.container, &waiting);
                }
                Problem::Refused { reason, message } => {
                    let ended = State::Ended(self.not_started(reason, message.clone()));
                    self.set_named(&obstacle.container, &ended);
                    return None;
                }
            }
            tokio::select! {
                _ = stop.wait_for(Option::is_some) => return None,
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(MAX_MISSING_PAUSE),
            }
        }
    }

    async fn try_prepare(&self, root: PathBuf) -> Result<Plan, Obstacle> {
        let spec = self.pod.spec.as_ref();
        let first =
            spec.and_then(|spec| spec.containers.first()).map(|one| one.name.clone()).unwrap_or_default();
        let whole = |problem| Obstacle { container: first.clone(), problem };
        let settings = &self.context.settings;
        let logs = prepare::log_directory(&settings.logs, self.pod).map_err(Problem::path).map_err(whole)?;
        let mut sources = Sources::named_by(self.pod);
        let namespace = self.pod.namespace().unwrap_or_default();
        sources.read(&self.context.client, &namespace).await.map_err(whole)?;
        let plan = prepare::plan(self.pod, &sources, &Layout { root, logs }, &settings.variables)?;
        let written = tokio::task::spawn_blocking(move || {
            let directories = plan.directories.iter().try_for_each(|directory| make_directory(directory));
            directories.and_then(|()| plan.volumes.iter().try_for_each(write)).map(|()| plan)
        });
        match written.await {
            Ok(Ok(plan)) => Ok(plan),
            // A full disk may become empty again.
            Ok(Err(error)) => Err(whole(Problem::Missing(format!("the directory of the pod: {error}")))),
            Err(error) => Err(whole(Problem::Missing(error.to_string()))),
        }
    }

    async fn clean(&self, root: PathBuf) {
        let removed = tokio::task::spawn_blocking(move || match std::fs::remove_dir_all(&root) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        });
        if let Ok(Err(error)) = removed.await {
            tracing::warn!(pod = %self.pod.name_any(), %error, "the directory of the pod could not be removed");
        }
    }

    /// Runs one container to its end. The result is whether it succeeded.
    async fn container(&self, launch: &Launch, place: Place) -> bool {
        let ended = match process::start(launch).await {
            Err(message) => self.not_started("StartError", message),
            Ok(process) => {
                let started_at = self.now();
                // Later ones find it set.
                let _ = self.context.settings.first_process.set(Instant::now());
                self.set(place, State::Running(started_at));
                let limit = self.context.settings.log_limit;
                let exit_code = process.end(launch, limit, self.stop.subscribe()).await;
                let reason = if exit_code == 0 { "Completed" } else { "Error" };
                let message = self.message(launch, exit_code).await;
                Ended { exit_code, reason, message, started_at: Some(started_at), finished_at: self.now() }
            }
        };
        let succeeded = ended.exit_code == 0;
        self.set(place, State::Ended(ended));
        succeeded
    }

    /// The termination message: the last bytes of its file, and of those the share of one container.
    async fn message(&self, launch: &Launch, exit_code: i32) -> String {
        let spec = self.pod.spec.as_ref();
        let containers =
            spec.map_or(1, |spec| spec.containers.len() + spec.init_containers.iter().flatten().count());
        let share = MAX_MESSAGE.min(MAX_MESSAGES / containers.max(1));
        let mut message = match log::end_of(&launch.message, MAX_MESSAGE as u64).await {
            Ok(bytes) => bytes,
            Err(error) => format!("Error on reading termination log: {error}").into_bytes(),
        };
        if message.is_empty() && exit_code != 0 && launch.log_is_message {
            let tail = log::tail(&launch.log, MAX_LOG_MESSAGE).await.unwrap_or_default();
            message = log::last_lines(&tail, MAX_LOG_LINES).as_bytes().to_vec();
        }
        // Where the share is smaller the kubelet keeps the beginning of what it has read.
        message.truncate(share);
        String::from_utf8_lossy(&message).into_owned()
    }

    fn not_started(&self, reason: &'static str, message: String) -> Ended {
        Ended { exit_code: NOT_STARTED, reason, message, started_at: None, finished_at: self.now() }
    }

    fn set(&self, place: Place, state: State) {
        self.progress.send_modify(|progress| {
            let found = match place {
                Place::Init(index) => progress.init.get_mut(index),
                Place::Main(index) => progress.main.get_mut(index),
            };
            if let Some(found) = found {
                *found = state;
            }
        });
    }

    fn set_named(&self, name: &str, state: &State) {
        let spec = self.pod.spec.as_ref();
        let mut init = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten());
        let mut main = spec.into_iter().flat_map(|spec| &spec.containers);
        let place = init.position(|container| container.name == name).map(Place::Init);
        let place = place.or_else(|| main.position(|container| container.name == name).map(Place::Main));
        if let Some(place) = place {
            self.set(place, state.clone());
        }
    }

    fn now(&self) -> Timestamp {
        self.context.clock.now()
    }
}

/// Which container of a pod.
#[derive(Clone, Copy, Debug)]
enum Place {
    Init(usize),
    Main(usize),
}

/// How long a pod that is being deleted may still run; nothing if it is not.
fn deletion_grace(sight: &Sight) -> Option<Duration> {
    let metadata = &sight.pod.metadata;
    if metadata.deletion_timestamp.is_none() && !sight.gone {
        return None;
    }
    // A pod without a node gets no grace from the server, which takes it for one that never ran.
    let has_node = sight.pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let granted = metadata.deletion_grace_period_seconds.filter(|_| has_node);
    let granted = granted.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or_default()));
    Some(granted.unwrap_or_else(|| specified_grace(&sight.pod)).max(MIN_GRACE))
}

fn specified_grace(pod: &Pod) -> Duration {
    let seconds =
        pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(DEFAULT_GRACE);
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

/// Waits for the next news. After the last there is none.
async fn news(sight: &mut watch::Receiver<Sight>) {
    if sight.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// That nobody can say it any more is as good as having said it.
async fn turned_true(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|value| *value).await;
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
