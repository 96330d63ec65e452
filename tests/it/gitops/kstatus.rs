//! kstatus, Flux and `kubectl wait` on golden objects: all tools say the same, and what the page tells them to ask is right.

use kube_cel::cel::{Context, Program, Value as Cel};
use serde_json::Value;

use super::golden;
use super::page::blocks;

/// What kstatus computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Terminating,
    InProgress,
    Failed,
    Current,
}
use Status::{Current, Failed, InProgress, Terminating};

/// The rules of kstatus for a kind that it does not know, in its order.
pub fn kstatus(object: &Value) -> Status {
    if !object["metadata"]["deletionTimestamp"].is_null() {
        return Terminating;
    }
    let seen = &object["status"]["observedGeneration"];
    if !seen.is_null() && seen != &object["metadata"]["generation"] {
        return InProgress;
    }
    let status = |type_: &str| {
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        conditions.filter(|one| one["type"] == type_).find_map(|one| one["status"].as_str())
    };
    match (status("Reconciling"), status("Stalled"), status("Ready")) {
        (Some("True"), ..) => InProgress,
        (_, Some("True"), _) => Failed,
        (.., Some("False" | "Unknown")) => InProgress,
        _ => Current,
    }
}

/// What is expected of a golden object, and why not Current where it is not.
fn expected(kind: &str, name: &str) -> Status {
    match (kind, name) {
        // Before the first visit everything reads Current: that is in nobody's power.
        (_, "new") => Current,
        (_, "edited") => InProgress,
        ("ActivityDefinition", "step") => Current,
        ("ActivityDefinition", "invalid") => Failed,
        ("OrchestrationDefinition", "deploy" | "flaky" | "needs-input" | "has-default" | "inactive") => {
            Current
        }
        ("OrchestrationDefinition", "cycle") => Failed,
        // Heals by itself.
        ("OrchestrationDefinition", "missing-type") => InProgress,
        (
            "Orchestration",
            "running" | "waiting" | "retrying" | "suspending" | "suspended" | "stopping" | "unaccepted",
        ) => InProgress,
        ("Orchestration", "succeeded" | "resumed") => Current,
        (
            "Orchestration",
            "failed" | "failed-of-a-schedule" | "late" | "refused" | "cancelled" | "terminated",
        ) => Failed,
        // kstatus does not look at the last result: Argo CD's check does.
        (
            "OrchestrationSchedule",
            "ready" | "succeeding" | "failing-nightly" | "failing-ignored" | "busy-nightly" | "suspended",
        ) => Current,
        ("OrchestrationSchedule", "invalid") => Failed,
        ("OrchestrationSchedule", "inactive" | "missing-definition" | "broken-definition") => InProgress,
        _ => panic!("{kind} {name}: nothing is expected of it yet"),
    }
}

#[test]
fn kstatus_says_of_every_golden_object_what_is_expected() {
    let golden = golden::all();
    for (kind, name, object) in &golden {
        assert_eq!(kstatus(object), expected(kind, name), "{kind} {name}");
        let mut deleted = object.clone();
        deleted["metadata"]["deletionTimestamp"] = Value::from("2026-01-01T00:00:00Z");
        assert_eq!(kstatus(&deleted), Terminating);
    }
    println!("{} golden objects have the kstatus that is expected", golden.len());
}

/// What Flux makes of an object with the expressions of one kind: in its order; an expression that cannot be evaluated
/// is waited for.
fn flux(check: &Value, object: &Value) -> Status {
    let holds = |field: &str| {
        let Some(source) = check[field].as_str() else { return false };
        let program = Program::compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        let mut context = Context::default();
        for (field, value) in object.as_object().unwrap() {
            context.add_variable_from_value(field.clone(), converted(value));
        }
        matches!(program.execute(&context), Ok(Cel::Bool(true)))
    };
    if holds("inProgress") {
        InProgress
    } else if holds("failed") {
        Failed
    } else if holds("current") {
        Current
    } else {
        InProgress
    }
}

fn converted(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(flag) => Cel::Bool(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Cel::Int(integer),
            None => Cel::Float(number.as_f64().unwrap()),
        },
        Value::String(text) => Cel::String(text.clone().into()),
        Value::Array(elements) => Cel::List(elements.iter().map(converted).collect::<Vec<_>>().into()),
        Value::Object(members) => {
            let members = members.iter().map(|(key, member)| (key.clone(), converted(member)));
            members.collect::<std::collections::HashMap<String, Cel>>().into()
        }
    }
}

#[test]
fn the_expressions_for_flux_say_what_kstatus_says_and_wait_for_the_first_visit() {
    let checks: Vec<Value> = blocks("yaml")
        .iter()
        .map(|block| serde_saphyr::from_str::<Value>(block).unwrap())
        .filter_map(|block| block["spec"]["healthCheckExprs"].as_array().cloned())
        .flatten()
        .collect();
    assert_eq!(checks.len(), 4, "one of every kind");
    let mut seen = 0;
    for check in &checks {
        assert_eq!(check["apiVersion"], "orchestrator.dev/v1alpha1");
        for (kind, name, object) in golden::all() {
            if check["kind"] != kind.as_str() {
                continue;
            }
            let expected = match name.as_str() {
                "new" => InProgress,
                // What kstatus cannot see.
                "failing-nightly" | "failing-ignored" => Failed,
                _ => expected(&kind, &name),
            };
            assert_eq!(flux(check, &object), expected, "{kind} {name}");
            seen += 1;
        }
    }
    assert_eq!(seen, golden::all().len());
}
