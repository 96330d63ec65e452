//! Settings: what the operator was started with, validated.
//!
//! Responsible for: being the only reader of the environment besides the client's own. Must never: hold defaults that
//! the command line does not show.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use crate::engine::lease::Terms;
use crate::engine::metadata::Allowed;

/// Which namespaces the operator works in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    #[default]
    Cluster,
    /// One.
    Namespace(String),
}

/// What the controllers need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to work.
    pub scope: Scope,
    /// Whether job templates may reach into the node (hostPath, hostNetwork, hostPID, hostIPC, privileged).
    pub allow_host_access: bool,
    /// Most reconciles of one kind at the same time.
    pub concurrency: u16,
    /// How long the Jobs of a finished Orchestration are kept. The finished status is the record then.
    pub job_retention: Duration,
    /// How long nothing may have referred to a pinned definition before it is deleted.
    pub revision_retention: Duration,
    /// Which labels and annotations go on from an Orchestration to its Jobs and their pods.
    pub propagation: Allowed,
    /// Name of this process in Events: the pod's name where there is one.
    pub instance: Option<String>,
    /// A mistake made on purpose, by which the tests prove that they would find it.
    #[doc(hidden)]
    pub flaw: Option<Flaw>,
    /// The election that decides whether this replica works. Default: it works.
    pub election: Option<Election>,
}

/// A mistake made on purpose. No command line leads to one.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A Job is deleted once its result is recorded.
    DeletesRecordedJobs,
    /// Jobs are named by the server.
    GeneratesJobNames,
    /// An effect is not preceded by a look at the server itself.
    SkipsFreshnessCheck,
    /// The next attempt is started before the end of the last one is recorded.
    RetriesBeforeRecord,
    /// Jobs are suspended before it is recorded that they have to be.
    StopsBeforeRecord,
    /// What is in `finally` starts with the rest.
    BeginsFinallyAtOnce,
    /// `spec.suspend` is ignored.
    IgnoresSuspend,
    /// `spec.shutdown` is ignored.
    IgnoresShutdown,
    /// What is to stop counts as stopped while its pod still ends.
    TakesStoppingForStopped,
    /// Failed attempts count as taken away by the cluster.
    TakesFailuresForDisruptions,
    /// What another run has done is not taken over.
    RunsAllAgain,
    /// A leader goes on when its leadership is lost.
    OutlivesLeadership,
}

/// What the replicas of one operator share, and what tells them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    /// Namespace of the Lease. Default: the client's own, which is the pod's where there is one.
    pub namespace: Option<String>,
    /// Name of the Lease.
    pub name: String,
    /// Name of this process in the Lease; no other process may ever have it.
    pub identity: String,
    /// How long things take.
    pub terms: Terms,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scope: Scope::Cluster,
            allow_host_access: false,
            concurrency: 16,
            job_retention: Duration::from_secs(86_400),
            revision_retention: Duration::from_secs(3600),
            propagation: Allowed::default(),
            instance: None,
            election: None,
            flaw: None,
        }
    }
}

/// Name of the pod or machine that we run in.
#[must_use]
#[allow(clippy::disallowed_methods)] // this is the place
pub fn instance() -> Option<String> {
    std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty())
}

/// A name for this process that no other has, also not the next one in the same pod.
#[must_use]
pub fn identity() -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{}_{random:016x}", instance().as_deref().unwrap_or("orchestrator"))
}

/// Directory of temporary files: TMPDIR, or the system's.
#[must_use]
pub fn temporary_directory() -> std::path::PathBuf {
    std::env::temp_dir()
}
