//! Limits, and definitions at and beyond them.

use super::*;
use crate::engine::problem::text;

fn spec(activities: Vec<Value>) -> OrchestrationDefinitionSpec {
    serde_json::from_value(json!({"activities": activities})).unwrap()
}

fn first_problem(spec: &OrchestrationDefinitionSpec) -> String {
    compile(spec, state_of).unwrap_err()[0].to_string()
}

#[test]
fn a_thousand_activities_with_ten_thousand_edges_compile() {
    let activity = |at: usize| {
        let depends_on: Vec<String> = (at.saturating_sub(10)..at).map(|other| format!("a{other}")).collect();
        let inputs: Vec<String> = depends_on.iter().take(3).map(|id| format!("{id}.value{id}")).collect();
        json!({"id": format!("a{at}"), "type": "t", "dependsOn": depends_on, "inputs": inputs})
    };
    let compiled = compile(&spec((0..1000).map(activity).collect()), state_of).unwrap();
    assert_eq!(compiled.tiers.len(), 1000);
    assert_eq!((0..1000).map(|at| compiled.graph.dependencies(at).len()).sum::<usize>(), 9945);
    assert_eq!(compiled.order, (0..1000).collect::<Vec<_>>());
}

#[test]
fn lists_end_at_their_limit() {
    let inputs = |count: usize| {
        spec(vec![
            json!({"id": "a", "type": "t", "inputs": (0..count).map(|at| format!("x{at}")).collect::<Vec<_>>()}),
        ])
    };
    assert!(compile(&inputs(100), state_of).is_ok());
    assert_eq!(
        first_problem(&inputs(101)),
        "LimitExceeded: spec.activities[0].inputs: must have at most 100 entries, has 101"
    );
    let dependencies = |count: usize| {
        spec(vec![
            json!({"id": "a", "type": "t"}),
            json!({"id": "b", "type": "t", "dependsOn": vec!["a"; count]}),
        ])
    };
    assert!(compile(&dependencies(1000), state_of).is_ok());
    assert_eq!(
        first_problem(&dependencies(1001)),
        "LimitExceeded: spec.activities[1].dependsOn: must have at most 1000 entries, has 1001"
    );
}

#[test]
fn a_chain_of_a_thousand_that_is_a_cycle_is_told() {
    let activity = |at: usize| json!({"id": format!("a{at}"), "type": "t", "dependsOn": format!("a{}", (at + 1) % 1000)});
    let problem = first_problem(&spec((0..1000).map(activity).collect()));
    assert!(
        problem.starts_with("CycleDetected: spec.activities: dependency cycle a0 -> a999 -> a998 -> "),
        "{problem}"
    );
    assert!(problem.ends_with(" -> a1 -> a0"));
}

/// As large as an object in etcd may be, and as wrong as it can be. It must not occupy the controller for minutes:
/// looking for similar names is bounded.
#[test]
fn a_definition_of_nothing_but_mistakes_is_told_soon() {
    let wrong = |at: usize| json!({"id": format!("{}-{at}", "a".repeat(50)), "type": "t", "dependsOn": vec!["aa"; 300]});
    let problems = compile(&spec((0..1000).map(wrong).collect()), state_of).unwrap_err();
    assert_eq!(problems.len(), 300_000);
    assert!(text(&problems).ends_with(" more"));
}

#[test]
fn a_huge_name_gets_no_suggestion() {
    let mut activities: Vec<Value> =
        (0..1000).map(|at| json!({"id": format!("{}-{at}", "a".repeat(50)), "type": "t"})).collect();
    activities.push(json!({"id": "last", "type": "t", "dependsOn": "a".repeat(1_000_000)}));
    let problem = first_problem(&spec(activities));
    assert_eq!(
        problem,
        format!("UnknownDependency: spec.activities[1000].dependsOn: no activity \"{}…\"", "a".repeat(80))
    );
}
