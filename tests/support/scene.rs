//! A scene: a namespace, an operator in it, a kubelet, and one Orchestration named `run`.
//!
//! Responsible for: that a test about one run says only what is peculiar to it; and the invariants of `engine.md` at
//! its end. Must never: expect anything of a run.

use std::time::Duration;

use futures::TryStreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Resource, ResourceExt};
use orchestrator::api::Orchestration;
use orchestrator::api::orchestration::{ActivityState, ActivityStatus, OrchestrationStatus};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::cluster::{PATIENCE, TestNamespace};
use super::invariants::Witness;
use super::kubelet::{Act, Kubelet, Work, perform, remove};
use super::operator::Operator;

/// Name of the Orchestration of a scene.
pub const RUN: &str = "run";
/// Name of its definition.
pub const FLOW: &str = "flow";

/// A namespace with all that one run needs.
pub struct Scene {
    /// Where it takes place.
    pub namespace: TestNamespace,
    /// Who is tested.
    pub operator: Operator,
    _kubelet: Kubelet,
    witness: Witness,
}

impl Scene {
    /// A scene whose kubelet follows a script.
    pub async fn new(script: impl Fn(&Work) -> Act + Send + Sync + 'static) -> Self {
        Self::in_namespace(TestNamespace::new().await, script).await
    }

    /// A scene in a namespace that is there.
    pub async fn in_namespace(
        namespace: TestNamespace,
        script: impl Fn(&Work) -> Act + Send + Sync + 'static,
    ) -> Self {
        let witness = Witness::start(&namespace);
        let operator = Operator::start(&namespace).await;
        let kubelet = Kubelet::start(&namespace, script);
        Self { namespace, operator, _kubelet: kubelet, witness }
    }

