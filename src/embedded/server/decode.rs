//! Decoding: a body becomes an object of a kind.
//!
//! Responsible for: media types, kind and version, types, pruning, defaults, strictness. Must never: validate what has
//! the right type.

use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use super::Call;
use crate::embedded::field::{FieldError, Path};
use crate::embedded::kinds::strategy::{Strategy, metadata_schema};
use crate::embedded::kinds::{Kind, config, event};
use crate::embedded::refusal::Refusal;
use crate::embedded::validate::prune::prune;
use crate::embedded::validate::{decode, defaults, typed};

/// Reads the body of a create or an update.
pub fn body(call: &Call<'_>, is_strict: bool) -> Result<Value, Refusal> {
    let kind = &call.target.kind;
    let media_type = call.header(CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    if !matches!(media_type, "" | "application/json" | "*/*") {
        return Err(Refusal::unsupported_media_type("application/json"));
    }
    let read = if is_strict {
        decode::read_strictly(call.bytes)
    } else {
        decode::read(call.bytes).map(|value| (value, Vec::new()))
    };
    let (mut object, duplicates) = read.map_err(|words| {
        unrecognized(kind, call.bytes, &format!("couldn't get version/kind; json parse error: {words}"))
    })?;
    let Some(members) = object.as_object_mut() else {
        let words = "couldn't get version/kind; json parse error: json: cannot unmarshal it into an object";
        return Err(unrecognized(kind, call.bytes, words));
    };
    type_meta(kind, members, call.bytes)?;
    let unknown = complete(kind, &mut object).map_err(|words| cannot_be_handled(kind, &words))?;
    if is_strict && !(duplicates.is_empty() && unknown.is_empty()) {
        return Err(cannot_be_handled(kind, &strict_words(&duplicates, &unknown)));
    }
    Ok(object)
}

/// What strict decoding says of duplicate and unknown fields.
pub fn strict_words(duplicates: &[String], unknown: &[String]) -> String {
    let duplicates = duplicates.iter().map(|path| format!("duplicate field \"{path}\""));
    let all: Vec<String> =
        duplicates.chain(unknown.iter().map(|path| format!("unknown field \"{path}\""))).collect();
    format!("strict decoding error: {}", all.join(", "))
}

/// What is said of a body that cannot be decoded as its kind, or not strictly.
#[must_use]
pub fn cannot_be_handled(kind: &Kind, words: &str) -> Refusal {
    let (version, name) = (&kind.version, &kind.kind);
    Refusal::bad_request(format!("{name} in version \"{version}\" cannot be handled as a {name}: {words}"))
}

fn unrecognized(kind: &Kind, bytes: &[u8], words: &str) -> Refusal {
    let text = String::from_utf8_lossy(bytes);
    let shown: String = text.chars().take(30).collect();
    let shown = if shown.len() < text.len() { format!("{shown} ...") } else { shown };
    Refusal::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): {words} ({shown})",
        kind.kind
    ))
}

fn type_meta(kind: &Kind, members: &mut Map<String, Value>, bytes: &[u8]) -> Result<(), Refusal> {
    let text = |members: &Map<String, Value>, key: &str| {
        members.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (api_version, name) = (text(members, "apiVersion"), text(members, "kind"));
    if kind.is_custom() {
        if name.is_empty() {
            let whole = String::from_utf8_lossy(bytes);
            return Err(unrecognized(kind, bytes, &format!("Object 'Kind' is missing in '{whole}'")));
        }
        if api_version != kind.api_version() {
            return Err(Refusal::bad_request(format!(
                "the API version in the data ({api_version}) does not match the expected API version ({})",
                kind.api_version()
            )));
        }
        if name != kind.kind {
            let error = FieldError::invalid("kind", &json!(name), &format!("must be {}", kind.kind));
            let object_name =
                members.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Value::as_str);
            return Err(Refusal::invalid_as(&kind.group, &name, object_name.unwrap_or_default(), &[error]));
        }
        return Ok(());
    }
    let is_other = !name.is_empty() && name != kind.kind;
    let is_other_version = !api_version.is_empty() && api_version != kind.api_version();
    if is_other || is_other_version {
        let version = api_version.rsplit('/').next().unwrap_or_default();
        return Err(Refusal::bad_request(format!(
            "{name} in version \"{version}\" cannot be handled as a {}: converting ({version}.{name}) to (core.{}): unknown conversion",
            kind.kind, kind.kind
        )));
    }
    members.insert("apiVersion".to_owned(), json!(kind.api_version()));
    members.insert("kind".to_owned(), json!(kind.kind));
    Ok(())
}

/// Checks types, prunes and defaults. The result is the paths of what was unknown; the error, in the words of the
/// decoder, what was of the wrong type.
pub fn complete(kind: &Kind, object: &mut Value) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    decode::whole_numbers(object);
    let metadata =
        object.as_object_mut().map(|members| members.entry("metadata").or_insert_with(|| json!({})));
    if let Some(metadata) = metadata {
        if metadata.is_null() {
            *metadata = json!({});
        }
        if let Some(members) = metadata.as_object_mut() {
            members.remove("managedFields");
            members.remove("selfLink");
        }
        typed::decode(metadata, metadata_schema(), "ObjectMeta", "").map_err(|words| {
            // The whole path is told of built-in kinds, that of the type of custom ones.
            if kind.is_custom() { words } else { words.replacen("ObjectMeta.", "ObjectMeta.metadata.", 1) }
        })?;
        prune(metadata, metadata_schema(), &[], &Path::Member(&Path::Root, "metadata"), &mut unknown);
    }
    let schema = kind.schema();
    match kind.strategy {
        Strategy::Custom => {
            prune(object, schema, &["apiVersion", "kind", "metadata"], &Path::Root, &mut unknown);
            defaults::apply(object, schema);
        }
        Strategy::Definition => {}
        _ => {
            typed::decode(object, schema, &kind.kind, "")?;
            prune(object, schema, &["apiVersion", "kind", "metadata"], &Path::Root, &mut unknown);
            if let Some(words) =
                (kind.strategy == Strategy::Secret).then(|| config::undecodable(object)).flatten()
            {
                return Err(words);
            }
        }
    }
    if kind.strategy == Strategy::NewEvent {
        *object = event::to_core(object);
    }
    Ok(unknown)
}
