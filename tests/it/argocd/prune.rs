//! Pruning takes what was in git, and nothing that the operator has made.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use orchestrator::api::{Orchestration, OrchestrationDefinition};
use serde_json::json;

use super::Argo;
use super::application::Application;
use super::objects::{activity_definition, config_map, orchestration, schedule, single};
use crate::support::cluster::TestNamespace;
use crate::support::held::Held;
use crate::support::kubelet::{Act, Kubelet};

/// Names and uids of all objects of a kind.
pub async fn all<K>(namespace: &TestNamespace) -> Vec<String>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let items = namespace.api::<K>().list(&ListParams::default()).await.unwrap().items;
    items.iter().map(|one| format!("{} {}", one.name_any(), one.uid().unwrap_or_default())).collect()
}

/// An Application that prunes by itself, of runs from git and from a schedule.
pub async fn leaves_what_the_operator_makes(argo: &Argo) {
    let application = Application::automated(argo, "prune").await;
    let namespace = &application.namespace;
    let held = Held::default();
    let _kubelet = Kubelet::start_on(argo.client.clone(), "prune", {
        let held = held.clone();
        move |work| if work.activity == "held" { held.hold(work) } else { Act::outputs(&json!({})) }
    });
    let kept = [
        activity_definition("step"),
        single("quick", "step"),
        schedule("yearly", "@yearly", "quick", json!({})),
        orchestration("once", "quick", json!({})),
    ];
    let dropped = [single("held", "step"), config_map("dropped", "1")];
    application.commit(&[&kept[..], &dropped[..]].concat());
    application.done().await;
    let run = ["app", "actions", "run", "prune", "run-now", "--kind", "OrchestrationSchedule"];
    let (ran, text) = argo.argocd(&[&run[..], &["--resource-name", "yearly"]].concat());
    assert!(ran, "{text}");
    // One that uses a definition that is about to be dropped.
    namespace.create(orchestration("uses", "held", json!({}))).await;
    held.until(1).await;
    let runs = all::<Orchestration>(namespace).await;
    assert_eq!(runs.len(), 3, "{runs:?}");
    for run in namespace.api::<Orchestration>().list(&ListParams::default()).await.unwrap().items {
        if run.name_any() != "uses" {
            namespace.finished(&run.name_any()).await;
        }
    }
    let before = (all::<Job>(namespace).await, all::<ControllerRevision>(namespace).await, runs);
    assert_eq!((before.0.len(), before.1.len()), (3, 2), "{before:?}");

    application.commit(&kept);
    application.done().await;
    assert!(namespace.api::<ConfigMap>().get_opt("dropped").await.unwrap().is_none(), "it prunes");
    assert!(namespace.api::<OrchestrationDefinition>().get_opt("held").await.unwrap().is_none());
    let found = application.refresh("hard").await;
    let known = found["status"]["resources"].as_array().unwrap();
    assert_eq!(known.len(), kept.len(), "{known:#?}");
    let after = (
        all::<Job>(namespace).await,
        all::<ControllerRevision>(namespace).await,
        all::<Orchestration>(namespace).await,
    );
    assert_eq!(before, after);
    let jobs = namespace.api::<Job>().list(&ListParams::default()).await.unwrap();
    let tracked =
        jobs.items.iter().flat_map(|job| job.annotations().keys()).find(|key| key.contains("argoproj"));
    assert_eq!(tracked, None);
    argo.covers(format!(
        "auto-prune has taken 2 objects, and none of {} Jobs, {} ControllerRevisions and {} runs",
        after.0.len(),
        after.1.len(),
        after.2.len()
    ));
    held.release(namespace, |_| Act::outputs(&json!({}))).await;
    let finished = namespace.finished("uses").await;
    assert_eq!(finished.status.unwrap().state.as_deref(), Some("Succeeded"));
    argo.covers("a definition that is pruned while a run uses it: the run ends as it would have");
}
