//! A real Argo CD, that syncs from git repositories what people keep in them: the chart, `config/`, the samples, and what
//! goes wrong. It is started once for all of it, on a control plane of its own, whose operator is the one that it installs.

mod actions;
mod application;
mod deletion;
mod drift;
mod health;
mod hooks;
mod install;
mod objects;
mod page;
mod prune;
mod waves;

use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, join_all};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};

use crate::e2e::has_node;
use crate::support::own::OwnCluster;

type Scenario<'a> = LocalBoxFuture<'a, ()>;

/// Argo CD, and what of it has been shown.
struct Argo {
    own: OwnCluster,
    client: Client,
    covered: Mutex<Vec<String>>,
}

impl Argo {
    /// Starts one, without Applications.
    async fn start() -> Self {
        let own = OwnCluster::start("argocd");
        let client = own.cluster.client().await;
        let argo = Self { own, client, covered: Mutex::default() };
        argo.up(&["--without-applications"]);
        argo
    }

    /// What a person runs.
    fn up(&self, arguments: &[&str]) {
        let up = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/argocd/up");
        let ran = Command::new(up)
            .args(arguments)
            .env("ORCHESTRATOR_CLUSTER_STATE", &self.own.state)
            .output()
            .unwrap();
        assert!(ran.status.success(), "tests/argocd/up failed:\n{}", String::from_utf8_lossy(&ran.stderr));
    }

    /// Where Argo CD keeps its files.
    fn state(&self) -> PathBuf {
        self.own.state.join("argocd")
    }

    /// The URL of the repository that `tests/argocd/up` makes of the tree.
    fn tree(&self) -> String {
        format!("file://{}", self.state().join("repository").display())
    }

    /// What the record of Argo CD says of a key.
    fn recorded(&self, key: &str) -> String {
        let state = std::fs::read_to_string(self.state().join("state")).unwrap();
        let find = |line: &str| Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned());
        state.lines().rev().find_map(find).unwrap_or_default()
    }

    /// Runs Argo CD's command line against its server. The result is whether it succeeded, and what it printed.
    fn argocd(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(self.state().join("bin/argocd"))
            .args(["--server", &format!("127.0.0.1:{}", self.recorded("server_port")), "--plaintext"])
            .args(arguments)
            .env("HOME", self.state())
            .env("KUBECONFIG", self.own.cluster.kubeconfig())
            .output()
            .unwrap();
        let text =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.success(), text)
    }

    /// The Applications.
    fn applications(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Application");
        Api::namespaced_with(self.client.clone(), "argocd", &ApiResource::from_gvk(&kind))
    }

    /// Notes what has been shown.
    fn covers(&self, what: impl Into<String>) {
        let what = what.into();
        println!("shown: {what}");
        self.covered.lock().unwrap().push(what);
    }
}

/// Whether the machine has what Argo CD needs besides; where not, the tests are left out as those of a node are.
fn has_packages() -> bool {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/argocd/packages");
    let missing = Command::new(packages).arg("--list").output().unwrap();
    let missing = String::from_utf8(missing.stdout).unwrap();
    if missing.is_empty() {
        return true;
    }
    let why = format!("Argo CD: tests/argocd/packages installs what is missing: {missing}");
    assert!(std::env::var("ORCHESTRATOR_REQUIRE_NODE").as_deref() != Ok("1"), "{why}");
    std::io::stderr().write_all(format!("\nSKIPPED {why}\n").as_bytes()).unwrap();
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_real_argo_cd_syncs_gates_follows_and_deletes_what_is_in_git() {
    if !has_node("Argo CD") || !has_packages() {
        return;
    }
    let argo = Argo::start().await;
    install::from_config_with_kustomize(&argo).await;
    install::from_the_chart_with_the_samples(&argo).await;
    drift::a_second_sync_of_chart_and_samples_changes_nothing(&argo).await;
    // Beside each other, each in a namespace of its own; one that fails does not hide what the others tell.
    let scenarios: [(&str, Scenario<'_>); 8] = [
        ("health", health::follows(&argo).boxed_local()),
        ("waves", waves::wait_for_definitions_and_runs(&argo).boxed_local()),
        ("hooks", hooks::gate_a_sync(&argo).boxed_local()),
        ("names", hooks::have_names_of_any_length(&argo).boxed_local()),
        ("pruning", prune::leaves_what_the_operator_makes(&argo).boxed_local()),
        ("deletion", deletion::ends_everything(&argo).boxed_local()),
        ("page", page::deploys_what_it_shows(&argo).boxed_local()),
        ("actions", actions::do_what_they_say(&argo).boxed_local()),
    ];
    let ended = scenarios.map(|(name, scenario)| async move {
        AssertUnwindSafe(scenario).catch_unwind().await.is_err().then_some(name)
    });
    let failed: Vec<&str> = join_all(ended).await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{failed:?}");
    let covered = argo.covered.lock().unwrap();
    assert!(covered.len() >= 20, "{covered:#?}");
    // Past the harness, which shows the output of failed tests only.
    let told = format!("\nArgo CD: {} things shown\n  {}\n", covered.len(), covered.join("\n  "));
    std::io::stderr().write_all(told.as_bytes()).unwrap();
}
