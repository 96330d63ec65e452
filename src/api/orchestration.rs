//! The kind Orchestration: one execution of a definition with one input.
//!
//! Responsible for: the fields, and the CEL rules by which the API server keeps a spec and a finished status as they
//! are. Must never: decide what a state means; the engine does.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::common::{Conditions, MAX_SECONDS, NAME_PATTERN, Object};
use super::schema;

/// One execution of an OrchestrationDefinition with one input. It runs once, like a Job.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "orchestrator.dev",
    version = "v1alpha1",
    kind = "Orchestration",
    namespaced,
    shortname = "orch",
    category = "orchestrator",
    status = "OrchestrationStatus",
    derive = "PartialEq",
    doc = "One execution of an OrchestrationDefinition with one input. It runs once, like a Job.",
    selectable = ".spec.type",
    selectable = ".status.state",
    validation = Rule::new("!has(oldSelf.status) || has(self.status)").message("a status must not be removed"),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Progress", type_ = "string", json_path = ".status.progress"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Duration", type_ = "string", json_path = ".status.duration", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Succeeded\")].message",
        priority = 1
    )
)]
#[x_kube(
    validation = Rule::new(
        "self.type == oldSelf.type \
         && has(self.input) == has(oldSelf.input) && (!has(self.input) || self.input == oldSelf.input) \
         && has(self.correlationId) == has(oldSelf.correlationId) \
         && (!has(self.correlationId) || self.correlationId == oldSelf.correlationId) \
         && has(self.resumeFrom) == has(oldSelf.resumeFrom) \
         && (!has(self.resumeFrom) || self.resumeFrom == oldSelf.resumeFrom)"
    ).message("spec is immutable (except suspend, shutdown, activeDeadlineSeconds and ttlSecondsAfterFinished): an Orchestration runs once, to run again create one with another name"),
    validation = Rule::new(
        "!has(oldSelf.shutdown) || (has(self.shutdown) && (oldSelf.shutdown == 'Stop' || self.shutdown == 'Terminate'))"
    ).message("shutdown cannot be taken back: it goes from unset to Stop to Terminate")
)]
#[serde(rename_all = "camelCase")]
pub struct OrchestrationSpec {
    /// Name of the OrchestrationDefinition, in the same namespace. Immutable.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub type_: String,

    /// The input, an object that activities read by path; at most 64 KiB of JSON, nested at most 32 levels deep.
    /// Immutable. It must be as the definition's schema says, whose defaults apply to what is absent; members that
    /// are null count as absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub input: Option<Object>,

    /// Whatever the run is to be found by elsewhere. Copied to every Job and its pod, never interpreted. Immutable,
    /// at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub correlation_id: Option<String>,

    /// While true nothing new starts, new attempts included; what runs goes on. May be changed at any time. The deadline
    /// does not wait. An Orchestration that fails, is shut down or reaches its deadline meanwhile ends without what is in
    /// `finally`, and its conditions say so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspend: bool,

    /// Ends the Orchestration early: nothing new starts and what runs may end (Stop), or what runs is stopped too
    /// (Terminate). Then its state is Cancelled, unless every activity has succeeded or one has failed. It cannot be
    /// taken back, only go from unset to Stop to Terminate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown: Option<Shutdown>,

    /// How long this Orchestration may take, in seconds from its creation, 1 to 31536000. The smaller of this and the
    /// definition's counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_SECONDS))]
    pub active_deadline_seconds: Option<i64>,

    /// Name of a finished Orchestration of the same type and with the same input, in the same namespace. What succeeded or
    /// was skipped there is taken over and not run again, as far as it and all that it depends on are still defined in
    /// the same way, retries and times included. One that was refused has nothing to take over. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub resume_from: Option<String>,

    /// Seconds after its end until the Orchestration is deleted with all that belongs to it, 0 to 31536000. Kept for ever
    /// when absent. Do not set it on what GitOps applies: what is deleted there would be applied, and run, again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_SECONDS))]
    pub ttl_seconds_after_finished: Option<i64>,
}

/// How an Orchestration is ended early.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Shutdown {
    /// Nothing new starts, what runs may end.
    Stop,
    /// Nothing new starts, and what runs is stopped.
    Terminate,
}

