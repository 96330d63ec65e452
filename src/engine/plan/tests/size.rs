//! However much activities produce and say, the object that holds the status can be stored.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixture::{Fixture, at, complete, failed};
use crate::api::common::Object;
use crate::api::orchestration::ActivityState;
use crate::engine::acceptance::MAX_STORED_INPUT_BYTES;
use crate::engine::observe::{Attempt, FailureReason};
use crate::engine::value::stored_bytes;

/// What etcd takes in one request by default, less what belongs to the request and to the user's own metadata.
const LIMIT: usize = 1_350_000;

/// Size of the whole object where it is stored.
fn stored(fixture: &Fixture) -> usize {
    let object = serde_json::to_value(&fixture.orchestration).unwrap();
    let object: Object = object.as_object().cloned().unwrap();
    stored_bytes(&object)
}

/// A definition of so many activities with long names, whose output repeats much of what there is.
fn definition(activities: usize) -> Value {
    let id = |at: usize| format!("{}-{at}", "a".repeat(58));
    let output: Vec<Value> =
        (0..100.min(activities)).map(|at| json!({"source": id(at), "target": format!("o{at}")})).collect();
    let activities: Vec<Value> = (0..activities).map(|at| json!({"id": id(at), "type": "t"})).collect();
    json!({"activities": activities, "output": output})
}

/// A text of so many characters, with what takes most room where it is stored.
fn text(kind: usize, length: usize) -> String {
    ["x", "<", "\"", "🦀", "\u{1}"][kind % 5].repeat(length)
}

fn seen(kind: usize, length: usize) -> Attempt {
    match kind % 7 {
        0..4 => complete(json!({"k": text(kind, length)})),
        4 => failed(FailureReason::ExitCode, &text(kind / 7, length)),
        5 => Attempt::Waiting {
            since: at(1),
            reason: Some(text(kind / 7, length)),
            message: Some(text(kind / 7, length)),
        },
        _ => Attempt::Refused {
            since: at(1),
            retry_at: at(2),
            reason: text(kind / 7, length),
            message: text(kind / 7, length),
        },
    }
}

fn check(activities: usize, see: impl Fn(usize) -> Attempt) -> Fixture {
    // Stored, it is twice as large as it may be as JSON.
    let input = json!({"x": "<".repeat((MAX_STORED_INPUT_BYTES - "{'x':''}".len()) / 6)});
    let mut fixture = Fixture::with_input(&definition(activities), input);
    for at in 0..activities {
        fixture.see_at(at, see(at));
    }
    for second in [2, 3, 86_400, 86_500] {
        fixture.record(second);
        assert!(stored(&fixture) <= LIMIT, "{} bytes with {activities} activities", stored(&fixture));
    }
    fixture
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_status_can_be_stored(
        activities in prop_oneof![1usize..20, 100usize..200, Just(1000)],
        kinds in prop::collection::vec((0usize..35, 0usize..5000), 1..20),
    ) {
        check(activities, |at| {
            let (kind, length) = kinds[at % kinds.len()];
            seen(kind, length)
        });
    }
}

#[test]
fn a_thousand_activities_with_as_much_as_each_may_produce_fail_and_can_be_stored() {
    let fixture = check(1000, |_| complete(json!({"k": text(0, 4000)})));
    let count = |state| fixture.status().activities.values().filter(|entry| entry.state == state).count();
    assert!(count(ActivityState::Succeeded) > 100 && count(ActivityState::Failed) > 800);
    let told = fixture.condition("Succeeded");
    assert!(
        told.contains("OutputTooLarge: the outputs of all activities together exceed 524288 bytes"),
        "{told}"
    );
}

#[test]
fn a_thousand_long_complaints_can_be_stored() {
    for kind in 0..5 {
        check(1000, |_| failed(FailureReason::ExitCode, &text(kind, 5000)));
    }
}
