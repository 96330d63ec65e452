//! The composition root: settings become a running operator.
//!
//! Responsible for: connecting, starting the controllers, and stopping them. Must never: hold logic of its own.

use std::sync::Arc;

use kube::Client;

use crate::clock::Clock;
use crate::config::Settings;
use crate::controller::wiring::{self, Shutdown};

pub mod local;

/// Runs the operator with a client until shutdown.
pub async fn run(client: Client, clock: Arc<dyn Clock>, settings: Settings, shutdown: Shutdown) {
    tracing::info!(?settings, version = env!("CARGO_PKG_VERSION"), "the controllers start");
    wiring::run(client, clock, settings, shutdown).await;
    tracing::info!("the controllers have stopped");
}
