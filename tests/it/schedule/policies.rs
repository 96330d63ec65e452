//! Concurrency policies, catch-up and starting deadlines.

use serde_json::json;

use super::*;

#[tokio::test(start_paused = true)]
async fn forbid_waits_and_misses_what_the_next_tick_overtakes() {
    let sandbox = sandbox().await;
    begin(&sandbox, "slow", "0 * * * *", "slow", keep()).await;
    sandbox.pass(3 * HOUR + 30 * MINUTE).await;
    let first = named("slow", &["2026-01-01T01:00:00Z"]);
    assert_eq!(made(&sandbox, "slow"), first);
    let status = status(&sandbox, "slow").await;
    assert_eq!(status.waiting_schedule_time.as_ref().unwrap().0, at("2026-01-01T03:00:00Z"));
    assert_eq!(status.active[0].name, first[0]);
    assert_eq!((status.active_count, status.missed), (Some(1), Some(1)));
    assert_eq!(
        history(&sandbox, "slow").await,
        [format!("2026-01-01T01:00:00Z: {}", first[0]), "2026-01-01T02:00:00Z: StillRunning".to_owned()]
    );

    // Its end lets the tick that waits begin, at once.
    sandbox.edit::<Orchestration>(&first[0], json!({"shutdown": "Terminate"})).await;
    sandbox.pass(5 * MINUTE).await;
    assert_eq!(made(&sandbox, "slow"), named("slow", &["2026-01-01T01:00:00Z", "2026-01-01T03:00:00Z"]));
    let status = super::status(&sandbox, "slow").await;
    assert_eq!(status.waiting_schedule_time, None);
    assert_eq!(status.last_result.unwrap().state, "Cancelled");
}

#[tokio::test(start_paused = true)]
async fn forbid_gives_up_at_the_starting_deadline() {
    let sandbox = sandbox().await;
    let over = with(keep(), json!({"startingDeadlineSeconds": 600}));
    begin(&sandbox, "slow", "0 * * * *", "slow", over).await;
    sandbox.pass(2 * HOUR + 9 * MINUTE).await;
    assert_eq!(status(&sandbox, "slow").await.missed, Some(0));
    sandbox.pass(2 * MINUTE).await;
    assert_eq!(status(&sandbox, "slow").await.waiting_schedule_time, None);
    assert_eq!(history(&sandbox, "slow").await[1], "2026-01-01T02:00:00Z: StillRunning");
}

#[tokio::test(start_paused = true)]
async fn allow_runs_beside() {
    let sandbox = sandbox().await;
    let over = with(keep(), json!({"concurrencyPolicy": "Allow"}));
    begin(&sandbox, "slow", "0 * * * *", "slow", over).await;
    sandbox.pass(3 * HOUR).await;
    assert_eq!(unfinished(&runs(&sandbox).await).len(), 3);
    let status = status(&sandbox, "slow").await;
    assert_eq!((status.active.len(), status.active_count, status.missed), (3, Some(3), Some(0)));
}

#[tokio::test(start_paused = true)]
async fn replace_ends_the_earlier_run_and_waits_for_its_end() {
    let sandbox = sandbox().await;
    let over = with(keep(), json!({"concurrencyPolicy": "Replace"}));
    begin(&sandbox, "slow", "0 * * * *", "slow", over).await;
    sandbox.pass(3 * HOUR + 10 * MINUTE).await;
    let expected = named("slow", &["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z"]);
    assert_eq!(made(&sandbox, "slow"), expected);
    let all = runs(&sandbox).await;
    assert_eq!(unfinished(&all), [expected[2].clone()]);
    for (one, next) in all.iter().zip(&all[1..]) {
        let status = one.status.as_ref().unwrap();
        assert_eq!(status.state.as_deref(), Some("Cancelled"));
        let ended = status.completion_time.as_ref().unwrap().0;
        assert!(ended <= next.metadata.creation_timestamp.as_ref().unwrap().0, "the next one waited");
    }
    assert_eq!(status(&sandbox, "slow").await.missed, Some(0));
}

