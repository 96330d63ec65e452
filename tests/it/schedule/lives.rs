//! The life of a schedule: suspension, edits, history limits, deletion, and clocks that are set.

use jiff::SignedDuration;
use orchestrator::api::{Orchestration, OrchestrationDefinition, OrchestrationSchedule};
use serde_json::{Value, json};

use super::*;
use crate::support::objects::orchestration;
use crate::support::told::says;

#[tokio::test(start_paused = true)]
async fn what_a_suspension_leaves_out_is_not_made_up_for() {
    let sandbox = sandbox().await;
    begin(&sandbox, "s", "0 * * * *", "quick", with(keep(), json!({"catchUp": "All"}))).await;
    sandbox.pass(HOUR + 30 * MINUTE).await;
    sandbox.edit::<OrchestrationSchedule>("s", json!({"suspend": true})).await;
    seen(&sandbox, "s").await;
    let suspended = status(&sandbox, "s").await;
    assert_eq!((suspended.next_schedule_time, suspended.observed_schedule), (None, None));
    let found = sandbox.api::<OrchestrationSchedule>().get("s").await.unwrap();
    assert!(says(&found, "Ready").starts_with("True Suspended: "), "{}", says(&found, "Ready"));
    let writes = sandbox.writes.lock().unwrap().len();
    sandbox.pass(1000 * HOUR).await;
    assert_eq!(sandbox.writes.lock().unwrap().len(), writes, "nothing happens meanwhile");
    sandbox.edit::<OrchestrationSchedule>("s", json!({"suspend": false})).await;
    sandbox.pass(HOUR).await;
    let made = made(&sandbox, "s");
    assert_eq!(made.len(), 2, "{made:?}");
    assert_eq!(status(&sandbox, "s").await.missed, Some(0));
}

#[tokio::test(start_paused = true)]
async fn an_edit_never_runs_for_the_past() {
    let sandbox = sandbox().await;
    begin(&sandbox, "s", "0 12 * * *", "quick", keep()).await;
    sandbox.pass(6 * HOUR).await;
    // 05:00 has passed, and must not be made; nor may the zone move 12:00 into the past and make it.
    sandbox.edit::<OrchestrationSchedule>("s", json!({"schedule": "0 5 * * *"})).await;
    seen(&sandbox, "s").await;
    sandbox
        .edit::<OrchestrationSchedule>("s", json!({"schedule": "0 12 * * *", "timeZone": "Asia/Tokyo"}))
        .await;
    seen(&sandbox, "s").await;
    assert_eq!(status(&sandbox, "s").await.observed_schedule.unwrap().time_zone, "Asia/Tokyo");
    sandbox.pass(3 * HOUR).await;
    assert_eq!(made(&sandbox, "s"), [""; 0]);
    sandbox.pass(18 * HOUR).await;
    assert_eq!(made(&sandbox, "s"), named("s", &["2026-01-02T03:00:00Z"]));
}

#[tokio::test(start_paused = true)]
async fn an_edit_while_nobody_was_there_counts_from_when_it_is_seen() {
    let mut sandbox = sandbox().await;
    begin(&sandbox, "s", "0 12 * * *", "quick", keep()).await;
    sandbox.stop_operator();
    sandbox.pass(HOUR).await;
    sandbox.edit::<OrchestrationSchedule>("s", json!({"schedule": "0 * * * *"})).await;
    sandbox.pass(4 * HOUR).await;
    sandbox.start_operator();
    sandbox.pass(30 * MINUTE).await;
    assert_eq!(made(&sandbox, "s"), [""; 0]);
    sandbox.pass(30 * MINUTE).await;
    assert_eq!(made(&sandbox, "s"), named("s", &["2026-01-01T06:00:00Z"]));
}

#[tokio::test(start_paused = true)]
async fn another_template_is_no_edit_of_the_times() {
    let mut sandbox = sandbox().await;
    begin(&sandbox, "s", "0 * * * *", "quick", keep()).await;
    sandbox.stop_operator();
    sandbox.pass(2 * HOUR + 30 * MINUTE).await;
    sandbox
        .edit::<OrchestrationSchedule>(
            "s",
            json!({"orchestrationTemplate": {"spec": {"correlationId": "c"}}}),
        )
        .await;
    sandbox.start_operator();
    sandbox.pass(10 * MINUTE).await;
    assert_eq!(made(&sandbox, "s"), named("s", &["2026-01-01T02:00:00Z"]));
    assert_eq!(runs(&sandbox).await[0].spec.correlation_id.as_deref(), Some("c"));
}

