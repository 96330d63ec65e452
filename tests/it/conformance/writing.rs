//! Create, update and patch.

use serde_json::{Value, json};

use super::custom::widget;
use super::dsl::{Case, Difference, case};

fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// A ConfigMap to change.
fn one(name: &'static str) -> Case {
    case(name).post("configmaps", map("a", json!({"k": "1"})), 201).save("a")
}

pub fn cases() -> Vec<Case> {
    let mut cases = creates();
    cases.extend(updates());
    cases.extend(patches());
    cases
}

fn creates() -> Vec<Case> {
    let meta = |metadata: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
    vec![
        case("a create").post("configmaps", map("a", json!({"k": "v"})), 201).has("/metadata/namespace", "<namespace>"),
        case("a create with a managed-by parameter and a null")
            .post("configmaps?fieldManager=me", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "creationTimestamp": null}, "data": null}), 201),
        case("a create without kind").post("configmaps", json!({"metadata": {"name": "a"}}), 201).has("/kind", "ConfigMap"),
        case("a create of a custom object without kind").post("orchestrations", json!({"metadata": {"name": "a"}}), 400).reason("BadRequest"),
        case("a create of a custom object without version")
            .post("orchestrations", json!({"kind": "Orchestration", "metadata": {"name": "a"}}), 400)
            .reason("BadRequest"),
        case("a create of another version of a custom kind")
            .post("orchestrations", json!({"apiVersion": "orchestrator.dev/v1", "kind": "Orchestration", "metadata": {"name": "a"}}), 400)
            .reason("BadRequest"),
        case("a create of another custom kind")
            .post("orchestrations", json!({"apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orch", "metadata": {"name": "a"}, "spec": {"type": "t"}}), 422)
            .reason("Invalid"),
        case("a create of another kind")
            .post("configmaps", json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}), 400)
            .reason("BadRequest")
            .differs(Difference::Conversion),
        one("a name that is taken").post("configmaps", map("a", json!({})), 409).reason("AlreadyExists"),
        case("a custom name that is taken")
            .post("widgets", widget("a", json!({"size": 1})), 201)
            .post("widgets", widget("a", json!({"size": 1})), 409)
            .reason("AlreadyExists"),
        case("a create without a name").post("configmaps", meta(json!({})), 422).reason("Invalid"),
        case("a generated name")
            .post("configmaps", meta(json!({"generateName": "gen-"})), 201)
            .save("made")
            .get("configmaps/{made.name}", 200)
            .has("/metadata/generateName", "gen-"),
        case("a generated name that cannot be one").post("configmaps", meta(json!({"generateName": "Gen_"})), 422).reason("Invalid"),
        case("a name that cannot be one").post("configmaps", map("A_b", json!({})), 422).reason("Invalid"),
        case("a name that is too long").post("configmaps", map(&"a".repeat(254), json!({})), 422).reason("Invalid"),
        case("a custom name that cannot be one").post("widgets", widget("A_b", json!({"size": 1})), 422).reason("Invalid"),
        case("a namespace name that cannot be one")
            .post("/api/v1/namespaces", json!({"metadata": {"name": "a.b"}}), 422)
            .reason("Invalid"),
        case("labels that cannot be any").post("configmaps", meta(json!({"name": "a", "labels": {"a": "b c", "-": "x"}})), 422).reason("Invalid"),
        case("a label key with two slashes").post("configmaps", meta(json!({"name": "a", "labels": {"a/b/c": "x"}})), 422).reason("Invalid"),
        case("an annotation key that cannot be one").post("configmaps", meta(json!({"name": "a", "annotations": {"a b": "x"}})), 422).reason("Invalid"),
        case("annotations that are too large")
            .post("configmaps", meta(json!({"name": "a", "annotations": {"x": "y".repeat(262_145)}})), 422)
            .reason("Invalid"),
        case("a finalizer without a domain").post("configmaps", meta(json!({"name": "a", "finalizers": ["foo"]})), 422).reason("Invalid"),
        case("an owner without a uid")
            .post("configmaps", meta(json!({"name": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "b"}]})), 422)
            .reason("Invalid"),
        case("two controllers")
            .post("configmaps", meta(json!({"name": "a", "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "b", "uid": "x", "controller": true},
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "y", "controller": true}]})), 422)
            .reason("Invalid"),
        case("a create for another namespace").post("configmaps", meta(json!({"name": "a", "namespace": "other"})), 400).reason("BadRequest"),
        case("a create in a namespace that is not there")
            .post("/api/v1/namespaces/nonexistent/configmaps", map("a", json!({})), 404)
            .reason("NotFound"),
        case("a custom create in a namespace that is not there")
            .post("/apis/orchestrator.dev/v1alpha1/namespaces/nonexistent/orchestrations",
                json!({"apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "metadata": {"name": "a"}, "spec": {"type": "t"}}), 404)
            .reason("NotFound"),
        case("a create with a version").post("configmaps", meta(json!({"name": "a", "resourceVersion": "5"})), 500),
        case("a create that is only tried")
            .post("configmaps?dryRun=All", map("a", json!({})), 201)
            .get("configmaps/a", 404),
        case("a trial that is none").post("configmaps?dryRun=Some", map("a", json!({})), 422).reason("Invalid"),
        case("a validation that is none").post("configmaps?fieldValidation=Bad", map("a", json!({})), 422).reason("Invalid"),
        case("unknown fields are dropped")
            .post("configmaps", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "foo": 1}, "zz": 1}), 201)
            .has("/zz", Value::Null),
        case("unknown and duplicate fields are refused when asked for")
            .raw("POST", "configmaps?fieldValidation=Strict", "application/json", r#"{"metadata":{"name":"a","foo":1},"data":{"a":"1","a":"2"},"zz":1}"#, 400)
            .reason("BadRequest"),
        case("unknown and duplicate fields of a custom object are refused when asked for")
            .raw("POST", "orchestrations?fieldValidation=Strict", "application/json",
                r#"{"apiVersion":"orchestrator.dev/v1alpha1","kind":"Orchestration","metadata":{"name":"a","bar":1},"spec":{"type":"t","type":"t","foo":1,"input":{"a":{"b":1}}},"status":{"zz":1}}"#, 400)
            .reason("BadRequest"),
        case("a value of the wrong type").post("configmaps", map("a", json!({"k": 1})), 400).reason("BadRequest"),
        case("a name of the wrong type")
            .post("widgets", json!({"apiVersion": "{group}/v1", "kind": "Widget", "metadata": {"name": 5}}).to_string().replace("{group}", &super::custom::group()).parse::<Value>().unwrap(), 400)
            .reason("BadRequest"),
        case("labels of the wrong type").post("configmaps", meta(json!({"name": "a", "labels": {"a": 1}})), 400).reason("BadRequest"),
        case("garbage").raw("POST", "configmaps", "application/json", "{garbage", 400).reason("BadRequest"),
        case("a custom object that is garbage").raw("POST", "orchestrations", "application/json", "{garbage", 400).reason("BadRequest"),
        case("a list where an object should be")
            .raw("POST", "orchestrations", "application/json", "[]", 400)
            .reason("BadRequest")
            .differs(Difference::ParserWords),
        case("an empty body").raw("POST", "configmaps", "application/json", "", 400).differs(Difference::ParserWords),
        case("a body of an unknown type")
            .raw("POST", "configmaps", "text/plain", "hello", 415)
            .reason("UnsupportedMediaType")
            .differs(Difference::MediaType),
        case("a body that is too large")
            .raw("POST", "configmaps", "application/json", &" ".repeat(3 * 1024 * 1024 + 1), 413)
            .reason("RequestEntityTooLarge")
            .differs(Difference::MediaType),
    ]
}

