//! What starts after what.

use serde_json::json;

use super::fixture::{Fixture, complete, dag, failed, object, refused, running};
use crate::api::orchestration::ActivityState;
use crate::engine::effect::Effect;
use crate::engine::observe::{Attempt, FailureReason};

/// Every activity takes a second: what starts in which.
fn check(words: &str, extra: serde_json::Value, expected: &str) {
    let mut definition = dag(words);
    definition.as_object_mut().unwrap().extend(object(extra.clone()));
    let mut fixture = Fixture::of(&definition);
    assert_eq!(fixture.play(&[]), expected, "{words} {extra}");
    assert_eq!(fixture.status().state.as_deref(), Some("Succeeded"), "{words} {extra}");
}

#[test]
fn an_activity_starts_when_its_dependencies_are_done() {
    check("a", json!({}), "a");
    check("a b<a c<b", json!({}), "a | b | c");
    check("c<b b<a a", json!({}), "a | b | c");
    check("a b<a c<a d<a", json!({}), "a | b c d");
    check("a b<a c<a d<b+c", json!({}), "a | b c | d");
    check("a b c<a d<a+b e<b", json!({}), "a b | c d e");
    check("a b<a c<b d", json!({}), "a d | b | c");
}

#[test]
fn outputs_make_no_difference_to_the_order() {
    check("a b<a.x c<b.x", json!({}), "a | b | c");
    check("a b<a.x c<a.x d<b.x+c.x", json!({}), "a | b c | d");
}

#[test]
fn a_tier_waits_for_all_earlier_tiers() {
    // d waits for its own dependency alone, or for all of its tier.
    let mut eager = Fixture::of(&dag("a b c<a d<c"));
    let mut tiered = Fixture::of(&{
        let mut definition = dag("a b c<a d<c");
        definition["execution"] = json!("Tiered");
        definition
    });
    for fixture in [&mut eager, &mut tiered] {
        fixture.see("a", complete(json!({}))).see("b", running());
        fixture.record(1);
    }
    assert_eq!(eager.starts(&eager.plan()), "c");
    assert_eq!(tiered.starts(&tiered.plan()), "");
    tiered.see("b", complete(json!({})));
    assert_eq!(tiered.starts(&tiered.plan()), "c");
    for words in ["a b<a c<b", "a b<a c<a d<b+c", "a b c<a d<a+b e<b"] {
        let mut fixture = Fixture::of(&dag(words));
        check(words, json!({"execution": "Tiered"}), &fixture.play(&[]));
    }
}

#[test]
fn no_more_run_than_parallelism_allows() {
    check("a b c d e", json!({"parallelism": 2}), "a b | c d | e");
    check("a b<a c<a d<b+c e", json!({"parallelism": 1}), "a | e | b | c | d");
    check("a b<a c<a d<b+c e", json!({"parallelism": 1, "execution": "Tiered"}), "a | e | b | c | d");
    check("a b c<a d<b", json!({"parallelism": 1000}), "a b | c d");
}

#[test]
fn a_refused_start_keeps_its_place() {
    let mut definition = dag("a b c");
    definition["parallelism"] = json!(2);
    let mut fixture = Fixture::of(&definition);
    fixture.see("a", refused(9)).see("b", running());
    let plan = fixture.record(2);
    assert_eq!(fixture.starts(&plan), "", "c has no place before a was tried again");
    let plan = fixture.record(9);
    assert_eq!(fixture.starts(&plan), "a");
}

#[test]
fn an_activity_that_reads_starts_only_from_stored_outputs() {
    let mut fixture = Fixture::words("a reader<a.x free<a");
    fixture.see("a", complete(json!({"x": [1, {"y": 2}]})));
    assert_eq!(fixture.starts(&fixture.plan()), "free");
    fixture.see("free", running());
    let plan = fixture.record(3);
    assert_eq!(plan.effects, []);
    let plan = fixture.record(3);
    let inputs = object(json!({"x": [1, {"y": 2}]}));
    assert_eq!(plan.effects, [Effect::Start { activity: 1, attempt: 1, inputs }]);
}

#[test]
fn nothing_new_starts_after_a_failure() {
    let mut fixture = Fixture::words("a b c<b d<a");
    assert_eq!(fixture.play(&["a"]), "a b");
    let states = ["a", "b", "c", "d"].map(|id| fixture.state(id));
    let (failed, succeeded) = (ActivityState::Failed, ActivityState::Succeeded);
    assert_eq!(states, [failed, succeeded, ActivityState::NotStarted, ActivityState::NotStarted]);
    assert_eq!(
        fixture.condition("Succeeded"),
        "False ActivityFailed: activity \"a\" failed: ExitCode: exit code 1"
    );
}

#[test]
fn what_runs_is_awaited_after_a_failure() {
    let mut fixture = Fixture::words("a b c<b");
    fixture.see("a", failed(FailureReason::OutputInvalid, "line 1")).see("b", running());
    let plan = fixture.record(3);
    assert_eq!((plan.effects.len(), fixture.status().state.as_deref()), (0, Some("Running")));
    fixture.see("b", complete(json!({"x": 1})));
    fixture.record(4);
    assert_eq!(
        (fixture.state("b"), fixture.state("c")),
        (ActivityState::Succeeded, ActivityState::NotStarted)
    );
    assert_eq!(fixture.status().progress.as_deref(), Some("1/3"));
}

#[test]
fn an_attempt_that_another_version_began_is_not_begun_again_under_an_old_number() {
    for state in ["Polling", "Waiting", "Pending"] {
        let mut fixture = Fixture::words("a");
        let entry = json!({"tier": 0, "state": state, "attempt": 3});
        let status = fixture.orchestration.status.as_mut().unwrap();
        status.activities.insert("a".to_owned(), serde_json::from_value(entry).unwrap());
        let plan = fixture.plan();
        assert_eq!(
            plan.effects,
            [Effect::Start { activity: 0, attempt: 3, inputs: object(json!({})) }],
            "{state}"
        );
        fixture.see("a", Attempt::Requested { at: fixture.now });
        fixture.record(1);
        assert_eq!((fixture.state("a"), fixture.entry("a").attempt), (ActivityState::Running, 3));
    }
}
