//! What an activity gets, what keeps it from starting, and what is said while it waits.

use serde_json::{Value, json};

use super::fixture::{Fixture, at, complete, dag, object, refused, running};
use crate::api::orchestration::ActivityState;
use crate::engine::condition::stamp;
use crate::engine::effect::Effect;
use crate::engine::observe::Attempt;
use crate::engine::plan::{MAX_INPUT_BYTES, UNSEEN, Urgency};

fn definition(inputs: Value) -> Value {
    json!({"activities": [{"id": "a", "type": "t"}, {"id": "b", "type": "t", "dependsOn": "a", "inputs": inputs}]})
}

/// What b gets from the input of the run and the outputs of a.
fn check_inputs(inputs: Value, input: Value, outputs: Value, expected: Value) {
    let mut fixture = Fixture::with_input(&definition(inputs.clone()), input);
    fixture.see("a", complete(outputs));
    fixture.record(2);
    let plan = fixture.plan();
    let Some(Effect::Start { inputs: found, .. }) = plan.effects.first() else {
        panic!("no start: {plan:?}")
    };
    assert_eq!(*found, object(expected), "{inputs}");
}

#[test]
fn inputs_are_values_of_the_input_and_of_outputs() {
    let input = json!({"x": 1, "deep": {"list": ["p", "q"]}, "a.b": true});
    let outputs = json!({"id": "r-1", "list": [{"z": 0}], "whole": {"k": [null]}});
    let check =
        |inputs: Value, expected: Value| check_inputs(inputs, input.clone(), outputs.clone(), expected);
    check(json!([]), json!({}));
    check(json!(["x", "input.deep.list"]), json!({"x": 1, "list": ["p", "q"]}));
    check(json!([{"source": "input.deep.list[1]", "target": "second"}]), json!({"second": "q"}));
    check(json!([{"source": "input[\"a.b\"]", "target": "quoted"}]), json!({"quoted": true}));
    check(json!(["a.id", {"source": "a.list[0].z", "target": "z"}]), json!({"id": "r-1", "z": 0}));
    check(
        json!(["a.whole", {"source": "a", "target": "all"}]),
        json!({"whole": {"k": [null]}, "all": outputs}),
    );
    check(json!([{"source": "input", "target": "all"}]), json!({"all": input}));
}

#[test]
fn what_is_absent_or_null_is_left_out() {
    let input = json!({"x": null, "deep": {"n": null, "l": [null, {"n": null}]}});
    let check =
        |inputs: Value, expected: Value| check_inputs(inputs, input.clone(), json!({"id": 1}), expected);
    check(
        json!(["x", "y", "input.y.z", "a.no", "a.id.deeper", {"source": "a[0]", "target": "t"}]),
        json!({}),
    );
    check(json!(["deep"]), json!({"deep": {"l": [null, {}]}}));
    check(json!([{"source": "input", "target": "all"}]), json!({"all": {"deep": {"l": [null, {}]}}}));
}

#[test]
fn an_input_that_is_too_large_fails_before_anything_starts() {
    let mut definition = dag("a b<!x c<!x");
    let input = |source: &str, target: &str| json!({"source": source, "target": target});
    definition["activities"][1]["inputs"] = json!([input("x", "t"), input("x", "u"), input("y", "v")]);
    definition["activities"][2]["inputs"] = json!([]);
    let text = |bytes: usize| {
        let rest = bytes - 2 * 20_000 - "{'t':'','u':'','v':''}".len();
        json!({"x": "x".repeat(20_000), "y": "y".repeat(rest)})
    };
    let fits = Fixture::with_input(&definition, text(MAX_INPUT_BYTES));
    assert_eq!(fits.starts(&fits.plan()), "a b c");
    let mut fixture = Fixture::with_input(&definition, text(MAX_INPUT_BYTES + 1));
    let plan = fixture.record(1);
    assert_eq!(
        fixture.why("b"),
        "InputTooLarge: the input has 65537 bytes of JSON, at most 65536 are allowed"
    );
    assert_eq!((fixture.state("b"), fixture.entry("b").attempt), (ActivityState::Failed, 0));
    assert_eq!(plan.effects, [], "it has ended, so nothing may start");
    assert_eq!(fixture.status().state.as_deref(), Some("Failed"));
    assert_eq!(fixture.state("a"), ActivityState::NotStarted);
}