#[tokio::test(start_paused = true)]
async fn a_schedule_made_while_nobody_was_there_has_its_ticks_since_then() {
    let mut sandbox = sandbox().await;
    sandbox.stop_operator();
    sandbox.pass(30 * MINUTE).await;
    sandbox.apply([schedule("s", "0 * * * *", "quick", keep())]).await;
    sandbox.pass(HOUR).await;
    sandbox.start_operator();
    sandbox.pass(10 * MINUTE).await;
    assert_eq!(made(&sandbox, "s"), named("s", &["2026-01-01T01:00:00Z"]));
}

#[tokio::test(start_paused = true)]
async fn history_limits_delete_the_oldest_that_it_owns_and_that_have_finished() {
    let sandbox = sandbox().await;
    let over = json!({"successfulHistoryLimit": 2, "failedHistoryLimit": 1});
    begin(&sandbox, "good", "0 * * * *", "quick", over.clone()).await;
    begin(&sandbox, "fails", "0 * * * *", "fails", over).await;
    // Finished, of the same type, with the label, and nobody's.
    let mut stranger = orchestration("good-stranger", "quick", json!({}));
    stranger["metadata"]["labels"] = json!({"orchestrator.dev/schedule": "good"});
    sandbox.apply([stranger]).await;
    sandbox.finished("good-stranger").await;
    sandbox.pass(5 * HOUR).await;
    let mut left = sandbox.names::<Orchestration>().await;
    left.sort();
    let mut expected = named("good", &["2026-01-01T04:00:00Z", "2026-01-01T05:00:00Z"]);
    expected.extend(named("fails", &["2026-01-01T05:00:00Z"]));
    expected.push("good-stranger".to_owned());
    expected.sort();
    assert_eq!(left, expected);
    assert_eq!(sandbox.count("delete orchestrations"), 3 + 4);

    // With a limit of none, the tick is not made again.
    sandbox.edit::<OrchestrationSchedule>("good", json!({"successfulHistoryLimit": 0})).await;
    sandbox.pass(2 * HOUR).await;
    let made = made(&sandbox, "good");
    assert_eq!(made.iter().filter(|name| *name != "good-stranger").count(), 7, "{made:?}");
    let left = sandbox.names::<Orchestration>().await;
    assert_eq!(left.iter().filter(|name| name.starts_with("good-")).count(), 1);
    let result = status(&sandbox, "good").await.last_result.unwrap();
    assert_eq!(result.name, named("good", &["2026-01-01T07:00:00Z"])[0], "it outlives its run");
}

#[tokio::test(start_paused = true)]
async fn a_failing_schedule_can_be_seen_without_its_runs() {
    let sandbox = sandbox().await;
    begin(&sandbox, "fails", "0 * * * *", "fails", json!({"failedHistoryLimit": 0})).await;
    sandbox.pass(HOUR + 30 * MINUTE).await;
    assert_eq!(sandbox.names::<Orchestration>().await, [""; 0]);
    let status = status(&sandbox, "fails").await;
    assert_eq!(status.last_successful_time, None);
    let result = status.last_result.unwrap();
    assert_eq!(result.state, "Failed");
    assert!(result.message.unwrap().contains("activity \"a\""));
    let told = sandbox.api::<OrchestrationSchedule>().get("fails").await.unwrap();
    assert!(says(&told, "Ready").starts_with("True "), "the schedule itself is well");
}

#[tokio::test(start_paused = true)]
async fn its_runs_go_with_it_and_one_of_the_same_name_begins_anew() {
    let sandbox = sandbox().await;
    begin(&sandbox, "s", "0 * * * *", "quick", keep()).await;
    sandbox.pass(2 * HOUR).await;
    sandbox.api::<OrchestrationSchedule>().delete("s", &Default::default()).await.unwrap();
    sandbox.pass(MINUTE).await;
    assert_eq!(sandbox.names::<Orchestration>().await, [""; 0]);
    begin(&sandbox, "s", "0 * * * *", "quick", keep()).await;
    sandbox.pass(HOUR).await;
    assert_eq!(sandbox.names::<Orchestration>().await, named("s", &["2026-01-01T03:00:00Z"]));
}

