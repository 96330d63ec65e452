//! Faults: crashes at every write, two operators, names that are taken, and objects that cannot be read.

use std::collections::BTreeSet;

use kube::api::{Api, DynamicObject};
use kube::discovery::ApiResource;
use orchestrator::api::{Orchestration, OrchestrationSchedule};
use orchestrator::controller::schedule::knowledge::LOOK_AGAIN;
use orchestrator::embedded::kinds::definition::Definition;
use serde_json::{Value, json};

use super::*;
use crate::support::fuse::Fuse;
use crate::support::objects::{orchestration, schedule};
use crate::support::sandbox::Setup;
use crate::support::told::says;

/// An operator that lives for so many writes, again and again, until a time.
async fn lives_of(writes: i64, over: Value, type_: &str) -> (Sandbox, usize) {
    let mut sandbox = sandbox().await;
    begin(&sandbox, type_, "*/10 * * * *", type_, with(keep(), over)).await;
    let end = at("2026-01-01T03:00:30Z");
    let mut lives = 0;
    while sandbox.now() < end {
        let fuse = Fuse::at_write(writes);
        sandbox.start_operator_with_fuse(&fuse);
        lives += 1;
        let left = Duration::try_from(end.duration_since(sandbox.now())).unwrap();
        tokio::select! {
            () = fuse.blown() => {}
            () = sandbox.pass(left) => {}
        }
        // Its successor takes its time.
        sandbox.stop_operator();
        sandbox.pass(Duration::from_secs(7)).await;
    }
    sandbox.start_operator();
    sandbox.pass(MINUTE).await;
    (sandbox, lives)
}

