//! Secrets in plain text: values that look like one and stand where everybody can read them.
//!
//! Responsible for: guessing from names. Must never: repeat a value.

use serde_json::Value;

use crate::api::common::Object;

/// What is said of such a value in an input.
pub(super) const IN_INPUT: &str = "looks like a secret in plain text, which everybody can read who may read Orchestrations: keep it in a Secret, and take it from there in the pod template of the activity (valueFrom.secretKeyRef)";
/// What is said of such a value in a job template.
pub(super) const IN_TEMPLATE: &str =
    "looks like a secret in plain text: keep it in a Secret, and take it from there (valueFrom.secretKeyRef)";

/// Ends of names of secrets, without separators and in lower case.
const NAMES: [&str; 12] = [
    "accesskey",
    "apikey",
    "connectionstring",
    "credential",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "secretkey",
    "token",
];

/// The paths of such values in an input.
pub(super) fn in_input(input: &Object) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in input {
        search(name, value, &format!("spec.input.{name}"), &mut found);
    }
    found
}

/// The paths of such values in the variables of a pod template.
pub(super) fn in_template(template: &Object) -> Vec<String> {
    let mut found = Vec::new();
    for field in ["initContainers", "containers"] {
        let containers = template.get("spec").and_then(|spec| spec.get(field)).and_then(Value::as_array);
        for (index, container) in containers.into_iter().flatten().enumerate() {
            let variables = container.get("env").and_then(Value::as_array).into_iter().flatten();
            for (number, variable) in variables.enumerate() {
                let name = variable.get("name").and_then(Value::as_str).unwrap_or_default();
                let path = format!("spec.job.template.spec.{field}[{index}].env[{number}].value");
                search(name, variable.get("value").unwrap_or(&Value::Null), &path, &mut found);
            }
        }
    }
    found
}

fn search(name: &str, value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            // A reference to another variable is none.
            let is_said = !text.is_empty() && !text.starts_with("$(");
            if is_said && (is_named_so(name) || text.contains("PRIVATE KEY-----")) {
                found.push(path.to_owned());
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                search(name, element, &format!("{path}[{index}]"), found);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                search(name, member, &format!("{path}.{name}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_named_so(name: &str) -> bool {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    NAMES.iter().any(|end| plain.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_of_secrets_are_known() {
        for name in
            ["password", "dbPassword", "DB_PASSWORD", "api-key", "clientSecret", "token", "privateKey"]
        {
            assert!(is_named_so(name), "{name}");
        }
        for name in ["secretName", "passwordSecretRef", "publicKey", "tokenUrl", "domain", "key", ""] {
            assert!(!is_named_so(name), "{name}");
        }
    }

    #[test]
    fn values_are_found_at_any_depth_and_by_what_they_are() {
        let input = json!({
            "domain": "a", "password": "x", "secret": "", "token": 7, "nested": {"keys": [{"apiKey": "y"}]},
            "tls": "-----BEGIN RSA PRIVATE KEY-----",
        });
        assert_eq!(
            in_input(input.as_object().unwrap()),
            ["spec.input.nested.keys[0].apiKey", "spec.input.password", "spec.input.tls"]
        );
        let template = json!({"spec": {"containers": [{"env": [
            {"name": "PASSWORD", "value": "x"}, {"name": "TOKEN", "valueFrom": {}}, {"name": "TOKEN", "value": "$(T)"},
        ]}]}});
        assert_eq!(
            in_template(template.as_object().unwrap()),
            ["spec.job.template.spec.containers[0].env[0].value"]
        );
    }
}
