//! An Orchestration as hook: it decides whether the rest is applied.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use orchestrator::api::Orchestration;
use serde_json::{Value, json};

use super::Argo;
use super::application::Application;
use super::objects::{activity_definition, annotated, config_map, orchestration, single};
use crate::support::held::Held;
use crate::support::kubelet::{Act, Kubelet};
use crate::support::scene::gone;

/// What Argo CD appends to `generateName`: seven characters of the commit, the phase, and the time in seconds.
const SUFFIX: usize = "0123456-presync-1700000000".len();

fn gate(generate: &str, type_: &str) -> Value {
    let mut run = annotated(orchestration("", type_, json!({})), "hook", "PreSync");
    run["metadata"].as_object_mut().unwrap().remove("name");
    run["metadata"]["generateName"] = json!(generate);
    run
}

async fn runs(application: &Application<'_>) -> Vec<Orchestration> {
    application.namespace.api::<Orchestration>().list(&ListParams::default()).await.unwrap().items
}

/// A hook that succeeds lets the rest come, one that fails does not.
pub async fn gate_a_sync(argo: &Argo) {
    let application = Application::new(argo, "hooks").await;
    let held = Held::default();
    let _kubelet = Kubelet::start_on(argo.client.clone(), "hooks", {
        let held = held.clone();
        move |work| held.hold(work)
    });
    let definitions = [activity_definition("step"), single("check", "step")];
    application.commit(&definitions);
    application.synced().await;
    application.health("OrchestrationDefinition", "check", "Healthy").await;

    let wanted = |value: &str| {
        let mut all = definitions.to_vec();
        all.extend([gate("gate-", "check"), config_map("gated", value)]);
        all
    };
    application.commit(&wanted("1"));
    let sync = application.start_sync().await;
    held.until(1).await;
    let waiting = application
        .operation(&sync, "it waits for the hook", |state| {
            state["message"]
                .as_str()
                .unwrap_or_default()
                .contains("hook orchestrator.dev/Orchestration/gate-")
        })
        .await;
    assert_eq!(waiting["phase"], "Running", "{waiting:#}");
    let gated = application.namespace.api::<ConfigMap>();
    assert!(gated.get_opt("gated").await.unwrap().is_none(), "the hook runs, and nothing else");
    held.release(&application.namespace, |_| Act::outputs(&json!({}))).await;
    let ended = application.operation(&sync, "it ends", |state| !state["finishedAt"].is_null()).await;
    assert_eq!(ended["phase"], "Succeeded", "{ended:#}");
    let value = |map: &ConfigMap| map.data.clone().unwrap()["value"].clone();
    assert_eq!(value(&gated.get("gated").await.unwrap()), "1");
    argo.covers("an Orchestration as PreSync hook with generateName gates the sync");

    application.commit(&wanted("2"));
    let sync = application.start_sync().await;
    held.until(1).await;
    held.release(&application.namespace, |_| Act::Fail(1, "Error", "not today".to_owned())).await;
    let ended = application.operation(&sync, "it ends", |state| !state["finishedAt"].is_null()).await;
    assert_eq!(ended["phase"], "Failed", "{ended:#}");
    let hook =
        ended["syncResult"]["resources"].as_array().unwrap().iter().find(|one| one["hookType"] == "PreSync");
    let told = hook.unwrap()["message"].as_str().unwrap();
    assert!(told.contains("not today"), "{ended:#}");
    assert_eq!(value(&gated.get("gated").await.unwrap()), "1", "what the gate has refused is not applied");
    let states: Vec<Option<String>> =
        runs(&application).await.into_iter().map(|run| run.status.unwrap().state).collect();
    assert_eq!(states.len(), 2, "the one that failed is not tried again: {states:?}");
    let jobs = application.namespace.api::<Job>().list(&ListParams::default()).await.unwrap();
    assert_eq!(jobs.items.len(), 2);
    argo.covers(format!("one that fails stops it, retry limit 0: {told}"));

    // Hooks are none of what is compared: nothing of theirs is a difference, and none of them is pruned.
    application.commit(&definitions);
    let mut with_map = definitions.to_vec();
    with_map.push(config_map("gated", "1"));
    application.commit(&with_map);
    application.synced().await;
    let found = application.refresh("hard").await;
    assert_eq!(found["status"]["sync"]["status"], "Synced", "{:#}", found["status"]);
    assert_eq!(runs(&application).await.len(), 2);
    argo.covers("hooks that have ended are no difference, and are not pruned");
    // Argo CD holds a hook by a finalizer while it runs, and no longer.
    let api = application.namespace.api::<Orchestration>();
    for run in runs(&application).await {
        api.delete(&run.name_any(), &DeleteParams::default()).await.unwrap();
        gone(api.clone(), &run).await;
    }
    argo.covers("hooks that have ended can be deleted");
}

/// The longest name that a hook can have, of a definition and an activity with the longest names there are.
pub async fn have_names_of_any_length(argo: &Argo) {
    let application = Application::new(argo, "names").await;
    let _kubelet = Kubelet::start_on(argo.client.clone(), "names", |_| Act::outputs(&json!({})));
    let longest = |first: &str| format!("{first}{}", "n".repeat(253 - first.len()));
    let (type_, definition) = (longest("type-"), longest("definition-"));
    let mut checked = single(&definition, &type_);
    // The longest id of an activity.
    checked["spec"]["activities"][0]["id"] = json!("i".repeat(63));
    let definitions = [activity_definition(&type_), checked];
    application.commit(&definitions);
    application.synced().await;
    application.health("OrchestrationDefinition", &definition, "Healthy").await;

    let prefix = format!("{}-", "g".repeat(253 - SUFFIX - 1));
    let mut all = definitions.to_vec();
    all.push(gate(&prefix, &definition));
    application.commit(&all);
    let state = application.synced().await;
    let made = runs(&application).await;
    let names: Vec<String> = made.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names.iter().map(String::len).collect::<Vec<_>>(), [253], "{state:#}");
    assert!(
        names[0].starts_with(&prefix)
            && made[0].status.as_ref().unwrap().state.as_deref() == Some("Succeeded")
    );

    // One more character, and the server refuses it: Argo CD says why.
    all.pop();
    all.push(gate(&format!("g{prefix}"), &definition));
    application.commit(&all);
    let refused = application.sync().await;
    assert_eq!(refused["phase"], "Failed", "{refused:#}");
    assert!(refused.to_string().contains("253"), "{refused:#}");
    assert_eq!(runs(&application).await.len(), 1);
    argo.covers(
        "names of 253 characters: definitions, and a hook with its suffix; 254 are refused with words",
    );
}
