//! The conditions of activities: compiled, and checked like sources.
//!
//! Responsible for: that a condition reads nothing but the input and what is done before its activity. Must never:
//! evaluate one.

use std::collections::BTreeSet;

use super::super::expression::{self, Declared, Expression, Position, Reference};
use super::super::problem::ProblemCode;
use super::super::value::printable;
use super::inputs::{Mistake, Scope};
use super::{Findings, Root};

/// The condition of one activity.
#[derive(Default)]
pub(super) struct Condition {
    /// The expression, if there is one and it can be evaluated.
    pub(super) when: Option<Expression>,
    /// The activities that it reads.
    pub(super) reads: BTreeSet<usize>,
    /// Those whose outputs it reads.
    pub(super) outputs: BTreeSet<usize>,
}

/// Compiles the condition of one activity.
pub(super) fn of_activity(
    at: usize,
    source: Option<&str>,
    scope: &Scope<'_>,
    found: &mut Findings,
) -> Condition {
    let Some(source) = source else { return Condition::default() };
    let outputs = |id: &str| scope.outputs_of(*scope.index.get(id)?);
    let declared = Declared { input: scope.schema, outputs: Some(&outputs) };
    let (when, mistakes) = match Expression::compile_with(source, &declared) {
        Ok(compiled) => compiled,
        Err(mistakes) => {
            for mistake in mistakes {
                found.at(at, mistake.code, ".when", printable(&mistake.to_string()));
            }
            return Condition::default();
        }
    };
    let told = |mistake: &expression::Mistake| (mistake.position(), mistake.code, mistake.message.clone());
    let mut told: Vec<(Position, ProblemCode, String)> = mistakes.iter().map(told).collect();
    let mut condition = Condition::default();
    let mut odd: Vec<(Position, String)> = Vec::new();
    for reference in when.references() {
        match condition.read(reference, scope, found) {
            Ok(oddity) => odd.extend(oddity.map(|oddity| (reference.position(), oddity))),
            Err(mistake) => told.push((reference.position(), mistake.code, mistake.message)),
        }
    }
    odd.sort();
    odd.dedup();
    for (position, oddity) in odd {
        let message = printable(&format!("{position}: {oddity}"));
        found.warn(at, ProblemCode::UnknownReference, ".when", message);
    }
    told.sort_by_key(|(position, ..)| *position);
    told.dedup();
    for (position, code, message) in told {
        found.at(at, code, ".when", printable(&format!("{position}: {message}")));
    }
    condition.when = Some(when);
    condition
}

impl Condition {
    /// Notes what is read; the answer is what is odd about it.
    fn read(
        &mut self,
        reference: &Reference,
        scope: &Scope<'_>,
        found: &Findings,
    ) -> Result<Option<String>, Mistake> {
        let (root, path, is_presence) = match reference {
            Reference::Input { path, is_presence, .. } => (Root::Input, path, *is_presence),
            Reference::ScheduleTime { .. } => return Ok(None),
            Reference::RunState { .. } if scope.is_finally() => return Ok(None),
            Reference::RunState { .. } => {
                let message = "run.state can be read in finally only";
                return Err(Mistake::of_source(ProblemCode::UnknownReference, message));
            }
            Reference::Activity { id, outputs, is_presence, .. } => {
                let Some(activity) = scope.index.get(id.as_str()).copied() else {
                    return Err(unknown(id, scope, found));
                };
                scope.check_ancestor(activity)?;
                self.reads.insert(activity);
                let Some(path) = outputs else { return Ok(None) };
                self.outputs.insert(activity);
                (Root::Activity(activity), path, *is_presence)
            }
        };
        scope.check_declared(root, path, true, found)?;
        // Whoever asks whether a member is there expects that it may be missing.
        let read = path.get(..path.len().saturating_sub(usize::from(is_presence))).unwrap_or(path);
        Ok(scope.oddity(root, read, true, found))
    }
}

fn unknown(id: &str, scope: &Scope<'_>, found: &Findings) -> Mistake {
    let meant = found.suggestion(id, scope.others());
    let message = format!("no activity \"{}\"{meant}", super::shorthand::shorten(id));
    Mistake::of_source(ProblemCode::UnknownReference, message)
}
