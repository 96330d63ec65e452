//! Health checks of Argo CD: what they say of golden objects, and of whatever else there may be in a status.

use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::{KINDS, directory, document, golden, lua, read};

/// Most instructions that a check may take: on a slow machine that is far below a millisecond.
const MOST_INSTRUCTIONS: u64 = 40_000;

fn script(kind: &str) -> String {
    read(&directory(kind).join("health.lua"))
}

/// Status and message of an object.
fn health(kind: &str, object: &Value) -> (String, String) {
    let returned = lua::result(&script(kind), object).unwrap_or_else(|error| panic!("{error}: {object:#}"));
    let members = returned.as_object().unwrap();
    assert_eq!(members.len(), 2, "{returned}");
    let text = |key: &str| members[key].as_str().unwrap_or_else(|| panic!("{returned}")).to_owned();
    (text("status"), text("message"))
}

/// Adds what is said now of golden objects that a test file does not know yet: to be read before it is believed.
fn add_missing(kind: &str) {
    let path = directory(kind).join("health_test.yaml");
    let mut tests: Vec<Value> = match path.exists() {
        true => document(&path)["tests"].as_array().cloned().unwrap_or_default(),
        false => Vec::new(),
    };
    for (_, name, object) in golden::all().into_iter().filter(|(of, ..)| of == kind) {
        let input = json!(format!("testdata/{name}.yaml"));
        if tests.iter().all(|test| test["inputPath"] != input) {
            let (status, message) = health(kind, &object);
            tests.push(json!({"inputPath": input, "healthStatus": {"status": status, "message": message}}));
        }
    }
    golden::write(&path, &json!({ "tests": tests }));
}

#[test]
fn every_check_says_of_every_golden_object_what_its_test_file_says() {
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
    let writes = std::env::var_os("UPDATE_ARTEFACTS").is_some_and(|value| value == "1");
    let mut seen = 0;
    for kind in KINDS {
        if writes {
            add_missing(kind);
        }
        let tests = document(&directory(kind).join("health_test.yaml"));
        let mut told: Vec<(String, String, String)> = Vec::new();
        for test in tests["tests"].as_array().unwrap() {
            let path = test["inputPath"].as_str().unwrap();
            let object = document(&directory(kind).join(path));
            let (status, message) = health(kind, &object);
            let expected = &test["healthStatus"];
            assert_eq!(
                (json!(status), json!(message)),
                (expected["status"].clone(), expected["message"].clone()),
                "{kind} {path}"
            );
            told.push((path.to_owned(), status, message));
        }
        let files = golden::all().into_iter().filter(|(of, ..)| of == kind);
        for (_, name, _) in files {
            let path = format!("testdata/{name}.yaml");
            assert_eq!(
                told.iter().filter(|(at, ..)| *at == path).count(),
                1,
                "{kind}: {path} is tested once"
            );
        }
        seen += told.len();
    }
    println!("{seen} golden objects have the health that is expected");
}

/// A golden object with a condition that says this.
fn saying(kind: &str, name: &str, type_: &str, status: &str, reason: &str, message: &str) -> Value {
    let mut object = document(&directory(kind).join(format!("testdata/{name}.yaml")));
    let conditions = object["status"]["conditions"].as_array_mut().unwrap();
    let condition = conditions.iter_mut().find(|condition| condition["type"] == type_).unwrap();
    for (key, value) in [("status", status), ("reason", reason), ("message", message)] {
        condition[key] = json!(value);
    }
    object
}

#[test]
fn trouble_is_told_while_there_is_still_something_under_way() {
    let told = |status: &str, message: &str| (status.to_owned(), message.to_owned());
    let words = "the ControllerRevision that it runs from is gone";
    let lost = saying("Orchestration", "running", "Reconciling", "True", "RevisionNotFound", words);
    assert_eq!(health("Orchestration", &lost), told("Progressing", &format!("RevisionNotFound: {words}")));
    let mut draining = document(&directory("Orchestration").join("testdata/running.yaml"));
    draining["status"]["activities"]["network"] = json!({"tier": 0, "state": "Failed", "reason": "ExitCode"});
    assert_eq!(
        health("Orchestration", &draining),
        told("Progressing", "1/5, network has failed, waiting for cache, database")
    );
    // What heals by itself hides no failure.
    let (kind, not_found) = ("OrchestrationSchedule", "DefinitionNotFound");
    let fresh = saying(kind, "succeeding", "Ready", "False", not_found, "no definition");
    assert_eq!(health(kind, &fresh), told("Progressing", "DefinitionNotFound: no definition"));
    let failing = saying(kind, "failing-nightly", "Ready", "False", not_found, "no definition");
    assert_eq!(health(kind, &failing).0, "Degraded");
}

