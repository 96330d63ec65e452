//! Golden objects: every kind in every state that matters to others, as the operator really leaves it.
//!
//! Responsible for: that the test data of the scripts cannot go stale; `UPDATE_ARTEFACTS=1` writes it. Must never: make up
//! a status.

use std::collections::BTreeMap;
use std::path::Path;

use kube::Resource;
use kube::api::DynamicObject;
use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition, OrchestrationSchedule};
use orchestrator::client::Namespaced;
use serde::Serialize;
use serde_json::{Value, json};

use super::{KINDS, directory, document};
use crate::support::kubelet::{Act, Work};
use crate::support::objects::{activity_definition, definition, fan_out, orchestration, schedule};
use crate::support::sandbox::Sandbox;
use crate::support::told::{Told, says};

/// Kind, name of the file, and object.
pub type Golden = (String, String, Value);

/// All golden objects, from the files.
pub fn all() -> Vec<Golden> {
    let mut all = Vec::new();
    for kind in KINDS {
        for file in std::fs::read_dir(directory(kind).join("testdata")).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            all.push((kind.to_owned(), name, document(&path)));
        }
    }
    all.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    all
}

/// What the pods do, by the name of the run and the activity.
fn act(work: &Work) -> Act {
    let run = work.pod.metadata.labels.as_ref().unwrap()["orchestrator.dev/orchestration"].clone();
    match (run.as_str(), work.activity.as_str()) {
        ("waiting", "cache") | ("retrying", "cache") => {
            Act::Wait("ImagePullBackOff", "Back-off pulling image \"registry.example.com/cache:1\"")
        }
        ("running" | "waiting" | "suspending" | "stopping" | "terminated" | "late", "database" | "cache") => {
            Act::Run
        }
        ("retrying" | "failed", "database") => Act::Fail(1, "Error", "no such host".to_owned()),
        (name, "network") if name.starts_with("failing-") => Act::Fail(1, "Error", "no such host".to_owned()),
        (name, _) if name.starts_with("busy-") || name == "large" => Act::Run,
        _ => Act::outputs(&json!({})),
    }
}

/// What identifies one life of an object, and what differs from one to the next, is taken out.
fn clean(kind: &str, object: impl Serialize) -> Value {
    let mut object = serde_json::to_value(object).unwrap();
    object["apiVersion"] = json!("orchestrator.dev/v1alpha1");
    object["kind"] = json!(kind);
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.remove("managedFields");
    metadata.insert("resourceVersion".to_owned(), json!("1"));
    metadata.insert("uid".to_owned(), json!("00000000-0000-4000-8000-000000000001"));
    for owner in metadata.get_mut("ownerReferences").and_then(Value::as_array_mut).into_iter().flatten() {
        owner["uid"] = json!("00000000-0000-4000-8000-000000000002");
    }
    // Pauses are shortened by chance.
    for entry in object.pointer_mut("/status/activities").and_then(Value::as_object_mut).into_iter().flatten()
    {
        if !entry.1["nextAttemptTime"].is_null() {
            entry.1["nextAttemptTime"] = json!("2026-01-01T00:00:20Z");
        }
    }
    object
}

/// The sandbox, and what was taken from it.
struct Making {
    sandbox: Sandbox,
    made: BTreeMap<(String, String), Value>,
}

impl Making {
    fn keep<K>(&mut self, file: &str, object: K)
    where
        K: Serialize + Resource<DynamicType = ()>,
    {
        let kind = K::kind(&()).into_owned();
        let cleaned = clean(&kind, object);
        self.made.insert((kind, file.to_owned()), cleaned);
    }

    /// Keeps an object once it says so in a condition of its newest version.
    async fn told<K>(&mut self, name: &str, type_: &str, begins: &str)
    where
        K: Namespaced + Told + Serialize,
    {
        let found = self
            .sandbox
            .until::<K>(name, |object| {
                object.observed_generation().is_some()
                    && object.observed_generation() == object.meta().generation
                    && says(object, type_).starts_with(begins)
            })
            .await;
        self.keep(name, found);
    }

