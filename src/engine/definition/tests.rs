//! Tests of the compile: a definition in YAML goes through the real types, and what comes out is compared as text.
#![allow(clippy::needless_pass_by_value, reason = "json!(…) reads better without a borrow")]

use std::fmt::Write as _;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::problem::text;
use super::*;

mod control;
mod data;
mod mistakes;
mod rejected;

mod scale;

/// The types that are more than a name: `free` takes and produces anything.
const TYPES: &str = r#"
free: {}
strict:
  inputSchema: {openAPIV3Schema: {type: object, additionalProperties: false, required: [id, count], properties: {
    id: {type: string}, count: {type: integer}, region: {type: string, enum: [eu, us]}, size: {type: number},
    owner: {type: object, required: [email], properties: {email: {type: string}}},
    hosts: {type: array, items: {type: string}}}}}
  outputSchema: {openAPIV3Schema: {type: object, additionalProperties: false, properties: {
    url: {type: string}, port: {type: integer}, zone: {type: string, enum: [eu]},
    hosts: {type: array, items: {type: string}},
    deep: {type: object, additionalProperties: false, properties: {name: {type: string}, ratio: {type: number}}}}}}
needy:
  inputSchema: {openAPIV3Schema: {type: object, required: [id, size], properties: {
    id: {type: string}, size: {type: integer, default: 3}, ownerEmail: {type: string, default: nobody}}}}
open:
  outputSchema: {openAPIV3Schema: {type: object, properties: {url: {type: string}}}}
broken:
  inputSchema: {openAPIV3Schema: {type: strng}}
"#;

static SPECS: LazyLock<BTreeMap<String, ActivityDefinitionSpec>> =
    LazyLock::new(|| serde_saphyr::from_str(TYPES).unwrap());

/// What is known of the types that tests name: `missing` does not exist, `sick` is not ready, all others are.
fn state_of(type_: &str) -> TypeState<'static> {
    match type_ {
        "missing" => TypeState::Missing,
        "sick" => {
            TypeState::NotReady("InvalidJobTemplate: spec.job: wrong\nForbiddenPodField: too".to_owned())
        }
        _ => TypeState::Ready(SPECS.get(type_).unwrap_or(&SPECS["free"])),
    }
}

fn compile_yaml(yaml: &str) -> Result<Compiled, Vec<Problem>> {
    let spec: OrchestrationDefinitionSpec = serde_saphyr::from_str(yaml).unwrap();
    compile(&spec, state_of)
}

fn compiled(yaml: &str) -> Compiled {
    compile_yaml(yaml).unwrap()
}

/// Compiles and compares line by line: the problems, or else the tiers, the inputs and the warnings.
fn check(yaml: &str, expected: &[&str]) {
    let shown = match compile_yaml(yaml) {
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
        Ok(compiled) => show(&compiled),
    };
    assert_eq!(shown, expected, "\n{yaml}");
}

/// The same for activities alone, in flow style: every line is one of them.
fn check_activities(activities: &[&str], expected: &[&str]) {
    check(&yaml(activities), expected);
}

fn yaml(activities: &[&str]) -> String {
    activities.iter().fold("activities:\n".to_owned(), |all, activity| all + "- {" + activity + "}\n")
}

