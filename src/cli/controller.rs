//! `orchestrator controller`: the operator as a process.
//!
//! Responsible for: turning flags into settings, and an early end of the controllers into a failure. Must never: know
//! what the controllers do.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::{ControllerArguments, ElectionArguments};
use crate::clock::SteadyClock;
use crate::config::{Election, Scope, Settings, identity, instance};
use crate::engine::lease::Terms;
use crate::{app, client, shutdown, telemetry};

/// Runs the operator until SIGTERM or Ctrl-C.
pub fn run(arguments: ControllerArguments) -> anyhow::Result<ExitCode> {
    telemetry::start(&arguments.log_level, arguments.log_format).context("--log-level")?;
    let settings = Settings {
        scope: arguments.namespace.map_or(Scope::Cluster, Scope::Namespace),
        allow_host_access: arguments.allow_host_access,
        concurrency: arguments.concurrency,
        job_retention: arguments.job_retention,
        revision_retention: Duration::from_secs(arguments.revision_retention_seconds.into()),
        instance: instance(),
        flaw: None,
        election: election(arguments.election)?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let stopped_on_request = runtime.block_on(async {
        let shutdown = shutdown::on_signal()?;
        let client = client::connect().await.context("cannot connect to a cluster")?;
        app::run(client, Arc::new(SteadyClock::default()), settings, shutdown.clone()).await;
        Ok::<_, anyhow::Error>(*shutdown.borrow())
    })?;
    // A controller that ended by itself, and a leadership that was lost, are failures that a restart heals.
    Ok(if stopped_on_request { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The election, if there is to be one. What is wrong with it is told in any case.
fn election(arguments: ElectionArguments) -> anyhow::Result<Option<Election>> {
    let terms = Terms::new(
        arguments.leader_elect_lease_duration,
        arguments.leader_elect_renew_deadline,
        arguments.leader_elect_retry_period,
    );
    let election = Election {
        namespace: arguments.leader_elect_namespace,
        name: arguments.leader_elect_name,
        identity: identity(),
        terms: terms.map_err(anyhow::Error::msg).context("--leader-elect")?,
    };
    Ok(Some(election).filter(|_| arguments.leader_elect))
}
