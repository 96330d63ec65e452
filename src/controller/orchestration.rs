//! The Orchestration controller: the six steps.
//!
//! Responsible for: carrying one Orchestration forward, a round at a time. Must never: decide; `engine::acceptance` and
//! `engine::plan` do.

use std::sync::Arc;
use std::time::Duration;

use kube::api::Api;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use tokio::time::Instant;

use super::apply::{apply, observe};
use super::context::Context;
use super::error::Error;
use super::flaw;
use super::guard::Guarded;
use super::measuring;
use super::memory::{Issue, Key, Run};
use super::rights::making;
use super::status::write;
use crate::api::Orchestration;
use crate::client::bounded;
use crate::clock::until;
use crate::config::Flaw;
use crate::engine::plan::{Plan, Situation, Urgency, plan};
use crate::engine::retry;
use crate::engine::revision::Pinned;
use crate::engine::state::is_final;
use crate::engine::status::StatusUpdate;

mod accepting;
mod finished;
mod poison;
mod unpinned;
mod unstarted;

/// Shortest time between two status writes that nobody waits for. The Job controller takes about a second from the end
/// of a pod to the end of its Job, so that start and end of a short activity travel together.
const WRITE_INTERVAL: Duration = Duration::from_secs(2);
/// Rounds of one reconcile: a result is stored, and what it makes ready starts.
const ROUNDS: usize = 8;
/// Pause after the last round of a reconcile that has more to do, so that no mistake of ours becomes a hot loop.
const PAUSE: Duration = Duration::from_millis(200);
/// When what no watch shows is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(20);
/// Longest time without a look at an unfinished Orchestration; a watch that fell silent is survived.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Carries one Orchestration forward.
pub async fn reconcile(guarded: Arc<Guarded<Orchestration>>, context: Arc<Context>) -> Result<Action, Error> {
    let uid = guarded.uid().unwrap_or_default();
    if guarded.meta().deletion_timestamp.is_some() {
        // Its Jobs go with it, by their owner reference.
        context.memory.forget(&uid);
        context.rights.forget(&uid);
        return Ok(Action::await_change());
    }
    let cached = match &guarded.content {
        Ok(cached) => cached,
        Err(unreadable) => return poison::tell(&guarded, unreadable, &context).await,
    };
    if is_told(cached) {
        context.memory.forget(&uid);
        context.rights.forget(&uid);
        return finished::look_after(&context, cached).await;
    }
    let run = context.memory.run(&uid);
    let mut run = run.lock().await;
    let mut current = run.newest(cached);
    if run.is_outdated {
        // The watch may be silent, and every further write as vain as the last.
        current = look(&context, &mut run, &current).await?;
    }
    for _ in 0..ROUNDS {
        if is_told(&current) {
            break;
        }
        let next = round(&context, &mut run, &current).await?;
        context.rights.answered(&making(&uid), run.refusal());
        match next {
            Next::Again(newer) => current = newer,
            Next::Wait(wait) => return Ok(Action::requeue(wait.min(LONGEST_WAIT))),
        }
    }
    if is_told(&current) {
        run.retire(&current);
        return finished::look_after(&context, &current).await;
    }
    Ok(Action::requeue(PAUSE))
}

/// Whether nothing is left to do or to say.
fn is_told(orchestration: &Orchestration) -> bool {
    orchestration.status.as_ref().is_some_and(|status| {
        status.completion_time.is_some() && status.observed_generation == orchestration.metadata.generation
    })
}

/// What comes after a round.
enum Next {
    /// Another one, from this object.
    Again(Arc<Orchestration>),
    /// Nothing, for so long.
    Wait(Duration),
}

async fn round(context: &Context, run: &mut Run, current: &Arc<Orchestration>) -> Result<Next, Error> {
    let namespace = current.namespace().unwrap_or_default();
    let status = current.status.as_ref();
    if status.is_some_and(|status| status.completion_time.is_some()) {
        return generation_only(context, run, current).await;
    }
    let Some(revision) = status.and_then(|status| status.revision.as_deref()) else {
        return accepting::accept(context, run, current).await;
    };
    let pinned = match context.revisions.get(&namespace, &current.spec.type_, revision).await? {
        Ok(pinned) => pinned,
        Err(why) => return unpinned::carry_on(context, run, current, &why).await,
    };
    if current.spec.suspend {
        // A start that is not wanted now is not refused now; it is asked for anew afterwards.
        run.issues.retain(|_, issue| !matches!(issue, Issue::Refused { .. }));
    }
    let now = context.clock.now();
    let (observed, is_unwatched) = observe(context, current, &pinned, run, now).await?;
    let asked = flaw::asked(context, current);
    let mut planned =
        plan(&Situation { compiled: &pinned.compiled, orchestration: &asked, observed: &observed, now });
    flaw::hasty(context, run, current, &pinned.compiled, &mut planned);
    if unstarted::is_doubtful(run, current, &planned) {
        unstarted::look(context, run, current, &pinned, &planned).await?;
        return Ok(Next::Again(Arc::clone(current)));
    }
    if planned.effects.is_empty() {
        return Ok(match record(context, run, current, &pinned, planned).await? {
            Next::Wait(wait) if is_unwatched => Next::Wait(wait.min(LOOK_AGAIN)),
            next => next,
        });
    }
    match freshen(context, run, current).await? {
        Some(newer) => Ok(Next::Again(newer)),
        None => {
            apply(context, current, &pinned, run, &planned.effects).await?;
            Ok(Next::Again(Arc::clone(current)))
        }
    }
}