    /// Keeps an object of which nobody has seen the newest version.
    async fn unseen<K>(&mut self, name: &str, file: &str)
    where
        K: Namespaced + Serialize,
    {
        let found = self.sandbox.api::<K>().get(name).await.unwrap();
        self.keep(file, found);
    }

    /// Makes a run, and keeps it once its activities are in these states.
    async fn run(&mut self, run: Value, states: &[(&str, &str, &str)]) {
        let name = run["metadata"]["name"].as_str().unwrap().to_owned();
        self.sandbox.apply([run]).await;
        self.seen(&name, states).await;
    }

    async fn seen(&mut self, name: &str, states: &[(&str, &str, &str)]) {
        let found = self
            .sandbox
            .until::<Orchestration>(name, |run| {
                let Some(status) = run.status.as_ref() else { return false };
                status.observed_generation == run.metadata.generation
                    && states.iter().all(|(id, state, reason)| {
                        status.activities.get(*id).is_some_and(|entry| {
                            format!("{:?}", entry.state) == *state
                                && entry.reason.as_deref().unwrap_or_default() == *reason
                                && (entry.start_time.is_some() || *state != "Running" || !reason.is_empty())
                        })
                    })
            })
            .await;
        self.keep(name, found);
    }

    async fn finished(&mut self, run: Value) {
        let name = run["metadata"]["name"].as_str().unwrap().to_owned();
        self.sandbox.apply([run]).await;
        let found = self.sandbox.finished(&name).await;
        self.keep(&name, found);
    }
}

