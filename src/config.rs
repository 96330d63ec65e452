//! Settings: what the operator was started with, validated.
//!
//! Responsible for: being the only reader of the environment besides the client's own. Must never: hold defaults that
//! the command line does not show.

use std::time::Duration;

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
    /// Name of this process in Events: the pod's name where there is one.
    pub instance: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scope: Scope::Cluster,
            allow_host_access: false,
            concurrency: 16,
            job_retention: Duration::from_secs(86_400),
            revision_retention: Duration::from_secs(3600),
            instance: None,
        }
    }
}

/// Name of the pod or machine that we run in.
#[must_use]
#[allow(clippy::disallowed_methods)] // this is the place
pub fn instance() -> Option<String> {
    std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty())
}
