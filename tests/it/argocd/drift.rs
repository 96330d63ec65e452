//! What the operator writes is no difference to git: neither for the one who syncs, nor for the one who compares.

use serde_json::{Value, json};

use kube::api::{ListParams, Patch, PatchParams};

use super::Argo;
use super::application::{refresh, sync};

/// Every object of a sync was found as it is in git. The result is how many there were.
pub fn assert_unchanged(name: &str, state: &Value) -> usize {
    assert_eq!(state["phase"], "Succeeded", "{name}: {state:#}");
    let all = state["syncResult"]["resources"].as_array().unwrap_or_else(|| panic!("{name}: {state:#}"));
    let changed: Vec<&Value> =
        all.iter().filter(|one| !one["message"].as_str().unwrap_or_default().ends_with("unchanged")).collect();
    assert!(!all.is_empty() && changed.is_empty(), "{name}: {changed:#?}");
    all.len()
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
    for name in &names {
        applied += assert_unchanged(name, &sync(argo, name).await);
        compared += assert_synced(name, &refresh(argo, name, "hard").await);
        let (same, text) = argo.argocd(&["app", "diff", name, "--hard-refresh"]);
        assert!(same && text.is_empty(), "{name}: {text}");

        let options = json!({"metadata": {"annotations": {"argocd.argoproj.io/compare-options": "ServerSideDiff=true"}}});
        argo.applications().patch(name, &PatchParams::default(), &Patch::Merge(options)).await.unwrap();
        by_server += assert_synced(name, &refresh(argo, name, "hard").await);
        let (same, text) = argo.argocd(&["app", "diff", name, "--server-side-diff"]);
        assert!(same && text.is_empty(), "{name}: {text}");
    }
    argo.covers(format!("a second sync of {} Applications: 0 of {applied} objects changed", names.len()));
    argo.covers(format!("a hard refresh: 0 of {compared} objects differ; with server-side diff 0 of {by_server}"));
}
