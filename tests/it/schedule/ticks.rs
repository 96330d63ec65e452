//! Ticks become runs: each once, with its time, on every day of a year.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::batch::v1::Job;
use orchestrator::api::{Orchestration, OrchestrationSchedule};
use serde_json::json;

use super::*;
use crate::support::told::says;

#[tokio::test(start_paused = true)]
async fn every_tick_makes_one_run_that_belongs_to_the_schedule_and_never_one_at_creation() {
    let sandbox = sandbox().await;
    begin(&sandbox, "s", "*/15 * * * *", "quick", keep()).await;
    assert_eq!(made(&sandbox, "s"), [""; 0]);
    sandbox.pass(2 * HOUR).await;
    let expected = ticks("*/15 * * * *", "Etc/UTC", at("2026-01-01T00:00:00Z"), at("2026-01-01T02:00:00Z"));
    assert_eq!(expected.len(), 8);
    assert_eq!(made(&sandbox, "s"), names("s", &expected));

    let schedule = sandbox.api::<OrchestrationSchedule>().get("s").await.unwrap();
    for (run, tick) in runs(&sandbox).await.iter().zip(&expected) {
        let owners = run.metadata.owner_references.as_ref().unwrap();
        assert_eq!(owners.len(), 1);
        assert_eq!((owners[0].kind.as_str(), owners[0].controller), ("OrchestrationSchedule", Some(true)));
        assert_eq!(Some(&owners[0].uid), schedule.metadata.uid.as_ref());
        assert_eq!(owners[0].block_owner_deletion, None);
        let labels = run.metadata.labels.as_ref().unwrap();
        assert_eq!(labels["orchestrator.dev/schedule"], "s");
        assert_eq!(labels["orchestrator.dev/scheduled-time"], tick.strftime("%Y%m%dT%H%M%SZ").to_string());
        let status = run.status.as_ref().unwrap();
        assert_eq!(status.scheduled_time.as_ref().unwrap().0, *tick);
        assert!(status.completion_time.is_some());
    }
    let status = schedule.status.clone().unwrap();
    let time = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        time.as_ref().map(|time| time.0)
    };
    assert_eq!(time(&status.next_schedule_time), Some(at("2026-01-01T02:15:00Z")));
    assert_eq!(time(&status.last_schedule_time), Some(at("2026-01-01T02:00:00Z")));
    assert_eq!(time(&status.accounted_schedule_time), Some(at("2026-01-01T02:00:00Z")));
    assert!(time(&status.last_successful_time) >= Some(at("2026-01-01T02:00:00Z")));
    assert_eq!((status.missed, status.active_count), (Some(0), Some(0)));
    assert_eq!(status.history.len(), 8);
    let result = status.last_result.as_ref().unwrap();
    assert_eq!(
        (result.state.as_str(), time(&result.schedule_time)),
        ("Succeeded", Some(at("2026-01-01T02:00:00Z")))
    );
    assert_eq!(says(&schedule, "Ready"), "True Ready: makes runs of OrchestrationDefinition \"quick\"");
    assert_eq!(says(&schedule, "Stalled"), "");
}

#[tokio::test(start_paused = true)]
async fn activities_know_the_tick_and_a_run_by_hand_has_none() {
    let sandbox = Sandbox::start(|work| Act::outputs(&json!({"time": work.input["time"]})));
    prepare(&sandbox).await;
    sandbox
        .apply([definition(
            "timed",
            json!({
                "activities": [
                    {"id": "told", "type": "t", "inputs": ["schedule.time"]},
                    {"id": "scheduled", "type": "t", "when": "has(schedule.time)"},
                    {"id": "morning", "type": "t", "when": "!has(schedule.time) || schedule.time.contains(\"T06:\")"},
                ],
                "output": [{"source": "told.time"}],
            }),
        )])
        .await;
    sandbox.ready(&["timed"]).await;
    begin(&sandbox, "s", "0 6,7 * * *", "timed", keep()).await;
    sandbox.pass(8 * HOUR).await;
    let states = |run: &Orchestration| {
        let activities = &run.status.as_ref().unwrap().activities;
        ["told", "scheduled", "morning"].map(|id| format!("{:?}", activities[id].state)).join(" ")
    };
    let all = runs(&sandbox).await;
    assert_eq!(
        all.iter().map(states).collect::<Vec<_>>(),
        ["Succeeded Succeeded Succeeded", "Succeeded Succeeded Skipped"]
    );
    let output = all[0].status.as_ref().unwrap().output.clone().unwrap();
    assert_eq!(output["time"], "2026-01-01T06:00:00Z");
    let variables = |job: &Job| -> BTreeMap<String, String> {
        let pod = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
        let all = pod.containers[0].env.iter().flatten();
        all.map(|one| (one.name.clone(), one.value.clone().unwrap_or_default())).collect()
    };
    for job in sandbox.api::<Job>().list(&Default::default()).await.unwrap().items {
        let time = &variables(&job)["ORCHESTRATOR_SCHEDULED_TIME"];
        assert!(["2026-01-01T06:00:00Z", "2026-01-01T07:00:00Z"].contains(&time.as_str()), "{time}");
    }

    sandbox.apply([crate::support::objects::orchestration("by-hand", "timed", json!({}))]).await;
    let by_hand = sandbox.finished("by-hand").await;
    assert_eq!(states(&by_hand), "Succeeded Skipped Succeeded");
    assert!(by_hand.status.unwrap().output.is_none_or(|output| output.is_empty()));
    for job in sandbox.api::<Job>().list(&Default::default()).await.unwrap().items {
        let of = job.metadata.labels.as_ref().unwrap()["orchestrator.dev/orchestration"].clone();
        assert_eq!(variables(&job).contains_key("ORCHESTRATOR_SCHEDULED_TIME"), of != "by-hand");
    }
}

