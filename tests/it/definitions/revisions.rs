//! What becomes of a run whose revision somebody deletes, or puts something else in the place of.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use orchestrator::api::orchestration::ActivityState;
use orchestrator::api::{Orchestration, OrchestrationDefinition};
use serde_json::{Value, json};

use super::pinned::{delete, edit, end, scene};
use crate::support::cluster::TestNamespace;
use crate::support::objects::orchestration;
use crate::support::operator::Operator;
use crate::support::told::{says, spec};

fn revision(run: &Orchestration) -> String {
    run.status.as_ref().unwrap().revision.clone().unwrap()
}

async fn stored(namespace: &TestNamespace, name: &str) -> ControllerRevision {
    namespace.until(name, |_: &ControllerRevision| true).await
}

/// Waits until the run says that it has no revision to run from, and why.
async fn unpinned(namespace: &TestNamespace) -> String {
    let says_so = |run: &Orchestration| says(run, "Succeeded").starts_with("Unknown RevisionNotFound: ");
    says(&namespace.until("run", says_so).await, "Succeeded")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_revision_is_stored_again_while_its_definition_is_the_same() {
    let (namespace, operator, _kubelet, running) = scene().await;
    let name = revision(&running);
    let first = stored(&namespace, &name).await;
    // Before the next run is pinned to it.
    delete::<ControllerRevision>(&namespace, &name).await;
    namespace.create(orchestration("next", "d", json!({}))).await;
    let second = stored(&namespace, &name).await;
    assert_ne!(second.uid(), first.uid());
    assert_eq!((second.data, second.revision), (first.data.clone(), first.revision));
    // And by who starts anew, and has nothing but the definition to go by.
    operator.stop().await;
    delete::<ControllerRevision>(&namespace, &name).await;
    let _operator = Operator::start(&namespace).await;
    assert_eq!(stored(&namespace, &name).await.data, first.data);
    end(&namespace, &running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_hold_what_its_name_says_is_not_run() {
    let (namespace, operator, _kubelet, running) = scene().await;
    let name = revision(&running);
    let true_one = serde_json::to_value(stored(&namespace, &name).await).unwrap();
    let mut tampered = true_one["data"].clone();
    let command = tampered.pointer_mut("/activityDefinitions/t/spec/job/template/spec/containers/0/command");
    *command.unwrap() = json!(["stranger"]);

    // In place nobody can, that is the API server's.
    let patch = Patch::Merge(json!({"data": tampered}));
    let api = namespace.api::<ControllerRevision>();
    let refused = api.patch(&name, &PatchParams::default(), &patch).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.is_invalid()), "{refused}");

    operator.stop().await;
    delete::<ControllerRevision>(&namespace, &name).await;
    let metadata = json!({"name": name, "labels": true_one["metadata"]["labels"]});
    let other = json!({"metadata": metadata, "data": tampered, "revision": true_one["revision"]});
    namespace.create_as::<ControllerRevision>(other).await.unwrap();
    let _operator = Operator::start(&namespace).await;
    let expected = format!(
        "Unknown RevisionNotFound: the ControllerRevision \"{name}\" does not hold what its name says"
    );
    assert_eq!(unpinned(&namespace).await, expected);

    // Neither does a new run take it for the true one, nor is it overwritten.
    namespace.create(orchestration("next", "d", json!({}))).await;
    let expected = format!("the ControllerRevision \"{name}\" exists and holds something else");
    namespace.until("next", |run: &Orchestration| says(run, "Accepted").contains(&expected)).await;
    assert_eq!(stored(&namespace, &name).await.data.0, tampered);

    // Once it is away, the next thing that happens to the run brings the true one back.
    delete::<ControllerRevision>(&namespace, &name).await;
    end(&namespace, &running).await;
    assert_eq!(stored(&namespace, &name).await.data.0, true_one["data"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_revision_is_gone_for_good_ends_at_its_deadline() {
    let (namespace, operator, _kubelet, running) = scene().await;
    let name = revision(&running);
    operator.stop().await;
    delete::<ControllerRevision>(&namespace, &name).await;
    let other: Value = spec("activities: [{id: other, type: t}]");
    edit::<OrchestrationDefinition>(&namespace, "d", other).await;
    let _operator = Operator::start(&namespace).await;
    let why = format!("the ControllerRevision \"{name}\" that it runs from is gone");
    assert_eq!(unpinned(&namespace).await, format!("Unknown RevisionNotFound: {why}"));

    edit::<Orchestration>(&namespace, "run", json!({"activeDeadlineSeconds": 1})).await;
    let finished = namespace.finished("run").await;
    let expected = format!("False RevisionNotFound: {why}, and the deadline has passed");
    assert_eq!(says(&finished, "Succeeded"), expected);
    let activities = finished.status.as_ref().unwrap().activities.clone();
    let states = ["first", "second"].map(|id| activities[id].state);
    assert_eq!(states, [ActivityState::Cancelled, ActivityState::NotStarted]);
    let jobs = namespace.api::<Job>().list(&Default::default()).await.unwrap().items;
    let suspended: Vec<_> = jobs.iter().map(|job| job.spec.as_ref().unwrap().suspend).collect();
    assert_eq!(suspended, [Some(true)], "what ran is stopped, and nothing else was started");
}
