//! The Job controller's role of the embedded mode beside Kubernetes' own controller: the same Job and the same fate
//! of its pod must end in the same words, for every row of the table in `protocol.md`.
//!
//! Both serve the same API server: `spec.managedBy` says whose a Job is. Nobody else writes the pods' status.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use orchestrator::clock::SystemClock;
use orchestrator::embedded::job::{self, Settings};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::cluster::{PATIENCE, TestNamespace};

/// Whose Jobs the role serves here.
const MANAGER: &str = "orchestrator.dev/job-role";
/// One Job of Kubernetes' controller and one of ours.
const NAMES: [&str; 2] = ["theirs", "ours"];

/// A namespace with our role in it.
struct Stage {
    namespace: TestNamespace,
    task: JoinHandle<()>,
    _shutdown: watch::Sender<bool>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stage {
    async fn new() -> Self {
        let namespace = TestNamespace::new().await;
        let settings = Settings {
            namespace: Some(namespace.name.clone()),
            managed_by: Some(MANAGER.to_owned()),
            node_name: None,
        };
        let (sender, shutdown) = watch::channel(false);
        let task =
            tokio::spawn(job::run(namespace.client.clone(), Arc::new(SystemClock), settings, shutdown));
        Self { namespace, task, _shutdown: sender }
    }

    /// Makes both Jobs.
    async fn create(&self, spec: &Value) {
        for name in NAMES {
            let mut whole = json!({
                "backoffLimit": 0, "completions": 1, "parallelism": 1, "podReplacementPolicy": "Failed",
                "podFailurePolicy": {"rules": [
                    {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [0]}},
                ]},
                "template": {"metadata": {"labels": {"team": "dns"}}, "spec": {
                    // On a node that nobody watches over: a deletion waits for what the test does.
                    "nodeName": "nobody", "restartPolicy": "Never", "automountServiceAccountToken": false,
                    "terminationGracePeriodSeconds": 300,
                    "containers": [{"name": "main", "image": "none"}, {"name": "other", "image": "none"}],
                    "initContainers": [{"name": "first", "image": "none"}],
                }},
            });
            for (key, value) in spec.as_object().unwrap() {
                whole[key] = value.clone();
            }
            if name == "ours" {
                whole["managedBy"] = MANAGER.into();
            }
            let job =
                json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": whole});
            self.namespace.create_as::<Job>(job).await.unwrap();
        }
    }

    /// The newest pod of a Job that is not being deleted.
    async fn pod(&self, job: &str) -> Pod {
        let selector = ListParams::default().labels(&format!("job-name={job}"));
        self.namespace
            .until(job, |job: &Job| job.status.as_ref().is_some_and(|status| status.active == Some(1)))
            .await;
        let pods = self.namespace.api::<Pod>().list(&selector).await.unwrap().items;
        pods.into_iter().find(|pod| pod.metadata.deletion_timestamp.is_none()).unwrap()
    }

    /// Writes the status of both pods.
    async fn write(&self, status: Value) {
        for name in NAMES {
            let pod = self.pod(name).await;
            self.patch(&pod, &status).await;
        }
    }

