//! How an orchestration ends: success, failure, the deadline, and what comes first.

use serde_json::{Value, json};

use super::fixture::{Fixture, at, complete, dag, failed, refused, running};
use crate::api::orchestration::ActivityState;
use crate::engine::condition::stamp;
use crate::engine::observe::{Attempt, FailureReason, Outcome, Verdict};
use crate::engine::plan::{
    MAX_ACTIVITY_OUTPUT_BYTES, MAX_OUTPUT_BYTES, MAX_TOTAL_OUTPUT_BYTES, Notice, Urgency,
};

/// With a deadline after a minute.
fn short(words: &str) -> Fixture {
    let mut definition = dag(words);
    definition["activeDeadlineSeconds"] = json!(60);
    Fixture::of(&definition)
}

#[test]
fn the_intent_to_stop_is_stored_before_anything_is_stopped() {
    let mut fixture = short("a b c<a");
    fixture.see("a", running()).see("b", complete(json!({})));
    fixture.record(59);
    let plan = fixture.record(60);
    assert_eq!((plan.effects.len(), plan.urgency), (0, Urgency::Now));
    assert_eq!(fixture.status().stop_time, Some(stamp(at(60))));
    assert!(plan.wake_at.is_some_and(|wake| wake <= at(120)), "it is not over: {:?}", plan.wake_at);
    let plan = fixture.record(61);
    assert_eq!(fixture.stops(&plan), "a");
    assert_eq!(plan.wake_at, Some(at(120)), "the grace ends a minute after it began");
    fixture.see("a", Attempt::Stopping);
    let plan = fixture.record(62);
    assert_eq!((plan.effects.len(), fixture.state("a")), (0, ActivityState::Running));
    fixture.see("a", Attempt::Stopped);
    let plan = fixture.record(65);
    assert_eq!(fixture.status().stop_time, Some(stamp(at(60))));
    assert_eq!(fixture.state("a"), ActivityState::Cancelled);
    assert_eq!(fixture.why("a"), "DeadlineExceeded: stopped at the deadline of the orchestration");
    assert_eq!(
        (fixture.state("b"), fixture.state("c")),
        (ActivityState::Succeeded, ActivityState::NotStarted)
    );
    assert_eq!((plan.wake_at, plan.urgency), (None, Urgency::Now));
    assert_eq!(
        fixture.condition("Succeeded"),
        "False DeadlineExceeded: did not finish by its deadline: \"a\" was Running, \"c\" was Pending"
    );
}

#[test]
fn a_stop_that_nobody_answers_ends_after_its_grace() {
    for unanswered in [Attempt::Absent, Attempt::Stopping, running(), Attempt::Requested { at: at(3) }] {
        let mut fixture = short("a");
        fixture.see("a", running());
        fixture.record(1);
        fixture.see("a", unanswered);
        fixture.record(60);
        fixture.record(119);
        assert_eq!(
            (fixture.state("a"), fixture.status().completion_time.as_ref()),
            (ActivityState::Running, None)
        );
        fixture.record(120);
        assert_eq!(fixture.state("a"), ActivityState::Cancelled);
        assert_eq!(fixture.status().completion_time, Some(stamp(at(120))));
    }
}

#[test]
fn what_nothing_runs_of_ends_at_the_deadline_itself() {
    let mut fixture = short("a b<a");
    fixture.see("a", refused(70));
    assert_eq!(fixture.record(59).wake_at, Some(at(60)));
    let plan = fixture.record(60);
    assert_eq!((plan.effects.len(), plan.wake_at, fixture.status().stop_time.as_ref()), (0, None, None));
    assert_eq!(
        (fixture.state("a"), fixture.state("b")),
        (ActivityState::NotStarted, ActivityState::NotStarted)
    );
    assert_eq!(fixture.entry("a").completion_time, None);
    assert_eq!(
        fixture.condition("Succeeded"),
        "False DeadlineExceeded: did not finish by its deadline: \"a\" was Pending: exceeded quota: q, \"b\" was Pending"
    );
}

#[test]
fn what_a_stranger_suspended_ends_at_the_deadline() {
    for seen in [Attempt::Stopped, Attempt::Stopping] {
        let mut fixture = short("a");
        fixture.see("a", seen);
        fixture.record(60);
        assert_eq!(fixture.status().completion_time, None, "something of it may still run");
        fixture.see("a", Attempt::Stopped);
        assert_eq!(fixture.record(61).effects, []);
        assert_eq!(fixture.state("a"), ActivityState::Cancelled);
    }
}

