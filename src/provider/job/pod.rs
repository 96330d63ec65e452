//! The pod template of one attempt: the user's template, and what the contract adds to it.
//!
//! Responsible for: variables, the input file, the output file, and defaults where the template is silent. Must
//! never: overrule what the template says, but for our own labels and names.

use serde_json::{Value, json};

use super::build::JobRequest;
use crate::api::common::Object;
use crate::api::labels;
use crate::engine::names;

/// Largest value that is also a variable, in bytes. Larger ones are in the file only: a single argument or variable
/// of a process ends at 128 KiB, and all of them share one limit.
const MAX_VARIABLE: usize = 4096;

/// The template of the pod. Whatever of it has the wrong JSON type stays as it is: the server says so.
pub(super) fn template(request: &JobRequest<'_>, labels: &Object, annotations: &Object) -> Object {
    let mut template = request.template.template.clone();
    if let Some(metadata) = object(&mut template, "metadata") {
        if let Some(all) = object(metadata, "labels") {
            complement(all, &request.propagated.labels);
            all.extend(labels.clone());
        }
        if let Some(all) = object(metadata, "annotations") {
            complement(all, &request.propagated.annotations);
            all.extend(annotations.clone());
            // On the pod only: the volume is projected from here, and the Job need not carry it twice.
            all.insert(labels::INPUT.to_owned(), Value::Object(request.inputs.clone()).to_string().into());
        }
    }
    if let Some(spec) = object(&mut template, "spec") {
        complete(spec, request);
    }
    template
}

/// Adds what the template is silent about.
fn complement(all: &mut Object, propagated: &Object) {
    for (key, value) in propagated {
        default(all, key, value.clone());
    }
}

fn complete(spec: &mut Object, request: &JobRequest<'_>) {
    let windows = spec.get("os").and_then(|os| os.get("name")).and_then(Value::as_str) == Some("windows");
    default(spec, "restartPolicy", json!("Never"));
    if let Some(timeout) = request.timeout_seconds {
        // The shorter one counts: the template may know better, not longer.
        let own = spec.get("activeDeadlineSeconds").and_then(Value::as_i64);
        spec.insert("activeDeadlineSeconds".to_owned(), own.map_or(timeout, |own| own.min(timeout)).into());
    }
    default(spec, "automountServiceAccountToken", json!(false));
    // Windows pods may not have any of these fields.
    if !windows && let Some(context) = object(spec, "securityContext") {
        default(context, "seccompProfile", json!({"type": "RuntimeDefault"}));
    }
    append(spec, "volumes", input_volume());

    let variables = variables(request);
    for field in ["initContainers", "containers"] {
        let containers = spec.get_mut(field).and_then(Value::as_array_mut);
        let objects = containers.into_iter().flatten().map(Value::as_object_mut);
        for (index, container) in objects.enumerate().filter_map(|(index, found)| Some((index, found?))) {
            // The outputs are the first container's: others have no file that would be read.
            let has_outputs = field == "containers" && index == 0;
            if has_outputs {
                container.insert("terminationMessagePath".to_owned(), labels::OUTPUT_FILE.into());
            }
            // What a container says of its failure where it writes no message of its own; of a success it changes nothing.
            default(container, "terminationMessagePolicy", json!("FallbackToLogsOnError"));
            prepend_variables(container, &variables, has_outputs);
            append(
                container,
                "volumeMounts",
                json!({"name": labels::INPUT_VOLUME, "mountPath": labels::INPUT_DIRECTORY, "readOnly": true}),
            );
            if !windows {
                harden(container);
            }
        }
    }
}

fn input_volume() -> Value {
    json!({
        "name": labels::INPUT_VOLUME,
        "downwardAPI": {"items": [{
            "path": labels::INPUT_FILE,
            "fieldRef": {"fieldPath": format!("metadata.annotations['{}']", labels::INPUT)},
        }]},
    })
}

