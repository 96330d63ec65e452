//! The OrchestrationSchedule controller: the six steps.
//!
//! Responsible for: making a run at every tick, once, and telling what became of it. Must never: decide what becomes of
//! a tick; `engine::schedule` does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::context::Context;
use super::error::Error;
use super::guard::{Guarded, Unreadable};
use super::measuring;
use super::status::write;
use crate::api::OrchestrationSchedule;
use crate::clock::until;
use crate::engine::condition::{self, Statement};
use crate::engine::schedule::decide::{Child, Decision, Record, Situation, Terms, decide};
use crate::engine::schedule::runs::{Run, surplus};
use crate::engine::schedule::{record, removed, tick_of};
use crate::engine::status::difference;
use judging::Judged;
use knowledge::Knowledge;

mod acting;
pub mod clocks;
mod judging;
pub mod knowledge;

/// Rounds of one reconcile: what was decided from an old version is decided again from the newest.
const ROUNDS: usize = 8;
/// Pause after the last round of a reconcile that has more to do.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest sleep that timers take. A tick further away is waited for in several sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(30 * 86_400);

/// Looks after one schedule.
pub async fn reconcile(
    guarded: Arc<Guarded<OrchestrationSchedule>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let uid = guarded.uid().unwrap_or_default();
    if guarded.meta().deletion_timestamp.is_some() {
        // Its runs go with it, by their owner reference.
        context.knowledge.forget(&uid);
        return Ok(Action::await_change());
    }
    let mut current = context.written.schedules.newest(guarded);
    let known = context.knowledge.of(&uid);
    let mut known = known.lock().await;
    for _ in 0..ROUNDS {
        let schedule = match &current.content {
            Ok(schedule) => schedule.clone(),
            Err(unreadable) => return tell_unreadable(&context, &current, unreadable).await,
        };
        match round(&context, &schedule, &mut known).await? {
            Next::Again(newer) => current = newer,
            Next::Wait(wait) => {
                return Ok(
                    wait.map_or_else(Action::await_change, |wait| Action::requeue(wait.min(LONGEST_SLEEP)))
                );
            }
        }
    }
    Ok(Action::requeue(PAUSE))
}

/// What comes after a round.
enum Next {
    /// Another one, from this object.
    Again(Arc<Guarded<OrchestrationSchedule>>),
    /// Nothing, for so long; nothing inside: until something changes.
    Wait(Option<Duration>),
}

async fn round(
    context: &Context,
    schedule: &OrchestrationSchedule,
    known: &mut Knowledge,
) -> Result<Next, Error> {
    acting::look_behind(context, schedule, known).await?;
    let now = context.clock.now();
    let judged = judging::judge(context, schedule);
    let runs = known.runs(context.runs.of(&schedule.uid().unwrap_or_default()));
    let decision = decision(schedule, &judged, &runs, known, now);
    if !(decision.create.is_empty() && decision.terminate.is_empty()) {
        if let Some(newer) = acting::freshen(context, schedule, &decision, known).await? {
            return Ok(Next::Again(newer));
        }
        return match acting::carry_out(context, schedule, &decision, known).await {
            Ok(acting::Done::All) => {
                known.refusal = None;
                // What was made is seen now; what is recorded follows from that.
                let made = known.runs(context.runs.of(&schedule.uid().unwrap_or_default()));
                record(context, schedule, &judged, &decision, &made, known).await
            }
            Ok(acting::Done::Collision) => Ok(Next::Again(Arc::new(Guarded::readable(schedule.clone())))),
            Ok(acting::Done::NamespaceEnds) => Ok(Next::Wait(None)),
            Err(error) => {
                // The tick is as due as before; people are told why it has no run.
                known.refusal = acting::told(&error);
                if known.refusal.is_some() {
                    let before = schedule.status.as_ref().and_then(record::read).unwrap_or_default();
                    // Since when ticks count stays as it is, or the tick would be one of before.
                    let observed = before.observed.clone().or(decision.record.observed);
                    let unchanged = Decision {
                        record: Record { observed, ..before },
                        next: decision.next,
                        ..Decision::default()
                    };
                    record(context, schedule, &judged, &unchanged, &runs, known).await?;
                }
                Err(error)
            }
        };
    }
    record(context, schedule, &judged, &decision, &runs, known).await
}

