//! What a status says, when it is to be written, and what of it travels.

use serde_json::json;

use super::fixture::{Fixture, at, complete, dag, failed, refused, running};
use crate::api::orchestration::ActivityState;
use crate::engine::condition::{find, stamp};
use crate::engine::observe::{Attempt, FailureReason};
use crate::engine::plan::Urgency;

#[test]
fn conditions_say_how_far_it_is() {
    let mut fixture = Fixture::words("a b<a");
    let accepted = "True Accepted: runs from the revision t-1";
    let types = |fixture: &Fixture| {
        fixture.status().conditions.iter().map(|c| c.type_.clone()).collect::<Vec<_>>().join(" ")
    };
    fixture.see("a", complete(json!({"x": 1}))).see("b", running());
    fixture.record(5);
    assert_eq!(types(&fixture), "Accepted Reconciling Succeeded Finished");
    assert_eq!(fixture.condition("Accepted"), accepted);
    assert_eq!(fixture.condition("Reconciling"), "True Progressing: 1 of 2 activities have succeeded");
    assert_eq!(fixture.condition("Succeeded"), "Unknown Progressing: 1 of 2 activities have succeeded");
    assert_eq!(fixture.condition("Finished"), "False NotFinished: the orchestration runs");
    let mut succeeded = Fixture::words("a b<a");
    succeeded.see("a", complete(json!({}))).see("b", complete(json!({})));
    succeeded.record(6);
    assert_eq!(types(&succeeded), "Accepted Succeeded Finished");
    assert_eq!(succeeded.condition("Accepted"), accepted);
    assert_eq!(succeeded.condition("Succeeded"), "True Completed: all 2 activities have succeeded");
    assert_eq!(succeeded.condition("Finished"), "True Completed: all 2 activities have succeeded");
    fixture.see("b", failed(FailureReason::ExitCode, "exit code 1"));
    fixture.record(6);
    assert_eq!(types(&fixture), "Accepted Stalled Succeeded Finished");
    for (type_, status) in [("Stalled", "True"), ("Succeeded", "False"), ("Finished", "True")] {
        let expected = format!("{status} ActivityFailed: activity \"b\" failed: ExitCode: exit code 1");
        assert_eq!(fixture.condition(type_), expected);
    }
}

#[test]
fn a_transition_time_is_that_of_the_status() {
    let mut fixture = Fixture::words("a b");
    let time = |fixture: &Fixture, type_: &str| {
        find(&fixture.status().conditions, type_).unwrap().last_transition_time.clone()
    };
    fixture.see("a", complete(json!({}))).see("b", running());
    fixture.record(5);
    assert_eq!(time(&fixture, "Succeeded"), stamp(at(0)), "the message has changed, the status has not");
    fixture.see("b", complete(json!({})));
    fixture.record(9);
    assert_eq!(time(&fixture, "Accepted"), stamp(at(0)));
    assert_eq!((time(&fixture, "Succeeded"), time(&fixture, "Finished")), (stamp(at(9)), stamp(at(9))));
}

#[test]
fn progress_and_state_are_for_people() {
    let mut fixture = Fixture::words("a b<a c<b");
    let shown = |fixture: &Fixture| {
        format!(
            "{} {}",
            fixture.status().state.as_deref().unwrap(),
            fixture.status().progress.as_deref().unwrap()
        )
    };
    fixture.record(1);
    assert_eq!(shown(&fixture), "Pending 0/3");
    fixture.see("a", running());
    fixture.record(2);
    assert_eq!(shown(&fixture), "Running 0/3");
    fixture.see("a", complete(json!({})));
    fixture.record(3);
    assert_eq!(shown(&fixture), "Running 1/3");
    fixture.see("b", complete(json!({}))).see("c", complete(json!({})));
    fixture.record(4);
    assert_eq!(shown(&fixture), "Succeeded 3/3");
}

#[test]
fn an_entry_holds_the_times_of_its_activity() {
    let mut fixture = Fixture::words("a b<a");
    fixture.see("a", Attempt::Requested { at: at(2) });
    fixture.record(2);
    fixture.see("a", Attempt::Running { start_time: at(4) });
    fixture.record(4);
    fixture.see("a", failed(FailureReason::ExitCode, "exit code 1"));
    fixture.record(9);
    let entry = fixture.entry("a");
    assert_eq!((entry.tier, fixture.entry("b").tier), (Some(0), Some(1)));
    assert_eq!(entry.ready_time, Some(stamp(at(2))));
    assert_eq!(entry.start_time, Some(stamp(at(1))), "the outcome knows better");
    assert_eq!(entry.completion_time, Some(stamp(at(2))));
    assert_eq!(entry.attempt, 1);
}

