//! Actions of Argo CD: which are offered, and what they make.

use kube::ResourceExt;
use orchestrator::api::{Orchestration, OrchestrationSchedule};
use orchestrator::engine::metadata::{TOOL_KEYS, TOOL_PREFIXES};
use orchestrator::engine::schedule::template::{self, Name};
use serde_json::{Value, json};

use super::{directory, document, golden, lua, read};

/// Kinds with actions, and their actions.
const ACTIONS: [(&str, &[&str]); 3] = [
    ("OrchestrationDefinition", &["create-run"]),
    ("Orchestration", &["resume", "retry", "stop", "suspend", "terminate"]),
    ("OrchestrationSchedule", &["resume", "run-now", "suspend"]),
];

/// A golden object, and what is offered for it.
type Offer = (&'static str, &'static [&'static str]);

/// What is offered for golden objects.
const OFFERED: [(&str, &[Offer]); 3] = [
    (
        "OrchestrationDefinition",
        &[
            ("deploy", &["create-run"]),
            ("has-default", &["create-run"]),
            ("needs-input", &[]),
            ("inactive", &[]),
            ("cycle", &[]),
            ("missing-type", &[]),
            ("new", &[]),
            ("edited", &[]),
        ],
    ),
    (
        "Orchestration",
        &[
            ("new", &["stop", "suspend", "terminate"]),
            ("unaccepted", &["stop", "suspend", "terminate"]),
            ("running", &["stop", "suspend", "terminate"]),
            ("retrying", &["stop", "suspend", "terminate"]),
            ("suspending", &["resume", "stop", "terminate"]),
            ("suspended", &["resume", "stop", "terminate"]),
            ("stopping", &["terminate"]),
            ("succeeded", &[]),
            ("resumed", &[]),
            ("failed", &["retry"]),
            ("late", &["retry"]),
            ("refused", &["retry"]),
            ("cancelled", &["retry"]),
            ("terminated", &["retry"]),
        ],
    ),
    (
        "OrchestrationSchedule",
        &[
            ("new", &["run-now", "suspend"]),
            ("succeeding", &["run-now", "suspend"]),
            ("failing-nightly", &["run-now", "suspend"]),
            ("suspended", &["resume", "run-now"]),
            ("invalid", &["suspend"]),
            ("missing-definition", &["suspend"]),
            ("inactive", &["suspend"]),
        ],
    ),
];

/// How actions look.
const LOOKS: [(&str, &str, &str); 7] = [
    ("create-run", "Create run", "fa fa-fw fa-plus"),
    ("resume", "Resume", "fa fa-fw fa-play"),
    ("retry", "Retry", "fa fa-fw fa-redo"),
    ("run-now", "Run now", "fa fa-fw fa-bolt"),
    ("stop", "Stop", "fa fa-fw fa-stop"),
    ("suspend", "Suspend", "fa fa-fw fa-pause"),
    ("terminate", "Terminate", "fa fa-fw fa-times-circle"),
];

/// What becomes of a golden object by an action: its spec with this over it, or what is created, or an error.
enum Outcome {
    Spec(Value),
    Created(Value),
    Error(&'static str),
}

/// Kind, action, golden object and what becomes of it.
fn outcomes() -> Vec<(&'static str, &'static str, &'static str, Outcome)> {
    let finished = || Outcome::Error("the Orchestration has finished");
    let spec = Outcome::Spec;
    let made = |name: &str, kind: &str, of: &str, spec: Value| {
        let owner = json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": kind, "name": of,
            "uid": "00000000-0000-4000-8000-000000000001",
        });
        Outcome::Created(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration",
            "metadata": {"name": name, "namespace": "default", "ownerReferences": [owner]}, "spec": spec,
        }))
    };
    let run = "Orchestration";
    let schedule = "OrchestrationSchedule";
    let retry = json!({"type": "deploy", "input": {"version": "1.4"}, "resumeFrom": "failed"});
    let triggered = triggered(&golden_object(schedule, "succeeding"), "succeeding-manual-1772366400");
    vec![
        (run, "suspend", "running", spec(json!({"suspend": true}))),
        (run, "suspend", "failed", finished()),
        (run, "resume", "suspended", spec(json!({"suspend": false}))),
        (run, "resume", "cancelled", finished()),
        (run, "stop", "running", spec(json!({"shutdown": "Stop"}))),
        (run, "stop", "succeeded", finished()),
        (run, "terminate", "stopping", spec(json!({"shutdown": "Terminate"}))),
        (run, "terminate", "new", spec(json!({"shutdown": "Terminate"}))),
        (run, "terminate", "succeeded", finished()),
        (run, "retry", "failed", made("failed-retry-1772366400", run, "failed", retry)),
        (run, "retry", "running", Outcome::Error("the Orchestration has not finished")),
        (run, "retry", "succeeded", Outcome::Error("the Orchestration has succeeded")),
        (schedule, "suspend", "succeeding", spec(json!({"suspend": true}))),
        (schedule, "resume", "suspended", spec(json!({"suspend": false}))),
        (schedule, "run-now", "succeeding", Outcome::Created(triggered)),
        (schedule, "run-now", "missing-definition", Outcome::Error("the schedule is not Ready")),
        (
            "OrchestrationDefinition",
            "create-run",
            "inactive",
            Outcome::Error("not Ready, not active, or its runs need"),
        ),
        (
            "OrchestrationDefinition",
            "create-run",
            "needs-input",
            Outcome::Error("not Ready, not active, or its runs need"),
        ),
        (
            "OrchestrationDefinition",
            "create-run",
            "deploy",
            made("deploy-1772366400", "OrchestrationDefinition", "deploy", json!({"type": "deploy"})),
        ),
    ]
}

