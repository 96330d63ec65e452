//! Golden status objects: what versions of the engine have left behind in every state, carried to its end by this one.
//!
//! Responsible for: that an update of the operator finishes what an earlier one began. Files of versions that were
//! released are never changed; `UPDATE_ARTEFACTS=1` adds those that are missing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use orchestrator::api::ActivityDefinitionSpec;
use orchestrator::api::orchestration::{ActivityState, Orchestration, OrchestrationStatus};
use orchestrator::api::orchestration_definition::OrchestrationDefinitionSpec;
use orchestrator::engine::acceptance::{Definition, decide};
use orchestrator::engine::definition::{Compiled, TypeState, compile};
use orchestrator::engine::effect::Effect;
use orchestrator::engine::observe::{Attempt, FailureReason, Observed, Outcome, Verdict};
use orchestrator::engine::plan::{Plan, Situation, plan};
use orchestrator::engine::retry;
use orchestrator::engine::state::is_final;
use serde_json::{Value, json};

/// The version whose states the scenes below make.
const VERSION: &str = "0.1.0";

fn at(second: i64) -> Timestamp {
    "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second)
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/status")
}

/// One orchestration, as a file keeps it.
struct Golden {
    definition: Value,
    compiled: Compiled,
    orchestration: Orchestration,
}

impl Golden {
    fn new(definition: Value, orchestration: Orchestration) -> Self {
        let spec: OrchestrationDefinitionSpec = serde_json::from_value(definition.clone()).unwrap();
        let type_ = json!({"retry": {"maxRetries": 2, "backoff": {"initialSeconds": 60}}, "startingDeadlineSeconds": 100});
        let type_: ActivityDefinitionSpec = serde_json::from_value(type_).unwrap();
        let compiled = compile(&spec, |_| TypeState::Ready(&type_)).unwrap();
        Self { definition, compiled, orchestration }
    }

    /// Accepted, with more of a spec.
    fn accepted(definition: Value, more: Value) -> Self {
        let mut spec = json!({"type": "d", "input": {"x": 1}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let object = json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration",
            "metadata": {"name": "o", "namespace": "n", "uid": "u", "generation": 1, "creationTimestamp": at(0)},
            "spec": spec,
        });
        let mut golden = Self::new(definition, serde_json::from_value(object).unwrap());
        let ready = Definition::Ready { revision: "d-1", compiled: &golden.compiled };
        let accepted = decide(&golden.orchestration, &ready, at(0));
        golden.orchestration.status = Some(accepted.update.apply(&OrchestrationStatus::default()));
        golden
    }

    fn status(&self) -> &OrchestrationStatus {
        self.orchestration.status.as_ref().unwrap()
    }

    /// Plans with what is seen, until nothing changes any more, and records.
    fn see(&mut self, second: i64, seen: &[(&str, Attempt)]) -> Plan {
        let mut last = Plan::default();
        for _ in 0..3 {
            let mut observed = Observed::default();
            for (id, attempt) in seen {
                let entry = &self.status().activities[*id];
                observed.insert(self.compiled.index[*id], retry::attempt(entry), attempt.clone());
            }
            last = self.record(at(second), &observed);
            if seen.iter().any(|(_, attempt)| matches!(attempt, Attempt::Ended(_))) {
                break;
            }
        }
        last
    }

    fn record(&mut self, now: Timestamp, observed: &Observed) -> Plan {
        let planned =
            plan(&Situation { compiled: &self.compiled, orchestration: &self.orchestration, observed, now });
        self.orchestration.status = Some(planned.update.apply(self.status()));
        planned
    }

    /// Carries it to its end in a world where all that is started succeeds and all that is stopped stops.
    fn play(&mut self) {
        // Somebody resumes what was suspended.
        self.orchestration.spec.suspend = false;
        let mut world: BTreeMap<(usize, u32), Attempt> = BTreeMap::new();
        for (index, activity) in self.compiled.activities.iter().enumerate() {
            let entry = &self.orchestration.status.as_ref().unwrap().activities[&activity.id];
            if entry.state == ActivityState::Running {
                world.insert((index, entry.attempt), Attempt::Running { start_time: at(1) });
            }
        }
        for round in 1..100 {
            if self.status().completion_time.is_some() {
                return;
            }
            let mut observed = Observed::default();
            for (index, activity) in self.compiled.activities.iter().enumerate() {
                let attempt = retry::attempt(&self.status().activities[&activity.id]);
                if let Some(seen) = world.get(&(index, attempt)) {
                    observed.insert(index, attempt, seen.clone());
                }
            }
            let planned = self.record(at(1000 + round * 20), &observed);
            for effect in planned.effects {
                match effect {
                    Effect::Start { activity, attempt, .. } => {
                        assert!(world.insert((activity, attempt), complete()).is_none(), "started twice");
                    }
                    Effect::Stop { activity, attempt } => {
                        world.insert((activity, attempt), Attempt::Stopped);
                    }
                }
            }
            if round == 3 {
                // What ran takes its time, so that what is to be stopped is.
                for seen in world.values_mut().filter(|seen| matches!(seen, Attempt::Running { .. })) {
                    *seen = complete();
                }
            }
        }
        panic!("it never ends: {:?}", self.status());
    }
}

