//! Schemas and conditions that nobody could use, with the exact words.

use super::*;
use crate::engine::activity_type;
use crate::engine::expression::MAX_BRACKETS;

/// What is said of the schema of a definition.
fn schema(raw: Value, expected: &str) {
    let spec = json!({"schema": raw, "activities": [{"id": "only", "type": "free"}]});
    let told = match compile(&serde_json::from_value(spec).unwrap(), state_of) {
        Ok(_) => String::new(),
        Err(problems) => text(&problems),
    };
    assert_eq!(told, expected.replace("AT", "spec.schema"));
}

/// The schema of an object with one property.
fn property(of: Value) -> Value {
    json!({"openAPIV3Schema": {"type": "object", "properties": {"a": of}}})
}

#[test]
fn a_schema_is_an_open_api_schema() {
    schema(json!({}), "");
    schema(json!({"openAPIV3Schema": {}}), "");
    schema(
        json!({"openAPIV3Schema": {"type": "strng"}}),
        "InvalidSchema: AT.openAPIV3Schema.type: may be one of object, array, string, integer, number, boolean, is \"strng\" (did you mean \"string\"?)",
    );
    schema(
        json!({"type": "object", "requird": ["a"], "properties": ["b"]}),
        "InvalidSchema: AT.properties: must be an object, is a list\n\
         InvalidSchema: AT.requird: is no keyword of an OpenAPI v3 schema (did you mean \"required\"?)",
    );
    schema(
        property(json!({"type": "integer", "default": "x"})),
        "InvalidSchema: AT.openAPIV3Schema.properties.a.default: expected integer, got string \"x\"",
    );
}

#[test]
fn a_schema_that_excludes_objects_is_for_no_input_or_output() {
    let why = "must allow an object, as every input and output is one";
    for type_ in ["array", "string", "integer", "number", "boolean"] {
        let expected = format!("InvalidSchema: AT.openAPIV3Schema.type: {why}; this is {type_}");
        schema(json!({"openAPIV3Schema": {"type": type_}}), &expected);
        schema(json!({"type": type_}), &expected.replace(".openAPIV3Schema", ""));
    }
    for composed in [
        json!({"enum": ["a", 1]}),
        json!({"const": []}),
        json!({"x-kubernetes-int-or-string": true}),
        json!({"allOf": [{}, {"allOf": [{"type": "array"}]}]}),
        json!({"anyOf": [{"type": "string"}, {"oneOf": [{"type": "array"}, {"type": "integer"}]}]}),
        json!({"oneOf": [{"type": "string"}]}),
        json!({"type": "object", "not": {"type": "object"}}),
        json!({"not": {"anyOf": [{"type": "string"}, {}]}}),
        json!({"$ref": "#/definitions/a", "minItems": 1, "definitions": {"a": {"type": "array"}}}),
    ] {
        schema(composed, &format!("InvalidSchema: AT: {why}"));
    }
    for good in [
        json!({}),
        json!({"required": ["a"]}),
        json!({"enum": ["a", {}]}),
        json!({"anyOf": [{"type": "string"}, {"required": ["a"]}]}),
        json!({"not": {"type": "array"}}),
        json!({"not": {"type": "object", "required": ["a"]}}),
    ] {
        schema(good, "");
    }
    // Beside all other mistakes.
    schema(
        json!({"type": "array", "requird": []}),
        &format!(
            "InvalidSchema: AT.requird: is no keyword of an OpenAPI v3 schema (did you mean \"required\"?)\n\
             InvalidSchema: AT.type: {why}; this is array"
        ),
    );
    // Of an activity type as well, in both directions.
    let type_ =
        json!({"inputSchema": {"type": "array"}, "outputSchema": {"openAPIV3Schema": {"type": "string"}}});
    let problems = activity_type::compile(&serde_json::from_value(type_).unwrap()).unwrap_err();
    assert_eq!(
        text(&problems),
        format!(
            "InvalidSchema: spec.inputSchema.type: {why}; this is array\n\
             InvalidSchema: spec.outputSchema.openAPIV3Schema.type: {why}; this is string"
        )
    );
}

