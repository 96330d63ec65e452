//! Answers: objects, lists and refusals as HTTP responses, whole or as metadata only.
//!
//! Responsible for: the shape that the client accepts. Must never: choose what is answered.

use std::io::Write as _;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use serde::Serializer as _;
use serde::ser::SerializeMap as _;
use serde_json::{Map, Value, json};

use super::body::Body;
use crate::embedded::kinds::Kind;
use crate::embedded::refusal::Refusal;
use crate::embedded::store::Object;

/// The shape of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Whole objects.
    Whole,
    /// Their metadata only.
    Metadata,
}

impl Shape {
    /// The first shape that a client accepts and the server has.
    pub fn accepted(accept: &str) -> Result<Self, Refusal> {
        if accept.trim().is_empty() {
            return Ok(Self::Whole);
        }
        accept.split(',').find_map(Self::of_media_type).ok_or_else(Refusal::not_acceptable)
    }

    fn of_media_type(media_type: &str) -> Option<Self> {
        let mut parts = media_type.split(';').map(str::trim);
        if !matches!(parts.next()?, "application/json" | "application/*" | "*/*") {
            return None;
        }
        match parts.find_map(|part| part.strip_prefix("as=")) {
            None => Some(Self::Whole),
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Some(Self::Metadata),
            Some(_) => None,
        }
    }
}

/// An object as a client sees it.
#[must_use]
pub fn object_text(kind: &Kind, object: &Object, shape: Shape) -> Bytes {
    match shape {
        Shape::Metadata => Bytes::from(partial(&object.value).to_string()),
        Shape::Whole => match kind.view(&object.value) {
            Some(shown) => Bytes::from(shown.to_string()),
            None => object.text(),
        },
    }
}

/// The metadata of an object, as an object.
#[must_use]
pub fn partial(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.get("metadata")})
}

/// Answers with an object that is stored.
#[must_use]
pub fn object(kind: &Kind, object: &Object, shape: Shape, code: StatusCode) -> Response<Body> {
    bytes(code, object_text(kind, object, shape))
}

/// Answers with an object that is not stored.
#[must_use]
pub fn value(kind: &Kind, object: &Value, shape: Shape, code: StatusCode) -> Response<Body> {
    match shape {
        Shape::Metadata => json(code, &partial(object)),
        Shape::Whole => json(code, kind.view(object).as_ref().unwrap_or(object)),
    }
}

/// Answers with a list.
#[must_use]
pub fn list<'o>(
    kind: &Kind,
    objects: impl Iterator<Item = &'o Object>,
    shape: Shape,
    metadata: &Map<String, Value>,
) -> Response<Body> {
    let (list_kind, version) = match shape {
        Shape::Whole => (kind.list_kind.clone(), kind.api_version()),
        Shape::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
    };
    let mut text = Vec::new();
    // Writing into memory does not fail.
    let _ = write!(
        text,
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":[",
        json!(list_kind),
        json!(version),
        json!(metadata)
    );
    for (index, object) in objects.enumerate() {
        if index > 0 {
            text.push(b',');
        }
        match (shape, kind.is_custom()) {
            (Shape::Whole, false) => {
                item(kind.view(&object.value).as_ref().unwrap_or(&object.value), &mut text);
            }
            _ => text.extend_from_slice(&object_text(kind, object, shape)),
        }
    }
    text.extend_from_slice(b"]}");
    bytes(StatusCode::OK, Bytes::from(text))
}

/// Items of built-in kinds do not say of which kind they are.
fn item(value: &Value, text: &mut Vec<u8>) {
    let Some(members) = value.as_object() else { return };
    let mut serializer = serde_json::Serializer::new(text);
    if let Ok(mut map) = (&mut serializer).serialize_map(None) {
        for (name, member) in
            members.iter().filter(|(name, _)| !matches!(name.as_str(), "kind" | "apiVersion"))
        {
            let _ = map.serialize_entry(name, member);
        }
        let _ = map.end();
    }
}

/// Answers a deletion of which nothing is left.
#[must_use]
pub fn deleted(kind: &Kind, name: &str, uid: &str) -> Response<Body> {
    let mut details = json!({"name": name, "kind": kind.plural, "uid": uid});
    if let Some(details) = details.as_object_mut().filter(|_| !kind.group.is_empty()) {
        details.insert("group".to_owned(), json!(kind.group));
    }
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    json(StatusCode::OK, &status)
}

/// Answers with a refusal.
#[must_use]
pub fn refuse(refusal: &Refusal) -> Response<Body> {
    json(StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &refusal.status())
}

/// Answers with a text.
#[must_use]
pub fn text(text: &'static str) -> Response<Body> {
    let mut response = bytes(StatusCode::OK, Bytes::from_static(text.as_bytes()));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    response
}

/// Answers which version of Kubernetes the server is like.
#[must_use]
pub fn version() -> Response<Body> {
    let version = json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.3+embedded", "gitCommit": "", "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "embedded",
    });
    json(StatusCode::OK, &version)
}

/// Answers with pieces as they come.
#[must_use]
pub fn stream(stream: futures::stream::BoxStream<'static, Bytes>) -> Response<Body> {
    respond(StatusCode::OK, Body::Stream(stream))
}

fn json(code: StatusCode, value: &Value) -> Response<Body> {
    bytes(code, Bytes::from(value.to_string()))
}

fn bytes(code: StatusCode, bytes: Bytes) -> Response<Body> {
    respond(code, Body::Once(Some(bytes)))
}

fn respond(code: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
