//! Pods and pod templates: defaults and the few rules that matter without a node.
//!
//! Responsible for: what the API server fills in, containers that can be named and run, what of a pod may change.
//! Must never: run anything.

use serde_json::{Map, Value, json};

use crate::embedded::field::FieldError;
use crate::embedded::validate::names;

/// Fills in the defaults of a pod's `spec`.
pub fn defaults(spec: &mut Map<String, Value>) {
    for (name, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
    ] {
        spec.entry(name).or_insert(value);
    }
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        spec.entry("serviceAccount").or_insert(account);
    }
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        containers.into_iter().flatten().filter_map(Value::as_object_mut).for_each(container_defaults);
    }
    let volumes = spec.get_mut("volumes").and_then(Value::as_array_mut);
    volumes.into_iter().flatten().filter_map(Value::as_object_mut).for_each(volume_defaults);
}

fn container_defaults(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    let is_pinned = last.contains('@') || last.split_once(':').is_some_and(|(_, tag)| tag != "latest");
    let pull = if is_pinned { "IfNotPresent" } else { "Always" };
    for (name, value) in [
        ("imagePullPolicy", json!(pull)),
        ("resources", json!({})),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
    ] {
        container.entry(name).or_insert(value);
    }
    for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port.entry("protocol").or_insert_with(|| json!("TCP"));
        }
    }
    for variable in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        if variable.get("value").and_then(Value::as_str) == Some("")
            && let Some(variable) = variable.as_object_mut()
        {
            variable.remove("value");
        }
        field_defaults(variable.pointer_mut("/valueFrom/fieldRef"));
    }
}

fn volume_defaults(volume: &mut Map<String, Value>) {
    for (source, mode) in [
        ("configMap", "defaultMode"),
        ("secret", "defaultMode"),
        ("downwardAPI", "defaultMode"),
        ("projected", "defaultMode"),
    ] {
        let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) else { continue };
        source.entry(mode).or_insert_with(|| json!(420));
        for item in source.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
            field_defaults(item.get_mut("fieldRef"));
        }
    }
    if volume.len() == 1 {
        volume.insert("emptyDir".to_owned(), json!({}));
    }
}

fn field_defaults(reference: Option<&mut Value>) {
    if let Some(reference) = reference.and_then(Value::as_object_mut) {
        reference.entry("apiVersion").or_insert_with(|| json!("v1"));
    }
}

/// Validates a pod's `spec`; `policies` are the restart policies that are allowed.
#[must_use]
pub fn check(spec: &Value, path: &str, policies: &[&str]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list = |name: &str| spec.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if list("containers").is_empty() {
        errors.push(FieldError::required(format!("{path}.containers"), ""));
    }
    let mut seen = Vec::new();
    for kind in ["containers", "initContainers"] {
        for (index, container) in list(kind).iter().enumerate() {
            let at = format!("{path}.{kind}[{index}]");
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            if name.is_empty() {
                errors.push(FieldError::required(format!("{at}.name"), ""));
            } else {
                let wrong = names::label(name);
                errors.extend(
                    wrong.iter().map(|why| FieldError::invalid(format!("{at}.name"), &json!(name), why)),
                );
                if seen.contains(&name) {
                    errors.push(FieldError::duplicate(format!("{at}.name"), &json!(name)));
                }
                seen.push(name);
            }
            if container.get("image").and_then(Value::as_str).unwrap_or_default().is_empty() {
                errors.push(FieldError::required(format!("{at}.image"), ""));
            }
            environment(container, &at, &mut errors);
            mounts(container, list("volumes"), &at, &mut errors);
        }
    }
    let policy = spec.get("restartPolicy").and_then(Value::as_str).unwrap_or_default();
    if !policies.contains(&policy) {
        let supported: Vec<String> = policies.iter().map(|policy| format!("\"{policy}\"")).collect();
        errors.push(FieldError::not_supported(format!("{path}.restartPolicy"), &json!(policy), &supported));
    }
    errors
}

fn environment(container: &Value, at: &str, errors: &mut Vec<FieldError>) {
    for (list, field) in [("env", "name"), ("envFrom", "prefix")] {
        let elements = container.get(list).and_then(Value::as_array).into_iter().flatten();
        for (index, element) in elements.enumerate() {
            let (name, field) =
                (element.get(field).and_then(Value::as_str), format!("{at}.{list}[{index}].{field}"));
            let name = name.unwrap_or_default();
            // No prefix is a good one.
            if name.is_empty() && list == "env" {
                errors.push(FieldError::required(&field, ""));
            }
            errors.extend(
                names::variable(name).iter().map(|why| FieldError::invalid(&field, &json!(name), why)),
            );
        }
    }
}

fn mounts(container: &Value, volumes: &[Value], at: &str, errors: &mut Vec<FieldError>) {
    let mounts = container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten();
    for (index, mount) in mounts.enumerate() {
        let text = |key: &str| mount.get(key).and_then(Value::as_str).unwrap_or_default();
        let field = format!("{at}.volumeMounts[{index}]");
        let known =
            volumes.iter().any(|volume| volume.get("name").and_then(Value::as_str) == Some(text("name")));
        if text("name").is_empty() {
            errors.push(FieldError::required(format!("{field}.name"), ""));
        } else if !known {
            errors.push(FieldError::not_found(format!("{field}.name"), &json!(text("name"))));
        }
        if text("mountPath").is_empty() {
            errors.push(FieldError::required(format!("{field}.mountPath"), ""));
        }
    }
}

/// What an update may not change.
#[must_use]
pub fn check_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let without = |pod: &Value| {
        let mut spec = pod.get("spec").cloned().unwrap_or_default();
        if let Some(members) = spec.as_object_mut() {
            for free in [
                "activeDeadlineSeconds",
                "tolerations",
                "terminationGracePeriodSeconds",
                "nodeName",
                "schedulingGates",
            ] {
                members.remove(free);
            }
            for list in ["containers", "initContainers"] {
                for container in members.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Some(container) = container.as_object_mut() {
                        container.remove("image");
                    }
                }
            }
        }
        spec
    };
    if without(new) == without(old) {
        return Vec::new();
    }
    let why = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
    vec![FieldError::forbidden("spec", why)]
}

/// How long the end of a pod may take, in seconds.
#[must_use]
pub fn grace_period(pod: &Value, asked: Option<i64>) -> i64 {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if text("/spec/nodeName").is_empty() || matches!(text("/status/phase"), "Failed" | "Succeeded") {
        return 0;
    }
    let own = pod.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or_default();
    let period = asked.unwrap_or(own);
    if period < 0 { 1 } else { period }
}
