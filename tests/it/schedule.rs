//! Schedules: every tick once, whatever happens; in a time that stands still while nobody works, and a few times for
//! real.

mod by_hand;
mod faults;
mod lives;
mod many;
mod mistakes;
mod policies;
mod real;
mod ticks;

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use orchestrator::api::orchestration_schedule::OrchestrationScheduleStatus;
use orchestrator::api::{Orchestration, OrchestrationSchedule};
use orchestrator::engine::schedule::Schedule;
use serde_json::{Value, json};

use crate::support::kubelet::{Act, Work};
use crate::support::objects::{activity_definition, definition, schedule};
use crate::support::sandbox::Sandbox;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Types of runs: `quick` ends at once and needs no pod, `slow` never ends, `fails` fails.
async fn prepare(sandbox: &Sandbox) {
    let mut fails = activity_definition("fails");
    fails["spec"]["retry"] = json!({"maxRetries": 0});
    sandbox.apply([activity_definition("t"), activity_definition("slow"), fails]).await;
    let one = |type_: &str, when: Option<&str>| {
        let mut activity = json!({"id": "a", "type": type_});
        if let Some(when) = when {
            activity["when"] = json!(when);
        }
        json!({"activities": [activity]})
    };
    sandbox
        .apply([
            definition("quick", one("t", Some("1 > 2"))),
            definition("slow", one("slow", None)),
            definition("fails", one("fails", None)),
        ])
        .await;
    sandbox.ready(&["quick", "slow", "fails"]).await;
}

/// What the pods of these types do.
fn act(work: &Work) -> Act {
    let container = &work.pod.spec.as_ref().unwrap().containers[0];
    let mut variables = container.env.iter().flatten();
    let type_ =
        variables.find(|one| one.name == "ORCHESTRATOR_ACTIVITY_TYPE").unwrap().value.clone().unwrap();
    match type_.as_str() {
        "slow" => Act::Run,
        "fails" => Act::Fail(1, "Error", "no".to_owned()),
        _ => Act::outputs(&json!({})),
    }
}

/// A sandbox in which everything is Ready.
async fn sandbox() -> Sandbox {
    let sandbox = Sandbox::start(act);
    prepare(&sandbox).await;
    sandbox
}

/// All runs are kept.
fn keep() -> Value {
    json!({"successfulHistoryLimit": 1000, "failedHistoryLimit": 1000})
}

fn with(mut one: Value, other: Value) -> Value {
    one.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
    one
}

/// The names of the runs that were ever made, in order.
fn made(sandbox: &Sandbox, schedule: &str) -> Vec<String> {
    let prefix = format!("create orchestrations {schedule}-");
    let writes = sandbox.writes.lock().unwrap();
    let lines = writes.iter().filter(|line| line.starts_with(&prefix));
    lines.map(|line| line.trim_start_matches("create orchestrations ").to_owned()).collect()
}

/// The names of the runs of these ticks.
fn names(schedule: &str, ticks: &[Timestamp]) -> Vec<String> {
    ticks.iter().map(|tick| orchestrator::engine::schedule::child_name(schedule, *tick)).collect()
}

/// The same of ticks as text.
fn named(schedule: &str, ticks: &[&str]) -> Vec<String> {
    names(schedule, &ticks.iter().map(|tick| at(tick)).collect::<Vec<_>>())
}

/// The ticks of an expression after one instant and up to another.
fn ticks(expression: &str, zone: &str, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let schedule = Schedule::compile(expression, Some(zone)).unwrap();
    schedule.after(from).take_while(|tick| *tick <= to).collect()
}

async fn status(sandbox: &Sandbox, name: &str) -> OrchestrationScheduleStatus {
    sandbox.api::<OrchestrationSchedule>().get(name).await.unwrap().status.unwrap_or_default()
}

/// The history of a schedule, the oldest first, as `time: name` or `time: reason`.
async fn history(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let status = status(sandbox, name).await;
    let told = status.history.iter().rev().map(|tick| {
        let what = tick.name.clone().or_else(|| tick.skip_reason.clone()).unwrap();
        format!("{}: {what}", tick.schedule_time.0)
    });
    told.collect()
}

async fn runs(sandbox: &Sandbox) -> Vec<Orchestration> {
    sandbox.api::<Orchestration>().list(&Default::default()).await.unwrap().items
}

fn unfinished(runs: &[Orchestration]) -> Vec<String> {
    let is_unfinished =
        |run: &&Orchestration| run.status.as_ref().is_none_or(|status| status.completion_time.is_none());
    runs.iter().filter(is_unfinished).map(ResourceExt::name_any).collect()
}

/// Waits until a schedule was looked at in its newest version.
async fn seen(sandbox: &Sandbox, name: &str) {
    sandbox
        .until(name, |found: &OrchestrationSchedule| {
            let seen = found.status.as_ref().and_then(|status| status.observed_generation);
            seen.is_some() && seen == found.metadata.generation
        })
        .await;
}

/// Makes a schedule, and waits until it was looked at.
async fn begin(sandbox: &Sandbox, name: &str, expression: &str, type_: &str, over: Value) {
    sandbox.apply([schedule(name, expression, type_, over)]).await;
    seen(sandbox, name).await;
}