/// Before the first effect after a restart, the server itself is asked for the newest version: a cache may be older
/// than what our predecessor wrote. Afterwards our own last write proves it.
async fn freshen(
    context: &Context,
    run: &mut Run,
    current: &Arc<Orchestration>,
) -> Result<Option<Arc<Orchestration>>, Error> {
    if run.latest.is_some() || context.settings.flaw == Some(Flaw::SkipsFreshnessCheck) {
        return Ok(None);
    }
    look(context, run, current).await.map(Some)
}

/// Asks the server itself for the newest version.
async fn look(
    context: &Context,
    run: &mut Run,
    current: &Arc<Orchestration>,
) -> Result<Arc<Orchestration>, Error> {
    let api: Api<Guarded<Orchestration>> =
        Api::namespaced(context.client.0.clone(), &current.namespace().unwrap_or_default());
    let read = bounded(api.get_opt(&current.name_any())).await;
    let found = read.map_err(|source| Error::Read { what: "the Orchestration", source })?;
    let is_same = |found: &Guarded<Orchestration>| {
        found.uid() == current.uid() && found.meta().deletion_timestamp.is_none()
    };
    let Some(fresh) = found.filter(is_same) else {
        return Err(Error::gone("an Orchestration that is gone"));
    };
    let Ok(fresh) = fresh.content else { return Err(Error::NotReady) };
    let fresh = Arc::new(fresh);
    if fresh.metadata.resource_version != current.metadata.resource_version {
        context.monitor.metrics.stale_reads.inc();
    }
    run.latest = Some(Arc::clone(&fresh));
    run.is_outdated = false;
    Ok(fresh)
}

/// Step 5 and 6: the status, if it differs and its time has come; then the Events that belong to it.
async fn record(
    context: &Context,
    run: &mut Run,
    current: &Arc<Orchestration>,
    pinned: &Pinned,
    planned: Plan,
) -> Result<Next, Error> {
    let now = context.clock.now();
    let mut wait = planned.wake_at.map_or(LONGEST_WAIT, |at| until(at, now));
    let Some(patch) = planned.update.merge_patch(&current.status.clone().unwrap_or_default()) else {
        return Ok(Next::Wait(wait));
    };
    let since_last_write = run.last_write.map_or(WRITE_INTERVAL, |last| last.elapsed());
    if planned.urgency == Urgency::Soon && since_last_write < WRITE_INTERVAL {
        wait = wait.min(WRITE_INTERVAL.saturating_sub(since_last_write));
        return Ok(Next::Wait(wait));
    }
    let newer = write_status(context, run, current, patch).await?;
    for activity in planned.update.activities.keys() {
        // What is stored need not be remembered.
        if let Some(index) = pinned.compiled.index.get(activity) {
            forget_stored(run, &newer, activity, *index);
        }
    }
    flaw::after_record(context, &newer, &planned.update).await?;
    context.reporter.tell(&newer, &pinned.compiled, &planned.notices).await;
    Ok(Next::Again(newer))
}

/// A start that a stored status tells of needs no memory once it is final, or another attempt follows.
fn forget_stored(run: &mut Run, stored: &Orchestration, activity: &str, index: usize) {
    let entry = stored.status.as_ref().and_then(|status| status.activities.get(activity));
    let Some(entry) = entry else { return };
    let is_over = is_final(entry.state);
    let current = retry::attempt(entry);
    let is_needed = |key: &Key| key.0 != index || (!is_over && key.1 >= current);
    run.issues.retain(|key, _| is_needed(key));
    run.stops.retain(|key, _| is_needed(key));
}

async fn write_status(
    context: &Context,
    run: &mut Run,
    current: &Orchestration,
    patch: serde_json::Value,
) -> Result<Arc<Orchestration>, Error> {
    let written = write::<Orchestration>(&context.client.0, current, patch).await;
    if written.is_err() {
        // Whatever happened to it: what we know may be old now.
        run.latest = None;
        run.is_outdated = true;
    }
    let Ok(newer) = written?.content else { return Err(Error::NotReady) };
    let newer = Arc::new(newer);
    if let Some(after) = &newer.status {
        let before = current.status.clone().unwrap_or_default();
        measuring::orchestration(&context.monitor.metrics, &before, after);
    }
    run.latest = Some(Arc::clone(&newer));
    run.last_write = Some(Instant::now());
    Ok(newer)
}

/// A finished Orchestration whose spec was edited: only the generation that its status speaks of follows.
async fn generation_only(
    context: &Context,
    run: &mut Run,
    current: &Arc<Orchestration>,
) -> Result<Next, Error> {
    let previous = current.status.clone().unwrap_or_default();
    let mut summary = crate::engine::status::summary(&previous);
    summary.observed_generation = current.metadata.generation;
    let update = StatusUpdate { summary, ..StatusUpdate::default() };
    match update.merge_patch(&previous) {
        Some(patch) => Ok(Next::Again(write_status(context, run, current, patch).await?)),
        None => Ok(Next::Wait(LONGEST_WAIT)),
    }
}

/// The Orchestrations that may wait for a definition.
#[must_use]
pub fn waiting_for(
    context: &Context,
    namespace: &str,
    definition: &str,
) -> Vec<ObjectRef<Guarded<Orchestration>>> {
    let waits = |guarded: &Guarded<Orchestration>| {
        guarded.namespace().as_deref() == Some(namespace)
            && guarded.content.as_ref().is_ok_and(|orchestration| {
                orchestration.spec.type_ == definition
                    && orchestration
                        .status
                        .as_ref()
                        .is_none_or(|s| s.revision.is_none() && s.completion_time.is_none())
            })
    };
    context
        .orchestrations
        .state_filter(waits)
        .iter()
        .map(|found| ObjectRef::from_obj(found.as_ref()))
        .collect()
}
