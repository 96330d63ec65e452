//! What is in `finally` while the run is suspended, and what is told of it at the end.

use serde_json::{Value, json};

use super::fixture::{Fixture, at, complete, dag, failed, running};
use crate::api::orchestration::{ActivityState, Shutdown};
use crate::engine::condition::stamp;
use crate::engine::observe::{Attempt, FailureReason};
use crate::engine::plan::Urgency;

/// A run of `a`, and `b` after it, with `z` in `finally` and a deadline after a minute.
fn fixture() -> Fixture {
    let mut definition = dag("a b<a");
    definition["finally"] = json!([{"id": "z", "type": "t"}]);
    definition["activeDeadlineSeconds"] = json!(60);
    Fixture::of(&definition)
}

fn suspended() -> Fixture {
    let mut fixture = fixture();
    fixture.orchestration.spec.suspend = true;
    fixture
}

fn ends_without_last(fixture: &Fixture, said: &str) {
    assert_eq!(fixture.condition("Succeeded"), said);
    assert_eq!(fixture.condition("Stalled"), said.replacen("False", "True", 1));
    assert_eq!(
        (fixture.state("z"), fixture.status().finally_time.as_ref()),
        (ActivityState::NotStarted, None)
    );
}

#[test]
fn a_suspended_run_ends_when_it_is_stopped_and_says_what_it_leaves_out() {
    let mut fixture = suspended();
    fixture.see("a", running());
    fixture.record(1);
    fixture.orchestration.spec.shutdown = Some(Shutdown::Stop);
    fixture.record(2);
    assert_eq!(fixture.status().completion_time, None, "what runs may end");
    fixture.see("a", complete(json!({})));
    let plan = fixture.record(3);
    assert_eq!((plan.urgency, plan.wake_at, plan.effects.len()), (Urgency::Now, None, 0));
    assert_eq!(fixture.status().state.as_deref(), Some("Cancelled"));
    ends_without_last(
        &fixture,
        "False Cancelled: was shut down before it had finished: \"b\" was Pending; \
         finally was left out, because spec.suspend is true: \"z\" was Pending",
    );
}

#[test]
fn a_suspended_run_ends_when_an_activity_fails_and_says_what_it_leaves_out() {
    let mut fixture = suspended();
    fixture.see("a", failed(FailureReason::ExitCode, "exit code 1"));
    fixture.record(3);
    ends_without_last(
        &fixture,
        "False ActivityFailed: activity \"a\" failed: ExitCode: exit code 1; \
         finally was left out, because spec.suspend is true: \"z\" was Pending",
    );
}

#[test]
fn a_suspended_run_ends_at_its_deadline_and_says_what_it_leaves_out() {
    let mut fixture = suspended();
    fixture.record(1);
    assert_eq!(fixture.record(59).wake_at, Some(at(60)));
    fixture.record(60);
    ends_without_last(
        &fixture,
        "False DeadlineExceeded: did not finish by its deadline: \"a\" was Pending, \"b\" was Pending; \
         finally was left out, because spec.suspend is true: \"z\" was Pending",
    );
}

fn all_done_and_suspended() -> Fixture {
    let mut fixture = suspended();
    fixture.see("a", complete(json!({}))).see("b", complete(json!({})));
    fixture.record(3);
    fixture
}

#[test]
fn a_suspended_success_waits_for_what_comes_last() {
    let mut fixture = all_done_and_suspended();
    assert_eq!(fixture.status().state.as_deref(), Some("Suspended"));
    assert_eq!(
        fixture.condition("Reconciling"),
        "True Suspended: suspended before finally; 2 of 2 activities have succeeded"
    );
    assert_eq!(fixture.plan().wake_at, Some(at(60)));
    fixture.orchestration.spec.suspend = false;
    fixture.record(40);
    assert_eq!(fixture.status().finally_time, Some(stamp(at(40))));
    assert_eq!(fixture.starts(&fixture.plan()), "z");
}

#[test]
fn what_a_suspended_success_leaves_out_in_the_end_is_no_success() {
    let left_out = "finally was left out, because spec.suspend is true: \"z\" was Pending";
    let mut late = all_done_and_suspended();
    late.record(60);
    ends_without_last(&late, &format!("False DeadlineExceeded: {left_out}"));
    let mut stopped = all_done_and_suspended();
    stopped.orchestration.spec.shutdown = Some(Shutdown::Stop);
    stopped.record(5);
    ends_without_last(&stopped, &format!("False Cancelled: {left_out}"));
}

