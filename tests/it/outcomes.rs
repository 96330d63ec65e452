//! How attempts and runs end, through the real API server and the real Job controller.

use orchestrator::api::orchestration::{ActivityState, OrchestrationStatus};
use serde_json::{Value, json};

use crate::support::scene::Scene;

mod deadlines;
mod endings;
mod failures;
mod real_kubelet;
mod removal;
mod retried;
mod stopped;
mod values;
mod vanished;

/// Activities of one type that do not depend on each other.
fn independent(type_: &str, ids: &[&str]) -> Value {
    ids.iter().map(|id| json!({"id": id, "type": type_})).collect()
}

/// Fails unless an activity has failed with exactly this reason and message.
#[track_caller]
pub fn assert_failed(status: &OrchestrationStatus, id: &str, reason: &str, message: &str) {
    let entry = &status.activities[id];
    let found = (entry.state, entry.reason.as_deref(), entry.message.as_deref());
    assert_eq!(found, (ActivityState::Failed, Some(reason), Some(message)), "{id}");
}

/// Fails unless the last attempt of an activity was taken away with exactly this reason and message, and the run ended
/// before the next.
#[track_caller]
pub fn assert_taken_away(status: &OrchestrationStatus, id: &str, reason: &str, message: &str) {
    let entry = &status.activities[id];
    let found = (entry.state, entry.reason.as_deref(), entry.message.as_deref());
    assert_eq!(found, (ActivityState::Cancelled, Some(reason), Some(message)), "{id}");
    assert_eq!((entry.attempt, entry.disruptions), (1, 1), "{id}");
}

/// Waits until all of some activities wait for another attempt.
pub async fn all_retrying(scene: &Scene, ids: &[&str]) {
    for id in ids {
        scene.activity(id, |entry| entry.state == ActivityState::Retrying).await;
    }
}

/// Status, reason and message of a condition.
#[track_caller]
pub fn condition<'a>(status: &'a OrchestrationStatus, type_: &str) -> (&'a str, &'a str, &'a str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == type_);
    let found = found.unwrap_or_else(|| panic!("there is no condition {type_}"));
    (&found.status, &found.reason, &found.message)
}
