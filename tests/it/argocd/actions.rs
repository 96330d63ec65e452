//! The actions of a person in Argo CD, each by `argocd app actions run`, and what came of it.

use std::collections::BTreeMap;

use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use orchestrator::api::orchestration::Shutdown;
use orchestrator::api::{Orchestration, OrchestrationSchedule};
use serde_json::{Value, json};

use super::Argo;
use super::application::{Application, untyped};
use super::objects::{activity_definition, orchestration, pair, schedule, single};
use crate::support::held::Held;
use crate::support::kubelet::{Act, Kubelet};

/// Objects in every state, and what can be done with them.
pub async fn do_what_they_say(argo: &Argo) {
    let application = Application::new(argo, "actions").await;
    let held = Held::default();
    let _kubelet = Kubelet::start_on(argo.client.clone(), "actions", {
        let held = held.clone();
        move |work| match work.activity.as_str() {
            "held" => held.hold(work),
            "fails" => Act::Fail(1, "Error", "no".to_owned()),
            _ => Act::outputs(&json!({})),
        }
    });
    application.commit(&[
        activity_definition("step"),
        pair("held", "step"),
        single("fails", "step"),
        single("quick", "step"),
        schedule("yearly", "@yearly", "quick", json!({})),
        orchestration("stopped", "held", json!({})),
        orchestration("terminated", "held", json!({})),
        orchestration("paused", "held", json!({})),
        orchestration("failed", "fails", json!({})),
    ]);
    application.synced().await;
    held.until(3).await;
    application.health("Orchestration", "failed", "Degraded").await;
    application.health("OrchestrationSchedule", "yearly", "Healthy").await;
    application.health("OrchestrationDefinition", "quick", "Healthy").await;

    let actions = Actions { argo, application: &application, ran: std::sync::Mutex::default() };
    actions.of_a_schedule().await;
    actions.of_a_definition().await;
    actions.of_runs(&held).await;
    actions.were_all();
}

struct Actions<'a> {
    argo: &'a Argo,
    application: &'a Application<'a>,
    ran: std::sync::Mutex<BTreeMap<String, u32>>,
}

