//! `orchestrator wait`: until an Orchestration has ended.
//!
//! Responsible for: an exit code that says how it ended. Must never: change anything.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use kube::api::Api;
use kube::runtime::wait::await_condition;

use super::duration;
use crate::api::Orchestration;
use crate::client::{self, Class};
use crate::engine::condition::find;
use crate::engine::text::one_line;

/// Exit code when it cannot be read.
const UNREADABLE: u8 = 2;
/// Exit code when time was up.
const LATE: u8 = 3;

/// Pause after what may pass.
const PAUSE: Duration = Duration::from_secs(2);
/// Refusals in all after which it is given up.
const REFUSALS: u32 = 5;

/// What to wait for.
#[derive(Debug, clap::Args)]
pub struct WaitArguments {
    /// Name of the Orchestration. It need not exist yet.
    pub name: String,
    /// Its namespace. Default: that of the kubeconfig, or the pod's own.
    #[arg(long, short)]
    pub namespace: Option<String>,
    /// How long to wait, such as 30s or 2h.
    #[arg(long, default_value = "10m", value_parser = duration::parse)]
    pub timeout: Duration,
}

/// Waits, and tells how it ended.
pub fn run(arguments: &WaitArguments) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = client::connect().await?;
        let namespace = arguments.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
        let api: Api<Orchestration> = Api::namespaced(client, &namespace);
        match tokio::time::timeout(arguments.timeout, ended(&api, &arguments.name)).await {
            Ok(Ok(Some(orchestration))) => Ok(told(&orchestration)),
            Ok(Ok(None)) => unread(&namespace, &arguments.name, "it is gone"),
            Ok(Err(why)) => unread(&namespace, &arguments.name, &why),
            Err(_) => {
                let found = client::bounded(api.get_opt(&arguments.name)).await.ok().flatten();
                let state = found.and_then(|found| found.status).and_then(|status| status.state);
                let state = state.unwrap_or_else(|| "not begun".to_owned());
                say(&format!("{namespace}/{}: {state} after {:?}", arguments.name, arguments.timeout))?;
                Ok(ExitCode::from(LATE))
            }
        }
    })
}

/// The Orchestration, when it has ended. What passes is waited for: a server that is away, and for some seconds also that
/// it does not know us yet, as in a pod whose account has just been made.
async fn ended(api: &Api<Orchestration>, name: &str) -> Result<Option<Orchestration>, String> {
    let is_over = |found: Option<&Orchestration>| found.is_some_and(Orchestration::is_finished);
    let mut refusals = 0;
    loop {
        let error = match await_condition(api.clone(), name, is_over).await {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        // What fails on the way is the same as what a plain request meets, in plainer words.
        match client::bounded(api.get_opt(name)).await {
            Ok(_) => {}
            Err(plain) if client::class(&plain) == Class::Permanent => {
                refusals += 1;
                if refusals == REFUSALS {
                    return Err(client::words(&plain));
                }
            }
            Err(_) => {}
        }
        tracing::debug!(%error, "cannot be read, tried again");
        tokio::time::sleep(PAUSE).await;
    }
}

fn told(orchestration: &Orchestration) -> ExitCode {
    let status = orchestration.status.clone().unwrap_or_default();
    let state = status.state.unwrap_or_default();
    let message = find(&status.conditions, "Succeeded").map_or("", |said| said.message.as_str());
    let name = orchestration.metadata.name.as_deref().unwrap_or_default();
    let line = format!("{name}: {state}: {}", one_line(message));
    drop(writeln!(std::io::stdout(), "{line}"));
    if state == "Succeeded" { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn unread(namespace: &str, name: &str, why: &str) -> anyhow::Result<ExitCode> {
    say(&format!("{namespace}/{name}: {}", one_line(why)))?;
    Ok(ExitCode::from(UNREADABLE))
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stderr(), "orchestrator: {line}")?)
}