#[test]
fn a_refused_start_says_why_and_is_tried_again_in_time() {
    let mut fixture = Fixture::words("a b<a");
    fixture.see("a", refused(8));
    let plan = fixture.record(3);
    assert_eq!((plan.effects.len(), plan.wake_at), (0, Some(at(8))));
    assert_eq!(fixture.state("a"), ActivityState::Pending);
    assert_eq!(fixture.why("a"), "QuotaExceeded: exceeded quota: q");
    assert_eq!(fixture.entry("a").ready_time, Some(stamp(at(1))));
    assert_eq!((fixture.status().state.as_deref(), plan.urgency), (Some("Pending"), Urgency::Soon));
    let plan = fixture.record(8);
    assert_eq!(fixture.starts(&plan), "a");
    fixture.see("a", Attempt::Requested { at: at(8) });
    fixture.record(8);
    assert_eq!((fixture.state("a"), fixture.entry("a").attempt), (ActivityState::Running, 1));
    assert_eq!(fixture.why("a"), "-: -");
    assert_eq!(
        fixture.entry("a").ready_time,
        Some(stamp(at(1))),
        "it has been ready since it was first tried"
    );
}

#[test]
fn a_refused_start_that_will_not_be_tried_again_wakes_nobody() {
    let mut fixture = Fixture::words("a b c");
    fixture.see("a", refused(8)).see("b", running());
    fixture.see("c", super::fixture::failed(crate::engine::observe::FailureReason::ExitCode, "exit code 1"));
    for second in [3, 20] {
        let plan = fixture.record(second);
        assert_eq!(
            (plan.effects.len(), plan.wake_at),
            (0, Some(at(86_400))),
            "only the deadline is left at {second}"
        );
    }
}

#[test]
fn a_start_that_stays_unseen_is_looked_after() {
    let mut fixture = Fixture::words("a");
    fixture.see("a", Attempt::Requested { at: at(5) });
    assert_eq!(fixture.record(5).wake_at, Some(at(5) + UNSEEN));
    let later = fixture.record(60).wake_at.unwrap();
    assert!(later > at(60) && later <= at(60) + UNSEEN);
}

#[test]
fn a_wait_without_a_reason_is_looked_into() {
    let waits = |reason: Option<&str>| Attempt::Waiting {
        since: at(10),
        reason: reason.map(str::to_owned),
        message: reason.map(|_| "Back-off pulling image".to_owned()),
    };
    let mut fixture = Fixture::words("a");
    fixture.see("a", waits(None));
    assert_eq!(fixture.record(10).wake_at, Some(at(13)));
    assert_eq!(fixture.record(12).wake_at, Some(at(13)));
    assert_eq!(fixture.record(13).wake_at, Some(at(23)));
    assert_eq!((fixture.state("a"), fixture.why("a")), (ActivityState::Running, "-: -".to_owned()));
    fixture.see("a", waits(Some("ImagePullBackOff")));
    assert_eq!(fixture.record(14).wake_at, Some(at(610)), "a known reason changes by itself, in time");
    assert_eq!(fixture.why("a"), "ImagePullBackOff: Back-off pulling image");
    assert_eq!(fixture.entry("a").start_time, None);
    fixture.see("a", Attempt::Running { start_time: at(15) });
    fixture.record(16);
    assert_eq!(fixture.why("a"), "-: -");
    assert_eq!(fixture.entry("a").start_time, Some(stamp(at(15))));
}

#[test]
fn what_a_stranger_suspended_is_awaited() {
    let mut fixture = Fixture::words("a b<a");
    for _ in 0..2 {
        fixture.see("a", Attempt::Stopped);
        let plan = fixture.record(5);
        assert_eq!(plan.effects, []);
        assert_eq!((fixture.state("a"), fixture.entry("a").attempt), (ActivityState::Running, 1));
        assert_eq!(fixture.why("a"), "Suspended: the Job is suspended, and not by the orchestrator");
        fixture.see("a", running());
        fixture.record(6);
        assert_eq!(fixture.why("a"), "-: -");
    }
    fixture.see("a", complete(json!({})));
    fixture.record(7);
    assert_eq!(fixture.state("a"), ActivityState::Succeeded);
}

#[test]
fn what_ends_for_a_stranger_is_known_to_have_begun() {
    // Started by a predecessor that could not record it, and suspended by somebody else.
    let mut fixture = Fixture::words("a");
    fixture.see("a", Attempt::Stopping);
    fixture.record(5);
    assert_eq!((fixture.state("a"), fixture.entry("a").attempt), (ActivityState::Running, 1));
}
