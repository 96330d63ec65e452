//! Schemas: tables of what is refused, found wrong, filled in and known.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::limits::{MAX_NODES, MAX_OVERLAP, MAX_WORK};
use super::*;
use crate::engine::path::Path;

fn compiled(schema: &Value) -> Schema {
    Schema::compile(schema.as_object().unwrap()).unwrap_or_else(|mistakes| panic!("{schema}: {mistakes:?}"))
}

/// The mistakes of a schema, one line each.
fn mistakes(schema: &Value) -> Vec<String> {
    let Err(mistakes) = Schema::compile(schema.as_object().unwrap()) else { return Vec::new() };
    mistakes.into_iter().map(|it| format!("{}: {}: {}", it.code, it.pointer, it.message)).collect()
}

fn check_mistakes(schema: Value, expected: &[&str]) {
    assert_eq!(mistakes(&schema), expected, "{schema}");
}

/// What is wrong with the property `a` of an object.
fn check(of_a: Value, a: Value, expected: &[&str]) {
    let schema = compiled(&json!({"openAPIV3Schema": {"type": "object", "properties": {"a": of_a}}}));
    let found = schema.validate(&json!({"a": a}), "spec.input");
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{of_a}: {a}");
}

#[test]
fn a_schema_may_be_wrapped_bare_or_empty() {
    for schema in [json!({"openAPIV3Schema": {"type": "object"}}), json!({"type": "object"})] {
        let found = compiled(&schema).validate(&json!([]), "x");
        assert_eq!(text(&found), "x: expected object, got array");
    }
    assert_eq!(compiled(&json!({})).validate(&json!({"a": [1, "x", null]}), "x"), []);
    assert_eq!(compiled(&json!({})), compiled(&json!({})));
    assert_ne!(compiled(&json!({})), compiled(&json!({"type": "object"})));
    check_mistakes(
        json!({"openAPIV3Schema": {}, "type": "object"}),
        &["InvalidSchema: .openAPIV3Schema: must be alone: openAPIV3Schema holds the whole schema"],
    );
}

#[test]
fn types_are_checked() {
    check(json!({"type": "integer"}), json!("3"), &["spec.input.a: expected integer, got string \"3\""]);
    check(json!({"type": "integer"}), json!(3), &[]);
    check(json!({"type": "integer"}), json!(1.5), &["spec.input.a: expected integer, got number 1.5"]);
    check(json!({"type": "number"}), json!(3), &[]);
    check(json!({"type": "string"}), json!(3), &["spec.input.a: expected string, got integer 3"]);
    check(json!({"type": "string"}), json!({"b": 1}), &["spec.input.a: expected string, got object"]);
    check(json!({"type": "boolean"}), json!("yes"), &["spec.input.a: expected boolean, got string \"yes\""]);
    check(json!({"type": "array"}), json!(true), &["spec.input.a: expected array, got boolean true"]);
    check(json!({"type": "object"}), json!([]), &["spec.input.a: expected object, got array"]);
    let long = "x".repeat(100);
    let shown = format!("spec.input.a: expected integer, got string \"{}…", "x".repeat(59));
    check(json!({"type": "integer"}), json!(long), &[&shown]);
}

