//! Custom kinds: schemas, pruning, defaults, CEL rules and the status subresource.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::dsl::{Case, Difference, case};

/// The group of the kind of the cases. A changed schema is another group, so that old ones never matter.
pub fn group() -> String {
    let hash = Sha256::digest(spec().to_string());
    format!("c{}.conformance.example.com", data_encoding::HEXLOWER.encode(&hash[..4]))
}

/// The version that objects of the kind say.
pub fn version() -> String {
    format!("{}/v1", group())
}

/// The definition of the kind of the cases.
pub fn definition() -> Value {
    let mut spec = spec();
    spec["group"] = json!(group());
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{}", group())}, "spec": spec,
    })
}

fn spec() -> Value {
    let properties = properties();
    json!({
        "names": {"kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget"},
        "scope": "Namespaced",
        "versions": [{
            "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
            "selectableFields": [{"jsonPath": ".spec.colour"}],
            "schema": {"openAPIV3Schema": {
                "type": "object", "required": ["spec"],
                "x-kubernetes-validations": [
                    {"rule": "!has(oldSelf.status) || has(self.status)", "message": "a status must not be removed"},
                    {"rule": "self.metadata.name != 'forbidden'", "message": "that name is taken"},
                ],
                "properties": {
                    "spec": {
                        "type": "object", "required": ["size"],
                        "x-kubernetes-validations": [
                            {"rule": "!has(self.least) || self.least <= self.size", "message": "least must not be more than size", "fieldPath": ".least"},
                            {"rule": "has(self.fixed) == has(oldSelf.fixed) && (!has(self.fixed) || self.fixed == oldSelf.fixed)", "message": "fixed is immutable"},
                            {"rule": "!has(self.until) || !has(self.since) || self.since < self.until", "messageExpression": "self.size > 50 ? 'since is not before until, at large' : 'since is not before until'"},
                        ],
                        "properties": properties,
                    },
                    "status": {
                        "type": "object",
                        "x-kubernetes-validations": [{"rule": "!has(oldSelf.done) || has(self.done) && self.done == oldSelf.done", "message": "done is for good", "reason": "FieldValueForbidden"}],
                        "properties": {
                            "state": {"type": "string", "maxLength": 10},
                            "done": {"type": "string", "format": "date-time"},
                            "count": {"type": "integer", "minimum": 0},
                        },
                    },
                },
            }},
        }],
    })
}

fn properties() -> Value {
    let text = |most: u64| json!({"type": "string", "maxLength": most});
    json!({
        "size": {"type": "integer", "minimum": 1, "maximum": 100, "format": "int64"},
        "least": {"type": "integer"},
        "fixed": {"type": "string", "maxLength": 20},
        "since": {"type": "string", "format": "date-time"},
        "until": {"type": "string", "format": "date-time"},
        "colour": {"type": "string", "enum": ["red", "blue"]},
        "name": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 5},
        "ratio": {"type": "number", "exclusiveMinimum": true, "minimum": 0, "maximum": 1},
        "even": {"type": "integer", "multipleOf": 2},
        "on": {"type": "boolean"},
        "tags": {"type": "array", "maxItems": 3, "minItems": 1, "x-kubernetes-list-type": "set", "items": text(10)},
        "parts": {
            "type": "array", "maxItems": 5, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
            "items": {
                "type": "object", "required": ["id"],
                "properties": {"id": text(10), "count": {"type": "integer", "default": 1}},
                "x-kubernetes-validations": [{"rule": "self.count >= oldSelf.count", "message": "count must not shrink"}],
            },
        },
        "labels": {"type": "object", "maxProperties": 2, "additionalProperties": text(5)},
        "some": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "integer"}},
        "any": {"x-kubernetes-preserve-unknown-fields": true},
        "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"known": {"type": "object", "properties": {"a": {"type": "integer"}}}}},
        "port": {"x-kubernetes-int-or-string": true},
        "mode": {"type": "string", "default": "Slow"},
        "nested": {"type": "object", "default": {}, "properties": {"depth": {"type": "integer", "default": 3}, "note": {"type": "string", "nullable": true}}},
        "word": {"type": "string", "maxLength": 20, "x-kubernetes-validations": [{"rule": "size(self) <= 3 && self.size() != 2", "message": "a word has 1 or 3 characters"}]},
        "level": {"type": "integer", "maximum": 9, "x-kubernetes-validations": [{"rule": "self >= oldSelf", "message": "level must not shrink"}]},
        "either": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    })
}

/// A Widget.
pub fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": version(), "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

/// A Widget that is refused.
fn refused(name: &'static str, spec: Value) -> Case {
    case(name).post("widgets", widget("a", spec), 422).reason("Invalid")
}

