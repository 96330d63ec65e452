//! The kind OrchestrationDefinition: a type of orchestration, the DAG of its activities.
//!
//! Responsible for: the fields as a user writes them, shorthand included. Must never: interpret the shorthand;
//! the engine's compile does, once.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::common::{Conditions, MAX_SECONDS, Mapping, NAME_PATTERN, Object, Retry};
use super::schema;

/// Most activities of one definition.
pub const MAX_ACTIVITIES: usize = 1000;
/// Most inputs of one activity.
pub const MAX_INPUTS: usize = 100;
/// Most activities in `finally` of one definition.
pub const MAX_FINALLY: usize = 100;
/// How long what is in `finally` may take when nothing is said.
pub const DEFAULT_FINALLY_DEADLINE_SECONDS: i64 = 300;
/// How long an attempt may take to start when nothing is said.
pub const DEFAULT_STARTING_DEADLINE_SECONDS: i64 = 600;
/// Deadline of an Orchestration when nothing is said: a day.
pub const DEFAULT_ACTIVE_DEADLINE_SECONDS: i64 = 86_400;

/// A type of orchestration: the DAG of activities. Its name is the orchestration type that Orchestrations refer to.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "orchestrator.dev",
    version = "v1alpha1",
    kind = "OrchestrationDefinition",
    namespaced,
    shortname = "orchdef",
    category = "orchestrator",
    status = "OrchestrationDefinitionStatus",
    derive = "PartialEq",
    doc = "A type of orchestration: the DAG of activities. Its name is the orchestration type that Orchestrations refer to.",
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
    printcolumn(name = "Active", type_ = "boolean", json_path = ".spec.active"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct OrchestrationDefinitionSpec {
    /// What the orchestration does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,

    /// Whether new Orchestrations of this type are accepted. False: they fail at once; running ones finish.
    #[serde(default = "default_active")]
    pub active: bool,

    /// What an Orchestration of this type takes as its input: `{openAPIV3Schema: {...}}` as in a
    /// CustomResourceDefinition, or the schema alone; `{}` takes anything. The input is checked and defaults are
    /// applied when an Orchestration is accepted, and every `source` is checked against it here. At most 32 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub schema: Option<Object>,

    /// The activities, at most 1000. Independent ones run in parallel.
    #[schemars(length(min = 1, max = MAX_ACTIVITIES), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub activities: Vec<Activity>,

    /// Activities that start when all others are final, whatever the result, at most 100: clean-up and notices. They have
    /// no `dependsOn`, read the outputs of any activity (absent if it has none) and `run.state`, which is what the
    /// state of the Orchestration is about to be, and cannot turn a failure into success; one that fails makes the
    /// Orchestration fail. They run after a shutdown with Stop and after the deadline too, not after Terminate, nor
    /// where the end comes while the Orchestration is suspended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub finally: Vec<Activity>,

    /// How long everything in `finally` may take together, in seconds from when it became ready, 1 to 31536000. Default
    /// 300. It comes on top of `activeDeadlineSeconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_SECONDS))]
    pub finally_deadline_seconds: Option<i64>,

    /// What `status.output` of an Orchestration holds once it has succeeded. A source that is absent then, as all
    /// outputs of a skipped activity are, is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "atomic"))]
    pub output: Vec<Mapping>,

    /// When an activity starts: as soon as its own dependencies are done (Eager), or when all earlier tiers are (Tiered).
    #[serde(default)]
    pub execution: Execution,

    /// What happens when an activity has failed: nothing new starts and what runs may end (Drain), what runs is stopped
    /// too (Cancel), or all goes on that does not depend on it (Continue). The Orchestration has failed in each case.
    /// Default Drain.
    #[serde(default, skip_serializing_if = "is_drain")]
    pub failure_policy: FailurePolicy,

    /// Most activities that run at the same time in one Orchestration, 1 to 1000. Unlimited when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub parallelism: Option<i32>,

    /// How long an Orchestration may take, in seconds from its creation. What still runs then is cancelled, and the
    /// Orchestration fails. Default 86400 (a day), at most 31536000 (a year).
    #[serde(default = "default_active_deadline_seconds")]
    #[schemars(range(min = 1, max = MAX_SECONDS))]
    pub active_deadline_seconds: i64,
}

/// When an activity starts.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Execution {
    /// As soon as its dependencies are done.
    #[default]
    Eager,
    /// As soon as every activity of the earlier tiers is done.
    Tiered,
}

/// What happens when an activity has failed.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailurePolicy {
    /// Nothing new starts, what runs may end.
    #[default]
    Drain,
    /// Nothing new starts, and what runs is stopped.
    Cancel,
    /// What does not depend on it goes on.
    Continue,
}

/// One activity of an orchestration.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    /// Name of the activity within the orchestration: lower-case letters, digits and `-`, at most 63 characters.
    /// Not `input`, `run`, `schedule` or `activities`. Quote it in YAML where YAML reads a boolean (`y`, `on`).
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub id: String,

    /// Name of the ActivityDefinition, in the same namespace.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub type_: String,

    /// Tells an activity which of several things to do, such as deploy or dispose. Handed over as
    /// ORCHESTRATOR_DISCRIMINATOR. At most 63 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"))]
    pub discriminator: Option<String>,

    /// Ids of the activities that must be done first: one id, or a list of at most 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::string_or_list")]
    pub depends_on: Option<Value>,

    /// What the activity gets, at most 100 entries: a source path, or `{source, target}`. See `output` for paths;
    /// reading another activity's outputs needs it to be a dependency, directly or through others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::inputs")]
    pub inputs: Vec<Value>,

    /// Whether the activity is done at all: a CEL expression over `input` and the `activities.<id>.state` and
    /// `activities.<id>.outputs` of those that it depends on, directly or through others; an id with `-` is
    /// `activities["tenant-config"]`. False: the activity is Skipped, which counts as done for those that depend on
    /// it, and it has no outputs: in an expression they are `{}`, so that `has(activities.<id>.outputs.url)` is false.
    /// An error in it fails the activity. At most 4096 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub when: Option<String>,

    /// When a failed attempt is followed by another; field by field over what the ActivityDefinition says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,

    /// How long one attempt may take from the start of its pod, in seconds, 1 to 31536000. Default: what the
    /// ActivityDefinition says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_SECONDS))]
    pub timeout_seconds: Option<i64>,

    /// How long an attempt may take from being ready to the start of the first container of its pod, in seconds, 1 to
    /// 31536000. Default: what the ActivityDefinition says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_SECONDS))]
    pub starting_deadline_seconds: Option<i64>,
}

/// What the controller found out about an OrchestrationDefinition.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrchestrationDefinitionStatus {
    /// The metadata.generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,

    /// Name of the ControllerRevision that new Orchestrations run from: this definition and its ActivityDefinitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub revision: Option<String>,

    /// The tiers of the DAG. An activity's tier is the length of the longest path to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::tiers")]
    pub tiers: Vec<Vec<String>>,

    /// Ready (True: Orchestrations of this type can run) and, when it takes a change to become Ready, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Conditions,
}

/// The default is not written: what a revision is called follows from what is written.
fn is_drain(policy: &FailurePolicy) -> bool {
    *policy == FailurePolicy::Drain
}

fn default_active() -> bool {
    true
}

fn default_active_deadline_seconds() -> i64 {
    DEFAULT_ACTIVE_DEADLINE_SECONDS
}
