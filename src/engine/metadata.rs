//! Labels and annotations that go on from a user's object to what is made for it.
//!
//! Responsible for: that nothing goes on but what the operator was told to let through, and never what the tools of
//! deployment write on their own objects. Must never: judge values; the API server has taken them.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::api::common::Object;
use crate::api::labels;

/// Longest prefix, and longest name, of the key of a label or annotation.
const MAX_PREFIX: usize = 253;
const MAX_NAME: usize = 63;

/// Prefixes of what Argo CD, Helm, Flux and Kustomize write on the objects that they manage. What carried it too would be
/// taken for one of theirs, and pruned.
pub const TOOL_PREFIXES: &[&str] = &[
    "argocd.argoproj.io/",
    "link.argocd.argoproj.io/",
    "argocd-image-updater.argoproj.io/",
    "notifications.argoproj.io/",
    "notified.notifications.argoproj.io/",
    "helm.sh/",
    "meta.helm.sh/",
    "kubectl.kubernetes.io/",
    "reconcile.fluxcd.io/",
    "event.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "image.toolkit.fluxcd.io/",
    "kustomize.toolkit.fluxcd.io/",
    "notification.toolkit.fluxcd.io/",
    "source.toolkit.fluxcd.io/",
    "config.kubernetes.io/",
    "alpha.config.kubernetes.io/",
    "internal.config.kubernetes.io/",
];

/// Another key of that kind: the label by which Argo CD may track.
pub const TOOL_KEYS: &[&str] = &["app.kubernetes.io/instance"];

/// What we, or the Job controller, put on a Job and its pod.
const TAKEN: &[&str] = &[
    labels::PREFIX,
    labels::APP_NAME.0,
    labels::MANAGED_BY.0,
    labels::PART_OF.0,
    "batch.kubernetes.io/",
    "controller-uid",
    "job-name",
];

/// Whether a key is a deployment tool's own.
#[must_use]
pub fn is_of_a_tool(key: &str) -> bool {
    TOOL_KEYS.contains(&key) || TOOL_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

/// A user's labels or annotations without those of deployment tools.
pub fn without_tools(all: &BTreeMap<String, String>) -> impl Iterator<Item = (&String, &String)> {
    all.iter().filter(|(key, _)| !is_of_a_tool(key))
}

/// A key that goes on, or all keys with one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Reads a key, such as `example.com/team`, or a prefix, such as `example.com/*`.
    ///
    /// # Errors
    /// A sentence for people: what it has to be, or whose it is.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let prefix = text.strip_suffix('*');
        let is_one = match prefix {
            Some(prefix) => is_qualified(&format!("{prefix}x")) && prefix.ends_with('/'),
            None => is_qualified(text),
        };
        if !is_one {
            return Err("must be a key, such as example.com/team, or all of a prefix, such as example.com/*"
                .to_owned());
        }
        let pattern = Self(text.to_owned());
        let tools = TOOL_PREFIXES.iter().chain(TOOL_KEYS).find(|key| pattern.meets(key));
        if let Some(key) = tools {
            return Err(format!(
                "{key} is of a tool of deployment, which would take what carries it for its own and prune it"
            ));
        }
        match TAKEN.iter().find(|key| pattern.meets(key)) {
            Some(key) => Err(format!("{key} is set by the orchestrator, or by Kubernetes")),
            None => Ok(pattern),
        }
    }

    fn holds(&self, key: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => key.starts_with(prefix),
            None => key == self.0,
        }
    }

    /// Whether the pattern lets through a key, or any key of a prefix.
    fn meets(&self, key: &str) -> bool {
        self.holds(key) || (key.ends_with('/') && self.0.starts_with(key))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What goes on from an Orchestration to its Jobs and their pods. Default: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The labels.
    pub labels: Vec<Pattern>,
    /// The annotations.
    pub annotations: Vec<Pattern>,
}

/// Labels and annotations that go on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Propagated {
    /// The labels.
    pub labels: Object,
    /// The annotations.
    pub annotations: Object,
}

impl Allowed {
    /// What goes on of the metadata of an object.
    #[must_use]
    pub fn of(&self, metadata: &ObjectMeta) -> Propagated {
        Propagated {
            labels: selected(&self.labels, metadata.labels.as_ref()),
            annotations: selected(&self.annotations, metadata.annotations.as_ref()),
        }
    }
}

