//! Lint: everything that is wrong with documents, told without a cluster.
//!
//! Responsible for: what the API server and the controllers would say of documents, in their words, with the line of the
//! field; references between documents. Must never: have an opinion where a controller has a rule, or do I/O.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use crate::api::{ActivityDefinitionSpec, OrchestrationDefinitionSpec, OrchestrationSpec};
use crate::controller::activity_definition;
use crate::embedded::examine::examine;
use crate::embedded::kinds::definition::Definition;
use crate::embedded::kinds::{Kind, builtin};
use crate::embedded::validate::rules::Evaluator;
use crate::engine::acceptance::{self, Refusal};
use crate::engine::activity_type;
use crate::engine::definition::{TypeState, compile};
use crate::engine::problem::{Problem, ProblemCode};
use crate::engine::revision::{Revision, Versioned};
use crate::engine::schema::Schema;
use crate::manifest::{Mistake, Part, Place};
use crate::provider::job::build;
use known::Known;
use sort::Sorted;
use subject::Subject;

mod known;
mod schedule;
mod secret;
mod sort;
mod subject;

/// Code of a value that looks like a secret and stands where everybody can read it.
pub const PLAIN_SECRET: &str = "PlainSecret";

/// What lint lets pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// References to definitions that are not among the documents.
    pub allow_missing: bool,
    /// Job templates that reach into the node, as the operator's flag does.
    pub allow_host_access: bool,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It would be refused, or would never be Ready.
    Error,
    /// It works, and is hardly meant so.
    Warning,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// Line of the field, or of the deepest field on the way to it, from 1; 0 for the file as a whole.
    pub line: usize,
    /// Number of the document in the file, from 1; 0 for the file as a whole.
    pub document: usize,
    /// The kind of the object; empty if that is unknown.
    pub kind: String,
    /// The name of the object; empty if it has none.
    pub name: String,
    /// Field path from the root of the object; empty for the whole.
    pub path: String,
    /// The code or reason that a condition would have; nothing for what a server refuses before.
    pub code: Option<String>,
    /// What is wrong and what is allowed.
    pub message: String,
    /// How bad it is.
    pub severity: Severity,
}

impl Finding {
    /// What it says as conditions say it: `<Code>: <path>: <message>`, as far as there are code and path.
    #[must_use]
    pub fn text(&self) -> String {
        let code = self.code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default();
        let path = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
        format!("{code}{path}{}", self.message)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = Place {
            file: self.file.clone().into(),
            document: self.document,
            line: self.line,
            ..Place::default()
        };
        let severity = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        write!(formatter, "{place}: {severity}{}", self.text())
    }
}

impl From<Mistake> for Finding {
    fn from(mistake: Mistake) -> Self {
        Self {
            file: mistake.place.file.display().to_string(),
            line: mistake.place.line,
            document: mistake.place.document,
            kind: String::new(),
            name: String::new(),
            path: String::new(),
            code: None,
            message: mistake.message,
            severity: Severity::Error,
        }
    }
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Everything that was found, in the order of the documents and of the lines in them.
    pub findings: Vec<Finding>,
    /// How many documents are ours.
    pub checked: usize,
    /// How many are not, by what they are.
    pub skipped: BTreeMap<String, usize>,
}

/// Checks documents.
///
/// # Errors
/// One of our own kinds cannot be served.
pub fn lint(parts: &[Part], options: &Options) -> Result<Report, String> {
    let linter = Linter::new(*options)?;
    let Sorted { mut subjects, mut report } = sort::sort(parts, &linter.kinds, &linter.evaluator);
    report.checked += subjects.len();
    tell_duplicates(&mut subjects);
    let types = linter.activity_definitions(&mut subjects);
    let definitions = linter.orchestration_definitions(&mut subjects, &types);
    linter.orchestrations(&mut subjects, &definitions);
    linter.schedules(&mut subjects, &definitions);
    report.findings.extend(subjects.into_iter().flat_map(Subject::into_findings));
    let order: HashMap<(String, usize), usize> = parts
        .iter()
        .enumerate()
        .map(|(at, part)| ((part.place.file.display().to_string(), part.place.document), at))
        .collect();
    let at = |finding: &Finding| order.get(&(finding.file.clone(), finding.document)).copied();
    report.findings.sort_by_cached_key(|finding| (at(finding), finding.line));
    Ok(report)
}

