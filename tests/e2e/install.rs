//! The chart on a real cluster: the operator in a container of its own, from `helm install` to `helm uninstall`.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::has_node;
use crate::support::own::OwnCluster;

/// Namespace of the operator.
const SYSTEM: &str = "orchestrator-system";

/// A control plane that only this test uses: the operator works in all of its namespaces.
struct Own {
    own: OwnCluster,
    ports: (u16, u16),
}

impl Own {
    fn start() -> Self {
        let own = OwnCluster::start("install");
        // The operator listens on the machine's own addresses here, see tests/cluster/README.md.
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (health, metrics) = (free(), free());
        let ports = (health.local_addr().unwrap().port(), metrics.local_addr().unwrap().port());
        Self { own, ports }
    }

    /// Gives the node an image of the operator. The result is the size of the layer in bytes, compressed.
    fn load_image(&self) -> usize {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/operator-image");
        let made = Command::new(script).env("ORCHESTRATOR_CLUSTER_STATE", &self.own.state).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let archive = String::from_utf8(made.stdout).unwrap();
        let gzip = Command::new("gzip").arg("--stdout").arg(archive.trim_end()).output().unwrap();
        gzip.stdout.len()
    }

    /// Helm, which must succeed.
    fn helm(&self, arguments: &[&str]) -> String {
        let (succeeded, text) = self.own.cluster.helm(&[&["--namespace", SYSTEM], arguments].concat());
        assert!(succeeded, "helm {arguments:?}:\n{text}\n{}", self.told());
        text
    }

    /// What can be known of the operator's pods.
    fn told(&self) -> String {
        let mut told = String::new();
        for arguments in [
            ["--namespace", SYSTEM, "describe", "pods"].as_slice(),
            &["--namespace", SYSTEM, "logs", "deployment/orchestrator", "--tail=50"],
            &["get", "orchestrations,jobs,pods", "--all-namespaces"],
        ] {
            let output = self.own.cluster.kubectl_command().args(arguments).output().unwrap();
            told.push_str(&String::from_utf8_lossy(&output.stdout));
        }
        told
    }

    /// Values by which a pod reaches an API server on loopback, with more.
    fn values(&self, more: &[&str]) -> Vec<String> {
        let port = self.own.cluster.state("apiserver_port");
        let environment = json!([
            {"name": "KUBERNETES_SERVICE_HOST", "value": "127.0.0.1"},
            {"name": "KUBERNETES_SERVICE_PORT", "value": port},
        ]);
        let (health, metrics) = self.ports;
        let mut all: Vec<String> = vec![
            "--set=hostNetwork=true,image.pullPolicy=Never".to_owned(),
            format!("--set=health.port={health},metrics.port={metrics}"),
            // Two pods cannot have the same ports of one machine.
            r#"--set-json=strategy={"type":"Recreate","rollingUpdate":null}"#.to_owned(),
            format!("--set-json=extraEnv={environment}"),
        ];
        all.extend(more.iter().map(|value| (*value).to_owned()));
        all
    }

    fn install(&self, verb: &str, more: &[&str]) {
        let values = self.values(more);
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let arguments = [verb, "orchestrator", "CHART", "--create-namespace", "--wait", "--timeout=120s"];
        let arguments = if verb == "upgrade" {
            arguments.iter().filter(|one| **one != "--create-namespace").copied().collect()
        } else {
            arguments.to_vec()
        };
        self.helm(&[arguments, values].concat());
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.own.cluster.kubectl_command().args(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}:\n{errors}\n{}", self.told());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn apply(&self, namespace: &str, object: &Value) {
        let arguments = ["apply", "--server-side", "--namespace", namespace];
        let (succeeded, text) = self.own.cluster.kubectl_on(&object.to_string(), &arguments);
        assert!(succeeded, "{text}");
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.kubectl(&[arguments, &["-o", "json"]].concat())).unwrap()
    }

    fn wait(&self, namespace: &str, what: &str) {
        let condition = "--for=condition=Finished";
        self.kubectl(&["--namespace", namespace, "wait", condition, "--timeout=120s", what]);
    }

    /// Seconds from the start of the operator's container to its readiness, by the kubelet's clock of whole seconds.
    fn seconds_to_ready(&self) -> i64 {
        let pods = self.json(&[
            "--namespace",
            SYSTEM,
            "get",
            "pods",
            "--selector=app.kubernetes.io/component=controller",
        ]);
        let status = &pods["items"][0]["status"];
        let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
        let started = time(&status["containerStatuses"][0]["state"]["running"]["startedAt"]);
        let conditions = status["conditions"].as_array().unwrap();
        let ready = conditions.iter().find(|one| one["type"] == "Ready" && one["status"] == "True").unwrap();
        time(&ready["lastTransitionTime"]).duration_since(started).as_secs()
    }
}

