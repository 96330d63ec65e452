//! What the schemas and conditions of a definition do to a run, with the exact words.

use serde_json::{Value, json};

use super::fixture::{Fixture, complete, object, running};
use crate::api::common::Object;
use crate::api::orchestration::ActivityState;
use crate::engine::effect::Effect;
use crate::engine::plan::Urgency;

/// Three activities a, b and c; b and c depend on a, and c on b. `b` and `c` are laid over the last two.
fn chain(b: Value, c: Value) -> Value {
    let mut activities = json!([
        {"id": "a", "type": "t"}, {"id": "b", "type": "t", "dependsOn": "a"},
        {"id": "c", "type": "t", "dependsOn": ["a", "b"]},
    ]);
    for (at, more) in [(1, b), (2, c)] {
        activities[at].as_object_mut().unwrap().extend(object(more));
    }
    json!({"activities": activities})
}

fn inputs_of(fixture: &Fixture, id: &str) -> Option<Value> {
    let wanted = fixture.compiled.index[id];
    fixture.plan().effects.into_iter().find_map(|effect| match effect {
        Effect::Start { activity, inputs, .. } if activity == wanted => Some(Value::Object(inputs)),
        Effect::Start { .. } | Effect::Stop { .. } => None,
    })
}

#[test]
fn a_false_condition_skips_and_what_depends_on_it_goes_on() {
    let mut definition = chain(json!({"when": "input.wanted"}), json!({"inputs": ["b.x", "a.x"]}));
    definition["activities"][2]["inputs"] =
        json!(["b.x", {"source": "b", "target": "all"}, {"source": "a.x", "target": "y"}]);
    definition["output"] =
        json!([{"source": "b.x"}, {"source": "b", "target": "all"}, {"source": "c.x", "target": "c"}]);
    let mut fixture = Fixture::with_input(&definition, json!({"wanted": false}));
    fixture.see("a", complete(json!({"x": 1})));
    let plan = fixture.record(2);
    assert_eq!((fixture.state("b"), plan.urgency), (ActivityState::Skipped, Urgency::Now));
    assert_eq!(fixture.why("b"), "ConditionFalse: when is false: input.wanted");
    assert!(fixture.entry("b").completion_time.is_some() && fixture.entry("b").attempt == 0);
    assert_eq!(inputs_of(&fixture, "c"), Some(json!({"y": 1})), "all of it is absent, also as a whole");
    assert_eq!(
        fixture.condition("Reconciling"),
        "True Progressing: 1 of 3 activities have succeeded, 1 was skipped"
    );
    assert_eq!(fixture.status().progress.as_deref(), Some("2/3"));
    fixture.see("c", complete(json!({"x": 3})));
    fixture.record(3);
    assert_eq!(
        fixture.condition("Succeeded"),
        "True Completed: 2 of 3 activities have succeeded, 1 was skipped"
    );
    assert_eq!(fixture.status().progress.as_deref(), Some("3/3"));
    assert_eq!(fixture.status().output.clone().map(Value::Object), Some(json!({"c": 3})));
}

#[test]
fn a_true_condition_changes_nothing() {
    let definition = chain(json!({"when": "input.wanted && activities.a.outputs.x > 0"}), json!({}));
    let mut fixture = Fixture::with_input(&definition, json!({"wanted": true}));
    assert_eq!(fixture.play(&[]), "a", "the text of a is no number");
    let mut fixture = Fixture::with_input(&definition, json!({"wanted": true}));
    fixture.see("a", complete(json!({"x": 1})));
    fixture.record(1);
    assert_eq!(fixture.starts(&fixture.plan()), "b");
}

