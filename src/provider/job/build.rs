//! The Job of one attempt, as an open JSON object.
//!
//! Responsible for: the whole Job, a pure function of the request; the contract with the pod (inputs, context,
//! outputs). Must never: copy of the Orchestration's metadata more than the operator lets through, or drop a field of
//! the template that we do not know.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::pod;
use crate::api::activity_definition::JobTemplate;
use crate::api::common::Object;
use crate::api::labels;
use crate::api::orchestration_definition::DEFAULT_STARTING_DEADLINE_SECONDS;
use crate::engine::metadata::Propagated;
use crate::engine::names;

/// The uid that a trial Job carries: of no Orchestration, so that no real Job can have its name.
const NO_UID: &str = "00000000-0000-0000-0000-000000000000";
/// The activity of a trial Job.
const TRIAL_ACTIVITY: &str = "dry-run";

/// What the end of a pod may take beyond its time-out before its Job ends it.
const BACKSTOP_SECONDS: i64 = 120;

/// What the Job of one attempt is made from.
#[derive(Clone, Debug)]
pub struct JobRequest<'a> {
    /// Namespace of the Orchestration and of the Job.
    pub namespace: &'a str,
    /// Name of the Orchestration.
    pub orchestration: &'a str,
    /// Uid of the Orchestration.
    pub uid: &'a str,
    /// Name of the OrchestrationDefinition.
    pub orchestration_type: &'a str,
    /// Opaque id that the Orchestration carries.
    pub correlation_id: Option<&'a str>,
    /// Id of the activity.
    pub activity: &'a str,
    /// Name of the ActivityDefinition.
    pub activity_type: &'a str,
    /// Which variant of its work the activity does.
    pub discriminator: Option<&'a str>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// When the Orchestration must have ended.
    pub deadline: Timestamp,
    /// The tick of the schedule that made the Orchestration; nothing if none did.
    pub scheduled_time: Option<Timestamp>,
    /// Seconds that the attempt may take from the start of its pod; nothing if only the deadline counts.
    pub timeout_seconds: Option<i64>,
    /// Seconds that the attempt may take to start.
    pub starting_deadline_seconds: i64,
    /// The inputs of the activity.
    pub inputs: &'a Object,
    /// The pod and the meaning of its exit codes.
    pub template: &'a JobTemplate,
    /// What goes on of the Orchestration's labels and annotations. On the pod the template's win, and ours over both.
    pub propagated: &'a Propagated,
}

/// The Job of one attempt.
#[must_use]
pub fn build(request: &JobRequest<'_>) -> Value {
    let mut job = unowned(request);
    if let Some(metadata) = job.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert(
            "ownerReferences".to_owned(),
            json!([{
                "apiVersion": "orchestrator.dev/v1alpha1",
                "kind": "Orchestration",
                "name": request.orchestration,
                "uid": request.uid,
                "controller": true,
                "blockOwnerDeletion": true,
            }]),
        );
    }
    job
}

/// The Job by which the API server proves a template in a dry run: sample values, no inputs and no owner, because
/// there is none.
#[must_use]
pub fn dry_run(template: &JobTemplate, namespace: &str, name: &str) -> Value {
    let mut job = unowned(&JobRequest {
        namespace,
        orchestration: name,
        uid: NO_UID,
        orchestration_type: name,
        correlation_id: None,
        activity: TRIAL_ACTIVITY,
        activity_type: name,
        discriminator: None,
        attempt: 1,
        deadline: Timestamp::UNIX_EPOCH,
        scheduled_time: None,
        timeout_seconds: None,
        starting_deadline_seconds: DEFAULT_STARTING_DEADLINE_SECONDS,
        inputs: &Object::new(),
        template,
        propagated: &Propagated::default(),
    });
    number_as_written(&mut job, template);
    job
}

/// Moves the template's variables before ours: the server's words number them, and their author counts from the first.
fn number_as_written(job: &mut Value, template: &JobTemplate) {
    for field in ["initContainers", "containers"] {
        let written =
            template.template.get("spec").and_then(|spec| spec.get(field)).and_then(Value::as_array);
        let made = job.pointer_mut(&format!("/spec/template/spec/{field}")).and_then(Value::as_array_mut);
        for (made, written) in made.into_iter().flatten().zip(written.into_iter().flatten()) {
            let theirs = written.get("env").and_then(Value::as_array).map_or(0, Vec::len);
            if let Some(all) = made.get_mut("env").and_then(Value::as_array_mut)
                && theirs <= all.len()
            {
                all.rotate_right(theirs);
            }
        }
    }
}

fn unowned(request: &JobRequest<'_>) -> Value {
    let mut job = without_time(request);
    if let (Some(timeout), Some(spec)) =
        (request.timeout_seconds, job.get_mut("spec").and_then(Value::as_object_mut))
    {
        // A backstop only: it counts from the creation and would delete the pod. The pod's own deadline comes first,
        // where a kubelet is alive.
        let whole =
            request.starting_deadline_seconds.saturating_add(timeout).saturating_add(BACKSTOP_SECONDS);
        spec.insert("activeDeadlineSeconds".to_owned(), whole.into());
    }
    job
}

fn without_time(request: &JobRequest<'_>) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": names::child_name(request.orchestration, request.uid, request.activity, request.attempt),
            "namespace": request.namespace,
            "labels": Value::Object(over(&request.propagated.labels, labels(request))),
            "annotations": Value::Object(over(&request.propagated.annotations, annotations(request))),
        },
        "spec": {
            // Retries are ours, each in a Job of its own: its name is the record that the attempt was started.
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [
                // The order is read back from the Job's condition: rule 0 is a disruption, rule 1 an exit code.
                {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [0]}},
            ]},
            "template": Value::Object(pod::template(request, &labels(request), &annotations(request))),
        },
    })
}

/// What is propagated, and ours over it.
fn over(propagated: &Object, ours: Object) -> Object {
    let mut all = propagated.clone();
    all.extend(ours);
    all
}

/// The labels of the Job and of its pod.
fn labels(request: &JobRequest<'_>) -> Object {
    [
        (labels::APP_NAME.0, labels::APP_NAME.1.to_owned()),
        (labels::MANAGED_BY.0, labels::MANAGED_BY.1.to_owned()),
        (labels::PART_OF.0, labels::PART_OF.1.to_owned()),
        (labels::ORCHESTRATION, names::label_value(request.orchestration)),
        (labels::ORCHESTRATION_UID, names::label_value(request.uid)),
        (labels::ACTIVITY, names::label_value(request.activity)),
        (labels::ATTEMPT, request.attempt.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), Value::String(value)))
    .collect()
}

/// The annotations of the Job and of its pod: full names, because label values are cut.
fn annotations(request: &JobRequest<'_>) -> Object {
    [
        (labels::ORCHESTRATION, Some(request.orchestration)),
        (labels::ACTIVITY, Some(request.activity)),
        (labels::CORRELATION_ID, request.correlation_id),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), Value::String(value?.to_owned()))))
    .collect()
}

#[cfg(test)]
mod tests;