fn show(compiled: &Compiled) -> Vec<String> {
    let tiers: Vec<String> = compiled.tier_ids().iter().map(|tier| tier.join(" ")).collect();
    let mut lines = vec![tiers.join(" | ")];
    let inputs = compiled.activities.iter().map(|activity| (activity.id.as_str(), &activity.inputs));
    for (id, bindings) in
        inputs.chain([("output", &compiled.output)]).filter(|(_, bindings)| !bindings.is_empty())
    {
        let bindings: Vec<String> = bindings.iter().map(|binding| show_binding(compiled, binding)).collect();
        lines.push(format!("{id}: {}", bindings.join(", ")));
    }
    lines.extend(compiled.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines
}

fn show_binding(compiled: &Compiled, binding: &Binding) -> String {
    let mut text = format!("{} = ", binding.target);
    match binding.root {
        Root::Input => text.push('$'),
        Root::RunState => text.push_str("run.state"),
        Root::ScheduleTime => text.push_str("schedule.time"),
        Root::Activity(activity) => text.push_str(&compiled.activities[activity].id),
    }
    for segment in &binding.path {
        match segment {
            Segment::Key(key) => write!(text, ".{key}").unwrap(),
            Segment::Index(index) => write!(text, "[{index}]").unwrap(),
        }
    }
    text
}

#[test]
fn tiers_are_longest_paths_in_definition_order() {
    let check = |activities: &[&str], tiers: &str| check_activities(activities, &[tiers]);
    check(&["id: a, type: t"], "a");
    check(
        &["id: a, type: t", "id: b, type: t, dependsOn: a", "id: c, type: t, dependsOn: b", "id: d, type: t"],
        "a d | b | c",
    );
    check(&["id: c, type: t, dependsOn: b", "id: b, type: t, dependsOn: a", "id: a, type: t"], "a | b | c");
    check(&["id: r, type: t", "id: z, type: t, dependsOn: r", "id: y, type: t, dependsOn: r"], "r | z y");
    let diamond = ["id: a, type: t", "id: b, type: t, dependsOn: a", "id: c, type: t, dependsOn: [a]"];
    check(&[&diamond[..], &["id: d, type: t, dependsOn: [c, b, a]"]].concat(), "a | b c | d");
    let w = [
        "id: a, type: t",
        "id: b, type: t",
        "id: c, type: t, dependsOn: a",
        "id: d, type: t, dependsOn: [a, b]",
    ];
    check(&[&w[..], &["id: e, type: t, dependsOn: b"]].concat(), "a b | c d e");
}

#[test]
fn one_is_no_plural() {
    assert_eq!(compiled(&yaml(&["id: a, type: t"])).size(), "1 activity in 1 tier");
    assert_eq!(compiled(&yaml(&["id: a, type: t", "id: b, type: t"])).size(), "2 activities in 1 tier");
    let chain = ["id: a, type: t", "id: b, type: t, dependsOn: [a]"];
    assert_eq!(compiled(&yaml(&chain)).size(), "2 activities in 2 tiers");
}

#[test]
fn the_shorthand_means_the_same_as_the_long_form() {
    let short = compiled(&yaml(&["id: a, type: t", "id: b, type: t, dependsOn: a, inputs: [domain, a.url]"]));
    let long = compiled(&yaml(&[
        "id: a, type: t",
        "id: b, type: t, dependsOn: [a], inputs: [{source: input.domain, target: domain}, {source: a.url, target: url}]",
    ]));
    assert_eq!(short, long);
    check_activities(&["id: a, type: t, dependsOn: []", "id: b, type: t, dependsOn: null"], &["a b"]);
}

#[test]
fn sources_are_bound_to_the_input_or_to_an_activity() {
    check(
        r#"
activities:
- {id: config, type: t}
- id: ingress
  type: t
  dependsOn: config
  inputs:
  - domain
  - input.owner.email
  - input.region
  - input.config
  - {source: config, target: everything}
  - config.resource.id
  - {source: 'hosts[0]', target: host}
  - {source: 'config["cfm.participant.id"]', target: participant}
- {id: last, type: t, dependsOn: ingress, inputs: [config.resource, {source: input, target: all}, 'config["plain"]']}
output:
- {source: last.url}
- {source: config}
- {source: input.domain, target: where}
"#,
        &[
            "config | ingress | last",
            "ingress: domain = $.domain, email = $.owner.email, region = $.region, config = $.config, everything = config, \
             id = config.resource.id, host = $.hosts[0], participant = config.cfm.participant.id",
            "last: resource = config.resource, all = $, plain = config.plain",
            "output: url = last.url, config = config, where = $.domain",
        ],
    );
}

#[test]
fn whose_outputs_are_read_is_known() {
    let compiled = compiled(
        "activities: [{id: a, type: t}, {id: b, type: t}, {id: c, type: t, dependsOn: [a, b], inputs: [b.x, b.y, z]}, \
         {id: d, type: t, dependsOn: c}]\noutput: [{source: d.url}]",
    );
    let of = |id: &str| &compiled.activities[compiled.index[id]];
    assert_eq!(["a", "b", "c", "d"].map(|id| of(id).outputs_are_read), [false, true, false, true]);
    assert_eq!(of("c").reads, BTreeSet::from([1]), "once for two inputs, and not the input of the run");
    assert!(of("b").reads.is_empty() && of("d").reads.is_empty());
    assert_eq!(
        compiled.activities[2].inputs.iter().map(Binding::activity).collect::<Vec<_>>(),
        [Some(1), Some(1), None]
    );
}

#[test]
fn what_is_not_said_has_its_default() {
    let plain = compiled(&yaml(&["id: a, type: t"]));
    assert_eq!((plain.execution, plain.parallelism), (Execution::Eager, usize::MAX));
    assert_eq!(plain.active_deadline_seconds, 86_400);
    let said = compiled(
        "execution: Tiered\nparallelism: 3\nactiveDeadlineSeconds: 60\nactivities: [{id: a, type: t, discriminator: deploy}]",
    );
    assert_eq!((said.execution, said.parallelism, said.active_deadline_seconds), (Execution::Tiered, 3, 60));
    assert_eq!(said.activities[0].discriminator.as_deref(), Some("deploy"));
    assert_eq!(said.order, [0]);
}

/// JSON of any shape, with a liking for what a definition holds.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[abc](\\.[a-z]{1,3}|\\[[0-9]{0,2}\\]?|\\[\"x\"\\]){0,3}".prop_map(Value::from),
        prop_oneof![Just("a"), Just("b"), Just("input"), Just("run.x"), Just("activities.a"), Just("")]
            .prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("source|target|from|[a-z]{1,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_in_the_untyped_fields_makes_the_compile_panic(
        fields in prop::collection::vec((anything(), prop::collection::vec(anything(), 0..6)), 1..4)
    ) {
        let ids = ["a", "b", "c"];
        let activities: Vec<Value> = fields
            .iter()
            .zip(ids)
            .map(|((depends_on, inputs), id)| json!({"id": id, "type": "t", "dependsOn": depends_on, "inputs": inputs}))
            .collect();
        let spec: OrchestrationDefinitionSpec = serde_json::from_value(json!({"activities": activities})).unwrap();
        match compile(&spec, state_of) {
            Ok(compiled) => prop_assert_eq!(compiled.order.len(), activities.len()),
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                for problem in problems {
                    prop_assert!(!problem.to_string().contains(char::is_control), "not one line: {:?}", problem);
                    prop_assert!(problem.path.starts_with("spec.activities"), "{}", problem);
                }
            }
        }
    }
}