fn selected(patterns: &[Pattern], all: Option<&BTreeMap<String, String>>) -> Object {
    let goes_on = |key: &str| patterns.iter().any(|pattern| pattern.holds(key));
    let all = all.into_iter().flatten().filter(|(key, _)| goes_on(key));
    all.map(|(key, value)| (key.clone(), Value::String(value.clone()))).collect()
}

/// Whether a text can be the key of a label or of an annotation.
pub(super) fn is_qualified(key: &str) -> bool {
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_word = |text: &str, extra: &[u8], upper: bool| {
        let is_end = |byte: &u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || (upper && byte.is_ascii_uppercase())
        };
        let bytes = text.as_bytes();
        bytes.first().is_some_and(is_end)
            && bytes.last().is_some_and(is_end)
            && bytes.iter().all(|byte| is_end(byte) || extra.contains(byte))
    };
    let is_subdomain = |prefix: &str| {
        prefix.len() <= MAX_PREFIX
            && prefix.split('.').all(|part| part.len() <= MAX_NAME && is_word(part, b"-", false))
    };
    name.len() <= MAX_NAME && is_word(name, b"-_.", true) && prefix.is_none_or(is_subdomain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pattern_is_a_key_or_a_prefix_and_nobody_elses() {
        for text in ["team", "example.com/team", "example.com/*", " a.b/C_d "] {
            assert_eq!(Pattern::parse(text).unwrap().to_string(), text.trim());
        }
        for text in ["", "*", "te*", "example.com/te*", "*/team", "example.com/", "a b", "a/b/*", "ä", "-/x"]
        {
            assert!(Pattern::parse(text).unwrap_err().starts_with("must be a key"), "{text}");
        }
        let of_a_tool = [
            ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/ is"),
            ("argocd.argoproj.io/*", "argocd.argoproj.io/ is"),
            ("app.kubernetes.io/instance", "app.kubernetes.io/instance is"),
            ("app.kubernetes.io/*", "app.kubernetes.io/instance is"),
            ("kubectl.kubernetes.io/*", "kubectl.kubernetes.io/ is"),
            ("kubectl.kubernetes.io/last-applied-configuration", "kubectl.kubernetes.io/ is"),
            ("link.argocd.argoproj.io/external-link", "link.argocd.argoproj.io/ is"),
            ("reconcile.fluxcd.io/requestedAt", "reconcile.fluxcd.io/ is"),
            ("meta.helm.sh/release-name", "meta.helm.sh/ is"),
            ("helm.sh/*", "helm.sh/ is"),
            ("kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/ is"),
        ];
        for (text, why) in of_a_tool {
            assert!(Pattern::parse(text).unwrap_err().starts_with(why), "{text}");
        }
        for text in ["orchestrator.dev/x", "orchestrator.dev/*", "app.kubernetes.io/part-of", "job-name"] {
            assert!(Pattern::parse(text).unwrap_err().ends_with("or by Kubernetes"), "{text}");
        }
    }

    #[test]
    fn only_what_is_allowed_goes_on() {
        let all = json!({
            "team": "dns", "example.com/cost": "7", "example.community/x": "y", "example.com": "z",
            "app.kubernetes.io/instance": "app", "argocd.argoproj.io/tracking-id": "app:x",
        });
        let metadata: ObjectMeta =
            serde_json::from_value(json!({"labels": all, "annotations": all})).unwrap();
        assert_eq!(Allowed::default().of(&metadata), Propagated::default());
        let pattern = |text: &str| Pattern::parse(text).unwrap();
        let allowed = Allowed { labels: vec![pattern("team")], annotations: vec![pattern("example.com/*")] };
        let propagated = allowed.of(&metadata);
        assert_eq!(Value::Object(propagated.labels), json!({"team": "dns"}));
        assert_eq!(Value::Object(propagated.annotations), json!({"example.com/cost": "7"}));
        assert_eq!(allowed.of(&ObjectMeta::default()), Propagated::default());
    }

    #[test]
    fn what_tools_write_is_left_out() {
        let all: BTreeMap<String, String> = TOOL_PREFIXES
            .iter()
            .map(|prefix| format!("{prefix}name"))
            .chain(TOOL_KEYS.iter().map(|key| (*key).to_owned()))
            .chain(["app.kubernetes.io/name", "argocd.argoproj.io", "helm.shy/x", "x"].map(str::to_owned))
            .map(|key| (key, "v".to_owned()))
            .collect();
        let left: Vec<&str> = without_tools(&all).map(|(key, _)| key.as_str()).collect();
        assert_eq!(left, ["app.kubernetes.io/name", "argocd.argoproj.io", "helm.shy/x", "x"]);
    }
}
