//! Waves: what comes later waits until what comes earlier is healthy.

use k8s_openapi::api::core::v1::ConfigMap;
use orchestrator::api::{Orchestration, OrchestrationDefinition};
use serde_json::json;

use super::Argo;
use super::application::Application;
use super::objects::{activity_definition, config_map, in_wave, orchestration, single};
use crate::support::held::Held;
use crate::support::kubelet::{Act, Kubelet};

/// A definition that becomes Ready late, a run of it, and what is to come after the run.
pub async fn wait_for_definitions_and_runs(argo: &Argo) {
    let application = Application::new(argo, "waves").await;
    let held = Held::default();
    let _kubelet = Kubelet::start_on(argo.client.clone(), "waves", {
        let held = held.clone();
        move |work| held.hold(work)
    });
    application.commit(&[
        in_wave(single("late", "absent"), 0),
        in_wave(orchestration("run", "late", json!({})), 1),
        in_wave(config_map("after", "1"), 2),
    ]);
    let sync = application.start_sync().await;
    let waits_for = |what: &'static str| {
        move |state: &serde_json::Value| {
            state["phase"] == "Running" && state["message"].as_str().unwrap_or_default().contains(what)
        }
    };
    application
        .operation(
            &sync,
            "it waits for the definition",
            waits_for("orchestrator.dev/OrchestrationDefinition/late"),
        )
        .await;
    application.namespace.definition_ready("late", "False", "ActivityDefinitionNotFound").await;
    let runs = application.namespace.api::<Orchestration>();
    assert!(
        runs.get_opt("run").await.unwrap().is_none(),
        "a definition that is not Ready gates the next wave"
    );

    application.namespace.create(activity_definition("absent")).await;
    application
        .operation(&sync, "it waits for the run", waits_for("orchestrator.dev/Orchestration/run"))
        .await;
    held.until(1).await;
    let after = application.namespace.api::<ConfigMap>();
    assert!(after.get_opt("after").await.unwrap().is_none(), "a run that runs gates the next wave");
    let ready = application.namespace.api::<OrchestrationDefinition>().get("late").await.unwrap();
    assert!(ready.status.unwrap().conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True"));
    argo.covers("a wave waits until a definition is Ready");

    held.release(&application.namespace, |_| Act::outputs(&json!({}))).await;
    let ended = application.operation(&sync, "it ends", |state| !state["finishedAt"].is_null()).await;
    assert_eq!(ended["phase"], "Succeeded", "{ended:#}");
    assert!(after.get_opt("after").await.unwrap().is_some());
    argo.covers("a wave waits until an Orchestration has succeeded");

    // One that fails: what comes after it is never made.
    application.commit(&[
        in_wave(single("late", "absent"), 0),
        in_wave(orchestration("fails", "late", json!({})), 1),
        in_wave(config_map("never", "1"), 2),
    ]);
    let sync = application.start_sync().await;
    held.until(1).await;
    held.release(&application.namespace, |_| Act::Fail(1, "Error", "no".to_owned())).await;
    let ended = application.operation(&sync, "it ends", |state| !state["finishedAt"].is_null()).await;
    assert_eq!(ended["phase"], "Failed", "{ended:#}");
    assert!(after.get_opt("never").await.unwrap().is_none());
    argo.covers("an Orchestration that fails ends the sync, and the wave behind it is never made");
}
