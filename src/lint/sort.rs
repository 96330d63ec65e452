//! Sorting: which documents are ours.
//!
//! Responsible for: telling what is meant to be ours and is not, and counting what is not. Must never: judge a document
//! of another group; people keep all kinds of files in one directory.

use std::sync::Arc;

use serde_json::Value;

use super::subject::Subject;
use super::{Finding, Report, Severity};
use crate::api::GROUP;
use crate::embedded::kinds::Kind;
use crate::embedded::validate::rules::Evaluator;
use crate::engine::problem::suggestion;
use crate::manifest::{Part, why_no_object};

/// What a document is called that is no object of any kind.
const NO_OBJECT: &str = "no Kubernetes object";

/// Documents of our kinds, and what was found about the others.
pub(super) struct Sorted<'p> {
    pub(super) subjects: Vec<Subject<'p>>,
    pub(super) report: Report,
}

/// Sorts documents.
pub(super) fn sort<'p>(parts: &'p [Part], kinds: &[Arc<Kind>], evaluator: &Evaluator) -> Sorted<'p> {
    let mut sorted = Sorted { subjects: Vec::new(), report: Report::default() };
    for part in parts {
        sorted.add(part, kinds, evaluator);
    }
    if sorted.is_without_objects() {
        sorted.tell_no_objects(parts);
    }
    sorted
}

impl<'p> Sorted<'p> {
    fn add(&mut self, part: &'p Part, kinds: &[Arc<Kind>], evaluator: &Evaluator) {
        let value = &part.value;
        if value.is_null() {
            return;
        }
        match judge(value, kinds) {
            Judged::Ours(kind) => self.subjects.push(Subject::new(part, kind, evaluator)),
            Judged::Other(what) => *self.report.skipped.entry(what).or_default() += 1,
            Judged::Wrong(path, message) => self.tell(part, path, message),
        }
    }

    fn tell(&mut self, part: &Part, path: &str, message: String) {
        let metadata = part.value.get("metadata").unwrap_or(&Value::Null);
        self.report.checked += 1;
        self.report.findings.push(Finding {
            file: part.place.file.display().to_string(),
            line: part.lines().of(path),
            document: part.place.document,
            kind: text(&part.value, "kind").unwrap_or_default().to_owned(),
            name: text(metadata, "name").unwrap_or_default().to_owned(),
            path: path.to_owned(),
            code: None,
            message,
            severity: Severity::Error,
        });
    }

    /// Whether there are documents, and not one of them is a Kubernetes object.
    fn is_without_objects(&self) -> bool {
        let nothing_is_checked = self.subjects.is_empty() && self.report.findings.is_empty();
        nothing_is_checked && self.report.skipped.keys().eq([NO_OBJECT])
    }

    /// Beside objects, other files are let be; alone, they were meant to be objects.
    fn tell_no_objects(&mut self, parts: &[Part]) {
        self.report.skipped.clear();
        for part in parts.iter().filter(|part| !part.value.is_null()) {
            if let Some(why) = why_no_object(&part.value) {
                self.tell(part, "", why);
            }
        }
    }
}

enum Judged {
    Ours(Arc<Kind>),
    /// What it is instead.
    Other(String),
    /// Path and message.
    Wrong(&'static str, String),
}

fn judge(value: &Value, kinds: &[Arc<Kind>]) -> Judged {
    let (version, kind) = (text(value, "apiVersion"), text(value, "kind"));
    let named = kind.and_then(|kind| kinds.iter().find(|known| known.kind == kind));
    // A group alone is meant to be ours too: its version was forgotten.
    let group = version.map(|version| match version.split_once('/') {
        Some((group, _)) => group,
        None if version == GROUP => version,
        None => "",
    });
    match (version, group, named) {
        (Some(version), Some(GROUP), Some(known)) if known.api_version() == version => {
            Judged::Ours(Arc::clone(known))
        }
        (Some(_), Some(GROUP), Some(known)) => {
            Judged::Wrong("apiVersion", format!("there is only {}", known.api_version()))
        }
        (Some(_), Some(GROUP), None) => Judged::Wrong("kind", no_kind(kind, kinds)),
        (None, _, Some(known)) => {
            Judged::Wrong("apiVersion", format!("is required: {} for this kind", known.api_version()))
        }
        (Some(version), Some(group), _) if is_near(group, named.is_some()) => {
            let meant = kinds.first().map(|known| known.api_version()).unwrap_or_default();
            Judged::Wrong("apiVersion", format!("there is no {version:?} (did you mean {meant:?}?)"))
        }
        (Some(version), ..) => Judged::Other(match kind {
            Some(kind) => format!("{kind} of {version}"),
            None => format!("no kind of {version}"),
        }),
        (None, ..) => Judged::Other(NO_OBJECT.to_owned()),
    }
}

/// Whether a group is likely ours, misspelt: but for the case of letters the same, or similar and with a kind of ours.
fn is_near(group: &str, has_our_kind: bool) -> bool {
    group.eq_ignore_ascii_case(GROUP)
        || (has_our_kind && !suggestion(group, std::iter::once(GROUP)).is_empty())
}

fn no_kind(kind: Option<&str>, kinds: &[Arc<Kind>]) -> String {
    let names = || kinds.iter().map(|known| known.kind.as_str());
    let all = names().collect::<Vec<_>>().join(", ");
    match kind {
        Some(kind) => format!("{GROUP} has no kind {kind:?}{}; it has {all}", suggestion(kind, names())),
        None => format!("is required: one of {all}"),
    }
}

fn text<'v>(value: &'v Value, member: &str) -> Option<&'v str> {
    value.get(member).and_then(Value::as_str)
}
