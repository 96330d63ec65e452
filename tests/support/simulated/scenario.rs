//! Scenarios: small orchestrations whose whole course is known beforehand.
//!
//! Responsible for: their objects, and what must become of every activity. Must never: run anything.

use serde_json::{Map, Value, json};

/// Where everything is.
pub const NAMESPACE: &str = "work";
/// Name of the Orchestration.
pub const RUN: &str = "run";

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
pub enum Script {
    /// It succeeds with an output.
    Succeed,
    /// It ends with an exit code.
    Fail(i32),
    /// It runs for ever.
    Run,
}

/// One activity.
#[derive(Clone, Debug)]
pub struct Step {
    pub id: String,
    pub needs: Vec<String>,
    /// Whether it reads what its dependencies produced.
    pub reads: bool,
    pub script: Script,
}

/// An orchestration.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub steps: Vec<Step>,
    pub tiered: bool,
    /// How long it may take, in seconds.
    pub deadline: i64,
}

impl Scenario {
    /// From words such as `a b<a c<a,b`; `b=a` reads what `a` produced, `!` fails, `~` runs for ever.
    pub fn new(name: &'static str, words: &str) -> Self {
        let steps = words.split(' ').map(|word| {
            let script = match word.chars().last() {
                Some('!') => Script::Fail(3),
                Some('~') => Script::Run,
                _ => Script::Succeed,
            };
            let word = word.trim_end_matches(['!', '~']);
            let (id, needs) = word.split_once(['<', '=']).unwrap_or((word, ""));
            let needs = needs.split(',').filter(|need| !need.is_empty()).map(str::to_owned).collect();
            Step { id: id.to_owned(), needs, reads: word.contains('='), script }
        });
        Self { name, steps: steps.collect(), tiered: false, deadline: 3600 }
    }

    /// The set that the explorer goes through.
    pub fn all() -> Vec<Self> {
        let tiered = Self { tiered: true, ..Self::new("tiered", "a b<a c<b d") };
        vec![
            Self::new("chain", "a b=a c=b"),
            Self::new("diamond", "a b=a c=a d=b,c"),
            Self::new("fan-out", "a b<a c<a d<a e<a"),
            Self::new("failing", "a b<a! c<a d<b,c"),
            tiered,
        ]
    }

    /// One step.
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == id)
    }

    /// Whether anybody reads what a step produces.
    pub fn is_read(&self, id: &str) -> bool {
        self.steps.iter().any(|step| step.reads && step.needs.iter().any(|need| need == id))
    }

    /// Whether all goes well.
    pub fn succeeds(&self) -> bool {
        self.steps.iter().all(|step| step.script == Script::Succeed)
    }

    /// What an activity produces.
    pub fn outputs(id: &str) -> Value {
        json!({"value": format!("of {id}")})
    }

    /// What an activity gets.
    pub fn inputs(&self, id: &str) -> Value {
        let step = self.step(id).filter(|step| step.reads);
        let needs = step.map(|step| step.needs.as_slice()).unwrap_or_default();
        let inputs: Map<String, Value> =
            needs.iter().map(|need| (format!("from-{need}"), json!(format!("of {need}")))).collect();
        Value::Object(inputs)
    }

    /// The ActivityDefinition.
    pub fn activity() -> Value {
        json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": "work"},
            "spec": {"job": {"template": {"spec": {"containers": [{"name": "main", "image": "busybox:1.37"}]}}}},
        })
    }

    /// The OrchestrationDefinition.
    pub fn definition(&self) -> Value {
        let activity = |step: &Step| {
            let source =
                |need: &String| json!({"source": format!("{need}.value"), "target": format!("from-{need}")});
            let inputs: Vec<Value> =
                if step.reads { step.needs.iter().map(source).collect() } else { Vec::new() };
            json!({"id": step.id, "type": "work", "dependsOn": step.needs, "inputs": inputs})
        };
        let activities: Vec<Value> = self.steps.iter().map(activity).collect();
        json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition", "metadata": {"name": "flow"},
            "spec": {"activities": activities, "execution": if self.tiered { "Tiered" } else { "Eager" }},
        })
    }

    /// An Orchestration.
    pub fn run(&self, name: &str) -> Value {
        json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "metadata": {"name": name},
            "spec": {"type": "flow", "activeDeadlineSeconds": self.deadline},
        })
    }
}
