//! Nodes: the Job controller and the kubelet of a simulated world, as far as a run needs them.
//!
//! A Job gets its pod, the pod runs as its script says, and the Job ends as the real one would. A deleted pod takes a
//! second to end.
//!
//! Responsible for: few requests. Must never: be held to the real one; `embedded::job` is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use orchestrator::clock::Clock;
use orchestrator::embedded::store::Object;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use super::direct::Direct;
use super::reading::{is_alive, text};
use super::scenario::{Course, FATAL, FIRST, NAMESPACE, Scenario, paths};

/// What happened to a Job or a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    JobMade(String),
    JobSuspended(String),
    PodDeleted(String),
    PodGone(String),
}

/// What is to be done for a Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    MakePod,
    StartPod,
    EndPod,
    KillPod,
    Settle,
    /// The pod's own deadline.
    TimeOut,
    /// The Job's deadline.
    GiveUp,
}

const QUICK: Duration = Duration::from_millis(20);
/// From the end of a pod to the end of its Job.
const SETTLE: Duration = Duration::from_millis(400);
/// How long a pod runs, and takes to end when it is deleted.
const WORK: Duration = Duration::from_millis(900);
/// How long one runs that takes its time.
const LONG_WORK: Duration = Duration::from_secs(15);

/// All nodes.
pub struct Nodes {
    api: Direct,
    clock: Arc<dyn Clock>,
    scenario: Arc<Scenario>,
    due: BTreeMap<(Instant, u64), (Step, String)>,
    count: u64,
    /// Jobs that have been active for too long.
    overdue: BTreeSet<String>,
}

impl Nodes {
    pub fn new(api: Direct, clock: Arc<dyn Clock>, scenario: &Arc<Scenario>) -> Self {
        Self {
            api,
            clock,
            scenario: Arc::clone(scenario),
            due: BTreeMap::new(),
            count: 0,
            overdue: BTreeSet::new(),
        }
    }

