//! kstatus: what Flux, Argo CD and kubectl-like tools make of our objects, at every version through their life.

use std::fmt::Debug;

use futures::StreamExt;
use kube::Resource;
use kube::api::{Api, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::{WatchStreamExt, watcher};
use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::support::cluster::{PATIENCE, TestNamespace};
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{activity_definition, definition, orchestration};
use crate::support::operator::Operator;
use crate::support::told::{Told, condition, says, spec};

/// What kstatus computes for a kind that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    InProgress,
    Failed,
    Current,
}
use Health::{Current, Failed, InProgress};

/// The rules of kstatus, in its order.
fn health<K: Told + Resource<DynamicType = ()>>(object: &K) -> Health {
    let is = |type_: &str, status: &str| condition(object, type_).is_some_and(|c| c.status == status);
    let is_behind = object.observed_generation().is_some_and(|seen| Some(seen) != object.meta().generation);
    if is_behind || is("Reconciling", "True") {
        InProgress
    } else if is("Stalled", "True") {
        Failed
    } else if is("Ready", "False") || is("Ready", "Unknown") {
        InProgress
    } else {
        Current
    }
}

/// Every version of one object, as a watch shows them.
struct Life<K> {
    versions: mpsc::UnboundedReceiver<K>,
    seen: Vec<K>,
    task: JoinHandle<()>,
}

impl<K> Life<K>
where
    K: Told
        + Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + Debug
        + Send
        + 'static,
{
    /// Begins to watch, before there is anything to see.
    async fn of(namespace: &TestNamespace, name: &str) -> Self {
        let (sender, versions) = mpsc::unbounded_channel();
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut events = watcher(namespace.api::<K>(), config).boxed();
        // The list at the beginning: what comes afterwards is seen version by version.
        while !matches!(events.next().await, Some(Ok(watcher::Event::InitDone))) {}
        let task = tokio::spawn(async move {
            let mut objects = events.applied_objects().boxed();
            while let Some(object) = objects.next().await {
                let _ = sender.send(object.unwrap());
            }
        });
        Self { versions, seen: Vec::new(), task }
    }

    /// The versions until one is so, with the one that is.
    async fn until(&mut self, holds: impl Fn(&K) -> bool) -> &[K] {
        let before = self.seen.len();
        loop {
            let next = tokio::time::timeout(PATIENCE, self.versions.recv()).await;
            let next = next.unwrap_or_else(|_| panic!("it never was so: {:#?}", self.seen)).unwrap();
            let found = holds(&next);
            self.seen.push(next);
            if found {
                return &self.seen[before..];
            }
        }
    }
}

impl<K> Drop for Life<K> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The healths of some versions, without repetition.
fn healths<K: Told + Resource<DynamicType = ()>>(versions: &[K]) -> Vec<Health> {
    let mut healths: Vec<Health> = versions.iter().map(health).collect();
    healths.dedup();
    healths
}

/// What the API conventions ask of the conditions of every version, and of two that follow each other.
fn check_conventions<K: Told>(versions: &[K]) {
    for version in versions {
        for condition in version.conditions() {
            assert!(!condition.reason.is_empty() && condition.reason.chars().all(char::is_alphanumeric));
            assert_eq!(condition.observed_generation, version.observed_generation(), "{condition:?}");
        }
    }
    for pair in versions.windows(2) {
        for before in pair[0].conditions() {
            if let Some(after) =
                condition(&pair[1], &before.type_).filter(|after| after.status == before.status)
            {
                assert_eq!(after.last_transition_time, before.last_transition_time, "{before:?} {after:?}");
            }
        }
    }
}

fn types(object: &impl Told) -> Vec<&str> {
    object.conditions().iter().map(|condition| condition.type_.as_str()).collect()
}

