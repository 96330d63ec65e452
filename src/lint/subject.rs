//! Subjects: documents of our kinds, with what was found about each.
//!
//! Responsible for: what the API server says of a document alone, and the line of every finding. Must never: know
//! another document.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Finding, Severity};
use crate::embedded::examine::{Examined, examine, fields_beside};
use crate::embedded::field::{Fault, FieldError};
use crate::embedded::kinds::Kind;
use crate::embedded::refusal::Refusal;
use crate::embedded::server::MAX_BODY;
use crate::embedded::validate::rules::Evaluator;
use crate::engine::problem::{Problem, ProblemCode, suggestion};
use crate::engine::value::printable;
use crate::manifest::{Part, Place};

/// The pod template of an activity type, and the same in the Job that is made of it.
const TEMPLATE: &str = "spec.job.template";
const TEMPLATE_IN_JOB: &str = "spec.template";
/// Where documents without a namespace go.
const DEFAULT_NAMESPACE: &str = "default";

/// A document of one of our kinds.
pub(super) struct Subject<'p> {
    pub(super) kind: Arc<Kind>,
    pub(super) namespace: String,
    /// Its name, or the beginning of one that is to be generated.
    pub(super) name: String,
    part: &'p Part,
    examined: Examined,
    told: Vec<Told>,
}

struct Told {
    severity: Severity,
    code: Option<String>,
    path: String,
    message: String,
}

impl<'p> Subject<'p> {
    /// Examines a document.
    pub(super) fn new(part: &'p Part, kind: Arc<Kind>, evaluator: &Evaluator) -> Self {
        let examined = examine(&kind, &part.value, evaluator);
        let text = |pointer: &str| part.value.pointer(pointer).and_then(Value::as_str);
        let name = text("/metadata/name").or_else(|| text("/metadata/generateName")).unwrap_or_default();
        let namespace = text("/metadata/namespace").unwrap_or(DEFAULT_NAMESPACE);
        let mut subject = Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            kind,
            part,
            examined,
            told: Vec::new(),
        };
        subject.tell_refusals();
        subject
    }

    fn tell_refusals(&mut self) {
        let mut told = Vec::new();
        if self.examined.is_too_large {
            told.push((String::new(), Refusal::too_large(MAX_BODY).message));
        }
        if let Some(words) = &self.examined.undecodable {
            told.push(("metadata".to_owned(), words.clone()));
        }
        for path in &self.examined.unknown {
            let name = path.rsplit('.').next().unwrap_or_default();
            let meant = suggestion(name, fields_beside(&self.kind, path).into_iter());
            told.push((path.clone(), format!("unknown field{meant}")));
        }
        // What has no field only adds to the others, as that not all rules could be evaluated.
        let with_field = |error: &&FieldError| !error.field.is_empty();
        let errors = self.examined.errors.iter().filter(with_field);
        told.extend(errors.map(|error| (error.field.clone(), error.message.clone())));
        for (path, message) in told {
            self.tell(Severity::Error, None, &path, message);
        }
    }

    /// Whether its name is not generated.
    pub(super) fn has_name(&self) -> bool {
        self.part.value.pointer("/metadata/name").and_then(Value::as_str).is_some_and(|name| !name.is_empty())
    }

    /// The directory of its file.
    pub(super) fn directory(&self) -> &Path {
        self.part.place.file.parent().unwrap_or(Path::new(""))
    }

    /// Where it stands.
    pub(super) fn place(&self) -> Place {
        Place { line: self.part.lines().of(""), ..self.part.place.clone() }
    }

    /// The answer of the server, if it would refuse the document.
    pub(super) fn refusal(&self) -> Option<String> {
        self.examined.refusal(&self.kind).map(|refusal| refusal.message)
    }

    /// The spec as its controller reads it; nothing if it cannot be read, which is told.
    pub(super) fn spec<T: DeserializeOwned>(&mut self) -> Option<T> {
        let spec = self.examined.object.get("spec").cloned().unwrap_or_default();
        match serde_json::from_value(spec) {
            Ok(spec) => Some(spec),
            // The server's reason is the better one.
            Err(_) if self.refusal().is_some() => None,
            Err(error) => {
                let message = format!("the object cannot be read: {error}");
                self.tell(Severity::Error, Some("Unreadable"), "spec", message);
                None
            }
        }
    }

    /// Tells problems, but for those that the server's refusals say already.
    pub(super) fn tell_all(&mut self, severity: Severity, problems: &[Problem]) {
        for problem in problems {
            if !self.examined.errors.iter().any(|error| is_refused(problem, error)) {
                self.tell(severity, Some(&problem.code.to_string()), &problem.path, problem.message.as_str());
            }
        }
    }

    /// Tells something.
    pub(super) fn tell(
        &mut self,
        severity: Severity,
        code: Option<&str>,
        path: &str,
        message: impl Into<String>,
    ) {
        self.told.push(Told {
            severity,
            code: code.map(str::to_owned),
            path: path.to_owned(),
            message: message.into(),
        });
    }

    /// Everything that was told, with its lines.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        if self.told.is_empty() {
            return Vec::new();
        }
        let lines = self.part.lines();
        let finding = |told: Told| Finding {
            file: self.part.place.file.display().to_string(),
            line: lines.of(&told.place()),
            document: self.part.place.document,
            kind: self.kind.kind.clone(),
            name: self.name.clone(),
            path: printable(&told.path),
            code: told.code,
            message: printable(&told.message),
            severity: told.severity,
        };
        self.told.into_iter().map(finding).collect()
    }
}

impl Told {
    /// The path that has the line: of what the server says of the Job that a template makes, the first field that it names.
    fn place(&self) -> Cow<'_, str> {
        if self.path != TEMPLATE {
            return Cow::Borrowed(&self.path);
        }
        let Some((_, named)) = self.message.split_once(TEMPLATE_IN_JOB) else {
            return Cow::Borrowed(&self.path);
        };
        let end = named.find(['"', ':', ' ', ',']).unwrap_or(named.len());
        Cow::Owned(format!("{TEMPLATE}{}", named.get(..end).unwrap_or_default()))
    }
}

/// Whether the server refuses a field for what a problem says of it.
fn is_refused(problem: &Problem, error: &FieldError) -> bool {
    let is_twice = error.fault == Fault::Duplicate && problem.code == ProblemCode::DuplicateId;
    problem.path == error.field || (is_twice && problem.path == format!("{}.id", error.field))
}
