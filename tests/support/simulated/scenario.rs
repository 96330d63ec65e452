//! Scenarios: small orchestrations whose whole course is known beforehand.
//!
//! Responsible for: their objects, and what must become of every activity. Must never: run anything.

use std::ops::RangeInclusive;

use orchestrator::api::orchestration::ActivityState;
use serde_json::{Map, Value, json};

use super::reading::{recorded, text};
use super::users::Act;

mod all;

/// Where everything is.
pub const NAMESPACE: &str = "work";
/// Name of the Orchestration.
pub const RUN: &str = "run";
/// Name of the finished one that it resumes from, in scenarios where it does.
pub const FIRST: &str = "first";

/// Paths of the API.
pub mod paths {
    use super::{NAMESPACE, RUN};

    const GROUP: &str = "/apis/orchestrator.dev/v1alpha1/namespaces";

    pub fn runs() -> String {
        format!("{GROUP}/{NAMESPACE}/orchestrations")
    }

    pub fn run() -> String {
        format!("{GROUP}/{NAMESPACE}/orchestrations/{RUN}")
    }

    pub fn definitions() -> String {
        format!("{GROUP}/{NAMESPACE}/orchestrationdefinitions")
    }

    pub fn activities() -> String {
        format!("{GROUP}/{NAMESPACE}/activitydefinitions")
    }

    pub fn jobs() -> String {
        format!("/apis/batch/v1/namespaces/{NAMESPACE}/jobs")
    }

    pub fn pods() -> String {
        format!("/api/v1/namespaces/{NAMESPACE}/pods")
    }
}

/// What becomes of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// It succeeds with an output.
    Succeed,
    /// It does so after a while.
    Linger,
    /// It ends with an exit code.
    Fail(i32),
    /// It runs for ever.
    Run,
    /// Its image cannot be pulled.
    Stick,
}

/// One activity.
#[derive(Clone, Debug)]
pub struct Step {
    pub id: String,
    /// What it depends on; in `finally`, whose outputs it reads.
    pub needs: Vec<String>,
    /// Whether it reads what its dependencies produced.
    pub reads: bool,
    /// What the first attempts do, and how many; all others succeed.
    pub script: (Course, u32),
    pub retries: u32,
    /// Seconds from the first failure to the second attempt, at most.
    pub pause: u32,
    /// Seconds that an attempt may take.
    pub timeout: Option<u32>,
    /// Seconds that it may take to start.
    pub starting: u32,
    pub when: Option<&'static str>,
}

impl Step {
    /// What becomes of the pod of an attempt.
    pub fn course(&self, attempt: u32) -> Course {
        if attempt <= self.script.1 { self.script.0 } else { Course::Succeed }
    }

    /// From a word such as `b=a!`.
    fn parse(word: &str) -> Self {
        let course = match word.chars().last() {
            Some('!') => Some(Course::Fail(FAILURE)),
            Some('~') => Some(Course::Run),
            Some('@') => Some(Course::Linger),
            _ => None,
        };
        let bare = word.trim_end_matches(['!', '~', '@']);
        let (id, needs) = bare.split_once(['<', '=']).unwrap_or((bare, ""));
        let needs = needs.split(',').filter(|need| !need.is_empty()).map(str::to_owned).collect();
        Self {
            id: id.to_owned(),
            needs,
            reads: word.contains('='),
            script: course.map_or((Course::Succeed, 0), |course| (course, u32::MAX)),
            retries: if word.ends_with('!') { 0 } else { 3 },
            pause: 5,
            timeout: None,
            // Longer than the server is ever away.
            starting: 3000,
            when: None,
        }
    }
}

/// An exit code after which another attempt may succeed, and one after which none does.
pub const FAILURE: i32 = 3;
pub const FATAL: i32 = 2;
/// How many times as long every pause is as the one before, and the longest, in seconds.
pub const FACTOR: u32 = 2;
pub const LONGEST_PAUSE: u32 = 1000;