#[test]
fn a_result_that_comes_while_stopping_counts() {
    let mut fixture = short("a b");
    fixture.see("a", running()).see("b", running());
    fixture.record(60);
    fixture.see("a", complete(json!({}))).see("b", complete(json!({})));
    fixture.record(61);
    assert_eq!(fixture.condition("Succeeded"), "True Completed: all 2 activities have succeeded");
    let mut fixture = short("a b");
    fixture.see("a", running()).see("b", running());
    fixture.record(60);
    fixture.see("a", failed(FailureReason::ExitCode, "exit code 3")).see("b", Attempt::Stopped);
    fixture.record(61);
    assert_eq!(
        fixture.condition("Succeeded"),
        "False ActivityFailed: activity \"a\" failed: ExitCode: exit code 3"
    );
    assert_eq!(fixture.state("b"), ActivityState::Cancelled);
}

#[test]
fn the_message_at_the_deadline_names_a_few_and_counts_the_rest() {
    let mut fixture = short("a b c d e f g<a");
    fixture.see("a", complete(json!({})));
    fixture.record(1);
    let why = Attempt::Waiting {
        since: at(2),
        reason: Some("Unschedulable".into()),
        message: Some("0/3 nodes".into()),
    };
    fixture.see("c", why);
    fixture.record(2);
    fixture.record(60);
    fixture.record(120);
    assert_eq!(
        fixture.condition("Finished"),
        "True DeadlineExceeded: did not finish by its deadline: \"b\" was Pending, \"c\" was Running: 0/3 nodes, \
         \"d\" was Pending, \"e\" was Pending, \"f\" was Pending, and 1 more"
    );
}

#[test]
fn the_first_failure_is_the_one_that_is_told() {
    let failed_at = |second: i64, message: &str| {
        let verdict = Verdict::Failed { reason: FailureReason::TimedOut, message: message.to_owned() };
        Attempt::Ended(Outcome { verdict, start_time: None, completion_time: Some(at(second)) })
    };
    let mut fixture = Fixture::words("a b c");
    fixture
        .see("a", failed_at(9, "late"))
        .see("b", failed_at(4, "early"))
        .see("c", failed_at(4, "later in order"));
    fixture.record(10);
    assert_eq!(
        fixture.condition("Succeeded"),
        "False ActivityFailed: activity \"b\" failed: TimedOut: early"
    );
    assert_eq!(fixture.status().completion_time, Some(stamp(at(10))));
}

#[test]
fn the_end_is_never_before_the_last_activity() {
    let mut fixture = Fixture::words("a");
    let verdict = Verdict::Complete(Default::default());
    fixture.see(
        "a",
        Attempt::Ended(Outcome { verdict, start_time: Some(at(3)), completion_time: Some(at(65)) }),
    );
    fixture.record(60);
    assert_eq!(fixture.status().completion_time, Some(stamp(at(65))));
    assert_eq!(fixture.status().duration.as_deref(), Some("1m5s"));
}

fn with_output(output: Value) -> Fixture {
    let mut definition = dag("a b<a");
    definition["output"] = output;
    Fixture::with_input(&definition, json!({"x": "in", "n": null}))
}

#[test]
fn the_output_is_made_of_what_there_is() {
    let sources = json!([
        {"source": "a.url"}, {"source": "a.none"}, {"source": "b"}, {"source": "x", "target": "in"}, {"source": "n"},
        {"source": "a.list[0]", "target": "first"},
    ]);
    let mut fixture = with_output(sources);
    fixture
        .see("a", complete(json!({"url": "u", "list": [{"k": 1}]})))
        .see("b", complete(json!({"y": {"z": 1}})));
    fixture.record(3);
    let output = fixture.status().output.clone().map(Value::Object);
    assert_eq!(output, Some(json!({"url": "u", "b": {"y": {"z": 1}}, "in": "in", "first": {"k": 1}})));
}

#[test]
fn there_is_an_output_only_after_success() {
    let mut fixture = with_output(json!([{"source": "a.url"}]));
    fixture.see("a", complete(json!({"url": "u"}))).see("b", failed(FailureReason::ExitCode, "exit code 1"));
    fixture.record(3);
    assert_eq!(fixture.status().output, None);
    let mut fixture = with_output(json!([]));
    fixture.see("a", complete(json!({"url": "u"}))).see("b", complete(json!({})));
    fixture.record(3);
    assert_eq!(fixture.status().output, None);
}

#[test]
fn an_output_that_no_status_could_hold_is_left_out_and_said() {
    let sources: Vec<Value> = (0..100).map(|at| json!({"source": "a", "target": format!("t{at}")})).collect();
    let mut fixture = with_output(json!(sources));
    fixture.see("a", complete(json!({"big": "x".repeat(4000)}))).see("b", complete(json!({})));
    fixture.record(3);
    assert!(fixture.status().output.is_none());
    assert_eq!(
        fixture.condition("Succeeded"),
        format!(
            "True Completed: all 2 activities have succeeded; the output has {} bytes of JSON and is left out, \
             at most {MAX_OUTPUT_BYTES} are kept",
            1 + (0..100).map(|at| format!("\"t{at}\":{{\"big\":\"\"}},").len() + 4000).sum::<usize>()
        )
    );
}

