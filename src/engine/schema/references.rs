//! References: where a `$ref` leads.
//!
//! Responsible for: finding the schema that is meant, inside the same schema only. Must never: fetch anything.

use serde_json::Value;

use crate::engine::path::is_name;

/// Where a reference leads.
pub(super) enum Resolved<'a> {
    /// To a schema of the same document.
    Here(&'a Value),
    /// Nowhere; the message says why.
    Not(String),
}

/// Resolves a reference: `#`, or `#/` and a JSON pointer.
pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Resolved<'a> {
    let Some(pointer) = reference.strip_prefix('#') else {
        let shown = super::shown(&Value::from(reference));
        return Resolved::Not(format!(
            "RemoteRefForbidden: {shown} leads out of the schema, nothing is fetched; use #/definitions/…"
        ));
    };
    let decoded = percent_encoding::percent_decode_str(pointer).decode_utf8_lossy();
    match root.pointer(&decoded) {
        Some(target) if decoded.is_empty() || decoded.starts_with('/') => Resolved::Here(target),
        _ => Resolved::Not(format!(
            "there is nothing at {}; references are JSON pointers from the root of the schema",
            super::shown(&Value::from(reference))
        )),
    }
}

/// A reference as a path of members: `#/definitions/a` becomes `.definitions.a`.
pub(super) fn place(reference: &str) -> String {
    let names = reference.trim_start_matches('#').split('/').filter(|name| !name.is_empty());
    names.fold(String::new(), |path, name| keyword(&path, &name.replace("~1", "/").replace("~0", "~")))
}

/// A path with a member of a schema appended; keywords may begin with a dollar.
pub(super) fn keyword(path: &str, name: &str) -> String {
    match name.strip_prefix('$') {
        Some(rest) if is_name(rest) => format!("{path}.{name}"),
        _ => super::member(path, name),
    }
}
