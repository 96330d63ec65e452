//! Orchestrations that take over what a finished one has done.

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::DeleteParams;
use orchestrator::api::OrchestrationDefinition;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{state, states, type_with};
use crate::support::kubelet::Act;
use crate::support::objects::{definition, orchestration};
use crate::support::sandbox::Sandbox;
use crate::support::told::says;

fn flow(last: &str) -> Value {
    json!({"activities": [
        {"id": "a", "type": "t"},
        {"id": "b", "type": "t", "dependsOn": "a", "inputs": ["a.n"]},
        {"id": "c", "type": "t", "dependsOn": "b", "inputs": ["b.n"], "discriminator": last},
    ], "output": [{"source": "c.n"}]})
}

fn resumed(name: &str, from: &str, input: Value) -> Value {
    let mut run = orchestration(name, "d", input);
    run["spec"]["resumeFrom"] = json!(from);
    run
}

/// A sandbox in which `c` fails until it is mended, and the failed run `first`.
async fn failed_at_c() -> (Sandbox, Arc<AtomicBool>) {
    let mended = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&mended);
    let sandbox = Sandbox::start(move |work| match work.activity.as_str() {
        "c" if !seen.load(Ordering::SeqCst) => Act::Fail(1, "Error", String::new()),
        id => Act::outputs(&json!({"n": id, "saw": work.input})),
    });
    sandbox.apply([type_with(json!({})), definition("d", flow("x"))]).await;
    sandbox.ready(&["d"]).await;
    sandbox.apply([orchestration("first", "d", json!({"x": 1}))]).await;
    assert_eq!(state(&sandbox.finished("first").await), "Failed");
    (sandbox, mended)
}

#[tokio::test(start_paused = true)]
async fn what_succeeded_is_taken_over_and_the_rest_runs() {
    let (sandbox, mended) = failed_at_c().await;
    mended.store(true, Ordering::SeqCst);
    // What c does may be mended in the definition too.
    sandbox.edit::<OrchestrationDefinition>("d", flow("y")).await;
    sandbox.ready(&["d"]).await;
    let made = sandbox.count("create jobs");
    sandbox.apply([resumed("second", "first", json!({"x": 1}))]).await;
    let finished = sandbox.finished("second").await;
    assert_eq!(
        (state(&finished), states(&finished).as_str()),
        ("Succeeded", "a Succeeded, b Succeeded, c Succeeded")
    );
    let status = finished.status.as_ref().unwrap();
    for id in ["a", "b"] {
        assert_eq!(
            (status.activities[id].attempt, status.activities[id].taken_from.as_deref()),
            (0, Some("first"))
        );
    }
    assert_eq!((status.activities["c"].attempt, &status.activities["c"].taken_from), (1, &None));
    assert_eq!(status.activities["c"].outputs.as_ref().unwrap()["saw"], json!({"n": "b"}));
    assert_eq!(sandbox.count("create jobs") - made, 1);
    assert_eq!(status.progress.as_deref(), Some("3/3"));
    assert!(says(&finished, "Accepted").ends_with("; takes over 2 of its activities from \"first\""));
    // All of it again from the second: nothing runs, and who ran it is still named.
    sandbox.apply([resumed("third", "second", json!({"x": 1}))]).await;
    let finished = sandbox.finished("third").await;
    let activities = &finished.status.as_ref().unwrap().activities;
    let from: Vec<&str> = activities.values().map(|entry| entry.taken_from.as_deref().unwrap()).collect();
    assert_eq!((state(&finished), from), ("Succeeded", vec!["first", "first", "second"]));
    assert_eq!(sandbox.count("create jobs") - made, 1);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_refused() {
    let (sandbox, _) = failed_at_c().await;
    sandbox.apply([definition("other", flow("x"))]).await;
    sandbox.ready(&["other"]).await;
    let mut stranger = resumed("type", "first", json!({"x": 1}));
    stranger["spec"]["type"] = json!("other");
    sandbox
        .apply([
            resumed("self", "self", json!({"x": 1})),
            resumed("missing", "nobody", json!({})),
            resumed("input", "first", json!({"x": 2})),
            stranger,
        ])
        .await;
    for (name, why) in [
        ("self", "an Orchestration cannot resume from itself"),
        ("missing", "Orchestration \"nobody\" not found in this namespace"),
        ("input", "Orchestration \"first\" had another input"),
        ("type", "Orchestration \"first\" is of type \"d\", not \"other\""),
    ] {
        let finished = sandbox.finished(name).await;
        assert_eq!(says(&finished, "Succeeded"), format!("False ResumeMismatch: spec.resumeFrom: {why}"));
        assert_eq!(state(&finished), "Failed");
    }
    // One that still runs.
    let mut waits = orchestration("waits", "d", json!({"x": 1}));
    waits["spec"]["suspend"] = json!(true);
    sandbox.apply([waits, resumed("early", "waits", json!({"x": 1}))]).await;
    let finished = sandbox.finished("early").await;
    assert_eq!(
        says(&finished, "Succeeded"),
        "False ResumeMismatch: spec.resumeFrom: Orchestration \"waits\" has not finished"
    );
}

#[tokio::test(start_paused = true)]
async fn one_whose_revision_is_gone_cannot_be_resumed_from() {
    let (mut sandbox, _) = failed_at_c().await;
    for name in sandbox.names::<ControllerRevision>().await {
        sandbox.api::<ControllerRevision>().delete(&name, &DeleteParams::default()).await.unwrap();
    }
    sandbox.edit::<OrchestrationDefinition>("d", flow("y")).await;
    sandbox.ready(&["d"]).await;
    sandbox.start_operator();
    sandbox.apply([resumed("second", "first", json!({"x": 1}))]).await;
    let told = says(&sandbox.finished("second").await, "Succeeded");
    assert!(told.starts_with("False ResumeMismatch: spec.resumeFrom: what Orchestration \"first\" ran from cannot be compared: "), "{told}");
}

#[tokio::test(start_paused = true)]
async fn one_that_was_refused_has_nothing_to_be_taken_over_and_its_input_counts() {
    let sandbox = Sandbox::start(|work| Act::outputs(&json!({"n": work.activity})));
    let mut inactive = flow("x");
    inactive["active"] = json!(false);
    sandbox.apply([type_with(json!({})), definition("d", inactive)]).await;
    sandbox.apply([orchestration("first", "d", json!({"x": 1}))]).await;
    assert!(says(&sandbox.finished("first").await, "Succeeded").starts_with("False DefinitionInactive: "));
    sandbox.edit::<OrchestrationDefinition>("d", json!({"active": true})).await;
    sandbox.ready(&["d"]).await;
    sandbox
        .apply([resumed("other", "first", json!({"x": 2})), resumed("same", "first", json!({"x": 1}))])
        .await;
    assert_eq!(
        says(&sandbox.finished("other").await, "Succeeded"),
        "False ResumeMismatch: spec.resumeFrom: Orchestration \"first\" had another input"
    );
    let finished = sandbox.finished("same").await;
    assert_eq!(states(&finished), "a Succeeded, b Succeeded, c Succeeded");
    assert!(says(&finished, "Accepted").ends_with("; takes over 0 of its activities from \"first\""));
    assert_eq!(sandbox.count("create jobs"), 3);
}