/// Objects of one name take each other's place when they are applied, and the last one stays. Directories are applied
/// one by one: people keep one for each environment.
fn tell_duplicates(subjects: &mut [Subject<'_>]) {
    let mut seen = HashMap::new();
    let mut twice = Vec::new();
    for (at, subject) in subjects.iter().enumerate().filter(|(_, subject)| subject.has_name()) {
        let (kind, directory) = (subject.kind.kind.clone(), subject.directory().to_owned());
        match seen.entry((kind, subject.namespace.clone(), subject.name.clone(), directory)) {
            Entry::Occupied(first) => twice.push((at, *first.get())),
            Entry::Vacant(place) => drop(place.insert(at)),
        }
    }
    for (at, first) in twice {
        let Some(place) = subjects.get(first).map(Subject::place) else { continue };
        if let Some(subject) = subjects.get_mut(at) {
            let message = format!("{} \"{}\" stands at {place} already", subject.kind.kind, subject.name);
            subject.tell(Severity::Error, None, "metadata.name", message);
        }
    }
}

/// An activity type, or why it cannot be used.
type Type = Result<ActivityDefinitionSpec, String>;

struct Linter {
    options: Options,
    kinds: Vec<Arc<Kind>>,
    job: Arc<Kind>,
    evaluator: Evaluator,
    /// What is taken of an activity type that is somewhere else.
    anything: ActivityDefinitionSpec,
}

impl Linter {
    fn new(options: Options) -> Result<Self, String> {
        let mut kinds = Vec::new();
        for crd in crate::api::crds() {
            let crd = serde_json::to_value(&crd).map_err(|error| error.to_string())?;
            let compiled = Definition::compile(&crd)
                .map_err(|errors| format!("a kind of ours cannot be served: {errors:?}"))?;
            kinds.extend(compiled.kinds);
        }
        let job = builtin::all().iter().find(|kind| kind.kind == "Job").cloned();
        let job = job.ok_or("the embedded server has no Jobs")?;
        let anything = serde_json::from_value(json!({})).map_err(|error| error.to_string())?;
        Ok(Self { options, kinds, job, evaluator: Evaluator::default(), anything })
    }

    fn activity_definitions(&self, subjects: &mut [Subject<'_>]) -> Known<Type> {
        let mut types = Known::default();
        for subject in subjects.iter_mut().filter(|subject| subject.kind.kind == "ActivityDefinition") {
            let judged = self.activity_definition(subject);
            types.add(subject, judged);
        }
        types
    }

    /// Judges an activity type as its controller does, the dry run of its Job included.
    fn activity_definition(&self, subject: &mut Subject<'_>) -> Type {
        let Some(spec) = subject.spec::<ActivityDefinitionSpec>() else {
            return Err(subject.refusal().unwrap_or_default());
        };
        let mut problems = activity_definition::problems(&spec, self.options.allow_host_access);
        // The Job is named after it: what is wrong with the name would be told twice.
        let is_to_prove = problems.is_empty() && subject.refusal().is_none();
        if let Some(job) = spec.job.as_ref().filter(|_| is_to_prove) {
            let body = build::dry_run(job, &subject.namespace, &subject.name);
            if let Some(refusal) = examine(&self.job, &body, &self.evaluator).refusal(&self.job) {
                let (code, path) = (ProblemCode::InvalidJobTemplate, "spec.job.template");
                problems.push(Problem::new(code, path, refusal.message));
            }
        }
        for path in spec.job.iter().flat_map(|job| secret::in_template(&job.template)) {
            subject.tell(Severity::Warning, Some(PLAIN_SECRET), &path, secret::IN_TEMPLATE);
        }
        subject.tell_all(Severity::Error, &problems);
        match subject.refusal() {
            Some(refusal) => Err(refusal),
            None if problems.is_empty() => Ok(spec),
            None => Err(activity_type::explained(&problems)),
        }
    }

    fn orchestration_definitions(
        &self,
        subjects: &mut [Subject<'_>],
        types: &Known<Type>,
    ) -> Known<Option<OrchestrationDefinitionSpec>> {
        let mut definitions = Known::default();
        for subject in subjects.iter_mut().filter(|subject| subject.kind.kind == "OrchestrationDefinition") {
            let spec = subject.spec::<OrchestrationDefinitionSpec>();
            if let Some(spec) = &spec {
                self.orchestration_definition(subject, spec, types);
            }
            definitions.add(subject, spec);
        }
        definitions
    }

    /// Judges a definition as its controller does.
    fn orchestration_definition(
        &self,
        subject: &mut Subject<'_>,
        spec: &OrchestrationDefinitionSpec,
        types: &Known<Type>,
    ) {
        let type_of = |name: &str| types.meant_by(subject, name);
        let state_of = |name: &str| match type_of(name) {
            Some(Ok(spec)) => TypeState::Ready(spec),
            Some(Err(why)) => TypeState::NotReady(why.clone()),
            None if self.options.allow_missing => TypeState::Ready(&self.anything),
            None => TypeState::Missing,
        };
        match compile(spec, state_of) {
            Ok(compiled) => {
                let versioned =
                    |spec: &ActivityDefinitionSpec| Versioned { generation: 1, spec: spec.clone() };
                let names = spec.activities.iter().map(|activity| &activity.type_);
                let used =
                    names.filter_map(|name| Some((name.clone(), versioned(type_of(name)?.as_ref().ok()?))));
                let revision = Revision {
                    activity_definitions: used.collect(),
                    definition: Versioned { generation: 1, spec: spec.clone() },
                };
                let too_large = revision.check_size();
                subject.tell_all(Severity::Error, too_large.as_slice());
                subject.tell_all(Severity::Warning, &compiled.warnings);
            }
            Err(problems) => subject.tell_all(Severity::Error, &problems),
        }
    }

    /// Judges Orchestrations as acceptance does.
    fn orchestrations(
        &self,
        subjects: &mut [Subject<'_>],
        definitions: &Known<Option<OrchestrationDefinitionSpec>>,
    ) {
        for subject in subjects.iter_mut().filter(|subject| subject.kind.kind == "Orchestration") {
            let Some(spec) = subject.spec::<OrchestrationSpec>() else { continue };
            for path in spec.input.iter().flat_map(secret::in_input) {
                subject.tell(Severity::Warning, Some(PLAIN_SECRET), &path, secret::IN_INPUT);
            }
            let type_ = &spec.type_;
            let error = Severity::Error;
            match definitions.meant_by(subject, type_) {
                None if self.options.allow_missing => check_input(subject, &spec, None),
                None => {
                    subject.tell(
                        error,
                        Some("DefinitionNotFound"),
                        "spec.type",
                        acceptance::not_found(type_),
                    );
                    check_input(subject, &spec, None);
                }
                // What is wrong with it is told with it.
                Some(None) => check_input(subject, &spec, None),
                Some(Some(definition)) if !definition.active => {
                    subject.tell(error, Some("DefinitionInactive"), "spec.type", acceptance::inactive(type_));
                }
                Some(Some(definition)) => {
                    let schema = definition.schema.as_ref().and_then(|raw| Schema::compile_object(raw).ok());
                    check_input(subject, &spec, schema.as_ref());
                }
            }
        }
    }
}

fn check_input(subject: &mut Subject<'_>, spec: &OrchestrationSpec, schema: Option<&Schema>) {
    if let Some((reason, message)) = spec.input.as_ref().and_then(acceptance::check_size) {
        let (path, message) = message.split_once(": ").unwrap_or(("spec.input", &message));
        subject.tell(Severity::Error, Some(reason), path, message);
        return;
    }
    match acceptance::check_input(&spec.type_, schema, spec.input.as_ref(), acceptance::INPUT) {
        None => {}
        Some(Refusal::TooLarge(message)) => {
            subject.tell(Severity::Error, Some(acceptance::INPUT_TOO_LARGE), acceptance::INPUT, message);
        }
        Some(Refusal::Invalid(violations)) => {
            for violation in violations {
                subject.tell(Severity::Error, Some("InvalidInput"), &violation.path, violation.message);
            }
        }
    }
}

#[cfg(test)]
mod tests;