/// How far an Orchestration is. Once `completionTime` is set, what it says of the run never changes.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!has(oldSelf.activities) || has(self.activities)").message("activities must not be removed"),
    validation = Rule::new(
        "!has(oldSelf.completionTime) || (has(self.completionTime) && self.completionTime == oldSelf.completionTime \
         && has(self.state) == has(oldSelf.state) && (!has(self.state) || self.state == oldSelf.state) \
         && (!has(self.activities) || (has(oldSelf.activities) && self.activities == oldSelf.activities)) \
         && has(self.output) == has(oldSelf.output) && (!has(self.output) || self.output == oldSelf.output))"
    ).message("a finished status is immutable")
)]
#[serde(rename_all = "camelCase")]
pub struct OrchestrationStatus {
    /// The metadata.generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,

    /// The whole in one word, for display: Pending, Running, Suspended (nothing may start and nothing runs), Waiting,
    /// Succeeded, Failed or Cancelled. Programs read the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub state: Option<String>,

    /// How many activities have succeeded or were skipped, of how many: `2/5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub progress: Option<String>,

    /// Name of the ControllerRevision that this Orchestration runs from. Later edits of definitions change nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub revision: Option<String>,

    /// The state of every activity, by its id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::activities")]
    pub activities: BTreeMap<String, ActivityStatus>,

    /// The output, as the definition's `output` says; set when the Orchestration has succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub output: Option<Object>,

    /// When the Orchestration was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,

    /// The tick of the schedule that it was made for, from its label `orchestrator.dev/scheduled-time` when it was
    /// accepted; absent if it was made for none. Activities read it as `schedule.time`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<Time>,

    /// When the Orchestration began to stop what still runs, because it has to end; from then on its end is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_time: Option<Time>,

    /// Why the Orchestration has to end, once that is decided by something else than its activities: DeadlineExceeded or
    /// Cancelled; ActivityFailed if what runs is stopped because of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub stop_reason: Option<String>,

    /// When what is in `finally` became ready: all other activities are final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finally_time: Option<Time>,

    /// When the Orchestration began to stop what still runs of `finally`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finally_stop_time: Option<Time>,

    /// When the Orchestration ended, whatever the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,

    /// How long it took, such as `1m5s`; written once, at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub duration: Option<String>,

    /// Accepted (the definition was found and pinned), Reconciling (while it runs), Stalled (once it failed),
    /// Succeeded (Unknown while it runs, then True or False), Finished (True for every outcome).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Conditions,
}

impl Orchestration {
    /// Whether it has ended, however: it never changes again.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.completion_time.is_some())
    }
}

/// The state of one activity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityStatus {
    /// Length of the longest path to the activity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<u32>,
    /// State of the activity, see [`ActivityState`].
    #[serde(default)]
    pub state: ActivityState,
    /// Number of the current attempt, from 1; 0 before the first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// How many attempts the cluster took away. They do not count as retries.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub disruptions: u32,
    /// When nothing but the start of the current attempt was missing any more.
    #[serde(default, deserialize_with = "time_or_nothing", skip_serializing_if = "Option::is_none")]
    pub ready_time: Option<Time>,
    /// When the next attempt starts at the earliest; only while Retrying.
    #[serde(default, deserialize_with = "time_or_nothing", skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,
    /// When the first container of the current attempt's pod started.
    #[serde(default, deserialize_with = "time_or_nothing", skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the activity reached its final state.
    #[serde(default, deserialize_with = "time_or_nothing", skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// What the activity produced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Object>,
    /// Name of the Orchestration that ran the activity, if its result was taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_from: Option<String>,
    /// Why it waits, failed or was cancelled: one CamelCase word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// State of one activity. The names are part of the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ActivityState {
    /// Waits for its dependencies, or for its turn.
    #[default]
    Pending,
    /// An attempt was started and has not ended.
    Running,
    /// The last attempt has failed, and another one follows.
    Retrying,
    /// Done; its outputs are recorded.
    Succeeded,
    /// Not to be done, because its `when` is false. Counts as done, without outputs.
    Skipped,
    /// Ended without success.
    Failed,
    /// Was stopped, because the Orchestration had to end.
    Cancelled,
    /// Never began, because the Orchestration ended first.
    NotStarted,
    /// A state that another version wrote. It is read as Pending: what really happened is observed again.
    #[serde(other)]
    Unknown,
}

/// A time, or nothing where somebody wrote what is none: the schema of an entry has no formats, so that a status write
/// stays cheap, and one such text would make the whole object unreadable.
fn time_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    let written = Option::<Value>::deserialize(deserializer)?;
    Ok(written.and_then(|time| serde_json::from_value(time).ok()))
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