async fn at_most_once(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let made = made(sandbox, name);
    let mut distinct = made.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), made.len(), "{made:?}");
    made
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_makes_no_tick_twice() {
    for jump in [3600, -3600, 86_400, -86_400] {
        let sandbox = sandbox().await;
        sandbox.pass(2 * DAY).await;
        begin(&sandbox, "s", "0 * * * *", "quick", keep()).await;
        sandbox.pass(3 * HOUR + 10 * MINUTE).await;
        sandbox.set_clock(SignedDuration::from_secs(jump));
        sandbox.pass(5 * HOUR).await;
        sandbox.set_clock(SignedDuration::from_secs(-jump));
        sandbox.pass(5 * HOUR).await;
        let made = at_most_once(&sandbox, "s").await;
        let last = status(&sandbox, "s").await;
        println!("{jump} s and back: {} runs, {:?} missed", made.len(), last.missed);
        assert!(made.len() >= 7, "{jump}: {made:?}");
        if jump == 86_400 {
            // Nothing is made until the clock has caught up with what is accounted for; and that is told.
            let found = sandbox.api::<OrchestrationSchedule>().get("s").await.unwrap();
            assert!(says(&found, "Ready").starts_with("False ClockBehind: "), "{}", says(&found, "Ready"));
            sandbox.pass(DAY).await;
            let found = sandbox.api::<OrchestrationSchedule>().get("s").await.unwrap();
            assert!(says(&found, "Ready").starts_with("True "), "{}", says(&found, "Ready"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_forward_wakes_within_a_minute() {
    let sandbox = sandbox().await;
    begin(&sandbox, "s", "0 12 * * *", "quick", keep()).await;
    sandbox.pass(HOUR).await;
    sandbox.set_clock(SignedDuration::from_hours(12));
    sandbox.pass(2 * MINUTE).await;
    assert_eq!(made(&sandbox, "s"), named("s", &["2026-01-01T12:00:00Z"]));
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_changes_is_seen_at_once() {
    let sandbox = sandbox().await;
    let spec = |properties: Value| {
        json!({
            "schema": {"openAPIV3Schema": {"type": "object", "additionalProperties": false, "properties": properties}},
            "activities": [{"id": "a", "type": "t", "when": "1 > 2"}],
        })
    };
    sandbox.apply([definition("d", spec(json!({"diff": {"type": "boolean"}})))]).await;
    let template = json!({"spec": {"type": "d", "input": {"diff": true}}});
    begin(&sandbox, "s", "0 * * * *", "d", with(keep(), json!({"orchestrationTemplate": template}))).await;
    sandbox.until("s", |found: &OrchestrationSchedule| says(found, "Ready").starts_with("True ")).await;
    sandbox.edit::<OrchestrationDefinition>("d", spec(json!({"diff": {"type": "string"}}))).await;
    let found =
        sandbox.until("s", |found: &OrchestrationSchedule| says(found, "Ready").starts_with("False ")).await;
    let told = "InvalidInput: spec.orchestrationTemplate.spec.input.diff: expected string, got boolean true";
    assert_eq!(says(&found, "Ready"), format!("False {told}"));
    assert_eq!(says(&found, "Stalled"), format!("True {told}"));
    sandbox.pass(2 * HOUR).await;
    assert_eq!(made(&sandbox, "s"), [""; 0]);
    assert_eq!(
        history(&sandbox, "s").await,
        ["2026-01-01T01:00:00Z: NotReady", "2026-01-01T02:00:00Z: NotReady"]
    );
    assert_eq!(status(&sandbox, "s").await.history[0].message.as_deref(), Some(told));
    sandbox
        .edit::<OrchestrationSchedule>(
            "s",
            json!({"orchestrationTemplate": {"spec": {"input": {"diff": "yes"}}}}),
        )
        .await;
    sandbox.until("s", |found: &OrchestrationSchedule| says(found, "Ready").starts_with("True ")).await;
    sandbox.pass(HOUR).await;
    assert_eq!(made(&sandbox, "s").len(), 1);
}