fn decision(
    schedule: &OrchestrationSchedule,
    judged: &Judged,
    runs: &BTreeMap<String, Run>,
    known: &Knowledge,
    now: Timestamp,
) -> Decision {
    let spec = &schedule.spec;
    let strangers = known.strangers.iter().map(|name| Child {
        name: name.clone(),
        is_ours: false,
        is_finished: false,
        is_terminating: false,
    });
    let children: Vec<Child> = runs.values().map(Run::child).chain(strangers).collect();
    let created = schedule.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
    decide(&Situation {
        name: &schedule.name_any(),
        created,
        generation: schedule.metadata.generation.unwrap_or_default(),
        schedule: judged.schedule.as_ref(),
        written: &spec.schedule,
        time_zone: &spec.time_zone,
        terms: Terms {
            concurrency_policy: spec.concurrency_policy,
            catch_up: spec.catch_up,
            starting_deadline: spec.starting_deadline_seconds.map(jiff::SignedDuration::from_secs),
            suspend: spec.suspend,
        },
        children: &children,
        refusal: judged.refusal.as_deref(),
        record: schedule.status.as_ref().and_then(record::read).as_ref(),
        now,
    })
}

/// Steps 5 and 6: the status, if it differs; then the Events that belong to it, and what is more than the limits.
async fn record(
    context: &Context,
    schedule: &OrchestrationSchedule,
    judged: &Judged,
    decision: &Decision,
    runs: &BTreeMap<String, Run>,
    known: &mut Knowledge,
) -> Result<Next, Error> {
    let now = context.clock.now();
    let previous = schedule.status.clone().unwrap_or_default();
    let all: Vec<Run> = runs.values().cloned().collect();
    let generation = schedule.metadata.generation;
    let mut next = record::written(&previous, generation, decision, &all);
    let statements = judging::statements(judged, schedule, decision, known.refusal.as_deref());
    next.conditions = condition::state(&previous.conditions, generation, now, statements);
    let spec = &schedule.spec;
    let limit = |limit: i32| usize::try_from(limit).unwrap_or_default();
    let (successful, failed) = (limit(spec.successful_history_limit), limit(spec.failed_history_limit));
    let name = schedule.name_any();
    let surplus = surplus(&name, &all, record::settled(&next), successful, failed);
    // It is known that they were made before they are gone.
    let ticks = surplus.iter().filter_map(|run| tick_of(&name, &run.name));
    next.removed = removed::with(&previous.removed, ticks, judged.schedule.as_ref());
    if let Some(patch) = difference(&json!(previous), &json!(next)) {
        let written =
            write::<OrchestrationSchedule>(&context.client.0, schedule, json!({ "status": patch })).await;
        context.written.schedules.keep(written?);
        // A name that is taken matters only as long as its tick is due.
        known.strangers.clear();
        measuring::ticks(&context.monitor.metrics, &decision.history, now);
        context.reporter.ticked(schedule, &decision.history).await;
    }
    for run in surplus {
        acting::delete(context, schedule, run).await?;
        known.deleted.insert(run.uid.clone());
    }
    let wait = decision.wake_at.map(|at| until(at, now));
    let look_again = known.is_ahead().then_some(knowledge::LOOK_AGAIN);
    Ok(Next::Wait(wait.into_iter().chain(look_again).min()))
}

/// A schedule that cannot be read is told, once.
async fn tell_unreadable(
    context: &Context,
    guarded: &Guarded<OrchestrationSchedule>,
    unreadable: &Unreadable,
) -> Result<Action, Error> {
    let generation = guarded.meta().generation;
    if unreadable.observed_generation == generation {
        return Ok(Action::await_change());
    }
    let message = unreadable.to_string();
    let statements = [
        Statement::new("Ready", Some(false), "Unreadable", message.clone()),
        Statement::new("Stalled", Some(true), "Unreadable", message),
    ];
    let conditions = condition::state(&[], generation, context.clock.now(), statements);
    // What was observed no longer counts: when the schedule can be read again, it counts from then on.
    let status = json!({
        "observedGeneration": generation, "conditions": conditions,
        "observedSchedule": null, "nextScheduleTime": null,
    });
    let written =
        write::<OrchestrationSchedule>(&context.client.0, guarded, json!({ "status": status })).await?;
    context.written.schedules.keep(written);
    Ok(Action::await_change())
}

/// The schedules that make runs of a definition.
#[must_use]
pub fn users_of(
    context: &Context,
    namespace: &str,
    definition: &str,
) -> Vec<ObjectRef<Guarded<OrchestrationSchedule>>> {
    let uses = |guarded: &Guarded<OrchestrationSchedule>| {
        guarded.namespace().as_deref() == Some(namespace)
            && guarded
                .content
                .as_ref()
                .is_ok_and(|schedule| schedule.spec.orchestration_template.spec.type_ == definition)
    };
    references(&context.schedules.state_filter(uses))
}

/// All schedules.
#[must_use]
pub fn all(context: &Context) -> Vec<ObjectRef<Guarded<OrchestrationSchedule>>> {
    references(&context.schedules.state())
}

fn references(
    found: &[Arc<Guarded<OrchestrationSchedule>>],
) -> Vec<ObjectRef<Guarded<OrchestrationSchedule>>> {
    found.iter().map(|found| ObjectRef::from_obj(found.as_ref())).collect()
}