#[test]
fn all_may_be_skipped() {
    let never = json!({"when": "false"});
    let mut definition = chain(never.clone(), never);
    definition["activities"][0]["when"] = json!("input.x == 2");
    for execution in ["Eager", "Tiered"] {
        definition["execution"] = json!(execution);
        let mut fixture = Fixture::with_input(&definition, json!({"x": 1}));
        let plan = fixture.record(1);
        assert_eq!(plan.effects, []);
        assert_eq!(
            fixture.condition("Succeeded"),
            "True Completed: 0 of 3 activities have succeeded, 3 were skipped",
            "{execution}"
        );
        assert_eq!(fixture.status().state.as_deref(), Some("Succeeded"));
    }
}

#[test]
fn what_is_skipped_takes_no_place_and_starts_nothing() {
    let definition = json!({"parallelism": 1, "activities": [
        {"id": "a", "type": "t", "when": "false"}, {"id": "b", "type": "t"}, {"id": "c", "type": "t"},
    ]});
    let mut fixture = Fixture::of(&definition);
    assert_eq!(fixture.starts(&fixture.plan()), "b");
    fixture.record(1);
    assert_eq!(fixture.status().state.as_deref(), Some("Pending"), "nothing has started");
    fixture.see("b", running());
    let plan = fixture.record(2);
    assert_eq!((fixture.status().state.as_deref(), plan.urgency), (Some("Running"), Urgency::Now));
}

#[test]
fn a_condition_sees_what_was_skipped() {
    let check = |when: &str, expected: ActivityState| {
        let definition = chain(json!({"when": "false"}), json!({"when": when}));
        let mut fixture = Fixture::of(&definition);
        fixture.see("a", complete(json!({"x": {"y": [7]}})));
        fixture.record(1);
        fixture.record(1);
        assert_eq!(fixture.state("c"), expected, "{when}: {}", fixture.why("c"));
    };
    check("activities.b.state == 'Skipped'", ActivityState::Pending);
    check("activities.a.state == 'Succeeded' && activities.a.outputs.x.y[0] == 7", ActivityState::Pending);
    check("has(activities.b.outputs.x)", ActivityState::Skipped);
    check("has(activities.b.outputs) && activities.b.outputs == {}", ActivityState::Pending);
    check("activities['b'].state != 'Skipped'", ActivityState::Skipped);
}

#[test]
fn an_error_in_a_condition_fails_the_activity_at_once() {
    let why = |when: &str| {
        let mut fixture =
            Fixture::with_input(&chain(json!({"when": when}), json!({})), json!({"n": 0, "text": "x"}));
        fixture.see("a", complete(json!({"x": 1})));
        fixture.record(1);
        fixture.record(1);
        assert_eq!((fixture.state("b"), fixture.entry("b").attempt), (ActivityState::Failed, 0), "{when}");
        assert_eq!(fixture.state("c"), ActivityState::NotStarted);
        fixture.why("b")
    };
    let told =
        |when: &str, expected: &str| assert_eq!(why(when), format!("ExpressionError: when: {expected}"));
    told("input.none == 1", "line 1 column 1: no such key \"none\"");
    told("1 / input.n == 1", "line 1 column 1: division by zero");
    told("input.text", "line 1 column 1: must be a boolean, is a string");
    told("true && activities.a.outputs.none == 1", "line 1 column 9: no such key \"none\"");
}

fn needy() -> Value {
    json!({"t": {"inputSchema": {"openAPIV3Schema": {
        "type": "object", "required": ["id"], "properties": {
            "id": {"type": "string"}, "count": {"type": "integer", "default": 3},
            "owner": {"type": "object", "properties": {"email": {"type": "string", "default": "nobody"}}},
        },
    }}}})
}

/// A run of a, whose type takes anything, and of b, whose type is needy.
fn feeding(inputs: Value, outputs: Value) -> Fixture {
    let definition = json!({"activities": [
        {"id": "a", "type": "free"}, {"id": "b", "type": "t", "dependsOn": "a", "inputs": inputs},
        {"id": "other", "type": "free", "dependsOn": "a"},
    ]});
    let mut fixture =
        Fixture::typed(&definition, needy(), json!({"domain": "d", "deep": {"list": [1], "x": {}}}));
    fixture.see("a", complete(outputs));
    fixture.record(1);
    fixture
}