#[tokio::test(start_paused = true)]
async fn the_tick_of_a_run_is_that_of_its_acceptance() {
    let sandbox = sandbox().await;
    begin(&sandbox, "slow", "0 6 * * *", "slow", keep()).await;
    sandbox.pass(7 * HOUR).await;
    let name = names("slow", &[at("2026-01-01T06:00:00Z")]).remove(0);
    let patch = json!({"metadata": {"labels": {"orchestrator.dev/scheduled-time": "20200101T000000Z"}}});
    let api = sandbox.api::<Orchestration>();
    api.patch(&name, &Default::default(), &kube::api::Patch::Merge(patch)).await.unwrap();
    sandbox.pass(HOUR).await;
    let status = api.get(&name).await.unwrap().status.unwrap();
    assert_eq!(status.scheduled_time.unwrap().0, at("2026-01-01T06:00:00Z"));
}

/// The zones of the numbers.
const ZONES: [&str; 7] = [
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Etc/UTC",
];

/// Lets time pass, and compares the runs that were made with the ticks that the zones' clocks have.
async fn compare(sandbox: &Sandbox, expressions: &[&str], time: Duration) -> usize {
    let named =
        |zone: &str, number: usize| format!("{}-{number}", zone.to_lowercase().replace(['/', '_'], "-"));
    for zone in ZONES {
        for (number, expression) in expressions.iter().enumerate() {
            let over = json!({"timeZone": zone});
            begin(sandbox, &named(zone, number), expression, "quick", over).await;
        }
    }
    sandbox.writes.lock().unwrap().clear();
    let from = sandbox.now();
    sandbox.pass(time).await;
    let mut count = 0;
    for zone in ZONES {
        for (number, expression) in expressions.iter().enumerate() {
            let name = named(zone, number);
            let expected = ticks(expression, zone, from, sandbox.now());
            assert!(expected.is_sorted_by(|one, next| one < next));
            assert_eq!(made(sandbox, &name), names(&name, &expected), "{expression} in {zone}");
            count += expected.len();
            sandbox.api::<OrchestrationSchedule>().delete(&name, &Default::default()).await.unwrap();
        }
    }
    count
}

/// The engine's tests go through whole years. Here it is a hundred days, with every change of spring: each watch that is
/// asked for again after five minutes takes its time.
#[tokio::test(start_paused = true)]
async fn a_hundred_nights_in_seven_zones_make_every_run_once() {
    let sandbox = sandbox().await;
    let count = compare(&sandbox, &["30 2 * * *"], 100 * DAY).await;
    assert_eq!(count, 7 * 100);
    println!("{count} runs in a hundred days");
}

#[tokio::test(start_paused = true)]
async fn the_days_when_clocks_change_make_every_run_once() {
    let sandbox = sandbox().await;
    // Four times an hour goes with every hour, and costs four times as much.
    let expressions = ["0 * * * *", "30 2 * * *", "0 9-16 * * 0-5"];
    let mut count = 0;
    let beginning = at("2026-01-01T00:00:00Z");
    let mut days: BTreeSet<i64> = BTreeSet::new();
    for zone in ZONES {
        let zone = jiff::tz::TimeZone::get(zone).unwrap();
        let changes = zone.following(beginning).map(|change| change.timestamp());
        let in_year = changes.take_while(|change| *change < at("2027-01-01T00:00:00Z"));
        days.extend(in_year.map(|change| change.duration_since(beginning).as_hours() / 24));
    }
    assert!(days.len() >= 6, "{days:?}");
    for day in days {
        let begins = beginning + jiff::SignedDuration::from_hours(24 * day);
        // Two changes in a row are looked at together.
        let wait = begins.duration_since(sandbox.now());
        if wait.is_negative() {
            continue;
        }
        // There is no schedule meanwhile, and nobody else minds a clock that is set.
        sandbox.set_clock(wait);
        count += compare(&sandbox, &expressions, 2 * DAY).await;
    }
    println!("{count} runs on the days when clocks change");
    assert!(count > 2500);
}

#[tokio::test(start_paused = true)]
async fn every_hour_follows_real_time_and_a_fixed_time_is_once_a_day() {
    let sandbox = sandbox().await;
    sandbox.pass(86 * DAY).await;
    let over = || with(keep(), json!({"timeZone": "Europe/Paris"}));
    begin(&sandbox, "every", "0 * * * *", "quick", over()).await;
    begin(&sandbox, "fixed", "30 2 * * *", "quick", over()).await;
    // From 28 March to 30 March, midnight to midnight UTC; the gap is on 29 March at 01:00 UTC.
    sandbox.pass(3 * DAY - HOUR).await;
    let day = |from: &str, to: &str| {
        let (from, to) = (at(from), at(to));
        let tick = |name: &String| {
            let minutes: i64 = name.rsplit('-').next().unwrap().parse().unwrap();
            Timestamp::from_second(minutes * 60).unwrap()
        };
        let count = |schedule: &str| {
            made(&sandbox, schedule).iter().filter(|name| (from..to).contains(&tick(name))).count()
        };
        (count("every"), count("fixed"))
    };
    assert_eq!(day("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"), (23, 1));
    assert!(made(&sandbox, "fixed").contains(&named("fixed", &["2026-03-29T01:00:00Z"])[0]), "after the gap");
}