fn updates() -> Vec<Case> {
    vec![
        one("an update").put("configmaps/a", map("a", json!({"k": "2"})), 200).has("/data/k", "2"),
        one("an update with its version")
            .put("configmaps/a", json!({"metadata": {"name": "a", "resourceVersion": "{a.rv}"}, "data": {"k": "3"}}), 200)
            .put("configmaps/a", json!({"metadata": {"name": "a", "resourceVersion": "{a.rv}"}, "data": {"k": "4"}}), 409)
            .reason("Conflict"),
        one("an update that changes nothing writes nothing")
            .put("configmaps/a", map("a", json!({"k": "1"})), 200)
            .save("b")
            .put("configmaps/a", json!({"metadata": {"name": "a", "resourceVersion": "{a.rv}"}, "data": {"k": "5"}}), 200),
        one("an update under another name").put("configmaps/a", map("b", json!({})), 400).reason("BadRequest"),
        one("an update without a name").put("configmaps/a", json!({"data": {}}), 400).reason("BadRequest"),
        one("an update of another namespace")
            .put("configmaps/a", json!({"metadata": {"name": "a", "namespace": "other"}}), 400)
            .reason("BadRequest"),
        one("an update with another uid")
            .put("configmaps/a", json!({"metadata": {"name": "a", "uid": "b"}}), 409)
            .reason("Conflict"),
        case("an update of what is not there").put("configmaps/a", map("a", json!({})), 404).reason("NotFound"),
        case("a custom update without a version")
            .post("widgets", widget("a", json!({"size": 1})), 201)
            .put("widgets/a", widget("a", json!({"size": 2})), 422)
            .reason("Invalid"),
        case("a custom update of what is not there").put("widgets/a", widget("a", json!({"size": 2})), 404).reason("NotFound"),
        one("an update cannot change what the server keeps")
            .put("configmaps/a", json!({"metadata": {"name": "a", "creationTimestamp": "2020-01-01T00:00:00Z"}, "data": {"k": "1"}}), 200)
            .merge("configmaps/a", json!({"metadata": {"resourceVersion": "{a.rv}"}, "data": {"k": "2"}}), 200),
        one("an update that is only tried")
            .put("configmaps/a?dryRun=All", map("a", json!({"k": "2"})), 200)
            .has("/data/k", "2")
            .get("configmaps/a", 200)
            .has("/data/k", "1"),
        one("an update takes away labels").merge("configmaps/a", json!({"metadata": {"labels": {"x": "y"}}}), 200)
            .put("configmaps/a", map("a", json!({"k": "1"})), 200)
            .has("/metadata/labels", Value::Null),
    ]
}

