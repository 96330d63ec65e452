//! Run control: attempts that fail, time that passes, people who suspend, stop and resume, and what is kept afterwards.
//!
//! Responsible for: what the controllers make of it, on the embedded server and in a time of its own. Must never: ask
//! what only the real Job controller can answer.

use k8s_openapi::api::batch::v1::Job;
use orchestrator::api::Orchestration;
use orchestrator::api::orchestration::{ActivityState, ActivityStatus};
use serde_json::{Value, json};

use crate::support::kubelet::Work;
use crate::support::objects::activity_definition;
use crate::support::sandbox::Sandbox;

mod attempts;
mod clock;
mod ends;
mod fairness;
mod golden;
mod kept;
mod resumed;

/// An activity type `t` with more of a spec.
fn type_with(more: Value) -> Value {
    let mut type_ = activity_definition("t");
    type_["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    type_
}

/// Number of the attempt that a pod is for.
fn attempt(work: &Work) -> u32 {
    work.pod.metadata.labels.as_ref().unwrap()["orchestrator.dev/attempt"].parse().unwrap()
}

/// Waits until an activity is as it should be.
async fn activity(
    sandbox: &Sandbox,
    run: &str,
    id: &str,
    holds: impl Fn(&ActivityStatus) -> bool,
) -> ActivityStatus {
    let found = sandbox
        .until(run, |run: &Orchestration| {
            run.status.as_ref().and_then(|status| status.activities.get(id)).is_some_and(&holds)
        })
        .await;
    found.status.unwrap().activities.remove(id).unwrap()
}

async fn running(sandbox: &Sandbox, run: &str, id: &str) -> ActivityStatus {
    activity(sandbox, run, id, |entry| entry.state == ActivityState::Running && entry.start_time.is_some())
        .await
}

/// The state of every activity, `id State` in the order of the ids.
fn states(run: &Orchestration) -> String {
    let activities = &run.status.as_ref().unwrap().activities;
    activities.iter().map(|(id, entry)| format!("{id} {:?}", entry.state)).collect::<Vec<_>>().join(", ")
}

fn state(run: &Orchestration) -> &str {
    run.status.as_ref().unwrap().state.as_deref().unwrap()
}

/// The Jobs of one activity.
async fn jobs(sandbox: &Sandbox, id: &str) -> Vec<Job> {
    let all = sandbox.api::<Job>().list(&Default::default()).await.unwrap().items;
    let of_activity = |job: &Job| job.metadata.labels.as_ref().unwrap()["orchestrator.dev/activity"] == id;
    all.into_iter().filter(of_activity).collect()
}

/// A patch of a spec.
fn patch(spec: Value) -> Value {
    json!({ "spec": spec })
}
