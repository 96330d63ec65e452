//! Rights: what a request needs, and what `config/rbac` grants.
//!
//! Responsible for: both in one form, `group/resource verb`. Must never: grant anything.

use std::collections::BTreeSet;
use std::path::Path;

use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use serde::de::DeserializeOwned;

use super::recording::{Recorded, Recording};

/// What a request needs: one right, and a second one where admission asks for it.
pub fn needed(request: &Recorded) -> Vec<String> {
    let mut segments = request.path.trim_matches('/').split('/');
    let group = match segments.next() {
        Some("api") => "",
        Some("apis") => segments.next().unwrap_or_default(),
        _ => return vec![format!("{} {}", request.path, request.method)],
    };
    let mut rest: Vec<&str> = segments.skip(1).collect();
    if rest.len() > 2 && rest[0] == "namespaces" {
        rest.drain(..2);
    }
    let watches = request.query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"));
    let verb = match (request.method.as_str(), rest.get(1)) {
        ("GET", _) if watches => "watch",
        ("GET", Some(_)) => "get",
        ("GET", None) => "list",
        ("POST", _) => "create",
        ("PATCH", _) => "patch",
        ("PUT", _) => "update",
        ("DELETE", Some(_)) => "delete",
        ("DELETE", None) => "deletecollection",
        (other, _) => other,
    };
    let subresource = rest.get(2).map(|name| format!("/{name}")).unwrap_or_default();
    let mut rights =
        vec![format!("{group}/{}{subresource} {verb}", rest.first().copied().unwrap_or_default())];
    // The admission plugin OwnerReferencesPermissionEnforcement, which many clusters have.
    if request.is_write() && request.body.contains(r#""blockOwnerDeletion":true"#) {
        rights.push("orchestrator.dev/orchestrations/finalizers update".to_owned());
    }
    rights
}

/// What all requests of a recording needed.
pub fn used(requests: &Recording) -> BTreeSet<String> {
    requests.all().iter().flat_map(needed).collect()
}

/// What the operator's roles grant. Where each of them counts, the server knows.
pub fn granted() -> BTreeSet<String> {
    let everywhere = read::<ClusterRole>("cluster_role.yaml").rules;
    let in_own_namespace = read::<Role>("role.yaml").rules;
    let mut rights = BTreeSet::new();
    for rule in everywhere.into_iter().chain(in_own_namespace).flatten() {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                rights.extend(rule.verbs.iter().map(|verb| format!("{group}/{resource} {verb}")));
            }
        }
    }
    rights
}

fn read<T: DeserializeOwned>(file: &str) -> T {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rbac").join(file);
    serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Fails if a request needed what `config/rbac` does not grant, or touched a secret.
pub fn check(requests: &Recording) {
    let granted = granted();
    let beyond: Vec<String> = used(requests).into_iter().filter(|right| !granted.contains(right)).collect();
    assert!(beyond.is_empty(), "the operator did what config/rbac does not grant: {beyond:?}");
    let secrets = requests.that(|one| one.path.contains("/secrets"));
    assert!(secrets.is_empty(), "{secrets:?}");
}