#[test]
fn defaults_fill_what_is_absent() {
    let fixture = feeding(json!(["a.id", "a.count", "a.owner"]), json!({"id": "r-1", "owner": {}}));
    assert_eq!(
        inputs_of(&fixture, "b"),
        Some(json!({"id": "r-1", "count": 3, "owner": {"email": "nobody"}}))
    );
}

#[test]
fn a_required_input_that_is_absent_fails_before_anything_starts() {
    let why = |inputs: Value, outputs: Value| {
        let mut fixture = feeding(inputs, outputs);
        let plan = fixture.record(2);
        assert_eq!(plan.effects, [], "the other one does not start after a failure");
        assert_eq!((fixture.state("b"), fixture.entry("b").attempt), (ActivityState::Failed, 0));
        assert_eq!(fixture.state("other"), ActivityState::NotStarted);
        fixture.why("b")
    };
    assert_eq!(
        why(json!([{"source": "a.b.c", "target": "id"}]), json!({"b": {"d": 1}, "e": [1], "f.g": {}})),
        "MissingInput: spec.activities[1].inputs[0].source: activity \"a\" produced no output \"b.c\" for the required input \"id\" of ActivityDefinition \"t\" (has: b.d, e, [\"f.g\"])"
    );
    assert_eq!(
        why(json!(["a.count", "a.id"]), json!({})),
        "MissingInput: spec.activities[1].inputs[1]: activity \"a\" produced no output \"id\" for the required input \"id\" of ActivityDefinition \"t\" (has: nothing)"
    );
    assert_eq!(
        why(json!([{"source": "input.deep.list[1]", "target": "id"}]), json!({})),
        "MissingInput: spec.activities[1].inputs[0].source: the input has no \"deep.list[1]\" for the required input \"id\" of ActivityDefinition \"t\" (has: deep.list, deep.x, domain)"
    );
    let many: serde_json::Map<String, Value> = (10..30).map(|at| (format!("k{at}"), json!(at))).collect();
    let told = why(json!(["a.id"]), Value::Object(many));
    assert!(told.ends_with("(has: k10, k11, k12, k13, k14, k15, k16, k17, k18, k19, and 10 more)"), "{told}");
}

#[test]
fn a_required_input_from_what_was_skipped_is_missing() {
    let definition = json!({"activities": [
        {"id": "a", "type": "free", "when": "false"},
        {"id": "b", "type": "t", "dependsOn": "a", "inputs": ["a.id"]},
    ]});
    let mut fixture = Fixture::typed(&definition, needy(), json!({}));
    fixture.record(1);
    fixture.record(1);
    assert_eq!(
        fixture.why("b"),
        "MissingInput: spec.activities[1].inputs[0]: activity \"a\" was skipped and has no outputs for the required input \"id\" of ActivityDefinition \"t\""
    );
}

#[test]
fn an_input_of_another_type_fails_before_anything_starts() {
    let mut fixture = feeding(
        json!(["a.id", "a.count", "a.owner"]),
        json!({"id": 7, "count": "3", "owner": {"email": true}}),
    );
    fixture.record(2);
    assert_eq!(
        fixture.why("b"),
        "InvalidInput: input.count: expected integer, got string \"3\"\n\
         input.id: expected string, got integer 7\n\
         input.owner.email: expected string, got boolean true"
    );
    assert_eq!(fixture.entry("b").attempt, 0);
}