fn each_once(made: &[String]) {
    let distinct: BTreeSet<&String> = made.iter().collect();
    assert_eq!(distinct.len(), made.len(), "{made:?}");
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_dies_at_every_write_makes_every_tick_once() {
    let expected = ticks("*/10 * * * *", "Etc/UTC", at("2026-01-01T00:00:01Z"), at("2026-01-01T03:01:00Z"));
    for writes in [1, 2, 3, 5] {
        let (sandbox, lives) = lives_of(writes, json!({}), "quick").await;
        let made = made(&sandbox, "quick");
        assert_eq!(made, names("quick", &expected), "dying at every {writes}. write");
        let status = status(&sandbox, "quick").await;
        assert_eq!(status.missed, Some(0));
        assert_eq!(status.last_schedule_time.unwrap().0, *expected.last().unwrap());
        println!("dying at every {writes}. write: {lives} lives");
        assert!(lives > 5);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_dies_at_every_write_keeps_to_its_history_limits() {
    let over = json!({"successfulHistoryLimit": 0});
    for writes in [1, 2, 3] {
        let (sandbox, _) = lives_of(writes, over.clone(), "quick").await;
        let made = made(&sandbox, "quick");
        each_once(&made);
        assert_eq!(made.len(), 18, "{made:?}");
        assert_eq!(sandbox.names::<Orchestration>().await, [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_dies_at_every_write_replaces_one_after_the_other() {
    for writes in [1, 2, 4] {
        let (sandbox, _) = lives_of(writes, json!({"concurrencyPolicy": "Replace"}), "slow").await;
        each_once(&made(&sandbox, "slow"));
        let all = runs(&sandbox).await;
        for (one, next) in all.iter().zip(&all[1..]) {
            let status = one.status.as_ref().unwrap();
            let ended = status.completion_time.as_ref().unwrap().0;
            assert!(ended <= next.metadata.creation_timestamp.as_ref().unwrap().0, "{writes}");
        }
        assert!(all.len() >= 15, "{}", all.len());
    }
}

#[tokio::test(start_paused = true)]
async fn two_operators_make_every_tick_once() {
    for over in [json!({}), json!({"concurrencyPolicy": "Replace"}), json!({"successfulHistoryLimit": 0})] {
        let sandbox = sandbox().await;
        let _other = sandbox.another_operator();
        begin(&sandbox, "s", "* * * * *", "quick", with(keep(), over)).await;
        sandbox.pass(HOUR).await;
        let made = made(&sandbox, "s");
        each_once(&made);
        assert_eq!(made.len(), 60);
        assert_eq!(status(&sandbox, "s").await.missed, Some(0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_a_missed_tick_and_the_stranger_stays() {
    let sandbox = sandbox().await;
    begin(&sandbox, "s", "0 * * * *", "quick", keep()).await;
    let names = named("s", &["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"]);
    let mut stranger = orchestration(&names[0], "quick", json!({}));
    // Neither the labels nor an owner of that name make it ours.
    stranger["metadata"]["labels"] = json!({
        "orchestrator.dev/schedule": "s", "orchestrator.dev/scheduled-time": "20260101T010000Z",
    });
    sandbox.apply([stranger]).await;
    let before = sandbox.finished(&names[0]).await;
    sandbox.pass(2 * HOUR).await;
    assert_eq!(
        history(&sandbox, "s").await,
        ["2026-01-01T01:00:00Z: NameConflict".to_owned(), format!("2026-01-01T02:00:00Z: {}", names[1])]
    );
    let status = status(&sandbox, "s").await;
    assert_eq!(status.missed, Some(1));
    assert_eq!(
        status.history[1].message.as_deref().unwrap(),
        format!("the Orchestration \"{}\" exists and does not belong to this schedule", names[0])
    );
    assert_eq!(sandbox.api::<Orchestration>().get(&names[0]).await.unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_deleted_before_anybody_sees_it_holds_up_nothing() {
    let sandbox = sandbox().await;
    begin(&sandbox, "slow", "0 * * * *", "slow", keep()).await;
    sandbox.pass(HOUR + MINUTE).await;
    let name = named("slow", &["2026-01-01T01:00:00Z"]).remove(0);
    sandbox.api::<Orchestration>().delete(&name, &Default::default()).await.unwrap();
    sandbox.pass(LOOK_AGAIN).await;
    assert_eq!(status(&sandbox, "slow").await.active_count, Some(0));
    sandbox.pass(HOUR).await;
    assert_eq!(made(&sandbox, "slow").len(), 2);
}

/// A sandbox whose server has other schemas.
async fn with_schemas(change: impl Fn(&str, &mut Value)) -> Sandbox {
    let definitions = orchestrator::api::crds().into_iter().map(|crd| {
        let mut crd = serde_json::to_value(crd).unwrap();
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap().to_owned();
        change(&kind, &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]);
        Definition::compile(&crd).unwrap()
    });
    let script = |_: &Work| Act::outputs(&json!({}));
    let sandbox = Sandbox::start_as(Setup { definitions: definitions.collect(), ..Setup::default() }, script);
    prepare(&sandbox).await;
    sandbox
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_told_and_harms_no_other_schedule() {
    let sandbox = with_schemas(|kind, spec| {
        if kind == "OrchestrationSchedule" {
            spec["properties"]["failedHistoryLimit"] =
                json!({"description": "any", "x-kubernetes-preserve-unknown-fields": true});
        }
    })
    .await;
    sandbox.apply([schedule("poison", "0 * * * *", "quick", json!({"failedHistoryLimit": "many"}))]).await;
    begin(&sandbox, "s", "0 * * * *", "quick", keep()).await;
    sandbox.pass(HOUR).await;
    assert_eq!(made(&sandbox, "s").len(), 1);
    assert_eq!(made(&sandbox, "poison"), [""; 0]);
    let resource = ApiResource::erase::<OrchestrationSchedule>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(sandbox.client.clone(), "default", &resource);
    let poison = api.get("poison").await.unwrap();
    let conditions = poison.data["status"]["conditions"].as_array().unwrap();
    let told: Vec<_> = conditions.iter().map(|one| (one["type"].clone(), one["reason"].clone())).collect();
    assert_eq!(told, [("Ready".into(), "Unreadable".into()), ("Stalled".into(), "Unreadable".into())]);
    let writes = sandbox.writes.lock().unwrap();
    assert_eq!(
        writes.iter().filter(|line| line.ends_with(" orchestrationschedules poison")).count(),
        2,
        "told once"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_the_server_refuses_is_told_and_asked_for_again() {
    let sandbox = with_schemas(|kind, spec| {
        if kind == "Orchestration" {
            spec["properties"]["correlationId"]["maxLength"] = json!(3);
        }
    })
    .await;
    let template =
        |id: &str| json!({"orchestrationTemplate": {"spec": {"type": "quick", "correlationId": id}}});
    begin(&sandbox, "s", "0 * * * *", "quick", with(keep(), template("too long"))).await;
    sandbox.pass(HOUR + 20 * MINUTE).await;
    let found = sandbox.api::<OrchestrationSchedule>().get("s").await.unwrap();
    let told = says(&found, "Ready");
    assert!(
        told.starts_with("False RunRefused: the last tick cannot be made into a run: ")
            && told.contains("spec.correlationId: Too long"),
        "{told}"
    );
    assert_eq!(status(&sandbox, "s").await.accounted_schedule_time, None, "the tick is as due as before");
    sandbox.edit::<OrchestrationSchedule>("s", template("abc")).await;
    sandbox.pass(MINUTE).await;
    assert_eq!(made(&sandbox, "s"), named("s", &["2026-01-01T01:00:00Z"]));
    let found = sandbox.api::<OrchestrationSchedule>().get("s").await.unwrap();
    assert!(says(&found, "Ready").starts_with("True "));
}