/// An orchestration.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub steps: Vec<Step>,
    pub finally: Vec<Step>,
    pub tiered: bool,
    /// Drain, Cancel or Continue.
    pub policy: &'static str,
    /// Most activities at once.
    pub parallelism: Option<usize>,
    /// How long it may take, in seconds.
    pub deadline: i64,
    /// How long what is in `finally` may take, in seconds.
    pub finally_deadline: i64,
    /// Whether it is suspended when it is made.
    pub is_suspended: bool,
    /// The activity that failed in the run that it resumes from.
    pub broke: Option<&'static str>,
    /// The activity that was defined in another way then.
    pub changed: Option<&'static str>,
    /// What it takes over from that run.
    pub taken: &'static [&'static str],
    /// Seconds after its end until it is deleted.
    pub time_to_live: Option<i64>,
    /// Seconds after its end until its Jobs are deleted.
    pub retention: Option<u64>,
    /// Whether its input and the outputs of its activities have schemas, and it has an output.
    pub has_data: bool,
    /// Exit code of a pod that is deleted while it runs.
    pub deleted: i32,
    /// What users do, and how many seconds after the beginning.
    pub acts: Vec<(u64, Act)>,
    /// How it ends if nothing touches it, and how every activity does, such as `a Succeeded/1 b Failed|NotStarted`: the
    /// states that it may have, and how many Jobs are made of it.
    pub end: &'static str,
    pub states: &'static str,
}

/// How an activity ends if nothing touches it.
pub struct Expected {
    pub id: &'static str,
    pub states: Vec<&'static str>,
    /// How many Jobs are made of it.
    pub jobs: RangeInclusive<usize>,
}

impl Scenario {
    /// From words such as `a b<a c<a,b`; `b=a` reads what `a` produced, `!` fails, `~` runs for ever, `@` takes a while.
    pub fn new(name: &'static str, words: &str) -> Self {
        Self {
            name,
            steps: words.split(' ').map(Step::parse).collect(),
            finally: Vec::new(),
            tiered: false,
            policy: "Drain",
            parallelism: None,
            deadline: 3600,
            finally_deadline: 2500,
            is_suspended: false,
            broke: None,
            changed: None,
            taken: &[],
            time_to_live: None,
            retention: None,
            has_data: false,
            deleted: 143,
            acts: Vec::new(),
            end: "Succeeded",
            states: "",
        }
    }

    /// The set that the explorer goes through.
    pub fn all() -> Vec<Self> {
        all::all()
    }

