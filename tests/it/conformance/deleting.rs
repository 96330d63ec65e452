//! Deletion, finalizers, garbage collection and the end of namespaces.

use serde_json::{Value, json};

use super::custom::widget;
use super::dsl::{Case, Difference, case};

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

fn held(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "finalizers": ["example.com/hold"]}})
}

fn owned(name: &str, blocks: bool) -> Value {
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "{owner.uid}", "controller": true, "blockOwnerDeletion": blocks});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": [owner]}})
}

fn family(name: &'static str) -> Case {
    case(name)
        .post("configmaps", map("owner"), 201)
        .save("owner")
        .post("configmaps", owned("child", true), 201)
        .save("child")
}

fn release(case: Case, name: &str) -> Case {
    case.merge(&format!("configmaps/{name}"), json!({"metadata": {"finalizers": null}}), 200)
}

pub fn cases() -> Vec<Case> {
    vec![
        case("a delete").post("configmaps", map("a"), 201).delete("configmaps/a", 200).has("/status", "Success").get("configmaps/a", 404),
        case("a delete of what is not there").delete("configmaps/a", 404).reason("NotFound"),
        case("a custom delete")
            .post("widgets", widget("a", json!({"size": 1})), 201)
            .delete("widgets/a", 200)
            .has("/details/kind", "widgets")
            .delete("widgets/a", 404)
            .reason("NotFound"),
        case("a delete with options")
            .post("configmaps", map("a"), 201)
            .save("a")
            .delete_with("configmaps/a", json!({"propagationPolicy": "Background", "gracePeriodSeconds": 0, "preconditions": {"uid": "{a.uid}", "resourceVersion": "{a.rv}"}}), 200)
            .get("configmaps/a", 404),
        case("a delete of another uid")
            .post("configmaps", map("a"), 201)
            .delete_with("configmaps/a", json!({"preconditions": {"uid": "xx"}}), 409)
            .reason("Conflict"),
        case("a delete of another version")
            .post("configmaps", map("a"), 201)
            .delete_with("configmaps/a", json!({"preconditions": {"resourceVersion": "1"}}), 409)
            .reason("Conflict"),
        case("a propagation that is none")
            .post("configmaps", map("a"), 201)
            .delete_with("configmaps/a", json!({"propagationPolicy": "Foo"}), 422)
            .reason("Invalid"),
        case("options that are garbage")
            .post("configmaps", map("a"), 201)
            .raw("DELETE", "configmaps/a", "application/json", "{garb", 400)
            .reason("BadRequest"),
        case("options that are another kind")
            .post("configmaps", map("a"), 201)
            .delete_with("configmaps/a", json!({"apiVersion": "v1", "kind": "ConfigMap"}), 400)
            .reason("BadRequest")
            .differs(Difference::GoScheme),
        case("a delete that is only tried")
            .post("configmaps", map("a"), 201)
            .delete("configmaps/a?dryRun=All", 200)
            .get("configmaps/a", 200),
        release(
            case("a finalizer holds an object")
                .post("configmaps", held("a"), 201)
                .delete("configmaps/a", 200)
                .has("/metadata/deletionTimestamp", "<deletionTimestamp>")
                .has("/metadata/deletionGracePeriodSeconds", 0)
                .delete("configmaps/a", 200)
                .get("configmaps/a", 200),
            "a",
        )
        .get("configmaps/a", 404),
        case("a custom object that is going counts a generation")
            .post("widgets", json!({"apiVersion": super::custom::version(), "kind": "Widget", "metadata": {"name": "a", "finalizers": ["example.com/hold"]}, "spec": {"size": 1}}), 201)
            .delete("widgets/a", 200)
            .has("/metadata/generation", 2)
            .merge("widgets/a", json!({"spec": {"size": 2}}), 200)
            .has("/metadata/generation", 3)
            .merge("widgets/a", json!({"metadata": {"finalizers": []}}), 200)
            .get("widgets/a", 404),
        case("nothing new holds an object that is going")
            .post("configmaps", held("a"), 201)
            .delete("configmaps/a", 200)
            .merge("configmaps/a", json!({"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}), 422)
            .reason("Invalid"),
        release(
            case("a name is taken until its object is gone")
                .post("configmaps", held("a"), 201)
                .delete("configmaps/a", 200)
                .post("configmaps", map("a"), 409)
                .reason("AlreadyExists"),
            "a",
        )
        .post("configmaps", map("a"), 201),
        family("children go in the background").delete_with("configmaps/owner", json!({"propagationPolicy": "Background"}), 200).until("configmaps/child", 404),
        family("children go when nothing is said").delete("configmaps/owner", 200).until("configmaps/child", 404),
        family("children go first in the foreground")
            .merge("configmaps/child", json!({"metadata": {"finalizers": ["example.com/hold"]}}), 200)
            .delete_with("configmaps/owner", json!({"propagationPolicy": "Foreground"}), 200)
            .has("/metadata/finalizers/0", "foregroundDeletion")
            .until("configmaps/child", 200)
            .has("/metadata/deletionGracePeriodSeconds", 0)
            .get("configmaps/owner", 200)
            .merge("configmaps/child", json!({"metadata": {"finalizers": null}}), 200)
            .until("configmaps/child", 404)
            .until("configmaps/owner", 404),
        family("children stay as orphans")
            .delete_with("configmaps/owner", json!({"propagationPolicy": "Orphan"}), 200)
            .has("/metadata/finalizers/0", "orphan")
            .until("configmaps/owner", 404)
            .get("configmaps/child", 200)
            .has("/metadata/ownerReferences", Value::Null),
        family("grandchildren go too")
            .post("configmaps", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "grandchild", "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "child", "uid": "{child.uid}"}]}}), 201)
            .delete("configmaps/owner", 200)
            .until("configmaps/grandchild", 404),
        case("a child of nobody goes")
            .post("configmaps", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "never", "uid": "11111111-1111-4111-8111-111111111111"}]}}), 201)
            .until("configmaps/a", 404),
        case("a child of a namesake goes")
            .post("configmaps", map("owner"), 201)
            .post("configmaps", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "11111111-1111-4111-8111-111111111111"}]}}), 201)
            .until("configmaps/a", 404),
        family("a child of two stays with one")
            .post("configmaps", map("other"), 201)
            .save("other")
            .merge("configmaps/child", json!({"metadata": {"ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "{owner.uid}"},
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "{other.uid}"}]}}), 200)
            .delete("configmaps/owner", 200)
            .until("configmaps/child", 200)
            .has("/metadata/ownerReferences/1", Value::Null)
            .delete("configmaps/other", 200)
            .until("configmaps/child", 404),
        case("a collection by label")
            .post("widgets", json!({"apiVersion": super::custom::version(), "kind": "Widget", "metadata": {"name": "a", "labels": {"x": "1"}}, "spec": {"size": 1}}), 201)
            .post("widgets", widget("b", json!({"size": 1})), 201)
            .delete("widgets?labelSelector=x", 200)
            .has("/items/0/metadata/name", "a")
            .get("widgets", 200)
            .has("/items/0/metadata/name", "b"),
        case("a whole collection")
            .post("widgets", widget("a", json!({"size": 1})), 201)
            .post("widgets", widget("b", json!({"size": 1})), 201)
            .delete_with("widgets", json!({"propagationPolicy": "Background"}), 200)
            .get("widgets", 200)
            .has("/items", json!([])),
        case("a namespace that is going takes nothing new")
            .post("configmaps", held("a"), 201)
            .delete("/api/v1/namespaces/{ns}", 200)
            .has("/status/phase", "Terminating")
            .post("configmaps", map("b"), 403)
            .reason("Forbidden")
            .has("/details/causes/0/reason", "NamespaceTerminating"),
        // How a namespace goes with its contents is the server's own test: the real namespace controller takes minutes
        // while other tests delete theirs.
        case("a namespace that may not go").delete("/api/v1/namespaces/default", 403).reason("Forbidden"),
        case("a Job without a word about its pods leaves them")
            .post("jobs", super::built_in::job("a"), 201)
            .delete("jobs/a", 200)
            .has("/metadata/finalizers/0", "orphan")
            .until("jobs/a", 404),
        case("a Job in the background").post("jobs", super::built_in::job("a"), 201).delete("jobs/a?propagationPolicy=Background", 200).has("/status", "Success").until("jobs/a", 404),
    ]
}
