//! The operator as a process of its own: the binary, with a kubeconfig of its ServiceAccount.
//!
//! Responsible for: that no process outlives its test. Must never: end a process that it did not start.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use kube::config::Kubeconfig;
use serde_json::json;
use tokio::process::{Child, Command};

use super::cluster::{TestNamespace, cluster};
use super::operator::service_account_token;

/// A running process. It is killed when the value goes.
pub struct OperatorProcess {
    child: Child,
    directory: PathBuf,
}

impl OperatorProcess {
    /// Starts one that works in a test's namespace.
    pub async fn start(namespace: &TestNamespace) -> Self {
        Self::start_with(namespace, "", &[]).await
    }

    /// Starts one on a machine of this name, with more flags.
    pub async fn start_with(namespace: &TestNamespace, machine: &str, flags: &[&str]) -> Self {
        Self::start_as(namespace, machine, flags, &service_account_token().await)
    }

    /// Starts one that shows this token.
    pub fn start_as(namespace: &TestNamespace, machine: &str, flags: &[&str], token: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("operator-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::SeqCst));
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::set_permissions(&directory, Permissions::from_mode(0o700)).unwrap();
        std::fs::write(directory.join("kubeconfig"), kubeconfig(token)).unwrap();
        let log = File::create(directory.join("log")).unwrap();
        // Whoever runs the tests may ignore signals (`nohup`), which children inherit.
        let child = Command::new("env")
            .args(["--default-signal=HUP,INT,QUIT,TERM", env!("CARGO_BIN_EXE_orchestrator")])
            .args(["controller", "--namespace", &namespace.name])
            .args(flags)
            .env("HOSTNAME", machine)
            .env("KUBECONFIG", directory.join("kubeconfig"))
            .env_remove("ORCHESTRATOR_LOG_LEVEL")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, directory }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// SIGKILL: it ends in the middle of whatever it does.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM. The result is how it ended.
    pub async fn terminate(mut self) -> ExitStatus {
        self.signal("-TERM").await;
        self.ended().await
    }

    /// SIGSTOP: it stands still, and does not know that it does.
    pub async fn freeze(&self) {
        self.signal("-STOP").await;
    }

    /// SIGCONT: it goes on where it was.
    pub async fn thaw(&self) {
        self.signal("-CONT").await;
    }

    /// Waits until it has ended by itself. The result is how.
    pub async fn ended(&mut self) -> ExitStatus {
        self.child.wait().await.unwrap()
    }

    async fn signal(&self, signal: &str) {
        let pid = self.child.id().expect("it still runs").to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
    }

    /// A figure in KiB of /proc/PID/status, such as `VmRSS`.
    pub fn memory(&self, figure: &str) -> u64 {
        let pid = self.child.id().expect("it still runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
        line.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
    }
}

impl Drop for OperatorProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the log of the operator:\n{}", self.log());
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A kubeconfig of whoever has this token.
fn kubeconfig(token: &str) -> String {
    let mut kubeconfig =
        serde_json::to_value(Kubeconfig::read_from(cluster().kubeconfig()).unwrap()).unwrap();
    for user in kubeconfig["users"].as_array_mut().unwrap() {
        user["user"] = json!({"token": token});
    }
    // JSON is YAML.
    kubeconfig.to_string()
}