    /// Works for ever.
    pub async fn run(mut self, mut news: UnboundedReceiver<News>) {
        loop {
            let next = self.due.first_key_value().map(|((at, _), _)| *at);
            tokio::select! {
                biased;
                news = news.recv() => match news {
                    Some(News::JobMade(job)) => self.after(QUICK, Step::MakePod, job),
                    Some(News::JobSuspended(job)) => self.after(QUICK, Step::Settle, job),
                    Some(News::PodDeleted(job)) => self.after(WORK, Step::KillPod, job),
                    Some(News::PodGone(job)) => self.after(QUICK, Step::Settle, job),
                    None => return,
                },
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    if let Some((_, (step, job))) = self.due.pop_first() {
                        self.step(step, job).await;
                    }
                }
            }
        }
    }

    fn after(&mut self, pause: Duration, step: Step, job: String) {
        self.count += 1;
        self.due.insert((Instant::now() + pause, self.count), (step, job));
    }

    async fn step(&mut self, step: Step, job: String) {
        let pod_path = format!("{}/{job}-pod", paths::pods());
        match step {
            Step::MakePod => {
                let Some(found) = self.job(&job) else { return };
                if found.value["spec"]["suspend"] == true || self.pod(&job).is_some() {
                    return;
                }
                let (status, answer) = self.api.send(Method::POST, &paths::pods(), &pod(&found.value)).await;
                assert!(matches!(status, 201 | 403 | 404), "{answer}");
                if let Some(limit) = seconds(&found.value, "/spec/activeDeadlineSeconds") {
                    self.after(limit, Step::GiveUp, job.clone());
                }
                self.after(QUICK, Step::StartPod, job);
            }
            Step::StartPod => {
                let Some(pod) = self.living(&job) else { return };
                let now = self.now();
                let course = self.course(&pod.value);
                let (phase, state) = match course {
                    Course::Stick => {
                        ("Pending", json!({"waiting": {"reason": "ImagePullBackOff", "message": "no"}}))
                    }
                    _ => ("Running", json!({"running": {"startedAt": now}})),
                };
                self.api.patch(&format!("{pod_path}/status"), &status(phase, &state, &now)).await;
                if let Some(limit) = seconds(&pod.value, "/spec/activeDeadlineSeconds") {
                    self.after(limit, Step::TimeOut, job.clone());
                }
                match course {
                    Course::Succeed | Course::Fail(_) => self.after(WORK, Step::EndPod, job),
                    Course::Linger => self.after(LONG_WORK, Step::EndPod, job),
                    Course::Run | Course::Stick => {}
                }
            }
            Step::EndPod => {
                let Some(pod) = self.living(&job) else { return };
                let activity = label(&pod.value, "activity");
                let (phase, code, reason, message) = match self.course(&pod.value) {
                    Course::Fail(code) => ("Failed", code, "Error", "it went wrong".to_owned()),
                    _ => ("Succeeded", 0, "Completed", Scenario::outputs(activity).to_string()),
                };
                self.end_pod(&pod_path, phase, code, reason, &message).await;
                self.after(SETTLE, Step::Settle, job);
            }
            Step::TimeOut => {
                if self.living(&job).is_none() {
                    return;
                }
                self.end_pod(&pod_path, "Failed", 137, "Error", "").await;
                let why =
                    json!({"status": {"reason": "DeadlineExceeded", "message": "Pod was active too long"}});
                self.api.patch(&format!("{pod_path}/status"), &why).await;
                self.after(SETTLE, Step::Settle, job);
            }
            Step::GiveUp => self.give_up(&job).await,
            Step::KillPod => {
                let Some(pod) = self.pod(&job) else { return };
                // One that has not started leaves nothing.
                if pod.value["status"]["phase"] == "Running" {
                    self.end_pod(&pod_path, "Failed", self.scenario.deleted, "Error", "").await;
                    self.settle(&job).await;
                }
                self.api.delete(&pod_path, &json!({"gracePeriodSeconds": 0})).await;
            }
            Step::Settle => self.settle(&job).await,
        }
    }

    /// A Job that has been active for too long ends when its pod has.
    async fn give_up(&mut self, job: &str) {
        let is_active = |found: &Value| !is_over(found) && found["spec"]["suspend"] != true;
        if self.job(job).is_some_and(|found| is_active(&found.value)) {
            self.overdue.insert(job.to_owned());
            self.api.delete(&format!("{}/{job}-pod", paths::pods()), &Value::Null).await;
        }
    }

    /// Writes how a Job has ended, once it has.
    async fn settle(&mut self, job: &str) {
        let Some(found) = self.job(job) else { return };
        let found = &found.value;
        if is_over(found) {
            return;
        }
        let pod_path = format!("{}/{job}-pod", paths::pods());
        let pod = self.pod(job);
        let pod = pod.as_ref().map(|pod| &pod.value);
        let phase = pod.map_or("", |pod| pod["status"]["phase"].as_str().unwrap_or("Pending"));
        let is_suspended = found["spec"]["suspend"] == true;
        let is_deleted = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_string();
        let conditions = match (pod, phase) {
            (_, "Succeeded") => ended(
                &["SuccessCriteriaMet", "Complete"],
                "CompletionsReached",
                "Reached expected number of succeeded pods",
            ),
            (Some(pod), _) if is_suspended => {
                if !is_deleted(pod) {
                    self.api.delete(&pod_path, &Value::Null).await;
                }
                return;
            }
            (pod, _) if self.overdue.contains(job) && !is_suspended && !pod.is_some_and(is_alive) => ended(
                &["FailureTarget", "Failed"],
                "DeadlineExceeded",
                "Job was active longer than specified deadline",
            ),
            (None, _) if is_suspended => vec![("Suspended", "JobSuspended", "Job suspended".to_owned())],
            (Some(pod), "Failed") if pod["status"]["conditions"][0]["type"] == "DisruptionTarget" => {
                let why = format!(
                    "Pod {NAMESPACE}/{job}-pod has condition DisruptionTarget matching FailJob rule at index 0"
                );
                ended(&["FailureTarget", "Failed"], "PodFailurePolicy", &why)
            }
            (Some(pod), "Failed") => {
                let code = &pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"];
                let why = format!(
                    "Container main for pod {NAMESPACE}/{job}-pod failed with exit code {code} matching FailJob rule at index 1"
                );
                ended(&["FailureTarget", "Failed"], "PodFailurePolicy", &why)
            }
            (None, _) => ended(
                &["FailureTarget", "Failed"],
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
            ),
            (Some(_), _) => return,
        };
        self.end_job(job, found, &conditions, is_suspended && pod.is_none()).await;
    }

    async fn end_job(&self, job: &str, found: &Value, conditions: &[Condition], is_suspended: bool) {
        let now = self.now();
        let is_complete = conditions.iter().any(|(type_, _, _)| *type_ == "Complete");
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(type_, reason, message)| {
                json!({"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now, "lastProbeTime": now})
            })
            .collect();
        let mut status =
            json!({"startTime": found["metadata"]["creationTimestamp"], "conditions": conditions});
        if is_suspended {
            status["startTime"] = Value::Null;
        } else if is_complete {
            status["completionTime"] = json!(now);
            status["succeeded"] = json!(1);
        } else {
            status["failed"] = json!(1);
        }
        self.api.patch(&format!("{}/{job}/status", paths::jobs()), &json!({ "status": status })).await;
    }

    async fn end_pod(&self, path: &str, phase: &str, code: i32, reason: &str, message: &str) {
        let now = self.now();
        let ended = json!({"exitCode": code, "reason": reason, "message": message, "startedAt": now, "finishedAt": now});
        self.api
            .patch(
                &format!("{path}/status"),
                &status(phase, &json!({ "terminated": ended, "running": null }), &now),
            )
            .await;
    }

    fn job(&self, name: &str) -> Option<Arc<Object>> {
        self.api.peek("batch", "jobs", name)
    }

    fn pod(&self, job: &str) -> Option<Arc<Object>> {
        self.api.peek("", "pods", &format!("{job}-pod"))
    }

    /// A pod that runs or will.
    fn living(&self, job: &str) -> Option<Arc<Object>> {
        let pod = self.pod(job)?;
        let has_ended = matches!(pod.value["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        (!has_ended && pod.value["metadata"]["deletionTimestamp"].is_null()).then_some(pod)
    }

    fn course(&self, pod: &Value) -> Course {
        let activity = label(pod, "activity");
        if label(pod, "orchestration") == FIRST && self.scenario.broke == Some(activity) {
            return Course::Fail(FATAL);
        }
        let attempt = label(pod, "attempt").parse().unwrap_or(1);
        self.scenario.step(activity).map_or(Course::Succeed, |step| step.course(attempt))
    }

    fn now(&self) -> String {
        let now: Timestamp = self.clock.now();
        now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

/// Type, reason and message.
type Condition = (&'static str, &'static str, String);

fn ended(types: &[&'static str], reason: &'static str, message: &str) -> Vec<Condition> {
    types.iter().map(|type_| (*type_, reason, message.to_owned())).collect()
}

/// Whether a Job has ended.
pub fn is_over(job: &Value) -> bool {
    has(job, "Complete") || has(job, "Failed")
}

/// One of our labels.
pub fn label<'o>(object: &'o Value, name: &str) -> &'o str {
    text(object, &format!("/metadata/labels/orchestrator.dev~1{name}")).unwrap_or_default()
}

fn seconds(object: &Value, pointer: &str) -> Option<Duration> {
    object.pointer(pointer).and_then(Value::as_u64).map(Duration::from_secs)
}

/// Whether a condition of a Job holds.
pub fn has(job: &Value, type_: &str) -> bool {
    let conditions = job["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == type_ && condition["status"] == "True")
}

fn pod(job: &Value) -> Value {
    let (name, uid) = (&job["metadata"]["name"], &job["metadata"]["uid"]);
    let template = &job["spec"]["template"];
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("{}-pod", name.as_str().unwrap_or_default()),
            "labels": template["metadata"]["labels"], "annotations": template["metadata"]["annotations"],
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": template["spec"],
    });
    pod["spec"]["nodeName"] = json!("node");
    pod
}

fn status(phase: &str, state: &Value, now: &str) -> Value {
    json!({"status": {"phase": phase, "startTime": now, "containerStatuses": [{
        "name": "main", "image": "busybox:1.37", "imageID": "", "ready": phase == "Running", "restartCount": 0, "state": state,
    }]}})
}
