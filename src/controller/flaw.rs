//! Mistakes made on purpose, by which the tests prove that they would find them.
//!
//! Responsible for: what the controllers do wrong when `Settings::flaw` says so. Must never: be reachable from a
//! command line.

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use serde_json::Value;

use super::context::Context;
use super::error::Error;
use crate::api::Orchestration;
use crate::client::bounded;
use crate::config::Flaw;
use crate::engine::names::child_name;
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