    async fn patch(&self, pod: &Pod, status: &Value) {
        let patch = Patch::Merge(json!({"status": status}));
        self.namespace
            .api::<Pod>()
            .patch_status(&pod.name_any(), &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Asks for the end of both pods; returns them.
    async fn delete_pods(&self) -> Vec<Pod> {
        let mut pods = Vec::new();
        for name in NAMES {
            let pod = self.pod(name).await;
            self.namespace.api::<Pod>().delete(&pod.name_any(), &DeleteParams::default()).await.unwrap();
            pods.push(pod);
        }
        pods
    }

    /// Lets pods go, as a kubelet does when nothing of them runs any more.
    async fn let_go(&self, pods: &[Pod]) {
        for pod in pods {
            let _ = self
                .namespace
                .api::<Pod>()
                .delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
                .await;
        }
    }

    /// The status of both Jobs once it satisfies, without what differs between any two Jobs.
    async fn both(&self, holds: impl Fn(&JobStatus) -> bool + Send + Sync + Copy) -> [Value; 2] {
        let mut found = Vec::new();
        for name in NAMES {
            let wait = self.namespace.until(name, |job: &Job| job.status.as_ref().is_some_and(holds));
            found.push(plain(&wait.await));
        }
        found.try_into().unwrap()
    }

    /// Both Jobs end in the same way. Returns how.
    async fn end_alike(&self) -> Value {
        let [theirs, ours] = self.both(is_finished).await;
        assert_eq!(ours, theirs);
        // What is left of the pods is held by nothing.
        for name in NAMES {
            let selector = ListParams::default().labels(&format!("job-name={name}"));
            for pod in self.namespace.api::<Pod>().list(&selector).await.unwrap().items {
                let released = |pod: Option<&Pod>| pod.is_none_or(|pod| pod.finalizers().is_empty());
                let name = pod.name_any();
                let wait = await_condition(self.namespace.api::<Pod>(), &name, released);
                tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap();
            }
        }
        ours
    }
}

fn is_finished(status: &JobStatus) -> bool {
    let is_end = |type_: &str| type_ == "Complete" || type_ == "Failed";
    status.conditions.iter().flatten().any(|condition| is_end(&condition.type_) && condition.status == "True")
}

/// A Job's status without times and names.
fn plain(job: &Job) -> Value {
    let status = job.status.clone().unwrap();
    let conditions = status.conditions.unwrap_or_default().into_iter().map(|condition| {
        let message = condition.message.unwrap_or_default();
        // "… pod <namespace>/<job>-<5 characters> …"
        let place = format!("/{}-", job.name_any());
        let message = match message.split_once(&place) {
            Some((before, after)) => {
                let namespace = job.namespace().unwrap();
                assert!(before.ends_with(&namespace), "{message}");
                let after = after.split_at_checked(5).unwrap().1;
                format!("{}NS/POD{after}", before.trim_end_matches(&namespace))
            }
            None => message,
        };
        format!(
            "{}={} {}: {message}",
            condition.type_,
            condition.status,
            condition.reason.unwrap_or_default()
        )
    });
    json!({
        "conditions": conditions.collect::<Vec<_>>(),
        "active": status.active, "ready": status.ready, "terminating": status.terminating,
        "succeeded": status.succeeded, "failed": status.failed,
        "uncounted": status.uncounted_terminated_pods,
        "started": status.start_time.is_some(), "completed": status.completion_time.is_some(),
    })
}

fn exited(name: &str, code: i32) -> Value {
    let reason = if code == 0 { "Completed" } else { "Error" };
    json!({
        "name": name, "image": "none", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": code, "reason": reason, "finishedAt": "2026-01-01T00:00:00Z"}},
    })
}

fn failed(code: i32) -> Value {
    json!({"phase": "Failed", "containerStatuses": [exited("main", code), exited("other", 0)]})
}

fn running() -> Value {
    json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
}

/// How a Job that failed ends, in the words of a condition.
#[track_caller]
fn failed_with(end: &Value, reason: &str) {
    assert_eq!(
        end["conditions"],
        json!([format!("FailureTarget=True {reason}"), format!("Failed=True {reason}")])
    );
}

const RULE_0: &str =
    "PodFailurePolicy: Pod NS/POD has condition DisruptionTarget matching FailJob rule at index 0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_are_made_and_counted_alike_and_a_job_completes_alike() {
    let stage = Stage::new().await;
    stage.create(&json!({})).await;
    let shape = |pod: Pod, job: &str| {
        let mut metadata = serde_json::to_value(&pod.metadata).unwrap();
        let (uid, owner) = (pod.owner_references()[0].uid.clone(), pod.owner_references()[0].name.clone());
        assert_eq!(owner, job);
        assert!(pod.name_any().starts_with(&format!("{job}-")) && pod.name_any().len() == job.len() + 6);
        let fields = metadata.as_object_mut().unwrap();
        for key in ["name", "uid", "resourceVersion", "creationTimestamp", "managedFields"] {
            fields.remove(key);
        }
        let text = metadata.to_string().replace(&uid, "UID").replace(job, "JOB");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let (theirs, ours) = (stage.pod("theirs").await, stage.pod("ours").await);
    assert_eq!(shape(ours, "ours"), shape(theirs, "theirs"));

    let [theirs, ours] = stage.both(|status| status.active == Some(1)).await;
    assert_eq!(ours, theirs);
    stage.write(running()).await;
    let [theirs, ours] = stage.both(|status| status.ready == Some(1)).await;
    assert_eq!(ours, theirs);
    stage
        .write(json!({"phase": "Succeeded", "containerStatuses": [exited("main", 0), exited("other", 0)]}))
        .await;
    let end = stage.end_alike().await;
    let reached = "CompletionsReached: Reached expected number of succeeded pods";
    assert_eq!(
        end["conditions"],
        json!([format!("SuccessCriteriaMet=True {reached}"), format!("Complete=True {reached}")])
    );

    // A pod that goes afterwards changes nothing.
    for name in NAMES {
        let selector = ListParams::default().labels(&format!("job-name={name}"));
        let pods = stage.namespace.api::<Pod>().list(&selector).await.unwrap().items;
        stage.let_go(&pods).await;
    }
    assert_eq!(stage.end_alike().await, end);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_fails_ends_the_job_in_the_same_words() {
    let disrupted = |code: i32| {
        let mut status = failed(code);
        status["conditions"] =
            json!([{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]);
        status
    };
    let deadline = |code: i32| {
        let mut status = failed(code);
        status["reason"] = "DeadlineExceeded".into();
        status["message"] = "Pod was active on the node longer than the specified deadline".into();
        status
    };
    let code = |container: &str, code: i32| {
        format!(
            "PodFailurePolicy: Container {container} for pod NS/POD failed with exit code {code} matching FailJob \
             rule at index 1"
        )
    };
    let limit = "BackoffLimitExceeded: Job has reached the specified backoff limit".to_owned();
    let other = json!({"phase": "Failed", "containerStatuses": [exited("main", 0), exited("other", 4)]});
    let init = json!({"phase": "Failed", "initContainerStatuses": [exited("first", 9)]});
    let cases = [
        ("disrupted", disrupted(143), RULE_0.to_owned()),
        ("too late", deadline(137), code("main", 137)),
        ("exit code", failed(3), code("main", 3)),
        ("another container", other, code("other", 4)),
        ("an init container", init, code("first", 9)),
        ("refused by the node", json!({"phase": "Failed", "reason": "OutOfcpu"}), limit),
    ];
    let ends = cases.into_iter().map(|(name, status, reason)| async move {
        let stage = Stage::new().await;
        stage.create(&json!({})).await;
        stage.write(running()).await;
        stage.write(status).await;
        println!("{name}");
        failed_with(&stage.end_alike().await, &reason);
    });
    futures::future::join_all(ends).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_pod_ends_the_job_only_when_it_has_ended() {
    let rule_1 = |code: i32| {
        format!(
            "PodFailurePolicy: Container main for pod NS/POD failed with exit code {code} matching FailJob rule at \
             index 1"
        )
    };
    let limit = "BackoffLimitExceeded: Job has reached the specified backoff limit".to_owned();
    let cases = [
        ("it ended by SIGTERM", Some(failed(143)), rule_1(143)),
        ("it was killed", Some(failed(137)), rule_1(137)),
        ("before it started", None, limit),
    ];
    let ends = cases.into_iter().map(|(name, status, reason)| async move {
        let stage = Stage::new().await;
        stage.create(&json!({})).await;
        if status.is_some() {
            stage.write(running()).await;
        }
        let pods = stage.delete_pods().await;
        let [theirs, ours] = stage.both(|status| status.terminating == Some(1)).await;
        assert_eq!(ours, theirs, "{name}");
        let last = status.unwrap_or(json!({"phase": "Failed"}));
        for pod in &pods {
            stage.patch(pod, &last).await;
        }
        stage.let_go(&pods).await;
        failed_with(&stage.end_alike().await, &reason);
    });
    futures::future::join_all(ends).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_pod_that_succeeds_all_the_same_completes_the_job() {
    let stage = Stage::new().await;
    stage.create(&json!({})).await;
    stage.write(running()).await;
    let pods = stage.delete_pods().await;
    for pod in &pods {
        stage.patch(pod, &json!({"phase": "Succeeded", "containerStatuses": [exited("main", 0)]})).await;
    }
    stage.let_go(&pods).await;
    let end = stage.end_alike().await;
    assert!(end["conditions"][1].as_str().unwrap().starts_with("Complete=True CompletionsReached"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_active_too_long_ends_alike() {
    let stage = Stage::new().await;
    stage.create(&json!({"activeDeadlineSeconds": 2})).await;
    let [theirs, ours] = stage.both(|status| status.terminating == Some(1) && status.failed == Some(1)).await;
    assert_eq!(ours, theirs);
    let reason = "DeadlineExceeded: Job was active longer than specified deadline";
    assert_eq!(ours["conditions"], json!([format!("FailureTarget=True {reason}")]));
    let pods = stage.namespace.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(pods.len(), 2);
    stage.let_go(&pods).await;
    failed_with(&stage.end_alike().await, reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspending_stops_alike_and_resuming_starts_alike() {
    let stage = Stage::new().await;
    stage.create(&json!({})).await;
    stage.write(running()).await;
    stage.both(|status| status.ready == Some(1)).await;
    let pods = [stage.pod("theirs").await, stage.pod("ours").await];
    let suspend = async |value: bool| {
        for name in NAMES {
            let patch = Patch::Merge(json!({"spec": {"suspend": value}}));
            stage.namespace.api::<Job>().patch(name, &PatchParams::default(), &patch).await.unwrap();
        }
    };
    suspend(true).await;
    let is_suspended = |status: &JobStatus| {
        status.conditions.iter().flatten().any(|one| one.type_ == "Suspended" && one.status == "True")
    };
    let [theirs, ours] = stage.both(|status| is_suspended(status) && status.terminating == Some(1)).await;
    assert_eq!(ours, theirs);
    assert_eq!(ours["conditions"], json!(["Suspended=True JobSuspended: Job suspended"]));
    stage.let_go(&pods).await;
    let [theirs, ours] = stage.both(|status| is_suspended(status) && status.terminating == Some(0)).await;
    assert_eq!(ours, theirs);

    suspend(false).await;
    let [theirs, ours] = stage.both(|status| status.active == Some(1)).await;
    assert_eq!(ours, theirs);
    stage.write(json!({"phase": "Succeeded"})).await;
    let end = stage.end_alike().await;
    assert_eq!(end["conditions"][0], "Suspended=False JobResumed: Job resumed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_goes_takes_its_pods_with_it() {
    let stage = Stage::new().await;
    stage.create(&json!({"suspend": true})).await;
    let [theirs, ours] = stage.both(|status| status.conditions.is_some()).await;
    assert_eq!(ours, theirs);
    for name in NAMES {
        let patch = Patch::Merge(json!({"spec": {"suspend": false}}));
        stage.namespace.api::<Job>().patch(name, &PatchParams::default(), &patch).await.unwrap();
    }
    let pods = [stage.pod("theirs").await, stage.pod("ours").await];
    for name in NAMES {
        stage.namespace.api::<Job>().delete(name, &DeleteParams::foreground()).await.unwrap();
    }
    for pod in &pods {
        let is_leaving = |pod: Option<&Pod>| pod.is_none_or(|pod| pod.metadata.deletion_timestamp.is_some());
        let name = pod.name_any();
        let wait = await_condition(stage.namespace.api::<Pod>(), &name, is_leaving);
        tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap();
    }
    stage.let_go(&pods).await;
    for name in NAMES {
        let wait = await_condition(stage.namespace.api::<Job>(), name, |job: Option<&Job>| job.is_none());
        tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap();
    }
}
