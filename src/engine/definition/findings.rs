//! Findings: the problems and warnings of a definition while it is compiled.
//!
//! Responsible for: their field paths and their order. Must never: stop at the first.

use super::super::activity_type;
use super::super::problem::{self, Problem, ProblemCode};
use super::super::schema::Schema;
use super::{MAX_SUGGESTIONS, place};
use crate::api::common::Object;

/// Where in the definition a problem is; problems are told in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Whole,
    Activity(usize),
    Output,
}

/// Problems and warnings while they are collected.
#[derive(Default)]
pub(super) struct Findings {
    /// Number of activities that are not of `finally`.
    pub(super) main: usize,
    pub(super) problems: Vec<(Place, Problem)>,
    pub(super) warnings: Vec<Problem>,
}

impl Findings {
    pub(super) fn at(&mut self, activity: usize, code: ProblemCode, field: &str, message: impl Into<String>) {
        let path = format!("{}{field}", place(activity, self.main));
        self.problems.push((Place::Activity(activity), Problem::new(code, path, message)));
    }

    /// The compiled schema of the input, or its mistakes.
    pub(super) fn schema(&mut self, raw: &Object) -> Option<Schema> {
        match Schema::compile_object(raw) {
            Ok(schema) => Some(schema),
            Err(mistakes) => {
                let problems = activity_type::problems("spec.schema", mistakes);
                self.problems.extend(problems.into_iter().map(|problem| (Place::Whole, problem)));
                None
            }
        }
    }

    pub(super) fn in_output(&mut self, code: ProblemCode, field: &str, message: impl Into<String>) {
        self.problems.push((Place::Output, Problem::new(code, format!("spec.output{field}"), message)));
    }

    /// What may have been meant by a name that does not exist.
    pub(super) fn suggestion<'a>(&self, wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
        if self.problems.len() < MAX_SUGGESTIONS { problem::suggestion(wrong, names) } else { String::new() }
    }

    pub(super) fn warn(
        &mut self,
        activity: usize,
        code: ProblemCode,
        field: &str,
        message: impl Into<String>,
    ) {
        self.warnings.push(Problem::new(code, format!("{}{field}", place(activity, self.main)), message));
    }

    pub(super) fn warn_in_output(&mut self, code: ProblemCode, field: &str, message: impl Into<String>) {
        self.warnings.push(Problem::new(code, format!("spec.output{field}"), message));
    }

    /// The warnings if there is no problem. Within one activity, problems keep the order in which they were found,
    /// which is that of the fields.
    pub(super) fn finish(mut self) -> Result<Vec<Problem>, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(self.warnings);
        }
        self.problems.sort_by_key(|(place, _)| *place);
        Err(self.problems.into_iter().map(|(_, problem)| problem).collect())
    }
}
