//! Orchestrations whose revision is gone.
//!
//! Responsible for: storing it again where the definition is still the same, and carrying out what `engine::unpinned`
//! decides where it is not. Must never: run from another revision.

use std::sync::Arc;

use kube::ResourceExt;

use super::super::context::Context;
use super::super::error::Error;
use super::super::memory::Run;
use super::accepting::definition;
use super::{LONGEST_WAIT, Next, is_told, until, write_status};
use crate::api::Orchestration;
use crate::engine::condition;
use crate::engine::names::child_name;
use crate::engine::unpinned::decide;

/// Carries on an Orchestration whose revision `why` cannot be run.
pub(super) async fn carry_on(
    context: &Context,
    run: &mut Run,
    current: &Arc<Orchestration>,
    why: &str,
) -> Result<Next, Error> {
    let namespace = current.namespace().unwrap_or_default();
    let status = current.status.clone().unwrap_or_default();
    let _in_use = context.revisions.in_use().await;
    if let Some(Ok(Some(resolved))) = definition(context, current).await?
        && status.revision.as_deref() == Some(resolved.pinned.name.as_str())
        && context.revisions.store(&namespace, &current.spec.type_, resolved).await?.is_ok()
    {
        return Ok(Next::Again(Arc::clone(current)));
    }
    let now = context.clock.now();
    let decision = decide(current, why, now);
    let (name, uid) = (current.name_any(), current.uid().unwrap_or_default());
    for (activity, attempt) in &decision.stop {
        context.jobs.stop(&namespace, &child_name(&name, &uid, activity, *attempt)).await?;
    }
    let wait = decision.wake_at.map_or(LONGEST_WAIT, |at| until(at, now));
    let Some(patch) = decision.update.merge_patch(&status) else { return Ok(Next::Wait(wait)) };
    let newer = write_status(context, run, current, patch).await?;
    if let Some(stalled) = condition::find(&decision.update.summary.conditions, "Stalled") {
        context.reporter.refused(newer.as_ref(), &stalled.reason, &stalled.message).await;
    }
    Ok(if is_told(&newer) { Next::Again(newer) } else { Next::Wait(wait) })
}
