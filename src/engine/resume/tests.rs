//! What is taken over, and what is refused.

use super::*;
use crate::engine::revision::Revision;
use serde_json::json;

/// A revision from activities and types in JSON.
fn pinned(activities: Value, types: &[(&str, Value)]) -> Pinned {
    let types: serde_json::Map<String, Value> = types
        .iter()
        .map(|(name, spec)| ((*name).to_owned(), json!({"generation": 1, "spec": spec})))
        .collect();
    let data = json!({
        "definition": {"generation": 1, "spec": {"activities": activities, "schema": {"type": "object", "properties": {
            "x": {"type": "integer", "default": 1}}}}},
        "activityDefinitions": types,
    });
    Revision::from_data(data).unwrap().pin("r".to_owned()).unwrap()
}

fn job(image: &str) -> Value {
    json!({"job": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}})
}

/// Two chains, a then b and c then d.
fn chains() -> Value {
    json!([
        {"id": "a", "type": "t"}, {"id": "b", "type": "t", "dependsOn": "a", "inputs": ["a.url"]},
        {"id": "c", "type": "u"}, {"id": "d", "type": "u", "dependsOn": "c"},
    ])
}

fn types() -> [(&'static str, Value); 2] {
    [("t", job("one")), ("u", job("two"))]
}

fn new(spec: Value) -> Orchestration {
    let mut whole = json!({"type": "x", "resumeFrom": "old"});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": {"name": "new"}, "spec": whole})).unwrap()
}

/// A finished run, with these states.
fn old(states: Value) -> Orchestration {
    let entries: serde_json::Map<String, Value> = states
        .as_object()
        .unwrap()
        .iter()
        .map(|(id, state)| {
            (
                id.clone(),
                json!({"tier": 7, "state": state, "attempt": 3, "disruptions": 1,
            "startTime": "2026-01-01T00:00:01Z", "outputs": {"url": id}}),
            )
        })
        .collect();
    serde_json::from_value(json!({
        "metadata": {"name": "old"}, "spec": {"type": "x", "input": {"x": 1}},
        "status": {"completionTime": "2026-01-01T00:00:09Z", "activities": entries},
    }))
    .unwrap()
}

fn all_but_d() -> Orchestration {
    old(json!({"a": "Succeeded", "b": "Skipped", "c": "Succeeded", "d": "Failed"}))
}

/// The ids that are taken over, or why none are.
fn check(new_run: &Orchestration, now: &Pinned, old_run: &Orchestration, then: &Pinned, expected: &str) {
    let previous = Previous::Found { orchestration: old_run, pinned: Some(Ok(then)) };
    let found = taken(new_run, now, &previous);
    let shown = match &found {
        Ok(all) => all.keys().cloned().collect::<Vec<_>>().join(" "),
        Err(why) => why.clone(),
    };
    assert_eq!(shown, expected);
}

#[test]
fn what_succeeded_or_was_skipped_is_taken_over() {
    let same = pinned(chains(), &types());
    check(&new(json!({})), &same, &all_but_d(), &same, "a b c");
    let old = all_but_d();
    let previous = Previous::Found { orchestration: &old, pinned: Some(Ok(&same)) };
    let all = taken(&new(json!({})), &same, &previous).unwrap();
    let entry = &all["a"];
    assert_eq!((entry.attempt, entry.disruptions, entry.tier), (0, 0, Some(0)));
    assert_eq!(entry.taken_from.as_deref(), Some("old"));
    assert_eq!(entry.outputs, json!({"url": "a"}).as_object().cloned());
    assert!(entry.start_time.is_some());
}

#[test]
fn the_first_that_ran_it_is_named_through_a_chain_of_runs() {
    let same = pinned(chains(), &types());
    let mut old = all_but_d();
    old.status.as_mut().unwrap().activities.get_mut("a").unwrap().taken_from = Some("first".to_owned());
    let previous = Previous::Found { orchestration: &old, pinned: Some(Ok(&same)) };
    let all = taken(&new(json!({})), &same, &previous).unwrap();
    assert_eq!(
        (all["a"].taken_from.as_deref(), all["c"].taken_from.as_deref()),
        (Some("first"), Some("old"))
    );
}

#[test]
fn what_is_done_otherwise_today_is_done_again_with_all_that_depends_on_it() {
    let then = pinned(chains(), &types());
    let run = new(json!({}));
    let changed = |at: usize, field: &str, value: Value| {
        let mut activities = chains();
        activities[at][field] = value;
        pinned(activities, &types())
    };
    check(&run, &changed(0, "discriminator", json!("deploy")), &all_but_d(), &then, "c");
    check(
        &run,
        &changed(1, "inputs", json!([{"source": "a.url", "target": "other"}])),
        &all_but_d(),
        &then,
        "a c",
    );
    check(&run, &changed(1, "when", json!("input.x > 0")), &all_but_d(), &then, "a c");
    check(&run, &changed(2, "dependsOn", json!("a")), &all_but_d(), &then, "a b");
    for (field, value) in [
        ("retry", json!({"maxRetries": 9})),
        ("timeoutSeconds", json!(7)),
        ("startingDeadlineSeconds", json!(7)),
    ] {
        check(&run, &changed(0, field, value), &all_but_d(), &then, "c");
    }
    let stated = changed(0, "retry", json!({"maxRetries": 3}));
    check(&run, &stated, &all_but_d(), &then, "a b c");
    check(&run, &pinned(chains(), &[("t", job("new")), ("u", job("two"))]), &all_but_d(), &then, "c");
    // The order of a definition says nothing.
    let mut turned = chains();
    turned.as_array_mut().unwrap().reverse();
    check(&run, &pinned(turned, &types()), &all_but_d(), &then, "a b c");
}

#[test]
fn what_depends_on_what_is_done_again_is_done_again() {
    let same = pinned(chains(), &types());
    let old = old(json!({"a": "Failed", "b": "Succeeded", "c": "Cancelled", "d": "NotStarted"}));
    check(&new(json!({})), &same, &old, &same, "");
}

#[test]
fn outputs_that_were_pruned_are_made_again() {
    let mut types = types();
    types[0].1["outputSchema"] =
        json!({"type": "object", "required": ["url"], "properties": {"url": {"type": "string"}}});
    let same = pinned(chains(), &types);
    check(&new(json!({})), &same, &all_but_d(), &same, "a b c");
    let mut old = all_but_d();
    old.status.as_mut().unwrap().activities.get_mut("a").unwrap().outputs = None;
    check(&new(json!({})), &same, &old, &same, "c");
}

#[test]
fn what_does_not_fit_is_refused_with_a_reason() {
    let same = pinned(chains(), &types());
    let refused = |run: &Orchestration, old: &Orchestration, why: &str| {
        check(run, &same, old, &same, &format!("spec.resumeFrom: {why}"));
    };
    refused(&new(json!({"resumeFrom": "new"})), &all_but_d(), "an Orchestration cannot resume from itself");
    let mut running = all_but_d();
    running.status.as_mut().unwrap().completion_time = None;
    refused(&new(json!({})), &running, "Orchestration \"old\" has not finished");
    refused(&new(json!({"type": "y"})), &all_but_d(), "Orchestration \"old\" is of type \"x\", not \"y\"");
    refused(&new(json!({"input": {"x": 2}})), &all_but_d(), "Orchestration \"old\" had another input");
    check(&new(json!({"input": {}})), &same, &all_but_d(), &same, "a b c");
    let why = |previous: &Previous<'_>| taken(&new(json!({})), &same, previous).unwrap_err();
    assert_eq!(why(&Previous::Missing), "spec.resumeFrom: Orchestration \"old\" not found in this namespace");
    assert_eq!(
        why(&Previous::Unreadable("status: no".to_owned())),
        "spec.resumeFrom: Orchestration \"old\" cannot be read: status: no"
    );
    let old = all_but_d();
    let gone = Previous::Found { orchestration: &old, pinned: Some(Err("it is gone".to_owned())) };
    assert_eq!(
        why(&gone),
        "spec.resumeFrom: what Orchestration \"old\" ran from cannot be compared: it is gone"
    );
    let never = Previous::Found { orchestration: &old, pinned: None };
    assert_eq!(taken(&new(json!({})), &same, &never).unwrap().len(), 0);
    assert_eq!(
        taken(&new(json!({"input": {"x": 2}})), &same, &never).unwrap_err(),
        "spec.resumeFrom: Orchestration \"old\" had another input"
    );
}
