//! What a plan costs, in work and not in time.

use serde_json::{Value, json};

use super::fixture::{Fixture, complete};
use crate::api::orchestration::ActivityState;

const ACTIVITIES: usize = 1000;

/// A thousand activities in layers of a hundred, and ten thousand edges.
fn large() -> Value {
    let activity = |at: usize| {
        let layer = (at / 100 * 100).saturating_sub(100);
        let count = if at < 100 { 0 } else { 12 };
        let depends_on: Vec<String> =
            (0..count).map(|edge| format!("a{}", layer + (at * 7 + edge * 5) % 100)).collect();
        let inputs: Vec<Value> = depends_on
            .iter()
            .take(2)
            .enumerate()
            .map(|(item, id)| json!({"source": format!("{id}.x"), "target": format!("t{item}")}))
            .collect();
        json!({"id": format!("a{at}"), "type": "t", "dependsOn": depends_on, "inputs": inputs})
    };
    json!({"activities": (0..ACTIVITIES).map(activity).collect::<Vec<_>>()})
}

#[test]
fn a_plan_looks_at_every_activity_and_edge_a_few_times_at_most() {
    let mut fixture = Fixture::of(&large());
    let edges: usize = (0..ACTIVITIES).map(|at| fixture.compiled.graph.dependencies(at).len()).sum();
    assert_eq!(edges, 10_800);
    let limit = (3 * ACTIVITIES + edges) as u64;
    let first = fixture.plan();
    assert_eq!(first.effects.len(), 100, "all that is ready starts in one round");
    assert!(first.work <= limit, "{}", first.work);
    for at in 0..500 {
        fixture.see_at(at, complete(json!({"x": at})));
    }
    for _ in 0..3 {
        let plan = fixture.record(1);
        assert!(plan.work <= limit, "{}", plan.work);
        assert!(plan.effects.len() <= 100);
    }
    let done = fixture.status().activities.values().filter(|entry| entry.state == ActivityState::Succeeded);
    assert_eq!(done.count(), 500);
}
