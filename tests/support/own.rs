//! A control plane that only one test uses: what works in all namespaces, works there.
//!
//! Responsible for: that it is taken down when the test ends. Must never: be shared.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cluster::Cluster;

/// A control plane of a test's own. It is taken down when the value goes; its logs stay when the test has failed.
pub struct OwnCluster {
    /// The control plane.
    pub cluster: Cluster,
    /// Where it keeps its files.
    pub state: PathBuf,
}

impl OwnCluster {
    /// Starts one, with a node where the machine can have one.
    pub fn start(name: &str) -> Self {
        let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        Self { cluster: Cluster::up(Some(&state)), state }
    }
}

impl Drop for OwnCluster {
    fn drop(&mut self) {
        let down = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/down");
        let ended = Command::new(down).env("ORCHESTRATOR_CLUSTER_STATE", &self.state).status();
        if ended.is_ok_and(|status| status.success()) && !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.state);
        }
    }
}