async fn edit<K>(namespace: &TestNamespace, name: &str, spec: Value)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
{
    let api: Api<K> = namespace.api();
    api.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_in_progress_from_the_first_visit_until_it_is_current_or_failed() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |work| match work.input["fail"].as_bool() {
        Some(true) => Act::Fail(1, "Error", "no".to_owned()),
        _ => Act::outputs(&json!({})),
    });
    namespace.type_that_is_known("t").await;
    let steps = "activities: [{id: a, type: t}, {id: b, type: t, dependsOn: a, inputs: [fail]}]";
    namespace.create(definition("d", spec(steps))).await;
    namespace.definition_ready("d", "True", "Ready").await;
    for (name, fail, end) in [("good", false, Current), ("bad", true, Failed)] {
        let mut life = Life::<Orchestration>::of(&namespace, name).await;
        namespace.create(orchestration(name, "d", json!({"fail": fail}))).await;
        let versions = life
            .until(|o: &Orchestration| {
                o.status.as_ref().is_some_and(|status| status.completion_time.is_some())
            })
            .await;
        // Before the first visit everything reads Current; that is in nobody's power.
        assert_eq!(healths(versions), [Current, InProgress, end], "{name}");
        check_conventions(versions);
        let first = versions.iter().find(|version| version.status.is_some()).unwrap();
        assert_eq!(types(first), ["Accepted", "Reconciling", "Succeeded", "Finished"]);
        assert_eq!(first.observed_generation(), first.metadata.generation);
        assert_eq!(condition(first, "Succeeded").unwrap().status, "Unknown");
        assert_eq!(condition(first, "Finished").unwrap().status, "False");
        let last = versions.last().unwrap();
        if fail {
            assert_eq!(types(last), ["Accepted", "Stalled", "Succeeded", "Finished"]);
            let why = "ActivityFailed: activity \"b\" failed: ExitCode: exit code 1 (Error): no";
            assert_eq!(says(last, "Stalled"), format!("True {why}"));
            assert_eq!(says(last, "Succeeded"), format!("False {why}"));
            assert_eq!(says(last, "Finished"), format!("True {why}"));
        } else {
            assert_eq!(types(last), ["Accepted", "Succeeded", "Finished"]);
            let why = "Completed: all 2 activities have succeeded";
            assert_eq!(says(last, "Succeeded"), format!("True {why}"));
            assert_eq!(says(last, "Finished"), format!("True {why}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_is_current_when_ready_and_failed_only_when_it_takes_an_edit() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let mut life = Life::<OrchestrationDefinition>::of(&namespace, "d").await;
    let is_ready = |d: &OrchestrationDefinition| {
        d.observed_generation() == d.metadata.generation && says(d, "Ready").starts_with("True")
    };
    let steps = json!([
        {"id": "a", "type": "t"}, {"id": "b", "type": "t", "dependsOn": "a"}, {"id": "lone", "type": "t"},
    ]);
    namespace.create(definition("d", json!({"activities": steps}))).await;
    let versions = life.until(|d| says(d, "Ready").starts_with("False ActivityDefinitionNotFound")).await;
    assert_eq!(healths(versions), [Current, InProgress]);
    check_conventions(versions);
    let waiting = versions.last().unwrap();
    assert_eq!(types(waiting), ["Ready"]);
    assert_eq!(waiting.observed_generation(), Some(1));

    namespace.create(activity_definition("t")).await;
    let versions = life.until(is_ready).await;
    assert_eq!(healths(versions).last(), Some(&Current));
    assert!(!healths(versions).contains(&Failed), "it heals by itself");
    check_conventions(versions);
    let ready = versions.last().unwrap().clone();
    assert_eq!(types(&ready), ["Ready"]);
    assert_eq!(says(&ready, "Ready"), "True Ready: 3 activities in 2 tiers");
    let status = ready.status.unwrap();
    assert_eq!(status.tiers, [vec!["a", "lone"], vec!["b"]]);
    let revision = status.revision.unwrap();
    assert!(revision.starts_with("d-") && revision.len() == 12, "{revision}");

    edit::<OrchestrationDefinition>(
        &namespace,
        "d",
        json!({"activities": [{"id": "a", "type": "t", "dependsOn": "a"}]}),
    )
    .await;
    let versions = life.until(|d| !says(d, "Stalled").is_empty()).await;
    assert_eq!(healths(versions), [InProgress, Failed]);
    check_conventions(versions);
    let broken = versions.last().unwrap();
    assert_eq!(types(broken), ["Ready", "Stalled"]);
    let why = "Invalid: SelfDependency: spec.activities[0].dependsOn: \"a\" may not depend on itself";
    assert_eq!(says(broken, "Ready"), format!("False {why}"));
    assert_eq!(says(broken, "Stalled"), format!("True {why}"));
    let status = broken.status.clone().unwrap();
    assert_eq!((status.revision, status.tiers, status.observed_generation), (None, vec![], Some(2)));

    edit::<OrchestrationDefinition>(&namespace, "d", json!({"activities": steps})).await;
    let versions = life.until(is_ready).await;
    assert_eq!(healths(versions), [InProgress, Current]);
    check_conventions(versions);
    let healed = versions.last().unwrap();
    assert_eq!(types(healed), ["Ready"]);
    // The generation is a part of what a revision is.
    let status = healed.status.clone().unwrap();
    assert_ne!(status.revision, Some(revision));
    assert_eq!((status.tiers.len(), status.observed_generation), (2, Some(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_is_current_when_ready_and_failed_when_it_takes_an_edit() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let mut life = Life::<ActivityDefinition>::of(&namespace, "t").await;
    let is_ready = |d: &ActivityDefinition| {
        d.observed_generation() == d.metadata.generation && says(d, "Ready").starts_with("True")
    };
    namespace.create(activity_definition("t")).await;
    let versions = life.until(is_ready).await;
    assert_eq!(healths(versions), [Current], "it is Ready at its first visit");
    check_conventions(versions);
    assert_eq!(types(versions.last().unwrap()), ["Ready"]);
    namespace.create(definition("user", spec("activities: [{id: a, type: t}]"))).await;
    namespace.definition_ready("user", "True", "Ready").await;
    let before =
        namespace.api::<OrchestrationDefinition>().get("user").await.unwrap().status.unwrap().revision;

    let policy = |policy: Value| json!({"job": {"template": {"spec": {"restartPolicy": policy}}}});
    edit::<ActivityDefinition>(&namespace, "t", policy(json!("Always"))).await;
    let versions = life.until(|d| !says(d, "Stalled").is_empty()).await;
    assert_eq!(healths(versions), [InProgress, Failed]);
    check_conventions(versions);
    assert_eq!(types(versions.last().unwrap()), ["Ready", "Stalled"]);
    namespace.definition_ready("user", "False", "ActivityNotReady").await;

    edit::<ActivityDefinition>(&namespace, "t", policy(Value::Null)).await;
    let versions = life.until(is_ready).await;
    assert_eq!(healths(versions), [InProgress, Current]);
    check_conventions(versions);
    assert_eq!(types(versions.last().unwrap()), ["Ready"]);
    namespace.definition_ready("user", "True", "Ready").await;
    let after =
        namespace.api::<OrchestrationDefinition>().get("user").await.unwrap().status.unwrap().revision;
    assert!(after.is_some() && after != before, "a new generation of a type is a new revision of its users");
}
