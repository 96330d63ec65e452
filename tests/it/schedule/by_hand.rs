//! Runs by hand: now, for ticks that have passed, and by whoever can create an Orchestration.

use orchestrator::api::{Orchestration, OrchestrationSchedule};
use orchestrator::cli::schedule::manual::{Made, backfill, trigger};
use orchestrator::cli::schedule::{BackfillArguments, Refusal};
use serde_json::json;

use super::*;

async fn backfilled(
    sandbox: &Sandbox,
    from: &str,
    to: &str,
    max: u32,
    dry_run: bool,
) -> Result<String, String> {
    let arguments = BackfillArguments {
        name: "s".to_owned(),
        from: from.to_owned(),
        to: Some(to.to_owned()),
        max,
        dry_run,
        again: false,
        namespace: None,
    };
    let mut output = Vec::new();
    let result = backfill(&sandbox.client, "default", &arguments, sandbox.now(), &mut output).await.unwrap();
    match result {
        Ok(_) => Ok(String::from_utf8(output).unwrap()),
        Err(Refusal(lines)) => Err(lines.join("\n")),
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_now_belongs_to_the_schedule_and_knows_when_it_was_made() {
    let sandbox = sandbox().await;
    begin(&sandbox, "s", "0 12 * * *", "quick", json!({"suspend": true})).await;
    sandbox.pass(90 * MINUTE).await;
    let mut output = Vec::new();
    let result = trigger(&sandbox.client, "default", "s", sandbox.now(), &mut output).await.unwrap();
    assert!(matches!(result, Ok(Made::All)));
    let printed = String::from_utf8(output).unwrap();
    let name = printed.trim().strip_prefix("made ").unwrap();
    assert!(name.starts_with("s-manual-"), "{name}");
    let run = sandbox.finished(name).await;
    assert_eq!(run.status.unwrap().scheduled_time.unwrap().0, at("2026-01-01T01:30:00Z"));
    sandbox.pass(MINUTE).await;
    let status = status(&sandbox, "s").await;
    assert_eq!(status.last_result.unwrap().name, name);
    assert_eq!((status.last_schedule_time, status.history.len()), (None, 0), "it is no tick");

    let missing = trigger(&sandbox.client, "default", "x", sandbox.now(), &mut Vec::new()).await.unwrap();
    let Err(Refusal(told)) = missing else { panic!("there is none") };
    assert_eq!(told, ["OrchestrationSchedule \"x\" not found in the namespace default"]);
}

#[tokio::test(start_paused = true)]
async fn ticks_that_have_passed_are_made_and_those_that_exist_are_skipped() {
    let sandbox = sandbox().await;
    sandbox.pass(6 * HOUR).await;
    begin(&sandbox, "s", "0 * * * *", "quick", keep()).await;
    sandbox.pass(2 * HOUR + 10 * MINUTE).await;
    assert_eq!(made(&sandbox, "s").len(), 2);

    let (from, to) = ("2026-01-01T04:00", "2026-01-01T08:00:00Z");
    let dry = backfilled(&sandbox, from, to, 100, true).await.unwrap();
    assert_eq!(made(&sandbox, "s").len(), 2, "{dry}");
    let lines: Vec<&str> = dry.lines().collect();
    let told = |tick: &str, what: &str| {
        let (name, clock) = (named("s", &[tick]).remove(0), &tick[11..19]);
        format!("Thu 2026-01-01 {clock} +00:00  {tick}  {name}  {what}")
    };
    assert_eq!(lines[0], told("2026-01-01T04:00:00Z", "would make"));
    assert_eq!(lines[3], told("2026-01-01T07:00:00Z", "exists (Succeeded)"));
    assert_eq!(lines[4], "3 would be made, 1 skipped because they exist or existed, 0 not made");

    let done = backfilled(&sandbox, from, to, 100, false).await.unwrap();
    assert_eq!(done.lines().last(), Some("3 made, 1 skipped because they exist or existed, 0 not made"));
    let expected = ["04", "05", "06"].map(|hour| at(&format!("2026-01-01T{hour}:00:00Z")));
    assert_eq!(made(&sandbox, "s")[2..], names("s", &expected));
    for (tick, name) in expected.iter().zip(names("s", &expected)) {
        let run = sandbox.finished(&name).await;
        assert_eq!(run.status.unwrap().scheduled_time.unwrap().0, *tick);
    }
    // One after the other, because the policy is Forbid.
    let all = runs(&sandbox).await;
    let made_by_hand: Vec<&Orchestration> = names("s", &expected)
        .iter()
        .map(|name| all.iter().find(|run| run.metadata.name.as_ref() == Some(name)).unwrap())
        .collect();
    for (one, next) in made_by_hand.iter().zip(&made_by_hand[1..]) {
        let ended = one.status.as_ref().unwrap().completion_time.as_ref().unwrap().0;
        assert!(ended <= next.metadata.creation_timestamp.as_ref().unwrap().0);
    }
    let again = backfilled(&sandbox, from, to, 100, false).await.unwrap();
    assert_eq!(again.lines().last(), Some("0 made, 4 skipped because they exist or existed, 0 not made"));

    // The schedule goes on as if nothing had been.
    sandbox.pass(HOUR).await;
    let status = status(&sandbox, "s").await;
    assert_eq!((status.missed, status.history.len()), (Some(0), 3));
}

#[tokio::test(start_paused = true)]
async fn a_tick_whose_run_the_history_limits_have_deleted_is_not_made_again() {
    let sandbox = sandbox().await;
    sandbox.pass(6 * HOUR).await;
    let few = json!({"successfulHistoryLimit": 2});
    begin(&sandbox, "s", "0 * * * *", "quick", few).await;
    sandbox.pass(14 * HOUR + 10 * MINUTE).await;
    assert_eq!((made(&sandbox, "s").len(), runs(&sandbox).await.len()), (14, 2));
    let removed = status(&sandbox, "s").await.removed;
    assert_eq!(removed.len(), 1, "{removed:?}");
    assert_eq!(removed[0].last.0, at("2026-01-01T18:00:00Z"));

    // More than the history names, and before the first tick.
    let (from, to) = ("2026-01-01T01:00", "2026-01-01T20:05");
    let done = backfilled(&sandbox, from, to, 100, false).await.unwrap();
    assert_eq!(
        done.lines().last(),
        Some("6 made, 14 skipped because they exist or existed, 0 not made"),
        "{done}"
    );
    assert!(done.contains("existed (deleted by the history limits; --again makes it once more)"), "{done}");
    sandbox.pass(5 * MINUTE).await;
    assert_eq!(runs(&sandbox).await.len(), 2, "they are kept within the limits too");
    let again = backfilled(&sandbox, from, to, 100, false).await.unwrap();
    assert_eq!(again.lines().last(), Some("0 made, 20 skipped because they exist or existed, 0 not made"));
    let mut all = made(&sandbox, "s");
    assert_eq!(all.len(), 20);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 20, "each tick once");
}

#[tokio::test(start_paused = true)]
async fn ticks_that_are_made_up_for_by_hand_wait_for_whoever_runs_and_for_the_schedules_own() {
    let sandbox = sandbox().await;
    sandbox.pass(6 * HOUR).await;
    begin(&sandbox, "s", "0 * * * *", "slow", keep()).await;
    let schedule = sandbox.api::<OrchestrationSchedule>().get("s").await.unwrap();
    // As kubectl makes one: with the owner, and without our label.
    sandbox
        .apply([json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration",
            "metadata": {"name": "other", "ownerReferences": [{
                "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationSchedule", "name": "s",
                "uid": schedule.metadata.uid, "controller": true,
            }]},
            "spec": schedule.spec.orchestration_template.spec,
        })])
        .await;
    sandbox.pass(HOUR + MINUTE).await;
    assert!(status(&sandbox, "s").await.waiting_schedule_time.is_some(), "its own tick waits too");
    let filling = backfilled(&sandbox, "2026-01-01T01:00", "2026-01-01T01:30", 100, false);
    tokio::pin!(filling);
    assert!(tokio::time::timeout(10 * MINUTE, &mut filling).await.is_err());
    assert_eq!(made(&sandbox, "s"), [""; 0]);
    let end = json!({"shutdown": "Terminate"});
    sandbox.edit::<Orchestration>("other", end.clone()).await;
    // The schedule's own comes first, and is waited for.
    assert!(tokio::time::timeout(10 * MINUTE, &mut filling).await.is_err());
    let own = named("s", &["2026-01-01T07:00:00Z"]);
    assert_eq!(made(&sandbox, "s"), own);
    sandbox.edit::<Orchestration>(&own[0], end).await;
    let done = filling.await.unwrap();
    assert_eq!(done.lines().last(), Some("1 made, 0 skipped because they exist or existed, 0 not made"));
    assert_eq!(unfinished(&runs(&sandbox).await).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_made_is_refused_before_anything_is() {
    let sandbox = sandbox().await;
    sandbox.pass(6 * HOUR).await;
    begin(&sandbox, "s", "0 * * * *", "quick", keep()).await;
    let refused =
        async |from: &str, to: &str, max| backfilled(&sandbox, from, to, max, false).await.unwrap_err();
    assert_eq!(
        refused("2026-01-01T00:00:00Z", "2026-01-01T06:00:00Z", 3).await,
        "--max: there are more than 3 ticks from 2026-01-01T00:00:00Z to 2026-01-01T06:00:00Z; nothing is made"
    );
    assert_eq!(
        refused("2026-01-01", "2026-01-02", 100).await,
        "--to: 2026-01-02T00:00:00Z is still to come: the schedule itself makes what is to come"
    );
    assert_eq!(
        refused("2026-01-01T03:00:00Z", "2026-01-01T03:00:00Z", 100).await,
        "--from: Thu 2026-01-01 03:00:00 +00:00  2026-01-01T03:00:00Z is not before --to: Thu 2026-01-01 03:00:00 +00:00  2026-01-01T03:00:00Z"
    );
    assert!(refused("noon", "2026-01-01", 1).await.starts_with("--from: \"noon\" is no time"));
    let nothing = json!({"orchestrationTemplate": {"spec": {"type": "nothing"}}});
    sandbox.edit::<OrchestrationSchedule>("s", nothing).await;
    seen(&sandbox, "s").await;
    assert_eq!(
        refused("2026-01-01", "2026-01-01T02:00", 100).await,
        "OrchestrationSchedule \"s\" is not ready: DefinitionNotFound: OrchestrationDefinition \"nothing\" not found \
         in this namespace"
    );
    assert_eq!(made(&sandbox, "s"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn whoever_creates_a_run_with_owner_and_label_has_made_the_tick() {
    let sandbox = sandbox().await;
    begin(&sandbox, "s", "0 * * * *", "slow", keep()).await;
    let schedule = sandbox.api::<OrchestrationSchedule>().get("s").await.unwrap();
    // What kubectl or an action of a GitOps tool would send, before the schedule comes to the tick itself.
    let name = named("s", &["2026-01-01T01:00:00Z"]).remove(0);
    sandbox
        .apply([json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration",
            "metadata": {
                "name": name, "labels": {"orchestrator.dev/scheduled-time": "20260101T010000Z"},
                "ownerReferences": [{
                    "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationSchedule", "name": "s",
                    "uid": schedule.metadata.uid, "controller": true,
                }],
            },
            "spec": schedule.spec.orchestration_template.spec,
        })])
        .await;
    sandbox.pass(MINUTE).await;
    assert_eq!(status(&sandbox, "s").await.active[0].name, name);
    sandbox.pass(HOUR).await;
    assert_eq!(made(&sandbox, "s"), std::slice::from_ref(&name), "the tick has its run");
    assert_eq!(history(&sandbox, "s").await, [format!("2026-01-01T01:00:00Z: {name}")]);
    // It counts for Forbid too.
    sandbox.pass(HOUR).await;
    assert_eq!(made(&sandbox, "s").len(), 1);
    assert!(status(&sandbox, "s").await.waiting_schedule_time.is_some());
}