/// The test file of a kind's actions in Argo CD's form, and the objects that it refers to.
fn files(kind: &str) -> Vec<(String, Value)> {
    let actions = ACTIONS.iter().find(|(of, _)| *of == kind).unwrap().1;
    let objects = OFFERED.iter().find(|(of, _)| *of == kind).unwrap().1;
    let discovery: Vec<Value> = objects
        .iter()
        .map(|(name, offered)| {
            let result: Vec<Value> = actions
                .iter()
                .map(|action| {
                    let (_, display, icon) = LOOKS.iter().find(|(of, ..)| of == action).unwrap();
                    json!({"name": action, "disabled": !offered.contains(action), "displayName": display, "iconClass": icon})
                })
                .collect();
            json!({"inputPath": format!("../testdata/{name}.yaml"), "result": result})
        })
        .collect();
    let (mut cases, mut files) = (Vec::new(), Vec::new());
    for (_, action, name, outcome) in outcomes().into_iter().filter(|(of, ..)| *of == kind) {
        let mut case = json!({"action": action, "inputPath": format!("../testdata/{name}.yaml")});
        let output = match outcome {
            Outcome::Error(message) => {
                case["expectedErrorMessage"] = json!(message);
                cases.push(case);
                continue;
            }
            Outcome::Created(object) => object,
            Outcome::Spec(over) => {
                let mut object = golden_object(kind, name);
                object["spec"].as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
                object
            }
        };
        let path = format!("testdata/{name}-{action}.yaml");
        case["expectedOutputPath"] = json!(path);
        cases.push(case);
        files.push((path, output));
    }
    files.push(("action_test.yaml".to_owned(), json!({"discoveryTests": discovery, "actionTests": cases})));
    files
}

#[test]
fn the_test_files_are_those_of_the_golden_objects() {
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
    let writes = std::env::var_os("UPDATE_ARTEFACTS").is_some_and(|value| value == "1");
    for (kind, _) in ACTIONS {
        for (path, content) in files(kind) {
            let path = directory(kind).join("actions").join(path);
            if writes {
                golden::write(&path, &content);
            }
            assert_eq!(document(&path), content, "{}: UPDATE_ARTEFACTS=1 writes it", path.display());
        }
    }
}

/// What an action makes of an object.
fn act(kind: &str, action: &str, object: &Value) -> Result<Value, String> {
    lua::result(&read(&directory(kind).join("actions").join(action).join("action.lua")), object)
}

/// The actions that are offered for an object, by name; those that are not are disabled.
fn offered(kind: &str, object: &Value) -> Vec<String> {
    let found = lua::result(&read(&directory(kind).join("actions/discovery.lua")), object);
    let found = found.unwrap_or_else(|error| panic!("{error}: {object}"));
    let offered = found.as_object().unwrap().iter();
    offered.filter(|(_, action)| action["disabled"] == false).map(|(name, _)| name.clone()).collect()
}

