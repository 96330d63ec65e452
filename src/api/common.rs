//! What several kinds share: conditions, references by path, patterns and limits.
//!
//! Responsible for: shapes that must be the same everywhere. Must never: know a single kind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
