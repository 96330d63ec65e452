//! Normal forms: what of an answer is the server's own affair is put away, so that the rest can be compared.
//!
//! What is put away, and why:
//! * uids, resourceVersions, creation and deletion times, suffixes of generated names: each server makes its own;
//! * managedFields: the embedded server does not track them;
//! * the order of several causes of one refusal, repeated ones among them, and the message that lists them: Go walks
//!   maps in any order, and tells some mistakes twice;
//! * the object that is quoted in the refusal of a patch: it holds all of the above;
//! * what controllers add to a namespace: `kube-root-ca.crt`, the ServiceAccount `default`;
//! * what admission adds to a pod: tolerations, priority, ServiceAccount;
//! * bookmarks, except the one that ends the initial events: when they come is a matter of time;
//! * an empty `continue`, and `creationTimestamp: null` in a bookmark, which mean nothing.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

static UID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap());
static VERSIONS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(in record|current:|version:|Too large resource version:) ?\(?\d+\)?( \(\d+\))?").unwrap()
});
static QUOTED_OBJECT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?s)Invalid value: "\{.*\}": "#).unwrap());

/// An answer in its normal form.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub code: u16,
    pub body: Value,
}

impl fmt::Display for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.code, self.body)
    }
}

impl Answer {
    /// The normal form of what a server said in a namespace.
    pub fn of(code: u16, text: &str, namespace: &str) -> Self {
        let text = UID.replace_all(text, "<uid>").replace(namespace, "<namespace>");
        let mut body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        normalise(&mut body);
        Self { code, body }
    }

    /// The same of a watch.
    pub fn of_events(code: u16, text: &str, namespace: &str) -> Self {
        let events = text.lines().filter_map(|line| match Self::of(code, line, namespace).body {
            Value::Object(mut event) => {
                let object = event.get_mut("object").map(Value::take).unwrap_or_default();
                let mut object = object;
                normalise(&mut object);
                let is_timed =
                    event["type"] == "BOOKMARK" && object.pointer("/metadata/annotations").is_none();
                if is_timed || is_of_controllers(&object) {
                    return None;
                }
                event.insert("object".to_owned(), object);
                Some(Value::Object(event))
            }
            other => Some(other),
        });
        Self { code, body: Value::Array(events.collect()) }
    }

    /// Events as `TYPE name data`.
    pub fn event_words(&self) -> Vec<String> {
        let events = self.body.as_array().into_iter().flatten();
        let words = events.map(|event| {
            let object = &event["object"];
            let data: Vec<String> = ["/data", "/metadata/labels", "/spec", "/status"]
                .iter()
                .filter_map(|pointer| object.pointer(pointer)?.as_object())
                .flatten()
                .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                .collect();
            let type_ = event["type"].as_str().unwrap_or_default();
            let name = object
                .pointer("/metadata/name")
                .or(object.get("reason"))
                .and_then(Value::as_str)
                .unwrap_or_default();
            format!("{type_} {name} {}", data.join(" "))
        });
        words.collect()
    }
}

fn is_of_controllers(object: &Value) -> bool {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    name == "kube-root-ca.crt" || (name == "default" && object["kind"] == "ServiceAccount")
}

fn normalise(value: &mut Value) {
    let Some(members) = value.as_object_mut() else { return };
    if members.get("kind").and_then(Value::as_str) == Some("Status") {
        status(members);
        return;
    }
    if let Some(items) = members.get_mut("items").and_then(Value::as_array_mut) {
        items.retain(|item| !is_of_controllers(item));
        items.iter_mut().for_each(normalise);
    }
    if members.get("kind").and_then(Value::as_str) == Some("Pod") || members.contains_key("spec") {
        pod(members);
    }
    let generated = generated_name(members);
    if let Some(metadata) = members.get_mut("metadata").and_then(Value::as_object_mut) {
        normalise_metadata(metadata);
    }
    if let Some((name, placeholder)) = generated {
        let text = value.to_string().replace(&name, &placeholder);
        *value = serde_json::from_str(&text).unwrap();
    }
}

fn generated_name(members: &Map<String, Value>) -> Option<(String, String)> {
    let metadata = members.get("metadata")?;
    let prefix = metadata.get("generateName")?.as_str()?;
    Some((metadata.get("name")?.as_str()?.to_owned(), format!("{prefix}<suffix>")))
}

fn normalise_metadata(metadata: &mut Map<String, Value>) {
    metadata.remove("managedFields");
    for key in ["resourceVersion", "creationTimestamp", "deletionTimestamp", "continue"] {
        match metadata.get(key) {
            Some(Value::String(text)) if !text.is_empty() => {
                drop(metadata.insert(key.to_owned(), json!(format!("<{key}>"))));
            }
            _ => drop(metadata.remove(key)),
        }
    }
}

/// What admission adds.
fn pod(members: &mut Map<String, Value>) {
    let Some(spec) = members.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if spec.contains_key("containers") {
        for key in ["tolerations", "priority", "preemptionPolicy", "serviceAccount", "serviceAccountName"] {
            spec.remove(key);
        }
    }
}

fn status(status: &mut Map<String, Value>) {
    if let Some(token) = status.get_mut("metadata").and_then(|metadata| metadata.get_mut("continue")) {
        *token = json!("<continue>");
    }
    let words = |text: &str| {
        let text = VERSIONS.replace_all(text, "$1 <version>");
        QUOTED_OBJECT.replace_all(&text, "Invalid value: <object>: ").into_owned()
    };
    if let Some(prefix) = generated_in(status) {
        let (generated, whole) = (format!("Gen_{prefix}"), Value::Object(status.clone()).to_string());
        if let Ok(Value::Object(normal)) = serde_json::from_str(&whole.replace(&generated, "Gen_<suffix>")) {
            *status = normal;
        }
    }
    let causes =
        status.get_mut("details").and_then(|details| details.get_mut("causes")).and_then(Value::as_array_mut);
    let mut many = false;
    if let Some(causes) = causes {
        for cause in causes.iter_mut() {
            if let Some(message) = cause["message"].as_str().map(words) {
                cause["message"] = json!(sorted(&message));
            }
        }
        causes.sort_by_key(ToString::to_string);
        causes.dedup();
        many = causes.len() > 1;
    }
    if let Some(message) = status.get("message").and_then(Value::as_str).map(words) {
        let message = if many { "<the causes>".to_owned() } else { sorted(&message) };
        status.insert("message".to_owned(), json!(message));
    }
}

/// The suffix of a name that was generated for an object that was then refused.
fn generated_in(status: &Map<String, Value>) -> Option<String> {
    status.get("details")?.get("name")?.as_str()?.strip_prefix("Gen_").map(str::to_owned)
}

/// Unknown fields are told in any order.
fn sorted(message: &str) -> String {
    let Some((head, fields)) = message.split_once("strict decoding error: ") else {
        return message.to_owned();
    };
    let mut fields: Vec<&str> = fields.split(", ").collect();
    fields.sort_unstable();
    format!("{head}strict decoding error: {}", fields.join(", "))
}
