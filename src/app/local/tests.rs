//! What is told of activities after the fact.

use kube::runtime::wait::await_condition;
use serde_json::json;

use super::*;
use crate::clock::SystemClock;

#[tokio::test]
async fn the_end_of_a_log_goes_back_beyond_its_rotation() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("main.log");
    let lines: Vec<String> = (0..30).map(|line| format!("line {line:02}")).collect();
    let output = format!("{}\n", lines.join("\n"));
    // A file takes 100 bytes at most: the newest one has only the last few lines.
    log::keep(output.as_bytes(), &file, 200).await.unwrap();
    assert!(std::fs::read_to_string(&file).unwrap().lines().count() < TAIL_LINES);
    assert_eq!(tail(&file).await, lines[20..].join("\n"));
    assert_eq!(tail(&directory.path().join("none.log")).await, "");
}

#[tokio::test]
async fn what_an_activity_waits_for_is_told_before_its_status_is() {
    let directory = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let local = Local::start(&clock, Settings::default(), directory.path(), None).unwrap();
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {
            "name": "p", "labels": {labels::ORCHESTRATION_UID: "u"}, "annotations": {labels::ACTIVITY: "a"},
        },
        "spec": {"restartPolicy": "Never", "containers": [{
            "name": "main", "image": "none", "command": ["true"], "envFrom": [{"configMapRef": {"name": "nope"}}],
        }]},
    }))
    .unwrap();
    let pods: Api<Pod> = Api::namespaced(local.client(), "default");
    pods.create(&kube::api::PostParams::default(), &pod).await.unwrap();
    let waits = |pod: Option<&Pod>| pod.is_some_and(|pod| PodFacts::from(pod).waits_for().is_some());
    await_condition(pods, "p", waits).await.unwrap();
    let told = local.waits_for("default", "u", "a").await;
    assert_eq!(told.as_deref(), Some("CreateContainerConfigError: configmap \"nope\" not found"));
    assert_eq!(local.waits_for("default", "u", "b").await, None);
    local.stop(std::future::pending()).await;
}