/// A Widget that is taken.
fn taken(name: &'static str, spec: Value) -> Case {
    case(name).post("widgets", widget("a", spec), 201)
}

fn small(name: &'static str) -> Case {
    taken(name, json!({"size": 1})).save("a")
}

pub fn cases() -> Vec<Case> {
    let mut cases = schemas();
    cases.extend(rules());
    cases.extend(statuses());
    cases.extend(ours());
    cases
}

fn schemas() -> Vec<Case> {
    vec![
        refused("a required field", json!({})),
        refused("a spec that is null", Value::Null),
        refused("a text where a number should be", json!({"size": "x"})),
        refused("a fraction where an integer should be", json!({"size": 1.5})),
        refused("a fraction where a plain integer should be", json!({"size": 1, "least": 0.5})),
        refused("a number below and one above", json!({"size": 0, "level": 10})),
        refused("an exclusive bound", json!({"size": 1, "ratio": 0})),
        refused("a number that is no multiple", json!({"size": 1, "even": 3})),
        refused("a value outside an enumeration", json!({"size": 1, "colour": "green"})),
        refused("a pattern and a text that is too long", json!({"size": 1, "name": "ABCDEFG"})),
        refused("a text that is too short", json!({"size": 1, "name": "a"})),
        refused("a text that is no time", json!({"size": 1, "since": "yesterday"})),
        refused("a list where a map should be", json!({"size": 1, "labels": []})),
        refused("a boolean that is a text", json!({"size": 1, "on": "true"})),
        refused("too many items", json!({"size": 1, "tags": ["a", "b", "c", "d"]})),
        refused("too few items", json!({"size": 1, "tags": []})),
        refused("a set with duplicates", json!({"size": 1, "tags": ["a", "b", "a"]})),
        refused("a map list with duplicates", json!({"size": 1, "parts": [{"id": "x", "count": 1}, {"id": "x", "count": 2}]})),
        refused("a map list without a key", json!({"size": 1, "parts": [{"count": 1}]})),
        refused("too many properties", json!({"size": 1, "labels": {"a": "1", "b": "2", "c": "3"}})),
        refused("too few properties", json!({"size": 1, "some": {}})),
        refused("a value of a map", json!({"size": 1, "labels": {"a": "too long"}})),
        refused("neither of two", json!({"size": 1, "either": {}})),
        refused("both of two", json!({"size": 1, "either": {"a": "1", "b": "2"}})),
        refused("a port that is a list", json!({"size": 1, "port": [1]})),
        refused("several mistakes at once", json!({"size": 0, "colour": "green", "name": "A", "on": 1})),
        taken("all that is right", json!({"size": 100, "least": 1, "ratio": 1, "even": -4, "colour": "red", "name": "abc", "tags": ["a"], "parts": [{"id": "x", "count": 2}], "labels": {"a": "1"}, "port": "http"})),
        taken("whole numbers may be written with a point", json!({"size": 2.0, "ratio": 1})),
        taken("unknown members are pruned", json!({"size": 1, "foo": 1, "nested": {"bar": 2}, "parts": [{"id": "x", "zz": 1}]})).has("/spec/foo", Value::Null),
        taken("preserved members are kept", json!({"size": 1, "any": [{"a": {"b": null}}, 1.5], "open": {"x": {"y": 1}, "known": {"a": 1, "b": 2}}}))
            .has("/spec/open/x/y", 1)
            .has("/spec/open/known/b", Value::Null),
        taken("defaults are filled in", json!({"size": 1, "parts": [{"id": "x"}]}))
            .has("/spec/mode", "Slow")
            .has("/spec/nested/depth", 3)
            .has("/spec/parts/0/count", 1),
        taken("nulls become defaults or go", json!({"size": 1, "mode": null, "colour": null, "nested": {"depth": null, "note": null}}))
            .has("/spec/mode", "Slow")
            .has("/spec/colour", Value::Null),
        small("what a merge patch makes is validated").merge("widgets/a", json!({"spec": {"size": 0}}), 422).reason("Invalid"),
        small("a patch that removes what is required").merge("widgets/a", json!({"spec": {"size": null}}), 422).reason("Invalid"),
        case("a strict patch of a custom object with unknown fields")
            .post("widgets", widget("a", json!({"size": 1})), 201)
            .merge("widgets/a?fieldValidation=Strict", json!({"spec": {"siz": 1}}), 422)
            .reason("Invalid"),
        small("generations count what is wanted")
            .has("/metadata/generation", 1)
            .merge("widgets/a", json!({"spec": {"size": 2}}), 200)
            .has("/metadata/generation", 2)
            .merge("widgets/a", json!({"metadata": {"labels": {"a": "b"}}}), 200)
            .has("/metadata/generation", 2)
            .merge("widgets/a/status", json!({"status": {"state": "x"}}), 200)
            .has("/metadata/generation", 2),
        small("a generation cannot be set").merge("widgets/a", json!({"metadata": {"generation": 7}}), 200).has("/metadata/generation", 1),
        small("a subresource that a custom kind does not have").get("widgets/a/scale", 404).reason("NotFound"),
        case("a nesting of a hundred levels is kept")
            .raw("POST", "widgets", "application/json",
                &widget("a", json!({"size": 1, "any": "DEEP"})).to_string().replace("\"DEEP\"", &format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100))), 201),
        case("a nesting of a thousand levels")
            .raw(
                "POST",
                "widgets",
                "application/json",
                &widget("a", json!({"size": 1, "any": "DEEP"}))
                    .to_string()
                    .replace("\"DEEP\"", &format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000))),
                400,
            )
            .differs(Difference::Depth),
    ]
}

