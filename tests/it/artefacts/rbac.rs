//! `config/rbac`: the operator may do what it does, and nothing more.

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use serde_json::Value;

use super::{documents, names, path, typed};

/// Every right, as `group/resource verb`. Whoever adds one says here what for, and a reviewer sees it.
const RIGHTS: &[&str] = &[
    // Explanations of what has no pod.
    "/events list",
    // Why an attempt ended.
    "/pods list",
    "/pods watch",
    // The pinned definitions; those that nothing refers to any more are found and deleted.
    "apps/controllerrevisions create",
    "apps/controllerrevisions delete",
    "apps/controllerrevisions get",
    "apps/controllerrevisions list",
    // The attempts; patch suspends one. Those of a finished Orchestration are deleted together.
    "batch/jobs create",
    "batch/jobs deletecollection",
    "batch/jobs get",
    "batch/jobs list",
    "batch/jobs patch",
    "batch/jobs watch",
    // What people read in `kubectl describe`.
    "events.k8s.io/events create",
    "events.k8s.io/events patch",
    // Our own kinds: read the spec, write the status.
    "orchestrator.dev/activitydefinitions list",
    "orchestrator.dev/activitydefinitions watch",
    "orchestrator.dev/activitydefinitions/status patch",
    "orchestrator.dev/orchestrationdefinitions get",
    "orchestrator.dev/orchestrationdefinitions list",
    "orchestrator.dev/orchestrationdefinitions watch",
    "orchestrator.dev/orchestrationdefinitions/status patch",
    // The runs of schedules.
    "orchestrator.dev/orchestrations create",
    // Only what has a time to live, and what is more than a schedule's history limits.
    "orchestrator.dev/orchestrations delete",
    "orchestrator.dev/orchestrations get",
    "orchestrator.dev/orchestrations list",
    // A run that another one replaces is asked to terminate.
    "orchestrator.dev/orchestrations patch",
    "orchestrator.dev/orchestrations watch",
    // An owner reference that blocks the deletion of its owner needs it.
    "orchestrator.dev/orchestrations/finalizers update",
    "orchestrator.dev/orchestrations/status patch",
    "orchestrator.dev/orchestrationschedules get",
    "orchestrator.dev/orchestrationschedules list",
    "orchestrator.dev/orchestrationschedules watch",
    "orchestrator.dev/orchestrationschedules/status patch",
];

/// The same in the operator's own namespace alone.
const OWN_RIGHTS: &[&str] = &[
    // The election among its replicas.
    "coordination.k8s.io/leases create",
    "coordination.k8s.io/leases get",
    "coordination.k8s.io/leases update",
];

fn only<T: serde::de::DeserializeOwned + serde::Serialize>(file: &str) -> T {
    let documents = documents(&path("config/rbac").join(file));
    assert_eq!(documents.len(), 1, "{file}");
    typed(&documents[0])
}

fn rights(rules: Option<Vec<PolicyRule>>) -> Vec<String> {
    let mut rights = Vec::new();
    for rule in rules.iter().flatten() {
        assert!(rule.non_resource_urls.is_none() && rule.resource_names.is_none(), "{rule:?}");
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                rights.extend(rule.verbs.iter().map(|verb| format!("{group}/{resource} {verb}")));
            }
        }
    }
    rights.sort();
    rights
}

#[test]
fn the_operator_has_these_rights_and_no_others() {
    let role: ClusterRole = only("cluster_role.yaml");
    assert!(role.aggregation_rule.is_none());
    assert_eq!(rights(role.rules), RIGHTS);
    let own: Role = only("role.yaml");
    assert_eq!(own.metadata.namespace.as_deref(), Some("orchestrator-system"));
    assert_eq!(rights(own.rules), OWN_RIGHTS);
}

#[test]
fn no_right_is_a_wildcard_or_reaches_secrets() {
    let own = rights(only::<Role>("role.yaml").rules);
    for right in rights(only::<ClusterRole>("cluster_role.yaml").rules).into_iter().chain(own) {
        assert!(!right.contains('*'), "{right}");
        for resource in ["/secrets", "/pods/exec", "/pods/ephemeralcontainers", "/serviceaccounts", "/nodes"]
        {
            assert!(!right.contains(resource), "{right}");
        }
        for verb in [" escalate", " bind", " impersonate"] {
            assert!(!right.ends_with(verb), "{right}");
        }
        assert!(!right.ends_with(" deletecollection") || right.starts_with("batch/jobs "), "{right}");
    }
}

#[test]
fn the_roles_are_bound_to_the_operator_alone() {
    let role: ClusterRole = only("cluster_role.yaml");
    let binding: ClusterRoleBinding = only("cluster_role_binding.yaml");
    binds("ClusterRole", role.metadata.name, &binding.role_ref, &binding.subjects.unwrap());
    let role: Role = only("role.yaml");
    let binding: RoleBinding = only("role_binding.yaml");
    assert_eq!(binding.metadata.namespace, role.metadata.namespace);
    binds("Role", role.metadata.name, &binding.role_ref, &binding.subjects.unwrap());
}

fn binds(kind: &str, role: Option<String>, reference: &RoleRef, subjects: &[Subject]) {
    let account: ServiceAccount = only("service_account.yaml");
    let namespace: Namespace = only("namespace.yaml");
    assert_eq!(namespace.metadata.name.as_deref(), Some("orchestrator-system"));
    assert_eq!(account.metadata.namespace, namespace.metadata.name);
    assert_eq!(
        reference.api_group.as_deref().unwrap_or("rbac.authorization.k8s.io"),
        "rbac.authorization.k8s.io"
    );
    assert_eq!(reference.kind, kind);
    assert_eq!(Some(&reference.name), role.as_ref());
    assert_eq!(subjects.len(), 1);
    assert_eq!(subjects[0].kind, "ServiceAccount");
    assert_eq!(Some(&subjects[0].name), account.metadata.name.as_ref());
    assert_eq!(subjects[0].namespace, account.metadata.namespace);
}

#[test]
fn the_kustomization_lists_every_file() {
    let kustomization = documents(&path("config/rbac/kustomization.yaml")).remove(0);
    let mut listed: Vec<&str> =
        kustomization["resources"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    listed.push("kustomization.yaml");
    listed.sort_unstable();
    assert_eq!(listed, names(&path("config/rbac")));
}
