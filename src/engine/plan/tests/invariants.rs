//! The invariants of the engine, in one function. The numbers are those of the design.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::simulation::Case;
use super::world::World;
use crate::api::orchestration::{ActivityState, Orchestration, OrchestrationStatus, Shutdown};
use crate::api::orchestration_definition::FailurePolicy;
use crate::engine::condition::{find, is_true};
use crate::engine::effect::Effect;
use crate::engine::observe::Observed;
use crate::engine::plan::retrying::is_given_up;
use crate::engine::plan::{
    MAX_ACTIVITY_OUTPUT_BYTES, MAX_TOTAL_OUTPUT_BYTES, Notice, Plan, STOP_GRACE, Situation, Urgency, plan,
};
use crate::engine::retry::{self, MAX_DISRUPTIONS};
use crate::engine::state::{is_done, is_final, is_legal};
use crate::engine::status::summary;
use crate::engine::value::stored_bytes;

/// A plan, what it was made from, and what is really the case.
pub struct Moment<'a> {
    pub case: &'a Case,
    pub world: &'a World,
    pub orchestration: &'a Orchestration,
    pub observed: &'a Observed,
    pub deadline: Timestamp,
    pub plan: &'a Plan,
}

/// Fails with the invariant that does not hold.
pub fn check(moment: &Moment<'_>) {
    let Moment { case, world, orchestration, observed, deadline, plan: planned } = *moment;
    let compiled = &case.compiled;
    let now = world.now;
    let before = orchestration.status.as_ref().unwrap();
    let after = planned.update.apply(before);
    let has_ended = after.completion_time.is_some();
    let state = |status: &OrchestrationStatus, activity: usize| {
        status
            .activities
            .get(&compiled.activities[activity].id)
            .map_or(ActivityState::Pending, |entry| entry.state)
    };
    let id = |activity: usize| compiled.activities[activity].id.as_str();
    // Done in this world, or skipped by what is known.
    let is_over = |activity: usize| {
        world.outputs(activity).is_some() || state(&after, activity) == ActivityState::Skipped
    };
    // Final without success, or behind such a one: never to be started.
    let mut is_lost = vec![false; compiled.activities.len()];
    for activity in compiled.order.iter().copied() {
        let failed = is_final(state(&after, activity)) && !is_done(state(&after, activity));
        is_lost[activity] = failed || compiled.graph.dependencies(activity).iter().any(|on| is_lost[*on]);
    }
    let goes_on = compiled.failure_policy == FailurePolicy::Continue;
    let is_finally = |activity: usize| activity >= compiled.main;
    let entry_before = |activity: usize| before.activities.get(id(activity)).cloned().unwrap_or_default();

    let is_failing = (0..compiled.main).any(|other| state(&after, other) == ActivityState::Failed);
    let mut unfinished: BTreeMap<usize, usize> = BTreeMap::new();
    for activity in world.unfinished() {
        *unfinished.entry(activity).or_default() += 1;
    }
    for effect in &planned.effects {
        match effect {
            Effect::Start { activity, attempt, inputs } => {
                let activity = *activity;
                *unfinished.entry(activity).or_default() += 1;
                let of_activity = compiled.activities[activity].reads.iter();
                assert!(
                    !world.jobs.contains_key(&(activity, *attempt)),
                    "1: {} is started twice",
                    id(activity)
                );
                assert!(!is_final(state(before, activity)), "2: {} is final and is started", id(activity));
                assert!(
                    !is_final(state(&after, activity)),
                    "2: {} becomes final and is started",
                    id(activity)
                );
                for dependency in compiled.graph.dependencies(activity) {
                    assert!(
                        is_over(*dependency),
                        "3: {} starts before {} is done",
                        id(activity),
                        id(*dependency)
                    );
                }
                for read in of_activity {
                    let is_there = |state| is_done(state) || (is_finally(activity) && is_final(state));
                    let stored = before.activities.get(id(*read)).filter(|entry| is_there(entry.state));
                    assert!(
                        stored.is_some(),
                        "3: {} starts before the outputs of {} are stored",
                        id(activity),
                        id(*read)
                    );
                }
                assert_eq!(
                    *inputs,
                    case.expected_inputs(activity, before),
                    "3: {} gets something else",
                    id(activity)
                );
                if case.is_tiered && !is_finally(activity) {
                    let earlier = compiled.tiers[..compiled.activities[activity].tier].iter().flatten();
                    for other in earlier {
                        assert!(
                            is_over(*other) || (goes_on && is_lost[*other]),
                            "3: {} starts before {} of an earlier tier",
                            id(activity),
                            id(*other)
                        );
                    }
                }
                assert!(
                    !case.is_skipped(activity, world, before)
                        && !case.fails_unstarted(activity, world, before),
                    "data: {} is started and should not be",
                    id(activity)
                );
                let entry = entry_before(activity);
                assert_eq!(*attempt, retry::attempt(&entry), "4: the attempt of {}", id(activity));
                // Put forward if the clock was put back.
                let entries = [Some(&entry), after.activities.get(id(activity))];
                let times =
                    entries.into_iter().flatten().filter_map(|entry| entry.next_attempt_time.as_ref());
                let next = times.map(|next| next.0).min().unwrap_or(now);
                assert!(next <= now, "4: {} is tried again too soon", id(activity));
                assert!(!orchestration.spec.suspend, "suspend: {} starts", id(activity));
                if is_finally(activity) {
                    let began = before.finally_time.as_ref().expect("finally: it is not ready").0;
                    let ends = began + SignedDuration::from_secs(compiled.finally_deadline_seconds);
                    assert!(
                        before.finally_stop_time.is_none()
                            && now < ends
                            && orchestration.spec.shutdown != Some(Shutdown::Terminate),
                        "11: {} starts although finally has to end",
                        id(activity)
                    );
                    let open = (0..compiled.main).find(|other| !is_final(state(before, *other)));
                    assert_eq!(open, None, "finally: {} starts too soon", id(activity));
                } else {
                    assert!(
                        before.stop_time.is_none()
                            && now < deadline
                            && orchestration.spec.shutdown.is_none()
                            && before.finally_time.is_none(),
                        "11: {} starts although all has to end",
                        id(activity)
                    );
                    assert!(goes_on || !is_failing, "drain: {} starts after a failure", id(activity));
                }
            }
            Effect::Stop { activity, attempt } => {
                let entry = entry_before(*activity);
                let of_part =
                    if is_finally(*activity) { &before.finally_stop_time } else { &before.stop_time };
                assert!(
                    of_part.is_some() || is_given_up(&entry),
                    "stop: {} is stopped before the intent is stored",
                    id(*activity)
                );
                assert_eq!(
                    state(&after, *activity),
                    ActivityState::Running,
                    "stop: {} does not run",
                    id(*activity)
                );
                assert_eq!(*attempt, retry::attempt(&entry), "stop: {} has no such attempt", id(*activity));
            }
        }
    }
    for (activity, count) in &unfinished {
        assert!(*count <= 1, "1: {count} attempts of {} run at once", id(*activity));
    }
    // What did not stop within its grace is not waited for by what is in finally.
    let overdue = before.stop_time.as_ref().is_some_and(|began| began.0 + STOP_GRACE <= now);
    assert!(
        overdue || unfinished.len() <= compiled.parallelism,
        "parallelism: {} run at once",
        unfinished.len()
    );

    for (name, old) in &before.activities {
        let new = after.activities.get(name).unwrap_or_else(|| panic!("9: the entry of {name} is gone"));
        assert!(is_legal(old.state, new.state), "9: {name} goes from {:?} to {:?}", old.state, new.state);
        assert!(!is_final(old.state) || old == new, "9: {name} is final and changes from {old:?} to {new:?}");
        let limit = 1 + compiled.activities[compiled.index[name]].retry.max_retries + MAX_DISRUPTIONS;
        assert!(
            new.attempt >= old.attempt && new.attempt <= limit && new.disruptions >= old.disruptions,
            "4: the attempt of {name} becomes {}",
            new.attempt
        );
        assert!(new.disruptions <= MAX_DISRUPTIONS && new.attempt <= old.attempt + 1, "4: {name}: {new:?}");
        assert!(old.outputs.is_none() || old.outputs == new.outputs, "7: a stored output of {name} changes");
        let is_anew = orchestration.spec.suspend
            || matches!(new.state, ActivityState::Retrying | ActivityState::Cancelled);
        let has_ready = new.ready_time.is_some() || old.ready_time.is_none();
        assert!(has_ready || is_anew, "9: the ready time of {name} is gone");
    }
    for (index, activity) in compiled.activities.iter().enumerate() {
        let Some(entry) = after.activities.get(&activity.id) else {
            panic!("9: there is no entry of {}", activity.id)
        };
        let name = &activity.id;
        match entry.state {
            ActivityState::Succeeded => {
                let really = world.outputs(index).filter(|outputs| !outputs.is_empty());
                assert!(world.outputs(index).is_some(), "8: {name} did not succeed");
                assert!(
                    case.takes_outputs(index, world),
                    "data: the outputs of {name} are not what it declares"
                );
                assert_eq!(entry.outputs.as_ref(), really, "7: {name} has made something else");
            }
            ActivityState::Failed if is_final(state(before, index)) => {}
            // Too late: decided here, and not by the attempt.
            ActivityState::Failed if entry.reason.as_deref() == Some("StartingDeadlineExceeded") => {}
            ActivityState::Failed if !world.has_started(index) && !world.has_failed(index) => {
                assert!(case.fails_unstarted(index, world, before), "8: {name} need not fail: {entry:?}");
                assert_eq!(entry.attempt, 0, "8: {name} was not started");
            }
            ActivityState::Failed => {
                let refused = world.outputs(index).is_some() && !case.takes_outputs(index, world);
                assert!(world.has_failed(index) || refused, "8: {name} did not fail: {entry:?}");
            }
            ActivityState::Skipped => {
                let skipped = is_final(state(before, index)) || case.is_skipped(index, world, before);
                assert!(skipped, "8: {name} was not to be skipped");
                assert!(!world.has_started(index), "8: {name} was started");
            }
            ActivityState::Cancelled => {
                let of_part = if is_finally(index) { &before.finally_stop_time } else { &before.stop_time };
                // Without a stop it is what waited for another attempt.
                assert!(of_part.is_some() || entry.attempt > 0, "8: nobody cancelled {name}: {entry:?}");
            }
            ActivityState::NotStarted => {
                let may_start = !has_ended && (is_finally(index) || after.finally_time.is_none());
                assert!(!may_start, "8: {name} may still start");
                assert_eq!(entry.attempt, 0, "8: {name} was started");
            }
            ActivityState::Running => {
                assert!(world.jobs.contains_key(&(index, entry.attempt)), "8: nothing of {name} runs");
                assert!(!has_ended, "10: it ends while {name} runs");
            }
            ActivityState::Retrying => {
                assert!(!has_ended, "10: it ends while {name} waits for another attempt");
                assert!(entry.attempt > 0, "4: {name}: {entry:?}");
            }
            ActivityState::Pending => assert!(!has_ended, "10: it ends while {name} is pending"),
            ActivityState::Unknown => panic!("9: the state of {name} is unknown"),
        }
        let is_done = is_final(entry.state) && entry.state != ActivityState::NotStarted;
        assert_eq!(
            entry.completion_time.is_some(),
            is_done,
            "9: {name} has a completion time iff it is final"
        );
        assert!(entry.outputs.is_none() || entry.state == ActivityState::Succeeded, "7: {name} has outputs");
        let tier = u32::try_from(activity.tier).ok().filter(|_| !is_finally(index));
        assert_eq!(entry.tier, tier, "9: the tier of {name}");
        let waits = entry.state == ActivityState::Retrying;
        assert_eq!(
            entry.next_attempt_time.is_some(),
            waits,
            "4: {name} has a next attempt iff it waits for one"
        );
    }

    if before.completion_time.is_some() {
        let mut same = before.clone();
        same.observed_generation = orchestration.metadata.generation;
        assert_eq!(after, same, "9: a finished status changes");
    }
    assert_eq!(after.observed_generation, orchestration.metadata.generation, "the generation is observed");
    for (old, new) in [
        (&before.stop_time, &after.stop_time),
        (&before.finally_time, &after.finally_time),
        (&before.finally_stop_time, &after.finally_stop_time),
    ] {
        assert!(old.is_none() || old == new, "9: what was decided changes");
    }
    assert!(
        before.stop_reason.is_none() || before.stop_reason == after.stop_reason,
        "9: the cause of the end changes"
    );
    assert!(
        before.start_time == after.start_time && before.revision == after.revision,
        "9: what acceptance wrote changes"
    );
    let main = compiled.activities.iter().take(compiled.main);
    let succeeded = main.filter(|a| is_done(after.activities[&a.id].state)).count();
    assert_eq!(
        after.progress,
        Some(format!("{succeeded}/{}", compiled.main)),
        "progress counts what is done"
    );
    assert_eq!(is_true(&after.conditions, "Finished"), has_ended, "Finished is said iff it has ended");
    assert_eq!(
        is_true(&after.conditions, "Reconciling"),
        !has_ended,
        "Reconciling is said until it has ended"
    );
    for condition in &after.conditions {
        let old = find(&before.conditions, &condition.type_).filter(|old| old.status == condition.status);
        let kept = old.is_none_or(|old| old.last_transition_time == condition.last_transition_time);
        assert!(kept, "the transition time of {} changes without its status", condition.type_);
    }
    if has_ended {
        check_end(moment, &after, succeeded);
    } else {
        assert!(after.output.is_none() && after.duration.is_none(), "10: there is an output before the end");
        let wake =
            planned.wake_at.unwrap_or_else(|| panic!("liveness: nothing wakes an unfinished orchestration"));
        let acts = !planned.effects.is_empty() || planned.urgency == Urgency::Now;
        assert!(wake > now || acts, "liveness: it wakes at {wake}, again and again, and does nothing");
        let finally = SignedDuration::from_secs(compiled.finally_deadline_seconds);
        let end = match (&after.finally_stop_time, &after.finally_time, &after.stop_time) {
            (Some(began), _, _) => began.0 + STOP_GRACE,
            (None, Some(began), _) => deadline.max(began.0 + finally),
            (None, None, Some(began)) => began.0 + STOP_GRACE,
            (None, None, None) => deadline,
        };
        assert!(
            wake <= end,
            "liveness: it sleeps past its deadline, from {now} to {wake} and not {end}: {:?} {after:?}",
            orchestration.spec
        );
    }

    if !has_ended && orchestration.spec.suspend && before.finally_time.is_none() {
        let has_to_end = now >= deadline || orchestration.spec.shutdown.is_some() || (is_failing && !goes_on);
        let runs = (0..compiled.main).any(|activity| state(&after, activity) == ActivityState::Running);
        assert!(runs || !has_to_end, "liveness: it has to end, and does not while it is suspended");
    }
    check_urgency(moment, before, &after);
    check_repetition(moment, &after);
    let illegal = planned.notices.iter().find(|notice| matches!(notice, Notice::IllegalTransition { .. }));
    assert_eq!(illegal, None, "no transition is illegal");
    // Where all goes on after a failure, what can never start is found out twice.
    let limit_of_looks = if goes_on { 3 } else { 1 };
    let edges: usize = (0..compiled.activities.len()).map(|at| compiled.graph.dependencies(at).len()).sum();
    assert!(
        planned.work <= (3 * compiled.activities.len() + limit_of_looks * edges) as u64,
        "cost: {} for {edges} edges",
        planned.work
    );
    if observed.attempts.len() < 20 || world.dice.clone().one_in(8) {
        check_patch(planned, before);
    }
}

