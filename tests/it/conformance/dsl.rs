//! The language of cases: requests, what is expected of the answers, and what may differ.
//!
//! Responsible for: a case reading like a conversation. Must never: send anything.

use std::fmt::Write as _;

use serde_json::Value;

use super::normal::Answer;

/// The media type of a merge patch.
pub const MERGE: &str = "application/merge-patch+json";
/// The media type of a JSON patch.
pub const JSON: &str = "application/json-patch+json";
/// What asks for metadata only.
pub const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
/// The same for lists.
pub const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// What is known to differ; then only the code and the reason are compared, unless the reason says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// Paths that do not exist.
    UnknownPath,
    /// Media types.
    MediaType,
    /// Words of the JSON parser.
    ParserWords,
    /// Server-side apply.
    Apply,
    /// Diffs and dumps of Go structs in messages.
    GoValues,
    /// Continue tokens that are no tokens.
    ForeignToken,
    /// Names of Go packages.
    GoScheme,
    /// Conversion into another kind.
    Conversion,
    /// Objects that are nested very deeply.
    Depth,
}

impl Difference {
    /// Whether only the embedded answer is held to what is expected.
    pub fn is_one_sided(self) -> bool {
        matches!(self, Self::Apply | Self::Depth)
    }

    /// Why the two differ, and what is compared all the same.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnknownPath => {
                "an unknown path is 404 on both; Kubernetes says so in plain text without a reason, the embedded server in a Status that names it (code only)"
            }
            Self::MediaType => {
                "both refuse alike; the embedded server takes fewer media types and says which, and that it is the embedded one"
            }
            Self::ParserWords => "both refuse alike; what a JSON parser says of garbage is its own",
            Self::Apply => {
                "apply patches are refused with 415 for now; Kubernetes takes them (nothing is compared but the embedded answer)"
            }
            Self::GoValues => "both refuse alike and name the same field; Kubernetes prints Go structs there",
            Self::ForeignToken => "both refuse alike; the words tell how a token is made",
            Self::GoScheme => "both refuse alike; Kubernetes names a file of its source",
            Self::Depth => {
                "the embedded server reads 127 levels of nesting, Kubernetes 10,000 (nothing is compared but the embedded answer)"
            }
            Self::Conversion => "both refuse; Kubernetes tells of a conversion between Go types",
        }
    }
}

/// What one step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// One request.
    Send,
    /// The same request again until the answer has the expected code.
    Until,
    /// A watch, read to its end.
    Watch,
}

/// One request and what is expected.
#[derive(Clone, Debug)]
pub struct Step {
    pub action: Action,
    pub method: &'static str,
    pub path: String,
    pub content_type: &'static str,
    pub accept: &'static str,
    pub body: Option<String>,
    pub code: u16,
    pub reason: Option<&'static str>,
    pub has: Vec<(&'static str, Value)>,
    pub events: Option<Vec<&'static str>>,
    pub save: Option<&'static str>,
    pub differs: Option<Difference>,
}

/// One conversation.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: &'static str,
    pub steps: Vec<Step>,
}

/// Begins a case.
pub fn case(name: &'static str) -> Case {
    Case { name, steps: Vec::new() }
}

impl Case {
    fn step(mut self, method: &'static str, path: &str, code: u16) -> Self {
        self.steps.push(Step {
            action: Action::Send,
            method,
            path: path.to_owned(),
            content_type: "application/json",
            accept: "",
            body: None,
            code,
            reason: None,
            has: Vec::new(),
            events: None,
            save: None,
            differs: None,
        });
        self
    }

    fn last(mut self, change: impl FnOnce(&mut Step)) -> Self {
        change(self.steps.last_mut().expect("a case begins with a request"));
        self
    }

    pub fn get(self, path: &str, code: u16) -> Self {
        self.step("GET", path, code)
    }

    pub fn post(self, path: &str, body: Value, code: u16) -> Self {
        self.step("POST", path, code).last(|step| step.body = Some(body.to_string()))
    }

    pub fn put(self, path: &str, body: Value, code: u16) -> Self {
        self.step("PUT", path, code).last(|step| step.body = Some(body.to_string()))
    }

    pub fn merge(self, path: &str, body: Value, code: u16) -> Self {
        self.step("PATCH", path, code)
            .last(|step| (step.body, step.content_type) = (Some(body.to_string()), MERGE))
    }

    pub fn json(self, path: &str, body: Value, code: u16) -> Self {
        self.step("PATCH", path, code)
            .last(|step| (step.body, step.content_type) = (Some(body.to_string()), JSON))
    }

    pub fn delete(self, path: &str, code: u16) -> Self {
        self.step("DELETE", path, code)
    }

    pub fn delete_with(self, path: &str, options: Value, code: u16) -> Self {
        self.step("DELETE", path, code).last(|step| step.body = Some(options.to_string()))
    }

