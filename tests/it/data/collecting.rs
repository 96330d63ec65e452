//! Revisions go when nothing refers to them, and never before.

use std::time::Duration;

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::api::DeleteParams;
use orchestrator::api::{Orchestration, OrchestrationDefinition};
use orchestrator::config::Settings;
use serde_json::{Value, json};

use crate::support::kubelet::Act;
use crate::support::objects::{activity_definition, definition, orchestration};
use crate::support::sandbox::{Sandbox, Setup};
use crate::support::told::says;

/// How long what is unused is kept by default, and long enough for it to be found and deleted.
const KEPT: Duration = Duration::from_secs(3600);
const LONG: Duration = Duration::from_secs(2 * 3600);

fn activities(count: usize) -> Value {
    let activities: Vec<Value> = (0..count).map(|at| json!({"id": format!("a{at}"), "type": "t"})).collect();
    json!({ "activities": activities })
}

/// A sandbox with a definition `d` of one activity.
async fn sandbox() -> Sandbox {
    let sandbox = Sandbox::start(|_| Act::outputs(&json!({})));
    sandbox.apply([activity_definition("t"), definition("d", activities(1))]).await;
    sandbox.ready(&["d"]).await;
    sandbox
}

/// Runs an Orchestration to its end. The result is its revision.
async fn run(sandbox: &Sandbox, name: &str) -> String {
    sandbox.apply([orchestration(name, "d", json!({}))]).await;
    sandbox.finished(name).await.status.unwrap().revision.unwrap()
}

/// Edits the definition, and waits until it is Ready again.
async fn edit(sandbox: &Sandbox, count: usize) {
    sandbox.edit::<OrchestrationDefinition>("d", activities(count)).await;
    sandbox
        .until("d", |d: &OrchestrationDefinition| {
            d.status.as_ref().is_some_and(|status| status.tiers.first().map(Vec::len) == Some(count))
        })
        .await;
}