#[test]
fn a_reference_stays_within_its_schema_and_ends() {
    for elsewhere in ["https://example.com/schema.json", "file:///etc/passwd"] {
        schema(
            property(json!({"$ref": elsewhere})),
            &format!(
                "InvalidSchema: AT.openAPIV3Schema.properties.a.$ref: RemoteRefForbidden: \"{elsewhere}\" leads out of the schema, nothing is fetched; use #/definitions/…"
            ),
        );
    }
    schema(
        json!({"definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}},
            "properties": {"n": {"$ref": "#/definitions/a"}}}),
        "InvalidSchema: AT.definitions.b.$ref: RefCycle: #/definitions/a -> #/definitions/b -> #/definitions/a",
    );
}

#[test]
fn a_schema_has_a_size() {
    schema(
        json!({"type": "object", "description": "x".repeat(1024 * 1024)}),
        "LimitExceeded: AT: SchemaTooLarge: a schema has at most 32768 bytes of JSON, this one has 1048610",
    );
    let many: serde_json::Map<String, Value> = (0..501).map(|at| (format!("p{at}"), json!({}))).collect();
    schema(
        json!({"type": "object", "properties": many}),
        "LimitExceeded: AT.properties: a schema has at most 500 properties in total, references followed",
    );
}

#[test]
fn a_pattern_is_matched_in_linear_time_or_not_at_all() {
    schema(property(json!({"type": "string", "pattern": "^(a+)+$"})), "");
    for pattern in ["(?=x)y", "(a)\\1"] {
        schema(
            property(json!({"type": "string", "pattern": pattern})),
            "InvalidSchema: AT.openAPIV3Schema.properties.a.pattern: UnsupportedPattern: look-around and back-references cannot be matched in linear time",
        );
    }
    schema(
        property(json!({"type": "string", "pattern": "a{1000}{1000}"})),
        "LimitExceeded: AT.openAPIV3Schema.properties.a.pattern: UnsupportedPattern: the pattern is too large, its repetitions multiply; for lengths there are minLength and maxLength",
    );
}

/// What is said of a condition, without its place.
fn condition(when: &str, expected: &str) {
    let spec = json!({"activities": [
        {"id": "a", "type": "free"}, {"id": "tenant-config", "type": "free"},
        {"id": "b", "type": "free", "dependsOn": ["a", "tenant-config"], "when": when},
    ]});
    let told = match compile(&serde_json::from_value(spec).unwrap(), state_of) {
        Ok(_) => String::new(),
        Err(problems) => text(&problems),
    };
    let expected = if expected.is_empty() {
        String::new()
    } else {
        format!("InvalidExpression: spec.activities[2].when: {expected}")
    };
    assert_eq!(told, expected, "{when}");
}

#[test]
fn a_condition_is_an_expression_that_says_yes_or_no() {
    condition("true", "");
    condition("activities['tenant-config'].state == 'Skipped' && input.list.exists(x, x == 2)", "");
    condition("1 + 1", "line 1 column 1: must be a boolean, is an integer");
    condition(
        "unknown == 1",
        "line 1 column 1: unknown variable \"unknown\"; there are input, activities and schedule",
    );
    condition("size(input.x) > 'a'", "line 1 column 1: \">\" cannot compare an integer with a string");
    condition("nofunction(input.x)", "line 1 column 1: unknown function \"nofunction\"");
    condition(
        "activities.tenant-config.state == 'Skipped'",
        "line 1 column 1: \"-\" subtracts; a name with a dash is written [\"tenant-config\"], as in activities[\"tenant-config\"]",
    );
    condition(
        "activities[input.x].state == 'x'",
        "line 1 column 1: activities are read by name: activities.<id>.state or activities.<id>.outputs",
    );
}

#[test]
fn a_condition_cannot_run_for_ever() {
    condition(
        "input.a.all(x, input.a.all(y, input.a.all(z, input.a.all(w, x == w))))",
        "line 1 column 1: at most 3 loops (all, exists, map, filter) may lie in each other, here are 4",
    );
    condition(
        &format!("{}true", "true && ".repeat(300)),
        "line 1 column 2001: an expression has at most 500 names, literals, operators and brackets",
    );
    let column = MAX_BRACKETS + 1;
    condition(
        &"(".repeat(100),
        &format!("line 1 column {column}: brackets are nested at most {MAX_BRACKETS} deep"),
    );
}