fn rules() -> Vec<Case> {
    vec![
        taken("a rule counts characters", json!({"size": 1, "word": "äöü"})),
        refused("a rule counts no bytes", json!({"size": 1, "word": "ä€"})),
        refused("a rule with a path", json!({"size": 1, "least": 2})),
        refused(
            "a rule with a message of its own",
            json!({"size": 1, "since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}),
        ),
        taken(
            "a rule about times that holds",
            json!({"size": 1, "since": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:00:00-01:00"}),
        ),
        case("a rule about the name")
            .post("widgets", widget("forbidden", json!({"size": 1})), 422)
            .reason("Invalid"),
        taken("a field that is immutable", json!({"size": 1, "fixed": "x"}))
            .merge("widgets/a", json!({"spec": {"fixed": "y"}}), 422)
            .reason("Invalid")
            .merge("widgets/a", json!({"spec": {"fixed": null}}), 422)
            .merge("widgets/a", json!({"spec": {"size": 2}}), 200),
        taken("a number that must not shrink", json!({"size": 1, "level": 3}))
            .merge("widgets/a", json!({"spec": {"level": 2}}), 422)
            .reason("Invalid")
            .merge("widgets/a", json!({"spec": {"level": 4}}), 200),
        taken(
            "elements of a map list are compared by key",
            json!({"size": 1, "parts": [{"id": "x", "count": 2}, {"id": "y", "count": 5}]}),
        )
        .merge(
            "widgets/a",
            json!({"spec": {"parts": [{"id": "y", "count": 4}, {"id": "x", "count": 2}]}}),
            422,
        )
        .reason("Invalid")
        .merge(
            "widgets/a",
            json!({"spec": {"parts": [{"id": "y", "count": 5}, {"id": "z", "count": 0}]}}),
            200,
        ),
        refused("rules are not asked about what has the wrong shape", json!({"size": "x", "least": 2})),
        refused("rules and schema speak together", json!({"size": 1, "least": 2, "name": "A1"})),
    ]
}

fn statuses() -> Vec<Case> {
    vec![
        case("a status in a create is dropped")
            .post("widgets", json!({"apiVersion": version(), "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}, "status": {"state": "x"}}), 201)
            .has("/status", Value::Null),
        small("a status in an update is ignored").merge("widgets/a", json!({"status": {"state": "x"}}), 200).has("/status", Value::Null),
        small("a status write takes the status only")
            .merge("widgets/a/status", json!({"spec": {"size": 5}, "metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/x"]}, "status": {"state": "x"}}), 200)
            .has("/spec/size", 1)
            .has("/metadata/labels", Value::Null)
            .has("/status/state", "x"),
        small("a status is read with the rest").merge("widgets/a/status", json!({"status": {"state": "x"}}), 200).get("widgets/a/status", 200).has("/spec/size", 1),
        small("a status is put")
            .put("widgets/a/status", json!({"apiVersion": version(), "kind": "Widget", "metadata": {"name": "a", "resourceVersion": "{a.rv}"}, "spec": {"size": 9}, "status": {"state": "x"}}), 200)
            .has("/spec/size", 1),
        small("a status with its version")
            .merge("widgets/a/status", json!({"metadata": {"resourceVersion": "{a.rv}"}, "status": {"state": "x"}}), 200)
            .merge("widgets/a/status", json!({"metadata": {"resourceVersion": "{a.rv}"}, "status": {"state": "y"}}), 409)
            .reason("Conflict"),
        small("a status is validated, with paths of its own").merge("widgets/a/status", json!({"status": {"count": -1, "done": "x", "state": 5}}), 422).reason("Invalid"),
        small("a status is pruned").merge("widgets/a/status", json!({"status": {"state": "x", "foo": 1}}), 200).has("/status/foo", Value::Null),
        small("what is done is done")
            .merge("widgets/a/status", json!({"status": {"done": "2026-01-01T00:00:00Z"}}), 200)
            .merge("widgets/a/status", json!({"status": {"done": "2026-01-02T00:00:00Z"}}), 422)
            .reason("Invalid")
            .merge("widgets/a/status", json!({"status": {"done": null}}), 422)
            .merge("widgets/a/status", json!({"status": null}), 422)
            .reason("Invalid"),
        small("a status of what is not there").merge("widgets/b/status", json!({"status": {}}), 404).reason("NotFound"),
        small("a status cannot be created or deleted")
            .post("widgets/a/status", json!({}), 405)
            .reason("MethodNotAllowed")
            .delete("widgets/a/status", 405)
            .reason("MethodNotAllowed"),
        small("a status in JSON patch")
            .json("widgets/a/status", json!([{"op": "add", "path": "/status", "value": {"state": "x"}}]), 200)
            .has("/status/state", "x"),
    ]
}

/// What our own controllers send.
fn ours() -> Vec<Case> {
    let orchestration = |spec: Value| json!({"apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "metadata": {"name": "o"}, "spec": spec});
    let status = json!({"observedGeneration": 1, "state": "Running", "startTime": "2026-01-01T00:00:00Z", "progress": "0/2",
        "revision": "t-1", "activities": {"a": {"tier": 0, "state": "Running", "attempt": 1}, "b": {"tier": 1, "state": "Pending"}},
        "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}]});
    let made = |name: &'static str| {
        case(name)
            .post(
                "orchestrations?fieldManager=orchestrator",
                orchestration(json!({"type": "t", "input": {"a": {"b": [1, null, "x"]}}})),
                201,
            )
            .save("o")
    };
    vec![
        made("an Orchestration is accepted and finishes")
            .merge("orchestrations/o/status?fieldManager=orchestrator", json!({"metadata": {"resourceVersion": "{o.rv}"}, "status": status}), 200)
            .save("p")
            .merge("orchestrations/o/status", json!({"metadata": {"resourceVersion": "{p.rv}"}, "status": {"activities": {"a": {"state": "Succeeded", "outputs": {"x": {"y": 1}}}}}}), 200)
            .has("/status/activities/a/attempt", 1)
            .merge("orchestrations/o/status", json!({"status": {"completionTime": "2026-01-01T00:01:00Z", "state": "Succeeded"}}), 200)
            .merge("orchestrations/o/status", json!({"status": {"state": "Failed"}}), 422)
            .reason("Invalid")
            .merge("orchestrations/o/status", json!({"status": {"activities": {"a": {"attempt": 2}}}}), 422)
            .merge("orchestrations/o/status", json!({"status": {"observedGeneration": 2}}), 200),
        made("an Orchestration's spec is immutable")
            .merge("orchestrations/o", json!({"spec": {"type": "u"}}), 422)
            .reason("Invalid")
            .merge("orchestrations/o", json!({"spec": {"input": {"a": 2}}}), 422)
            .merge("orchestrations/o", json!({"spec": {"activeDeadlineSeconds": 60}}), 200)
            .has("/metadata/generation", 2),
        case("an Orchestration with several mistakes")
            .post("orchestrations", orchestration(json!({"type": "T_", "correlationId": 5, "activeDeadlineSeconds": 0, "input": "x"})), 422)
            .reason("Invalid"),
        made("conditions are a map")
            .merge("orchestrations/o/status", json!({"status": {"conditions": [{"type": "A"}, {"type": "A", "status": "Nope", "reason": "", "message": "", "lastTransitionTime": "x"}]}}), 422)
            .reason("Invalid"),
        made("an Orchestration by type").get("orchestrations?fieldSelector=spec.type%3Dt&limit=500", 200).has("/items/0/metadata/name", "o"),
        case("an ActivityDefinition keeps its template open")
            .post("activitydefinitions", json!({"apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": "d.example.com"},
                "spec": {"provider": "p", "job": {"template": {"spec": {"containers": [{"name": "c", "typo": 1}]}}}}}), 201)
            .has("/spec/job/template/spec/containers/0/typo", 1),
        case("an OrchestrationDefinition takes the shorthands")
            .post("orchestrationdefinitions", json!({"apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition", "metadata": {"name": "t"},
                "spec": {"activities": [{"id": "a", "type": "x"}, {"id": "b", "type": "x", "dependsOn": "a", "inputs": ["i", {"source": "a.o", "target": "p"}]}]}}), 201)
            .has("/spec/activities/1/dependsOn", "a"),
    ]
}
