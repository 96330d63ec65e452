//! The OrchestrationDefinition controller: compiles definitions and says what is wrong with them.
//!
//! Responsible for: the condition Ready of definitions, their tiers, and the name of the revision that new
//! Orchestrations run from. Must never: touch an Orchestration.

use std::sync::Arc;

use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::context::Context;
use super::definitions::Definitions;
use super::error::Error;
use super::guard::Guarded;
use super::status::write;
use crate::api::OrchestrationDefinition;
use crate::api::orchestration_definition::OrchestrationDefinitionStatus;
use crate::engine::condition::{self, Statement};
use crate::engine::problem::{self, Problem, ProblemCode};
use crate::engine::revision::Pinned;
use crate::engine::status::difference;

/// Compiles one OrchestrationDefinition.
pub async fn reconcile(
    guarded: Arc<Guarded<OrchestrationDefinition>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    if guarded.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    context.definitions.wait_until_listed().await?;
    // Two activity types that become Ready one after the other wake us before the cache shows our last write.
    let guarded = context.written.definitions.newest(guarded);
    let mut next = OrchestrationDefinitionStatus {
        observed_generation: guarded.meta().generation,
        ..Default::default()
    };
    let (previous, statements) = match &guarded.content {
        Ok(definition) => {
            let statements = match resolve(&context, definition, &mut next) {
                Ok(message) => vec![Statement::new("Ready", Some(true), "Ready", message)],
                Err(problems) => broken(&problems),
            };
            (definition.status.clone().unwrap_or_default(), statements)
        }
        Err(unreadable) if unreadable.observed_generation == guarded.meta().generation => {
            return Ok(Action::await_change());
        }
        Err(unreadable) => {
            // What was said of an earlier version goes, though it cannot be read either.
            let stale = OrchestrationDefinitionStatus {
                revision: Some(String::new()),
                tiers: vec![Vec::new()],
                ..Default::default()
            };
            (stale, stalled("Unreadable", unreadable.to_string()))
        }
    };
    next.conditions =
        condition::state(&previous.conditions, next.observed_generation, context.clock.now(), statements);
    if let Some(patch) = difference(&json!(previous), &json!(next)) {
        let patch = json!({ "status": patch });
        let written = write::<OrchestrationDefinition>(&context.client.0, guarded.as_ref(), patch).await?;
        context.written.definitions.keep(written);
    }
    Ok(Action::await_change())
}

/// What stands before the warnings in the message of a definition that is Ready.
const WARNINGS: &str = "; warnings: ";

/// The warnings in the message of a definition that is Ready, each by itself.
#[must_use]
pub fn warnings(message: &str) -> Vec<String> {
    let Some((_, all)) = message.split_once(WARNINGS) else { return Vec::new() };
    let mut warnings: Vec<String> = Vec::new();
    for part in all.split("; ") {
        // Each begins with a code and a field; a semicolon may also stand inside of one.
        let is_whole = part.split_once(": spec.").is_some_and(|(code, _)| {
            code.starts_with(|c: char| c.is_ascii_uppercase())
                && code.chars().all(|c| c.is_ascii_alphabetic())
        });
        match warnings.last_mut() {
            Some(last) if !is_whole => last.push_str(&format!("; {part}")),
            _ => warnings.push(part.to_owned()),
        }
    }
    warnings
}

/// Compiles the definition into the status. The result is a sentence for people.
fn resolve(
    context: &Context,
    definition: &OrchestrationDefinition,
    next: &mut OrchestrationDefinitionStatus,
) -> Result<String, Vec<Problem>> {
    let resolved = context.definitions.resolve(definition, &context.revisions)?;
    if let Some(problem) = resolved.revision.check_size() {
        return Err(vec![problem]);
    }
    let Pinned { name, compiled, .. } = resolved.pinned.as_ref();
    let mut message = compiled.size();
    if !compiled.warnings.is_empty() {
        message.push_str(WARNINGS);
        message.push_str(&problem::text(&compiled.warnings).replace('\n', "; "));
    }
    next.tiers = compiled.tier_ids();
    next.revision = Some(name.clone());
    Ok(message)
}

/// What heals by itself when ActivityDefinitions come or become Ready is told apart from what takes an edit.
fn broken(problems: &[Problem]) -> Vec<Statement> {
    let all = |codes: &[ProblemCode]| problems.iter().all(|problem| codes.contains(&problem.code));
    let reason = if all(&[ProblemCode::ActivityDefinitionNotFound]) {
        "ActivityDefinitionNotFound"
    } else if all(&[ProblemCode::ActivityNotReady, ProblemCode::ActivityDefinitionNotFound]) {
        "ActivityNotReady"
    } else {
        return stalled("Invalid", problem::text(problems));
    };
    vec![Statement::new("Ready", Some(false), reason, problem::text(problems))]
}

fn stalled(reason: &str, message: String) -> Vec<Statement> {
    vec![
        Statement::new("Ready", Some(false), reason, message.clone()),
        Statement::new("Stalled", Some(true), reason, message),
    ]
}

/// The definitions that name an activity type.
#[must_use]
pub fn users_of(
    definitions: &Definitions,
    namespace: &str,
    type_: &str,
) -> Vec<ObjectRef<Guarded<OrchestrationDefinition>>> {
    let uses = |guarded: &Guarded<OrchestrationDefinition>| {
        guarded.namespace().as_deref() == Some(namespace)
            && guarded.content.as_ref().is_ok_and(|definition| {
                let mut activities = definition.spec.activities.iter().chain(&definition.spec.finally);
                activities.any(|activity| activity.type_ == type_)
            })
    };
    definitions
        .orchestrations
        .state_filter(uses)
        .iter()
        .map(|found| ObjectRef::from_obj(found.as_ref()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_come_apart_again() {
        assert_eq!(warnings("2 activities in 2 tiers"), Vec::<String>::new());
        assert_eq!(
            warnings(
                "2 activities in 2 tiers; warnings: DuplicateId: spec.activities[1].dependsOn[1]: \"a\" is listed twice; \
                 SkippedReference: spec.activities[1].inputs[0]: \"a\" may be skipped; or not"
            ),
            [
                "DuplicateId: spec.activities[1].dependsOn[1]: \"a\" is listed twice",
                "SkippedReference: spec.activities[1].inputs[0]: \"a\" may be skipped; or not",
            ]
        );
    }
}
