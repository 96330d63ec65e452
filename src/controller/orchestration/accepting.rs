//! Acceptance in the cluster: the definition is read once, pinned, and never read again.
//!
//! Responsible for: what `engine::acceptance` needs to know, and recording what it decides. Must never: start anything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::api::Api;

use super::super::context::Context;
use super::super::definitions::Resolved;
use super::super::error::Error;
use super::super::flaw;
use super::super::guard::Guarded;
use super::super::memory::Run;
use super::{LONGEST_WAIT, Next, is_told, until, write_status};
use crate::api::orchestration::ActivityStatus;
use crate::api::{Orchestration, OrchestrationDefinition};
use crate::client::bounded;
use crate::engine::acceptance::{self, Decision, Definition};
use crate::engine::condition;
use crate::engine::resume::{self, Previous};
use crate::engine::revision::Pinned;

/// Longest time without a look for a definition that is missing; its arrival wakes us earlier.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// An Orchestration without a revision meets its definition, or waits for it.
pub(super) async fn accept(
    context: &Context,
    run: &mut Run,
    current: &Arc<Orchestration>,
) -> Result<Next, Error> {
    let found = definition(context, current).await?;
    let now = context.clock.now();
    let decision = match found {
        None => acceptance::decide(current, &Definition::NotFound, now),
        Some(Err(why)) => acceptance::decide(current, &Definition::NotReady(why), now),
        Some(Ok(None)) => acceptance::decide(current, &Definition::Inactive, now),
        Some(Ok(Some(resolved))) => {
            let Pinned { name, compiled, .. } = resolved.pinned.as_ref();
            let ready = Definition::Ready { revision: name, compiled };
            let decision = acceptance::decide(current, &ready, now);
            let decision = match &current.spec.resume_from {
                Some(name) if decision.accepted && flaw::takes_over(context) => {
                    let taken = taken(context, current, &resolved.pinned, name).await?;
                    acceptance::resume(current, decision, taken, now)
                }
                Some(_) | None => decision,
            };
            if decision.accepted {
                return pin(context, run, current, resolved, decision).await;
            }
            decision
        }
    };
    settle(context, run, current, decision).await
}

/// What an Orchestration takes over. The one that it names is read once, from the server itself; what is decided then
/// stands in the status.
async fn taken(
    context: &Context,
    current: &Orchestration,
    pinned: &Pinned,
    name: &str,
) -> Result<Result<BTreeMap<String, ActivityStatus>, String>, Error> {
    let namespace = current.namespace().unwrap_or_default();
    let api: Api<Guarded<Orchestration>> = Api::namespaced(context.client.0.clone(), &namespace);
    let found = bounded(api.get_opt(name)).await;
    let found = found.map_err(|source| Error::Read { what: "the Orchestration to resume from", source })?;
    let old = match found.map(|found| found.content) {
        None => return Ok(resume::taken(current, pinned, &Previous::Missing)),
        Some(Err(why)) => {
            return Ok(resume::taken(current, pinned, &Previous::Unreadable(why.to_string())));
        }
        Some(Ok(old)) => old,
    };
    let revision = old.status.as_ref().and_then(|status| status.revision.as_deref());
    let stored = match revision {
        Some(revision) => Some(context.revisions.get(&namespace, &old.spec.type_, revision).await?),
        None => None,
    };
    let stored = stored.as_ref().map(|stored| stored.as_deref().map_err(Clone::clone));
    Ok(resume::taken(current, pinned, &Previous::Found { orchestration: &old, pinned: stored }))
}

/// Stores the revision, then the status that refers to it; in between, nothing collects it.
async fn pin(
    context: &Context,
    run: &mut Run,
    current: &Arc<Orchestration>,
    resolved: Resolved,
    decision: Decision,
) -> Result<Next, Error> {
    let _in_use = context.revisions.in_use().await;
    let namespace = current.namespace().unwrap_or_default();
    let decision = match context.revisions.store(&namespace, &current.spec.type_, resolved).await? {
        Ok(_) => decision,
        Err(why) => acceptance::decide(current, &Definition::NotReady(why), context.clock.now()),
    };
    settle(context, run, current, decision).await
}

/// The definition of an Orchestration: nothing if there is none, else what [`usable`] makes of it. One quorum read: a
/// definition and a run that are applied together arrive on separate watches.
pub(super) async fn definition(
    context: &Context,
    current: &Orchestration,
) -> Result<Option<Result<Option<Resolved>, String>>, Error> {
    let namespace = current.namespace().unwrap_or_default();
    let api: Api<Guarded<OrchestrationDefinition>> = Api::namespaced(context.client.0.clone(), &namespace);
    let found = bounded(api.get_opt(&current.spec.type_)).await;
    let found = found.map_err(|source| Error::Read { what: "the OrchestrationDefinition", source })?;
    Ok(found.map(|found| usable(context, found)))
}

/// The definition, if it is ready and the caches show the same of it as its own status; nothing if it is not active.
fn usable(context: &Context, found: Guarded<OrchestrationDefinition>) -> Result<Option<Resolved>, String> {
    let definition = found.content.map_err(|unreadable| format!("Unreadable: {unreadable}"))?;
    if !definition.spec.active {
        return Ok(None);
    }
    let status = definition.status.clone().unwrap_or_default();
    let not_seen = || "its newest version has not been checked yet".to_owned();
    if status.observed_generation != definition.metadata.generation {
        return Err(not_seen());
    }
    if !condition::is_true(&status.conditions, "Ready") {
        let ready = condition::find(&status.conditions, "Ready");
        return Err(ready.map_or_else(not_seen, condition::explained));
    }
    let resolved = context.definitions.resolve(&definition, &context.revisions).map_err(|_| not_seen())?;
    if status.revision.as_deref() != Some(resolved.pinned.name.as_str()) {
        return Err(not_seen());
    }
    Ok(Some(resolved))
}

async fn settle(
    context: &Context,
    run: &mut Run,
    current: &Arc<Orchestration>,
    decision: Decision,
) -> Result<Next, Error> {
    let now = context.clock.now();
    let wait = decision.wake_at.map_or(LONGEST_WAIT, |at| until(at, now)).min(LOOK_AGAIN);
    let Some(patch) = decision.update.merge_patch(&current.status.clone().unwrap_or_default()) else {
        return Ok(Next::Wait(wait));
    };
    let newer = write_status(context, run, current, patch).await?;
    if decision.accepted {
        run.knows_its_starts = true;
        return Ok(Next::Again(newer));
    }
    if let Some(stalled) = condition::find(&decision.update.summary.conditions, "Stalled") {
        context.reporter.refused(newer.as_ref(), &stalled.reason, &stalled.message).await;
    }
    Ok(if is_told(&newer) { Next::Again(newer) } else { Next::Wait(wait) })
}
