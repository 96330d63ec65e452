//! Run-once objects in git: each row of the page's table, on a real API server.

use std::process::Command;

use k8s_openapi::api::batch::v1::Job;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy};
use kube::{Resource, ResourceExt};
use orchestrator::api::{Orchestration, OrchestrationSchedule};
use serde_json::{Value, json};

use super::page::table;
use crate::support::cluster::{TestNamespace, cluster};
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{definition, orchestration, schedule};
use crate::support::operator::Operator;
use crate::support::scene::gone;
use crate::support::told::{says, spec};

/// A namespace in which the Orchestration `run` has finished, as kubectl or a GitOps tool applied it.
struct Place {
    namespace: TestNamespace,
    operator: Option<Operator>,
    _kubelet: Kubelet,
}

impl Place {
    async fn new() -> Self {
        let namespace = TestNamespace::new().await;
        let operator = Some(Operator::start(&namespace).await);
        let kubelet = Kubelet::start(&namespace, |_| Act::outputs(&json!({})));
        namespace.type_that_is_known("step").await;
        namespace.create(definition("deploy", spec("activities: [{id: a, type: step}]"))).await;
        namespace.definition_ready("deploy", "True", "Ready").await;
        Self { namespace, operator, _kubelet: kubelet }
    }

    /// A place with a finished run.
    async fn with_a_run() -> (Self, Orchestration) {
        let place = Self::new().await;
        assert!(place.apply(&run(json!({}))).0);
        let finished = place.namespace.finished("run").await;
        assert_eq!(place.jobs().await, 1);
        (place, finished)
    }

    /// What `kubectl apply` comes to.
    fn apply(&self, object: &Value) -> (bool, String) {
        cluster().kubectl_on(&object.to_string(), &["-n", &self.namespace.name, "apply"])
    }

    fn runs(&self) -> Api<Orchestration> {
        self.namespace.api()
    }

    /// How many Jobs there are.
    async fn jobs(&self) -> usize {
        self.namespace.api::<Job>().list(&ListParams::default()).await.unwrap().items.len()
    }

    /// How many Jobs were made, ever.
    fn made(&self) -> usize {
        self.operator.as_ref().unwrap().requests.count_that(|one| {
            one.method == "POST"
                && one.path.ends_with("/jobs")
                && one.status == 201
                && !one.query.contains("dryRun")
        })
    }

    async fn delete(&self, run: &Orchestration) {
        let foreground = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Foreground),
            ..DeleteParams::default()
        };
        self.runs().delete(&run.name_any(), &foreground).await.unwrap();
        gone(self.runs(), run).await;
    }

    async fn stop_operator(&mut self) {
        self.operator.take().unwrap().stop().await;
    }

    async fn start_operator(&mut self) {
        self.operator = Some(Operator::start(&self.namespace).await);
    }

    /// Waits until the operator has seen what was written before: it has finished another run meanwhile.
    async fn catch_up(&self, name: &str) {
        self.namespace.create(orchestration(name, "deploy", json!({}))).await;
        self.namespace.finished(name).await;
    }
}