#[test]
fn every_keyword_is_told_in_words() {
    check(
        json!({"enum": ["a", "b", 3]}),
        json!("c"),
        &[r#"spec.input.a: may be one of "a", "b", 3, got "c""#],
    );
    check(json!({"const": 1}), json!(2), &["spec.input.a: may be one of 1, got 2"]);
    check(json!({"minimum": 1}), json!(0), &["spec.input.a: must be at least 1, got 0"]);
    check(json!({"maximum": 1}), json!(2), &["spec.input.a: must be at most 1, got 2"]);
    check(json!({"exclusiveMinimum": 1}), json!(1), &["spec.input.a: must be more than 1, got 1"]);
    check(json!({"exclusiveMaximum": 1}), json!(1), &["spec.input.a: must be less than 1, got 1"]);
    check(json!({"multipleOf": 5}), json!(7), &["spec.input.a: must be a multiple of 5, got 7"]);
    check(json!({"multipleOf": 0.1}), json!(0.3), &[]);
    check(json!({"minLength": 2}), json!("ä"), &["spec.input.a: must have at least 2 characters, has 1"]);
    check(json!({"maxLength": 1}), json!("ab"), &["spec.input.a: must have at most 1 character, has 2"]);
    check(json!({"minItems": 1}), json!([]), &["spec.input.a: must have at least 1 item, has 0"]);
    check(json!({"maxItems": 1}), json!([1, 2]), &["spec.input.a: must have at most 1 item, has 2"]);
    check(json!({"minProperties": 1}), json!({}), &["spec.input.a: must have at least 1 member, has 0"]);
    check(
        json!({"maxProperties": 0}),
        json!({"b": 1}),
        &["spec.input.a: must have at most 0 members, has 1"],
    );
    check(json!({"uniqueItems": true}), json!([1, 2, 1]), &["spec.input.a: no two items may be equal"]);
    check(json!({"pattern": "^[a-z]+$"}), json!("A"), &["spec.input.a: must match ^[a-z]+$, got \"A\""]);
    check(
        json!({"format": "date-time"}),
        json!("today"),
        &["spec.input.a: must have the format date-time, got \"today\""],
    );
    check(
        json!({"not": {"type": "string"}}),
        json!("x"),
        &["spec.input.a: must not match the schema of not"],
    );
    let alternatives = json!([{"type": "integer"}, {"type": "object", "required": ["b"]}]);
    check(
        json!({"anyOf": alternatives}),
        json!({}),
        &[
            "spec.input.a: must match one of 2 alternatives at least: expected integer, got object; or b is required",
        ],
    );
    check(
        json!({"oneOf": alternatives}),
        json!("x"),
        &[
            "spec.input.a: must match one of 2 alternatives: expected integer, got string \"x\"; or expected object, got string \"x\"",
        ],
    );
    check(
        json!({"oneOf": [{"minimum": 1}, {"minimum": 2}]}),
        json!(3),
        &["spec.input.a: must match exactly one of the alternatives of oneOf, matches several"],
    );
}

#[test]
fn exclusive_bounds_may_be_flags_or_numbers() {
    let flags = json!({"minimum": 1, "exclusiveMinimum": true, "maximum": 3, "exclusiveMaximum": false});
    check(flags.clone(), json!(1), &["spec.input.a: must be more than 1, got 1"]);
    check(flags.clone(), json!(3), &[]);
    check(flags, json!(4), &["spec.input.a: must be at most 3, got 4"]);
    check(
        json!({"minimum": 5, "exclusiveMinimum": 1}),
        json!(3),
        &["spec.input.a: must be at least 5, got 3"],
    );
    check_mistakes(
        json!({"properties": {"a": {"exclusiveMinimum": true}, "b": {"exclusiveMaximum": "x", "minimum": "y"}}}),
        &[
            "InvalidSchema: .properties.a.exclusiveMinimum: needs minimum beside it",
            "InvalidSchema: .properties.b.minimum: must be a number, is \"y\"",
            "InvalidSchema: .properties.b.exclusiveMaximum: must be true, false or a number, is \"x\"",
        ],
    );
}

#[test]
fn all_violations_are_told_at_their_paths_in_document_order() {
    let schema = compiled(&json!({
        "type": "object",
        "required": ["region", "owner"],
        "additionalProperties": false,
        "properties": {
            "region": {"type": "string"},
            "replicas": {"type": "integer", "minimum": 1},
            "owner": {"type": "object", "required": ["emails"], "properties": {
                "emails": {"type": "array", "items": {"type": "string", "format": "email"}},
                "x.y": {"type": "boolean"},
            }},
        },
    }));
    let value = json!({
        "replicas": 0,
        "regoin": "eu",
        "zzz": 1,
        "owner": {"emails": ["a@example.com", 3, "x"], "x.y": 1, "0": {}},
    });
    let found = schema.validate(&value, "spec.input");
    assert_eq!(
        text(&found).lines().collect::<Vec<_>>(),
        [
            "spec.input.owner.emails[1]: expected string, got integer 3",
            "spec.input.owner.emails[2]: must have the format email, got \"x\"",
            "spec.input.owner[\"x.y\"]: expected boolean, got integer 1",
            "spec.input.region: required",
            "spec.input.regoin: unknown property (did you mean \"region\"?)",
            "spec.input.replicas: must be at least 1, got 0",
            "spec.input.zzz: unknown property (there are owner, region, replicas)",
        ]
    );
    let rules: Vec<&str> = found.iter().map(|violation| violation.rule.as_str()).collect();
    assert_eq!(
        rules,
        ["type", "format", "type", "required", "additionalProperties", "minimum", "additionalProperties"]
    );
    assert_eq!(found, schema.validate(&value, "spec.input"));
}

#[test]
fn elements_are_in_the_order_of_their_numbers() {
    let schema = compiled(&json!({"items": {"type": "integer"}}));
    let found = schema.validate(&Value::from(vec!["x"; 12]), "x");
    let paths: Vec<&str> = found.iter().map(|violation| violation.path.as_str()).collect();
    assert_eq!(paths.first().zip(paths.last()), Some((&"x[0]", &"x[11]")));
    assert_eq!(paths.get(9..11), Some(&["x[9]", "x[10]"][..]));
}

#[test]
fn twenty_violations_are_shown_and_the_rest_counted() {
    let schema = compiled(&json!({"items": {"type": "integer"}}));
    let shown = |count: usize| text(&schema.validate(&Value::from(vec!["x"; count]), "x"));
    assert_eq!(shown(20).lines().count(), 20);
    assert!(!shown(20).contains("more"));
    assert_eq!(shown(27).lines().count(), 21);
    assert!(shown(27).ends_with("\nand 7 more"));
}

#[test]
fn null_members_are_absent_and_null_elements_are_not() {
    let schema = json!({"type": "object", "required": ["a"], "properties": {
        "a": {"type": "string"},
        "n": {"type": "string", "nullable": true, "enum": ["x"]},
        "l": {"type": "array", "items": {"type": "string"}},
        "m": {"type": "array", "items": {"type": "string", "nullable": true, "enum": ["x"]}},
    }});
    let value = json!({"a": null, "n": null, "l": [null], "m": [null, "x", "y"]});
    assert_eq!(
        text(&compiled(&schema).validate(&value, "in")).lines().collect::<Vec<_>>(),
        ["in.a: required", "in.l[0]: expected string, got null", "in.m[2]: may be one of \"x\", got \"y\"",]
    );
}

#[test]
fn extensions_mean_what_they_mean_in_a_crd() {
    let either = json!({"x-kubernetes-int-or-string": true});
    check(either.clone(), json!(8080), &[]);
    check(either.clone(), json!("http"), &[]);
    check(either, json!(true), &["spec.input.a: expected integer or string, got boolean true"]);
    let pair =
        json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]});
    check(pair, json!("80%"), &[]);
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    check(open, json!({"anything": 1}), &[]);
    let set = json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}});
    check(set, json!(["a", "a"]), &["spec.input.a: no two items may be equal"]);
    let map = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]});
    check(map.clone(), json!([{"k": 1, "v": 1}, {"k": 2, "v": 1}]), &[]);
    check(
        map,
        json!([{"k": 1}, {"k": 2}, {"k": 1}]),
        &["spec.input.a: no two elements may have the same k, two have [1]"],
    );
    let embedded = json!({"type": "object", "x-kubernetes-embedded-resource": true});
    check(embedded.clone(), json!({"apiVersion": "v1", "kind": "Secret"}), &[]);
    check(
        embedded,
        json!({"kind": ""}),
        &["spec.input.a: must be a Kubernetes object: apiVersion and kind is required"],
    );
    // What is unknown says nothing, and neither do formats that the API server does not validate.
    check(json!({"x-vendor": 1, "x-kubernetes-map-type": "atomic"}), json!(1), &[]);
    check(json!({"format": "regex"}), json!("("), &[]);
    check(json!({"format": "int32"}), json!(i64::MAX), &[]);
    check(json!({"format": "double", "type": "number"}), json!(1e300), &[]);
    check(json!({"format": "date", "type": "integer"}), json!(1), &[]);
}

