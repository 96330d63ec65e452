//! `orchestrator controller`: the operator as a process.
//!
//! Responsible for: turning flags into settings, and an early end of the controllers into a failure. Must never: know
//! what the controllers do.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::ControllerArguments;
use crate::clock::SteadyClock;
use crate::config::{Scope, Settings, instance};
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
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let stopped_on_request = runtime.block_on(async {
        let shutdown = shutdown::on_signal()?;
        let client = client::connect().await.context("cannot connect to a cluster")?;
        app::run(client, Arc::new(SteadyClock::default()), settings, shutdown.clone()).await;
        Ok::<_, anyhow::Error>(*shutdown.borrow())
    })?;
    // A controller that ended by itself is a failure that a restart heals.
    Ok(if stopped_on_request { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
