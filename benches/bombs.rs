//! Bombs: what is small to write and large to work out. Every one of them is to be answered within 100 ms.
//!
//! Responsible for: what the limits of schemas, patterns and expressions refuse, and the worst that they let through.

use orchestrator::api::ActivityDefinitionSpec;
use orchestrator::api::common::Object;
use orchestrator::api::orchestration_definition::OrchestrationDefinitionSpec;
use orchestrator::engine::acceptance::{INPUT, check_input};
use orchestrator::engine::definition::{TypeState, compile};
use orchestrator::engine::expression::{Expression, Scope};
use orchestrator::engine::problem::Problem;
use orchestrator::engine::schema::{
    MAX_LARGE_PATTERNS, MAX_NODES, MAX_OVERLAP, MAX_PATTERNS, MAX_PROPERTIES, Schema,
};
use serde_json::{Value, json};

use super::show;

/// Runs all of them.
pub fn run() {
    println!("\nbombs: each is to be answered within 100 ms; the median counts");
    for (name, schema) in schemas() {
        let spec = definition("schema", schema);
        show(&format!("schema: {name}"), None, || compiled(&spec));
    }
    for (name, schema, input) in inputs() {
        let (schema, input) = (Schema::compile_object(&object(&schema)).unwrap(), object(&input));
        show(&format!("input: {name}"), None, || check_input("bomb", Some(&schema), Some(&input), INPUT));
    }
    for (name, when) in conditions() {
        let spec = definition("when", json!(when));
        show(&format!("when, compiled: {name}"), None, || compiled(&spec));
    }
    let scope = object(&json!({
        "l": (0..1000).collect::<Vec<_>>(), "t": "a".repeat(60_000), "words": vec!["a".repeat(50); 1000],
    }));
    for (name, when) in evaluations() {
        let when = Expression::compile(when).unwrap();
        show(&format!("when, evaluated: {name}"), None, || when.evaluate(&Scope::new(&scope)));
    }
}

/// Refused, or at the limit and let through.
fn schemas() -> Vec<(&'static str, Value)> {
    let doubled = |levels: usize| {
        let level = |at: usize| {
            let below = json!({"$ref": format!("#/definitions/l{}", at + 1)});
            (format!("l{at}"), json!({"allOf": [below, below]}))
        };
        let last = (format!("l{levels}"), json!({"type": "object"}));
        let levels: Object = (0..levels).map(level).chain([last]).collect();
        json!({"definitions": levels, "$ref": "#/definitions/l0"})
    };
    let properties = |count: usize, of: &dyn Fn(usize) -> Value| {
        let properties: Object = (0..count).map(|at| (format!("p{at}"), of(at))).collect();
        json!({"type": "object", "properties": properties})
    };
    let nested = |levels: usize, wrap: &dyn Fn(Value) -> Value| {
        (0..levels).fold(json!({"type": "object"}), |inner, _| wrap(inner))
    };
    let multiplied = |at: usize| json!({"pattern": format!("(\\pL{{1000}}){{{}}}", at + 900)});
    let large = |at: usize| json!({"pattern": format!("^.{{1,{}}}$", 60 + at)});
    let small = |at: usize| json!({"pattern": format!("^[a-z]{{{at}}}$")});
    let default = json!({"properties": {"d": {"default": "x".repeat(20_000)}}});
    vec![
        ("a megabyte", json!({"type": "object", "description": "x".repeat(1 << 20)})),
        ("references that double 20 times", doubled(20)),
        ("references that double 5 times", doubled(5)),
        ("allOf, 20 deep", nested(20, &|inner| json!({"allOf": [inner]}))),
        ("properties, 100 deep", nested(100, &|inner| json!({"properties": {"a": inner}}))),
        ("10,000 properties", properties(10_000, &|_| json!({}))),
        ("500 properties", properties(MAX_PROPERTIES, &|_| json!({"type": "string", "maxLength": 9}))),
        ("1,997 schemas", json!({"properties": {"a": {"anyOf": vec![json!({}); MAX_NODES - 3]}}})),
        ("255 alternatives", json!({"anyOf": vec![json!({"type": "object"}); MAX_OVERLAP - 1]})),
        ("a pattern that multiplies", properties(1, &|_| json!({"pattern": "(((a{100}){100}){100}){100}"}))),
        ("500 patterns that multiply", properties(MAX_PROPERTIES, &multiplied)),
        ("16 large patterns", properties(MAX_LARGE_PATTERNS, &large)),
        ("200 patterns", properties(MAX_PATTERNS, &small)),
        (
            "defaults that multiply",
            json!({"properties": {"l": {"default": vec![json!({}); 1000], "items": default}}}),
        ),
    ]
}