fn check_end(moment: &Moment<'_>, after: &OrchestrationStatus, succeeded: usize) {
    let Moment { case, world, plan: planned, deadline, .. } = *moment;
    assert!(
        planned.effects.is_empty() && planned.wake_at.is_none(),
        "11: something is left to do after the end"
    );
    if moment.orchestration.status.as_ref().unwrap().completion_time.is_some() {
        return;
    }
    let total = case.compiled.main;
    let all_done = after.activities.values().all(|entry| is_done(entry.state));
    let condition = find(&after.conditions, "Succeeded").unwrap();
    let count = |state: ActivityState| after.activities.values().filter(|entry| entry.state == state).count();
    let mut last = case.compiled.activities.iter().skip(total);
    let state = |id: &str| after.activities[id].state;
    let unfinished = last.clone().find(|one| !is_done(state(&one.id))).map(|one| one.id.as_str());
    let last_failed = last.find(|one| state(&one.id) == ActivityState::Failed).map(|one| one.id.as_str());
    let is_told = |word: &str| condition.message.contains(word);
    assert!(
        unfinished.is_none() || last_failed.is_some() || is_told("finally"),
        "22: finally is not told of"
    );
    let names = |id: &str| is_told(&format!("activity \"{id}\" failed: "));
    let failed_last =
        case.compiled.activities.iter().skip(total).filter(|one| state(&one.id) == ActivityState::Failed);
    assert!(
        last_failed.is_none() || failed_last.into_iter().any(|one| names(&one.id)),
        "22: its failure is not told of"
    );
    match condition.reason.as_str() {
        "Completed" => assert_eq!(succeeded, total, "10: Completed means that every activity is done"),
        "ActivityFailed" => {
            assert!(count(ActivityState::Failed) > 0, "10: ActivityFailed means that one has failed");
        }
        "DeadlineExceeded" => {
            assert!(
                world.now >= deadline
                    || after.stop_time.is_some()
                    || after.stop_reason.is_some()
                    || after.finally_time.is_some(),
                "10: the deadline has not passed"
            );
            let main = case.compiled.activities.iter().take(total);
            let failed = main.filter(|one| after.activities[&one.id].state == ActivityState::Failed).count();
            assert_eq!(failed, 0, "10: the failure of an activity comes before the deadline");
        }
        "Cancelled" => {
            assert!(moment.orchestration.spec.shutdown.is_some(), "10: nobody has shut it down");
            assert_eq!(last_failed, None, "10: a failure in finally fails the whole");
            assert_eq!(after.state.as_deref(), Some("Cancelled"));
            let main = case.compiled.activities.iter().take(total);
            let failed = main.filter(|one| after.activities[&one.id].state == ActivityState::Failed).count();
            assert_eq!(failed, 0, "10: a failure comes before a shutdown");
        }
        other => panic!("10: the end has the reason {other}"),
    }
    assert_eq!(condition.status == "True", all_done, "10: Succeeded means that every activity has succeeded");
    assert!(!all_done || succeeded == total, "10: all is done");
    assert_eq!(is_true(&after.conditions, "Stalled"), !all_done, "10: Stalled means that it failed");
    assert_eq!(after.output, case.expected_output(after).filter(|_| all_done), "10: the output");
    assert!(
        after.duration.is_some() && after.completion_time >= after.start_time,
        "9: it ends after it began"
    );
    let stops = [&after.stop_time, &after.finally_stop_time];
    let grace_is_over = stops.iter().any(|at| at.as_ref().is_some_and(|at| at.0 + STOP_GRACE <= world.now));
    let runs: Vec<usize> = world.unfinished().collect();
    assert!(grace_is_over || runs.is_empty(), "2: it ends while {runs:?} run");
}

