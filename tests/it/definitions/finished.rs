//! What the API server keeps as it is: the spec of a run, and the status of a finished one.

use kube::api::{Patch, PatchParams};
use orchestrator::api::Orchestration;
use serde_json::{Value, json};

use crate::support::cluster::TestNamespace;
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{definition, orchestration};
use crate::support::operator::Operator;
use crate::support::told::{condition, says, spec};

/// What the server says to a merge patch; nothing if it took it.
async fn patched(namespace: &TestNamespace, subresource: &str, patch: Value) -> Result<(), String> {
    let (api, parameters) = (namespace.api::<Orchestration>(), PatchParams::default());
    let patch = Patch::Merge(patch);
    let answer = match subresource {
        "status" => api.patch_status("run", &parameters, &patch).await,
        _ => api.patch("run", &parameters, &patch).await,
    };
    match answer {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(other) => panic!("{other}"),
    }
}

fn invalid(why: &str) -> Result<(), String> {
    Err(format!("Orchestration.orchestrator.dev \"run\" is invalid: {why}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spec_is_immutable_but_for_its_deadline() {
    let namespace = TestNamespace::new().await;
    let mut run = orchestration("run", "t", json!({"a": {"b": 1}}));
    run["spec"]["correlationId"] = json!("c");
    namespace.create(run).await;
    for change in [
        json!({"type": "u"}),
        json!({"input": {"a": {"b": 2}}}),
        json!({"input": {"c": 1}}),
        json!({"input": null}),
        json!({"correlationId": "d"}),
        json!({"correlationId": null}),
        json!({"type": "u", "activeDeadlineSeconds": 60}),
    ] {
        let told = patched(&namespace, "", json!({"spec": change})).await;
        assert_eq!(
            told,
            invalid(
                "spec: Invalid value: spec is immutable (except suspend, shutdown, activeDeadlineSeconds and ttlSecondsAfterFinished): an Orchestration runs once, to run again create one with another name"
            ),
            "{change}"
        );
    }
    for change in [json!(60), json!(5), json!(null)] {
        patched(&namespace, "", json!({"spec": {"activeDeadlineSeconds": change}})).await.unwrap();
    }
    // A label is not a spec.
    patched(&namespace, "", json!({"metadata": {"labels": {"team": "dns"}}})).await.unwrap();

    namespace.create(orchestration("bare", "t", json!({}))).await;
    let bare = namespace.api::<Orchestration>();
    let added = Patch::Merge(json!({"spec": {"correlationId": "late"}}));
    let told = bare.patch("bare", &PatchParams::default(), &added).await.unwrap_err().to_string();
    assert!(
        told.contains(
            "spec is immutable (except suspend, shutdown, activeDeadlineSeconds and ttlSecondsAfterFinished): an Orchestration runs once, to run again create one with another name"
        ),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_status_is_immutable_but_for_what_it_observed() {
    let namespace = TestNamespace::new().await;
    let operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::outputs(&json!({"url": "u"})));
    namespace.type_that_is_known("t").await;
    let with_output = "{activities: [{id: a, type: t}], output: [{source: a.url}]}";
    namespace.create(definition("d", spec(with_output))).await;
    namespace.create(orchestration("run", "d", json!({}))).await;
    let finished = namespace.finished("run").await;

    let immutable = "status: Invalid value: a finished status is immutable";
    for (change, why) in [
        (json!({"state": "Failed"}), immutable),
        (json!({"state": null}), immutable),
        (json!({"output": {"url": "v"}}), immutable),
        (json!({"output": null}), immutable),
        (json!({"completionTime": "2026-01-01T00:00:00Z"}), immutable),
        (json!({"completionTime": null}), immutable),
        (json!({"activities": {"a": {"state": "Failed"}}}), immutable),
        (json!({"activities": {"a": {"outputs": {"url": "v"}}}}), immutable),
        (json!({"activities": {"a": {"message": "x"}}}), immutable),
        (json!({"activities": {"a": null}}), immutable),
        (json!({"activities": {"b": {"state": "Succeeded"}}}), immutable),
        (json!({"activities": null}), "status: Invalid value: activities must not be removed"),
        (Value::Null, "<nil>: Invalid value: a status must not be removed"),
    ] {
        let told = patched(&namespace, "status", json!({"status": change})).await;
        assert_eq!(told, invalid(why), "{change}");
    }
    // What a controller may still have to say.
    let mut conditions = json!(finished.status.as_ref().unwrap().conditions);
    conditions[0]["message"] = json!("said better");
    patched(&namespace, "status", json!({"status": {"conditions": conditions}})).await.unwrap();
    patched(&namespace, "status", json!({"status": {"observedGeneration": 7}})).await.unwrap();

    // An edit of what may be edited is seen, and changes nothing else.
    patched(&namespace, "", json!({"spec": {"activeDeadlineSeconds": 60}})).await.unwrap();
    let seen = namespace
        .until("run", |o: &Orchestration| o.status.as_ref().is_some_and(|s| s.observed_generation == Some(2)))
        .await;
    assert_eq!(says(&seen, "Accepted").split(": ").last(), Some("said better"));
    let (before, after) = (finished.status.unwrap(), seen.status.clone().unwrap());
    assert_eq!(after.activities, before.activities);
    assert_eq!(after.completion_time, before.completion_time);
    assert_eq!((after.state, after.output), (before.state, before.output));
    assert_eq!(condition(&seen, "Reconciling"), None);
    let jobs = operator.requests.count_that(|one| {
        one.method == "POST" && one.path.ends_with("/jobs") && !one.query.contains("dryRun")
    });
    assert_eq!(jobs, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_comes_with_a_status_does_not_count_as_done() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::outputs(&json!({})));
    namespace.type_that_is_known("t").await;
    namespace.create(definition("d", spec("activities: [{id: a, type: t}]"))).await;
    namespace.definition_ready("d", "True", "Ready").await;
    // As an export of a finished one that is applied elsewhere.
    let mut exported = orchestration("run", "d", json!({}));
    exported["status"] = json!({
        "observedGeneration": 1, "state": "Succeeded", "completionTime": "2026-01-01T00:00:00Z",
        "activities": {"a": {"state": "Succeeded"}}, "progress": "1/1", "revision": "d-old",
    });
    namespace.create(exported).await;
    let finished = namespace.finished("run").await;
    let status = finished.status.unwrap();
    assert_eq!(status.state.as_deref(), Some("Succeeded"));
    assert_eq!(status.activities["a"].attempt, 1, "it did run");
    assert_ne!(status.revision.as_deref(), Some("d-old"));
}
