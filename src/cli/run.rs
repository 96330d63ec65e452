//! `orchestrator run`: orchestrations from files, on this machine, with no cluster.
//!
//! Responsible for: that every mistake is told before anything runs, the progress while it does, the result at the end,
//! and the exit code. Must never: know what an activity is; that is the controllers'.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::StreamExt;
use kube::api::Api;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use tokio::time::Instant;

use super::duration;
use crate::api::Orchestration;
use crate::api::orchestration::ActivityState;
use crate::app::local::Local;
use crate::clock::{Clock, SystemClock};
use crate::config::{Settings, instance, temporary_directory};
use crate::engine::text::one_line;
use crate::manifest::{self, Loaded, Mistake};
use crate::shutdown::{self, Signals};
use crate::telemetry::{self, LogFormat};

mod apply;
pub mod summary;
pub mod view;

use summary::{Format, Notes};
use view::{Changes, View};

/// Exit code when all have succeeded.
const SUCCEEDED: u8 = 0;
/// Exit code when one has not, or when the result cannot be told.
const FAILED: u8 = 1;
/// Exit code when something in the files is wrong.
const BAD_INPUT: u8 = 2;
/// Exit code when time was up.
const TIMED_OUT: u8 = 3;
/// Exit code after a signal, as shells have it: this and the signal's number; 130 after Ctrl-C.
const SIGNALLED: u8 = 128;

/// Flags of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    /// Files and directories with definitions and Orchestrations; - is standard input.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Give up after so long, such as 30s, 5m or 2h. Default: each Orchestration's own deadline.
    #[arg(long, value_parser = duration::parse)]
    pub timeout: Option<Duration>,
    /// Form of the result on standard output.
    #[arg(short, long, value_enum)]
    pub output: Option<Format>,
    /// Keep the logs of all processes in this directory.
    #[arg(long)]
    pub logs: Option<PathBuf>,
    /// What to log on standard error: a level, or directives such as info,kube=debug.
    #[arg(long, default_value = "error")]
    pub log_level: String,
}

/// How a run ended.
enum End {
    Finished(Vec<Orchestration>),
    TimedOut(Vec<Orchestration>),
    Interrupted(Signals, Vec<Orchestration>),
}

/// Runs what the files say.
pub fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    telemetry::start(&arguments.log_level, LogFormat::Text)?;
    // Goes after the runtime, so that nothing writes into it any more.
    let mut temporary = None;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        // Before anything is made that would stay behind.
        let signals = shutdown::signals()?;
        let loaded = tokio::select! {
            loaded = load(arguments.paths.clone()) => loaded?,
            signals = Signals::wait_for(signals.clone(), 1) => return Ok(interrupted_before(signals)),
        };
        if let Some(logs) = &arguments.logs {
            make_writable(logs)
                .with_context(|| format!("--logs {}: no logs can be kept there", logs.display()))?;
        }
        let directory = temporary.insert(make_temporary()?).path();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let settings = Settings { instance: instance(), ..Settings::default() };
        let local = Local::start(&clock, settings, directory, arguments.logs.clone())?;
        let code = carry_out(&local, &loaded, arguments, begun, &signals).await;
        // Whoever has asked for the end and asks again does not want to wait.
        let enough = if signals.borrow().count == 0 { 1 } else { 2 };
        let at_once = async {
            Signals::wait_for(signals, enough).await;
            tell("interrupted while it ends; what still runs is killed");
        };
        local.stop(at_once).await;
        code
    });
    code.map(ExitCode::from)
}

async fn load(paths: Vec<PathBuf>) -> anyhow::Result<Loaded> {
    let (sender, loaded) = tokio::sync::oneshot::channel();
    // No thread of the runtime: its end would wait for a pipe that nobody writes.
    std::thread::Builder::new().spawn(move || sender.send(manifest::load(&paths)))?;
    Ok(loaded.await?)
}

/// Makes a directory, unless it is there, and makes sure that files can be made in it.
fn make_writable(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    tempfile::tempfile_in(directory).map(drop)
}

fn make_temporary() -> anyhow::Result<tempfile::TempDir> {
    let parent = temporary_directory();
    let made = tempfile::Builder::new().prefix("orchestrator-").tempdir_in(&parent);
    made.map_err(|error| {
        // The whole path would name a directory that nobody asked for.
        let why = std::io::Error::from(error.kind());
        anyhow::anyhow!("no directory can be made in {}, where TMPDIR points: {why}", parent.display())
    })
}