fn complete() -> Attempt {
    let outputs = json!({"url": "u"}).as_object().cloned().unwrap();
    ended(Verdict::Complete(outputs))
}

fn failed(reason: FailureReason) -> Attempt {
    ended(Verdict::Failed { reason, message: "words".to_owned() })
}

fn ended(verdict: Verdict) -> Attempt {
    Attempt::Ended(Outcome { verdict, start_time: Some(at(5)), completion_time: Some(at(9)) })
}

fn running() -> Attempt {
    Attempt::Running { start_time: at(5) }
}

fn waits() -> Attempt {
    let (reason, message) = ("ImagePullBackOff".to_owned(), "Back-off pulling image".to_owned());
    Attempt::Waiting { since: at(3), reason: Some(reason), message: Some(message) }
}

/// a, then b, which reads it; c alone.
fn flow(more: Value) -> Value {
    let mut flow = json!({"activities": [
        {"id": "a", "type": "t"},
        {"id": "b", "type": "t", "dependsOn": "a", "inputs": ["a.url"]},
        {"id": "c", "type": "t", "when": "input.x == 1"},
    ]});
    flow.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    flow
}

/// Every state, by name.
fn scenes() -> Vec<(&'static str, Golden)> {
    let with = |definition: Value, spec: Value, act: &dyn Fn(&mut Golden)| {
        let mut golden = Golden::accepted(definition, spec);
        act(&mut golden);
        golden
    };
    let plain = |act: &dyn Fn(&mut Golden)| with(flow(json!({})), json!({}), act);
    let last = || flow(json!({"finally": [{"id": "z", "type": "t", "inputs": ["run.state"]}]}));
    let refused = Attempt::Refused {
        since: at(2),
        retry_at: at(9),
        reason: "QuotaExceeded".to_owned(),
        message: "exceeded quota".to_owned(),
    };
    let done = |golden: &mut Golden| {
        golden.see(10, &[("a", complete()), ("c", complete())]);
        golden.see(11, &[("b", complete())]);
    };
    vec![
        ("accepted", plain(&|_| {})),
        ("refused-by-quota", plain(&|golden| drop(golden.see(3, &[("a", refused.clone())])))),
        ("waiting-for-image", plain(&|golden| drop(golden.see(4, &[("a", waits()), ("c", running())])))),
        ("running", plain(&|golden| drop(golden.see(6, &[("a", running()), ("c", running())])))),
        ("half-done", plain(&|golden| drop(golden.see(10, &[("a", complete()), ("c", running())])))),
        ("skipped", with(flow(json!({})), json!({"input": {"x": 2}}), &|golden| drop(golden.see(1, &[])))),
        ("retrying", plain(&|golden| drop(golden.see(10, &[("a", failed(FailureReason::ExitCode))])))),
        ("disrupted", plain(&|golden| drop(golden.see(10, &[("a", failed(FailureReason::JobVanished))])))),
        ("given-up", plain(&|golden| drop(golden.see(200, &[("a", waits())])))),
        ("suspended", with(flow(json!({})), json!({"suspend": true}), &|golden| drop(golden.see(1, &[])))),
        (
            "draining",
            plain(&|golden| {
                drop(golden.see(10, &[("a", failed(FailureReason::FatalExitCode)), ("c", running())]));
            }),
        ),
        (
            "cancelling-after-failure",
            with(flow(json!({"failurePolicy": "Cancel"})), json!({}), &|golden| {
                golden.see(10, &[("a", failed(FailureReason::FatalExitCode)), ("c", running())]);
            }),
        ),
        (
            "continuing-after-failure",
            with(flow(json!({"failurePolicy": "Continue"})), json!({}), &|golden| {
                golden.see(10, &[("a", failed(FailureReason::FatalExitCode)), ("c", running())]);
            }),
        ),
        (
            "terminating",
            with(flow(json!({})), json!({"shutdown": "Terminate"}), &|golden| {
                drop(golden.see(10, &[("a", running())]));
            }),
        ),
        (
            "stopping",
            with(flow(json!({})), json!({"shutdown": "Stop"}), &|golden| {
                drop(golden.see(10, &[("a", running())]));
            }),
        ),
        (
            "past-its-deadline",
            with(flow(json!({"activeDeadlineSeconds": 60})), json!({}), &|golden| {
                drop(golden.see(70, &[("a", running())]));
            }),
        ),
        ("finally-ready", with(last(), json!({}), &done)),
        (
            "finally-running",
            with(last(), json!({}), &|golden| {
                done(golden);
                golden.see(12, &[("z", running())]);
            }),
        ),
        (
            "finally-stopping",
            with(last(), json!({}), &|golden| {
                done(golden);
                golden.see(400, &[("z", running())]);
            }),
        ),
        ("suspended-before-finally", with(last(), json!({"suspend": true}), &done)),
        (
            "stopping-while-suspended",
            with(last(), json!({"suspend": true, "shutdown": "Stop"}), &|golden| {
                drop(golden.see(10, &[("a", running())]));
            }),
        ),
        (
            "stopped-while-suspended",
            with(last(), json!({"suspend": true, "shutdown": "Stop"}), &|golden| drop(golden.see(1, &[]))),
        ),
        ("deleted", plain(&|golden| drop(golden.see(10, &[("a", failed(FailureReason::PodDeleted))])))),
        (
            "initializing",
            plain(&|golden| {
                let (reason, message) =
                    ("PodInitializing".to_owned(), "init container fetch runs".to_owned());
                let waits = Attempt::Waiting { since: at(3), reason: Some(reason), message: Some(message) };
                drop(golden.see(4, &[("a", waits)]));
            }),
        ),
        ("succeeded", plain(&done)),
        (
            "failed",
            plain(&|golden| {
                golden.see(10, &[("a", failed(FailureReason::OutputInvalid)), ("c", complete())]);
            }),
        ),
        ("cancelled", with(flow(json!({})), json!({"shutdown": "Stop"}), &|golden| drop(golden.see(1, &[])))),
        (
            "taken-over",
            plain(&|golden| {
                let status = golden.orchestration.status.as_mut().unwrap();
                let entry =
                    json!({"tier": 0, "state": "Succeeded", "takenFrom": "old", "outputs": {"url": "u"}});
                status.activities.insert("a".to_owned(), serde_json::from_value(entry).unwrap());
            }),
        ),
    ]
}

