//! What is kept of a finished Orchestration, and for how long.

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::api::Api;
use orchestrator::api::Orchestration;
use serde_json::json;

use super::type_with;
use crate::support::kubelet::Act;
use crate::support::objects::{definition, orchestration};
use crate::support::sandbox::Sandbox;

async fn sandbox() -> Sandbox {
    let sandbox = Sandbox::start(|_| Act::outputs(&json!({})));
    let activities = json!([{"id": "a", "type": "t"}, {"id": "b", "type": "t"}]);
    sandbox.apply([type_with(json!({})), definition("d", json!({"activities": activities}))]).await;
    sandbox.ready(&["d"]).await;
    sandbox
}

async fn exists(sandbox: &Sandbox, name: &str) -> bool {
    let api: Api<Orchestration> = sandbox.api();
    api.get_opt(name).await.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn what_has_a_time_to_live_is_deleted_after_it_across_a_restart() {
    let mut sandbox = sandbox().await;
    let with_ttl = |name: &str, ttl: i64| {
        let mut run = orchestration(name, "d", json!({}));
        run["spec"]["ttlSecondsAfterFinished"] = json!(ttl);
        run
    };
    sandbox
        .apply([
            with_ttl("at-once", 0),
            with_ttl("short", 1000),
            with_ttl("long", 5000),
            orchestration("kept", "d", json!({})),
        ])
        .await;
    for name in ["short", "long", "kept"] {
        sandbox.finished(name).await;
    }
    tokio::time::sleep(Duration::from_secs(900)).await;
    assert!(!exists(&sandbox, "at-once").await && exists(&sandbox, "short").await);
    sandbox.start_operator();
    // An edit of a finished one counts.
    sandbox.edit::<Orchestration>("long", json!({"ttlSecondsAfterFinished": 2000})).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(!exists(&sandbox, "short").await && exists(&sandbox, "long").await);
    tokio::time::sleep(Duration::from_secs(1200)).await;
    assert!(!exists(&sandbox, "long").await);
    tokio::time::sleep(Duration::from_secs(7 * 86_400)).await;
    assert!(exists(&sandbox, "kept").await);
}

#[tokio::test(start_paused = true)]
async fn the_jobs_of_a_finished_run_go_after_the_retention_and_its_status_stays() {
    let mut sandbox = sandbox().await;
    sandbox.apply([orchestration("run", "d", json!({}))]).await;
    let finished = sandbox.finished("run").await;
    tokio::time::sleep(Duration::from_secs(86_400 - 600)).await;
    assert_eq!(sandbox.names::<Job>().await.len(), 2);
    sandbox.start_operator();
    tokio::time::sleep(Duration::from_secs(1200)).await;
    assert_eq!(sandbox.names::<Job>().await.len(), 0);
    let writes = sandbox.writes.lock().unwrap().len();
    sandbox.start_operator();
    tokio::time::sleep(Duration::from_secs(3 * 86_400)).await;
    assert_eq!(sandbox.writes.lock().unwrap().len(), writes, "nothing is left to do");
    let run = sandbox.api::<Orchestration>().get("run").await.unwrap();
    assert_eq!(run.status, finished.status);
}

#[tokio::test(start_paused = true)]
async fn the_jobs_of_others_stay() {
    let sandbox = sandbox().await;
    sandbox.apply([orchestration("old", "d", json!({}))]).await;
    sandbox.finished("old").await;
    tokio::time::sleep(Duration::from_secs(80_000)).await;
    sandbox.apply([orchestration("new", "d", json!({}))]).await;
    sandbox.finished("new").await;
    tokio::time::sleep(Duration::from_secs(10_000)).await;
    let names = sandbox.names::<Job>().await;
    assert!(names.len() == 2 && names.iter().all(|name| name.starts_with("new-")), "{names:?}");
}
