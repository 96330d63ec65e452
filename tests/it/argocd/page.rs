//! The gated deployment of `docs/gitops.md`: its Application and its gate, as they stand there.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::ListParams;
use orchestrator::api::Orchestration;
use serde_json::{Value, json};

use super::Argo;
use super::application::{Application, until};
use super::objects::{activity_definition, config_map, definition};
use crate::gitops::page::blocks;
use crate::support::kubelet::{Act, Kubelet};

/// Where the page's Application has its manifests.
const REPOSITORY: &str = "https://git.example.com/shop/deployment.git";

/// The only block of the page that has all of these words.
fn block(words: &[&str]) -> Value {
    let mut found = blocks("yaml");
    found.retain(|block| words.iter().all(|word| block.contains(word)));
    assert_eq!(found.len(), 1, "{words:?}");
    serde_saphyr::from_str(&found[0]).unwrap()
}

/// The health checks and actions come by the page's own command.
fn installs_the_checks(argo: &Argo) {
    let blocks = blocks("sh");
    let mut lines = blocks.iter().flat_map(|block| block.lines());
    let line = lines.find(|line| line.ends_with("-k config/argocd")).expect("the page says how");
    let words = line.split_whitespace().collect::<Vec<_>>();
    assert_eq!(words[0], "kubectl");
    let output = argo.own.cluster.kubectl_command().args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A gate that lets the rest come, and then one that does not.
pub async fn deploys_what_it_shows(argo: &Argo) {
    installs_the_checks(argo);
    let mut page = block(&["kind: Application", REPOSITORY]);
    let name = page["metadata"]["name"].as_str().unwrap().to_owned();
    let application = Application::of_nothing(argo, &name).await;
    let namespace = &application.namespace;
    let _kubelet =
        Kubelet::start_on(argo.client.clone(), &namespace.name, |work| match work.input["fail"].as_bool() {
            Some(true) => Act::Fail(1, "Error", "no".to_owned()),
            _ => Act::outputs(&json!({})),
        });
    let gate = block(&["argocd.argoproj.io/hook: PreSync"]);
    let type_ = gate["spec"]["type"].as_str().unwrap();
    let checks = json!({"activities": [{"id": "a", "type": "step", "inputs": ["fail"]}]});
    let definitions = [activity_definition("step"), definition(type_, checks)];
    application.commit(&definitions);
    page["spec"]["source"]["repoURL"] = json!(application.url());
    let (made, text) = argo.own.cluster.kubectl_on(&page.to_string(), &["create"]);
    assert!(made, "{text}");
    application.done().await;

    let with =
        |gate: &Value, value: &str| [&definitions[..], &[gate.clone(), config_map("gated", value)]].concat();
    application.commit(&with(&gate, "1"));
    application.done().await;
    let value = async || {
        let found = namespace.api::<ConfigMap>().get("gated").await.unwrap();
        found.data.unwrap()["value"].clone()
    };
    assert_eq!(value().await, "1");

    let mut refuses = gate.clone();
    refuses["spec"]["input"]["fail"] = json!(true);
    application.commit(&with(&refuses, "2"));
    application.refresh("normal").await;
    let head = application.head();
    let failed = until(argo, &name, "the gate has refused", |all| {
        let state = &all["status"]["operationState"];
        state["phase"] == "Failed" && state["syncResult"]["revision"] == head.as_str()
    });
    failed.await;
    assert_eq!(value().await, "1");
    let gates = namespace.api::<Orchestration>().list(&ListParams::default()).await.unwrap().items;
    let mut states: Vec<(bool, Option<String>)> = gates
        .into_iter()
        .map(|run| (run.name_any().starts_with("migrate-"), run.status.unwrap().state))
        .collect();
    states.sort();
    let state = |state: &str| (true, Some(state.to_owned()));
    assert_eq!(states, [state("Failed"), state("Succeeded")], "one for each sync, and the earlier ones stay");
    argo.covers("the Application and the gate of docs/gitops.md, as they stand there");
}