#[test]
fn numbers_are_as_large_as_their_type_and_format_allow() {
    let narrow = json!({"format": "int32", "type": "integer"});
    check(narrow.clone(), json!(i32::MAX), &[]);
    let narrow_words = "spec.input.a: must be an integer of 32 bits signed, got 2147483648";
    check(narrow, json!(2_147_483_648_i64), &[narrow_words]);
    let wide_words = "spec.input.a: must be an integer of 64 bits signed, got 9223372036854775808";
    for wide in [
        json!({"type": "integer"}),
        json!({"type": "integer", "format": "int64"}),
        json!({"x-kubernetes-int-or-string": true}),
    ] {
        check(wide.clone(), json!(i64::MIN), &[]);
        check(wide.clone(), json!(1e18), &[]);
        check(wide, json!(9_223_372_036_854_775_808_u64), &[wide_words]);
    }
    check(
        json!({"type": "integer"}),
        json!(1e30),
        &["spec.input.a: must be an integer of 64 bits signed, got 1e+30"],
    );
    let below: Value = serde_json::from_str("-9223372036854775809").unwrap();
    let below_words = format!("spec.input.a: must be an integer of 64 bits signed, got {below}");
    check(json!({"type": "integer"}), below, &[&below_words]);
    let single = json!({"format": "float", "type": "number"});
    check(single.clone(), json!(1.5), &[]);
    check(single, json!(1e39), &["spec.input.a: must be a floating-point number of 32 bits, got 1e+39"]);
    check(json!({"type": "number"}), json!(1e300), &[]);
    let violations = compiled(&json!({"type": "integer"})).validate(&json!(u64::MAX), "x");
    assert_eq!(violations[0].rule, "format");
}

#[test]
fn what_is_listed_twice_is_told_at_its_place() {
    check_mistakes(
        json!({"required": ["a", "b", "a"], "properties": {"l": {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "k"]}}}),
        &[
            "InvalidSchema: .properties.l.x-kubernetes-list-map-keys[1]: \"k\" is listed already, as [0]",
            "InvalidSchema: .required[2]: \"a\" is listed already, as [0]",
        ],
    );
    check_mistakes(
        json!({"enum": [1, "1", 2, 1.0, {"a": [1, 2], "b": 1}, {"b": 1.0, "a": [1.0, 2]}]}),
        &[
            "InvalidSchema: .enum[3]: 1.0 is listed already, as [0]",
            "InvalidSchema: .enum[5]: {\"a\":[1.0,2],\"b\":1.0} is listed already, as [4]",
        ],
    );
}

#[test]
fn a_schema_of_another_draft_is_refused() {
    for known in ["http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft-04/schema"] {
        check_mistakes(json!({"$schema": known, "type": "object"}), &[]);
    }
    let words = |shown: &str| {
        format!(
            "InvalidSchema: .$schema: may be one of draft-04, draft-06, draft-07 of json-schema.org, is {shown}; leave it out, this is an OpenAPI v3 schema"
        )
    };
    let newer = "https://json-schema.org/draft/2020-12/schema";
    check_mistakes(json!({"$schema": newer}), &[&words(&format!("\"{newer}\""))]);
    check_mistakes(json!({"$schema": "draft-07"}), &[&words("\"draft-07\"")]);
    let id = "is not supported: references begin at the root of this schema";
    check_mistakes(
        json!({"$id": "https://example.com/s", "properties": {"id": {"id": "#a"}}}),
        &[&format!("InvalidSchema: .$id: {id}"), &format!("InvalidSchema: .properties.id.id: {id}")],
    );
}

#[test]
fn types_are_known_through_alternatives() {
    let types = |schema: Value| match compiled(&schema).at(&[]) {
        Known::Schema(schema) => schema.types(),
        _ => None,
    };
    let is = |schema: Value, expected: Option<&str>| {
        assert_eq!(types(schema.clone()).as_deref(), expected, "{schema}");
    };
    is(json!({"allOf": [{"type": "string"}, {"minLength": 1}]}), Some("string"));
    is(json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}), Some("string or integer"));
    is(json!({"oneOf": [{"type": "string"}, {"enum": [true]}]}), Some("string or boolean"));
    is(json!({"anyOf": [{"type": "string"}, {}]}), None);
    is(json!({"type": "number", "allOf": [{"type": "integer"}]}), Some("integer"));
    is(
        json!({"anyOf": [{"type": "string"}, {"type": "integer"}], "oneOf": [{"type": "number"}, {"type": "array"}]}),
        Some("integer"),
    );
    is(json!({"not": {"type": "string"}}), None);
    let differ = |producer: Value, consumer: Value| {
        let (producer, consumer) = (compiled(&producer), compiled(&consumer));
        mismatch(producer.at(&[]), consumer.at(&[]))
    };
    let text = json!({"type": "string"});
    assert_eq!(
        differ(text.clone(), json!({"anyOf": [{"type": "integer"}, {"type": "boolean"}]})).unwrap(),
        "string, and integer or boolean is wanted"
    );
    assert_eq!(
        differ(json!({"allOf": [{"type": "integer"}]}), text.clone()).unwrap(),
        "integer, and string is wanted"
    );
    assert_eq!(differ(json!({"oneOf": [{"type": "integer"}, {"type": "string"}]}), text), None);
}