/// Written at once: the first start, outputs that something ready waits for, the intent to stop, the end.
fn check_urgency(moment: &Moment<'_>, before: &OrchestrationStatus, after: &OrchestrationStatus) {
    let Moment { case, plan: planned, .. } = *moment;
    if before.completion_time.is_some() {
        return;
    }
    let has_started = |status: &OrchestrationStatus| {
        let waits = |state| {
            matches!(state, ActivityState::Pending | ActivityState::Skipped | ActivityState::NotStarted)
        };
        status.activities.values().any(|entry| !waits(entry.state))
    };
    let first = has_started(after) && !has_started(before);
    let stops = before.stop_time.is_none() && after.stop_time.is_some();
    let news = |at: usize| {
        let id = &case.compiled.activities[at].id;
        is_done(after.activities[id].state) && !is_done(before.activities[id].state)
    };
    let awaited = case.compiled.activities.iter().any(|activity| {
        after.activities[&activity.id].state == ActivityState::Pending
            && activity.reads.iter().any(|read| news(*read))
    });
    let begins = before.finally_time.is_none() && after.finally_time.is_some();
    let stops = stops || before.finally_stop_time.is_none() && after.finally_stop_time.is_some();
    let must = first || stops || begins || after.completion_time.is_some();
    let awaited = awaited
        || after.activities.iter().any(|(id, entry)| {
            let is_new = before.activities.get(id).is_none_or(|old| old != entry);
            let is_due = entry.next_attempt_time.as_ref().is_some_and(|next| next.0 <= moment.world.now);
            is_new && (is_given_up(entry) || is_due)
        });
    // Outputs for which there might be no room in the end are stored before anything starts.
    let taken: usize = after.activities.values().filter_map(|e| e.outputs.as_ref()).map(stored_bytes).sum();
    let open = after.activities.values().filter(|entry| !is_final(entry.state)).count();
    let has_new_outputs = after
        .activities
        .iter()
        .any(|(id, e)| e.outputs.is_some() && before.activities.get(id).is_none_or(|e| e.outputs.is_none()));
    let awaited = awaited
        || has_new_outputs
            && open > 0
            && taken + open * 6 * MAX_ACTIVITY_OUTPUT_BYTES > MAX_TOTAL_OUTPUT_BYTES;
    assert!(
        !must || planned.urgency == Urgency::Now,
        "urgency: a start, a stop or an end is to be seen at once"
    );
    assert!(must || awaited || planned.urgency == Urgency::Soon, "urgency: nobody waits for this");
    assert_eq!(
        planned.notices.contains(&Notice::Started),
        first && after.completion_time.is_none(),
        "a start is told once"
    );
}