#[test]
fn all_outputs_together_have_a_limit() {
    let count = MAX_TOTAL_OUTPUT_BYTES / MAX_ACTIVITY_OUTPUT_BYTES + 2;
    let words: Vec<String> = (0..count).map(|at| format!("a{at}")).collect();
    let mut fixture = Fixture::words(&words.join(" "));
    let outputs = json!({"x": "x".repeat(MAX_ACTIVITY_OUTPUT_BYTES - "{'x':''}".len())});
    fixture.see("a0", complete(outputs.clone()));
    fixture.record(2);
    for id in &words[1..count - 1] {
        fixture.see(id, complete(outputs.clone()));
    }
    fixture.see(&words[count - 1], complete(json!({})));
    fixture.record(3);
    let states: Vec<ActivityState> = words.iter().map(|id| fixture.state(id)).collect();
    let mut expected = vec![ActivityState::Succeeded; count - 2];
    expected.extend([ActivityState::Failed, ActivityState::Succeeded]);
    assert_eq!(states, expected, "exactly full; none are no outputs");
    let last = &words[count - 2];
    assert_eq!(
        fixture.why(last),
        "OutputTooLarge: the outputs of all activities together exceed 524288 bytes with the 4096 bytes of this one"
    );
    assert_eq!(fixture.entry(last).outputs, None);
    assert_eq!(
        fixture.condition("Succeeded"),
        format!("False ActivityFailed: activity \"{last}\" failed: {}", fixture.why(last))
    );
}

#[test]
fn nothing_starts_on_a_success_for_whose_outputs_there_may_be_no_room() {
    // The 22 that run could take all the room that there is, and be seen first by whoever comes after a crash.
    let others: Vec<String> = (0..22).map(|at| format!("x{at}")).collect();
    let definition = |others: &[String]| format!("{} a b<a", others.join(" "));
    let (outputs, none) = (json!({"x": 1}), json!({}));
    for (number, produced, is_sure) in [(22, &outputs, false), (22, &none, true), (19, &outputs, true)] {
        let mut fixture = Fixture::words(&definition(&others[..number]));
        for id in &others[..number] {
            fixture.see(id, running());
        }
        fixture.record(1);
        fixture.see("a", complete(produced.clone()));
        let planned = fixture.plan();
        assert_eq!(planned.effects.len(), usize::from(is_sure), "{number} {produced}");
        fixture.record(2);
        assert_eq!(fixture.plan().effects.len(), 1, "once it is stored");
    }
}

#[test]
fn the_outputs_of_one_activity_have_a_limit() {
    let outputs = |bytes: usize| json!({"x": "x".repeat(bytes - "{'x':''}".len())});
    let mut fixture = Fixture::words("a b");
    fixture
        .see("a", complete(outputs(MAX_ACTIVITY_OUTPUT_BYTES)))
        .see("b", complete(outputs(MAX_ACTIVITY_OUTPUT_BYTES + 1)));
    fixture.record(2);
    assert_eq!(fixture.state("a"), ActivityState::Succeeded);
    assert_eq!(
        fixture.why("b"),
        "OutputTooLarge: the outputs have 4097 bytes of JSON, at most 4096 are kept: hand on a reference to what is larger"
    );
    assert_eq!((fixture.state("b"), fixture.entry("b").outputs.as_ref()), (ActivityState::Failed, None));
}

#[test]
fn a_failure_is_told_once_with_its_attempt() {
    let mut fixture = Fixture::words("a b");
    fixture.see("a", failed(FailureReason::ExitCode, "exit code 1")).see("b", running());
    let failure = Notice::ActivityFailed {
        activity: 0,
        attempt: 1,
        reason: "ExitCode".to_owned(),
        message: "exit code 1".to_owned(),
    };
    assert_eq!(fixture.record(3).notices, [Notice::Started, failure]);
    assert_eq!(fixture.record(3).notices, []);
    fixture.see("b", complete(json!({})));
    let message = "activity \"a\" failed: ExitCode: exit code 1".to_owned();
    let finished = Notice::Finished { succeeded: false, reason: "ActivityFailed".to_owned(), message };
    assert_eq!(fixture.record(4).notices, [finished]);
    assert_eq!(fixture.record(5).notices, []);
}

#[test]
fn messages_are_short_in_a_large_orchestration() {
    let long = "ä".repeat(2000);
    let length = |activities: usize| {
        let words: Vec<String> = (0..activities).map(|at| format!("a{at}")).collect();
        let mut fixture = Fixture::words(&words.join(" "));
        fixture.see("a0", failed(FailureReason::ExitCode, &long));
        fixture.record(2);
        fixture.entry("a0").message.clone().unwrap().len()
    };
    assert!((1020..=1024).contains(&length(1)), "{}", length(1));
    assert!((200..=262).contains(&length(1000)), "{}", length(1000));
}