/// A run whose first part ended so, and what is in `finally` so.
fn ended(first: Attempt, shutdown: Option<Shutdown>, last: Attempt) -> Fixture {
    let mut fixture = fixture();
    fixture.orchestration.spec.shutdown = shutdown;
    fixture.see("a", first);
    fixture.record(3);
    fixture.record(3);
    fixture.see("z", last);
    fixture.record(4);
    fixture.record(400);
    fixture.record(401);
    fixture
}

#[test]
fn what_fails_in_finally_is_told_beside_what_failed_first() {
    let fixture = ended(
        failed(FailureReason::ExitCode, "exit code 1"),
        None,
        failed(FailureReason::TimedOut, "it did not end in time"),
    );
    assert_eq!(
        fixture.condition("Succeeded"),
        "False ActivityFailed: activity \"a\" failed: ExitCode: exit code 1; \
         in finally, activity \"z\" failed: TimedOut: it did not end in time"
    );
}

#[test]
fn what_fails_in_finally_after_a_stop_fails_the_run_and_both_are_told() {
    let last = failed(FailureReason::ExitCode, "exit code 7");
    let fixture = ended(complete(json!({})), Some(Shutdown::Stop), last);
    assert_eq!(
        fixture.condition("Succeeded"),
        "False ActivityFailed: activity \"z\" failed: ExitCode: exit code 7; \
         was shut down before it had finished: \"b\" was Pending"
    );
    assert_eq!(fixture.status().state.as_deref(), Some("Failed"));
}

#[test]
fn what_is_not_done_of_finally_in_time_is_told_beside_what_came_first() {
    let stops: [(Option<Shutdown>, Attempt, &str); 2] = [
        (
            Some(Shutdown::Stop),
            complete(json!({})),
            "False Cancelled: was shut down before it had finished: \"b\" was Pending",
        ),
        (
            None,
            failed(FailureReason::ExitCode, "x"),
            "False ActivityFailed: activity \"a\" failed: ExitCode: x",
        ),
    ];
    for (shutdown, first, said) in stops {
        let mut fixture = ended(first, shutdown, running());
        fixture.see("z", Attempt::Stopped);
        fixture.record(402);
        assert_eq!(
            fixture.condition("Succeeded"),
            format!("{said}; finally did not finish within 300 s: \"z\" was Running")
        );
    }
}

#[test]
fn the_words_of_the_end_are_the_same_in_however_many_rounds_it_comes() {
    let why = |second: i64| Attempt::Waiting {
        since: at(second),
        reason: Some("Unschedulable".to_owned()),
        message: Some("0/3 nodes".to_owned()),
    };
    let deadline = |definition: Value, rounds: &[(i64, &[(&str, Attempt)])]| {
        let mut fixture = Fixture::of(&definition);
        for (second, seen) in rounds {
            for (id, attempt) in *seen {
                fixture.see(id, attempt.clone());
            }
            fixture.record(*second);
        }
        fixture.condition("Succeeded")
    };
    let mut definition = dag("a b c<a");
    definition["activeDeadlineSeconds"] = json!(60);
    let begins: (i64, &[(&str, Attempt)]) = (2, &[("a", running()), ("b", why(2))]);
    let expected = "False DeadlineExceeded: did not finish by its deadline: \"a\" was Running, \
                    \"b\" was Running: 0/3 nodes, \"c\" was Pending";
    let at_once: (i64, &[(&str, Attempt)]) = (62, &[("a", Attempt::Stopped), ("b", Attempt::Stopped)]);
    assert_eq!(deadline(definition.clone(), &[begins, (60, &[]), at_once]), expected);
    let one: (i64, &[(&str, Attempt)]) = (61, &[("b", Attempt::Stopped)]);
    let other: (i64, &[(&str, Attempt)]) = (62, &[("a", Attempt::Stopped)]);
    assert_eq!(deadline(definition.clone(), &[begins, (60, &[]), one, other]), expected);
    // What comes last takes many rounds more.
    definition["finally"] = json!([{"id": "z", "type": "t"}]);
    let last: (i64, &[(&str, Attempt)]) = (64, &[("z", complete(json!({})))]);
    assert_eq!(deadline(definition, &[begins, (60, &[]), one, other, (63, &[]), last]), expected);
}
