//! The composition root: settings become a running operator.
//!
//! Responsible for: connecting, the election, starting the controllers, and stopping them. Must never: hold logic of its own.

use std::sync::Arc;

use kube::Client;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config::{Flaw, Scope, Settings};
use crate::controller::wiring::{self, Shutdown};
use crate::leader;
use crate::monitor::Monitor;

pub mod local;

/// Runs the operator with a client until shutdown. Returns early if a controller ends by itself, or if the settings have
/// an election and this replica leads no more; either is a reason to start the process again.
pub async fn run(client: Client, clock: Arc<dyn Clock>, settings: Settings, shutdown: Shutdown) {
    let scopes = vec![settings.scope.clone()];
    run_in(scopes, client, clock, settings, Monitor::default(), shutdown).await;
}

/// The same in several places at once, each with controllers of its own, and seen from outside.
pub async fn run_in(
    scopes: Vec<Scope>,
    client: Client,
    clock: Arc<dyn Clock>,
    settings: Settings,
    monitor: Monitor,
    shutdown: Shutdown,
) {
    match settings.election.clone() {
        None => controllers(scopes, client, clock, settings, monitor, shutdown).await,
        Some(election) => {
            let outlives = settings.flaw == Some(Flaw::OutlivesLeadership);
            let clock_of_controllers = Arc::clone(&clock);
            let (seen, stop) = (monitor.clone(), shutdown.clone());
            let work = |client| controllers(scopes, client, clock_of_controllers, settings, seen, stop);
            let health = monitor.health.clone();
            let elected = leader::run(client, clock, &election, shutdown, &monitor.health, outlives, work);
            health.watch("election", elected).await;
        }
    }
}

/// The controllers, once for every scope. They end together.
async fn controllers(
    scopes: Vec<Scope>,
    client: Client,
    clock: Arc<dyn Clock>,
    settings: Settings,
    monitor: Monitor,
    shutdown: Shutdown,
) {
    tracing::info!(?settings, version = env!("CARGO_PKG_VERSION"), "the controllers start");
    monitor.metrics.leader.set(1);
    let mut all: JoinSet<()> = scopes
        .into_iter()
        .map(|scope| {
            let settings = Settings { scope, ..settings.clone() };
            wiring::run(client.clone(), Arc::clone(&clock), settings, monitor.clone(), shutdown.clone())
        })
        .collect();
    let mut ended = all.join_next().await;
    while ended.is_some() && *shutdown.borrow() {
        ended = all.join_next().await;
    }
    monitor.metrics.leader.set(0);
    tracing::info!("the controllers have stopped");
}