#[test]
fn what_is_likely_misspelt_is_told_with_what_is_declared() {
    let schema = compiled(&json!({"properties": {
        "owner": {"properties": {"email": {}}}, "open": {"properties": {"a": {}}, "additionalProperties": true},
        "kept": {"properties": {"a": {}}, "x-kubernetes-preserve-unknown-fields": true}, "bare": {"type": "object"},
        "map": {"additionalProperties": {"properties": {"b": {}}}}, "list": {"items": {"properties": {"c": {}}}},
        "closed": {"properties": {"a": {}}, "additionalProperties": false},
        "either": {"properties": {"a": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
    }}));
    let odd = |path: &str| {
        let path = Path::parse(&format!("x.{path}")).unwrap();
        schema.undeclared(path.rest()).map(|undeclared| (undeclared.length, undeclared.has.join(" ")))
    };
    let told = |length: usize, has: &str| Some((length, has.to_owned()));
    assert_eq!(odd("ownr.email"), told(1, "bare closed either kept list map open owner"));
    assert_eq!(odd("owner.emial.x"), told(2, "email"));
    assert_eq!(odd("map.any.c"), told(3, "b"));
    assert_eq!(odd("list[0].d"), told(3, "c"));
    for fine in
        ["owner.email.x", "open.b", "kept.b", "bare.x", "map.any.b", "closed.b", "either.b", "list[1]"]
    {
        assert_eq!(odd(fine), None, "{fine}");
    }
}

#[test]
fn a_text_of_many_violations_keeps_its_count() {
    let names: Vec<String> = (0..40).map(|at| format!("p{at:02}")).collect();
    let schema = compiled(
        &json!({"required": names, "properties": {"p00": {"enum": ["x".repeat(50), "y".repeat(50), "z".repeat(50)]}}}),
    );
    let violations = schema.validate(&json!({"p00": "<".repeat(80)}), "outputs");
    assert_eq!(violations.len(), 40);
    for limit in [200, 400, 768, 1024, 10_000] {
        let text = text_within(&violations, limit);
        let shown = text.lines().count() - 1;
        assert!(text.ends_with(&format!("\nand {} more", 40 - shown)), "{limit}: {text}");
        assert!(stored_text_bytes(&text) <= limit, "{limit}: {text}");
        assert!(text.starts_with("outputs.p00: may be one of "), "{limit}: {text}");
    }
    let few = text_within(&violations[1..3], 1024);
    assert_eq!(few, "outputs.p01: required\noutputs.p02: required");
}

#[test]
fn integers_are_compared_exactly() {
    let max = json!({"maximum": 9_007_199_254_740_992_i64});
    check(max.clone(), json!(9_007_199_254_740_992_i64), &[]);
    check(
        max,
        json!(9_007_199_254_740_993_i64),
        &["spec.input.a: must be at most 9007199254740992, got 9007199254740993"],
    );
    check(json!({"enum": [i64::MAX]}), json!(i64::MAX), &[]);
    check(
        json!({"enum": [i64::MAX - 1]}),
        json!(i64::MAX),
        &["spec.input.a: may be one of 9223372036854775806, got 9223372036854775807"],
    );
    check(
        json!({"multipleOf": 2}),
        json!(i64::MAX),
        &["spec.input.a: must be a multiple of 2, got 9223372036854775807"],
    );
    let schema = compiled(&json!({"properties": {"b": {"default": 9_007_199_254_740_993_i64}}}));
    let filled = schema.with_defaults(json!({"a": i64::MIN}).as_object().unwrap()).unwrap();
    assert_eq!(Value::Object(filled), json!({"a": i64::MIN, "b": 9_007_199_254_740_993_i64}));
}

#[test]
fn mistakes_in_a_schema_are_all_told_with_their_places() {
    check_mistakes(
        json!({"openAPIV3Schema": {
            "type": "objekt",
            "requierd": ["a"],
            "properties": {
                "a": {"type": ["string", "null"]},
                "b": {"items": [{"type": "string"}]},
                "c": {"enum": []},
                "d.e": {"minLength": -1},
                "f": {"pattern": 3},
                "g": true,
                "h": {"required": true},
                "i": {"multipleOf": 0},
                "j": {"if": {}},
                "k": {"nullable": "yes"},
                "l": {"allOf": {}},
                "m": {"x-kubernetes-list-type": "bag"},
                "n": {"x-kubernetes-validations": [{"rule": "true"}]},
                "o": {"not": {"default": 1}},
                "p": {"properties": []},
            },
        }}),
        &[
            "InvalidSchema: .openAPIV3Schema.properties.a.type: may be one of object, array, string, integer, number, boolean, is [\"string\",\"null\"]",
            "InvalidSchema: .openAPIV3Schema.properties.b.items: must be one schema for all items, is a list",
            "InvalidSchema: .openAPIV3Schema.properties.c.enum: must be a list with at least one element, is an empty list",
            "InvalidSchema: .openAPIV3Schema.properties[\"d.e\"].minLength: must be a whole number from 0, is -1",
            "InvalidSchema: .openAPIV3Schema.properties.f.pattern: must be a string, is 3",
            "InvalidSchema: .openAPIV3Schema.properties.g: must be an object with a schema, is true",
            "InvalidSchema: .openAPIV3Schema.properties.h.required: must be a list of strings, is true",
            "InvalidSchema: .openAPIV3Schema.properties.i.multipleOf: must be a number above 0, is 0",
            "InvalidSchema: .openAPIV3Schema.properties.j.if: is no keyword of an OpenAPI v3 schema",
            "InvalidSchema: .openAPIV3Schema.properties.k.nullable: must be true or false, is \"yes\"",
            "InvalidSchema: .openAPIV3Schema.properties.l.allOf: must be a list with at least one element, is an object",
            "InvalidSchema: .openAPIV3Schema.properties.m.x-kubernetes-list-type: may be atomic, set or map, is \"bag\"",
            "InvalidSchema: .openAPIV3Schema.properties.n.x-kubernetes-validations: is not supported: say it with the other keywords, or in an activity's when",
            "InvalidSchema: .openAPIV3Schema.properties.o.not.default: has no meaning inside of allOf, anyOf, oneOf and not; put it under properties",
            "InvalidSchema: .openAPIV3Schema.properties.p.properties: must be an object, is an empty list",
            "InvalidSchema: .openAPIV3Schema.requierd: is no keyword of an OpenAPI v3 schema (did you mean \"required\"?)",
            "InvalidSchema: .openAPIV3Schema.type: may be one of object, array, string, integer, number, boolean, is \"objekt\" (did you mean \"object\"?)",
        ],
    );
}

#[test]
fn patterns_are_those_of_the_api_server() {
    check_mistakes(
        json!({"properties": {"a": {"pattern": "(?=x)"}, "b": {"pattern": "(a)\\1"}, "c": {"pattern": "a("}}}),
        &[
            "InvalidSchema: .properties.a.pattern: UnsupportedPattern: look-around and back-references cannot be matched in linear time",
            "InvalidSchema: .properties.b.pattern: UnsupportedPattern: look-around and back-references cannot be matched in linear time",
            "InvalidSchema: .properties.c.pattern: is no regular expression (RE2 syntax): unclosed group",
        ],
    );
    check(
        json!({"pattern": "^(a+)+$"}),
        json!(format!("{}!", "a".repeat(50_000))),
        &[&format!("spec.input.a: must match ^(a+)+$, got \"{}…", "a".repeat(59))],
    );
    // Digits are ASCII, a class may hold brackets, and a pattern matches anywhere.
    check(json!({"pattern": "^\\d$"}), json!("٣"), &["spec.input.a: must match ^\\d$, got \"٣\""]);
    check(json!({"pattern": "^[[:alpha:][&&~~-]+$"}), json!("a[&~-"), &[]);
    check(json!({"pattern": "^[]a]$"}), json!("]"), &[]);
    check(json!({"pattern": "\\w[^\\D]"}), json!("..x1.."), &[]);
    check(json!({"pattern": "(?i)^\\Aabc\\z"}), json!("ABC"), &[]);
    check(json!({"pattern": "^x"}), json!(3), &[]);
}

#[test]
fn references_lead_inside_the_schema_only() {
    let schema = |reference: &str| json!({"definitions": {"p": {"type": "integer", "default": 3}}, "properties": {"a": {"$ref": reference}}});
    let good = compiled(&schema("#/definitions/p"));
    assert_eq!(text(&good.validate(&json!({"a": "x"}), "in")), "in.a: expected integer, got string \"x\"");
    assert_eq!(Value::Object(good.with_defaults(&Object::new()).unwrap()), json!({"a": 3}));
    for remote in ["http://127.0.0.1:1/x.json", "file:///etc/passwd", "other.json#/a", "//host/x", "urn:x:y"]
    {
        check_mistakes(
            schema(remote),
            &[&format!(
                "InvalidSchema: .properties.a.$ref: RemoteRefForbidden: {remote:?} leads out of the schema, nothing is fetched; use #/definitions/…"
            )],
        );
    }
    check_mistakes(
        schema("#/definitions/q"),
        &[
            "InvalidSchema: .properties.a.$ref: there is nothing at \"#/definitions/q\"; references are JSON pointers from the root of the schema",
        ],
    );
    check_mistakes(
        schema("#anchor"),
        &[
            "InvalidSchema: .properties.a.$ref: there is nothing at \"#anchor\"; references are JSON pointers from the root of the schema",
        ],
    );
    check_mistakes(schema("#"), &["InvalidSchema: .properties.a.$ref: RefCycle: # -> #"]);
}

#[test]
fn no_reference_is_followed_out_of_the_schema() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/schema.json", listener.local_addr().unwrap());
    let schemas = [
        json!({"$ref": url}),
        json!({"$id": url, "properties": {"a": {"$ref": "schema.json#/b"}}}),
        json!({"$schema": url, "id": url, "type": "object"}),
        json!({"$ref": "#/definitions/a", "definitions": {"a": {"$ref": url}}}),
    ];
    let refused =
        schemas.iter().filter(|schema| mistakes(schema).iter().any(|it| it.contains("RemoteRefForbidden")));
    assert_eq!(refused.count(), 3);
    assert_eq!(listener.accept().map_err(|error| error.kind()).err(), Some(std::io::ErrorKind::WouldBlock));
}

#[test]
fn a_reference_may_say_more_beside() {
    let schema = compiled(&json!({"openAPIV3Schema": {
        "$defs": {"name": {"type": "string", "minLength": 2}, "o": {"properties": {"x": {"type": "integer", "default": 1}}}},
        "properties": {
            "a": {"$ref": "#/$defs/name", "maxLength": 3},
            "b": {"$ref": "#/$defs/name", "default": "xy", "description": "b"},
            "c": {"$ref": "#/$defs/o", "required": ["y"], "default": {"y": 1}},
        },
    }}));
    assert_eq!(
        text(&schema.validate(&json!({"a": "x", "b": "x", "c": {"x": "z"}}), "in"))
            .lines()
            .collect::<Vec<_>>(),
        [
            "in.a: must have at least 2 characters, has 1",
            "in.b: must have at least 2 characters, has 1",
            "in.c.x: expected integer, got string \"z\"",
            "in.c.y: required",
        ]
    );
    assert_eq!(
        text(&schema.validate(&json!({"a": "wxyz"}), "in")),
        "in.a: must have at most 3 characters, has 4"
    );
}

#[test]
fn circles_of_references_are_told() {
    check_mistakes(
        json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}),
        &["InvalidSchema: .$defs.b.items.$ref: RefCycle: #/$defs/a -> #/$defs/b -> #/$defs/a"],
    );
    check_mistakes(
        json!({"properties": {"child": {"$ref": "#"}}}),
        &["InvalidSchema: .properties.child.$ref: RefCycle: # -> #"],
    );
}

