//! Before activities are recorded as never started: what an earlier process may have started, and the caches do not show.
//!
//! Responsible for: that no Job runs on unseen after an orchestration has ended. Must never: ask for what this process
//! knows from its own acts.

use std::collections::BTreeMap;

use kube::ResourceExt;

use super::super::context::Context;
use super::super::error::Error;
use super::super::memory::{Issue, Run};
use crate::api::Orchestration;
use crate::api::orchestration::{ActivityState, ActivityStatus};
use crate::engine::names::child_name;
use crate::engine::plan::Plan;
use crate::engine::retry;
use crate::engine::revision::Pinned;

/// Whether a plan gives up activities of which only the caches say that they, or their next attempts, were never started.
pub(super) fn is_doubtful(run: &Run, current: &Orchestration, planned: &Plan) -> bool {
    !run.knows_its_starts && given_up(current, &planned.update.activities).next().is_some()
}

/// Asks the server itself for the Jobs of a run, once in the life of a process, and remembers those that were started
/// all the same.
pub(super) async fn look(
    context: &Context,
    run: &mut Run,
    current: &Orchestration,
    pinned: &Pinned,
    planned: &Plan,
) -> Result<(), Error> {
    let (namespace, name) = (current.namespace().unwrap_or_default(), current.name_any());
    let uid = current.uid().unwrap_or_default();
    let jobs = context.jobs.made_for(&namespace, &uid).await?;
    let at = context.clock.now();
    for (id, attempt) in given_up(current, &planned.update.activities) {
        let Some(index) = pinned.compiled.index.get(id) else { continue };
        if jobs.contains(&child_name(&name, &uid, id, attempt)) {
            run.issues.insert((*index, attempt), Issue::Requested { at });
        }
    }
    run.knows_its_starts = true;
    Ok(())
}

/// The activities that are recorded as over without having run since the stored status, and the attempt that an earlier
/// process may have started.
fn given_up<'a>(
    current: &'a Orchestration,
    planned: &'a BTreeMap<String, ActivityStatus>,
) -> impl Iterator<Item = (&'a String, u32)> {
    let stored = current.status.as_ref().map(|status| &status.activities);
    planned.iter().filter_map(move |(id, entry)| {
        let is_over = matches!(entry.state, ActivityState::NotStarted | ActivityState::Cancelled);
        let before = stored.and_then(|stored| stored.get(id));
        let was_running = before.is_some_and(|before| before.state == ActivityState::Running);
        (is_over && !was_running).then(|| (id, before.map_or(1, retry::attempt)))
    })
}