fn golden_object(kind: &str, name: &str) -> Value {
    document(&directory(kind).join("testdata").join(format!("{name}.yaml")))
}

/// What Argo CD makes of the result of a script: for a patch, empty lists become what they were.
fn cleaned(new: Value, old: &Value) -> Value {
    match (new, old) {
        (Value::Array(new), Value::Object(_)) if new.is_empty() => json!({}),
        (Value::Object(new), Value::Object(old)) => new
            .into_iter()
            .map(|(key, value)| {
                let value = cleaned(value, old.get(&key).unwrap_or(&Value::Null));
                (key, value)
            })
            .collect(),
        (new, _) => new,
    }
}

/// The only object that an action creates.
fn created(kind: &str, action: &str, object: &Value) -> Value {
    let made = act(kind, action, object).unwrap_or_else(|error| panic!("{action}: {error}"));
    let made = made.as_array().unwrap_or_else(|| panic!("{made}"));
    assert_eq!((made.len(), &made[0]["operation"]), (1, &json!("create")));
    made[0]["resource"].clone()
}

#[test]
fn every_case_of_the_test_files_holds_and_every_action_has_one() {
    for (kind, actions) in ACTIONS {
        let directory = directory(kind).join("actions");
        let tests = document(&directory.join("action_test.yaml"));
        for test in tests["discoveryTests"].as_array().unwrap() {
            let path = test["inputPath"].as_str().unwrap();
            let object = document(&directory.join(path));
            let found = lua::result(&read(&directory.join("discovery.lua")), &object).unwrap();
            let mut found: Vec<Value> = found
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, action)| {
                    let mut action = action.clone();
                    action["name"] = json!(name);
                    action
                })
                .collect();
            found.sort_by_key(|action| action["name"].as_str().map(str::to_owned));
            assert_eq!(json!(found), test["result"], "{kind} {path}");
            let names: Vec<&str> = found.iter().filter_map(|action| action["name"].as_str()).collect();
            assert_eq!(names, actions, "{kind}");
        }
        for action in actions {
            let cases =
                tests["actionTests"].as_array().unwrap().iter().filter(|test| test["action"] == **action);
            assert!(cases.count() > 0, "{kind}: {action} has no case");
        }
        for test in tests["actionTests"].as_array().unwrap() {
            let (action, path) = (test["action"].as_str().unwrap(), test["inputPath"].as_str().unwrap());
            let object = document(&directory.join(path));
            let result = act(kind, action, &object);
            if let Some(expected) = test["expectedErrorMessage"].as_str() {
                let error = result.unwrap_err();
                assert!(error.contains(expected), "{kind} {action} {path}: {error}");
                continue;
            }
            let expected = document(&directory.join(test["expectedOutputPath"].as_str().unwrap()));
            let result = match result.unwrap() {
                Value::Array(made) => made[0]["resource"].clone(),
                patched => cleaned(patched, &object),
            };
            assert_eq!(result, expected, "{kind} {action} {path}");
        }
    }
}

#[test]
fn actions_are_offered_where_they_make_sense() {
    for (kind, objects) in OFFERED {
        for (name, expected) in objects {
            assert_eq!(offered(kind, &golden_object(kind, name)), *expected, "{kind} {name}");
        }
    }
    for (kind, _) in ACTIONS {
        for (of, name, mut object) in golden::all() {
            if of == kind {
                object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                assert_eq!(offered(kind, &object), [""; 0], "{kind} {name} is deleted");
            }
        }
        for broken in [
            json!({}),
            json!({"spec": 1, "status": "x", "metadata": []}),
            json!({"status": {"conditions": {}}}),
        ] {
            offered(kind, &broken);
        }
    }
}

#[test]
fn a_finished_run_is_left_alone() {
    for name in ["succeeded", "failed", "cancelled"] {
        for action in ["suspend", "resume", "stop", "terminate"] {
            let error = act("Orchestration", action, &golden_object("Orchestration", name)).unwrap_err();
            assert!(error.contains("the Orchestration has finished"), "{error}");
        }
    }
    let error = act("Orchestration", "retry", &golden_object("Orchestration", "succeeded")).unwrap_err();
    assert!(error.contains("the Orchestration has succeeded"), "{error}");
    let error = act("Orchestration", "retry", &golden_object("Orchestration", "running")).unwrap_err();
    assert!(error.contains("the Orchestration has not finished"), "{error}");
    // Stop does not take back Terminate.
    let mut run = golden_object("Orchestration", "stopping");
    run["spec"]["shutdown"] = json!("Terminate");
    assert_eq!(act("Orchestration", "stop", &run).unwrap()["spec"]["shutdown"], "Terminate");
}

