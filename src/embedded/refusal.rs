//! Refusals: errors as the `Status` objects that Kubernetes makes of them.
//!
//! Responsible for: code, reason, message and details in Kubernetes' words. Must never: decide that something is
//! refused.

use serde_json::{Map, Value, json};

use super::field::FieldError;
use super::kinds::Kind;

/// A request that is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP status code.
    pub code: u16,
    /// One CamelCase word; empty where Kubernetes has none.
    pub reason: &'static str,
    /// Why, in words.
    pub message: String,
    /// What it is about.
    pub details: Option<Value>,
    /// Where a list may go on although the one that was asked for cannot.
    pub resume: Option<String>,
}

impl Refusal {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, resume: None }
    }

    fn about(self, details: Value) -> Self {
        Self { details: Some(details), ..self }
    }

    /// 400: the request cannot be understood.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 404: the embedded server has nothing at this path.
    #[must_use]
    pub fn no_such_path(what: &str) -> Self {
        let message =
            format!("the server could not find the requested resource: the embedded server has no {what}");
        Self::new(404, "NotFound", message).about(json!({}))
    }

    /// 404: there is no such object.
    #[must_use]
    pub fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", kind.qualified_plural())).about(about(
            kind,
            &kind.plural,
            name,
        ))
    }

    /// 404: there is no such namespace.
    #[must_use]
    pub fn namespace_not_found(name: &str) -> Self {
        Self::new(404, "NotFound", format!("namespaces \"{name}\" not found"))
            .about(json!({"name": name, "kind": "namespaces"}))
    }

    /// 409: the name is taken.
    #[must_use]
    pub fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", kind.qualified_plural()))
            .about(about(kind, &kind.plural, name))
    }

    /// 409: the name is taken by an object that is going.
    #[must_use]
    pub fn still_exists(kind: &Kind, name: &str) -> Self {
        let refusal = Self::already_exists(kind, name);
        Self { message: format!("object is being deleted: {}", refusal.message), ..refusal }
    }

    /// 409: the object has changed since it was read.
    #[must_use]
    pub fn conflict(kind: &Kind, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.qualified_plural()),
        )
        .about(about(kind, &kind.plural, name))
    }

    /// 409: a precondition of a deletion does not hold.
    #[must_use]
    pub fn precondition(kind: &Kind, name: &str, why: &str) -> Self {
        Self::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.qualified_kind()),
        )
        .about(about(kind, &kind.kind, name))
    }

    /// 403: Kubernetes does not allow it, whoever asks.
    #[must_use]
    pub fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        Self::new(403, "Forbidden", format!("{} \"{name}\" is forbidden: {why}", kind.qualified_plural()))
            .about(about(kind, &kind.plural, name))
    }

    /// 403: the namespace is being deleted.
    #[must_use]
    pub fn namespace_terminating(kind: &Kind, name: &str, namespace: &str) -> Self {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut refusal = Self::forbidden(kind, name, &why);
        let cause = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
        if let Some(details) = refusal.details.as_mut().and_then(Value::as_object_mut) {
            details.insert("causes".to_owned(), cause);
        }
        refusal
    }

    /// 422: the object is not valid.
    #[must_use]
    pub fn invalid(kind: &Kind, name: &str, errors: &[FieldError]) -> Self {
        // Events are validated as what they are stored as.
        let group = if kind.storage == "/events" { "" } else { kind.group.as_str() };
        Self::invalid_as(group, &kind.kind, name, errors)
    }

    /// 422 for something that is no object of a known kind, such as options.
    #[must_use]
    pub fn invalid_as(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut sentences: Vec<String> = Vec::new();
        for error in errors {
            let sentence = error.to_string();
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        let all = match sentences.as_slice() {
            [one] => one.clone(),
            _ => format!("[{}]", sentences.join(", ")),
        };
        let mut details = named(group, kind, name);
        details.insert("causes".to_owned(), errors.iter().map(FieldError::cause).collect());
        Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {all}"))
            .about(Value::Object(details))
    }

    /// 422: a patch does not fit the object.
    #[must_use]
    pub fn patch_does_not_fit() -> Self {
        Self::new(422, "Invalid", "the server rejected our request due to an error in our request")
            .about(json!({}))
    }

    /// 405: the path exists, the method does not.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message).about(json!({}))
    }

    /// 405 for a custom kind, in the words that Kubernetes has for those.
    #[must_use]
    pub fn verb_not_supported(kind: &Kind, verb: &str) -> Self {
        let plural = kind.qualified_plural();
        Self::new(
            405,
            "MethodNotAllowed",
            format!("{verb} is not supported on resources of kind \"{plural}\""),
        )
        .about(json!({"group": kind.group, "kind": kind.plural}))
    }

    /// 409: the uid of an update is not that of the object.
    #[must_use]
    pub fn other_uid(kind: &Kind, namespace: &str, name: &str, asked: &str, found: &str) -> Self {
        let place =
            if kind.is_custom() { format!("{}/{}", kind.group, kind.plural) } else { kind.plural.clone() };
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{place}/{namespace}/{name}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {asked}, UID in object meta: {found}"
        );
        let plural = kind.qualified_plural();
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {plural} \"{name}\": {why}"))
            .about(about(kind, &kind.plural, name))
    }

    /// 406: nothing that the client takes can be made.
    #[must_use]
    pub fn not_acceptable() -> Self {
        let message =
            "406: Not Acceptable\n\nAvailable representations of the embedded server: application/json";
        Self::new(406, "NotAcceptable", message).about(json!({}))
    }

    /// 415: the body is of a type that the embedded server does not take.
    #[must_use]
    pub fn unsupported_media_type(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types of the embedded server include: {accepted}"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 413: the body is too large.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        Self::new(413, "RequestEntityTooLarge", message).about(json!({}))
    }

    /// 410: what was asked for is not in the history any more.
    #[must_use]
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 504: the version that was asked for has not been written yet.
    #[must_use]
    pub fn too_large_version(asked: u64, current: u64) -> Self {
        Self::new(504, "Timeout", format!("Timeout: Too large resource version: {asked}, current: {current}"))
            .about(json!({
                "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                "retryAfterSeconds": 1,
            }))
    }

    /// 500: the server cannot do it.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// The `Status` object.
    #[must_use]
    pub fn status(&self) -> Value {
        let mut metadata = Map::new();
        if let Some(resume) = &self.resume {
            metadata.insert("continue".to_owned(), json!(resume));
        }
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if let Some(members) = status.as_object_mut() {
            if !self.reason.is_empty() {
                members.insert("reason".to_owned(), json!(self.reason));
            }
            if let Some(details) = &self.details {
                members.insert("details".to_owned(), details.clone());
            }
        }
        status
    }
}

fn about(kind: &Kind, word: &str, name: &str) -> Value {
    Value::Object(named(&kind.group, word, name))
}

fn named(group: &str, kind: &str, name: &str) -> Map<String, Value> {
    [("name", name), ("group", group), ("kind", kind)]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect()
}
