//! Statuses that nobody should have written: a plan is total.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixture::{Fixture, at, dag, object};
use super::invariants::check_patch;
use crate::api::orchestration::{ActivityState, ActivityStatus, OrchestrationStatus};
use crate::engine::observe::{Attempt, FailureReason, Outcome, Verdict};
use crate::engine::plan::Notice;
use crate::engine::state::is_final;

const IDS: [&str; 6] = ["a", "b", "c", "d", "e", "ghost"];

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![4 => (-1000i64..200_000).prop_map(at), 1 => Just(Timestamp::MIN), 1 => Just(Timestamp::MAX)]
}

fn stored_time() -> impl Strategy<Value = Option<String>> {
    prop::option::of((-1000i64..200_000).prop_map(|second| at(second).to_string()))
}

fn entry() -> impl Strategy<Value = ActivityStatus> {
    let state = prop_oneof![
        Just("Pending"),
        Just("Running"),
        Just("Succeeded"),
        Just("Skipped"),
        Just("Failed"),
        Just("Cancelled"),
        Just("NotStarted"),
        Just("Retrying"),
        Just("Weird"),
    ];
    let attempt = prop_oneof![0u32..3, Just(u32::MAX)];
    let outputs = prop::option::of(prop_oneof![Just(json!({})), Just(json!({"x": [1, {"y": 2}]}))]);
    let times = (stored_time(), stored_time(), stored_time());
    let text = prop::option::of("\\PC{0,5}");
    (state, attempt, outputs, times, text, prop::option::of(any::<u32>())).prop_map(
        |(state, attempt, outputs, (ready, start, completion), text, tier)| {
            serde_json::from_value(json!({
                "tier": tier, "state": state, "attempt": attempt, "outputs": outputs, "readyTime": ready,
                "startTime": start, "completionTime": completion, "reason": text, "message": text,
            }))
            .unwrap()
        },
    )
}

fn status() -> impl Strategy<Value = Option<OrchestrationStatus>> {
    let activities = prop::collection::btree_map(prop::sample::select(&IDS[..]), entry(), 0..7);
    let times = (stored_time(), stored_time(), prop::option::weighted(0.1, stored_time()));
    let output = prop::option::of(Just(json!({"old": {"z": 1}})));
    let whole = (activities, times, output, prop::option::of(any::<i64>())).prop_map(
        |(activities, (start, stop, completion), output, generation)| {
            let activities: BTreeMap<&str, ActivityStatus> = activities.into_iter().collect();
            serde_json::from_value(json!({
                "activities": activities, "startTime": start, "stopTime": stop, "completionTime": completion.flatten(),
                "output": output, "observedGeneration": generation, "state": "Whatever",
            }))
            .unwrap()
        },
    );
    prop::option::weighted(0.95, whole)
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let outcome = (any::<bool>(), prop::option::of(time()), prop::option::of(time()), "\\PC{0,2000}")
        .prop_map(|(succeeds, start_time, completion_time, message)| {
            let verdict = if succeeds {
                Verdict::Complete(object(json!({"x": {"text": message}})))
            } else {
                Verdict::Failed { reason: FailureReason::ExitCode, message }
            };
            Attempt::Ended(Outcome { verdict, start_time, completion_time })
        });
    prop_oneof![
        Just(Attempt::Absent),
        Just(Attempt::Stopping),
        Just(Attempt::Stopped),
        (time(), time(), "\\PC{0,200}").prop_map(|(since, retry_at, text)| Attempt::Refused {
            since,
            retry_at,
            reason: text.clone(),
            message: text
        }),
        time().prop_map(|at| Attempt::Requested { at }),
        (time(), prop::option::of("\\PC{0,200}")).prop_map(|(since, reason)| Attempt::Waiting {
            since,
            message: reason.clone(),
            reason
        }),
        time().prop_map(|start_time| Attempt::Running { start_time }),
        outcome,
    ]
}

fn definition() -> impl Strategy<Value = Value> {
    (prop::sample::select(&["Eager", "Tiered"][..]), prop::option::of(1..3)).prop_map(
        |(execution, parallelism)| {
            let mut definition = dag("a b<a.x c<a d<b.x+c.x e");
            definition["execution"] = json!(execution);
            definition["parallelism"] = json!(parallelism);
            definition["output"] = json!([{"source": "d.x"}]);
            definition["activities"][2]["when"] =
                json!("activities.a.state == 'Skipped' || has(activities.a.outputs.x)");
            definition
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    #[test]
    fn no_status_and_no_observation_makes_a_plan_panic_or_loop(
        definition in definition(),
        status in status(),
        seen in prop::collection::hash_map(0usize..7, attempt(), 0..7),
        now in time(),
    ) {
        let mut fixture = Fixture::of(&definition);
        fixture.orchestration.status = status;
        for (activity, attempt) in seen {
            if activity < fixture.compiled.activities.len() {
                fixture.see_at(activity, attempt);
            } else {
                fixture.observed.insert(activity, 1, attempt);
            }
        }
        fixture.now = now;
        for round in 0.. {
            let before = fixture.orchestration.status.clone().unwrap_or_default();
            let plan = fixture.plan();
            check_patch(&plan, &before);
            let after = plan.update.apply(&before);
            for (id, old) in before.activities.iter().filter(|(_, old)| is_final(old.state)) {
                prop_assert_eq!(old, &after.activities[id], "9: the final {} changes", id);
            }
            prop_assert_eq!(before.activities.get("ghost"), after.activities.get("ghost"));
            prop_assert!(after.completion_time.is_some() != plan.wake_at.is_some(), "awake iff not finished");
            if after.completion_time.is_some() {
                prop_assert_eq!(&plan.effects, &[]);
            }
            let is_same = plan.update.merge_patch(&before).is_none();
            fixture.orchestration.status = Some(after);
            if is_same {
                break;
            }
            prop_assert!(round < 6, "16: the plan changes for ever");
        }
    }
}

#[test]
fn a_state_of_another_version_is_read_as_pending() {
    let mut fixture = Fixture::words("a b<a");
    let weird: ActivityStatus = serde_json::from_value(json!({"state": "Polling", "attempt": 1})).unwrap();
    assert_eq!(weird.state, ActivityState::Unknown);
    fixture.orchestration.status.as_mut().unwrap().activities.insert("a".to_owned(), weird);
    assert_eq!(fixture.starts(&fixture.plan()), "a");
    fixture.see("a", Attempt::Requested { at: at(1) });
    let plan = fixture.record(1);
    assert_eq!((fixture.state("a"), plan.notices.len()), (ActivityState::Running, 0));
}

#[test]
fn an_illegal_transition_is_told_and_not_made() {
    let mut fixture = Fixture::words("a");
    fixture.see("a", Attempt::Running { start_time: at(1) });
    fixture.record(1);
    fixture.see("a", super::fixture::refused(9));
    let plan = fixture.record(2);
    let (from, to) = (ActivityState::Running, ActivityState::Pending);
    assert_eq!(plan.notices, [Notice::IllegalTransition { activity: 0, from, to }]);
    assert_eq!(fixture.state("a"), ActivityState::Running);
}

#[test]
fn an_orchestration_without_a_status_is_begun() {
    let mut fixture = Fixture::words("a b<a");
    fixture.orchestration.status = None;
    assert_eq!(fixture.starts(&fixture.plan()), "a");
}
