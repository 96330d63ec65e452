//! Every label, annotation, variable, volume and manager name that we put on an object.
//!
//! Responsible for: one place for names that others may select on. Must never: build values; that is the
//! builder's work.

/// Prefix of our own labels and annotations; users' templates may not use it.
pub const PREFIX: &str = "orchestrator.dev/";

/// Name of the Orchestration, cut to 63 characters. The annotation of the same key holds the full name.
pub const ORCHESTRATION: &str = "orchestrator.dev/orchestration";
/// Uid of the Orchestration. Its presence selects everything that we made.
pub const ORCHESTRATION_UID: &str = "orchestrator.dev/orchestration-uid";
/// Id of the activity.
pub const ACTIVITY: &str = "orchestrator.dev/activity";
/// Number of the attempt, from 1.
pub const ATTEMPT: &str = "orchestrator.dev/attempt";
/// Annotation: the input of the activity as a JSON object, projected into the pod.
pub const INPUT: &str = "orchestrator.dev/input";
/// Annotation: the correlation id of the Orchestration.
pub const CORRELATION_ID: &str = "orchestrator.dev/correlation-id";
/// Label of a ControllerRevision: hash of the definition's name, because names are longer than labels.
pub const DEFINITION_HASH: &str = "orchestrator.dev/definition-hash";
/// Annotation of a ControllerRevision: the name of its OrchestrationDefinition.
pub const DEFINITION: &str = "orchestrator.dev/definition";

/// Label of an Orchestration: name of the OrchestrationSchedule that it was made from, cut to 63 characters.
pub const SCHEDULE: &str = "orchestrator.dev/schedule";
/// Label of an Orchestration: the tick that it was made for, in UTC, such as `20261121T090000Z`. Labels have no colons.
pub const SCHEDULED_TIME: &str = "orchestrator.dev/scheduled-time";

/// `app.kubernetes.io/name` of a Job and its pod.
pub const APP_NAME: (&str, &str) = ("app.kubernetes.io/name", "orchestrator-activity");
/// `app.kubernetes.io/managed-by` of everything that we make.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "orchestrator");
/// `app.kubernetes.io/part-of` of everything that we make.
pub const PART_OF: (&str, &str) = ("app.kubernetes.io/part-of", "orchestrator");

/// Field manager of our writes, and the reporter of our Events.
pub const MANAGER: &str = "orchestrator";

/// Prefix of environment variables that carry one input each.
pub const INPUT_VARIABLE_PREFIX: &str = "INPUT_";
/// Prefix of environment variables that carry the context.
pub const CONTEXT_VARIABLE_PREFIX: &str = "ORCHESTRATOR_";
/// Prefix of the volumes that we add to a pod.
pub const VOLUME_PREFIX: &str = "orchestrator-";
/// Volume that projects the input annotation.
pub const INPUT_VOLUME: &str = "orchestrator-input";
/// Directory of the input file in every container.
pub const INPUT_DIRECTORY: &str = "/orchestrator/input";
/// Name of the input file in [`INPUT_DIRECTORY`].
pub const INPUT_FILE: &str = "input.json";
/// Output file of the first container. It is that container's `terminationMessagePath`; in a directory of its
/// own, because a container whose termination message lies inside the downward-API volume cannot start.
pub const OUTPUT_FILE: &str = "/orchestrator/output/output.json";

/// Label selector of the Jobs and pods that we made.
#[must_use]
pub fn children_selector() -> String {
    format!("{},{}={}", ORCHESTRATION_UID, MANAGED_BY.0, MANAGED_BY.1)
}
