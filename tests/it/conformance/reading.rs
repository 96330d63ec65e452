//! Paths, reads, lists and selectors.

use serde_json::{Value, json};

use super::dsl::{Case, Difference, METADATA, METADATA_LIST, case};

fn map(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"of": name}})
}

/// Three ConfigMaps to choose from.
fn three(name: &'static str) -> Case {
    case(name)
        .post("configmaps", map("a", json!({"app": "x", "tier": "1"})), 201)
        .post("configmaps", map("b", json!({"app": "y", "tier": "2"})), 201)
        .post("configmaps", map("c", json!({"app": "x"})), 201)
        .save("c")
}

pub fn cases() -> Vec<Case> {
    vec![
        case("a path outside the API").get("/foo", 404).differs(Difference::UnknownPath),
        case("a group that does not exist")
            .get("/apis/nope.example.com/v1/things", 404)
            .differs(Difference::UnknownPath),
        case("a kind that does not exist").get("nothings", 404).differs(Difference::UnknownPath),
        case("a version that does not exist")
            .get("/apis/orchestrator.dev/v2/orchestrations", 404)
            .differs(Difference::UnknownPath),
        case("a subresource that does not exist")
            .post("configmaps", map("a", json!({})), 201)
            .get("configmaps/a/status", 404)
            .differs(Difference::UnknownPath),
        case("methods that a collection does not have")
            .put("configmaps", json!({}), 405)
            .reason("MethodNotAllowed")
            .merge("configmaps", json!({}), 405)
            .reason("MethodNotAllowed"),
        case("a create on an object").post("configmaps/a", json!({}), 405).reason("MethodNotAllowed"),
        case("a create in all namespaces")
            .post("/api/v1/configmaps", map("a", json!({})), 405)
            .reason("MethodNotAllowed"),
        case("an accepted type that nobody has")
            .get("configmaps", 406)
            .accept("application/yaml-foo")
            .reason("NotAcceptable")
            .differs(Difference::MediaType),
        case("the server is well").get("/readyz", 200).get("/livez", 200).get("/healthz", 200),
        case("an object")
            .post("configmaps", map("a", json!({"x": "y"})), 201)
            .get("configmaps/a", 200)
            .has("/data/of", "a")
            .get("configmaps", 200)
            .get("configmaps/a?resourceVersion=0", 200),
        case("an object that is not there")
            .get("configmaps/zz", 404)
            .reason("NotFound")
            .has("/details/kind", "configmaps"),
        case("a custom object that is not there")
            .get("orchestrations/zz", 404)
            .reason("NotFound")
            .has("/details/group", "orchestrator.dev"),
        case("a namespace that is not there").get("/api/v1/namespaces/nonexistent", 404).reason("NotFound"),
        case("a list in a namespace that is not there")
            .get("/api/v1/namespaces/nonexistent/configmaps", 200)
            .has("/items", json!([])),
        case("a namespace")
            .get("/api/v1/namespaces/{ns}", 200)
            .has("/status/phase", "Active")
            .has("/spec/finalizers/0", "kubernetes"),
        case("an object's metadata only")
            .post("configmaps", map("a", json!({"x": "y"})), 201)
            .get("configmaps/a", 200)
            .accept(METADATA)
            .has("/kind", "PartialObjectMetadata")
            .has("/metadata/labels/x", "y")
            .has("/data", Value::Null),
        three("a list's metadata only")
            .get("configmaps?limit=500", 200)
            .accept(METADATA_LIST)
            .has("/kind", "PartialObjectMetadataList")
            .has("/apiVersion", "meta.k8s.io/v1"),
        three("a list").get("configmaps", 200).has("/kind", "ConfigMapList").has("/items/1/data/of", "b"),
        three("a list from a cache, once the cache is known to be as new as the store")
            .get("configmaps", 200)
            .get("configmaps?resourceVersion=0", 200)
            .has("/kind", "ConfigMapList"),
        case("an empty list of custom objects")
            .get("orchestrations?limit=500", 200)
            .has("/kind", "OrchestrationList")
            .has("/apiVersion", "orchestrator.dev/v1alpha1")
            .has("/items", json!([])),
        case("a list of custom objects says of each what it is")
            .post("widgets", super::custom::widget("a", json!({"size": 1})), 201)
            .get("widgets", 200)
            .has("/items/0/kind", "Widget"),
        three("labels that are equal")
            .get("configmaps?labelSelector=app%3Dx", 200)
            .has("/items/1/metadata/name", "c"),
        three("labels that are not equal")
            .get("configmaps?labelSelector=app%21%3Dx,app", 200)
            .has("/items/0/metadata/name", "b"),
        three("labels in a set")
            .get("configmaps?labelSelector=app+in+(x,y),tier", 200)
            .has("/items/1/metadata/name", "b"),
        three("labels not in a set")
            .get("configmaps?labelSelector=app,tier+notin+(1)", 200)
            .has("/items/0/metadata/name", "b"),
        three("labels that exist")
            .get("configmaps?labelSelector=tier", 200)
            .has("/items/1/metadata/name", "b"),
        three("labels that do not exist")
            .get("configmaps?labelSelector=app,%21tier", 200)
            .has("/items/0/metadata/name", "c"),
        three("labels that are greater")
            .get("configmaps?labelSelector=tier%3E1", 200)
            .has("/items/0/metadata/name", "b"),
        three("labels that nothing has")
            .get("configmaps?labelSelector=app%3Dz", 200)
            .has("/items", json!([])),
        case("label selectors that are none")
            .get("configmaps?labelSelector=a%3D%3D%3Db", 400)
            .reason("BadRequest")
            .get("configmaps?labelSelector=app+in+x", 400)
            .reason("BadRequest")
            .get("configmaps?labelSelector=a+b", 400)
            .reason("BadRequest"),
        three("a name by field")
            .get("configmaps?fieldSelector=metadata.name%3Db", 200)
            .has("/items/0/data/of", "b"),
        three("names by field that are not equal")
            .get("configmaps?fieldSelector=metadata.name%21%3Db,metadata.name%21%3Dkube-root-ca.crt", 200),
        case("a field that cannot be selected by")
            .get("configmaps?fieldSelector=data.a%3Db", 400)
            .reason("BadRequest"),
        case("a field of a Job that cannot be selected by")
            .get("jobs?fieldSelector=spec.foo%3Db", 400)
            .reason("BadRequest"),
        case("a field of a pod that cannot be selected by")
            .get("pods?fieldSelector=spec.foo%3Db", 400)
            .reason("BadRequest"),
        case("a field of a custom kind that cannot be selected by")
            .get("orchestrations?fieldSelector=spec.foo%3Db", 400)
            .reason("BadRequest"),
        case("a selectable field of a custom kind")
            .post("widgets", super::custom::widget("a", json!({"size": 1, "colour": "red"})), 201)
            .post("widgets", super::custom::widget("b", json!({"size": 1, "colour": "blue"})), 201)
            .get("widgets?fieldSelector=spec.colour%3Dblue", 200)
            .has("/items/0/metadata/name", "b")
            .get("widgets?fieldSelector=spec.colour%21%3Dblue", 200)
            .has("/items/0/metadata/name", "a"),
        three("pages are of one version")
            .get("configmaps?limit=2&labelSelector=app", 200)
            .save("page")
            .has("/items/1/metadata/name", "b")
            .delete("configmaps/c", 200)
            .get("configmaps?limit=2&labelSelector=app&continue={page.continue}", 200)
            .has("/items/0/metadata/name", "c")
            .has("/metadata/continue", Value::Null),
        three("a page of custom objects says how many are left")
            .post("widgets", super::custom::widget("a", json!({"size": 1})), 201)
            .post("widgets", super::custom::widget("b", json!({"size": 1})), 201)
            .post("widgets", super::custom::widget("c", json!({"size": 1})), 201)
            .get("widgets?limit=1", 200)
            .has("/metadata/remainingItemCount", 2),
        case("a continue token that is none")
            .get("configmaps?continue=abc&limit=1", 400)
            .reason("BadRequest")
            .differs(Difference::ForeignToken),
        case("a limit that is no number").get("configmaps?limit=x", 400).reason("BadRequest"),
        case("a version that is no number").get("configmaps?resourceVersion=abc", 400).reason("BadRequest"),
        case("a version of the future").get("configmaps?resourceVersion=99999999", 504).reason("Timeout"),
        three("a list of an exact version")
            .delete("configmaps/a", 200)
            .get("configmaps?resourceVersion={c.rv}&resourceVersionMatch=Exact", 200)
            .has("/items/0/metadata/name", "a"),
        three("a list not older than a version")
            .get("configmaps?resourceVersion={c.rv}&resourceVersionMatch=NotOlderThan", 200),
        case("a match without a version").get("configmaps?resourceVersionMatch=Exact", 422).reason("Invalid"),
        case("a match that is none")
            .get("configmaps?resourceVersionMatch=Foo&resourceVersion=1", 422)
            .reason("Invalid"),
        case("an exact match of any version")
            .get("configmaps?resourceVersionMatch=Exact&resourceVersion=0", 422)
            .reason("Invalid"),
        case("initial events of a list").get("configmaps?sendInitialEvents=true", 422).reason("Invalid"),
        three("a list in all namespaces by field")
            .get("/api/v1/configmaps?fieldSelector=metadata.namespace%3D{ns}&labelSelector=app", 200)
            .has("/items/0/metadata/namespace", "<namespace>"),
    ]
}