#[test]
fn what_nobody_has_seen_is_progressing() {
    for kind in KINDS {
        let object = |metadata: Value, status: Value| json!({"apiVersion": "orchestrator.dev/v1beta1", "kind": kind, "metadata": metadata, "status": status});
        for (metadata, status) in [
            (json!({"name": "x", "generation": 1}), Value::Null),
            (json!({"name": "x", "generation": 1}), json!({})),
            (json!({"name": "x", "generation": 1}), json!([])),
            (json!({"name": "x", "generation": 1}), json!("half")),
            (json!({"name": "x", "generation": 1}), json!({"observedGeneration": "1"})),
            (json!({"name": "x", "generation": 2}), json!({"observedGeneration": 1})),
            (json!({"name": "x", "generation": 1}), json!({"observedGeneration": 2})),
            (json!({"name": "x"}), json!({"observedGeneration": 1, "conditions": "Ready"})),
            (json!({"name": "x", "generation": 1}), json!({"observedGeneration": 1, "conditions": "Ready"})),
            (
                json!({"name": "x", "generation": 1}),
                json!({"observedGeneration": 1, "conditions": [null, 1, "Ready"]}),
            ),
            (
                json!({"name": "x", "generation": 1}),
                json!({"observedGeneration": 1, "conditions": [{"type": "Good", "status": "True"}]}),
            ),
            (Value::Null, Value::Null),
        ] {
            let object = object(metadata, status);
            assert_eq!(health(kind, &object).0, "Progressing", "{object}");
        }
        assert_eq!(health(kind, &json!({})).0, "Progressing");
    }
}

#[test]
fn what_a_run_waits_for_is_short_whatever_there_is() {
    let long = "a".repeat(5000);
    let entries: serde_json::Map<String, Value> = (0..50)
        .map(|at| (format!("{long}-{at:03}"), json!({"state": "Running", "reason": long, "message": long})))
        .chain([
            ("b".to_owned(), json!({"state": "Dreaming"})),
            ("c".to_owned(), json!({"state": "Polling", "reason": "Wait"})),
        ])
        .collect();
    let object = json!({"metadata": {"generation": 1}, "status": {
        "observedGeneration": 1, "progress": "0/52", "activities": entries,
        "conditions": [{"type": "Accepted", "status": "True"}, {"type": "Reconciling", "status": "True", "message": long}],
    }});
    let (status, message) = health("Orchestration", &object);
    assert_eq!(status, "Progressing");
    assert!(message.len() < 300, "{message}");
    assert!(message.ends_with("and 49 more"), "{message}");
}

/// Whether an object may count as done: what the checks must never say more than.
fn may_be_healthy(kind: &str, object: &Value) -> bool {
    let status = &object["status"];
    let says = |type_: &str, word: &str| {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.filter(|one| one["type"] == type_).any(|one| one["status"] == word)
    };
    let is_seen = status["observedGeneration"].is_number()
        && status["observedGeneration"].as_f64() == object["metadata"]["generation"].as_f64();
    is_seen
        && !says("Stalled", "True")
        && !says("Reconciling", "True")
        && match kind {
            "Orchestration" => {
                says("Finished", "True") && says("Succeeded", "True") && status["completionTime"].is_string()
            }
            _ => says("Ready", "True"),
        }
        && (kind != "OrchestrationSchedule"
            || status["lastResult"].is_null()
            || status["lastResult"]["state"] == "Succeeded"
            || object["metadata"]["annotations"]["orchestrator.dev/ignore-last-result"] == "true")
}

