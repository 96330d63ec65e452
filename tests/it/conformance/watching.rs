//! Watches.

use serde_json::{Value, json};

use super::custom::widget;
use super::dsl::{Case, METADATA, case};

fn map(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}})
}

/// A ConfigMap that is made, changed and deleted, and one that stays.
fn history(name: &'static str) -> Case {
    case(name)
        .post("configmaps", map("start", json!({})), 201)
        .save("start")
        .post("configmaps", map("a", json!({"app": "x"})), 201)
        .save("a")
        .merge("configmaps/a", json!({"data": {"k": "1"}}), 200)
        .delete("configmaps/a", 200)
        .post("configmaps", map("b", json!({"app": "y"})), 201)
        .save("b")
}

pub fn cases() -> Vec<Case> {
    vec![
        history("a watch from a version").watch("configmaps?resourceVersion={start.rv}", &["ADDED a", "MODIFIED a k=1", "DELETED a k=1", "ADDED b"]),
        history("a watch from the newest version").watch("configmaps?resourceVersion={b.rv}", &[]),
        history("a watch from any version").get("configmaps", 200)
            .watch("configmaps?resourceVersion=0&labelSelector=app", &["ADDED b"]),
        history("a watch without a version").watch("configmaps?labelSelector=app", &["ADDED b"]),
        history("a watch of one object").watch("configmaps?resourceVersion={start.rv}&fieldSelector=metadata.name%3Da", &["ADDED a", "MODIFIED a", "DELETED a"]),
        history("a watch by label").watch("configmaps?resourceVersion={start.rv}&labelSelector=app%3Dy", &["ADDED b"]),
        history("a watch with initial events")
            .watch("configmaps?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", &["ADDED b", "ADDED start", "BOOKMARK"]),
        history("a watch with initial events not older than a version")
            .watch("configmaps?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion={b.rv}", &["ADDED b", "ADDED start", "BOOKMARK"]),
        history("a watch of metadata only").watch("configmaps?resourceVersion={start.rv}", &["ADDED a", "MODIFIED a", "DELETED a", "ADDED b"]).accept(METADATA),
        history("a watch of metadata only with initial events")
            .watch("configmaps?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&labelSelector=app", &["ADDED b", "BOOKMARK"])
            .accept(METADATA),
        case("an object that comes to be selected is added")
            .post("configmaps", map("a", json!({})), 201)
            .save("a")
            .merge("configmaps/a", json!({"metadata": {"labels": {"app": "x"}}}), 200)
            .merge("configmaps/a", json!({"data": {"k": "1"}}), 200)
            .merge("configmaps/a", json!({"metadata": {"labels": null}}), 200)
            .merge("configmaps/a", json!({"data": {"k": "2"}}), 200)
            .watch("configmaps?resourceVersion={a.rv}&labelSelector=app", &["ADDED a app=x", "MODIFIED a k=1", "DELETED a k=1 app=x"]),
        case("an object that is not selected any more and deleted is deleted once")
            .post("configmaps", map("a", json!({"app": "x"})), 201)
            .save("a")
            .merge("configmaps/a", json!({"metadata": {"labels": null}}), 200)
            .delete("configmaps/a", 200)
            .watch("configmaps?resourceVersion={a.rv}&labelSelector=app", &["DELETED a app=x"]),
        case("a custom object comes and goes by field")
            .post("widgets", widget("a", json!({"size": 1, "colour": "red"})), 201)
            .save("a")
            .merge("widgets/a", json!({"spec": {"colour": "blue"}}), 200)
            .watch("widgets?resourceVersion={a.rv}&fieldSelector=spec.colour%3Dred", &["DELETED a"])
            .watch("widgets?resourceVersion={a.rv}&fieldSelector=spec.colour%3Dblue", &["ADDED a"]),
        case("a status is watched like the rest")
            .post("widgets", widget("a", json!({"size": 1})), 201)
            .save("a")
            .merge("widgets/a/status", json!({"status": {"state": "On"}}), 200)
            .watch("widgets?resourceVersion={a.rv}", &["MODIFIED a"]),
        case("what changes nothing is not told")
            .post("widgets", widget("a", json!({"size": 1})), 201)
            .save("a")
            .merge("widgets/a", json!({"spec": {"size": 1}}), 200)
            .merge("widgets/a/status", json!({"spec": {"size": 9}}), 200)
            .watch("widgets?resourceVersion={a.rv}", &[]),
        case("an object that is going is changed, then deleted")
            .post("configmaps", json!({"metadata": {"name": "a", "finalizers": ["example.com/hold"]}}), 201)
            .save("a")
            .delete("configmaps/a", 200)
            .merge("configmaps/a", json!({"metadata": {"finalizers": null}}), 200)
            .watch("configmaps?resourceVersion={a.rv}", &["MODIFIED a", "DELETED a"]),
        case("a watch of a namespace sees only that")
            .post("widgets", widget("a", json!({"size": 1})), 201)
            .save("a")
            .get("widgets", 200)
            .watch("/apis/{widgets}/v1/widgets?resourceVersion=0&fieldSelector=metadata.namespace%3D{ns}".replace("{widgets}", &super::custom::group()).as_str(), &["ADDED a"]),
        case("initial events without a match").get("configmaps?watch=true&sendInitialEvents=true", 422).reason("Invalid"),
        case("a match without initial events").get("configmaps?watch=true&resourceVersionMatch=NotOlderThan&resourceVersion=1", 422).reason("Invalid"),
        case("a watch from a version that is none").get("configmaps?watch=true&resourceVersion=abc", 500),
        case("a watch by a selector that is none").get("configmaps?watch=true&labelSelector=a%3D%3D%3Db", 400).reason("BadRequest"),
        case("a watch with a limit that is no number").get("configmaps?watch=true&timeoutSeconds=x", 400).reason("BadRequest"),
    ]
}