async fn carry_out(
    local: &Local,
    loaded: &Loaded,
    arguments: &RunArguments,
    begun: Instant,
    signals: &tokio::sync::watch::Receiver<Signals>,
) -> anyhow::Result<u8> {
    let wanted = tokio::select! {
        applied = apply::all(local, loaded) => match applied? {
            Ok(applied) => {
                applied.warnings.iter().for_each(|warning| tell(&warning.to_string()));
                applied.orchestrations
            }
            Err(mistakes) => return Ok(refuse(&mistakes)),
        },
        signals = Signals::wait_for(signals.clone(), 1) => return Ok(interrupted_before(signals)),
    };
    let (orchestrations, code) = match watch(&local.client(), &wanted, arguments.timeout, signals).await {
        End::Finished(orchestrations) => {
            let all_succeeded = orchestrations.iter().all(|one| state(one) == "Succeeded");
            (orchestrations, if all_succeeded { SUCCEEDED } else { FAILED })
        }
        End::TimedOut(orchestrations) => {
            tell("time is up; what still runs is ended");
            (orchestrations, TIMED_OUT)
        }
        End::Interrupted(signals, orchestrations) => {
            tell("interrupted; what still runs is ended");
            (orchestrations, signalled(signals))
        }
    };
    let mut notes = notes(local, &orchestrations).await;
    notes.first_process = local.first_process().map(|first| first.saturating_duration_since(begun));
    let text = summary::render(&orchestrations, &notes, arguments.output)?;
    if let Err(error) = print(&text) {
        tell(&format!("the result cannot be written to standard output: {error}"));
        return Ok(if code == SUCCEEDED { FAILED } else { code });
    }
    Ok(code)
}

/// Writes the result. A reader that has gone away (a closed pipe) is no failure of the run.
fn print(text: &str) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    // What is left in a buffer would be lost without a word.
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Follows the Orchestrations until all have finished.
async fn watch(
    client: &Client,
    wanted: &[(String, String)],
    timeout: Option<Duration>,
    signals: &tokio::sync::watch::Receiver<Signals>,
) -> End {
    let api: Api<Orchestration> = Api::all(client.clone());
    let mut events = watcher(api, watcher::Config::default()).default_backoff().applied_objects().boxed();
    let mut view = View::new(std::io::stderr().is_terminal());
    let mut changes = Changes::of(wanted);
    let mut latest: Vec<Option<Orchestration>> = vec![None; wanted.len()];
    let time_is_up = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(time_is_up);
    let signal = Signals::wait_for(signals.clone(), 1);
    tokio::pin!(signal);
    while !latest.iter().all(|one| one.as_ref().is_some_and(Orchestration::is_finished)) {
        tokio::select! {
            event = events.next() => {
                let Some(Ok(orchestration)) = event else { continue };
                let key = (orchestration.namespace().unwrap_or_default(), orchestration.name_any());
                let Some(at) = wanted.iter().position(|one| *one == key) else { continue };
                view.show(&changes.since_last(&orchestration));
                if let Some(slot) = latest.get_mut(at) {
                    *slot = Some(orchestration);
                }
            }
            () = &mut time_is_up => return End::TimedOut(latest.into_iter().flatten().collect()),
            signals = &mut signal => {
                return End::Interrupted(signals, latest.into_iter().flatten().collect());
            }
        }
    }
    End::Finished(latest.into_iter().flatten().collect())
}

fn signalled(signals: Signals) -> u8 {
    SIGNALLED.saturating_add(signals.first)
}

fn interrupted_before(signals: Signals) -> u8 {
    tell("interrupted; nothing was run");
    signalled(signals)
}

/// The last words of what failed, and what has not started waits for.
async fn notes(local: &Local, orchestrations: &[Orchestration]) -> Notes {
    let mut notes = Notes::default();
    for orchestration in orchestrations {
        let (namespace, uid) =
            (orchestration.namespace().unwrap_or_default(), orchestration.uid().unwrap_or_default());
        let activities = orchestration.status.iter().flat_map(|status| &status.activities);
        for (id, activity) in activities {
            let key = (uid.clone(), id.clone());
            match activity.state {
                ActivityState::Failed => {
                    notes.tails.insert(key, local.log_tail(&namespace, &uid, id).await);
                }
                ActivityState::Running if activity.start_time.is_none() => {
                    let wait = local.waits_for(&namespace, &uid, id).await;
                    notes.waits.extend(wait.map(|wait| (key, wait)));
                }
                _ => {}
            }
        }
    }
    notes
}

fn state(orchestration: &Orchestration) -> &str {
    orchestration.status.as_ref().and_then(|status| status.state.as_deref()).unwrap_or_default()
}

fn refuse(mistakes: &[Mistake]) -> u8 {
    for mistake in mistakes {
        tell(&mistake.to_string());
    }
    BAD_INPUT
}

fn tell(line: &str) {
    drop(writeln!(std::io::stderr(), "{}", one_line(line)));
}