/// Security defaults where the template is silent, so that a namespace with Pod Security `restricted` admits it.
fn harden(container: &mut Object) {
    let Some(context) = object(container, "securityContext") else { return };
    if context.get("privileged") == Some(&Value::Bool(true)) {
        // The API refuses the pair with allowPrivilegeEscalation, and dropped capabilities would contradict it.
        return;
    }
    let added = context
        .get("capabilities")
        .and_then(|capabilities| capabilities.get("add"))
        .and_then(Value::as_array);
    // The API refuses the pair; it compares this very spelling.
    if !added.into_iter().flatten().any(|capability| capability == "CAP_SYS_ADMIN") {
        default(context, "allowPrivilegeEscalation", json!(false));
    }
    if let Some(capabilities) = object(context, "capabilities") {
        default(capabilities, "drop", json!(["ALL"]));
    }
}

/// Puts our variables before those of the template, which may refer to them as `$(NAME)`.
fn prepend_variables(container: &mut Object, variables: &[(String, String)], has_outputs: bool) {
    default(container, "env", json!([]));
    let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) else { return };
    let output = has_outputs.then(|| (variable("OUTPUT_FILE"), labels::OUTPUT_FILE.to_owned()));
    let ours: Vec<Value> = variables
        .iter()
        .chain(&output)
        // TRACEPARENT is not reserved. Two variables of one name are a warning of the server.
        .filter(|(name, _)| {
            !env.iter().any(|theirs| theirs.get("name").and_then(Value::as_str) == Some(name))
        })
        // Kubernetes expands `$(NAME)` in values: an input could read the template's secrets.
        .map(|(name, value)| json!({"name": name, "value": value.replace('$', "$$")}))
        .collect();
    env.splice(0..0, ours);
}

/// Names and values of the variables that every container gets.
fn variables(request: &JobRequest<'_>) -> Vec<(String, String)> {
    let context = [
        ("INPUT_FILE", format!("{}/{}", labels::INPUT_DIRECTORY, labels::INPUT_FILE)),
        ("NAMESPACE", request.namespace.to_owned()),
        ("ORCHESTRATION", request.orchestration.to_owned()),
        ("UID", request.uid.to_owned()),
        ("TYPE", request.orchestration_type.to_owned()),
        ("ACTIVITY", request.activity.to_owned()),
        ("ACTIVITY_TYPE", request.activity_type.to_owned()),
        ("DISCRIMINATOR", request.discriminator.unwrap_or_default().to_owned()),
        ("ATTEMPT", request.attempt.to_string()),
        ("CORRELATION_ID", request.correlation_id.unwrap_or_default().replace('\0', "")),
        ("DEADLINE", request.deadline.to_string()),
    ];
    // Absent where it means nothing: an empty time would be a wrong one.
    let scheduled = request.scheduled_time.map(|time| ("SCHEDULED_TIME", time.to_string()));
    let context = context.into_iter().chain(scheduled);
    let mut variables: Vec<_> = context.map(|(name, value)| (variable(name), value)).collect();
    variables
        .push(("TRACEPARENT".to_owned(), names::traceparent(request.uid, request.activity, request.attempt)));
    for (input, value) in request.inputs {
        let name = names::variable_name(input);
        // The compile refuses collisions of the inputs it knows; here the first wins rather than two of one name.
        if let Some(value) = scalar(value)
            && !variables.iter().any(|(other, _)| *other == name)
        {
            variables.push((name, value));
        }
    }
    variables
}

fn variable(name: &str) -> String {
    format!("{}{name}", labels::CONTEXT_VARIABLE_PREFIX)
}

/// A value as a variable; nothing for what is not a scalar, is too large, or cannot be a C string.
fn scalar(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (text.len() <= MAX_VARIABLE && !text.contains('\0')).then_some(text)
}

/// A member that is an object, made if the parent is silent about it; nothing if it is something else.
fn object<'a>(parent: &'a mut Object, field: &str) -> Option<&'a mut Object> {
    default(parent, field, json!({}));
    parent.get_mut(field).and_then(Value::as_object_mut)
}

/// Sets a member that is absent. Null is absent, as it is to the API server.
fn default(parent: &mut Object, field: &str, value: Value) {
    if parent.get(field).is_none_or(Value::is_null) {
        parent.insert(field.to_owned(), value);
    }
}

/// Adds an element to a list, which is made if the parent is silent about it.
fn append(parent: &mut Object, field: &str, element: Value) {
    default(parent, field, json!([]));
    if let Some(list) = parent.get_mut(field).and_then(Value::as_array_mut) {
        list.push(element);
    }
}
