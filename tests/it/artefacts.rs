//! Artefacts: what is generated equals the code, and what is written by hand fits it.
//!
//! Responsible for: CRDs, samples and RBAC as files. Must never: need a server; what only a server can say is asked
//! in the tests with the real one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod argocd;
mod crds;
mod image;
mod metrics;
mod monitoring;
mod rbac;
mod samples;
mod tenant;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A path below the root of the project.
fn path(below_root: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below_root)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The documents of a YAML file.
fn documents(path: &Path) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads a document as `T`, which must keep every field of it.
fn typed<T: DeserializeOwned + Serialize>(document: &Value) -> T {
    let object: T =
        serde_json::from_value(document.clone()).unwrap_or_else(|error| panic!("{error}: {document}"));
    let lost = lost(document, &serde_json::to_value(&object).unwrap(), "");
    assert!(lost.is_empty(), "unknown or changed: {lost:?}");
    object
}

/// Paths of what `written` has and `kept` has not, or has otherwise. Additions, such as defaults, are no loss.
fn lost(written: &Value, kept: &Value, at: &str) -> Vec<String> {
    match (written, kept) {
        (Value::Object(written), Value::Object(kept)) => written
            .iter()
            .flat_map(|(key, value)| {
                lost(value, kept.get(key).unwrap_or(&Value::Null), &format!("{at}.{key}"))
            })
            .collect(),
        (Value::Array(written), Value::Array(kept)) if written.len() == kept.len() => written
            .iter()
            .zip(kept)
            .enumerate()
            .flat_map(|(index, (written, kept))| lost(written, kept, &format!("{at}[{index}]")))
            .collect(),
        (Value::Number(written), Value::Number(kept)) if written.as_f64() == kept.as_f64() => Vec::new(),
        _ if written == kept => Vec::new(),
        _ => vec![at.to_owned()],
    }
}

#[test]
fn a_lost_field_is_seen() {
    let written = serde_json::json!({"a": {"b": [1, {"c": "x"}], "d": true}, "e": 2});
    assert_eq!(lost(&written, &written, ""), Vec::<String>::new());
    let kept = serde_json::json!({"a": {"b": [1.0, {}], "d": false}, "e": 2, "added": 1});
    assert_eq!(lost(&written, &kept, ""), [".a.b[1].c", ".a.d"]);
    assert_eq!(lost(&serde_json::json!({"l": [1, 2]}), &serde_json::json!({"l": [1]}), ""), [".l"]);
}
