//! Names: what may be the name of an object, a label, a finalizer or a variable.
//!
//! Responsible for: Kubernetes' rules of names and their wording. Must never: look further than at a text.

use std::sync::LazyLock;

use regex::Regex;

const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const QUALIFIED: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const CONFIG_KEY: &str = "[-._a-zA-Z0-9]+";

static SUBDOMAIN_PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| whole(SUBDOMAIN));
static LABEL_PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| whole(LABEL));
static QUALIFIED_PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| whole(QUALIFIED));
static LABEL_VALUE_PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| whole(LABEL_VALUE));
static CONFIG_KEY_PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| whole(CONFIG_KEY));

fn whole(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).ok()
}

fn fits(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// What is wrong with the name of most objects; empty when nothing is.
#[must_use]
pub fn subdomain(name: &str) -> Vec<String> {
    let mut wrong = too_long(name, 253, "characters");
    if !fits(&SUBDOMAIN_PATTERN, name) {
        wrong.push(format!(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')"
        ));
    }
    wrong
}

/// What is wrong with the name of a namespace, or of a container.
#[must_use]
pub fn label(name: &str) -> Vec<String> {
    if name.contains('.') {
        return vec!["must not contain dots".to_owned()];
    }
    let mut wrong = too_long(name, 63, "characters");
    if !fits(&LABEL_PATTERN, name) {
        wrong.push(format!(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')"
        ));
    }
    wrong
}

/// What is wrong with the key of a label.
#[must_use]
pub fn label_key(key: &str) -> Vec<String> {
    qualified_as("a valid label key", key)
}

/// What is wrong with the key of an annotation, or with a finalizer.
#[must_use]
pub fn qualified(key: &str) -> Vec<String> {
    qualified_as("a qualified name", key)
}

fn qualified_as(what: &str, key: &str) -> Vec<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) if !name.contains('/') => (Some(prefix), name),
        Some(_) => {
            return vec![format!(
                "{what} must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{QUALIFIED}') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
        None => (None, key),
    };
    let mut wrong = match prefix {
        Some("") => vec!["prefix part must be non-empty".to_owned()],
        Some(prefix) => subdomain(prefix).into_iter().map(|why| format!("prefix part {why}")).collect(),
        None => Vec::new(),
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        wrong.push("name part must be no more than 63 bytes".to_owned());
    }
    if !fits(&QUALIFIED_PATTERN, name) {
        wrong.push(format!(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{QUALIFIED}')"
        ));
    }
    wrong
}

/// What is wrong with the value of a label.
#[must_use]
pub fn label_value(value: &str) -> Vec<String> {
    let mut wrong = too_long(value, 63, "bytes");
    if !fits(&LABEL_VALUE_PATTERN, value) {
        wrong.push(format!(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '{LABEL_VALUE}')"
        ));
    }
    wrong
}

/// What is wrong with a key of a ConfigMap or a Secret.
#[must_use]
pub fn config_key(key: &str) -> Vec<String> {
    let mut wrong = too_long(key, 253, "characters");
    if !fits(&CONFIG_KEY_PATTERN, key) {
        wrong.push(format!(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '{CONFIG_KEY}')"
        ));
    }
    wrong
}

/// What is wrong with the name of a variable that is not empty, since Kubernetes 1.32.
#[must_use]
pub fn variable(name: &str) -> Vec<String> {
    if name.chars().all(|c| matches!(c, ' '..='~') && c != '=') {
        return Vec::new();
    }
    vec![
        "a valid environment variable name must consist only of printable ASCII characters other than '='"
            .to_owned(),
    ]
}

fn too_long(text: &str, limit: usize, unit: &str) -> Vec<String> {
    if text.len() > limit { vec![format!("must be no more than {limit} {unit}")] } else { Vec::new() }
}
