//! What the engine costs: a definition of 1,000 activities and 10,000 edges, compiled and planned; and bombs.
//!
//! Responsible for: figures of the pure part. Must never: be a test; times depend on the machine.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the time")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use orchestrator::api::ActivityDefinitionSpec;
use orchestrator::api::orchestration::{Orchestration, OrchestrationStatus};
use orchestrator::api::orchestration_definition::OrchestrationDefinitionSpec;
use orchestrator::engine::acceptance::{Definition, INPUT, check_input, decide};
use orchestrator::engine::definition::{Compiled, TypeState, compile};
use orchestrator::engine::effect::Effect;
use orchestrator::engine::observe::{Attempt, Observed, Outcome, Verdict};
use orchestrator::engine::plan::{Plan, Situation, plan};
use orchestrator::engine::value::bytes;
use serde_json::{Value, json};

mod bombs;

const LAYERS: usize = 10;
const WIDTH: usize = 100;

fn main() {
    // `-- bombs` for these alone.
    if std::env::args().any(|argument| argument == "bombs") {
        return bombs::run();
    }
    let spec: OrchestrationDefinitionSpec = serde_json::from_value(definition()).unwrap();
    let type_: ActivityDefinitionSpec = serde_json::from_value(json!({})).unwrap();
    let compiled = compile(&spec, |_| TypeState::Ready(&type_)).unwrap();
    let edges: usize = (0..compiled.activities.len()).map(|at| compiled.graph.dependencies(at).len()).sum();
    println!("{} activities, {edges} edges; the median and the best of many", compiled.activities.len());
    println!("{:<56} {:>12} {:>12} {:>8}", "", "median", "best", "work");
    show("compile", None, || compile(&spec, |_| TypeState::Ready(&type_)).unwrap());

    let (typed, declared) = (typed(), declared());
    show("compile with schemas and conditions", None, || {
        compile(&declared, |_| TypeState::Ready(&typed)).unwrap()
    });
    let input = json!({"list": (0..1000).map(|at| json!({"name": format!("value-{at}"), "n": at, "text": "x".repeat(16)})).collect::<Vec<_>>()});
    let input = input.as_object().cloned().unwrap();
    let schema = compile(&declared, |_| TypeState::Ready(&typed)).unwrap().schema;
    assert_eq!(check_input("bench", schema.as_ref(), Some(&input), INPUT), None);
    show(&format!("accept: an input of {} bytes", bytes(&input)), None, || {
        check_input("bench", schema.as_ref(), Some(&input), INPUT)
    });

    let accepted = accepted(&compiled);
    let nothing = Observed::default();
    show_plan("plan: nothing has started", &compiled, &accepted, &nothing);
    let (half, seen) = played(&compiled, &accepted, LAYERS / 2);
    show_plan("plan: half is done, a layer runs", &compiled, &half, &seen);
    let news = finished(&seen);
    show_plan("plan: 100 results with outputs come at once", &compiled, &half, &news);
    let update = planned(&compiled, &half, &news).update;
    let stored = half.status.unwrap();
    show("patch: these 100 results", None, || update.merge_patch(&stored).unwrap());
    bombs::run();
}

/// Layers of a hundred; every activity depends on eleven of the layer before, a hundred of them on twelve, and reads two.
fn definition() -> Value {
    let activity = |at: usize| {
        let layer = at / WIDTH;
        let count = match layer {
            0 => 0,
            1 => 12,
            _ => 11,
        };
        let above = |edge: usize| format!("a{}", (layer - 1) * WIDTH + (at * 7 + edge * 5) % WIDTH);
        let depends_on: Vec<String> = (0..count).map(above).collect();
        let read = depends_on.iter().take(2).enumerate();
        let inputs: Vec<Value> = read
            .map(|(item, id)| json!({"source": format!("{id}.x"), "target": format!("t{item}")}))
            .collect();
        json!({"id": format!("a{at}"), "type": "t", "dependsOn": depends_on, "inputs": inputs})
    };
    json!({"activities": (0..LAYERS * WIDTH).map(activity).collect::<Vec<_>>()})
}