#[test]
fn outputs_of_another_form_fail_the_activity_and_are_shown() {
    let types = json!({"t": {"outputSchema": {"type": "object", "required": ["url"], "properties": {
        "url": {"type": "string"}, "n": {"type": "integer"},
    }}}});
    let mut fixture = Fixture::typed(&json!({"activities": [{"id": "a", "type": "t"}]}), types, json!({}));
    fixture.see("a", complete(json!({"n": "x", "more": true})));
    fixture.record(2);
    assert_eq!(
        fixture.why("a"),
        "OutputInvalid: outputs.n: expected integer, got string \"x\"\n\
         outputs.url: required\n\
         the outputs were {\"more\":true,\"n\":\"x\"}"
    );
    assert_eq!((fixture.entry("a").outputs.as_ref(), fixture.entry("a").attempt), (None, 1));
}

#[test]
fn many_violations_keep_their_count_and_what_there_was() {
    let names: Vec<String> = (0..30).map(|at| format!("a-rather-long-name-{at:02}")).collect();
    let types = json!({"t": {
        "outputSchema": {"type": "object", "required": names},
        "inputSchema": {"type": "object", "additionalProperties": {"enum": ["x".repeat(40), "y".repeat(40)]}},
    }});
    let definition = |inputs: &[String]| json!({"activities": [{"id": "a", "type": "t", "inputs": inputs}]});
    let mut fixture = Fixture::typed(&definition(&[]), types.clone(), json!({}));
    fixture.see("a", complete(json!({"other": "v".repeat(2_000)})));
    fixture.record(2);
    let why = fixture.why("a");
    let lines: Vec<&str> = why.lines().collect();
    let [violations @ .., count, was] = lines.as_slice() else { panic!("{why}") };
    assert_eq!(violations[0], "OutputInvalid: outputs.a-rather-long-name-00: required");
    assert_eq!(*count, format!("and {} more", 30 - violations.len()));
    assert!(was.starts_with("the outputs were {\"other\":\"vvv") && was.ends_with('…'), "{why}");
    assert!(was.len() > 100 && why.len() <= 1_100, "{why}");
    let input: Object = (1..10).map(|at| (format!("i{at}"), json!("z".repeat(300)))).collect();
    let inputs: Vec<String> = input.keys().cloned().collect();
    let mut fixture = Fixture::typed(&definition(&inputs), types, Value::Object(input));
    fixture.record(1);
    let why = fixture.why("a");
    let shown = why.lines().count() - 1;
    assert!(shown > 3 && why.ends_with(&format!("\nand {} more", 9 - shown)), "{why}");
}

#[test]
fn the_input_has_its_defaults_wherever_it_is_read() {
    let definition = json!({
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {
            "region": {"type": "string", "default": "eu"}, "size": {"type": "integer"},
            "owner": {"type": "object", "default": {}, "properties": {"team": {"type": "string", "default": "none"}}},
        }}},
        "activities": [{"id": "a", "type": "t", "inputs": ["region", "owner.team", "size"], "when": "input.region == 'eu'"}],
        "output": [{"source": "input", "target": "all"}],
    });
    let mut fixture = Fixture::with_input(&definition, json!({"size": null}));
    assert_eq!(inputs_of(&fixture, "a"), Some(json!({"region": "eu", "team": "none"})));
    fixture.see("a", complete(json!({})));
    fixture.record(1);
    let output = fixture.status().output.clone().map(Value::Object);
    assert_eq!(output, Some(json!({"all": {"region": "eu", "owner": {"team": "none"}}})));
}

#[test]
fn integers_stay_exact_on_their_way() {
    let definition = json!({
        "schema": {"type": "object", "properties": {"n": {"type": "integer"}, "d": {"type": "integer", "default": i64::MIN}}},
        "activities": [{"id": "a", "type": "t", "inputs": ["n", "d"], "when": "input.n == 9007199254740993"}],
    });
    let fixture = Fixture::with_input(&definition, json!({"n": 9_007_199_254_740_993_i64}));
    assert_eq!(
        inputs_of(&fixture, "a").map(|inputs| inputs.to_string()),
        Some("{\"d\":-9223372036854775808,\"n\":9007199254740993}".to_owned())
    );
}
