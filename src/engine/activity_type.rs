//! Activity types: the schemas of an ActivityDefinition.
//!
//! Responsible for: compiling them, with every mistake in the form of a problem. Must never: judge a job template; that
//! is the provider's.

use super::problem::{self, Problem, ProblemCode};
use super::retry::Policy;
use super::schema::{Mistake, Schema};
use super::value::printable;
use crate::api::ActivityDefinitionSpec;

/// The schemas of an activity type; nothing where everything is taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schemas {
    /// What it takes.
    pub input: Option<Schema>,
    /// What it produces.
    pub output: Option<Schema>,
}

/// Compiles the schemas of an activity type.
///
/// # Errors
/// Every mistake in both, in field order.
pub fn compile(spec: &ActivityDefinitionSpec) -> Result<Schemas, Vec<Problem>> {
    let mut found = Vec::new();
    let mut compiled =
        |field: &str, raw: Option<&crate::api::common::Object>| match raw.map(Schema::compile_object)? {
            Ok(schema) => Some(schema),
            Err(mistakes) => {
                found.extend(problems(field, mistakes));
                None
            }
        };
    let schemas = Schemas {
        input: compiled("spec.inputSchema", spec.input_schema.as_ref()),
        output: compiled("spec.outputSchema", spec.output_schema.as_ref()),
    };
    let policy = Policy::of(None, spec.retry.as_ref());
    if policy.max_seconds < policy.initial_seconds {
        let message =
            format!("{} is less than initialSeconds, {}", policy.max_seconds, policy.initial_seconds);
        found.push(Problem::new(ProblemCode::LimitExceeded, "spec.retry.backoff.maxSeconds", message));
    }
    if found.is_empty() { Ok(schemas) } else { Err(found) }
}

/// The mistakes of a schema as problems of the field that holds it.
pub(super) fn problems(field: &str, mistakes: Vec<Mistake>) -> Vec<Problem> {
    let problem = |mistake: Mistake| {
        Problem::new(
            mistake.code,
            format!("{field}{}", printable(&mistake.pointer)),
            printable(&mistake.message),
        )
    };
    mistakes.into_iter().map(problem).collect()
}

/// The reason that stands for several problems of an ActivityDefinition: their common code, or else that of the job
/// template, whose problems keep it from running most plainly.
#[must_use]
pub fn reason(problems: &[Problem]) -> ProblemCode {
    let all = |code: ProblemCode| problems.iter().all(|problem| problem.code == code);
    let any = |codes: &[ProblemCode]| problems.iter().any(|problem| codes.contains(&problem.code));
    match problems.first() {
        Some(first) if all(first.code) => first.code,
        _ if any(&[ProblemCode::NoMessageBus]) => ProblemCode::NoMessageBus,
        _ if any(&[ProblemCode::InvalidJobTemplate, ProblemCode::ForbiddenPodField]) => {
            ProblemCode::InvalidJobTemplate
        }
        _ => ProblemCode::InvalidSchema,
    }
}

/// Problems as the condition of an ActivityDefinition tells them, with the reason in front where it is not there anyway.
#[must_use]
pub fn explained(problems: &[Problem]) -> String {
    let (reason, text) = (reason(problems), problem::text(problems));
    if problems.first().is_some_and(|first| first.code == reason) {
        text
    } else {
        format!("{reason}: {text}")
    }
}
