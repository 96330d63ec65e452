//! Acting: runs are made, ended and deleted.
//!
//! Responsible for: that nothing is made from an old version of the schedule or of its runs, and that a name that is
//! taken is ours or nobody's business. Must never: touch a run of another owner.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use serde_json::json;

use super::super::context::Context;
use super::super::error::Error;
use super::super::guard::Guarded;
use super::super::memory::is_newer;
use super::super::runs::run_of;
use super::knowledge::Knowledge;
use crate::api::{Orchestration, OrchestrationSchedule, labels};
use crate::client::{Class, answer, bounded, class, is_namespace_terminating, words};
use crate::engine::schedule::child_name;
use crate::engine::schedule::decide::{Birth, Decision};
use crate::engine::schedule::runs::Run;
use crate::engine::schedule::template::{self, Name};

/// Requests of one schedule that are under way at the same time.
const PARALLEL_REQUESTS: usize = 8;

/// What became of what was decided.
pub(super) enum Done {
    /// All of it is done.
    All,
    /// A name is taken by a stranger: it has to be decided again.
    Collision,
    /// Nothing can be made any more.
    NamespaceEnds,
}

/// Before anything is made, the server itself is asked: for the schedule, because a tick may be accounted for in a newer
/// version, whose run may be deleted already; and for the runs that the watch may not show, because one of them may not
/// have finished. The result is the newer version, or what has to be decided again; nothing if nothing is news.
pub(super) async fn freshen(
    context: &Context,
    schedule: &OrchestrationSchedule,
    decision: &Decision,
    known: &mut Knowledge,
) -> Result<Option<Arc<Guarded<OrchestrationSchedule>>>, Error> {
    let namespace = schedule.namespace().unwrap_or_default();
    let api: Api<Guarded<OrchestrationSchedule>> = Api::namespaced(context.client.0.clone(), &namespace);
    let read = bounded(api.get_opt(&schedule.name_any())).await;
    let found = read.map_err(|source| Error::Read { what: "the OrchestrationSchedule", source })?;
    let is_same = |found: &Guarded<OrchestrationSchedule>| {
        found.uid() == schedule.uid() && kube::Resource::meta(found).deletion_timestamp.is_none()
    };
    let Some(fresh) = found.filter(is_same) else {
        return Err(Error::gone("an OrchestrationSchedule that is gone"));
    };
    if is_newer(&fresh, &Guarded::readable(schedule.clone())) {
        return Ok(Some(Arc::new(fresh)));
    }
    let uid = schedule.uid().unwrap_or_default();
    let before = known.runs(context.runs.of(&uid));
    // A predecessor may have made a run that it never recorded, and that the decision takes for missed.
    let missed = decision.history.iter().filter(|entry| entry.outcome.is_err());
    let names = missed.map(|entry| child_name(&schedule.name_any(), entry.tick)).collect();
    look(context, schedule, known, names).await?;
    let after = known.runs(context.runs.of(&uid));
    Ok((before != after).then(|| Arc::new(Guarded::readable(schedule.clone()))))
}

/// Looks for runs that the watch should have shown long ago: they may be gone.
pub(super) async fn look_behind(
    context: &Context,
    schedule: &OrchestrationSchedule,
    known: &mut Knowledge,
) -> Result<(), Error> {
    known.runs(context.runs.of(&schedule.uid().unwrap_or_default()));
    if known.is_overdue() { look(context, schedule, known, Vec::new()).await } else { Ok(()) }
}

/// Asks the server for every run that may not have finished, or may exist, and that the watch does not show.
async fn look(
    context: &Context,
    schedule: &OrchestrationSchedule,
    known: &mut Knowledge,
    perhaps: Vec<String>,
) -> Result<(), Error> {
    let uid = schedule.uid().unwrap_or_default();
    let shown = context.runs.of(&uid);
    let active = schedule.status.iter().flat_map(|status| &status.active).map(|run| &run.name);
    let names: BTreeSet<&String> = active.chain(known.ahead.keys()).chain(&perhaps).collect();
    let doubtful: Vec<String> =
        names.into_iter().filter(|name| !shown.contains_key(*name)).cloned().collect();
    let runs: Api<Guarded<Orchestration>> =
        Api::namespaced(context.client.0.clone(), &schedule.namespace().unwrap_or_default());
    let looks = stream::iter(doubtful).map(|name| {
        let runs = runs.clone();
        async move {
            let found = bounded(runs.get_opt(&name)).await;
            found.map(|found| (name, found)).map_err(|source| Error::Read { what: "a run", source })
        }
    });
    let looked: Vec<_> = looks.buffered(PARALLEL_REQUESTS).try_collect().await?;
    for (name, found) in looked {
        match found.as_ref().and_then(run_of).filter(|(owner, _)| owner.uid == uid) {
            Some((_, run)) => known.remember(run),
            None => drop(known.ahead.remove(&name)),
        }
    }
    Ok(())
}

