//! The real control plane of `tests/cluster`, shared by all tests, and a namespace for each.
//!
//! Responsible for: starting what is not up, installing CRDs and RBAC once, waiting for objects without sleeping.
//! Must never: take the control plane down; who starts the tests does.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::NamespaceResourceScope;
use kube::runtime::wait::await_condition;
use kube::{Client, Config, Resource, ResourceExt};
use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition, OrchestrationSchedule};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest time that anything may take; far longer than anything takes.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The control plane.
pub struct Cluster {
    kubeconfig: PathBuf,
}

/// The one control plane of this test run. Starts it if it is not up; CRDs and RBAC of the tree are in it.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = Cluster::up(None);
        cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "crds/"]);
        cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-k", "config/rbac"]);
        cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", "crds/"]);
        cluster
    })
}

impl Cluster {
    /// The control plane of a state directory, by default that of the environment. Starts it if it is not up.
    pub fn up(state: Option<&Path>) -> Self {
        let mut up = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/up"));
        if let Some(state) = state {
            up.env("ORCHESTRATOR_CLUSTER_STATE", state);
        }
        let up = up.output().expect("tests/cluster/up can be run");
        let printed = String::from_utf8_lossy(&up.stdout).into_owned();
        assert!(up.status.success(), "tests/cluster/up failed:\n{}", String::from_utf8_lossy(&up.stderr));
        let line = printed.lines().last().unwrap_or_default();
        let kubeconfig = line.strip_prefix("export KUBECONFIG=").expect("the last line names the kubeconfig");
        Self { kubeconfig: PathBuf::from(kubeconfig) }
    }

