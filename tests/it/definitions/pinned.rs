//! A run keeps the definitions that it was accepted with, whatever becomes of them.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition};
use orchestrator::client::Namespaced;
use serde_json::{Value, json};

use crate::support::cluster::TestNamespace;
use crate::support::kubelet::{Act, Kubelet, perform};
use crate::support::objects::{activity_definition, definition, orchestration};
use crate::support::operator::Operator;
use crate::support::scene::{first, gone};
use crate::support::told::{says, spec};

/// The pod of an activity of a run, as soon as there is one.
async fn pod_of(namespace: &TestNamespace, run: &str, activity: &str) -> Pod {
    let labels = format!("orchestrator.dev/orchestration={run},orchestrator.dev/activity={activity}");
    first(namespace.api(), watcher::Config::default().labels(&labels), |_| true).await
}

/// Deletes an object and waits until it is gone.
pub async fn delete<K>(namespace: &TestNamespace, name: &str)
where
    K: Namespaced,
{
    let api: Api<K> = namespace.api();
    let found = api.get(name).await.unwrap();
    api.delete(name, &DeleteParams::default()).await.unwrap();
    gone(api, &found).await;
}

pub async fn edit<K>(namespace: &TestNamespace, name: &str, spec: Value)
where
    K: Namespaced,
{
    let api: Api<K> = namespace.api();
    api.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await.unwrap();
}

/// The commands of the Jobs of a run, by activity.
async fn commands(namespace: &TestNamespace, run: &str) -> Vec<(String, String)> {
    let selected = ListParams::default().labels(&format!("orchestrator.dev/orchestration={run}"));
    let mut commands: Vec<(String, String)> = namespace
        .api::<Job>()
        .list(&selected)
        .await
        .unwrap()
        .iter()
        .map(|job| {
            let container = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap().containers[0].clone();
            (job.labels()["orchestrator.dev/activity"].clone(), container.command.unwrap().join(" "))
        })
        .collect();
    commands.sort();
    commands
}

fn template(command: &str) -> Value {
    json!({"job": {"template": {"spec": {
        "schedulerName": "none", "containers": [{"name": "main", "image": "none", "command": [command]}],
    }}}})
}

/// A namespace with a run whose first of two activities runs until it is let go.
pub async fn scene() -> (TestNamespace, Operator, Kubelet, Orchestration) {
    let namespace = TestNamespace::new().await;
    let operator = Operator::start(&namespace).await;
    let kubelet = Kubelet::start(&namespace, |work| match work.activity.as_str() {
        "first" => Act::Run,
        _ => Act::outputs(&json!({})),
    });
    namespace.create(activity_definition("t")).await;
    namespace
        .create(definition(
            "d",
            spec("activities: [{id: first, type: t}, {id: second, type: t, dependsOn: first}]"),
        ))
        .await;
    namespace.definition_ready("d", "True", "Ready").await;
    namespace.create(orchestration("run", "d", json!({}))).await;
    let running = namespace
        .until("run", |o: &Orchestration| {
            o.status.as_ref().is_some_and(|status| status.state.as_deref() == Some("Running"))
        })
        .await;
    (namespace, operator, kubelet, running)
}

/// Lets the first activity end, and waits for the end of the run, which must be that of its definition.
pub async fn end(namespace: &TestNamespace, running: &Orchestration) {
    let pod = pod_of(namespace, "run", "first").await;
    perform(&namespace.api(), &pod, &Act::outputs(&json!({}))).await;
    let finished = namespace.finished("run").await;
    assert_eq!(says(&finished, "Succeeded"), "True Completed: all 2 activities have succeeded");
    let status = finished.status.unwrap();
    assert_eq!(status.revision, running.status.as_ref().unwrap().revision);
    assert_eq!(status.activities.keys().collect::<Vec<_>>(), ["first", "second"]);
    let expected = ["first", "second"].map(|activity| (activity.to_owned(), "true".to_owned()));
    assert_eq!(commands(namespace, "run").await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn editing_definitions_changes_nothing_for_a_run_and_all_for_the_next() {
    let (namespace, _operator, _kubelet, running) = scene().await;
    edit::<ActivityDefinition>(&namespace, "t", template("edited")).await;
    let other = "{activities: [{id: other, type: t}, {id: last, type: t, dependsOn: other}], activeDeadlineSeconds: 77}";
    edit::<OrchestrationDefinition>(&namespace, "d", spec(other)).await;
    let edited = namespace
        .until("d", |d: &OrchestrationDefinition| {
            d.status.as_ref().is_some_and(|status| status.tiers == [["other"], ["last"]])
        })
        .await;
    // The template is the new one as soon as the next run is accepted, however the watches are ordered.
    namespace
        .until("t", |t: &ActivityDefinition| {
            t.status.as_ref().is_some_and(|status| status.observed_generation == Some(2))
        })
        .await;
    namespace.create(orchestration("next", "d", json!({}))).await;
    let next = namespace.finished("next").await;
    assert_eq!(says(&next, "Succeeded"), "True Completed: all 2 activities have succeeded");
    let expected = ["last", "other"].map(|activity| (activity.to_owned(), "edited".to_owned()));
    assert_eq!(commands(&namespace, "next").await, expected);
    assert_ne!(next.status.unwrap().revision, running.status.as_ref().unwrap().revision);
    assert_ne!(edited.status.unwrap().revision, running.status.as_ref().unwrap().revision);

    edit::<OrchestrationDefinition>(&namespace, "d", json!({"active": false})).await;
    namespace
        .until("d", |d: &OrchestrationDefinition| {
            d.status.as_ref().is_some_and(|status| status.observed_generation == Some(3))
        })
        .await;
    end(&namespace, &running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_definitions_changes_nothing_for_a_run_also_when_others_take_their_names() {
    let (namespace, operator, _kubelet, running) = scene().await;
    delete::<OrchestrationDefinition>(&namespace, "d").await;
    delete::<ActivityDefinition>(&namespace, "t").await;
    // Whoever starts anew has nothing but the revision to go by.
    operator.stop().await;
    let _operator = Operator::start(&namespace).await;
    let mut other = activity_definition("t");
    other["spec"] = template("other");
    namespace.create(other).await;
    namespace.create(definition("d", spec("activities: [{id: stranger, type: t}]"))).await;
    namespace.definition_ready("d", "True", "Ready").await;
    end(&namespace, &running).await;
}