/// Carries out a decision: what is to end is asked to, what is to be made is made, in order.
pub(super) async fn carry_out(
    context: &Context,
    schedule: &OrchestrationSchedule,
    decision: &Decision,
    known: &mut Knowledge,
) -> Result<Done, Error> {
    let uid = schedule.uid().unwrap_or_default();
    let shown = known.runs(context.runs.of(&uid));
    for name in &decision.terminate {
        if let Some(run) = shown.get(name) {
            terminate(context, schedule, run).await?;
            known.terminated.insert(name.clone());
        }
    }
    for birth in &decision.create {
        match create(context, schedule, birth).await? {
            Created::Ours(run) => known.remember(run),
            Created::Stranger => {
                known.strangers.insert(birth.name.clone());
                return Ok(Done::Collision);
            }
            Created::NamespaceEnds => return Ok(Done::NamespaceEnds),
        }
    }
    // A name is taken only as long as its tick is due.
    known.strangers.clear();
    Ok(Done::All)
}

enum Created {
    Ours(Run),
    Stranger,
    NamespaceEnds,
}

async fn create(
    context: &Context,
    schedule: &OrchestrationSchedule,
    birth: &Birth,
) -> Result<Created, Error> {
    let namespace = schedule.namespace().unwrap_or_default();
    let resource = ApiResource::erase::<Orchestration>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.0.clone(), &namespace, &resource);
    let body = template::run(schedule, Name::Exact(&birth.name), birth.tick);
    let write = |source| Error::Write { what: "a run", source };
    let body = serde_json::from_value(body).map_err(|error| write(kube::Error::SerdeError(error)))?;
    let parameters = PostParams { field_manager: Some(labels::MANAGER.to_owned()), ..PostParams::default() };
    let uid = match bounded(api.create(&parameters, &body)).await {
        Ok(created) => created.uid(),
        Err(error) => match answer(&error) {
            Some(status) if status.is_already_exists() => return adopt(context, schedule, birth).await,
            Some(status) if is_namespace_terminating(status) => return Ok(Created::NamespaceEnds),
            _ => return Err(write(error)),
        },
    };
    Ok(Created::Ours(Run {
        name: birth.name.clone(),
        uid: uid.unwrap_or_default(),
        tick: Some(birth.tick),
        is_terminating: false,
        end: None,
    }))
}

/// A run of that name exists: success if it is ours, from a request whose answer was lost, or of another replica.
async fn adopt(context: &Context, schedule: &OrchestrationSchedule, birth: &Birth) -> Result<Created, Error> {
    let api: Api<Guarded<Orchestration>> =
        Api::namespaced(context.client.0.clone(), &schedule.namespace().unwrap_or_default());
    let found = bounded(api.get_opt(&birth.name)).await;
    let found = found.map_err(|source| Error::Read { what: "a run", source })?.ok_or(Error::NotReady)?;
    let ours = run_of(&found).filter(|(owner, _)| Some(&owner.uid) == schedule.uid().as_ref());
    Ok(ours.map_or(Created::Stranger, |(_, run)| Created::Ours(run)))
}

/// Asks a run to terminate, if it is still the same one.
async fn terminate(context: &Context, schedule: &OrchestrationSchedule, run: &Run) -> Result<(), Error> {
    let api: Api<Guarded<Orchestration>> =
        Api::namespaced(context.client.0.clone(), &schedule.namespace().unwrap_or_default());
    let patch = json!({"metadata": {"uid": run.uid}, "spec": {"shutdown": "Terminate"}});
    let parameters =
        PatchParams { field_manager: Some(labels::MANAGER.to_owned()), ..PatchParams::default() };
    match bounded(api.patch(&run.name, &parameters, &Patch::Merge(patch))).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        result => result.map(|_| ()).map_err(|source| Error::Write { what: "the end of a run", source }),
    }
}

/// Deletes a run that has finished, if it is still the same one.
pub(super) async fn delete(
    context: &Context,
    schedule: &OrchestrationSchedule,
    run: &Run,
) -> Result<(), Error> {
    let api: Api<Guarded<Orchestration>> =
        Api::namespaced(context.client.0.clone(), &schedule.namespace().unwrap_or_default());
    let same = Preconditions { uid: Some(run.uid.clone()), resource_version: None };
    match bounded(api.delete(&run.name, &DeleteParams::background().preconditions(same))).await {
        // It is gone, or another one has its name.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        result => result.map(|_| ()).map_err(|source| Error::Write { what: "the end of a run", source }),
    }
}

/// What people are told of a failure to make a run: the server's refusal. What may go away by itself is not told.
pub(super) fn told(error: &Error) -> Option<String> {
    match error {
        Error::Write { source, .. } if class(source) == Class::Permanent => Some(words(source)),
        _ => None,
    }
}