/// Schemas with inputs of nearly 64 KiB.
fn inputs() -> Vec<(&'static str, Value, Value)> {
    let of = |schema: Value| json!({"type": "object", "properties": {"a": schema}});
    let pattern = |pattern: &str| of(json!({"type": "string", "pattern": pattern}));
    let text = json!({"a": format!("{}!", "a".repeat(65_000))});
    let list = json!({"a": vec![0; 30_000]});
    let different = json!({"a": (0..11_000).collect::<Vec<_>>()});
    let alternatives: Vec<Value> = (0..MAX_OVERLAP - 2).map(|at| json!({"minimum": at + 1})).collect();
    let default = json!({"properties": {"d": {"default": "x".repeat(20_000)}}});
    vec![
        ("^(a+)+$, 65,000 letters", pattern("^(a+)+$"), text.clone()),
        ("(a|a|aa)*b, 65,000 letters", pattern("(a|a|aa)*b"), text.clone()),
        ("(.*)(.*)(.*)(.*)x$, 65,000 letters", pattern("(.*)(.*)(.*)(.*)x$"), text.clone()),
        ("(.{1,70}){1,2}x, 65,000 letters", pattern("(.{1,70}){1,2}x"), text),
        ("30,000 elements, 254 alternatives", of(json!({"items": {"anyOf": alternatives}})), list.clone()),
        ("30,000 elements, all wrong", of(json!({"items": {"type": "string"}})), list),
        ("11,000 elements, all different", of(json!({"uniqueItems": true})), different),
        (
            "20,000 elements with defaults",
            of(json!({"items": default})),
            json!({"a": vec![json!({}); 20_000]}),
        ),
    ]
}

/// Expressions that are refused for what they are, or are as large as may be.
fn conditions() -> Vec<(&'static str, String)> {
    let multiplied = "input.a.matches('(\\\\pL{1000}){999}')";
    vec![
        ("4,096 characters", format!("input.a == '{}'", "x".repeat(4_083))),
        ("500 names", vec!["true"; 250].join(" && ")),
        ("brackets", "(".repeat(4_000)),
        ("loops in loops", "[1].all(a, [1].all(b, [1].all(c, [1].all(d, true))))".to_owned()),
        ("a pattern that multiplies", multiplied.to_owned()),
        ("30 patterns that multiply", vec![multiplied; 30].join(" && ")),
        ("400 characters that are none of CEL", "\u{a7}".repeat(400)),
    ]
}

/// What is refused as too costly, and what just is not.
fn evaluations() -> Vec<(&'static str, &'static str)> {
    vec![
        ("three loops", "input.l.all(x, input.l.all(y, input.l.all(z, x + y + z >= 0)))"),
        ("two loops", "input.l.all(x, input.l.all(y, x + y >= 0))"),
        (
            "a list that doubles",
            "input.l.map(a, [a, a]).map(a, [a, a]).map(a, [a, a]).map(a, [a, a]).size() == 1",
        ),
        ("a text that grows", "input.t.replace('a', input.t).size() == 1"),
        ("^(a+)+$, 60,000 letters", "input.t.matches('^(a+)+$')"),
        ("(a|a|aa)*b, 60,000 letters", "input.t.matches('(a|a|aa)*b')"),
        ("a pattern of each element", "input.words.all(w, 'x'.matches(w))"),
        ("a list in itself", "input.l.all(x, x in input.l)"),
        ("each with each", "input.l.distinct().size() == 1000"),
        ("a list, copied", "input.l.map(x, x).map(x, x).filter(x, x > 5).size() == 994"),
    ]
}

/// A definition with one activity, and a schema of the input or a condition of the activity.
fn definition(field: &str, value: Value) -> OrchestrationDefinitionSpec {
    let mut spec = json!({"activities": [{"id": "a", "type": "t"}]});
    let holder = if field == "when" { &mut spec["activities"][0] } else { &mut spec };
    holder[field] = value;
    serde_json::from_value(spec).unwrap()
}

fn compiled(spec: &OrchestrationDefinitionSpec) -> Result<usize, Vec<Problem>> {
    let type_: ActivityDefinitionSpec = serde_json::from_value(json!({})).unwrap();
    compile(spec, |_| TypeState::Ready(&type_)).map(|compiled| compiled.activities.len())
}

fn object(value: &Value) -> Object {
    value.as_object().cloned().unwrap()
}