#[test]
fn a_schema_bomb_is_told_its_limit() {
    let over = |schema: Value, expected: &str| {
        let found = mistakes(&schema);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(expected), "{found:?}");
    };
    over(
        json!({"description": "x".repeat(MAX_SIZE)}),
        "LimitExceeded: : SchemaTooLarge: a schema has at most 32768 bytes",
    );
    let nested = |levels: usize| (1..levels).fold(json!({}), |inner, _| json!({"items": inner}));
    assert_eq!(mistakes(&nested(MAX_DEPTH)), [""; 0]);
    over(
        nested(MAX_DEPTH + 1),
        "a schema has at most 32 levels of schemas inside each other, references followed",
    );
    let wide = |count: usize| {
        let properties: Object = (0..count).map(|index| (format!("p{index}"), json!({}))).collect();
        json!({"properties": properties})
    };
    assert_eq!(mistakes(&wide(MAX_PROPERTIES)), [""; 0]);
    over(
        wide(MAX_PROPERTIES + 1),
        "LimitExceeded: .properties: a schema has at most 500 properties in total",
    );
    // Twenty levels of two references each would be a million schemas.
    let level = |index: usize| {
        let below = json!({"$ref": format!("#/definitions/l{}", index + 1)});
        (format!("l{index}"), json!({"allOf": [below, below]}))
    };
    let mut levels: Object = (0..20).map(level).collect();
    levels.insert("l20".to_owned(), json!({"type": "string"}));
    over(
        json!({"definitions": levels.clone(), "$ref": "#/definitions/l0"}),
        "a schema has at most 32 levels of schemas",
    );
    let eight: Object =
        levels.into_iter().filter(|(name, _)| name.len() == 2 && name.as_str() < "l8").collect();
    let eight: Object = eight.into_iter().chain([("l8".to_owned(), json!({"type": "string"}))]).collect();
    over(
        json!({"definitions": eight, "$ref": "#/definitions/l0"}),
        "a schema has at most 100 references in total",
    );
    let all_of = (0..20).fold(json!({"minimum": 1}), |inner, _| json!({"allOf": [inner]}));
    assert_eq!(mistakes(&all_of), [""; 0]);
    let many = vec![json!({}); MAX_NODES];
    over(json!({"anyOf": many}), "a schema has at most 2000 schemas in total");
    over(json!({"allOf": vec![json!({"items": {}}); MAX_OVERLAP]}), "at most 256 alternatives of allOf");
    let chain: Object = (0..40)
        .map(|index| (format!("c{index:02}"), json!({"$ref": format!("#/$defs/c{:02}", index + 1)})))
        .collect();
    over(json!({"$defs": chain, "$ref": "#/$defs/c00"}), "a schema has at most 32 levels of schemas");
}

