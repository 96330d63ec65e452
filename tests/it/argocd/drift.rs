//! What the operator writes is no difference to git: neither for the one who syncs, nor for the one who compares.

use kube::api::{Api, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use kube::discovery::pinned_kind;
use serde_json::{Value, json};

use super::Argo;
use super::application::{get, refresh, sync};

/// What is in the cluster of an Application's objects, without what others than users write.
pub async fn live(argo: &Argo, application: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    for one in application["status"]["resources"].as_array().unwrap() {
        let text = |field: &str| one[field].as_str().unwrap_or_default();
        let kind = GroupVersionKind::gvk(text("group"), text("version"), text("kind"));
        // Plurals such as `policies` are not guessed.
        let (kind, _) = pinned_kind(&argo.client, &kind).await.unwrap();
        let api: Api<DynamicObject> = match text("namespace") {
            "" => Api::all_with(argo.client.clone(), &kind),
            namespace => Api::namespaced_with(argo.client.clone(), namespace, &kind),
        };
        let mut object = serde_json::to_value(api.get(text("name")).await.unwrap()).unwrap();
        object.as_object_mut().unwrap().remove("status");
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.remove("managedFields");
        metadata.remove("resourceVersion");
        found.push(object);
    }
    found
}

/// Syncs once more, which changes nothing. The result is how many objects there are.
pub async fn assert_second_sync_changes_nothing(argo: &Argo, name: &str) -> usize {
    let before = live(argo, &get(argo, name).await).await;
    let state = sync(argo, name).await;
    assert_eq!(state["phase"], "Succeeded", "{name}: {state:#}");
    let synced = state["syncResult"]["resources"].as_array().unwrap_or_else(|| panic!("{name}: {state:#}"));
    let after = live(argo, &get(argo, name).await).await;
    assert!(!before.is_empty() && synced.len() == before.len(), "{name}: {state:#}");
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after, "{name}");
    }
    before.len()
}

/// Every object is Synced. The result is how many there are.
fn assert_synced(name: &str, application: &Value) -> usize {
    let status = &application["status"];
    assert_eq!(status["conditions"], Value::Null, "{name}");
    let all = status["resources"].as_array().unwrap();
    let other: Vec<&Value> = all.iter().filter(|one| one["status"] != "Synced").collect();
    assert!(other.is_empty() && status["sync"]["status"] == "Synced", "{name}: {other:#?}");
    all.len()
}

/// The chart and all samples, after the operator has worked with them.
pub async fn a_second_sync_of_chart_and_samples_changes_nothing(argo: &Argo) {
    let all = argo.applications().list(&ListParams::default()).await.unwrap();
    let names: Vec<String> = all.items.into_iter().map(|one| one.metadata.name.unwrap()).collect();
    let (mut applied, mut compared, mut by_server) = (0, 0, 0);
    let (mut server_applied, mut server_applied_compared) = (0, 0);
    for name in &names {
        applied += assert_second_sync_changes_nothing(argo, name).await;
        compared += assert_synced(name, &refresh(argo, name, "hard").await);
        let (same, text) = argo.argocd(&["app", "diff", name, "--hard-refresh"]);
        assert!(same && text.is_empty(), "{name}: {text}");

        let options = json!({"metadata": {"annotations": {"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}}});
        argo.applications().patch(name, &PatchParams::default(), &Patch::Merge(options)).await.unwrap();
        by_server += assert_synced(name, &refresh(argo, name, "hard").await);
        let (same, text) = argo.argocd(&["app", "diff", name, "--server-side-diff"]);
        assert!(same && text.is_empty(), "{name}: {text}");

        // As docs/gitops.md advises for the operator: applied, and compared, by the rules of the server.
        let options = json!({"spec": {"syncPolicy": {"syncOptions": ["CreateNamespace=true", "ServerSideApply=true"]}}});
        argo.applications().patch(name, &PatchParams::default(), &Patch::Merge(options)).await.unwrap();
        server_applied += assert_second_sync_changes_nothing(argo, name).await;
        server_applied_compared += assert_synced(name, &refresh(argo, name, "hard").await);
    }
    argo.covers(format!(
        "with ServerSideApply: 0 of {server_applied} changed, 0 of {server_applied_compared} differ"
    ));
    argo.covers(format!("a second sync of {} Applications: 0 of {applied} objects changed", names.len()));
    argo.covers(format!(
        "a hard refresh: 0 of {compared} objects differ; with server-side diff 0 of {by_server}"
    ));
}
