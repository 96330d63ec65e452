//! The context: what every reconcile is handed.
//!
//! Responsible for: holding the tools together. Must never: hold state of a single object; `memory` does.

use std::sync::Arc;

use kube::Client;
use kube::runtime::reflector::Store;

use super::backoff::Backoff;
use super::definitions::Definitions;
use super::guard::Guarded;
use super::memory::{Memory, Written};
use super::report::Reporter;
use super::revisions::Revisions;
use super::rights::Rights;
use super::runs::Runs;
use super::schedule::knowledge::AllKnowledge;
use crate::api::{Orchestration, OrchestrationSchedule};
use crate::clock::Clock;
use crate::config::Settings;
use crate::monitor::Monitor;
use crate::provider::job::JobProvider;

/// Tools and caches of all controllers.
#[derive(Debug)]
pub struct Context {
    /// The way to the API server.
    pub client: ClientHandle,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What the operator was started with.
    pub settings: Settings,
    /// Metrics and health.
    pub monitor: Monitor,
    /// Events.
    pub reporter: Reporter,
    /// Who does the work.
    pub jobs: Arc<JobProvider>,
    /// The definitions, as last seen.
    pub definitions: Definitions,
    /// The Orchestrations, as last seen.
    pub orchestrations: Store<Guarded<Orchestration>>,
    /// The OrchestrationSchedules, as last seen.
    pub schedules: Store<Guarded<OrchestrationSchedule>>,
    /// The runs of schedules, as last seen.
    pub runs: Runs,
    /// What the watch does not show of them yet.
    pub knowledge: AllKnowledge,
    /// Pinned definitions.
    pub revisions: Revisions,
    /// Our own acts that the caches do not show yet.
    pub memory: Memory,
    /// Definitions as we last wrote them.
    pub written: Written,
    /// Pauses after failures.
    pub backoff: Backoff,
    /// What the API server does not let the operator do.
    pub rights: Arc<Rights>,
}

/// A client that can be printed.
#[derive(Clone)]
pub struct ClientHandle(pub Client);

impl std::fmt::Debug for ClientHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Client")
    }
}
