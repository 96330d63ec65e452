//! Routes: which kind and object a path is about.
//!
//! Responsible for: the paths of the API. Must never: look at anything but a path.

use std::sync::Arc;

use crate::embedded::kinds::{Kind, Kinds};
use crate::embedded::refusal::Refusal;

/// What a request is about.
#[derive(Clone, Debug)]
pub struct Target {
    /// The kind.
    pub kind: Arc<Kind>,
    /// The namespace; none for all, and for kinds that are in none.
    pub namespace: Option<String>,
    /// The object; none for all.
    pub name: Option<String>,
    /// What of the object; none for the whole.
    pub subresource: Option<String>,
}

impl Target {
    /// Whether it is the status of an object.
    #[must_use]
    pub fn is_status(&self) -> bool {
        self.subresource.as_deref() == Some("status")
    }

    /// The namespace, empty for none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// The name, empty for none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

/// Where a path leads.
#[derive(Clone, Debug)]
pub enum Route {
    /// Whether the server is well.
    Health,
    /// Which version it is of.
    Version,
    /// Objects.
    Object(Target),
}

/// Finds the way.
pub fn find(kinds: &Kinds, path: &str) -> Result<Route, Refusal> {
    let decoded: Vec<String> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned())
        .collect();
    let segments: Vec<&str> = decoded.iter().map(String::as_str).collect();
    let unknown = || Refusal::no_such_path(&format!("path {path}"));
    let (group, version, rest) = match segments.as_slice() {
        ["healthz" | "livez" | "readyz"] => return Ok(Route::Health),
        ["version"] => return Ok(Route::Version),
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return Err(unknown()),
    };
    let (namespace, plural, rest) = match rest {
        ["namespaces", namespace, plural, rest @ ..] if !matches!(*plural, "status" | "finalize") => {
            (Some(*namespace), *plural, rest)
        }
        [plural, rest @ ..] => (None, *plural, rest),
        [] => return Err(unknown()),
    };
    let kind = kinds.at(group, version, plural).ok_or_else(unknown)?;
    let (name, subresource) = match rest {
        [] => (None, None),
        [name] => (Some(*name), None),
        [name, subresource] => (Some(*name), Some(*subresource)),
        _ => return Err(unknown()),
    };
    let is_misplaced =
        if kind.namespaced { namespace.is_none() && name.is_some() } else { namespace.is_some() };
    if is_misplaced {
        return Err(unknown());
    }
    match subresource {
        None => {}
        Some("status") if kind.has_status => {}
        Some(_) if kind.is_custom() => return Err(Refusal::not_found(kind, name.unwrap_or_default())),
        Some(other) => return Err(Refusal::no_such_path(&format!("{plural}/{other}"))),
    }
    Ok(Route::Object(Target {
        kind: Arc::clone(kind),
        namespace: namespace.map(str::to_owned),
        name: name.map(str::to_owned),
        subresource: subresource.map(str::to_owned),
    }))
}
