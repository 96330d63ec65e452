//! Nodes: the Job controller and the kubelet of a simulated world, as far as a run needs them.
//!
//! A Job gets its pod, the pod runs as its script says, and the Job ends as the real one would. A deleted pod takes a
//! second to end.
//!
//! Responsible for: few requests. Must never: be held to the real one; `embedded::job` is.

use std::collections::BTreeMap;
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
use super::scenario::{NAMESPACE, Scenario, Script, paths};

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
}

const QUICK: Duration = Duration::from_millis(20);
/// From the end of a pod to the end of its Job.
const SETTLE: Duration = Duration::from_millis(400);
/// How long a pod runs, and takes to end when it is deleted.
const WORK: Duration = Duration::from_millis(900);

/// All nodes.
pub struct Nodes {
    api: Direct,
    clock: Arc<dyn Clock>,
    scenario: Arc<Scenario>,
    due: BTreeMap<(Instant, u64), (Step, String)>,
    count: u64,
}

impl Nodes {
    pub fn new(api: Direct, clock: Arc<dyn Clock>, scenario: &Arc<Scenario>) -> Self {
        Self { api, clock, scenario: Arc::clone(scenario), due: BTreeMap::new(), count: 0 }
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
                self.after(QUICK, Step::StartPod, job);
            }
            Step::StartPod => {
                let Some(pod) = self.living(&job) else { return };
                let now = self.now();
                let state = json!({"running": {"startedAt": now}});
                self.api.patch(&format!("{pod_path}/status"), &status("Running", &state, &now)).await;
                if self.script(&pod.value) != Script::Run {
                    self.after(WORK, Step::EndPod, job);
                }
            }
            Step::EndPod => {
                let Some(pod) = self.living(&job) else { return };
                let labels = &pod.value["metadata"]["labels"];
                let activity = labels["orchestrator.dev/activity"].as_str().unwrap_or_default();
                let (phase, code, reason, message) = match self.script(&pod.value) {
                    Script::Fail(code) => ("Failed", code, "Error", "it went wrong".to_owned()),
                    _ => ("Succeeded", 0, "Completed", Scenario::outputs(activity).to_string()),
                };
                self.end_pod(&pod_path, phase, code, reason, &message).await;
                self.after(SETTLE, Step::Settle, job);
            }
            Step::KillPod => {
                let Some(pod) = self.pod(&job) else { return };
                if !matches!(pod.value["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
                    self.end_pod(&pod_path, "Failed", 143, "Error", "").await;
                }
                self.settle(&job).await;
                self.api.delete(&pod_path, &json!({"gracePeriodSeconds": 0})).await;
            }
            Step::Settle => self.settle(&job).await,
        }
    }

    /// Writes how a Job has ended, once it has.
    async fn settle(&mut self, job: &str) {
        let path = format!("{}/{job}", paths::jobs());
        let Some(found) = self.job(job) else { return };
        let found = &found.value;
        if has(found, "Complete") || has(found, "Failed") {
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
        if is_suspended && pod.is_none() {
            status["startTime"] = Value::Null;
        } else if is_complete {
            status["completionTime"] = json!(now);
            status["succeeded"] = json!(1);
        } else {
            status["failed"] = json!(1);
        }
        self.api.patch(&format!("{path}/status"), &json!({ "status": status })).await;
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

    fn script(&self, pod: &Value) -> Script {
        let activity = pod["metadata"]["labels"]["orchestrator.dev/activity"].as_str().unwrap_or_default();
        self.scenario.step(activity).map_or(Script::Succeed, |step| step.script)
    }

    fn now(&self) -> String {
        let now: Timestamp = self.clock.now();
        now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

fn ended(
    types: &[&'static str],
    reason: &'static str,
    message: &str,
) -> Vec<(&'static str, &'static str, String)> {
    types.iter().map(|type_| (*type_, reason, message.to_owned())).collect()
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
