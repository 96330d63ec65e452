//! Retries, times and `finally`: what counts in the end, and what is refused.

use super::*;
use crate::engine::activity_type;

use crate::engine::retry::Policy;

#[test]
fn what_is_in_finally_comes_after_all_tiers_and_reads_everything() {
    let compiled = compiled(
        "activities: [{id: a, type: t}, {id: b, type: t, dependsOn: a}]\n\
         finally: [{id: z, type: t, when: 'run.state == \"Failed\"', inputs: [a.url, b.id, run.state]}]",
    );
    assert_eq!((compiled.main, compiled.order.clone(), compiled.tier_ids().len()), (2, vec![0, 1, 2], 2));
    assert!(compiled.is_finally(2) && !compiled.is_finally(1));
    assert_eq!(
        (compiled.place(1), compiled.place(2)),
        ("spec.activities[1]".into(), "spec.finally[0]".into())
    );
    assert_eq!(compiled.activities[2].reads, BTreeSet::from([0, 1]));
    assert_eq!(compiled.activities[2].inputs[2].root, Root::RunState);
    assert_eq!((compiled.failure_policy, compiled.finally_deadline_seconds), (FailurePolicy::Drain, 300));
}

#[test]
fn mistakes_in_and_about_finally_are_told_with_their_place() {
    check(
        "activities:\n\
         - {id: a, type: t, inputs: [run.state, z.url], when: run.state == 'Failed'}\n\
         - {id: b, type: t, dependsOn: z}\n\
         finally:\n\
         - {id: z, type: t, dependsOn: a, inputs: [y.url, run.id]}\n\
         - {id: y, type: missing}\n\
         - {id: a, type: t, when: run.name == 'x'}",
        &[
            "UnknownReference: spec.activities[0].inputs[0]: \"run\" is neither an activity nor readable here; use input.run for the input",
            "NotAnAncestor: spec.activities[0].inputs[1]: \"z\" is in finally, which starts when all others are final",
            "UnknownReference: spec.activities[0].when: line 1 column 1: run.state can be read in finally only",
            "UnknownDependency: spec.activities[1].dependsOn: \"z\" is in finally, which starts when all others are final",
            "UnknownDependency: spec.finally[0].dependsOn: what is in finally waits for all others, and for nothing else",
            "NotAnAncestor: spec.finally[0].inputs[0]: \"y\" is in finally too, and nothing there waits for another",
            "UnknownReference: spec.finally[0].inputs[1]: \"run\" is neither an activity nor readable here; use input.run for the input",
            "ActivityDefinitionNotFound: spec.finally[1].type: ActivityDefinition \"missing\" not found in this namespace",
            "DuplicateId: spec.finally[2].id: \"a\" is the id of spec.activities[0] already",
            "InvalidExpression: spec.finally[2].when: line 1 column 1: of the run, only run.state can be read, and only in finally",
        ],
    );
}

#[test]
fn what_counts_is_said_by_the_activity_or_its_type_or_nobody() {
    let compiled = compiled(
        "activities: [{id: a, type: t}, {id: b, type: t, retry: {maxRetries: 0, backoff: {factor: 3}}, timeoutSeconds: 5, \
         startingDeadlineSeconds: 7}]",
    );
    let of = |at: usize| &compiled.activities[at];
    assert_eq!(of(0).retry, Policy { max_retries: 3, initial_seconds: 10, factor: 2, max_seconds: 300 });
    assert_eq!(
        (of(0).timeout_seconds, of(0).starting_deadline_seconds, of(0).stop_grace_seconds),
        (None, 600, 60)
    );
    assert_eq!(of(1).retry, Policy { max_retries: 0, initial_seconds: 10, factor: 3, max_seconds: 300 });
    assert_eq!((of(1).timeout_seconds, of(1).starting_deadline_seconds), (Some(5), 7));
}

#[test]
fn a_longest_pause_below_the_first_is_refused_and_a_time_out_that_never_comes_is_told() {
    check_activities(
        &["id: a, type: t, retry: {backoff: {initialSeconds: 20, maxSeconds: 10}}"],
        &["LimitExceeded: spec.activities[0].retry.backoff.maxSeconds: 10 is less than initialSeconds, 20"],
    );
    check(
        "activeDeadlineSeconds: 60\nactivities: [{id: a, type: t, timeoutSeconds: 61}]",
        &[
            "a",
            "warning: LimitExceeded: spec.activities[0].timeoutSeconds: a time-out of 61 s never comes, \
             spec.activeDeadlineSeconds ends everything after 60 s",
        ],
    );
    let type_ = json!({"retry": {"backoff": {"initialSeconds": 20, "maxSeconds": 10}}});
    let problems = activity_type::compile(&serde_json::from_value(type_).unwrap()).unwrap_err();
    assert_eq!(
        text(&problems),
        "LimitExceeded: spec.retry.backoff.maxSeconds: 10 is less than initialSeconds, 20"
    );
}