async fn revisions(sandbox: &Sandbox) -> Vec<String> {
    let mut names = sandbox.names::<ControllerRevision>().await;
    names.sort();
    names
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn a_revision_stays_as_long_as_an_orchestration_refers_to_it_and_goes_later() {
    let sandbox = sandbox().await;
    let old = run(&sandbox, "old").await;
    edit(&sandbox, 2).await;
    let new = run(&sandbox, "new").await;
    tokio::time::sleep(LONG).await;
    assert_eq!(
        revisions(&sandbox).await,
        sorted(vec![old.clone(), new.clone()]),
        "a finished run refers to it"
    );

    sandbox.api::<Orchestration>().delete("old", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(KEPT - Duration::from_secs(700)).await;
    assert_eq!(revisions(&sandbox).await, sorted(vec![old, new.clone()]), "not at once");
    tokio::time::sleep(LONG).await;
    assert_eq!(revisions(&sandbox).await, [new.as_str()]);

    // The one that the next run will have stays, whether or not anything refers to it.
    sandbox.api::<Orchestration>().delete("new", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(LONG).await;
    assert_eq!(revisions(&sandbox).await, [new.as_str()]);
    assert_eq!(run(&sandbox, "another").await, new);
    assert_eq!(sandbox.count("create controllerrevisions"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_a_definition_names_between_two_looks_stays_as_if_it_were_new() {
    // Another process may have read the definition in that moment, and be about to pin an Orchestration to it.
    let sandbox = sandbox().await;
    let old = run(&sandbox, "old").await;
    edit(&sandbox, 2).await;
    let new = run(&sandbox, "new").await;
    sandbox.api::<Orchestration>().delete("old", &DeleteParams::default()).await.unwrap();
    sandbox.api::<OrchestrationDefinition>().delete("d", &DeleteParams::default()).await.unwrap();
    // Not at a look, which comes every ten minutes.
    tokio::time::sleep(KEPT - Duration::from_secs(300)).await;
    sandbox.apply([definition("d", activities(1))]).await;
    let again = sandbox
        .until("d", |d: &OrchestrationDefinition| d.status.as_ref().is_some_and(|s| s.revision.is_some()))
        .await;
    assert_eq!(again.status.unwrap().revision.as_ref(), Some(&old));
    sandbox.api::<OrchestrationDefinition>().delete("d", &DeleteParams::default()).await.unwrap();
    let both = sorted(vec![old, new.clone()]);
    tokio::time::sleep(KEPT - Duration::from_secs(60)).await;
    assert_eq!(revisions(&sandbox).await, both, "it has become unused again only now");
    tokio::time::sleep(LONG).await;
    assert_eq!(revisions(&sandbox).await, [new.as_str()]);
}

#[tokio::test(start_paused = true)]
async fn the_revisions_of_a_definition_that_is_gone_go_with_its_last_orchestration() {
    let sandbox = sandbox().await;
    let revision = run(&sandbox, "run").await;
    sandbox.api::<OrchestrationDefinition>().delete("d", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(LONG).await;
    assert_eq!(revisions(&sandbox).await, [revision]);
    sandbox.api::<Orchestration>().delete("run", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(LONG).await;
    assert_eq!(revisions(&sandbox).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_comes_back_as_it_was_finds_its_revision_or_makes_it_again() {
    let sandbox = sandbox().await;
    let first = run(&sandbox, "run").await;
    for again in ["kept", "collected"] {
        sandbox.api::<OrchestrationDefinition>().delete("d", &DeleteParams::default()).await.unwrap();
        if again == "collected" {
            for name in sandbox.names::<Orchestration>().await {
                sandbox.api::<Orchestration>().delete(&name, &DeleteParams::default()).await.unwrap();
            }
            tokio::time::sleep(LONG).await;
            assert_eq!(revisions(&sandbox).await, Vec::<String>::new());
        }
        sandbox.apply([definition("d", activities(1))]).await;
        sandbox.ready(&["d"]).await;
        assert_eq!(run(&sandbox, again).await, first, "{again}");
        assert_eq!(revisions(&sandbox).await, [first.as_str()], "{again}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_made_and_what_nobody_can_place_stays() {
    let sandbox = sandbox().await;
    let revision = |name: &str, labels: Value, annotations: Value| {
        json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": {},
            "metadata": {"name": name, "labels": labels, "annotations": annotations}})
    };
    let ours =
        json!({"app.kubernetes.io/managed-by": "orchestrator", "orchestrator.dev/definition-hash": "x"});
    sandbox
        .apply([
            revision(
                "daemon",
                json!({"controller-revision-hash": "x"}),
                json!({"orchestrator.dev/definition": "gone"}),
            ),
            revision("unplaced", ours.clone(), json!({})),
            revision("unused", ours, json!({"orchestrator.dev/definition": "gone"})),
        ])
        .await;
    tokio::time::sleep(LONG).await;
    assert_eq!(revisions(&sandbox).await, ["daemon", "unplaced"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_being_accepted_keeps_its_revision_however_eager_the_collection() {
    // Everything unused goes within milliseconds. Every definition comes back as it was, finds its old revision perhaps,
    // and goes in the middle of an acceptance.
    let settings = Settings { revision_retention: Duration::from_millis(6), ..Settings::default() };
    let slow = Duration::from_millis(40);
    let sandbox = Sandbox::start_as(Setup { settings, longest_request: slow, ..Setup::default() }, |_| {
        Act::outputs(&json!({}))
    });
    sandbox.apply([activity_definition("t")]).await;
    let mut accepted = 0;
    for round in 0..60 {
        let name = format!("run-{round}");
        sandbox.apply([definition("d", activities(1))]).await;
        sandbox.ready(&["d"]).await;
        sandbox.apply([orchestration(&name, "d", json!({}))]).await;
        tokio::time::sleep(Duration::from_millis(11 * round % 90)).await;
        sandbox.api::<OrchestrationDefinition>().delete("d", &DeleteParams::default()).await.unwrap();
        let told = sandbox
            .until(&name, |run: &Orchestration| {
                run.status.as_ref().is_some_and(|status| status.revision.is_some())
                    || says(run, "Accepted").contains("DefinitionNotFound")
            })
            .await;
        if let Some(revision) = told.status.unwrap().revision {
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(revisions(&sandbox).await, [revision], "round {round}");
            accepted += 1;
        }
        sandbox.api::<Orchestration>().delete(&name, &DeleteParams::default()).await.unwrap();
    }
    let deleted = sandbox.count("delete controllerrevisions");
    assert!((10..60).contains(&accepted) && deleted > 5, "{accepted} accepted, {deleted} deleted");
}
