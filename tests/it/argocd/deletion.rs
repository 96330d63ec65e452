//! The deletion of an Application ends all that came of it.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition, OrchestrationSchedule};
use serde_json::json;

use super::Argo;
use super::application::Application;
use super::objects::{activity_definition, orchestration, pair, schedule};
use super::prune::all;
use crate::support::held::Held;
use crate::support::kubelet::Kubelet;

/// Runs that run, of git and of a schedule, and the definitions that they use.
pub async fn ends_everything(argo: &Argo) {
    let application = Application::automated(argo, "deletion").await;
    let namespace = &application.namespace;
    let held = Held::default();
    let _kubelet = Kubelet::start_on(argo.client.clone(), "deletion", {
        let held = held.clone();
        move |work| held.hold(work)
    });
    application.commit(&[
        activity_definition("step"),
        pair("held", "step"),
        schedule("yearly", "@yearly", "held", json!({})),
        orchestration("runs", "held", json!({})),
    ]);
    application.refresh("normal").await;
    held.until(1).await;
    application.health("OrchestrationSchedule", "yearly", "Healthy").await;
    let run = ["app", "actions", "run", "deletion", "run-now", "--kind", "OrchestrationSchedule"];
    let (ran, text) = argo.argocd(&[&run[..], &["--resource-name", "yearly"]].concat());
    assert!(ran, "{text}");
    held.until(2).await;
    assert_eq!(all::<Pod>(namespace).await.len(), 2);

    let (deleted, text) = argo.argocd(&["app", "delete", "deletion", "--cascade", "--yes", "--wait"]);
    assert!(deleted, "{text}");
    let cluster = &argo.own.cluster;
    // The garbage collector follows.
    let kinds =
        "orchestrations,orchestrationschedules,orchestrationdefinitions,activitydefinitions,jobs,pods";
    cluster.kubectl(&["--namespace", "deletion", "wait", "--for=delete", "--all", "--timeout=120s", kinds]);
    let left = [
        all::<Orchestration>(namespace).await,
        all::<OrchestrationSchedule>(namespace).await,
        all::<OrchestrationDefinition>(namespace).await,
        all::<ActivityDefinition>(namespace).await,
        all::<Job>(namespace).await,
        all::<Pod>(namespace).await,
    ]
    .concat();
    assert!(left.is_empty(), "{left:?}");
    // The definition as it was run: the operator keeps it for `--revision-retention-seconds`, and then deletes it.
    assert_eq!(all::<ControllerRevision>(namespace).await.len(), 1);
    argo.covers("the deletion of an Application ends its runs and those of its schedules, definitions in use included");
}
