//! The longest names that there are: nothing is refused later that was accepted before.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

use crate::support::cluster::TestNamespace;
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{activity_definition, definition, orchestration};
use crate::support::operator::Operator;

/// The longest name of an object: segments of letters that do not begin alike.
fn longest(begin: &str) -> String {
    let mut name = format!("{begin}.{}", "label-of-some-length.".repeat(13));
    name.truncate(253);
    assert!(name.ends_with(|c: char| c.is_ascii_alphanumeric()) && name.len() == 253, "{name}");
    name
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_names_run_and_names_that_begin_alike_are_kept_apart() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |work| Act::outputs(&json!({"saw": work.activity})));
    let (type_, activity_type) = (longest("tenant"), longest("dns"));
    let (run, other_run) = (longest("run"), longest("run").replace("run.l", "run.k"));
    // 63 characters, of which the first 62 are equal.
    let ids = ["x", "y"].map(|end| format!("{}{end}", "activity-".repeat(7).get(..62).unwrap()));
    namespace.create(activity_definition(&activity_type)).await;
    let activities: Vec<_> = ids.iter().map(|id| json!({"id": id, "type": activity_type})).collect();
    let output = ids.each_ref().map(|id| json!({"source": format!("{id}.saw"), "target": id}));
    namespace.create(definition(&type_, json!({"activities": activities, "output": output}))).await;
    namespace.definition_ready(&type_, "True", "Ready").await;
    for name in [&run, &other_run] {
        let mut orchestration = orchestration(name, &type_, json!({}));
        // Labels of ours on an object of theirs mean nothing, and are not handed on.
        orchestration["metadata"]["labels"] = json!({"orchestrator.dev/activity": "mine", "team": "dns"});
        namespace.create(orchestration).await;
    }
    for name in [&run, &other_run] {
        let status = namespace.finished(name).await.status.unwrap();
        assert_eq!(status.state.as_deref(), Some("Succeeded"), "{status:?}");
        let output: BTreeMap<_, _> = ids.iter().map(|id| (id.clone(), json!(id))).collect();
        assert_eq!(json!(status.output), json!(output));
    }
    let jobs = namespace.api::<Job>().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(jobs.len(), 4);
    let mut whose = BTreeSet::new();
    for job in &jobs {
        assert!(job.name_any().len() <= 63, "{}", job.name_any());
        assert!(!job.labels().contains_key("team"), "{:?}", job.labels());
        let annotation = |key: &str| job.annotations()[key].clone();
        let (orchestration, activity) =
            (annotation("orchestrator.dev/orchestration"), annotation("orchestrator.dev/activity"));
        let label = &job.labels()["orchestrator.dev/orchestration"];
        assert!(orchestration.starts_with(label) && (60..=63).contains(&label.len()), "{label}");
        assert_eq!(job.labels()["orchestrator.dev/activity"], activity);
        whose.insert((orchestration, activity));
    }
    let expected =
        [&run, &other_run].into_iter().flat_map(|run| ids.iter().map(|id| (run.clone(), id.clone())));
    assert_eq!(whose, expected.collect());
}
