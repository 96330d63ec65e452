//! Measuring: what a status write tells the metrics.
//!
//! Responsible for: counting each end, start and retry once, when the status that tells of it is stored. Must never:
//! change anything, or count what a user wrote.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::guard::Guarded;
use crate::api::Orchestration;
use crate::api::orchestration::{ActivityState, ActivityStatus, OrchestrationStatus};
use crate::engine::observe::FailureReason;
use crate::engine::schedule::decide::Entry;
use crate::engine::state::{OrchestrationState, is_final, name};
use crate::metrics::{Metrics, Outcome, ProviderOutcome, Why};

/// Who does the work.
const PROVIDER: &str = "job";
/// The state of what cannot be read.
const UNREADABLE: &str = "Unreadable";
/// What stands for everything that is on no list.
const OTHER: &str = "Other";

/// Counts what is new in a status of an Orchestration.
pub(super) fn orchestration(metrics: &Metrics, before: &OrchestrationStatus, after: &OrchestrationStatus) {
    for (id, activity) in &after.activities {
        let previous = before.activities.get(id);
        if previous != Some(activity) {
            self::activity(metrics, previous, activity);
        }
    }
    if before.completion_time.is_none() && after.completion_time.is_some() {
        let result = state(after);
        if let Some(seconds) = seconds(&after.start_time, &after.completion_time) {
            metrics.orchestration_duration.get_or_create(&Outcome { result }).observe(seconds);
        }
    }
}

fn activity(metrics: &Metrics, before: Option<&ActivityStatus>, after: &ActivityStatus) {
    if after.taken_from.is_some() {
        // Another Orchestration did it.
        return;
    }
    let started = before.and_then(|before| before.start_time.as_ref());
    if after.start_time.is_some()
        && started != after.start_time.as_ref()
        && let Some(seconds) = seconds(&after.ready_time, &after.start_time)
    {
        metrics.activity_start_delay.observe(seconds);
    }
    let was = before.map(|before| before.state);
    if was == Some(after.state) && before.map(|before| before.attempt) == Some(after.attempt) {
        return;
    }
    let why = || Why { reason: closed(after.reason.as_deref()) };
    if after.state == ActivityState::Retrying {
        metrics.activity_retries.get_or_create(&why()).inc();
    }
    if is_final(after.state) && !was.is_some_and(is_final) {
        if after.state == ActivityState::Failed {
            metrics.activity_failures.get_or_create(&why()).inc();
        }
        if let Some(seconds) = seconds(&after.start_time, &after.completion_time) {
            let labels = ProviderOutcome { provider: PROVIDER, result: name(after.state) };
            metrics.activity_duration.get_or_create(&labels).observe(seconds);
        }
    }
}

/// Counts what became of ticks.
pub(super) fn ticks(metrics: &Metrics, history: &[Entry], now: Timestamp) {
    for entry in history {
        match &entry.outcome {
            Ok(_) => metrics.schedule_skew.observe(now.duration_since(entry.tick).as_secs_f64().max(0.0)),
            Err(missed) => {
                metrics.schedule_missed.get_or_create(&Why { reason: missed.reason() }).inc();
            }
        }
    }
}

/// Orchestrations by state.
pub(super) fn census(all: &[Arc<Guarded<Orchestration>>]) -> BTreeMap<&'static str, u64> {
    // What is not there is told too: a series that vanishes cannot be watched.
    let known = OrchestrationState::ALL.iter().map(|state| (state.as_str(), 0));
    let mut counts: BTreeMap<&'static str, u64> = known.chain([(UNREADABLE, 0)]).collect();
    for found in all {
        let state = match &found.content {
            Ok(orchestration) => {
                orchestration.status.as_ref().map_or(OrchestrationState::Pending.as_str(), state)
            }
            Err(_) => UNREADABLE,
        };
        *counts.entry(state).or_default() += 1;
    }
    counts
}

/// The state of an Orchestration, from the closed list.
fn state(status: &OrchestrationStatus) -> &'static str {
    let known = OrchestrationState::ALL.iter().map(|state| state.as_str());
    let word = status.state.as_deref().unwrap_or(OrchestrationState::Pending.as_str());
    known.into_iter().find(|state| *state == word).unwrap_or(OTHER)
}

/// A reason from the closed list.
fn closed(reason: Option<&str>) -> &'static str {
    let known = FailureReason::ALL.iter().map(|known| known.as_str());
    known.into_iter().find(|known| Some(*known) == reason).unwrap_or(OTHER)
}

/// Seconds between two times; nothing where one is missing. Clocks differ: never less than nothing.
fn seconds(from: &Option<Time>, to: &Option<Time>) -> Option<f64> {
    let (from, to) = (from.as_ref()?.0, to.as_ref()?.0);
    Some(to.duration_since(from).as_secs_f64().max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(value: serde_json::Value) -> OrchestrationStatus {
        serde_json::from_value(value).unwrap()
    }

    fn lines(metrics: &Metrics) -> Vec<String> {
        let all = metrics.render(false);
        let told = all.lines().filter(|line| {
            (line.contains("activity_") || line.contains("orchestration_duration"))
                && (line.contains("_total") || line.contains("_count") || line.contains("_sum"))
                && !line.starts_with('#')
        });
        told.map(str::to_owned).collect()
    }

    #[test]
    fn each_end_start_and_retry_is_counted_once() {
        let metrics = Metrics::default();
        let at = |second: u32| format!("2026-01-01T00:00:{second:02}Z");
        let pending = status(json!({"state": "Running", "startTime": at(0), "activities": {
            "a": {"state": "Pending", "readyTime": at(0)}}}));
        let retrying = status(json!({"state": "Running", "startTime": at(0), "activities": {
            "a": {"state": "Retrying", "attempt": 1, "readyTime": at(0), "startTime": at(2), "reason": "TimedOut"}}}));
        let done = status(
            json!({"state": "Failed", "startTime": at(0), "completionTime": at(9), "activities": {
            "a": {"state": "Failed", "attempt": 2, "readyTime": at(4), "startTime": at(5), "completionTime": at(8),
                "reason": "nonsense"}}}),
        );
        orchestration(&metrics, &OrchestrationStatus::default(), &pending);
        orchestration(&metrics, &pending, &retrying);
        orchestration(&metrics, &retrying, &retrying);
        orchestration(&metrics, &retrying, &done);
        orchestration(&metrics, &done, &done);
        assert_eq!(
            lines(&metrics),
            [
                "orchestrator_orchestration_duration_seconds_sum{result=\"Failed\"} 9.0",
                "orchestrator_orchestration_duration_seconds_count{result=\"Failed\"} 1",
                "orchestrator_activity_duration_seconds_sum{provider=\"job\",result=\"Failed\"} 3.0",
                "orchestrator_activity_duration_seconds_count{provider=\"job\",result=\"Failed\"} 1",
                "orchestrator_activity_start_delay_seconds_sum 3.0",
                "orchestrator_activity_start_delay_seconds_count 2",
                "orchestrator_activity_retries_total{reason=\"TimedOut\"} 1",
                "orchestrator_activity_failures_total{reason=\"Other\"} 1",
            ]
        );
    }
}