/// What `orchestrator schedule trigger` makes of a schedule, under another name.
fn triggered(object: &Value, name: &str) -> Value {
    let schedule: OrchestrationSchedule = serde_json::from_value(object.clone()).unwrap();
    template::run(&schedule, Name::Exact(name), lua::now())
}

#[test]
fn run_now_makes_what_the_command_makes() {
    let long =
        ["a".repeat(253), format!("{}.{}", "b".repeat(62), "c".repeat(20)), format!("{}-.x", "d".repeat(61))];
    for (of, _, mut object) in golden::all() {
        if of != "OrchestrationSchedule" || !offered(&of, &object).iter().any(|action| action == "run-now") {
            continue;
        }
        for name in std::iter::once(object.name()).chain(long.clone()) {
            object["metadata"]["name"] = json!(name);
            let made = created("OrchestrationSchedule", "run-now", &object);
            let given = made["metadata"]["name"].as_str().unwrap();
            assert!(given.len() <= 253 && given.ends_with("-manual-1772366400"), "{given}");
            assert_eq!(made, triggered(&object, given));
            let run: Orchestration = serde_json::from_value(made.clone()).unwrap();
            assert_eq!(template::tick_of(&run), Some(lua::now()));
            assert!(run.labels().values().all(|value| value.len() <= 63));
        }
    }
    let script = read(&directory("OrchestrationSchedule").join("actions/run-now/action.lua"));
    for prefix in TOOL_PREFIXES {
        assert!(script.contains(&format!("\"{}\"", prefix.trim_end_matches('/'))), "{prefix}");
    }
    for key in TOOL_KEYS {
        assert!(script.contains(&format!("\"{key}\"")), "{key}");
    }
}

/// The name of an object.
trait Named {
    fn name(&self) -> String;
}

impl Named for Value {
    fn name(&self) -> String {
        self["metadata"]["name"].as_str().unwrap().to_owned()
    }
}

#[test]
fn an_input_that_an_action_cannot_copy_is_refused() {
    let mut object = golden_object("OrchestrationSchedule", "succeeding");
    let mut with = |input: Value| {
        object["spec"]["orchestrationTemplate"]["spec"]["input"] = input;
        let expected = triggered(&object, "x")["spec"].clone();
        act("OrchestrationSchedule", "run-now", &object)
            .map(|made| (made[0]["resource"]["spec"].clone(), expected))
    };
    for input in [
        json!({"tags": []}),
        json!({"a": {"b": {}}}),
        json!({"a": [{}]}),
        json!({"n": 9_007_199_254_740_993_i64}),
    ] {
        assert!(with(input.clone()).unwrap_err().contains("use kubectl"), "{input}");
    }
    for input in [
        json!({"a": [[1, -2.5], {"b": "ä"}], "flag": false, "n": 9_007_199_254_740_991_i64}),
        json!({"s": ""}),
    ] {
        let (made, expected) = with(input).unwrap();
        assert_eq!(made, expected);
    }
    // An action that changes an object sends all of it back.
    let changing = |input: &Value| {
        let mut run = golden_object("Orchestration", "running");
        run["spec"]["input"] = input.clone();
        let mut reported = golden_object("Orchestration", "running");
        let all = reported["status"]["activities"].as_object_mut().unwrap();
        all.values_mut().next().unwrap()["outputs"] = input.clone();
        let mut schedule = golden_object("OrchestrationSchedule", "succeeding");
        schedule["spec"]["orchestrationTemplate"]["spec"]["input"] = input.clone();
        let run = ["suspend", "resume", "stop", "terminate"].map(|action| ("Orchestration", action, &run));
        let reported = [("Orchestration", "suspend", &reported)];
        let schedule = ["suspend", "resume"].map(|action| ("OrchestrationSchedule", action, &schedule));
        let all = run.into_iter().chain(reported).chain(schedule);
        all.map(|(kind, action, object)| act(kind, action, object).map(|_| ())).collect::<Vec<_>>()
    };
    for input in [json!({"a": [{}]}), json!({"a": [[]]}), json!({"n": 9_007_199_254_740_993_i64})] {
        for result in changing(&input) {
            assert!(result.unwrap_err().contains("use kubectl"), "{input}");
        }
    }
    for result in changing(&json!({"tags": [], "a": [1, {"b": {}}], "n": 9_007_199_254_740_991_i64})) {
        assert_eq!(result, Ok(()));
    }
    // Nothing, and nothing at all, are the same input.
    let (made, _) = with(json!({})).unwrap();
    assert_eq!(made["input"], Value::Null);
    let mut failed = golden_object("Orchestration", "failed");
    failed["spec"]["input"] = json!({"a": []});
    assert!(act("Orchestration", "retry", &failed).unwrap_err().contains("use kubectl"));
}

