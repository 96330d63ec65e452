//! Reads: one object, or a list page by page.
//!
//! Responsible for: what a resourceVersion in a read means, and pages that are all of one version. Must never: write.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use http::header::ACCEPT;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::answer::{self, Shape};
use super::body::Body;
use super::options::Parameters;
use super::{Call, Server};
use crate::embedded::field::FieldError;
use crate::embedded::refusal::Refusal;
use crate::embedded::selector::Selector;
use crate::embedded::state::State;
use crate::embedded::store::Object;

/// Answers with one object.
pub fn get(server: &Server, call: &Call<'_>) -> Result<Response<Body>, Refusal> {
    let shape = Shape::accepted(call.header(ACCEPT))?;
    let (kind, name) = (&call.target.kind, call.target.name());
    let asked = call.parameters.version("resourceVersion")?;
    let state = server.state();
    if let Some(asked) = asked.filter(|asked| *asked > state.store.version()) {
        return Err(Refusal::too_large_version(asked, state.store.version()));
    }
    let key = State::key(kind, call.target.namespace(), name);
    let found = match call.as_of {
        None => state.store.get(&key).cloned(),
        Some(as_of) => {
            let objects = state.store.list_at(&key.storage, Some(&key.namespace), as_of.0);
            let is_named =
                |object: &Arc<Object>| object.value.pointer("/metadata/name") == Some(&json!(name));
            objects.map_err(|_| expired_list())?.into_iter().find(is_named)
        }
    };
    drop(state);
    let object = found.ok_or_else(|| Refusal::not_found(kind, name))?;
    Ok(answer::object(kind, &object, shape, StatusCode::OK))
}

/// Answers with a list.
pub fn list(server: &Server, call: &Call<'_>) -> Result<Response<Body>, Refusal> {
    let shape = Shape::accepted(call.header(ACCEPT))?;
    let (kind, parameters) = (&call.target.kind, &call.parameters);
    check_options(parameters, false)?;
    let selector = Selector::parse(kind, parameters.text("labelSelector"), parameters.text("fieldSelector"))?;
    let limit = parameters.number("limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or_default();
    let page = Page::parse(parameters.text("continue"))?;
    let asked = parameters.version("resourceVersion")?;
    let state = server.state();
    let current = call.as_of.map_or(state.store.version(), |as_of| as_of.0);
    if let Some(asked) = asked.filter(|asked| *asked > state.store.version()) {
        return Err(Refusal::too_large_version(asked, state.store.version()));
    }
    let is_exact = parameters.text("resourceVersionMatch") == "Exact"
        || (limit > 0 && parameters.text("resourceVersionMatch").is_empty());
    let version = match (&page, asked) {
        (Some(page), _) => page.version.unwrap_or(current),
        (None, Some(asked)) if asked > 0 && is_exact => asked,
        _ => current,
    };
    let namespace = call.target.namespace.as_deref();
    let start = page.as_ref().map_or("", |page| page.start.as_str());
    let objects: Vec<Arc<Object>> =
        state.store.list_at(&kind.storage, namespace, version).map_err(|_| match &page {
            Some(page) => Page { version: None, ..page.clone() }.expired(),
            None => expired_list(),
        })?;
    drop(state);
    let mut selected = objects
        .into_iter()
        .filter(|object| place(&object.value).as_str() >= start && selector.matches(&object.value));
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".to_owned(), json!(version.to_string()));
    if kind.is_custom() && shape == Shape::Whole {
        metadata.insert("continue".to_owned(), json!(""));
    }
    if limit == 0 {
        let all: Vec<Arc<Object>> = selected.collect();
        return Ok(answer::list(kind, all.iter().map(AsRef::as_ref), shape, &metadata));
    }
    let shown: Vec<Arc<Object>> = selected.by_ref().take(limit).collect();
    if let Some(next) = selected.next() {
        let page = Page { version: Some(version), start: place(&next.value) };
        metadata.insert("continue".to_owned(), json!(page.token()));
        if selector.is_empty() {
            metadata.insert("remainingItemCount".to_owned(), json!(selected.count() + 1));
        }
    }
    Ok(answer::list(kind, shown.iter().map(AsRef::as_ref), shape, &metadata))
}

fn expired_list() -> Refusal {
    Refusal::expired("The resourceVersion for the provided list is too old.")
}

/// Where an object stands in a list.
fn place(object: &Value) -> String {
    let text =
        |name: &str| object.get("metadata").and_then(|metadata| metadata.get(name)).and_then(Value::as_str);
    match text("namespace") {
        Some(namespace) => format!("{namespace}/{}", text("name").unwrap_or_default()),
        None => text("name").unwrap_or_default().to_owned(),
    }
}

/// Where the next page of a list begins.
#[derive(Clone, Debug)]
struct Page {
    /// The version of the whole list; none for the newest.
    version: Option<u64>,
    start: String,
}

impl Page {
    fn parse(token: &str) -> Result<Option<Self>, Refusal> {
        if token.is_empty() {
            return Ok(None);
        }
        let invalid = || {
            Refusal::bad_request(
                "invalid continue token: continue key is not valid: the embedded server did not make it",
            )
        };
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| invalid())?;
        let page: Value = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
        let start = page.get("start").and_then(Value::as_str).ok_or_else(invalid)?.to_owned();
        Ok(Some(Self {
            version: page.get("rv").and_then(Value::as_i64).and_then(|version| u64::try_from(version).ok()),
            start,
        }))
    }

    fn token(&self) -> String {
        let version = self.version.map_or(json!(-1), |version| json!(version));
        BASE64URL_NOPAD
            .encode(json!({"v": "meta.k8s.io/v1", "rv": version, "start": self.start}).to_string().as_bytes())
    }

    fn expired(&self) -> Refusal {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
        Refusal { resume: Some(self.token()), ..Refusal::expired(message) }
    }
}

/// Refuses options of a list or a watch that make no sense together.
pub fn check_options(parameters: &Parameters, is_watch: bool) -> Result<(), Refusal> {
    let mut errors = Vec::new();
    let (version, matching) = (parameters.text("resourceVersion"), parameters.text("resourceVersionMatch"));
    let initial = parameters.text("sendInitialEvents");
    let mut forbid = |field: &str, why: &str| errors.push(FieldError::forbidden(field, why));
    if is_watch {
        match (initial.is_empty(), matching) {
            (true, "") | (false, "NotOlderThan") => {}
            (true, _) => forbid(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ),
            (false, _) => forbid(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ),
        }
    } else {
        if !initial.is_empty() {
            forbid("sendInitialEvents", "sendInitialEvents is forbidden for list");
        }
        match matching {
            "" => {}
            _ if version.is_empty() => forbid(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ),
            _ if !parameters.text("continue").is_empty() => {
                forbid("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided");
            }
            "Exact" if version == "0" => forbid(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ),
            "Exact" | "NotOlderThan" => {}
            other => {
                let supported = ["Exact", "NotOlderThan", ""].map(|word| format!("\"{word}\""));
                errors.push(FieldError::not_supported("resourceVersionMatch", &json!(other), &supported));
            }
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Refusal::invalid_as("meta.k8s.io", "ListOptions", "", &errors))
    }
}