#[test]
fn the_generation_follows_the_object() {
    let mut fixture = Fixture::words("a");
    fixture.see("a", running());
    fixture.record(1);
    fixture.orchestration.metadata.generation = Some(2);
    fixture.record(2);
    assert_eq!(fixture.status().observed_generation, Some(2));
    assert!(fixture.status().conditions.iter().all(|c| c.observed_generation == Some(2)));
}

#[test]
fn a_finished_status_is_kept_but_for_the_generation() {
    let mut fixture = Fixture::words("a b");
    fixture.see("a", complete(json!({"x": 1}))).see("b", failed(FailureReason::ExitCode, "exit code 1"));
    fixture.record(5);
    let finished = fixture.status().clone();
    fixture.orchestration.metadata.generation = Some(7);
    fixture.orchestration.spec.active_deadline_seconds = Some(1);
    fixture.see("a", failed(FailureReason::ExitCode, "other")).see("b", running());
    let plan = fixture.record(100_000);
    assert_eq!(plan.update.merge_patch(&finished), Some(json!({"status": {"observedGeneration": 7}})));
    assert_eq!((plan.effects.len(), plan.notices.len(), plan.wake_at), (0, 0, None));
    let plan = fixture.record(100_001);
    assert_eq!(plan.update.merge_patch(fixture.status()), None);
}

#[test]
fn only_what_somebody_waits_for_is_written_at_once() {
    use Urgency::{Now, Soon};
    let mut fixture = Fixture::words("a b reader<a.x+b.x free<a last<reader");
    let check = |fixture: &mut Fixture, second: i64, expected: Urgency, why: &str| {
        assert_eq!(fixture.record(second).urgency, expected, "{why}");
    };
    check(&mut fixture, 1, Soon, "nothing has happened");
    fixture.see("a", refused(3));
    check(&mut fixture, 1, Soon, "a refused start");
    fixture.see("a", Attempt::Requested { at: at(3) });
    check(&mut fixture, 3, Now, "the first start");
    fixture.see("b", Attempt::Requested { at: at(3) });
    check(&mut fixture, 3, Soon, "another start");
    fixture.see("a", Attempt::Waiting { since: at(3), reason: Some("Unschedulable".into()), message: None });
    check(&mut fixture, 4, Soon, "an explanation");
    fixture.see("a", running());
    check(&mut fixture, 5, Soon, "a start of a pod");
    fixture.see("a", complete(json!({"x": 1})));
    check(&mut fixture, 6, Soon, "outputs whose reader waits for others");
    fixture.see("b", complete(json!({"x": 1}))).see("free", running());
    check(&mut fixture, 7, Now, "outputs that only have to be stored");
    fixture.see("reader", running());
    check(&mut fixture, 8, Soon, "the start of the reader");
    fixture.see("reader", complete(json!({}))).see("free", complete(json!({})));
    check(&mut fixture, 9, Soon, "a result that nobody reads");
    fixture.see("last", failed(FailureReason::ExitCode, "exit code 1"));
    check(&mut fixture, 10, Now, "the end");
}

#[test]
fn outputs_are_not_urgent_for_a_reader_that_cannot_start() {
    let mut definition = dag("a b reader<a.x");
    definition["parallelism"] = json!(1);
    let mut fixture = Fixture::of(&definition);
    fixture.see("a", running());
    fixture.record(1);
    fixture.see("a", complete(json!({"x": 1}))).see("b", running());
    assert_eq!(fixture.record(2).urgency, Urgency::Soon);
    let mut fixture = Fixture::words("a b reader<a.x");
    fixture.see("a", running()).see("b", running());
    fixture.record(1);
    fixture.see("a", complete(json!({"x": 1}))).see("b", failed(FailureReason::ExitCode, "exit code 1"));
    fixture.see("b", running());
    fixture.record(2);
    assert_eq!(fixture.state("reader"), ActivityState::Pending);
}

#[test]
fn only_what_changed_travels() {
    let mut fixture = Fixture::words("a b c");
    fixture.see("a", running()).see("b", running());
    fixture.record(1);
    let before = fixture.status().clone();
    fixture.see("b", complete(json!({"x": {"y": [1]}})));
    let plan = fixture.record(2);
    let patch = plan.update.merge_patch(&before).unwrap();
    let ids: Vec<&String> = patch["status"]["activities"].as_object().unwrap().keys().collect();
    assert_eq!(ids, ["b"]);
    assert_eq!(
        patch["status"]["activities"]["b"],
        json!({"state": "Succeeded", "outputs": {"x": {"y": [1]}}, "completionTime": "2026-01-01T00:00:02Z"})
    );
    assert_eq!(patch["status"]["startTime"], json!(null), "not even mentioned");
    assert!(!patch["status"].as_object().unwrap().contains_key("startTime"));
}