/// The same definition, with a schema of its input, and a condition on every activity.
fn declared() -> OrchestrationDefinitionSpec {
    let mut definition = definition();
    definition["schema"] = json!({"openAPIV3Schema": {"type": "object", "additionalProperties": false, "properties": {
        "wanted": {"type": "boolean", "default": true},
        "list": {"type": "array", "items": {"type": "object", "required": ["name"], "additionalProperties": false, "properties": {
            "name": {"type": "string", "pattern": "^[a-z]+-[0-9]+$"}, "n": {"type": "integer", "minimum": 0},
            "text": {"type": "string", "maxLength": 100}, "size": {"type": "number", "default": 1},
        }}},
    }}});
    for activity in definition["activities"].as_array_mut().unwrap() {
        let above =
            activity["dependsOn"][0].as_str().map(|id| format!(" && activities.{id}.state == 'Succeeded'"));
        activity["when"] = json!(format!("input.wanted{}", above.unwrap_or_default()));
    }
    serde_json::from_value(definition).unwrap()
}

/// An activity type that says what it takes and produces.
fn typed() -> ActivityDefinitionSpec {
    serde_json::from_value(json!({
        "inputSchema": {"type": "object", "properties": {"t0": {"type": "string"}, "t1": {"type": "string"}, "t2": {"type": "integer", "default": 3}}},
        "outputSchema": {"type": "object", "additionalProperties": false, "properties": {
            "x": {"type": "string"}, "more": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }},
    }))
    .unwrap()
}

fn accepted(compiled: &Compiled) -> Orchestration {
    let mut orchestration: Orchestration = serde_json::from_value(json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration",
        "metadata": {"name": "o", "uid": "u", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"type": "t", "input": {}},
    }))
    .unwrap();
    let ready = Definition::Ready { revision: "r", compiled };
    orchestration.status =
        Some(decide(&orchestration, &ready, now()).update.apply(&OrchestrationStatus::default()));
    orchestration
}

fn now() -> Timestamp {
    "2026-01-01T00:00:10Z".parse().unwrap()
}

fn planned(compiled: &Compiled, orchestration: &Orchestration, observed: &Observed) -> Plan {
    plan(&Situation { compiled, orchestration, observed, now: now() })
}

/// The run when so many layers are done and the next one runs.
fn played(compiled: &Compiled, accepted: &Orchestration, layers: usize) -> (Orchestration, Observed) {
    let mut orchestration = accepted.clone();
    let mut observed = Observed::default();
    for layer in 0..=layers {
        let starts = planned(compiled, &orchestration, &observed).effects.into_iter();
        let started = starts.map(|(Effect::Start { activity, .. } | Effect::Stop { activity, .. })| activity);
        observed.attempts = started.map(|at| (at, (1, Attempt::Running { start_time: now() }))).collect();
        record(compiled, &mut orchestration, &observed);
        if layer < layers {
            observed = finished(&observed);
            record(compiled, &mut orchestration, &observed);
        }
    }
    (orchestration, observed)
}

fn record(compiled: &Compiled, orchestration: &mut Orchestration, observed: &Observed) {
    let update = planned(compiled, orchestration, observed).update;
    orchestration.status = Some(update.apply(orchestration.status.as_ref().unwrap()));
}

/// All that runs has succeeded.
fn finished(running: &Observed) -> Observed {
    let done = |at: usize| {
        let outputs =
            json!({"x": format!("value-{at}"), "more": {"list": [1, 2, 3], "text": "x".repeat(100)}});
        let verdict = Verdict::Complete(outputs.as_object().cloned().unwrap());
        Attempt::Ended(Outcome { verdict, start_time: Some(now()), completion_time: Some(now()) })
    };
    Observed { attempts: running.attempts.keys().map(|at| (*at, (1, done(*at)))).collect() }
}

fn show_plan(name: &str, compiled: &Compiled, orchestration: &Orchestration, observed: &Observed) {
    let work = planned(compiled, orchestration, observed).work;
    show(name, Some(work), || planned(compiled, orchestration, observed));
}

/// Repeats something for about a second.
fn show<T>(name: &str, work: Option<u64>, run: impl Fn() -> T) {
    let mut times: Vec<Duration> = Vec::new();
    let begin = Instant::now();
    while times.len() < 20 || begin.elapsed() < Duration::from_secs(1) {
        let start = Instant::now();
        black_box(run());
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let text = |time: Duration| format!("{:.1} µs", time.as_secs_f64() * 1e6);
    let work = work.map(|work| work.to_string()).unwrap_or_default();
    println!("{name:<56} {:>12} {:>12} {work:>8}", text(times[times.len() / 2]), text(times[0]));
}
