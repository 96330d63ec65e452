//! The composition root: settings become a running operator.
//!
//! Responsible for: connecting, the election, starting the controllers, and stopping them. Must never: hold logic of its own.

use std::sync::Arc;

use kube::Client;

use crate::clock::Clock;
use crate::config::{Flaw, Settings};
use crate::controller::wiring::{self, Shutdown};
use crate::leader;

pub mod local;

/// Runs the operator with a client until shutdown. Returns early if a controller ends by itself, or if the settings have
/// an election and this replica leads no more; either is a reason to start the process again.
pub async fn run(client: Client, clock: Arc<dyn Clock>, settings: Settings, shutdown: Shutdown) {
    match settings.election.clone() {
        None => controllers(client, clock, settings, shutdown).await,
        Some(election) => {
            let outlives = settings.flaw == Some(Flaw::OutlivesLeadership);
            let work = |client| controllers(client, Arc::clone(&clock), settings, shutdown.clone());
            leader::run(client, Arc::clone(&clock), &election, shutdown.clone(), outlives, work).await;
        }
    }
}

async fn controllers(client: Client, clock: Arc<dyn Clock>, settings: Settings, shutdown: Shutdown) {
    tracing::info!(?settings, version = env!("CARGO_PKG_VERSION"), "the controllers start");
    wiring::run(client, clock, settings, shutdown).await;
    tracing::info!("the controllers have stopped");
}