#[test]
fn a_regex_bomb_is_told_its_limit() {
    let of = |pattern: &str| mistakes(&json!({"pattern": pattern}));
    let too_large = "LimitExceeded: .pattern: UnsupportedPattern: the pattern is too large, its repetitions multiply; for lengths there are minLength and maxLength";
    assert_eq!(of("(((a{100}){100}){100}){100}"), [too_large]);
    assert_eq!(of("(\\pL{1000}){1000}"), [too_large]);
    assert_eq!(
        of(&"a".repeat(1025)),
        ["LimitExceeded: .pattern: a pattern has at most 1024 characters, this one has 1025"]
    );
    assert!(of(&"(".repeat(1000)).iter().all(|mistake| mistake.contains("is no regular expression")));
    let many = |count: usize, pattern: &dyn Fn(usize) -> String| {
        let pattern_of = |index: usize| (format!("p{index:03}"), json!({"pattern": pattern(index)}));
        mistakes(&json!({"properties": (0..count).map(pattern_of).collect::<Object>()}))
    };
    let large = |index: usize| format!("^.{{1,{}}}$", 60 + index);
    assert_eq!(many(MAX_LARGE_PATTERNS, &large), [""; 0]);
    assert_eq!(
        many(MAX_LARGE_PATTERNS + 3, &large),
        ["LimitExceeded: .properties.p016.pattern: a schema has at most 16 patterns with large repetitions"]
    );
    let small = |index: usize| format!("^[a-z]{{{index}}}$");
    assert_eq!(many(MAX_PATTERNS, &small), [""; 0]);
    assert_eq!(
        many(MAX_PATTERNS + 3, &small),
        ["LimitExceeded: .properties.p200.pattern: a schema has at most 200 different patterns"]
    );
    // Equal patterns are compiled once, and nothing is tried after one that is too large.
    assert_eq!(many(MAX_PROPERTIES, &|_| "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$".to_owned()), [""; 0]);
    assert_eq!(many(100, &|index| format!("((a{{100}}){{100}}){{{}}}", index + 100)).len(), 1);
}

#[test]
fn of_a_flood_of_violations_the_first_is_told() {
    let alternatives: Vec<Value> = (0..200).map(|bound| json!({"minimum": bound})).collect();
    let schema = compiled(&json!({"items": {"allOf": alternatives}}));
    let found = |count: usize| schema.validate(&Value::from(vec![-1; count]), "x").len();
    assert_eq!(found(10), 2_000);
    assert_eq!(found(MAX_WORK / 200), 1);
}

#[test]
fn defaults_fill_in_what_is_missing() {
    let schema = compiled(&json!({"type": "object", "properties": {
        "a": {"type": "integer", "default": 3},
        "kept": {"type": "string", "default": "x"},
        "null": {"type": "string", "default": "y"},
        "o": {"type": "object", "default": {}, "properties": {"p": {"type": "boolean", "default": true}}},
        "empty": {"type": "object", "properties": {"p": {"type": "boolean", "default": true}}},
        "absent": {"type": "object", "properties": {"p": {"type": "boolean", "default": true}}},
        "l": {"type": "array", "default": [{}, {"k": 1}], "items": {"properties": {"k": {"default": 0}}}},
        "map": {"type": "object", "additionalProperties": {"properties": {"v": {"default": "w"}}}},
        "wrong": {"type": "object", "properties": {"p": {"default": 1}}},
    }}));
    let value =
        json!({"kept": "", "null": null, "empty": {}, "map": {"one": {}, "two": {"v": 1}}, "wrong": 5});
    let filled = schema.with_defaults(value.as_object().unwrap()).unwrap();
    assert_eq!(
        Value::Object(filled),
        json!({
            "a": 3, "kept": "", "null": "y", "o": {"p": true}, "empty": {"p": true},
            "l": [{"k": 0}, {"k": 1}], "map": {"one": {"v": "w"}, "two": {"v": 1}}, "wrong": 5,
        })
    );
}