#[test]
fn a_retry_takes_over_from_its_original_and_belongs_to_its_schedule_or_to_it() {
    let mut failed = golden_object("Orchestration", "failed");
    failed["metadata"]["labels"] = json!({"team": "dns", "app.kubernetes.io/instance": "app"});
    failed["metadata"]["annotations"] = json!({"argocd.argoproj.io/hook": "PreSync", "kubectl.kubernetes.io/last-applied-configuration": "{}"});
    failed["spec"]["shutdown"] = json!("Stop");
    let new = created("Orchestration", "retry", &failed);
    assert_eq!(
        new,
        json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration",
            "metadata": {
                "name": "failed-retry-1772366400", "namespace": "default", "labels": {"team": "dns"},
                "ownerReferences": [{
                    "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "name": "failed",
                    "uid": "00000000-0000-4000-8000-000000000001",
                }],
            },
            "spec": {"type": "deploy", "input": {"version": "1.4"}, "resumeFrom": "failed"},
        })
    );
    // Whoever deletes itself must not take its retry with it.
    failed["spec"]["ttlSecondsAfterFinished"] = json!(60);
    let new = created("Orchestration", "retry", &failed);
    assert_eq!(
        (&new["metadata"]["ownerReferences"], &new["spec"]["ttlSecondsAfterFinished"]),
        (&Value::Null, &json!(60))
    );
    let of_schedule = golden_object("Orchestration", "failed-of-a-schedule");
    let new = created("Orchestration", "retry", &of_schedule);
    assert_eq!(new["metadata"]["ownerReferences"], of_schedule["metadata"]["ownerReferences"]);
    assert_eq!(new["metadata"]["labels"], of_schedule["metadata"]["labels"]);
}

#[test]
fn the_same_words_in_two_scripts_stay_the_same() {
    let shared = ["Orchestration/actions/retry", "OrchestrationSchedule/actions/run-now"];
    let texts = shared.map(|path| read(&directory(path).join("action.lua")));
    let between = |text: &str| {
        let (_, rest) = text.split_once("local function map").unwrap();
        rest.split_once("return flat(made)\nend").unwrap().0.to_owned()
    };
    assert_eq!(between(&texts[0]), between(&texts[1]));
    // Argo CD has no place for what several scripts share.
    let changing = [
        "Orchestration/actions/suspend",
        "Orchestration/actions/resume",
        "Orchestration/actions/stop",
        "Orchestration/actions/terminate",
        "OrchestrationSchedule/actions/suspend",
        "OrchestrationSchedule/actions/resume",
    ];
    let guards = changing.map(|path| {
        let text = read(&directory(path).join("action.lua"));
        text.split_once("error(\"it has no spec\", 0) end\n").unwrap().0.to_owned()
    });
    assert!(guards.iter().all(|guard| *guard == guards[0]));
    let definition = directory("OrchestrationDefinition/actions");
    let discovery = read(&definition.join("discovery.lua"));
    let possible = discovery.split_once("return {[\"create-run\"]").unwrap().0;
    assert!(read(&definition.join("create-run/action.lua")).contains(possible));
    let checks = super::KINDS.map(|kind| read(&directory(kind).join("health.lua")));
    let head = |text: &str| {
        let (_, rest) = text.split_once("local function map").unwrap();
        rest.split_once("has not seen its newest version yet").unwrap().0.to_owned()
    };
    assert!(checks.iter().all(|check| head(check) == head(&checks[0])));
}
