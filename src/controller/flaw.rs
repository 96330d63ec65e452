//! Mistakes made on purpose, by which the tests prove that they would find them.
//!
//! Responsible for: what the controllers do wrong when `Settings::flaw` says so. Must never: be reachable from a
//! command line.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use serde_json::Value;

use super::context::Context;
use super::error::Error;
use super::memory::Run;
use crate::api::Orchestration;
use crate::api::common::Object;
use crate::api::orchestration::ActivityState;
use crate::client::bounded;
use crate::config::Flaw;
use crate::engine::definition::Compiled;
use crate::engine::effect::Effect;
use crate::engine::names::child_name;
use crate::engine::observe::{Attempt, FailureReason, Verdict};
use crate::engine::plan::Plan;
use crate::engine::state::is_final;
use crate::engine::status::StatusUpdate;

/// The name under which a Job is looked for: as it must be, unless the server is let to name Jobs.
pub fn job_name(context: &Context, namespace: &str, name: String) -> String {
    match context.settings.flaw {
        Some(Flaw::GeneratesJobNames) => context.jobs.jobs.named_like(namespace, &name).unwrap_or(name),
        _ => name,
    }
}

/// A Job as it is sent: as it must be, unless the server is let to name Jobs.
pub fn job_body(context: &Context, mut body: Value) -> Value {
    if context.settings.flaw == Some(Flaw::GeneratesJobNames)
        && let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut)
    {
        let name = metadata.remove("name").unwrap_or_default();
        metadata.insert("generateName".to_owned(), name);
    }
    body
}

/// What a plan is made from: the Orchestration, unless what users ask for is ignored.
pub fn asked(context: &Context, current: &Arc<Orchestration>) -> Arc<Orchestration> {
    let mut asked = Arc::clone(current);
    match context.settings.flaw {
        Some(Flaw::IgnoresSuspend) => Arc::make_mut(&mut asked).spec.suspend = false,
        Some(Flaw::IgnoresShutdown) => Arc::make_mut(&mut asked).spec.shutdown = None,
        _ => {}
    }
    asked
}

/// What is known of an attempt: what was seen, unless a stop counts as done once it was asked for, or a failure as a
/// disruption.
pub fn seen(context: &Context, mut seen: Attempt) -> Attempt {
    match (context.settings.flaw, &mut seen) {
        (Some(Flaw::TakesStoppingForStopped), Attempt::Stopping) => Attempt::Stopped,
        (Some(Flaw::TakesFailuresForDisruptions), Attempt::Ended(outcome)) => {
            if let Verdict::Failed { reason: reason @ FailureReason::ExitCode, .. } = &mut outcome.verdict {
                *reason = FailureReason::Disrupted;
            }
            seen
        }
        _ => seen,
    }
}

/// A plan: as it was made, unless it does what has to be recorded first.
pub fn hasty(context: &Context, run: &Run, current: &Orchestration, compiled: &Compiled, planned: &mut Plan) {
    let stored = current.status.clone().unwrap_or_default();
    let state = |id: &String| stored.activities.get(id).map(|entry| entry.state);
    let start = |activity, attempt| Effect::Start { activity, attempt, inputs: Object::new() };
    // Once: what is done again and again would never be recorded.
    let is_new = |effect: &Effect| match effect {
        Effect::Start { activity, attempt, .. } => !run.issues.contains_key(&(*activity, *attempt)),
        Effect::Stop { activity, attempt } => !run.stops.contains_key(&(*activity, *attempt)),
    };
    match context.settings.flaw {
        Some(Flaw::RetriesBeforeRecord) => {
            let failed = planned.update.activities.iter().filter(|(id, entry)| {
                entry.state == ActivityState::Retrying && state(id) != Some(ActivityState::Retrying)
            });
            let next =
                failed.filter_map(|(id, entry)| Some(start(*compiled.index.get(id)?, entry.attempt + 1)));
            let next: Vec<Effect> = next.filter(is_new).collect();
            planned.effects.extend(next);
        }
        Some(Flaw::StopsBeforeRecord)
            if stored.stop_time.is_none() && planned.update.summary.stop_time.is_some() =>
        {
            let running = stored.activities.iter().filter(|(_, entry)| entry.state == ActivityState::Running);
            let stops = running.filter_map(|(id, entry)| {
                Some(Effect::Stop { activity: *compiled.index.get(id)?, attempt: entry.attempt })
            });
            planned.effects.extend(stops.filter(is_new));
        }
        Some(Flaw::BeginsFinallyAtOnce)
            if stored.finally_time.is_none() && stored.completion_time.is_none() =>
        {
            let last = compiled.activities.iter().enumerate().skip(compiled.main);
            planned.effects.extend(last.map(|(activity, _)| start(activity, 1)).filter(is_new));
        }
        _ => {}
    }
}

/// Whether what another run has done is to be taken over: yes, unless it is done again.
pub fn takes_over(context: &Context) -> bool {
    context.settings.flaw != Some(Flaw::RunsAllAgain)
}

/// After a status was stored: nothing, unless Jobs are deleted once their result is recorded.
pub async fn after_record(
    context: &Context,
    stored: &Orchestration,
    update: &StatusUpdate,
) -> Result<(), Error> {
    if context.settings.flaw != Some(Flaw::DeletesRecordedJobs) {
        return Ok(());
    }
    let (namespace, name) = (stored.namespace().unwrap_or_default(), stored.name_any());
    let uid = stored.uid().unwrap_or_default();
    for (id, entry) in update.activities.iter().filter(|(_, entry)| is_final(entry.state)) {
        let job = child_name(&name, &uid, id, entry.attempt);
        let api: Api<Job> = Api::namespaced(context.client.0.clone(), &namespace);
        let deleted = bounded(api.delete(&job, &DeleteParams::background())).await;
        deleted.map_err(|source| Error::Write { what: "a Job", source })?;
    }
    Ok(())
}