    /// One step, or one in `finally`.
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().chain(&self.finally).find(|step| step.id == id)
    }

    /// Whether an activity is in `finally`.
    pub fn is_finally(&self, id: &str) -> bool {
        self.finally.iter().any(|step| step.id == id)
    }

    /// The activities of a run that are not in `finally`. Whoever edits a definition in time gives it others than ours.
    pub fn main<'r>(&self, run: &'r Value) -> Vec<&'r str> {
        let all = run.pointer("/status/activities").and_then(Value::as_object);
        all.into_iter().flatten().map(|(id, _)| id.as_str()).filter(|id| !self.is_finally(id)).collect()
    }

    /// Whether it matters to anybody what a step produces.
    pub fn is_read(&self, id: &str) -> bool {
        let reads = |step: &Step| step.reads && step.needs.iter().any(|need| need == id);
        self.has_data || self.steps.iter().chain(&self.finally).any(reads)
    }

    /// How every activity ends if nothing touches it.
    pub fn expected(&self) -> Vec<Expected> {
        let words: Vec<&str> = self.states.split_whitespace().collect();
        let one = |pair: &[&'static str]| {
            let (states, jobs) = pair[1].split_once('/').unwrap_or((pair[1], "0-1"));
            let (least, most) = jobs.split_once('-').unwrap_or((jobs, jobs));
            let jobs = least.parse().unwrap()..=most.parse().unwrap();
            Expected { id: pair[0], states: states.split('|').collect(), jobs }
        };
        words.chunks_exact(2).map(one).collect()
    }

    /// What an activity produces.
    pub fn outputs(id: &str) -> Value {
        json!({"value": format!("of {id}")})
    }

    /// What the whole produces when it has succeeded.
    pub fn output(&self) -> Value {
        if self.has_data { json!({"last": "of c", "n": 3}) } else { Value::Null }
    }

    /// What an activity gets, from what is recorded.
    pub fn inputs(&self, id: &str, run: &Value) -> Value {
        let Some(step) = self.step(id) else { return json!({}) };
        let is_finally = self.is_finally(id);
        let mut inputs = Map::new();
        if step.reads {
            let produced = |need: &&String| recorded(run, need) == ActivityState::Succeeded;
            let one = |need: &String| (format!("from-{need}"), json!(format!("of {need}")));
            inputs.extend(step.needs.iter().filter(produced).map(one));
        }
        if is_finally {
            inputs.insert("state".to_owned(), json!(self.end_of_all_but_finally(run)));
        }
        Value::Object(inputs)
    }

    /// How a run is about to end, as far as `finally` does not change it.
    pub fn end_of_all_but_finally(&self, run: &Value) -> &'static str {
        let main = self.main(run);
        let states = || main.iter().map(|id| recorded(run, id));
        let is_done = |state| matches!(state, ActivityState::Succeeded | ActivityState::Skipped);
        if states().all(is_done) {
            "Succeeded"
        } else if states().any(|state| state == ActivityState::Failed)
            || text(run, "/status/stopReason") == Some("DeadlineExceeded")
        {
            "Failed"
        } else {
            "Cancelled"
        }
    }

    /// The ActivityDefinition. There is one: of several objects of a kind kube takes any first.
    pub fn activity_type(&self) -> Value {
        let mut type_ = json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": "work"},
            "spec": {
                "job": {
                    "template": {"spec": {"containers": [{"name": "main", "image": "busybox:1.37"}]}},
                    "exitCodes": {"fatal": [FATAL]},
                },
                "retry": {"maxRetries": 7, "backoff": {"factor": FACTOR, "maxSeconds": LONGEST_PAUSE}},
            },
        });
        if self.has_data {
            type_["spec"]["outputSchema"] =
                json!({"type": "object", "required": ["value"], "properties": {"value": {"type": "string"}}});
        }
        type_
    }

    /// The OrchestrationDefinition as it was for the run before.
    pub fn first_definition(&self) -> Value {
        let mut first = self.definition();
        for activity in first["spec"]["activities"].as_array_mut().into_iter().flatten() {
            if self.changed.is_some_and(|changed| activity["id"] == changed) {
                activity["discriminator"] = json!("before");
            }
        }
        first
    }

    /// The OrchestrationDefinition.
    pub fn definition(&self) -> Value {
        let source =
            |need: &String| json!({"source": format!("{need}.value"), "target": format!("from-{need}")});
        let activity = |step: &Step, is_finally: bool| {
            let mut inputs: Vec<Value> =
                if step.reads { step.needs.iter().map(source).collect() } else { Vec::new() };
            if is_finally {
                inputs.push(json!({"source": "run.state", "target": "state"}));
            }
            let mut activity = json!({
                "id": step.id, "type": "work", "inputs": inputs,
                "retry": {"maxRetries": step.retries, "backoff": {"initialSeconds": step.pause}},
                "startingDeadlineSeconds": step.starting,
            });
            if !is_finally {
                activity["dependsOn"] = json!(step.needs);
            }
            if let Some(timeout) = step.timeout {
                activity["timeoutSeconds"] = json!(timeout);
            }
            if let Some(when) = step.when {
                activity["when"] = json!(when);
            }
            activity
        };
        let activities: Vec<Value> = self.steps.iter().map(|step| activity(step, false)).collect();
        let finally: Vec<Value> = self.finally.iter().map(|step| activity(step, true)).collect();
        let mut definition = json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition", "metadata": {"name": "flow"},
            "spec": {
                "activities": activities, "execution": if self.tiered { "Tiered" } else { "Eager" },
                "failurePolicy": self.policy,
            },
        });
        let spec = &mut definition["spec"];
        if !finally.is_empty() {
            spec["finally"] = json!(finally);
            spec["finallyDeadlineSeconds"] = json!(self.finally_deadline);
        }
        if let Some(most) = self.parallelism {
            spec["parallelism"] = json!(most);
        }
        if self.has_data {
            let properties = json!({"cell": {"type": "string"}, "n": {"type": "integer", "default": 3}});
            spec["schema"] = json!({"type": "object", "required": ["cell"], "properties": properties});
            spec["output"] = json!([{"source": "c.value", "target": "last"}, {"source": "n", "target": "n"}]);
        }
        definition
    }

    /// An Orchestration.
    pub fn run(&self, name: &str) -> Value {
        let mut run = json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "metadata": {"name": name},
            "spec": {"type": "flow", "activeDeadlineSeconds": self.deadline},
        });
        if self.is_suspended {
            run["spec"]["suspend"] = json!(true);
        }
        if self.broke.is_some() && name != FIRST {
            run["spec"]["resumeFrom"] = json!(FIRST);
        }
        if let Some(seconds) = self.time_to_live {
            run["spec"]["ttlSecondsAfterFinished"] = json!(seconds);
        }
        if self.has_data {
            run["spec"]["input"] = json!({"cell": "dark"});
        }
        run
    }
}
