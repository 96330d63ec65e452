//! Finished Orchestrations: what is kept of them, and for how long.
//!
//! Responsible for: deleting the Jobs of a finished Orchestration after the operator's retention, and the Orchestration
//! itself after its own time to live. Must never: touch one that has not finished, or one that was changed meanwhile.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Preconditions};
use kube::runtime::controller::Action;

use super::super::context::Context;
use super::super::error::Error;
use super::super::guard::Guarded;
use super::until;
use crate::api::{Orchestration, labels};
use crate::client::bounded;
use crate::engine::names::{child_name, label_value};
use crate::engine::retry;

/// When it is looked whether Jobs that were deleted are gone.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Does what is due, and sleeps until more is. What is due follows from the status and the caches alone, so that nothing
/// is forgotten in a restart.
pub(super) async fn look_after(context: &Context, finished: &Orchestration) -> Result<Action, Error> {
    let status = finished.status.as_ref();
    let Some(ended) = status.and_then(|status| status.completion_time.as_ref()).map(|time| time.0) else {
        return Ok(Action::await_change());
    };
    let now = context.clock.now();
    let after = |time: SignedDuration| ended.saturating_add(time).unwrap_or(Timestamp::MAX);
    let ends = finished.spec.ttl_seconds_after_finished.map(|ttl| after(SignedDuration::from_secs(ttl)));
    if ends.is_some_and(|ends| ends <= now) {
        return delete(context, finished).await;
    }
    let mut wait = ends.map(|ends| until(ends, now));
    if has_jobs(context, finished) {
        let retention =
            SignedDuration::try_from(context.settings.job_retention).unwrap_or(SignedDuration::MAX);
        let due = after(retention);
        let next = if due <= now {
            delete_jobs(context, finished).await?;
            LOOK_AGAIN
        } else {
            until(due, now)
        };
        wait = Some(wait.map_or(next, |wait| wait.min(next)));
    }
    Ok(wait.map_or_else(Action::await_change, Action::requeue))
}

/// Deletes the Orchestration as it was seen: whoever has just changed it is heard first.
async fn delete(context: &Context, finished: &Orchestration) -> Result<Action, Error> {
    let namespace = finished.namespace().unwrap_or_default();
    let same = Preconditions { uid: finished.uid(), resource_version: finished.resource_version() };
    let api: Api<Guarded<Orchestration>> = Api::namespaced(context.client.0.clone(), &namespace);
    let parameters = DeleteParams::background().preconditions(same);
    match bounded(api.delete(&finished.name_any(), &parameters)).await {
        Ok(_) => Ok(Action::await_change()),
        Err(source) => Err(Error::Write { what: "the end of an Orchestration", source }),
    }
}

/// Whether the cache shows a Job of any of its attempts.
fn has_jobs(context: &Context, finished: &Orchestration) -> bool {
    let (namespace, name) = (finished.namespace().unwrap_or_default(), finished.name_any());
    let uid = finished.uid().unwrap_or_default();
    let activities = finished.status.iter().flat_map(|status| &status.activities);
    activities.into_iter().any(|(id, entry)| {
        (1..=retry::attempt(entry)).any(|attempt| {
            let jobs = context.jobs.jobs.of_job(&namespace, &child_name(&name, &uid, id, attempt));
            jobs.iter().any(|job| job.identity.owner.as_ref().is_some_and(|owner| owner.uid == uid))
        })
    })
}

/// Deletes all of its Jobs in one request.
async fn delete_jobs(context: &Context, finished: &Orchestration) -> Result<(), Error> {
    let namespace = finished.namespace().unwrap_or_default();
    let uid = label_value(&finished.uid().unwrap_or_default());
    let ours =
        format!("{}={uid},{}={}", labels::ORCHESTRATION_UID, labels::MANAGED_BY.0, labels::MANAGED_BY.1);
    let api: Api<Job> = Api::namespaced(context.client.0.clone(), &namespace);
    bounded(api.delete_collection(&DeleteParams::background(), &ListParams::default().labels(&ours)))
        .await
        .map(|_| ())
        .map_err(|source| Error::Write { what: "the end of Jobs", source })
}