fn run(more: Value) -> Value {
    let mut run = orchestration("run", "deploy", json!({"version": "1.4"}));
    run["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    run
}

/// The rows that are tested below, in the words of the page.
const ROWS: [&str; 10] = [
    "applied again, unchanged",
    "edited in what may be edited",
    "edited otherwise",
    "deleted, and applied again",
    "restored from a backup without its status",
    "restored from a backup without its status, with `spec.suspend: true`",
    "restored from a backup with its status, while no operator runs",
    "deleted by its own `ttlSecondsAfterFinished`",
    "beside a schedule's history limits",
    "written with `generateName`",
];

#[test]
fn every_row_of_the_page_is_tested() {
    let rows: Vec<String> =
        table("| a finished Orchestration in git |").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(rows, ROWS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn applied_again_it_stays_as_it_is_and_edited_it_is_refused_with_what_to_do() {
    let (place, finished) = Place::with_a_run().await;
    let (taken, told) = place.apply(&run(json!({})));
    assert!(taken && told.contains("unchanged"), "{told}");
    let same = place.runs().get("run").await.unwrap();
    assert_eq!((same.resource_version(), same.uid()), (finished.resource_version(), finished.uid()));

    for edit in
        [json!({"input": {"version": "1.5"}}), json!({"type": "other"}), json!({"resumeFrom": "other"})]
    {
        let (taken, told) = place.apply(&run(edit));
        assert!(!taken, "{told}");
        assert!(
            told.contains("an Orchestration runs once, to run again create one with another name"),
            "{told}"
        );
    }
    let edit = json!({"suspend": true, "shutdown": "Terminate", "activeDeadlineSeconds": 60});
    let (taken, told) = place.apply(&run(edit));
    assert!(taken, "{told}");
    let edited = place
        .namespace
        .until("run", |run: &Orchestration| {
            run.status.as_ref().is_some_and(|status| status.observed_generation == Some(2))
        })
        .await;
    let (before, after) = (finished.status.unwrap(), edited.status.unwrap());
    assert_eq!(
        (before.state, before.activities, before.completion_time),
        (after.state, after.activities, after.completion_time)
    );
    assert_eq!((place.jobs().await, place.made()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_and_applied_again_it_runs_again() {
    let (place, finished) = Place::with_a_run().await;
    place.delete(&finished).await;
    assert!(place.apply(&run(json!({}))).0);
    let again = place.namespace.finished("run").await;
    assert_ne!(again.uid(), finished.uid());
    assert_eq!(place.made(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_without_its_status_it_runs_again_unless_it_is_suspended() {
    let (place, finished) = Place::with_a_run().await;
    place.delete(&finished).await;
    // A backup holds the status; what is created with one is stored without.
    let mut backup = serde_json::to_value(&finished).unwrap();
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"] {
        backup["metadata"].as_object_mut().unwrap().remove(field);
    }
    let (name, manifest) = (place.namespace.name.as_str(), backup.to_string());
    let (taken, told) = cluster().kubectl_on(&manifest, &["-n", name, "create"]);
    assert!(taken, "{told}");
    place.namespace.finished("run").await;
    assert_eq!(place.made(), 2, "it ran again");

    let again = place.runs().get("run").await.unwrap();
    place.delete(&again).await;
    backup["spec"]["suspend"] = json!(true);
    let (taken, told) = cluster().kubectl_on(&backup.to_string(), &["-n", name, "create"]);
    assert!(taken, "{told}");
    let suspended = place
        .namespace
        .until("run", |run: &Orchestration| says(run, "Reconciling").starts_with("True Suspended"))
        .await;
    assert_eq!(suspended.status.unwrap().state.as_deref(), Some("Suspended"));
    assert_eq!((place.made(), place.jobs().await), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_with_its_status_while_no_operator_runs_it_has_finished() {
    let (mut place, finished) = Place::with_a_run().await;
    place.stop_operator().await;
    place.delete(&finished).await;
    place.namespace.create(run(json!({}))).await;
    let status = Patch::Merge(json!({"status": finished.status}));
    place.runs().patch_status("run", &PatchParams::default(), &status).await.unwrap();
    place.start_operator().await;
    place.catch_up("other").await;
    let restored = place.runs().get("run").await.unwrap();
    assert_ne!(restored.uid(), finished.uid());
    let (before, after) = (finished.status.unwrap(), restored.status.unwrap());
    assert_eq!((before.state, before.activities), (after.state, after.activities));
    assert_eq!(place.made(), 1, "only the other one ran");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ttl_deletes_it_and_what_applies_it_again_runs_it_again() {
    let place = Place::new().await;
    let with_ttl = run(json!({"ttlSecondsAfterFinished": 0}));
    let mut uids = Vec::new();
    for _ in 0..2 {
        assert!(place.apply(&with_ttl).0);
        let there = place.runs().get_opt("run").await.unwrap();
        if let Some(there) = there {
            uids.push(there.uid());
            gone(place.runs(), &there).await;
        }
    }
    assert_eq!(place.made(), 2);
    assert!(uids.windows(2).all(|pair| pair[0] != pair[1]));
    // The same by an edit of one that has finished.
    let (place, finished) = Place::with_a_run().await;
    assert!(place.apply(&with_ttl).0);
    gone(place.runs(), &finished).await;
    assert!(place.apply(&run(json!({}))).0);
    place.namespace.finished("run").await;
    assert_eq!(place.made(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_limits_delete_runs_of_the_schedule_alone() {
    let (place, _) = Place::with_a_run().await;
    let limits = json!({"successfulHistoryLimit": 0, "failedHistoryLimit": 0, "suspend": true});
    place.namespace.create(schedule("nightly", "0 6 * * *", "deploy", limits)).await;
    let label = Patch::Merge(json!({"metadata": {"labels": {"orchestrator.dev/schedule": "nightly"}}}));
    place.runs().patch("run", &PatchParams::default(), &label).await.unwrap();
    place
        .namespace
        .until("nightly", |schedule: &OrchestrationSchedule| says(schedule, "Ready").starts_with("True "))
        .await;
    let made = Command::new(env!("CARGO_BIN_EXE_orchestrator"))
        .args(["schedule", "trigger", "nightly", "--namespace", &place.namespace.name])
        .env("KUBECONFIG", cluster().kubeconfig())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&made.stdout).into_owned();
    let name = told.trim().strip_prefix("made ").unwrap_or_else(|| panic!("{made:?}"));
    if let Some(there) = place.runs().get_opt(name).await.unwrap() {
        gone(place.runs(), &there).await;
    }
    assert!(place.runs().get_opt("run").await.unwrap().is_some(), "a label does not make it the schedule's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_name_cannot_be_applied_and_each_creation_is_another_run() {
    let place = Place::new().await;
    let mut generated = run(json!({}));
    generated["metadata"] = json!({"generateName": "run-"});
    let (taken, told) = place.apply(&generated);
    assert!(!taken && told.contains("cannot use generate name with apply"), "{told}");
    for _ in 0..2 {
        let (taken, told) =
            cluster().kubectl_on(&generated.to_string(), &["-n", &place.namespace.name, "create"]);
        assert!(taken, "{told}");
    }
    let all = place.runs().list(&ListParams::default()).await.unwrap().items;
    let names: std::collections::BTreeSet<String> = all.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names.len(), 2);
    for name in names {
        assert!(place.namespace.finished(&name).await.meta().uid.is_some());
    }
}
