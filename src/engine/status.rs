//! Status updates: what a status is to become, and the smallest patch that makes it so.
//!
//! Responsible for: that only what changed travels. Must never: decide what a status says.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::api::orchestration::{ActivityStatus, OrchestrationStatus};

/// A new status, as a summary and the activities that changed; all others stay as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatusUpdate {
    /// Everything but the activities; its `activities` is empty.
    pub summary: OrchestrationStatus,
    /// The activities that changed, whole.
    pub activities: BTreeMap<String, ActivityStatus>,
}

impl StatusUpdate {
    /// The status after the update.
    #[must_use]
    pub fn apply(&self, previous: &OrchestrationStatus) -> OrchestrationStatus {
        let mut status = self.summary.clone();
        status.activities.clone_from(&previous.activities);
        status.activities.extend(self.activities.iter().map(|(id, activity)| (id.clone(), activity.clone())));
        status
    }

    /// The JSON merge patch from one status to the next, or nothing if they are equal.
    #[must_use]
    pub fn merge_patch(&self, previous: &OrchestrationStatus) -> Option<Value> {
        let mut patch = difference(&value(&summary(previous)), &value(&self.summary)).unwrap_or_default();
        let mut activities = Map::new();
        for (id, activity) in &self.activities {
            let before = previous.activities.get(id).map_or_else(|| json!({}), value);
            if let Some(change) = difference(&before, &value(activity)) {
                activities.insert(id.clone(), Value::Object(change));
            }
        }
        if !activities.is_empty() {
            patch.insert("activities".to_owned(), Value::Object(activities));
        }
        (!patch.is_empty()).then(|| json!({ "status": patch }))
    }
}

/// A status without its activities.
#[must_use]
pub fn summary(status: &OrchestrationStatus) -> OrchestrationStatus {
    OrchestrationStatus {
        observed_generation: status.observed_generation,
        state: status.state.clone(),
        progress: status.progress.clone(),
        revision: status.revision.clone(),
        activities: BTreeMap::new(),
        output: status.output.clone(),
        start_time: status.start_time.clone(),
        scheduled_time: status.scheduled_time.clone(),
        stop_time: status.stop_time.clone(),
        stop_reason: status.stop_reason.clone(),
        finally_time: status.finally_time.clone(),
        finally_stop_time: status.finally_stop_time.clone(),
        completion_time: status.completion_time.clone(),
        duration: status.duration.clone(),
        conditions: status.conditions.clone(),
    }
}

/// How long something took, as people write it: `45s`, `1m5s`, `2h0m3s`. Never negative.
#[must_use]
pub fn duration(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.as_second().saturating_sub(from.as_second()).max(0);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        (_, _) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Our own types always serialise; should one ever not, an empty value makes the patch larger and not wrong.
fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

/// What a merge patch must hold to turn one object into another; null removes.
#[must_use]
pub fn difference(old: &Value, new: &Value) -> Option<Map<String, Value>> {
    let empty = Map::new();
    let old = old.as_object().unwrap_or(&empty);
    let new = new.as_object().unwrap_or(&empty);
    let mut patch = Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(before) if before == value => {}
            Some(before @ Value::Object(_)) if value.is_object() => {
                if let Some(change) = difference(before, value) {
                    patch.insert(key.clone(), Value::Object(change));
                }
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_travels() {
        let old = json!({"a": 1, "b": {"c": 1, "d": 2}, "e": [1], "f": 1});
        let new = json!({"a": 1, "b": {"c": 1, "d": 3}, "e": [1, 2]});
        assert_eq!(
            Value::Object(difference(&old, &new).unwrap()),
            json!({"b": {"d": 3}, "e": [1, 2], "f": null})
        );
        assert_eq!(difference(&new, &new), None);
    }

    #[test]
    fn a_patch_names_the_changed_activity_alone() {
        let entry =
            |reason: Option<&str>| ActivityStatus { reason: reason.map(str::to_owned), ..Default::default() };
        let mut previous = OrchestrationStatus::default();
        previous.activities.insert("a".to_owned(), entry(Some("Waits")));
        previous.activities.insert("b".to_owned(), entry(None));
        let update =
            StatusUpdate { summary: summary(&previous), activities: [("a".to_owned(), entry(None))].into() };
        assert_eq!(
            update.merge_patch(&previous),
            Some(json!({"status": {"activities": {"a": {"reason": null}}}}))
        );
        assert_eq!(update.merge_patch(&update.apply(&previous)), None);
    }

    #[test]
    fn durations_read_like_go() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(duration(at(0), at(45)), "45s");
        assert_eq!(duration(at(0), at(65)), "1m5s");
        assert_eq!(duration(at(0), at(7203)), "2h0m3s");
        assert_eq!(duration(at(9), at(3)), "0s");
    }
}