#[test]
fn a_default_must_be_a_value_that_its_schema_allows() {
    check_mistakes(
        json!({"properties": {
            "a": {"type": "integer", "default": "3"},
            "b": {"type": "object", "default": {"c": {}}, "required": ["z"], "properties": {
                "c": {"required": ["d"], "properties": {"d": {"default": 1}}},
                "e": {"type": "array", "default": [1, "x"], "items": {"type": "integer"}},
            }},
            "good": {"type": "object", "default": {}, "required": ["x"], "properties": {"x": {"default": 1}}},
        }}),
        &[
            "InvalidSchema: .properties.a.default: expected integer, got string \"3\"",
            "InvalidSchema: .properties.b.properties.e.default[1]: expected integer, got string \"x\"",
            "InvalidSchema: .properties.b.default.e[1]: expected integer, got string \"x\"",
            "InvalidSchema: .properties.b.default.z: required",
        ],
    );
}

#[test]
fn defaults_that_multiply_end_somewhere() {
    let long = "x".repeat(10_000);
    let schema = compiled(&json!({"properties": {"l": {"items": {"properties": {"d": {"default": long}}}}}}));
    let filled =
        |count: usize| schema.with_defaults(json!({"l": vec![json!({}); count]}).as_object().unwrap());
    let all = filled(104).unwrap();
    let lacking = all["l"].as_array().unwrap().iter().filter(|element| element.get("d").is_none()).count();
    assert_eq!(lacking, 0, "104 times 10,003 bytes are within the limit");
    assert_eq!(filled(105), Err(TooLarge), "none is left out in silence");
    check_mistakes(
        json!({"properties": {"l": {
            "default": vec![json!({}); 100], "items": {"properties": {"d": {"default": "x".repeat(20_000)}}}
        }}}),
        &[
            "LimitExceeded: .properties.l.default: the defaults inside of it may have at most 1048576 bytes together",
        ],
    );
}

#[test]
fn the_top_level_is_told() {
    let schema = compiled(&json!({
        "required": ["a", "b", "c"],
        "properties": {"c": {"default": 1}, "b": {}, "d": {}},
        "allOf": [{"required": ["d"]}],
    }));
    assert_eq!(schema.required().collect::<Vec<_>>(), ["a", "b", "d"]);
    assert_eq!(schema.properties().collect::<Vec<_>>(), ["b", "c", "d"]);
    assert!(schema.has_default("c") && !schema.has_default("b") && !schema.has_default("zzz"));
    assert!(!schema.is_closed());
    assert!(compiled(&json!({"additionalProperties": false})).is_closed());
}

/// What a schema knows at a path, in words.
fn known(schema: &Value, path: &str) -> String {
    let path = Path::parse(&format!("x.{path}")).unwrap();
    match compiled(schema).at(path.rest()) {
        Known::Anything => "anything".to_owned(),
        Known::Absent { has } => format!("absent, has {}", has.join(" ")),
        Known::Schema(schema) => schema.types().unwrap_or_else(|| "any type".to_owned()),
    }
}

#[test]
fn what_is_known_at_a_path() {
    let schema = json!({
        "type": "object",
        "properties": {
            "s": {"type": "string"},
            "o": {"type": "object", "additionalProperties": false, "properties": {"b": {"type": "boolean"}, "a": {}}},
            "l": {"type": "array", "items": {"properties": {"n": {"type": "number"}}}},
            "m": {"type": "object", "additionalProperties": {"type": "integer"}},
            "r": {"$ref": "#/$defs/r", "description": "x", "minProperties": 1},
            "p": {"x-kubernetes-int-or-string": true},
            "c": {"allOf": [{"properties": {"z": {"type": "array"}}}]},
        },
        "$defs": {"r": {"type": "object", "properties": {"q": {"enum": ["x", 1]}}}},
    });
    let check = |path: &str, expected: &str| assert_eq!(known(&schema, path), expected, "{path}");
    check("s", "string");
    check("s.t", "absent, has ");
    check("s[0]", "absent, has ");
    check("o.b", "boolean");
    check("o.a", "any type");
    check("o.c", "absent, has a b");
    check("l", "array");
    check("l[3].n", "number");
    check("l[3].other", "anything");
    check("l.n", "absent, has ");
    check("m.any", "integer");
    check("r.q", "string or integer");
    check("p", "string or integer");
    check("p.x", "absent, has ");
    check("c.z", "array");
    check("unknown", "anything");
}

fn check_mismatch(producer: Value, consumer: Value, expected: Option<&str>) {
    let (from, to) = (compiled(&producer), compiled(&consumer));
    assert_eq!(mismatch(from.at(&[]), to.at(&[])).as_deref(), expected, "{producer} -> {consumer}");
}

