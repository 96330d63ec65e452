//! Definitions that are missing, come later, or take no new runs.

use kube::api::{Patch, PatchParams};
use orchestrator::api::{Orchestration, OrchestrationDefinition};
use serde_json::json;

use crate::support::cluster::TestNamespace;
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{activity_definition, definition, orchestration};
use crate::support::operator::Operator;
use crate::support::told::{says, spec};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_definition_never_comes_ends_at_its_deadline() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    namespace.create(definition("broken", spec("activities: [{id: a, type: t, dependsOn: a}]"))).await;
    namespace.definition_ready("broken", "False", "Invalid").await;
    for (name, type_) in [("lost", "nowhere"), ("stuck", "broken")] {
        namespace.create(orchestration(name, type_, json!({}))).await;
    }
    let broken = "OrchestrationDefinition \"broken\" is not ready: Invalid: ActivityDefinitionNotFound: spec.activities[0].type: ActivityDefinition \"t\" not found in this namespace\nSelfDependency: spec.activities[0].dependsOn: \"a\" may not depend on itself";
    let nowhere = "OrchestrationDefinition \"nowhere\" not found in this namespace";
    let waits = [("lost", "DefinitionNotFound", nowhere), ("stuck", "DefinitionNotReady", broken)];
    for (name, reason, why) in waits {
        let waiting = namespace.until(name, |o: &Orchestration| !says(o, "Accepted").is_empty()).await;
        assert_eq!(says(&waiting, "Accepted"), format!("False {reason}: {why}"));
        assert_eq!(says(&waiting, "Reconciling"), format!("True {reason}: {why}"));
        assert_eq!(says(&waiting, "Succeeded"), format!("Unknown {reason}: {why}"));
        assert_eq!(says(&waiting, "Finished"), "False NotFinished: nothing has started");
        assert_eq!(waiting.status.as_ref().unwrap().state.as_deref(), Some("Pending"));
    }
    for (name, reason, why) in
        [("lost", "DefinitionNotFound", nowhere), ("stuck", "DeadlineExceeded", broken)]
    {
        let passed = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": 1}}));
        namespace.api::<Orchestration>().patch(name, &PatchParams::default(), &passed).await.unwrap();
        let finished = namespace.finished(name).await;
        let why = format!("{reason}: {why}, and the deadline has passed");
        assert_eq!(says(&finished, "Accepted"), format!("False {why}"));
        assert_eq!(says(&finished, "Stalled"), format!("True {why}"));
        assert_eq!(says(&finished, "Succeeded"), format!("False {why}"));
        assert_eq!(says(&finished, "Finished"), format!("True {why}"));
        assert_eq!(says(&finished, "Reconciling"), "");
        let status = finished.status.unwrap();
        assert_eq!(status.state.as_deref(), Some("Failed"));
        assert!(status.activities.is_empty() && status.revision.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_the_wrong_order_heals_and_runs() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::outputs(&json!({})));
    namespace.create(orchestration("run", "tenant", json!({}))).await;
    namespace
        .until("run", |o: &Orchestration| {
            says(o, "Accepted")
                == "False DefinitionNotFound: OrchestrationDefinition \"tenant\" not found in this namespace"
        })
        .await;

    namespace
        .create(definition(
            "tenant",
            spec("activities: [{id: a, type: step}, {id: b, type: step, dependsOn: a}]"),
        ))
        .await;
    let missing = "ActivityDefinitionNotFound: spec.activities[0].type: ActivityDefinition \"step\" not found in this namespace\n\
        ActivityDefinitionNotFound: spec.activities[1].type: ActivityDefinition \"step\" not found in this namespace";
    let told = namespace.definition_ready("tenant", "False", "ActivityDefinitionNotFound").await;
    assert_eq!(told, missing);
    let found = namespace.api::<OrchestrationDefinition>().get("tenant").await.unwrap();
    assert_eq!(says(&found, "Stalled"), "", "it heals by itself");
    let expected =
        format!("False DefinitionNotReady: OrchestrationDefinition \"tenant\" is not ready: {missing}");
    namespace.until("run", |o: &Orchestration| says(o, "Accepted") == expected).await;

    namespace.create(activity_definition("step")).await;
    let finished = namespace.finished("run").await;
    assert_eq!(says(&finished, "Succeeded"), "True Completed: all 2 activities have succeeded");
    let revision = finished.status.as_ref().unwrap().revision.clone().unwrap();
    assert_eq!(says(&finished, "Accepted"), format!("True Accepted: runs from the revision {revision}"));
    assert_eq!(namespace.definition_ready("tenant", "True", "Ready").await, "2 activities in 2 tiers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inactive_definition_refuses_new_runs_at_once() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    namespace.type_that_is_known("t").await;
    namespace.create(definition("retired", spec("{active: false, activities: [{id: a, type: t}]}"))).await;
    // That it could not run either way is no reason to wait.
    namespace
        .create(definition("broken", spec("{active: false, activities: [{id: a, type: nowhere}]}")))
        .await;
    namespace.definition_ready("retired", "True", "Ready").await;
    for type_ in ["retired", "broken"] {
        namespace.create(orchestration(type_, type_, json!({}))).await;
        let finished = namespace.finished(type_).await;
        let why = format!(
            "DefinitionInactive: OrchestrationDefinition \"{type_}\" takes no new Orchestrations (its spec.active is false)"
        );
        assert_eq!(says(&finished, "Accepted"), format!("False {why}"));
        assert_eq!(says(&finished, "Succeeded"), format!("False {why}"));
        assert_eq!(says(&finished, "Stalled"), format!("True {why}"));
        assert_eq!(says(&finished, "Finished"), format!("True {why}"));
        let status = finished.status.unwrap();
        assert_eq!(
            (status.state.as_deref(), status.revision, status.start_time),
            (Some("Failed"), None, None)
        );
    }
}
