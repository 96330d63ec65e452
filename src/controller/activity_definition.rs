//! The ActivityDefinition controller: proves that activities of a type can run.
//!
//! Responsible for: the condition Ready of activity types. Must never: make a Job for real.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::context::Context;
use super::error::Error;
use super::guard::Guarded;
use super::rights::making;
use super::status::write;
use crate::api::activity_definition::ActivityDefinitionStatus;
use crate::api::{ActivityDefinition, ActivityDefinitionSpec};
use crate::engine::activity_type;
use crate::engine::condition::{self, Statement};
use crate::engine::problem::{self, Problem, ProblemCode};
use crate::engine::status::difference;
use crate::provider::job::{Proof, build, template};

/// When a proof is tried again that the server could not give: quickly at first, as everything here.
const UNKNOWN: Duration = Duration::from_secs(10);

/// What was found out about a definition.
struct Verdict {
    ready: Option<bool>,
    reason: String,
    message: String,
    /// Whether only a change of the definition can make it Ready.
    stalled: bool,
    again: Option<Duration>,
}

/// Proves one ActivityDefinition.
pub async fn reconcile(
    guarded: Arc<Guarded<ActivityDefinition>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    if guarded.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let (previous, verdict) = match &guarded.content {
        Ok(definition) => (definition.status.clone().unwrap_or_default(), judge(definition, &context).await),
        Err(unreadable) if unreadable.observed_generation == guarded.meta().generation => {
            return Ok(Action::await_change());
        }
        Err(unreadable) => {
            (ActivityDefinitionStatus::default(), Verdict::bad("Unreadable", unreadable.to_string()))
        }
    };
    let generation = guarded.meta().generation;
    let mut statements =
        vec![Statement::new("Ready", verdict.ready, verdict.reason.clone(), verdict.message.clone())];
    if verdict.stalled {
        statements.push(Statement::new("Stalled", Some(true), verdict.reason, verdict.message));
    }
    let conditions = condition::state(&previous.conditions, generation, context.clock.now(), statements);
    let next = ActivityDefinitionStatus { observed_generation: generation, conditions };
    // What the server cannot say now changes nothing that was known of this generation.
    let keeps = verdict.ready.is_none() && previous.observed_generation == generation;
    if let Some(patch) = difference(&json!(previous), &json!(next)).filter(|_| !keeps) {
        write::<ActivityDefinition>(&context.client.0, guarded.as_ref(), json!({ "status": patch })).await?;
    }
    Ok(verdict.again.map_or_else(Action::await_change, Action::requeue))
}

/// Everything that is wrong with an activity type as far as no server has to be asked.
#[must_use]
pub fn problems(spec: &ActivityDefinitionSpec, allow_host_access: bool) -> Vec<Problem> {
    let mut problems = activity_type::compile(spec).err().unwrap_or_default();
    match &spec.job {
        Some(job) => problems.extend(template::check(job, allow_host_access)),
        None => {
            let message = "is required, because no message bus is configured to send the work to agents";
            problems.push(Problem::new(ProblemCode::NoMessageBus, "spec.job", message));
        }
    }
    problems
}

async fn judge(definition: &ActivityDefinition, context: &Context) -> Verdict {
    let problems = problems(&definition.spec, context.settings.allow_host_access);
    // Without a job there is a problem.
    let Some(job) = definition.spec.job.as_ref().filter(|_| problems.is_empty()) else {
        return refused(&problems);
    };
    let (namespace, name) = (definition.namespace().unwrap_or_default(), definition.name_any());
    let proof = context.jobs.prove(&namespace, &build::dry_run(job, &namespace, &name)).await;
    let refusal = match &proof {
        Proof::Unknown(message) => Some(message.as_str()),
        Proof::Good | Proof::Bad(_) => None,
    };
    context.rights.answered(&making(&definition.uid().unwrap_or_default()), refusal);
    match proof {
        Proof::Good => Verdict {
            ready: Some(true),
            reason: "Ready".to_owned(),
            message: "the API server accepts Jobs of this template".to_owned(),
            stalled: false,
            again: None,
        },
        Proof::Bad(message) => {
            refused(&[Problem::new(ProblemCode::InvalidJobTemplate, "spec.job.template", message)])
        }
        Proof::Unknown(message) => Verdict {
            ready: None,
            reason: "NotProven".to_owned(),
            message: format!(
                "the API server could not say whether it accepts Jobs of this template: {message}"
            ),
            stalled: false,
            again: Some(UNKNOWN),
        },
    }
}

fn refused(problems: &[Problem]) -> Verdict {
    Verdict::bad(&activity_type::reason(problems).to_string(), problem::text(problems))
}

impl Verdict {
    fn bad(reason: &str, message: String) -> Self {
        Self { ready: Some(false), reason: reason.to_owned(), message, stalled: true, again: None }
    }
}