/// A schedule of every hour whose operator was away for four hours and a half.
async fn after_an_outage(over: Value) -> (Sandbox, Vec<String>) {
    let mut sandbox = sandbox().await;
    begin(&sandbox, "s", "0 * * * *", "quick", with(keep(), over)).await;
    sandbox.stop_operator();
    sandbox.pass(4 * HOUR + 30 * MINUTE).await;
    assert_eq!(made(&sandbox, "s"), [""; 0]);
    sandbox.start_operator();
    sandbox.pass(10 * MINUTE).await;
    let made = made(&sandbox, "s");
    (sandbox, made)
}

const MISSED: [&str; 4] =
    ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z", "2026-01-01T04:00:00Z"];

#[tokio::test(start_paused = true)]
async fn after_an_outage_the_last_tick_is_made_up_for() {
    let (sandbox, made) = after_an_outage(json!({})).await;
    assert_eq!(made, named("s", &MISSED[3..]));
    assert_eq!(status(&sandbox, "s").await.missed, Some(3));
    let told = history(&sandbox, "s").await;
    assert_eq!(told.len(), 4);
    assert!(told[..3].iter().all(|line| line.ends_with(": Superseded")), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_all_are_made_up_for_one_after_the_other() {
    let (sandbox, made) = after_an_outage(json!({"catchUp": "All"})).await;
    assert_eq!(made, named("s", &MISSED));
    assert_eq!(status(&sandbox, "s").await.missed, Some(0));
    // Forbid counts here too.
    let all = runs(&sandbox).await;
    for (one, next) in all.iter().zip(&all[1..]) {
        let ended = one.status.as_ref().unwrap().completion_time.as_ref().unwrap().0;
        assert!(ended <= next.metadata.creation_timestamp.as_ref().unwrap().0);
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_nothing_is_made_up_for_if_that_is_wanted() {
    let (sandbox, made) = after_an_outage(json!({"catchUp": "None"})).await;
    assert_eq!(made, [""; 0]);
    let told = history(&sandbox, "s").await;
    assert!(told.len() == 4 && told.iter().all(|line| line.ends_with(": NotMadeUp")), "{told:?}");
    sandbox.pass(HOUR).await;
    assert_eq!(super::made(&sandbox, "s"), named("s", &["2026-01-01T05:00:00Z"]));
}

#[tokio::test(start_paused = true)]
async fn what_is_later_than_its_starting_deadline_is_missed() {
    let (sandbox, made) = after_an_outage(json!({"catchUp": "All", "startingDeadlineSeconds": 5700})).await;
    assert_eq!(made, named("s", &MISSED[2..]));
    let told = history(&sandbox, "s").await;
    assert!(told[..2].iter().all(|line| line.ends_with(": TooLate")), "{told:?}");
    assert_eq!(status(&sandbox, "s").await.missed, Some(2));
}

#[tokio::test(start_paused = true)]
async fn three_days_of_minutes_are_made_up_for_within_limits() {
    let mut sandbox = sandbox().await;
    let over = with(keep(), json!({"catchUp": "All", "concurrencyPolicy": "Allow"}));
    begin(&sandbox, "s", "* * * * *", "quick", over).await;
    sandbox.stop_operator();
    sandbox.pass(3 * DAY).await;
    sandbox.start_operator();
    sandbox.pass(Duration::from_secs(20)).await;
    let ticks = ticks("* * * * *", "Etc/UTC", at("2026-01-01T00:00:00Z"), sandbox.now());
    assert_eq!(made(&sandbox, "s"), names("s", &ticks[ticks.len() - 100..]));
    let status = status(&sandbox, "s").await;
    assert_eq!(status.missed, Some(i64::try_from(ticks.len()).unwrap() - 100));
    assert_eq!(status.history.len(), 10);
}