    /// A request of any method, with a body that need not be JSON.
    pub fn raw(
        self,
        method: &'static str,
        path: &str,
        content_type: &'static str,
        body: &str,
        code: u16,
    ) -> Self {
        self.step(method, path, code)
            .last(|step| (step.body, step.content_type) = (Some(body.to_owned()), content_type))
    }

    /// Reads until the answer has the code, and what else is said of it.
    pub fn until(self, path: &str, code: u16) -> Self {
        self.step("GET", path, code).last(|step| step.action = Action::Until)
    }

    /// Watches to the end; `events` are `TYPE name` in order, and `TYPE name key=value` with a label or a datum.
    pub fn watch(self, path: &str, events: &[&'static str]) -> Self {
        self.step("GET", path, 200)
            .last(|step| (step.action, step.events) = (Action::Watch, Some(events.to_vec())))
    }

    pub fn accept(self, accept: &'static str) -> Self {
        self.last(|step| step.accept = accept)
    }

    pub fn reason(self, reason: &'static str) -> Self {
        self.last(|step| step.reason = Some(reason))
    }

    /// The answer has a value at a JSON pointer.
    pub fn has(self, pointer: &'static str, value: impl Into<Value>) -> Self {
        self.last(|step| step.has.push((pointer, value.into())))
    }

    /// Keeps the answer: `{name.rv}`, `{name.uid}`, `{name.name}`, `{name.continue}` stand for parts of it later.
    pub fn save(self, name: &'static str) -> Self {
        self.last(|step| step.save = Some(name))
    }

    pub fn differs(self, difference: Difference) -> Self {
        self.last(|step| step.differs = Some(difference))
    }
}

/// What is wrong with the answers to a case: with what was expected, and with each other.
pub fn compare(case: &Case, real: &[Answer], embedded: &[Answer]) -> Vec<String> {
    let mut problems = Vec::new();
    for (index, step) in case.steps.iter().enumerate() {
        let (real, embedded) = (&real[index], &embedded[index]);
        let mut wrong = Vec::new();
        if !step.differs.is_some_and(Difference::is_one_sided) {
            wrong.extend(unexpected(step, real).into_iter().map(|what| format!("the real server: {what}")));
        }
        wrong.extend(
            unexpected(step, embedded).into_iter().map(|what| format!("the embedded server: {what}")),
        );
        if step.differs.is_none() && real != embedded {
            wrong.push("the answers differ".to_owned());
        }
        if wrong.is_empty() {
            continue;
        }
        let mut problem = String::new();
        let body = step.body.as_deref().unwrap_or_default();
        let shown: String = body.chars().take(600).collect();
        let _ = writeln!(problem, "--- {} {} {shown}", step.method, step.path);
        wrong.iter().for_each(|what| writeln!(problem, "    {what}").unwrap());
        let mut differences = Vec::new();
        differ("", &real.body, &embedded.body, &mut differences);
        if real.code == embedded.code && !differences.is_empty() {
            differences.iter().for_each(|difference| writeln!(problem, "    {difference}").unwrap());
        }
        let _ = writeln!(problem, "    real     {real}\n    embedded {embedded}");
        problems.push(problem);
    }
    problems
}

/// Where two answers differ.
fn differ(path: &str, real: &Value, embedded: &Value, differences: &mut Vec<String>) {
    match (real, embedded) {
        (Value::Object(real), Value::Object(embedded)) => {
            let names: std::collections::BTreeSet<&String> = real.keys().chain(embedded.keys()).collect();
            for name in names {
                let of =
                    |members: &serde_json::Map<String, Value>| members.get(name).cloned().unwrap_or_default();
                differ(&format!("{path}/{name}"), &of(real), &of(embedded), differences);
            }
        }
        (Value::Array(real), Value::Array(embedded)) if real.len() == embedded.len() => {
            for (index, (real, embedded)) in real.iter().zip(embedded).enumerate() {
                differ(&format!("{path}/{index}"), real, embedded, differences);
            }
        }
        _ if real == embedded => {}
        _ => differences.push(format!("{path}: real {real}, embedded {embedded}")),
    }
}

fn unexpected(step: &Step, answer: &Answer) -> Vec<String> {
    let mut wrong = Vec::new();
    if answer.code != step.code {
        wrong.push(format!("expected {}, got {}", step.code, answer.code));
    }
    let compares_reason = step.differs != Some(Difference::UnknownPath);
    if let Some(reason) = step.reason.filter(|_| compares_reason)
        && answer.body["reason"] != *reason
    {
        wrong.push(format!("expected the reason {reason}, got {}", answer.body["reason"]));
    }
    for (pointer, value) in &step.has {
        let found = answer.body.pointer(pointer).unwrap_or(&Value::Null);
        if found != value {
            wrong.push(format!("expected {pointer} to be {value}, got {found}"));
        }
    }
    if let Some(expected) = &step.events {
        let found = answer.event_words();
        if found.len() != expected.len()
            || !found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected))
        {
            wrong.push(format!("expected the events {expected:?}, got {found:?}"));
        }
    }
    wrong
}
