//! `orchestrator run`: orchestrations from files, on this machine, with no cluster.
//!
//! Responsible for: that every mistake is told before anything runs, the progress while it does, the result at the end,
//! and the exit code. Must never: know what an activity is; that is the controllers'.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::api::Api;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};

use crate::api::Orchestration;
use crate::app::local::Local;
use crate::clock::{Clock, SystemClock};
use crate::config::{Settings, instance};
use crate::manifest::{self, Document, Mistake};
use crate::telemetry::LogFormat;
use crate::{shutdown, telemetry};

mod apply;
pub mod summary;
pub mod view;

use summary::{Format, LogTails};
use view::{Changes, View};

/// Exit code when something in the files is wrong.
const BAD_INPUT: u8 = 2;
/// Exit code when time was up.
const TIMED_OUT: u8 = 3;
/// Exit code after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

/// Flags of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    /// Files and directories with definitions and Orchestrations.
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Give up after so long, such as 30s, 5m or 2h. Default: each Orchestration's own deadline.
    #[arg(long, value_parser = super::duration)]
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
    Interrupted(Vec<Orchestration>),
}

/// Runs what the files say.
pub fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    telemetry::start(&arguments.log_level, LogFormat::Text)?;
    let documents = match manifest::load(&arguments.paths) {
        Ok(documents) => documents,
        Err(mistakes) => return Ok(refuse(&mistakes)),
    };
    let directory = tempfile::Builder::new().prefix("orchestrator-").tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let settings = Settings { instance: instance(), ..Settings::default() };
        let local = Local::start(&clock, settings, directory.path(), arguments.logs.clone())?;
        let code = carry_out(&local, &documents, arguments).await;
        local.stop().await;
        code
    })
}

async fn carry_out(
    local: &Local,
    documents: &[Document],
    arguments: &RunArguments,
) -> anyhow::Result<ExitCode> {
    let interrupted = shutdown::on_signal()?;
    let wanted = tokio::select! {
        applied = apply::all(local, documents) => match applied? {
            Ok(wanted) => wanted,
            Err(mistakes) => return Ok(refuse(&mistakes)),
        },
        () = signalled(interrupted.clone()) => return Ok(ExitCode::from(INTERRUPTED)),
    };
    let end = watch(&local.client(), &wanted, arguments.timeout, interrupted).await?;
    let (orchestrations, code) = match end {
        End::Finished(orchestrations) => {
            let all_succeeded = orchestrations.iter().all(|one| state(one) == "Succeeded");
            let code = if all_succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE };
            (orchestrations, code)
        }
        End::TimedOut(orchestrations) => {
            tell("time is up; what still runs is ended");
            (orchestrations, ExitCode::from(TIMED_OUT))
        }
        End::Interrupted(orchestrations) => {
            tell("interrupted; what still runs is ended");
            (orchestrations, ExitCode::from(INTERRUPTED))
        }
    };
    let tails = tails(local, &orchestrations).await;
    let text = summary::render(&orchestrations, &tails, arguments.output)?;
    // A reader that has gone away (a closed pipe) is no failure of the run.
    drop(std::io::stdout().write_all(text.as_bytes()));
    Ok(code)
}

/// Follows the Orchestrations until all have finished.
async fn watch(
    client: &Client,
    wanted: &[(String, String)],
    timeout: Option<Duration>,
    interrupted: tokio::sync::watch::Receiver<bool>,
) -> anyhow::Result<End> {
    let api: Api<Orchestration> = Api::all(client.clone());
    let mut events = watcher(api, watcher::Config::default()).default_backoff().applied_objects().boxed();
    let mut view = View::new(std::io::stderr().is_terminal());
    let mut changes = Changes::default();
    let mut latest: Vec<Option<Orchestration>> = vec![None; wanted.len()];
    let time_is_up = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(time_is_up);
    let signal = signalled(interrupted);
    tokio::pin!(signal);
    while !latest.iter().all(|one| one.as_ref().is_some_and(is_finished)) {
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
            () = &mut time_is_up => return Ok(End::TimedOut(latest.into_iter().flatten().collect())),
            () = &mut signal => return Ok(End::Interrupted(latest.into_iter().flatten().collect())),
        }
    }
    Ok(End::Finished(latest.into_iter().flatten().collect()))
}

async fn signalled(mut interrupted: tokio::sync::watch::Receiver<bool>) {
    if interrupted.wait_for(|signal| *signal).await.is_err() {
        // The handler is gone, so that no signal can come.
        std::future::pending::<()>().await;
    }
}

/// The last words of what failed.
async fn tails(local: &Local, orchestrations: &[Orchestration]) -> LogTails {
    let mut tails = LogTails::new();
    for orchestration in orchestrations {
        let (namespace, uid) =
            (orchestration.namespace().unwrap_or_default(), orchestration.uid().unwrap_or_default());
        let activities = orchestration.status.iter().flat_map(|status| &status.activities);
        for (id, activity) in activities {
            if activity.state == crate::api::orchestration::ActivityState::Failed {
                let tail = local.log_tail(&namespace, &uid, id).await;
                tails.insert((orchestration.name_any(), id.clone()), tail);
            }
        }
    }
    tails
}

fn is_finished(orchestration: &Orchestration) -> bool {
    orchestration.status.as_ref().is_some_and(|status| status.completion_time.is_some())
}

fn state(orchestration: &Orchestration) -> &str {
    orchestration.status.as_ref().and_then(|status| status.state.as_deref()).unwrap_or_default()
}

fn refuse(mistakes: &[Mistake]) -> ExitCode {
    for mistake in mistakes {
        tell(&mistake.to_string());
    }
    ExitCode::from(BAD_INPUT)
}

fn tell(line: &str) {
    let shown: String =
        line.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
    drop(writeln!(std::io::stderr(), "{shown}"));
}
