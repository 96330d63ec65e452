//! Objects of our kinds as a user would write them.
//!
//! Responsible for: the shortest form that a test can start from. Must never: hide what a test is about.

use serde_json::{Value, json};

/// An activity type whose pods only the scripted kubelet sees.
pub fn activity_definition(name: &str) -> Value {
    activity_with(
        name,
        json!({"template": {"spec": {
            "schedulerName": "none",
            "containers": [{"name": "main", "image": "none", "command": ["true"]}],
        }}}),
    )
}

/// An activity type with this `spec.job`. A failure is final; what the cluster takes away is tried again at once.
pub fn activity_with(name: &str, job: Value) -> Value {
    json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": name},
        "spec": {"job": job, "retry": {"maxRetries": 0, "backoff": {"initialSeconds": 0}}},
    })
}

/// A definition with this spec.
pub fn definition(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition",
        "metadata": {"name": name}, "spec": spec,
    })
}

/// An Orchestration.
pub fn orchestration(name: &str, type_: &str, input: Value) -> Value {
    json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration",
        "metadata": {"name": name}, "spec": {"type": type_, "input": input},
    })
}

/// A schedule in UTC of runs of a definition, with this laid over its spec.
pub fn schedule(name: &str, expression: &str, type_: &str, over: Value) -> Value {
    let mut spec = json!({
        "schedule": expression, "timeZone": "Etc/UTC",
        "orchestrationTemplate": {"spec": {"type": type_}},
    });
    for (field, value) in over.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationSchedule",
        "metadata": {"name": name}, "spec": spec,
    })
}

/// A chain: every activity adds one to the number that it gets, and hands it on.
pub fn chain(name: &str, length: usize) -> Value {
    let activities: Vec<Value> = (0..length)
        .map(|step| match step {
            0 => json!({"id": "step-0", "type": "step", "inputs": ["number"]}),
            _ => json!({
                "id": format!("step-{step}"), "type": "step",
                "dependsOn": format!("step-{}", step - 1), "inputs": [format!("step-{}.number", step - 1)],
            }),
        })
        .collect();
    let output = json!([{"source": format!("step-{}.number", length - 1)}]);
    definition(name, json!({"activities": activities, "output": output}))
}

/// A fan-out: activities that depend on nothing.
pub fn fan_out(name: &str, width: usize) -> Value {
    let activities: Vec<Value> =
        (0..width).map(|leaf| json!({"id": format!("leaf-{leaf}"), "type": "step"})).collect();
    definition(name, json!({"activities": activities}))
}