/// The definition of the runs: network, then database and cache, then app, then smoke-test.
fn deploy(name: &str, more: Value) -> Value {
    let mut spec = json!({"activities": [
        {"id": "network", "type": "step"},
        {"id": "database", "type": "step", "dependsOn": "network"},
        {"id": "cache", "type": "step", "dependsOn": "network"},
        {"id": "app", "type": "step", "dependsOn": ["database", "cache"]},
        {"id": "smoke-test", "type": "step", "dependsOn": "app"},
    ]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    definition(name, spec)
}

fn run(name: &str, more: Value) -> Value {
    let mut run = orchestration(name, "deploy", json!({"version": "1.4"}));
    run["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    run
}

async fn make() -> BTreeMap<(String, String), Value> {
    let mut making = Making { sandbox: Sandbox::start(act), made: BTreeMap::new() };
    definitions(&mut making).await;
    runs(&mut making).await;
    schedules(&mut making).await;
    unseen(&mut making).await;
    making.made
}

async fn definitions(making: &mut Making) {
    let mut invalid = activity_definition("invalid");
    invalid["spec"]["job"]["template"]["spec"]["restartPolicy"] = json!("Always");
    let mut flaky = activity_definition("flaky");
    flaky["spec"]["retry"] = json!({"maxRetries": 3});
    making.sandbox.apply([activity_definition("step"), flaky, invalid]).await;
    making.told::<ActivityDefinition>("step", "Ready", "True").await;
    making.told::<ActivityDefinition>("invalid", "Stalled", "True").await;

    let schema = json!({"schema": {"openAPIV3Schema": {
        "type": "object", "required": ["version"], "properties": {"version": {"type": "string"}},
    }}});
    let default = json!({"schema": {"openAPIV3Schema": {
        "type": "object", "required": ["version"], "properties": {"version": {"type": "string", "default": "1.4"}},
    }}});
    let one =
        |type_: &str, on: Value| json!({"activities": [{"id": "network", "type": type_, "dependsOn": on}]});
    let flaky = json!({"activities": [
        {"id": "network", "type": "step"},
        {"id": "database", "type": "flaky", "dependsOn": "network"},
        {"id": "cache", "type": "step", "dependsOn": "network"},
    ]});
    making
        .sandbox
        .apply([
            deploy("deploy", json!({})),
            deploy("needs-input", schema),
            deploy("has-default", default),
            deploy("inactive", json!({"active": false})),
            definition("flaky", flaky),
            definition("cycle", one("step", json!(["network"]))),
            definition("missing-type", one("nothing", json!([]))),
        ])
        .await;
    for ready in ["deploy", "needs-input", "has-default", "inactive", "flaky"] {
        making.told::<OrchestrationDefinition>(ready, "Ready", "True").await;
    }
    making.told::<OrchestrationDefinition>("cycle", "Stalled", "True").await;
    making.told::<OrchestrationDefinition>("missing-type", "Ready", "False").await;
}

async fn runs(making: &mut Making) {
    let both = [("database", "Running", ""), ("cache", "Running", "")];
    making.run(run("running", json!({})), &both).await;
    let image = ("cache", "Running", "ImagePullBackOff");
    making.run(run("waiting", json!({})), &[both[0], image]).await;
    making
        .run(run("retrying", json!({"type": "flaky"})), &[("database", "Retrying", "ExitCode"), image])
        .await;
    for (name, change) in
        [("suspending", json!({"suspend": true})), ("stopping", json!({"shutdown": "Stop"}))]
    {
        making.run(run(name, json!({})), &both).await;
        making.sandbox.edit::<Orchestration>(name, change).await;
        making.seen(name, &both).await;
    }
    making
        .sandbox
        .apply([run("suspended", json!({"suspend": true})), run("unaccepted", json!({"type": "nothing"}))])
        .await;
    making.told::<Orchestration>("suspended", "Reconciling", "True Suspended").await;
    making.told::<Orchestration>("unaccepted", "Accepted", "False").await;

    making.finished(run("succeeded", json!({}))).await;
    making.finished(run("failed", json!({}))).await;
    making.finished(run("resumed", json!({"resumeFrom": "failed"}))).await;
    making.finished(run("late", json!({"activeDeadlineSeconds": 60}))).await;
    making.finished(run("refused", json!({"type": "needs-input", "input": {}}))).await;
    making.finished(run("cancelled", json!({"suspend": true, "shutdown": "Stop"}))).await;
    making.run(run("terminated", json!({})), &both).await;
    making.sandbox.edit::<Orchestration>("terminated", json!({"shutdown": "Terminate"})).await;
    let terminated = making.sandbox.finished("terminated").await;
    making.keep("terminated", terminated);
}

async fn schedules(making: &mut Making) {
    let make = |name: &str, type_: &str, over: Value| schedule(name, "0 * * * *", type_, over);
    let mut ignoring = make("failing-ignored", "deploy", json!({}));
    ignoring["metadata"]["annotations"] = json!({"orchestrator.dev/ignore-last-result": "true"});
    let mut invalid = make("invalid", "deploy", json!({}));
    invalid["spec"]["schedule"] = json!("61 * * * *");
    making
        .sandbox
        .apply([
            make("succeeding", "deploy", json!({"orchestrationTemplate": {
                "metadata": {
                    "labels": {"team": "dns", "app.kubernetes.io/instance": "app"},
                    "annotations": {"example.com/note": "nightly", "argocd.argoproj.io/sync-wave": "3"},
                },
                "spec": {
                    "type": "deploy", "input": {"version": "1.4", "hosts": ["a", {"b": 1}]}, "correlationId": "c-1",
                    "activeDeadlineSeconds": 3600,
                },
            }})),
            make("failing-nightly", "deploy", json!({})),
            ignoring,
            make("busy-nightly", "deploy", json!({})),
            make("suspended", "deploy", json!({"suspend": true})),
            make("inactive", "inactive", json!({})),
            make("missing-definition", "nothing", json!({})),
            make("broken-definition", "cycle", json!({})),
            invalid,
        ])
        .await;
    making.told::<OrchestrationSchedule>("succeeding", "Ready", "True").await;
    let never = making.made.remove(&("OrchestrationSchedule".to_owned(), "succeeding".to_owned())).unwrap();
    making.made.insert(("OrchestrationSchedule".to_owned(), "ready".to_owned()), never);
    for name in ["suspended"] {
        making.told::<OrchestrationSchedule>(name, "Ready", "True Suspended").await;
    }
    for name in ["inactive", "missing-definition", "broken-definition"] {
        making.told::<OrchestrationSchedule>(name, "Ready", "False").await;
    }
    making.told::<OrchestrationSchedule>("invalid", "Stalled", "True").await;
    for name in ["succeeding", "failing-nightly", "failing-ignored"] {
        let ended = |schedule: &OrchestrationSchedule| {
            schedule.status.as_ref().is_some_and(|status| status.last_result.is_some())
        };
        let found = making.sandbox.until::<OrchestrationSchedule>(name, ended).await;
        if name == "failing-nightly" {
            let run = found.status.as_ref().unwrap().last_result.as_ref().unwrap().name.clone();
            let run = making.sandbox.finished(&run).await;
            making.keep("failed-of-a-schedule", run);
        }
        making.keep(name, found);
    }
    let busy = |schedule: &OrchestrationSchedule| {
        schedule.status.as_ref().is_some_and(|status| status.active_count == Some(1))
    };
    let found = making.sandbox.until::<OrchestrationSchedule>("busy-nightly", busy).await;
    making.keep("busy-nightly", found);
}

/// What was made or changed while no operator is there.
async fn unseen(making: &mut Making) {
    making.sandbox.stop_operator();
    making
        .sandbox
        .apply([
            activity_definition("new"),
            deploy("new", json!({})),
            run("new", json!({})),
            schedule("new", "0 6 * * *", "deploy", json!({})),
        ])
        .await;
    making.unseen::<ActivityDefinition>("new", "new").await;
    making.unseen::<OrchestrationDefinition>("new", "new").await;
    making.unseen::<Orchestration>("new", "new").await;
    making.unseen::<OrchestrationSchedule>("new", "new").await;
    making.sandbox.edit::<ActivityDefinition>("step", json!({"description": "edited"})).await;
    making.sandbox.edit::<OrchestrationDefinition>("deploy", json!({"description": "edited"})).await;
    making.sandbox.edit::<Orchestration>("succeeded", json!({"activeDeadlineSeconds": 60})).await;
    making.sandbox.edit::<OrchestrationSchedule>("succeeding", json!({"suspend": true})).await;
    making.unseen::<ActivityDefinition>("step", "edited").await;
    making.unseen::<OrchestrationDefinition>("deploy", "edited").await;
    making.unseen::<Orchestration>("succeeded", "edited").await;
    making.unseen::<OrchestrationSchedule>("succeeding", "edited").await;
}

#[tokio::test(start_paused = true)]
async fn the_golden_objects_are_what_the_operator_leaves_behind() {
    let made = make().await;
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
    let writes = std::env::var_os("UPDATE_ARTEFACTS").is_some_and(|value| value == "1");
    let mut expected = Vec::new();
    for ((kind, name), object) in made {
        let path = directory(&kind).join("testdata").join(format!("{name}.yaml"));
        if writes {
            write(&path, &object);
        }
        assert_eq!(document(&path), object, "{}: UPDATE_ARTEFACTS=1 writes it", path.display());
        expected.push((kind, name));
    }
    let there: Vec<(String, String)> = all().into_iter().map(|(kind, name, _)| (kind, name)).collect();
    expected.sort();
    assert_eq!(there, expected, "files that nothing makes");
}

/// Writes an object as YAML.
pub fn write(path: &Path, object: &Value) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, serde_saphyr::to_string(object).unwrap()).unwrap();
}

/// A run of a thousand activities, all of which run: the largest status that there can be of that many.
pub async fn large() -> Value {
    let sandbox = Sandbox::start(act);
    sandbox
        .apply([
            activity_definition("step"),
            fan_out("wide", 1000),
            orchestration("large", "wide", json!({})),
        ])
        .await;
    let run = sandbox
        .until::<Orchestration>("large", |run| {
            let activities = run.status.as_ref().map(|status| &status.activities);
            activities.is_some_and(|all| {
                all.len() == 1000 && all.values().all(|entry| format!("{:?}", entry.state) == "Running")
            })
        })
        .await;
    clean("Orchestration", run)
}

#[test]
fn a_golden_object_is_read_without_a_loss() {
    for (kind, name, object) in all() {
        let read: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(read.types.unwrap().kind, kind, "{name}");
    }
}
