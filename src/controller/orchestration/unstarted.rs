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
use crate::engine::revision::Pinned;

/// Whether a plan ends a run with activities that only the caches say were never started.
pub(super) fn is_doubtful(run: &Run, planned: &Plan) -> bool {
    !run.knows_its_starts
        && planned.update.summary.completion_time.is_some()
        && unstarted(&planned.update.activities).next().is_some()
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
    for (id, entry) in unstarted(&planned.update.activities) {
        let Some(index) = pinned.compiled.index.get(id) else { continue };
        if jobs.contains(&child_name(&name, &uid, id, entry.attempt.max(1))) {
            run.issues.insert(*index, Issue::Requested { at });
        }
    }
    run.knows_its_starts = true;
    Ok(())
}

fn unstarted(
    activities: &BTreeMap<String, ActivityStatus>,
) -> impl Iterator<Item = (&String, &ActivityStatus)> {
    activities.iter().filter(|(_, entry)| entry.state == ActivityState::NotStarted)
}