/// 16: planned again from its own result, nothing changes; once stored, outputs and the intent to stop lead on.
fn check_repetition(moment: &Moment<'_>, after: &OrchestrationStatus) {
    let Moment { case, orchestration, observed, world, plan: planned, .. } = *moment;
    let mut orchestration = orchestration.clone();
    orchestration.status = Some(after.clone());
    let mut previous = planned.clone();
    for _ in 0..8 {
        let stored = orchestration.status.clone().unwrap();
        let again = plan(&Situation {
            compiled: &case.compiled,
            orchestration: &orchestration,
            observed,
            now: world.now,
        });
        let patch = again.update.merge_patch(&stored);
        if patch.is_none() && again.effects == previous.effects {
            return;
        }
        assert_eq!(
            previous.urgency,
            Urgency::Now,
            "16: what may wait has changed the plan to {patch:?} and {:?} from {:?} at {} of {:?}",
            again.effects,
            previous.effects,
            world.now,
            stored.activities
        );
        orchestration.status = Some(again.update.apply(&stored));
        previous = again;
    }
    panic!("16: the plan changes for ever");
}

/// What travels makes of the old status what the update says.
pub fn check_patch(planned: &Plan, before: &OrchestrationStatus) {
    let mut object = json!({ "status": before });
    if let Some(patch) = planned.update.merge_patch(before) {
        merge(&mut object, &patch);
        assert_ne!(object, json!({ "status": before }), "patch: nothing travels for nothing");
    }
    assert_eq!(object, json!({"status": planned.update.apply(before)}), "patch: it makes something else");
    assert!(summary(&planned.update.summary) == planned.update.summary, "patch: a summary has no activities");
}

/// JSON merge patch, as RFC 7386 has it.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let members = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            members.remove(key);
        } else {
            merge(members.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[test]
fn the_merge_is_that_of_the_rfc() {
    let check = |target: Value, patch: Value, expected: Value| {
        let mut merged = target;
        merge(&mut merged, &patch);
        assert_eq!(merged, expected);
    };
    check(json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"}));
    check(json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"}));
    check(json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}}));
    check(json!({"a": "c"}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}}));
    check(json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]}));
}
