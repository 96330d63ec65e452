//! The kind OrchestrationSchedule: makes Orchestrations on a cron schedule, as a CronJob makes Jobs.
//!
//! Responsible for: the fields, their defaults and bounds. Must never: read a schedule or a zone; the engine does.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{Conditions, MAX_SECONDS, NAME_PATTERN, Object};
use super::schema;

/// The zone of a schedule that names none.
pub const DEFAULT_TIME_ZONE: &str = "Etc/UTC";
/// Most runs that `status.active` names.
pub const MAX_ACTIVE: usize = 100;
/// Most ranges of ticks in `status.removed`.
pub const MAX_REMOVED: usize = 20;
/// Most ticks that `status.history` names.
pub const MAX_HISTORY: usize = 10;

/// Makes an Orchestration at every tick of a cron schedule.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "orchestrator.dev",
    version = "v1alpha1",
    kind = "OrchestrationSchedule",
    namespaced,
    shortname = "orchsched",
    category = "orchestrator",
    status = "OrchestrationScheduleStatus",
    derive = "PartialEq",
    doc = "Makes an Orchestration at every tick of a cron schedule, as a CronJob makes Jobs.",
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.schedule"),
    printcolumn(name = "Zone", type_ = "string", json_path = ".spec.timeZone"),
    printcolumn(name = "Suspend", type_ = "boolean", json_path = ".spec.suspend"),
    printcolumn(name = "Active", type_ = "integer", json_path = ".status.activeCount"),
    printcolumn(name = "Last", type_ = "date", json_path = ".status.lastScheduleTime"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextScheduleTime"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Result", type_ = "string", json_path = ".status.lastResult.state", priority = 1),
    printcolumn(name = "Missed", type_ = "integer", json_path = ".status.missed", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct OrchestrationScheduleSpec {
    /// When a run is due: five fields `minute hour day-of-month month day-of-week` with `*`, lists, ranges, steps and
    /// names (`0 9-16 * * 0-5`, `*/15 * * * *`, `0 6 * * MON`), or @hourly, @daily, @weekly, @monthly, @yearly. On days
    /// when clocks change this differs from CronJob: a fixed local time runs once, at the first instant after a gap and
    /// the first time in an overlap; every hour (`*`) follows real time, which is 23 or 25 runs of `0 * * * *`. Never a
    /// run for the time before creation or before an edit of `schedule` or `timeZone`.
    #[schemars(length(min = 1, max = 256))]
    pub schedule: String,

    /// The zone whose clocks `schedule` means: a name of the IANA database as it is written there, such as Europe/Paris.
    /// Default Etc/UTC. Differences from UTC such as GMT+1 are refused, because they are read in two ways.
    #[serde(default = "default_time_zone")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,

    /// While true no run is made. What would have run in the meantime is not made up for.
    #[serde(default)]
    pub suspend: bool,

    /// What happens at a tick while an earlier run of this schedule has not finished: the tick waits for its end, until
    /// its starting deadline or the next tick, with `catchUp: All` however many come (Forbid), it runs beside (Allow), or the earlier run is ended with
    /// `shutdown: Terminate` and waited for (Replace). Default Forbid.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,

    /// How late a tick may start, in seconds, 1 to 31536000. What is later is missed. Without it a tick may start as
    /// late as it may be. Less than 30 lets ticks be missed at a restart of the controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_SECONDS))]
    pub starting_deadline_seconds: Option<i64>,

    /// Which ticks, missed within the starting deadline because the controller was not there, are made up for: none, the
    /// last one, or all, at most the last 100 (with Replace only the last). Default Latest.
    #[serde(default)]
    pub catch_up: CatchUp,

    /// Most runs of this schedule that have succeeded and are kept, 0 to 1000. Default 3. The oldest are deleted with all
    /// that belongs to them.
    #[serde(default = "default_successful_history_limit")]
    #[schemars(range(min = 0, max = 1000))]
    pub successful_history_limit: i32,

    /// The same of runs that have failed or were cancelled. Default 1.
    #[serde(default = "default_failed_history_limit")]
    #[schemars(range(min = 0, max = 1000))]
    pub failed_history_limit: i32,

    /// What is made at every tick.
    pub orchestration_template: OrchestrationTemplate,
}

/// What happens to a tick while an earlier run has not finished.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConcurrencyPolicy {
    /// It waits, until its starting deadline or the next tick. With `catchUp: All` the ticks wait in a row, and each is made
    /// when the one before has ended.
    #[default]
    Forbid,
    /// It runs beside.
    Allow,
    /// The earlier run is terminated first. With `catchUp: All` too, only the last tick is made up for.
    Replace,
}

/// Which ticks, missed within the starting deadline, are made up for.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CatchUp {
    /// None.
    None,
    /// The last one.
    #[default]
    Latest,
    /// All, the oldest first; at most the last 100.
    All,
}

/// The Orchestration of a tick. Its name is `<name of the schedule>-<minutes of the tick since 1970>`.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrchestrationTemplate {
    /// Labels and annotations of every run. Those of tools of deployment (Argo CD, Helm, Flux, Kustomize, kubectl) are left
    /// out, `app.kubernetes.io/instance` too: a run that carried them would be taken for one of their objects.
    #[serde(default, skip_serializing_if = "TemplateMetadata::is_empty")]
    pub metadata: TemplateMetadata,

    /// The spec of every run.
    pub spec: TemplateSpec,
}

