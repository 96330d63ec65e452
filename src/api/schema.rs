//! Schema fragments that the derive cannot express: open objects, untyped unions, bounded conditions.
//!
//! Responsible for: what the CRDs say about such fields, as seen on a real API server. Must never: hold types.

use schemars::{Schema, SchemaGenerator, json_schema};

/// An open object that is kept as it is. Atomic: one owner, and a status write stays cheap.
pub fn open_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "x-kubernetes-map-type": "atomic",
    })
}

/// A pod template, kept open: an embedded PodTemplateSpec would make the CRD larger than 500 KB. The controller
/// proves it by a dry run.
pub fn pod_template(generator: &mut SchemaGenerator) -> Schema {
    open_object(generator)
}

/// A string or a list of strings. Typeless, because a structural schema has no other union; the compile checks it.
pub fn string_or_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}

/// A list whose items are a string or `{source, target}`; the compile checks the items.
pub fn inputs(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": crate::api::orchestration_definition::MAX_INPUTS,
        "x-kubernetes-list-type": "atomic",
        "items": {"x-kubernetes-preserve-unknown-fields": true},
    })
}

/// The tiers: a list of lists of activity ids.
pub fn tiers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 1000,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "array",
            "maxItems": 1000,
            "x-kubernetes-list-type": "atomic",
            "items": {"type": "string", "maxLength": 63},
        },
    })
}

/// Fatal exit codes: a set of numbers from 1 to 255.
pub fn exit_codes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 255,
        "x-kubernetes-list-type": "set",
        "items": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 255},
    })
}

/// Labels of what is made from a template.
pub fn template_labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "x-kubernetes-map-type": "atomic",
        "additionalProperties": {
            "type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        },
    })
}

/// Annotations of what is made from a template.
pub fn template_annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "x-kubernetes-map-type": "atomic",
        "additionalProperties": {"type": "string", "maxLength": 4096},
    })
}

/// A number of retries. Kubernetes knows signed formats only.
pub fn retries(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int32", "minimum": 0, "maximum": super::common::MAX_RETRIES})
}

/// Seconds of a pause between attempts.
pub fn backoff_seconds(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int32", "minimum": 0, "maximum": super::common::MAX_BACKOFF_SECONDS})
}

/// How the pauses between attempts grow.
pub fn backoff_factor(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int32", "minimum": 1, "maximum": 10})
}

/// `metav1.Condition` with the bounds of the API conventions, which the generated type does not carry.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {
                    "description": "Type of the condition, in CamelCase.",
                    "type": "string", "maxLength": 316,
                },
                "status": {
                    "description": "Whether the condition holds: True, False or Unknown.",
                    "type": "string", "enum": ["True", "False", "Unknown"],
                },
                "observedGeneration": {
                    "description": "The metadata.generation that the condition was computed from.",
                    "type": "integer", "format": "int64", "minimum": 0,
                },
                "lastTransitionTime": {
                    "description": "When the status of the condition last changed.",
                    "type": "string", "format": "date-time",
                },
                "reason": {
                    "description": "Why, in one CamelCase word that programs may compare.",
                    "type": "string", "minLength": 1, "maxLength": 1024,
                },
                "message": {
                    "description": "Why, in words for people.",
                    "type": "string", "maxLength": 32768,
                },
            },
        },
    })
}

/// The state of every activity. Atomic, and without formats, enums or rules inside the entries: at 1,000 entries
/// each of these makes a status write cost the API server several times as much.
pub fn activities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 1000,
        "x-kubernetes-map-type": "atomic",
        "additionalProperties": {
            "type": "object",
            "properties": {
                "tier": {
                    "description": "Length of the longest path from an activity without dependencies to this one; absent for those of finally.",
                    "type": "integer", "maximum": 1000, "minimum": 0,
                },
                "state": {
                    "description": "Pending, Running, Retrying (an attempt has failed, another follows), Succeeded, Skipped (its condition is false), Failed, Cancelled, or NotStarted (the orchestration ended first). More may come.",
                    "type": "string", "maxLength": 32,
                },
                "attempt": {
                    "description": "Number of the current attempt, from 1; absent before the first, and if the result was taken over.",
                    "type": "integer", "minimum": 0, "maximum": 1_000_000,
                },
                "disruptions": {
                    "description": "How many attempts the cluster took away; they do not count as retries.",
                    "type": "integer", "minimum": 0, "maximum": 1_000_000,
                },
                "readyTime": {
                    "description": "When nothing but the start of the current attempt was missing any more.",
                    "type": "string", "maxLength": 64,
                },
                "nextAttemptTime": {
                    "description": "When the next attempt starts at the earliest.",
                    "type": "string", "maxLength": 64,
                },
                "startTime": {
                    "description": "When the first container of the current attempt started; its init containers come before.",
                    "type": "string", "maxLength": 64,
                },
                "completionTime": {
                    "description": "When the activity reached its final state.",
                    "type": "string", "maxLength": 64,
                },
                "outputs": {
                    "description": "What the activity produced, at most 4 KiB of JSON.",
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": true,
                    "x-kubernetes-map-type": "atomic",
                },
                "takenFrom": {
                    "description": "Name of the Orchestration that ran the activity, if its result was taken over by resumeFrom.",
                    "type": "string", "maxLength": 253,
                },
                "reason": {
                    "description": "Why the activity waits, failed, was skipped or cancelled, in one CamelCase word.",
                    "type": "string", "maxLength": 128,
                },
                "message": {
                    "description": "The same in words, in the server's own words where it said something.",
                    "type": "string", "maxLength": 2048,
                },
            },
        },
    })
}