/// Every place in a value.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                places(member, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), all);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                places(element, &format!("{at}/{index}"), all);
            }
        }
        _ => {}
    }
}

/// What is put in the place of something.
fn anything() -> impl Strategy<Value = Value> {
    let words = [
        "",
        "True",
        "False",
        "Unknown",
        "true",
        "Succeeded",
        "Failed",
        "Ready",
        "Stalled",
        "Finished",
        "Compensating",
        "2026-01-01T00:00:00Z",
        "1",
        "~",
        "ä",
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![
            (-3_i64..4).prop_map(Value::from),
            Just(json!(1.5)),
            Just(json!(9_007_199_254_740_993_i64))
        ],
        proptest::sample::select(words.to_vec()).prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([null, "x", {"type": "Ready"}])),
        Just(json!({"type": "Succeeded", "status": "True"})),
    ]
}

#[test]
fn no_status_is_an_error_and_none_is_healthy_by_accident() {
    let golden = golden::all();
    let (mut healthy, mut cases) = (0_u32, 0_u32);
    let mut runner = TestRunner::new(Config { cases: 3000, failure_persistence: None, ..Config::default() });
    let mutation = (any::<proptest::sample::Index>(), anything());
    let strategy = (any::<proptest::sample::Index>(), proptest::collection::vec(mutation, 1..6));
    let counts = std::cell::RefCell::new((&mut healthy, &mut cases));
    runner
        .run(&strategy, |(index, mutations)| {
            let (kind, _, object) = &golden[index.index(golden.len())];
            let mut object = object.clone();
            for (place, value) in mutations {
                let mut all = Vec::new();
                places(&object, "", &mut all);
                // The status, mostly: the rest has its schema.
                let of_status: Vec<&String> = all.iter().filter(|at| at.starts_with("/status")).collect();
                let chosen = match of_status.is_empty() {
                    true => all[place.index(all.len())].clone(),
                    false => of_status[place.index(of_status.len())].clone(),
                };
                if !chosen.is_empty()
                    && let Some(there) = object.pointer_mut(&chosen)
                {
                    *there = value;
                }
            }
            let (status, message) = health(kind, &object);
            prop_assert!(
                ["Healthy", "Progressing", "Degraded", "Suspended"].contains(&status.as_str()),
                "{status}"
            );
            prop_assert!(message.len() < 10_000);
            if status == "Healthy" {
                prop_assert!(may_be_healthy(kind, &object), "{object:#}");
            }
            let mut counts = counts.borrow_mut();
            *counts.0 += u32::from(status == "Healthy");
            *counts.1 += 1;
            Ok(())
        })
        .unwrap();
    println!("{cases} mutilated objects, {healthy} of them Healthy, all rightly");
    assert!(healthy > 20, "nothing is left to be right about");
}

#[tokio::test(start_paused = true)]
async fn a_check_is_quick_on_the_largest_status() {
    let large = golden::large().await;
    let (status, message) = health("Orchestration", &large);
    assert_eq!(
        (status.as_str(), message.as_str()),
        ("Progressing", "0/1000, waiting for leaf-0, leaf-1, leaf-10 and 997 more")
    );
    let script = script("Orchestration");
    let instructions = lua::instructions(&script, &large);
    // What the script takes, without making its state, and the object's way into it.
    let prepared = lua::sandbox();
    prepared.globals().set("obj", lua::given(&prepared, &large)).unwrap();
    let check = prepared.load(&script).into_function().unwrap();
    let mut best = u128::MAX;
    for _ in 0..20 {
        let begin = Instant::now();
        check.call::<mlua::Value>(()).unwrap();
        best = best.min(begin.elapsed().as_micros());
    }
    println!(
        "health of {} bytes with 1000 activities: {best} µs, about {instructions} instructions",
        large.to_string().len()
    );
    assert!(instructions < MOST_INSTRUCTIONS, "{instructions}");
    for kind in KINDS {
        for (of, name, object) in golden::all() {
            let instructions = lua::instructions(&self::script(kind), &object);
            assert!(of != kind || instructions < 5_000, "{kind} {name}: {instructions}");
        }
    }
}