impl Actions<'_> {
    /// Runs an action, as a person does.
    fn run(&self, kind: &str, name: &str, action: &str) -> (bool, String) {
        *self.ran.lock().unwrap().entry(format!("{kind} {action}")).or_default() += 1;
        let run = ["app", "actions", "run", "actions", action, "--kind", kind, "--resource-name", name];
        self.argo.argocd(&run)
    }

    fn runs(&self, kind: &str, name: &str, action: &str) {
        let (ran, text) = self.run(kind, name, action);
        assert!(ran, "{kind} {name}: {action}: {text}");
    }

    /// The actions that can be run on an object now.
    fn enabled(&self, kind: &str, name: &str) -> Vec<String> {
        let list =
            ["app", "actions", "list", "actions", "--kind", kind, "--resource-name", name, "--out", "json"];
        let (listed, text) = self.argo.argocd(&list);
        assert!(listed, "{text}");
        let all: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let enabled = all.iter().filter(|one| one["Disabled"] != true);
        let name = |one: &Value| one["Action"].as_str().unwrap().to_owned();
        let mut names: Vec<String> = enabled.map(name).collect();
        names.sort();
        names
    }

    async fn orchestrations(&self) -> Vec<DynamicObject> {
        let api = untyped(&self.argo.client, "actions", "Orchestration");
        api.list(&ListParams::default()).await.unwrap().items
    }

    /// Runs an action that makes an Orchestration, and returns that.
    async fn makes(&self, kind: &str, name: &str, action: &str) -> DynamicObject {
        let before = self.orchestrations().await;
        self.runs(kind, name, action);
        let mut new = self.orchestrations().await;
        new.retain(|one| before.iter().all(|old| old.uid() != one.uid()));
        assert_eq!(new.len(), 1, "{action} of {name}: {new:?}");
        new.remove(0)
    }

    async fn of_a_schedule(&self) {
        let kind = "OrchestrationSchedule";
        assert_eq!(self.enabled(kind, "yearly"), ["run-now", "suspend"]);
        let schedules = self.application.namespace.api::<OrchestrationSchedule>();
        let made = self.makes(kind, "yearly", "run-now").await;
        let owner = made.metadata.owner_references.as_ref().unwrap()[0].clone();
        let uid = schedules.get("yearly").await.unwrap().uid().unwrap();
        assert_eq!((owner.uid, owner.controller, owner.kind), (uid, Some(true), kind.to_owned()));
        assert_eq!(made.data["spec"]["type"], "quick");
        let run = self.application.namespace.finished(&made.name_any()).await;
        assert_eq!(run.status.unwrap().state.as_deref(), Some("Succeeded"));
        // As the schedule's own: it is its last result.
        let name = made.name_any();
        self.application
            .namespace
            .until("yearly", |found: &OrchestrationSchedule| {
                let last = found.status.as_ref().and_then(|status| status.last_result.as_ref());
                last.is_some_and(|last| last.name == name)
            })
            .await;

        self.runs(kind, "yearly", "suspend");
        assert!(schedules.get("yearly").await.unwrap().spec.suspend);
        self.application.health(kind, "yearly", "Healthy").await;
        assert!(self.enabled(kind, "yearly").contains(&"resume".to_owned()));
        self.runs(kind, "yearly", "resume");
        assert!(!schedules.get("yearly").await.unwrap().spec.suspend);
        self.argo.covers("actions of a schedule: run-now, suspend, resume");
    }

    async fn of_a_definition(&self) {
        assert_eq!(self.enabled("OrchestrationDefinition", "quick"), ["create-run"]);
        let made = self.makes("OrchestrationDefinition", "quick", "create-run").await;
        assert_eq!(made.data["spec"]["type"], "quick");
        let run = self.application.namespace.finished(&made.name_any()).await;
        assert_eq!(run.status.unwrap().state.as_deref(), Some("Succeeded"));
        self.argo.covers("the action of a definition: create-run");
    }

    async fn of_runs(&self, held: &Held) {
        let kind = "Orchestration";
        let namespace = &self.application.namespace;
        let runs = namespace.api::<Orchestration>();
        self.runs(kind, "paused", "suspend");
        assert!(runs.get("paused").await.unwrap().spec.suspend);
        assert!(self.enabled(kind, "paused").contains(&"resume".to_owned()));
        self.runs(kind, "paused", "resume");
        assert!(!runs.get("paused").await.unwrap().spec.suspend);
        self.runs(kind, "stopped", "stop");
        assert_eq!(runs.get("stopped").await.unwrap().spec.shutdown, Some(Shutdown::Stop));
        self.runs(kind, "terminated", "terminate");
        assert_eq!(runs.get("terminated").await.unwrap().spec.shutdown, Some(Shutdown::Terminate));
        let terminated = namespace.finished("terminated").await;
        assert_eq!(terminated.status.unwrap().state.as_deref(), Some("Cancelled"));
        // Stopped: what runs may end, what follows does not start.
        held.release(namespace, |_| Act::outputs(&json!({}))).await;
        for (name, state, progress) in [("stopped", "Cancelled", "1/2"), ("paused", "Succeeded", "2/2")] {
            let status = namespace.finished(name).await.status.unwrap();
            assert_eq!(
                (status.state.as_deref(), status.progress.as_deref()),
                (Some(state), Some(progress)),
                "{name}"
            );
        }
        self.argo.covers("actions of a run: suspend, resume, stop, terminate");

        // What has ended can only be done again, and what has succeeded not even that.
        assert_eq!(self.enabled(kind, "failed"), ["retry"]);
        let made = self.makes(kind, "failed", "retry").await;
        assert_eq!(
            (&made.data["spec"]["resumeFrom"], &made.data["spec"]["type"]),
            (&json!("failed"), &json!("fails"))
        );
        namespace.finished(&made.name_any()).await;
        self.argo.covers("the action of a run that has failed: retry");
        assert_eq!(self.enabled(kind, "paused"), Vec::<String>::new());
        for action in ["suspend", "stop", "terminate"] {
            let before = runs.get("paused").await.unwrap().metadata.resource_version;
            let _ = self.run(kind, "paused", action);
            let after = runs.get("paused").await.unwrap().metadata.resource_version;
            assert_eq!(before, after, "{action} of a run that has ended");
        }
        let (ran, text) = self.run(kind, "nobody", "suspend");
        assert!(!ran, "{text}");
        self.argo.covers("actions on runs that have ended, or are not there, change nothing");
    }

    /// Every action of `config/argocd` was run.
    fn were_all(&self) {
        let ran = self.ran.lock().unwrap();
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("config/argocd/resource_customizations/orchestrator.dev");
        let mut count = 0;
        for kind in std::fs::read_dir(root).unwrap().map(Result::unwrap) {
            let Ok(actions) = std::fs::read_dir(kind.path().join("actions")) else { continue };
            for action in
                actions.map(Result::unwrap).filter(|action| action.path().join("action.lua").exists())
            {
                let name =
                    [kind.file_name(), action.file_name()].map(|one| one.into_string().unwrap()).join(" ");
                assert!(ran.contains_key(&name), "{name} was not run: {ran:?}");
                count += 1;
            }
        }
        self.argo.covers(format!("each of the {count} actions was run by argocd app actions run"));
    }
}