/// A chain of activities that take a while, each in a container.
fn slow() -> Vec<Value> {
    let activity = json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": "slow"},
        "spec": {"provider": "slow", "job": {"template": {"spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000},
            "containers": [{
                "name": "main", "image": "busybox:1.37", "imagePullPolicy": "Never", "command": ["sleep", "4"],
            }],
        }}}},
    });
    let chain: Vec<Value> = (0..4)
        .map(|at| match at {
            0 => json!({"id": "a0", "type": "slow"}),
            _ => json!({"id": format!("a{at}"), "type": "slow", "dependsOn": format!("a{}", at - 1)}),
        })
        .collect();
    let definition = json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition", "metadata": {"name": "slow"},
        "spec": {"activities": chain},
    });
    vec![activity, definition, run("slow")]
}

fn run(type_: &str) -> Value {
    json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "metadata": {"name": "run"},
        "spec": {"type": type_},
    })
}

#[test]
fn the_operator_is_installed_tested_upgraded_and_uninstalled() {
    if !has_node("the installation") {
        return;
    }
    let own = Own::start();
    let size = own.load_image();
    println!("the image has {size} bytes, compressed");
    assert!(size <= 30 * 1024 * 1024, "{size}");

    own.install("install", &[]);
    let seconds = own.seconds_to_ready();
    println!("the operator was ready {seconds} s after its container had started");
    let tested = own.helm(&["test", "orchestrator", "--timeout=120s"]);
    assert!(tested.contains("Phase:") && tested.contains("Succeeded"), "{tested}");

    own.kubectl(&["create", "namespace", "tenants"]);
    own.kubectl(&["--namespace", "tenants", "apply", "-f", "config/samples/tenant/"]);
    own.wait("tenants", "orchestration/tenant-a");
    let tenant = own.json(&["--namespace", "tenants", "get", "orchestration", "tenant-a"]);
    assert_eq!(tenant["status"]["state"], "Succeeded", "{tenant}");

    // The operator is exchanged, and its successor killed, while activities run.
    own.kubectl(&["create", "namespace", "busy"]);
    slow().iter().for_each(|object| own.apply("busy", object));
    let first = "--for=jsonpath={.status.activities.a0.state}=Running";
    own.kubectl(&["--namespace", "busy", "wait", first, "--timeout=60s", "orchestration/run"]);
    own.install("upgrade", &["--set=log.level=debug"]);
    own.kubectl(&[
        "--namespace",
        SYSTEM,
        "delete",
        "pods",
        "--grace-period=0",
        "--force",
        "--selector=app.kubernetes.io/component=controller",
    ]);
    own.wait("busy", "orchestration/run");
    let finished = own.json(&["--namespace", "busy", "get", "orchestration", "run"]);
    assert_eq!(finished["status"]["progress"], "4/4", "{finished}");
    let pods = own.json(&["--namespace", "busy", "get", "pods"]);
    let pods = pods["items"].as_array().unwrap();
    assert_eq!(pods.len(), 4, "one pod for each activity: {pods:?}");

    own.helm(&["uninstall", "orchestrator", "--wait"]);
    let left = own.json(&["--namespace", "busy", "get", "orchestration", "run"]);
    assert_eq!(left["status"], finished["status"], "kinds and objects stay");

    // Where it may work, and where not.
    for namespace in ["here", "elsewhere"] {
        own.kubectl(&["create", "namespace", namespace]);
    }
    own.install("install", &["--set=scope.type=Namespaced", "--set=scope.namespaces={here}"]);
    let cluster_roles = own.kubectl(&["get", "clusterroles,clusterrolebindings", "-o", "name"]);
    assert!(!cluster_roles.contains("orchestrator"), "{cluster_roles}");
    own.helm(&["test", "orchestrator", "--timeout=120s"]);
    for namespace in ["elsewhere", "here"] {
        slow().iter().for_each(|object| own.apply(namespace, object));
    }
    own.wait("here", "orchestration/run");
    let elsewhere = own.json(&["--namespace", "elsewhere", "get", "orchestration", "run"]);
    assert_eq!(elsewhere["status"], Value::Null, "{elsewhere}");
}