    /// Makes an activity type. A failure is final, and the cluster's disruptions are made up for a day later, so that a
    /// test sees what became of every attempt. `job` is laid over a template with one container `main` that only the scripted kubelet
    /// sees.
    pub async fn type_with(&self, name: &str, job: Value) {
        let mut whole = json!({"template": {"spec": {
            "schedulerName": "none",
            "containers": [{"name": "main", "image": "none", "command": ["true"]}],
        }}});
        lay_over(&mut whole, job);
        let definition = json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition",
            "metadata": {"name": name},
            "spec": {"job": whole, "retry": {"maxRetries": 0, "backoff": {"initialSeconds": 86_400, "maxSeconds": 86_400}}},
        });
        self.namespace.create(definition).await;
    }

    /// Makes the plain activity type `step`.
    pub async fn step_type(&self) {
        self.type_with("step", json!({})).await;
    }

    /// Makes the activity type `bound`: its pods are on a node, so that their deletion waits for a kubelet. The node
    /// does not exist. After 40 seconds Kubernetes removes all pods of such a node at once, so that each namespace has
    /// one of its own.
    pub async fn bound_type(&self) {
        let name = &self.namespace.name;
        self.type_with("bound", json!({"template": {"spec": {"nodeName": name}}})).await;
    }

    /// Makes a definition and waits until it is Ready.
    pub async fn define(&self, spec: Value) {
        let definition = json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition",
            "metadata": {"name": FLOW}, "spec": spec,
        });
        self.namespace.create(definition).await;
        self.namespace.definition_ready(FLOW, "True", "Ready").await;
    }

    /// Makes the Orchestration.
    pub async fn begin(&self, input: Value) -> Orchestration {
        let run = json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration",
            "metadata": {"name": RUN}, "spec": {"type": FLOW, "input": input},
        });
        self.namespace.create_as(run).await.unwrap()
    }

    /// Makes definition and Orchestration.
    pub async fn run(&self, spec: Value, input: Value) {
        self.define(spec).await;
        self.begin(input).await;
    }

    /// Waits until an activity is as it should be, and returns it.
    pub async fn activity(
        &self,
        id: &str,
        holds: impl Fn(&ActivityStatus) -> bool + Send + Sync,
    ) -> ActivityStatus {
        let found = self
            .namespace
            .until(RUN, |run: &Orchestration| {
                run.status.as_ref().and_then(|status| status.activities.get(id)).is_some_and(&holds)
            })
            .await;
        found.status.unwrap().activities.remove(id).unwrap()
    }

    /// Waits until an activity has started.
    pub async fn started(&self, id: &str) -> ActivityStatus {
        self.activity(id, |entry| entry.state == ActivityState::Running && entry.start_time.is_some()).await
    }

    /// Waits until the Orchestration has finished.
    pub async fn finished(&self) -> OrchestrationStatus {
        self.namespace.finished(RUN).await.status.unwrap()
    }

    /// Moves the deadline of the Orchestration into the past.
    pub async fn let_the_deadline_pass(&self) {
        let patch = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": 1}}));
        let api = self.namespace.api::<Orchestration>();
        api.patch(RUN, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits for the pod of an activity.
    pub async fn pod(&self, activity: &str, holds: impl Fn(&Pod) -> bool) -> Pod {
        first(self.namespace.api(), of(activity), holds).await
    }

    /// Waits for the Job of an activity.
    pub async fn job(&self, activity: &str, holds: impl Fn(&Job) -> bool) -> Job {
        first(self.namespace.api(), of(activity), holds).await
    }

    /// Makes something happen to the pod of an activity.
    pub async fn act(&self, activity: &str, act: &Act) {
        let pod = self.pod(activity, |_| true).await;
        perform(&self.namespace.api(), &pod, act).await;
    }

    /// Asks for the deletion of the pod of an activity, as a person does.
    pub async fn delete_pod(&self, activity: &str) -> Pod {
        let pods = self.namespace.api::<Pod>();
        let pod = self.pod(activity, |_| true).await;
        pods.delete(&pod.name_any(), &Default::default()).await.unwrap();
        self.pod(activity, |pod| pod.metadata.deletion_timestamp.is_some()).await
    }

    /// Ends the deletion of the pod of an activity, as a kubelet does.
    pub async fn remove_pod(&self, activity: &str) {
        let pod = self.pod(activity, |_| true).await;
        remove(&self.namespace.api(), &pod).await;
    }

    /// All Jobs that there are, by name.
    pub async fn jobs(&self) -> Vec<Job> {
        self.namespace.api::<Job>().list(&ListParams::default()).await.unwrap().items
    }

    /// Type, reason and message of all Events about the Orchestration, once there is one with this reason.
    pub async fn events(&self, last: &str) -> Vec<(String, String, String)> {
        let about = format!("involvedObject.kind=Orchestration,involvedObject.name={RUN}");
        let config = watcher::Config::default().fields(&about);
        first(self.namespace.api(), config, |event: &Event| event.reason.as_deref() == Some(last)).await;
        let found = self.namespace.api::<Event>().list(&ListParams::default().fields(&about)).await.unwrap();
        let text = |text: Option<String>| text.unwrap_or_default();
        found.items.into_iter().map(|one| (text(one.type_), text(one.reason), text(one.message))).collect()
    }

    /// How many Jobs the operator has made.
    pub fn creations(&self) -> usize {
        self.operator.requests.count_that(|one| {
            one.method == "POST"
                && one.path.ends_with("/jobs")
                && one.status == 201
                && !one.query.contains("dryRun")
        })
    }

    /// Ends the scene: the invariants must hold of all that was seen.
    pub async fn end(self) {
        let created = self.creations();
        self.witness.check(&self.namespace, &self.operator.requests, created).await;
    }
}

/// Waits until an object is gone.
pub async fn gone<K>(api: Api<K>, object: &K)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    let (name, uid) = (object.name_any(), object.uid().unwrap());
    let waited =
        tokio::time::timeout(PATIENCE, await_condition(api, &name, conditions::is_deleted(&uid))).await;
    waited.unwrap_or_else(|_| panic!("{name} is still there")).unwrap();
}

/// Waits for the first object of a selection that is as it should be.
pub async fn first<K>(api: Api<K>, config: watcher::Config, holds: impl Fn(&K) -> bool) -> K
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let selection = format!("{config:?}");
    let objects = watcher(api, config).default_backoff().applied_objects();
    let mut found = std::pin::pin!(objects.try_filter(|object| std::future::ready(holds(object))));
    match tokio::time::timeout(PATIENCE, found.try_next()).await {
        Ok(found) => found.unwrap().unwrap(),
        Err(_) => panic!("there never was such an object of {selection}"),
    }
}

/// Tries until something is so that no watch shows.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut attempt: impl FnMut() -> F) -> T {
    let mut pause = tokio::time::interval(Duration::from_millis(100));
    let tries = async {
        loop {
            pause.tick().await;
            if let Some(found) = attempt().await {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, tries).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// The children of one activity.
fn of(activity: &str) -> watcher::Config {
    watcher::Config::default().labels(&format!("orchestrator.dev/activity={activity}"))
}

/// Lays an object over another: objects are merged, everything else is replaced.
fn lay_over(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}
