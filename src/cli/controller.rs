//! `orchestrator controller`: the operator as a process.
//!
//! Responsible for: turning flags into settings, and an early end of the controllers into a failure. Must never: know
//! what the controllers do.

use std::future::pending;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::JoinSet;

use super::{ControllerArguments, ElectionArguments};
use crate::clock::SteadyClock;
use crate::config::{Election, Scope, Settings, identity, instance};
use crate::engine::lease::Terms;
use crate::engine::metadata::Allowed;
use crate::health::Health;
use crate::monitor::Monitor;
use crate::{app, client, server, shutdown, telemetry};

mod suitable;

/// Runs the operator until SIGTERM or Ctrl-C.
pub fn run(arguments: ControllerArguments) -> anyhow::Result<ExitCode> {
    telemetry::start(&arguments.log_level, arguments.log_format).context("--log-level")?;
    let scopes = scopes(arguments.namespaces);
    let settings = Settings {
        scope: Scope::Cluster,
        allow_host_access: arguments.allow_host_access,
        concurrency: arguments.concurrency,
        job_retention: arguments.job_retention,
        revision_retention: Duration::from_secs(arguments.revision_retention_seconds.into()),
        propagation: Allowed {
            labels: arguments.propagate_labels,
            annotations: arguments.propagate_annotations,
        },
        instance: instance(),
        flaw: None,
        election: election(arguments.election)?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let stopped_on_request = runtime.block_on(async {
        let shutdown = shutdown::on_signal()?;
        let monitor = Monitor { health: Health::watched(), ..Monitor::default() };
        let _servers = servers(arguments.health_address, arguments.metrics_address, &monitor).await?;
        let client = client::connect_counted(monitor.metrics.clone()).await?;
        let mut stop = shutdown.clone();
        tokio::select! {
            () = suitable::wait(&client, &monitor.health) => {
                app::run_in(scopes, client, Arc::new(SteadyClock::default()), settings, monitor, shutdown.clone()).await;
            }
            _ = stop.wait_for(|stop| *stop) => {}
        }
        Ok::<_, anyhow::Error>(*shutdown.borrow())
    })?;
    // A controller that ended by itself, and a leadership that was lost, are failures that a restart heals.
    Ok(if stopped_on_request { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The servers of health and metrics, which end with the result.
async fn servers(
    health: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
    monitor: &Monitor,
) -> anyhow::Result<JoinSet<()>> {
    let mut servers = JoinSet::new();
    if let Some(address) = health {
        let listener = server::bind(address, "health").await.context("--health-address")?;
        servers.spawn(server::health(listener, monitor.health.clone(), pending()));
    }
    if let Some(address) = metrics {
        let listener = server::bind(address, "metrics").await.context("--metrics-address")?;
        servers.spawn(server::metrics(listener, monitor.metrics.clone(), pending()));
    }
    Ok(servers)
}

/// Where to work: in all namespaces, or once in each of those.
fn scopes(mut namespaces: Vec<String>) -> Vec<Scope> {
    namespaces.sort();
    namespaces.dedup();
    match namespaces.as_slice() {
        [] => vec![Scope::Cluster],
        _ => namespaces.into_iter().map(Scope::Namespace).collect(),
    }
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