    /// What the state file says of a key; empty if it says nothing.
    pub fn state(&self, key: &str) -> String {
        let state = std::fs::read_to_string(self.kubeconfig.with_file_name("state")).unwrap();
        let find = |line: &str| Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned());
        state.lines().rev().find_map(find).unwrap_or_default()
    }

    /// Configuration of a client that may do everything.
    pub async fn admin(&self) -> Config {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
    }

    /// A client that may do everything.
    pub async fn client(&self) -> Client {
        Client::try_from(self.admin().await).unwrap()
    }

    /// Path of the kubeconfig of an administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A kubectl of this control plane's version, run in the root of the tree.
    pub fn kubectl_command(&self) -> Command {
        let mut command = Command::new(self.kubeconfig.with_file_name("bin").join("kubectl"));
        command.env("KUBECONFIG", &self.kubeconfig).current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    }

    /// Runs Helm on the chart of the tree, whose path takes the place of `CHART`. The result is whether it succeeded, and
    /// all that it printed.
    pub fn helm(&self, arguments: &[&str]) -> (bool, String) {
        let arguments =
            arguments.iter().map(|one| if *one == "CHART" { "charts/orchestrator" } else { *one });
        let output = Command::new(self.kubeconfig.with_file_name("bin").join("helm"))
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HELM_CACHE_HOME", self.kubeconfig.with_file_name("helm"))
            .env("HELM_CONFIG_HOME", self.kubeconfig.with_file_name("helm"))
            .env("HELM_DATA_HOME", self.kubeconfig.with_file_name("helm"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("helm can be run");
        let text =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.success(), text)
    }

    /// Runs kubectl, which must succeed; the result is what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.kubectl_command().args(arguments).output().expect("kubectl can be run");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?} failed:\n{errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs kubectl on a manifest given as text. The result is whether it succeeded, and all that it printed.
    pub fn kubectl_on(&self, manifest: &str, arguments: &[&str]) -> (bool, String) {
        use std::io::Write;
        let mut child = self
            .kubectl_command()
            .args(arguments)
            .args(["-f", "-"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("kubectl can be run");
        child.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.success(), text)
    }
}

/// A namespace of a test's own. It is deleted, without waiting, when the value goes.
pub struct TestNamespace {
    /// Its name.
    pub name: String,
    /// A client that may do everything.
    pub client: Client,
    /// Whether it goes with its whole control plane, and not with this value.
    is_left: bool,
}

impl TestNamespace {
    /// Makes a namespace with labels.
    pub async fn with_labels(labels: &[(&str, &str)]) -> Self {
        let client = cluster().client().await;
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let namespace = Namespace {
            metadata: ObjectMeta {
                generate_name: Some("it-".to_owned()),
                labels: Some(labels),
                ..Default::default()
            },
            ..Default::default()
        };
        let api: Api<Namespace> = Api::all(client.clone());
        let made = api.create(&PostParams::default(), &namespace).await.unwrap();
        Self { name: made.name_any(), client, is_left: false }
    }

    /// Makes a namespace of this name on any control plane, which takes it down with itself.
    pub async fn on(client: Client, name: &str) -> Self {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..Default::default() };
        let namespace = Namespace { metadata, ..Default::default() };
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
        Self { name: name.to_owned(), client, is_left: true }
    }

    /// Makes a namespace.
    pub async fn new() -> Self {
        Self::with_labels(&[]).await
    }

    /// The API of a kind in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Creates one object of ours from JSON; the kind is taken from it.
    pub async fn create(&self, object: Value) {
        match object["kind"].as_str() {
            Some("ActivityDefinition") => drop(self.create_as::<ActivityDefinition>(object).await.unwrap()),
            Some("OrchestrationDefinition") => {
                drop(self.create_as::<OrchestrationDefinition>(object).await.unwrap());
            }
            Some("Orchestration") => drop(self.create_as::<Orchestration>(object).await.unwrap()),
            Some("OrchestrationSchedule") => {
                drop(self.create_as::<OrchestrationSchedule>(object).await.unwrap());
            }
            other => panic!("not one of our kinds: {other:?}"),
        }
    }

    /// Creates an object, and returns the server's answer.
    pub async fn create_as<K>(&self, object: Value) -> Result<K, kube::Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + DeserializeOwned
            + serde::Serialize
            + Clone
            + Debug,
    {
        let object: K = serde_json::from_value(object).unwrap();
        self.api::<K>().create(&PostParams::default(), &object).await
    }

    /// Waits until an object is as it should be, and returns it. Fails with the last state seen.
    pub async fn until<K>(&self, name: &str, holds: impl Fn(&K) -> bool + Send) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + DeserializeOwned
            + serde::Serialize
            + Clone
            + Debug
            + Send
            + 'static,
    {
        let condition = |object: Option<&K>| object.is_some_and(&holds);
        match tokio::time::timeout(PATIENCE, await_condition(self.api::<K>(), name, condition)).await {
            Ok(found) => found.unwrap().unwrap(),
            Err(_) => {
                let last = self.api::<K>().get_opt(name).await.unwrap();
                panic!(
                    "{name} never became what it should be; it is {}",
                    serde_json::to_string_pretty(&last).unwrap()
                );
            }
        }
    }

    /// Waits until an Orchestration has finished.
    pub async fn finished(&self, name: &str) -> Orchestration {
        self.until(name, |orchestration: &Orchestration| {
            orchestration.status.as_ref().is_some_and(|status| status.completion_time.is_some())
        })
        .await
    }

    /// Waits until an ActivityDefinition's condition Ready has this status, and returns reason and message.
    pub async fn activity_ready(&self, name: &str, status: &str) -> (String, String) {
        let found = self
            .until(name, |definition: &ActivityDefinition| {
                let conditions =
                    definition.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
                conditions.iter().any(|c| c.type_ == "Ready" && c.status == status)
            })
            .await;
        let conditions = found.status.unwrap().conditions;
        let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready").unwrap();
        (ready.reason, ready.message)
    }

    /// Waits until an OrchestrationDefinition's condition Ready has this status for its newest generation and a
    /// reason that satisfies, and returns reason and message.
    pub async fn definition_ready(&self, name: &str, status: &str, reason: &str) -> String {
        let found = self
            .until(name, |definition: &OrchestrationDefinition| {
                let generation = definition.metadata.generation;
                let conditions =
                    definition.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
                conditions.iter().any(|c| {
                    c.type_ == "Ready"
                        && c.status == status
                        && c.reason == reason
                        && c.observed_generation == generation
                })
            })
            .await;
        let conditions = found.status.unwrap().conditions;
        conditions.into_iter().find(|condition| condition.type_ == "Ready").unwrap().message
    }
}

impl Drop for TestNamespace {
    fn drop(&mut self) {
        if self.is_left {
            return;
        }
        // On a runtime of its own: the test's ends with the test, and would take the request with it.
        let name = self.name.clone();
        let deleter = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let namespaces: Api<Namespace> = Api::all(cluster().client().await);
                namespaces.delete(&name, &DeleteParams::background()).await.map(|_| ())
            })
        });
        if !matches!(deleter.join(), Ok(Ok(()))) {
            eprintln!("the namespace {} could not be deleted", self.name);
        }
    }
}