#[test]
fn only_what_is_known_to_be_wrong_is_a_mismatch() {
    let of = |word: &str| json!({"type": word});
    check_mismatch(of("string"), of("integer"), Some("string, and integer is wanted"));
    check_mismatch(of("integer"), of("number"), None);
    check_mismatch(of("number"), of("integer"), Some("number, and integer is wanted"));
    check_mismatch(of("integer"), json!({}), None);
    check_mismatch(json!({}), of("integer"), None);
    check_mismatch(json!({"x-kubernetes-int-or-string": true}), of("integer"), None);
    check_mismatch(
        json!({"x-kubernetes-int-or-string": true}),
        of("boolean"),
        Some("string or integer, and boolean is wanted"),
    );
    check_mismatch(json!({"enum": ["a"]}), json!({"enum": ["a", "b"]}), None);
    check_mismatch(
        json!({"enum": ["a", "c"]}),
        json!({"enum": ["a", "b"]}),
        Some("may be \"c\", and one of \"a\", \"b\" is wanted"),
    );
    check_mismatch(json!({"type": "string"}), json!({"enum": ["a"]}), None);
    check_mismatch(json!({"enum": ["a"]}), of("integer"), Some("string, and integer is wanted"));
    let list = |item: Value| json!({"type": "array", "items": item});
    check_mismatch(list(of("string")), list(of("integer")), Some("[]: string, and integer is wanted"));
    let object = |properties: Value| json!({"type": "object", "properties": properties});
    check_mismatch(
        object(json!({"a": list(object(json!({"b": of("string")})))})),
        object(json!({"a": list(object(json!({"b": of("object")})))})),
        Some(".a[].b: string, and object is wanted"),
    );
    let closed = |properties: Value, required: Value| json!({"properties": properties, "additionalProperties": false, "required": required});
    check_mismatch(json!({"properties": {"a": {}}}), closed(json!({"a": {}, "b": {}}), json!(["b"])), None);
    check_mismatch(
        closed(json!({"a": {}}), json!(["a"])),
        closed(json!({"a": {}, "b": {}}), json!(["b"])),
        Some("never has \"b\", which is wanted"),
    );
    check_mismatch(
        json!({"required": ["z"]}),
        closed(json!({"a": {}}), json!([])),
        Some("always has \"z\", which is not allowed"),
    );
    let either = |type_: &str| json!({"anyOf": [{"type": type_}], "items": of("string")});
    check_mismatch(either("array"), list(of("integer")), None);
    check_mismatch(either("string"), list(of("integer")), Some("string, and array is wanted"));
    let integer = compiled(&of("integer"));
    assert_eq!(mismatch(Known::Anything, integer.at(&[])), None);
    assert_eq!(mismatch(Known::Absent { has: Vec::new() }, integer.at(&[])), None);
}

/// Any JSON, not very large.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e6..1e6).prop_map(Value::from),
        "[a-d]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Something like a schema: keywords with values that are mostly of their type.
fn any_schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({})),
        "(object|array|string|integer|number|boolean)".prop_map(|word| json!({"type": word})),
        any_json().prop_map(|default| json!({"default": default})),
        any_json().prop_map(|value| json!({"enum": [value]})),
        "[a-d().*+?{}0-9\\\\|^$\\[\\]-]{0,8}".prop_map(|pattern| json!({"pattern": pattern})),
        (0..4_u64).prop_map(|least| json!({"minLength": least, "minItems": least, "minimum": least})),
        "#(/properties/[a-d]|/definitions/[a-d])?".prop_map(|reference| json!({"$ref": reference})),
        "[a-z]{1,12}"
            .prop_flat_map(|keyword| any_json().prop_map(move |value| json!({keyword.clone(): value}))),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let members = prop::collection::btree_map("[a-d]", inner.clone(), 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()));
        let list = prop::collection::vec(inner.clone(), 1..3).prop_map(Value::from);
        (members, list, inner, prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..3), any::<bool>())
            .prop_map(|(members, list, one, required, closed)| {
                let mut schema = json!({"properties": members, "definitions": members, "required": required, "items": one});
                if closed {
                    schema["additionalProperties"] = json!(false);
                } else {
                    schema["anyOf"] = list;
                }
                schema
            })
    })
}

proptest! {
    #[test]
    fn nothing_makes_a_schema_panic(schema in any_schema(), value in any_json()) {
        let schema = schema.as_object().cloned().unwrap_or_default();
        match Schema::compile(&schema) {
            Err(mistakes) => prop_assert!(!mistakes.is_empty()),
            Ok(schema) => {
                let found = schema.validate(&value, "x");
                prop_assert_eq!(&found, &schema.validate(&value, "x"));
                if let Value::Object(object) = &value {
                    let filled = schema.with_defaults(object).unwrap();
                    prop_assert_eq!(&schema.with_defaults(&filled).unwrap(), &filled);
                    for (name, member) in object.iter().filter(|(_, member)| member.is_number() || member.is_string()) {
                        prop_assert_eq!(filled.get(name), Some(member));
                    }
                }
            }
        }
    }

    #[test]
    fn a_schema_agrees_with_itself(schema in any_schema()) {
        if let Ok(schema) = Schema::compile(schema.as_object().unwrap_or(&Object::new())) {
            prop_assert_eq!(mismatch(schema.at(&[]), schema.at(&[])), None);
        }
    }

    #[test]
    fn any_json_is_read_as_a_schema_without_panic(schema in any_json()) {
        let _ = Schema::compile(schema.as_object().unwrap_or(&Object::new()));
    }

    #[test]
    fn any_text_is_read_as_a_pattern_without_panic(pattern in "\\PC{0,20}", value in "\\PC{0,10}") {
        if let Ok(schema) = Schema::compile(json!({"pattern": pattern}).as_object().unwrap()) {
            let _ = schema.validate(&Value::from(value), "x");
        }
    }
}

#[test]
fn where_no_property_is_declared_each_member_is_unknown() {
    let closed = json!({"type": "object", "additionalProperties": false});
    let told = |value: &Value| {
        let violations = compiled(&closed).validate(value, "spec.input");
        violations.iter().map(|violation| format!("{} {violation}", violation.rule)).collect::<Vec<_>>()
    };
    let unknown =
        |path: &str| format!("additionalProperties spec.input{path}: unknown property (there are none)");
    assert_eq!(told(&json!({})), [""; 0]);
    assert_eq!(told(&json!({"k2": 2, "k1": {}, "a.b": 0})), [r#"["a.b"]"#, ".k1", ".k2"].map(unknown));
    check(closed.clone(), json!({"x": 1}), &["spec.input.a.x: unknown property (there are none)"]);
}