/// The files, by version and name.
fn files() -> Vec<(String, Value)> {
    let mut files = Vec::new();
    for version in std::fs::read_dir(directory()).unwrap() {
        for file in std::fs::read_dir(version.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            files.push((path.display().to_string(), serde_json::from_str(&text).unwrap()));
        }
    }
    files.sort_by(|one, other| one.0.cmp(&other.0));
    files
}

#[test]
fn there_is_a_file_of_every_state() {
    #[expect(clippy::disallowed_methods, reason = "a switch of the tests, not of the program")]
    let writes = std::env::var_os("UPDATE_ARTEFACTS").is_some_and(|value| value == "1");
    let directory = directory().join(VERSION);
    for (name, mut golden) in scenes() {
        let path = directory.join(format!("{name}.json"));
        if writes && !path.exists() {
            std::fs::create_dir_all(&directory).unwrap();
            let (definition, orchestration) = (golden.definition.clone(), golden.orchestration.clone());
            golden.play();
            let ends = golden.status().state.clone();
            let whole = json!({"definition": definition, "orchestration": orchestration, "ends": ends});
            std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&whole).unwrap())).unwrap();
        }
        assert!(path.exists(), "{}: UPDATE_ARTEFACTS=1 adds it", path.display());
    }
}

#[test]
fn what_every_version_left_behind_is_carried_to_its_end() {
    let files = files();
    assert!(files.len() >= scenes().len());
    for (name, file) in files {
        let orchestration: Orchestration = serde_json::from_value(file["orchestration"].clone()).unwrap();
        assert_eq!(json!(orchestration), file["orchestration"], "{name}: something of it is lost");
        let mut golden = Golden::new(file["definition"].clone(), orchestration);
        let before = golden.status().clone();
        golden.play();
        let after = golden.status();
        assert_eq!(json!(after.state), file["ends"], "{name}");
        for (id, old) in &before.activities {
            let new = &after.activities[id];
            assert!(!is_final(old.state) || old == new, "{name}: {id} was final and is {new:?}");
            assert!(new.attempt >= old.attempt && is_final(new.state), "{name}: {id} is {new:?}");
        }
        if before.completion_time.is_some() {
            assert_eq!(before, *after, "{name}");
        }
    }
}