fn patches() -> Vec<Case> {
    vec![
        one("a merge patch").merge("configmaps/a", json!({"data": {"l": "2"}}), 200).has("/data/k", "1").has("/data/l", "2"),
        one("a merge patch with null removes").merge("configmaps/a", json!({"data": {"k": null}}), 200).has("/data", Value::Null),
        one("a merge patch with its version")
            .merge("configmaps/a", json!({"metadata": {"resourceVersion": "{a.rv}"}, "data": {"k": "2"}}), 200)
            .merge("configmaps/a", json!({"metadata": {"resourceVersion": "{a.rv}"}, "data": {"k": "3"}}), 409)
            .reason("Conflict")
            .has("/details/name", "a"),
        one("a merge patch that changes nothing writes nothing")
            .merge("configmaps/a", json!({"data": {"k": "1"}}), 200)
            .merge("configmaps/a", json!({"metadata": {"resourceVersion": "{a.rv}"}, "data": {"k": "3"}}), 200),
        one("a merge patch that is garbage").raw("PATCH", "configmaps/a", super::dsl::MERGE, "{garb", 400).reason("BadRequest"),
        one("a merge patch that is a list").merge("configmaps/a", json!([1]), 400).reason("BadRequest"),
        one("a merge patch of what is not there").merge("configmaps/b", json!({}), 404).reason("NotFound"),
        one("a merge patch of the name").merge("configmaps/a", json!({"metadata": {"name": "b"}}), 400).reason("BadRequest"),
        one("a merge patch of the namespace").merge("configmaps/a", json!({"metadata": {"namespace": "b"}}), 400).reason("BadRequest"),
        one("a merge patch of the uid").merge("configmaps/a", json!({"metadata": {"uid": "b"}}), 422).reason("Invalid"),
        one("a merge patch of the kind").merge("configmaps/a", json!({"kind": "Secret"}), 422).reason("Invalid").differs(Difference::Conversion),
        one("a merge patch of the wrong type").merge("configmaps/a", json!({"data": {"k": 1}}), 422).reason("Invalid"),
        one("a merge patch with unknown fields").merge("configmaps/a", json!({"zz": 1, "metadata": {"yy": 1}}), 200),
        one("a strict merge patch with unknown fields")
            .merge("configmaps/a?fieldValidation=Strict", json!({"zz": 1, "metadata": {"yy": 1}}), 422)
            .reason("Invalid"),
        one("a merge patch that is only tried")
            .merge("configmaps/a?dryRun=All", json!({"data": {"k": "9"}}), 200)
            .has("/data/k", "9")
            .get("configmaps/a", 200)
            .has("/data/k", "1"),
        one("a JSON patch")
            .json("configmaps/a", json!([{"op": "test", "path": "/data/k", "value": "1"}, {"op": "add", "path": "/data/l", "value": "2"}]), 200)
            .has("/data/l", "2"),
        one("a JSON patch whose test fails").json("configmaps/a", json!([{"op": "test", "path": "/data/k", "value": "9"}]), 422).reason("Invalid"),
        one("a JSON patch that removes what is not there").json("configmaps/a", json!([{"op": "remove", "path": "/data/zz"}]), 422).reason("Invalid"),
        one("a JSON patch with an unknown operation").json("configmaps/a", json!([{"op": "bogus", "path": "/data/zz"}]), 422).reason("Invalid"),
        one("a JSON patch that is no list").json("configmaps/a", json!({"op": "x"}), 400).reason("BadRequest"),
        one("a JSON patch adds a finalizer as kube does")
            .json("configmaps/a", json!([
                {"op": "test", "path": "/metadata/finalizers", "value": null},
                {"op": "add", "path": "/metadata/finalizers", "value": ["example.com/x"]}]), 200)
            .has("/metadata/finalizers/0", "example.com/x")
            .json("configmaps/a", json!([
                {"op": "test", "path": "/metadata/finalizers/0", "value": "example.com/x"},
                {"op": "remove", "path": "/metadata/finalizers/0"}]), 200)
            .has("/metadata/finalizers", Value::Null),
        one("a JSON patch of a version")
            .json("configmaps/a", json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}]), 409)
            .reason("Conflict"),
        one("a patch of an unknown type").raw("PATCH", "configmaps/a", "application/json", "{}", 415).reason("UnsupportedMediaType").differs(Difference::MediaType),
        case("a strategic patch of a custom object")
            .post("widgets", widget("a", json!({"size": 1})), 201)
            .raw("PATCH", "widgets/a", "application/strategic-merge-patch+json", "{}", 415)
            .reason("UnsupportedMediaType")
            .differs(Difference::MediaType),
        one("an apply patch")
            .raw("PATCH", "configmaps/a?fieldManager=me&force=true", "application/apply-patch+yaml", r#"{"apiVersion":"v1","kind":"ConfigMap"}"#, 415)
            .reason("UnsupportedMediaType")
            .differs(Difference::Apply),
        one("a patch answers with metadata only")
            .merge("configmaps/a", json!({"data": {"k": "7"}}), 200)
            .accept(super::dsl::METADATA)
            .has("/kind", "PartialObjectMetadata"),
    ]
}
