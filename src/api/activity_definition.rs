//! The kind ActivityDefinition: a type of work.
//!
//! Responsible for: the fields a user writes and reads. Must never: judge a job template; that is the provider's.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{Conditions, MAX_SECONDS, NAME_PATTERN, Object, Retry};
use super::schema;

/// A type of work: who does it, and how. Its name is the activity type that OrchestrationDefinitions refer to.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "orchestrator.dev",
    version = "v1alpha1",
    kind = "ActivityDefinition",
    namespaced,
    shortname = "actdef",
    category = "orchestrator",
    status = "ActivityDefinitionStatus",
    derive = "PartialEq",
    doc = "A type of work: who does it, and how. Its name is the activity type that OrchestrationDefinitions refer to.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.provider"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ActivityDefinitionSpec {
    /// What the work is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,

    /// Who does the work. With `job` it is a label for people; without `job` it names the agents that the work is
    /// sent to over the message bus, and while no bus is configured the definition is not Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub provider: Option<String>,

    /// What the activity takes: `{openAPIV3Schema: {...}}` as in a CustomResourceDefinition, or the schema alone; `{}`
    /// takes anything. Its input is checked and its defaults are applied before the work begins, and definitions
    /// that feed it otherwise are not Ready. At most 32 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub input_schema: Option<Object>,

    /// What the activity produces, in the same form. Outputs of another form fail the activity at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub output_schema: Option<Object>,

    /// Does the work as a Kubernetes Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobTemplate>,

    /// When a failed attempt is followed by another. An activity of a definition may say otherwise, field by field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,

    /// How long one attempt may take from the start of its pod, in seconds, 1 to 31536000. No limit but the
    /// Orchestration's deadline when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_SECONDS))]
    pub timeout_seconds: Option<i64>,

    /// How long an attempt may take from being ready to the start of the first container of its pod, in seconds, 1 to
    /// 31536000; one that has not started by then has failed. It covers quota, images that cannot be pulled, nodes that
    /// have no room, and all that init containers do. Default 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_SECONDS))]
    pub starting_deadline_seconds: Option<i64>,
}

/// How the work is done as a Kubernetes Job.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobTemplate {
    /// The pod, as in the `template` of a Job or CronJob (a core/v1 PodTemplateSpec). Inputs arrive in the file
    /// named by ORCHESTRATOR_INPUT_FILE and, when they are scalars, in variables `INPUT_<NAME>`; the first container
    /// writes its outputs as a JSON object into the file named by ORCHESTRATOR_OUTPUT_FILE. The controller proves
    /// the template by a dry run and says in the condition Ready what is wrong.
    #[schemars(schema_with = "schema::pod_template")]
    pub template: Object,

    /// What the exit codes of the pod mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_codes: Option<ExitCodes>,
}

/// What the exit codes of a pod mean: 0 is success, all others are a failure.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExitCodes {
    /// Exit codes, 1 to 255, after which trying again is pointless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::exit_codes")]
    pub fatal: Vec<i32>,
}

/// What the controller found out about an ActivityDefinition.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityDefinitionStatus {
    /// The metadata.generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,

    /// Ready (True: activities of this type can run) and, when it takes a change to become Ready, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Conditions,
}
