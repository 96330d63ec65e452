//! The operator and the samples, installed by Argo CD in both ways that the tree offers.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::Argo;
use super::application::{create, get, is_done, refresh, until};
use super::drift::{assert_second_sync_changes_nothing, live};

/// The Kustomize source: everything of `config/default`, and the kinds beside it. At the end it is deleted again.
pub async fn from_config_with_kustomize(argo: &Argo) {
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/operator-image");
    let made = Command::new(image).env("ORCHESTRATOR_CLUSTER_STATE", &argo.own.state).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let source = |path: &str, kustomize: Value| json!({"repoURL": argo.tree(), "targetRevision": "main", "path": path, "kustomize": kustomize});
    let wave = |number: &str| json!({"argocd.argoproj.io/sync-wave": number});
    let kinds = source("crds", json!({"commonAnnotations": wave("-5")}));
    let patches = json!([{"target": {"kind": "Deployment"}, "patch": reach_the_server(argo).to_string()}]);
    let operator = source("config/default", json!({"commonAnnotations": wave("-3"), "patches": patches}));
    create(argo, "kustomize", "orchestrator-system", json!([kinds, operator]), json!({"automated": {}}))
        .await;
    until(argo, "kustomize", "config/ is Synced and Healthy", |all| {
        all["status"]["sync"]["status"] == "Synced" && all["status"]["health"]["status"] == "Healthy"
    })
    .await;
    let count = assert_second_sync_changes_nothing(argo, "kustomize").await;
    refresh(argo, "kustomize", "hard").await;
    let found = get(argo, "kustomize").await;
    assert_eq!(found["status"]["sync"]["status"], "Synced", "{:#}", found["status"]);
    argo.covers(format!(
        "config/ as Kustomize source: Synced, Healthy, {count} objects without a difference"
    ));

    argo.applications().delete("kustomize", &Default::default()).await.unwrap();
    let kubectl = |arguments: &[&str]| argo.own.cluster.kubectl(arguments);
    kubectl(&[
        "wait",
        "--for=delete",
        "--timeout=120s",
        "--namespace=argocd",
        "applications.argoproj.io/kustomize",
    ]);
    kubectl(&["wait", "--for=delete", "--timeout=120s", "namespace/orchestrator-system"]);
    let left =
        kubectl(&["get", "crds,clusterroles,clusterrolebindings,validatingadmissionpolicies", "-o", "name"]);
    let left: Vec<&str> = left.lines().filter(|name| name.contains("orchestrator")).collect();
    // It deletes no kind, because all objects of the kind would go with it.
    assert!(
        left.len() == 4 && left.iter().all(|name| name.starts_with("customresourcedefinition")),
        "{left:?}"
    );
    argo.covers("the deletion of that Application leaves the kinds, and nothing else");
}

/// The patch by which the Deployment of `config/` works on a node whose API server listens on loopback only.
fn reach_the_server(argo: &Argo) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/manager/deployment.yaml");
    let deployment: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let free = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (health, metrics) = (free(), free());
    let ports = [("8080", &health), ("9090", &metrics)]
        .map(|(port, listener)| (port, listener.local_addr().unwrap().port().to_string()));
    let arguments: Vec<String> = container["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|argument| {
            let argument = argument.as_str().unwrap().to_owned();
            ports.iter().fold(argument, |argument, (port, free)| {
                argument.replace(&format!("0.0.0.0:{port}"), &format!("0.0.0.0:{free}"))
            })
        })
        .collect();
    let number = |port: usize| ports[port].1.parse::<u16>().unwrap();
    let variable = |name: &str, value: String| json!({"name": name, "value": value});
    let pod = "/spec/template/spec";
    json!([
        {"op": "add", "path": format!("{pod}/hostNetwork"), "value": true},
        {"op": "replace", "path": format!("{pod}/containers/0/imagePullPolicy"), "value": "Never"},
        {"op": "replace", "path": format!("{pod}/containers/0/args"), "value": arguments},
        {"op": "replace", "path": format!("{pod}/containers/0/ports"), "value": [
            {"name": "health", "containerPort": number(0)}, {"name": "metrics", "containerPort": number(1)},
        ]},
        {"op": "add", "path": format!("{pod}/containers/0/env"), "value": [
            variable("KUBERNETES_SERVICE_HOST", "127.0.0.1".to_owned()),
            variable("KUBERNETES_SERVICE_PORT", argo.own.cluster.state("apiserver_port")),
        ]},
    ])
}

/// The chart as Helm source and every sample as a directory: what `tests/argocd/up` does for a person.
pub async fn from_the_chart_with_the_samples(argo: &Argo) {
    argo.up(&[]);
    let samples = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/samples")).unwrap();
    let mut names: Vec<String> =
        samples.map(|sample| format!("sample-{}", sample.unwrap().file_name().to_str().unwrap())).collect();
    names.push("orchestrator".to_owned());
    names.sort();
    let head = Command::new("git")
        .arg("-C")
        .arg(argo.state().join("repository"))
        .args(["rev-parse", "HEAD"])
        .output()
        .unwrap();
    let head = String::from_utf8(head.stdout).unwrap();
    for name in &names {
        let application = get(argo, name).await;
        assert!(is_done(&application, head.trim()), "{name}: {:#}", application["status"]);
    }
    let listed = argo.own.cluster.kubectl(&["--namespace=argocd", "get", "applications", "--no-headers"]);
    assert_eq!(listed.lines().count(), names.len(), "{listed}");
    assert!(listed.lines().all(|line| line.contains("Synced") && line.contains("Healthy")), "{listed}");
    argo.covers("the chart as Helm source: Synced, Healthy");
    argo.covers(format!("{} samples as directories, run in containers: Synced, Healthy", names.len() - 1));
    for name in &names {
        waves_came_one_after_the_other(argo, name).await;
    }
    argo.covers(
        "waves -5 (kinds), -3 (operator), -1, 0, 1 (activities, definitions, runs and schedules) in order",
    );
}

/// No object of a wave is older than one of an earlier wave.
async fn waves_came_one_after_the_other(argo: &Argo, name: &str) {
    let application = get(argo, name).await;
    let mut made: Vec<(i64, String, String)> = Vec::new();
    for object in live(argo, &application).await {
        let metadata = &object["metadata"];
        let wave = &metadata["annotations"]["argocd.argoproj.io/sync-wave"];
        let wave = wave.as_str().unwrap_or_else(|| panic!("no wave: {object:#}")).parse().unwrap();
        let text = |field: &str| metadata[field].as_str().unwrap().to_owned();
        made.push((wave, text("creationTimestamp"), text("name")));
    }
    assert!(!made.is_empty());
    made.sort();
    let mut times = made.clone();
    times.sort_by(|one, other| (&one.1, one.0).cmp(&(&other.1, other.0)));
    let waves = |all: &[(i64, String, String)]| all.iter().map(|one| one.0).collect::<Vec<_>>();
    assert_eq!(waves(&times), waves(&made), "{name}: {times:#?}");
}