/// Labels and annotations of every run.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new(
        "!has(self.labels) || self.labels.all(key, !key.startsWith('orchestrator.dev/'))"
    ).message("labels with the prefix orchestrator.dev/ are the orchestrator's own"),
    validation = Rule::new(
        "!has(self.annotations) || self.annotations.all(key, !key.startsWith('orchestrator.dev/'))"
    ).message("annotations with the prefix orchestrator.dev/ are the orchestrator's own")
)]
#[serde(rename_all = "camelCase")]
pub struct TemplateMetadata {
    /// Labels of every run, at most 16. The prefix orchestrator.dev/ is the orchestrator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::template_labels")]
    pub labels: BTreeMap<String, String>,

    /// Annotations of every run, at most 16. The prefix orchestrator.dev/ is the orchestrator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::template_annotations")]
    pub annotations: BTreeMap<String, String>,
}

impl TemplateMetadata {
    fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

/// The spec of every run: that of an Orchestration without what ends or resumes a single one.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateSpec {
    /// Name of the OrchestrationDefinition, in the same namespace.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub type_: String,

    /// The input of every run, at most 64 KiB of JSON, nested at most 32 levels deep. It is checked against the
    /// definition's schema long before a tick: see the condition Ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::open_object")]
    pub input: Option<Object>,

    /// Whatever the runs are to be found by elsewhere, at most 256 characters. The same for every run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub correlation_id: Option<String>,

    /// How long a run may take, in seconds from its creation, 1 to 31536000. The smaller of this and the definition's
    /// counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_SECONDS))]
    pub active_deadline_seconds: Option<i64>,

    /// Seconds after its end until a run is deleted, 0 to 31536000, if the history limits have not deleted it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_SECONDS))]
    pub ttl_seconds_after_finished: Option<i64>,
}

/// What the controller knows of a schedule.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrchestrationScheduleStatus {
    /// The metadata.generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,

    /// Schedule and zone as they were last seen, and since when they count. Absent while the schedule is suspended, or
    /// cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_schedule: Option<ObservedSchedule>,

    /// The next tick. Absent while there is none to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<Time>,

    /// The last tick that was made into a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Time>,

    /// When a run last succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<Time>,

    /// All ticks up to this one were made into runs, or are accounted for as missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounted_schedule_time: Option<Time>,

    /// A tick that is due and waits for the end of an earlier run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_schedule_time: Option<Time>,

    /// The runs that have not finished, at most the first 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "atomic"))]
    pub active: Vec<ActiveRun>,

    /// How many runs have not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub active_count: Option<i64>,

    /// How many ticks were missed, ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub missed: Option<i64>,

    /// What became of the last ten ticks, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10), extend("x-kubernetes-list-type" = "atomic"))]
    pub history: Vec<Tick>,

    /// Ticks whose runs the history limits have deleted, at most 20 ranges. Backfilling leaves them out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub removed: Vec<TickRange>,

    /// The end of the run that has ended last, so that a schedule that fails can be seen without its runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_result: Option<LastResult>,

    /// Ready (True: the next tick will be made into a run, unless the schedule is suspended) and, when it takes an edit
    /// to become Ready, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Conditions,
}

/// Schedule and zone as they were last seen.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservedSchedule {
    /// `spec.schedule`, as it was last seen.
    #[schemars(length(max = 256))]
    pub schedule: String,
    /// `spec.timeZone`, as it was last seen.
    #[schemars(length(max = 64))]
    pub time_zone: String,
    /// Since when they count: creation, an edit, or the end of a suspension. Ticks before it are nobody's.
    pub since: Time,
}

/// A run that has not finished.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveRun {
    /// Name of the Orchestration.
    #[schemars(length(max = 253))]
    pub name: String,
}

/// What became of a tick.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tick {
    /// The time of the tick.
    pub schedule_time: Time,
    /// Name of its Orchestration; absent if it was missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// Why it was missed, in one CamelCase word: TooLate, NotMadeUp, Superseded, TooMany, StillRunning, NotReady,
    /// NameConflict, Suspended or Edited. More may come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub skip_reason: Option<String>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// Ticks from one to another.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TickRange {
    /// The first tick.
    pub first: Time,
    /// The last tick.
    pub last: Time,
}

/// The end of a run.
#[derive(JsonSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastResult {
    /// Name of the Orchestration, which may have been deleted since.
    #[schemars(length(max = 253))]
    pub name: String,
    /// How it ended: Succeeded, Failed or Cancelled.
    #[schemars(length(max = 32))]
    pub state: String,
    /// The tick that it was made for; absent if it was made for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_time: Option<Time>,
    /// When it ended.
    pub completion_time: Time,
    /// What its condition Succeeded says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

fn default_time_zone() -> String {
    DEFAULT_TIME_ZONE.to_owned()
}

fn default_successful_history_limit() -> i32 {
    3
}

fn default_failed_history_limit() -> i32 {
    1
}
