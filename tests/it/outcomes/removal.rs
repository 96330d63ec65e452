//! Orchestrations that are deleted, and made again under the same name.

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use orchestrator::api::Orchestration;
use orchestrator::api::orchestration::ActivityState;
use orchestrator::engine::names::child_name;
use serde_json::json;

use crate::support::cluster::cluster;
use crate::support::kubelet::Act;
use crate::support::scene::{RUN, Scene, gone};

/// A run whose first activity runs, and whose second comes after it.
async fn running() -> Scene {
    let scene =
        Scene::new(
            |work| if work.input["ends"] == json!(true) { Act::outputs(&json!({})) } else { Act::Run },
        )
        .await;
    scene.step_type().await;
    let activities = json!([
        {"id": "first", "type": "step", "inputs": ["ends"]},
        {"id": "second", "type": "step", "dependsOn": "first", "inputs": ["ends"]},
    ]);
    scene.run(json!({"activities": activities}), json!({"ends": false})).await;
    scene.started("first").await;
    scene
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_jobs_of_a_deleted_run_go_with_it_and_none_are_made_afterwards() {
    let scene = running().await;
    let api: Api<Orchestration> = scene.namespace.api();
    let (run, job) = (api.get(RUN).await.unwrap(), scene.job("first", |_| true).await);
    api.delete(RUN, &DeleteParams::background()).await.unwrap();
    gone(api, &run).await;
    gone(scene.namespace.api::<Job>(), &job).await;
    // Another run goes all the way, so that the operator has had every occasion.
    scene.begin(json!({"ends": true})).await;
    scene.finished().await;
    let of_new: Vec<String> = scene.jobs().await.iter().map(ResourceExt::name_any).collect();
    assert_eq!(of_new.len(), 2, "{of_new:?}");
    assert_eq!(scene.creations(), 3, "one of the deleted run, two of the new one");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreground_deletion_takes_the_jobs_first_and_the_operator_makes_none_meanwhile() {
    let scene = running().await;
    let api: Api<Orchestration> = scene.namespace.api();
    let (run, job) = (api.get(RUN).await.unwrap(), scene.job("first", |_| true).await);
    let name = scene.namespace.name.clone();
    let kubectl =
        ["delete", "orchestration", RUN, "--cascade=foreground", "--timeout=115s", "--namespace", &name];
    let printed = tokio::task::block_in_place(|| cluster().kubectl(&kubectl));
    assert!(printed.contains("deleted"), "{printed}");
    assert!(api.get_opt(RUN).await.unwrap().is_none(), "kubectl has waited for {}", run.name_any());
    assert!(scene.namespace.api::<Job>().get_opt(&job.name_any()).await.unwrap().is_none());
    assert_eq!(scene.creations(), 1);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_made_again_under_the_same_name_never_adopts_old_jobs() {
    let scene = running().await;
    let api: Api<Orchestration> = scene.namespace.api();
    let (old, old_job) = (api.get(RUN).await.unwrap(), scene.job("first", |_| true).await);
    // The Job stays, and succeeds when nobody wants its result any more.
    api.delete(RUN, &DeleteParams::orphan()).await.unwrap();
    gone(api.clone(), &old).await;
    scene.act("first", &Act::outputs(&json!({"of": "old"}))).await;
    let completed = |job: &Job| {
        let conditions =
            job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        conditions.iter().any(|condition| condition.type_ == "Complete")
    };
    let old_job_after = scene.job("first", completed).await;
    assert_eq!(old_job_after.uid(), old_job.uid());

    let new = scene.begin(json!({"ends": true})).await;
    let status = scene.finished().await;
    assert_eq!(status.state.as_deref(), Some("Succeeded"), "{status:?}");
    assert_eq!(status.activities["first"].state, ActivityState::Succeeded);
    assert_eq!(status.activities["first"].outputs, None, "the old result is not its own");
    let mut names: Vec<String> = scene.jobs().await.iter().map(ResourceExt::name_any).collect();
    names.sort();
    let uid = new.uid().unwrap();
    let mut expected =
        vec![old_job.name_any(), child_name(RUN, &uid, "first", 1), child_name(RUN, &uid, "second", 1)];
    expected.sort();
    assert_eq!(names, expected);
    let untouched = scene.namespace.api::<Job>().get(&old_job.name_any()).await.unwrap();
    assert_eq!(untouched.resource_version(), old_job_after.resource_version(), "nobody touched the old Job");
    scene.end().await;
}
