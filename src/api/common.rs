//! What several kinds share: conditions, references by path, patterns and limits.
//!
//! Responsible for: shapes that must be the same everywhere. Must never: know a single kind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Conditions of a status, keyed by type.
pub type Conditions = Vec<Condition>;

/// A JSON object, as inputs and outputs are.
pub type Object = serde_json::Map<String, serde_json::Value>;

/// A DNS subdomain: the form of every name of an object that we refer to.
pub const NAME_PATTERN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Longest deadline or time-out: a year.
pub const MAX_SECONDS: i64 = 31_536_000;

/// A value taken from the input or from an activity's outputs, under a name of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mapping {
    /// Path of the value. Segments are separated by dots; a key with other characters than letters, digits, `_`
    /// and `-` is quoted (`config["a.b"]`), list elements are numbered (`hosts[0]`). If the first segment is the
    /// id of an activity, the path reads that activity's outputs, otherwise the input; `input.` always means the
    /// input, and is required before several names where no schema declares what the input has. At most 512 characters.
    #[schemars(length(min = 1, max = 512))]
    pub source: String,

    /// Name under which the value is handed over. Defaults to the last segment of `source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub target: Option<String>,
}

/// Most new attempts after failures.
pub const MAX_RETRIES: u32 = 100;
/// Longest pause between two attempts: a day.
pub const MAX_BACKOFF_SECONDS: u32 = 86_400;

/// When a failed attempt is followed by another. What is not said has the value of the ActivityDefinition, and else the
/// default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Most new attempts after an attempt has failed, 0 to 100; default 3. Attempts that the cluster took away (an
    /// eviction, a lost node, a deleted pod or Job) do not count; ten of them are made up for besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::retries")]
    pub max_retries: Option<u32>,

    /// How long the pauses before new attempts are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
}

/// The pauses before new attempts: the first, and how they grow. Each is shortened by up to a fifth, so that many
/// activities do not come back at the same moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// The pause after the first attempt, in seconds, 0 to 86400; default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::backoff_seconds")]
    pub initial_seconds: Option<u32>,

    /// How many times as long every further pause is, 1 to 10; default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::backoff_factor")]
    pub factor: Option<u32>,

    /// The longest pause, in seconds, 0 to 86400 and not less than `initialSeconds`; default 300, or `initialSeconds` if
    /// that is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::backoff_seconds")]
    pub max_seconds: Option<u32>,
}
