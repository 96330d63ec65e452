//! Judging: whether a schedule can make its next run, long before its tick.
//!
//! Responsible for: what is wrong with times, template and definition, and the conditions that say so. Must never: ask
//! the server; the caches do, because a run that meets a newer definition waits for it.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::super::context::Context;
use crate::api::{OrchestrationDefinition, OrchestrationSchedule};
use crate::engine::acceptance;
use crate::engine::condition::{self, Statement};
use crate::engine::problem::{self, Problem};
use crate::engine::schedule::decide::{Decision, Terms};
use crate::engine::schedule::{Schedule, template, warnings};
use crate::engine::schema::Schema;
use crate::engine::value::printable;

/// What a schedule comes to.
pub(super) struct Judged {
    /// Its times; nothing if they cannot be read.
    pub(super) schedule: Option<Schedule>,
    /// Why no run can be made now, in words for the history.
    pub(super) refusal: Option<String>,
    /// The same as reason and message, and whether it takes an edit of the schedule.
    fault: Option<Fault>,
}

struct Fault {
    reason: String,
    message: String,
    is_stalled: bool,
}

/// Judges a schedule with what the caches show of its definition.
pub(super) fn judge(context: &Context, schedule: &OrchestrationSchedule) -> Judged {
    let (compiled, mut problems) =
        match Schedule::compile(&schedule.spec.schedule, Some(&schedule.spec.time_zone)) {
            Ok(compiled) => (Some(compiled), Vec::new()),
            Err(problems) => (None, problems),
        };
    problems.extend(template::problems(&schedule.spec.orchestration_template));
    let fault = match problems.first() {
        Some(first) => Some(Fault {
            reason: first.code.to_string(),
            message: problem::text(&problems),
            is_stalled: true,
        }),
        None => of_definition(context, schedule),
    };
    let refusal =
        fault.as_ref().map(|fault| match fault.message.starts_with(&format!("{}: ", fault.reason)) {
            true => fault.message.clone(),
            false => format!("{}: {}", fault.reason, fault.message),
        });
    Judged { schedule: compiled, refusal, fault }
}

fn of_definition(context: &Context, schedule: &OrchestrationSchedule) -> Option<Fault> {
    let namespace = schedule.namespace().unwrap_or_default();
    let template = &schedule.spec.orchestration_template;
    let type_ = &template.spec.type_;
    let fault = |reason: &str, message: String, is_stalled| {
        Some(Fault { reason: reason.to_owned(), message, is_stalled })
    };
    let found = context.definitions.orchestrations.get(&ObjectRef::new(type_).within(&namespace));
    let definition = match found.as_deref().map(|found| &found.content) {
        None => {
            let told = input(schedule, None);
            return told.or_else(|| fault("DefinitionNotFound", acceptance::not_found(type_), false));
        }
        Some(Err(unreadable)) => {
            let message =
                format!("OrchestrationDefinition \"{type_}\" is not ready: Unreadable: {unreadable}");
            return fault("DefinitionNotReady", message, false);
        }
        Some(Ok(definition)) => definition,
    };
    if !definition.spec.active {
        return fault("DefinitionInactive", acceptance::inactive(type_), false);
    }
    if let Some(why) = not_ready(definition) {
        let message = format!("OrchestrationDefinition \"{type_}\" is not ready: {why}");
        return fault("DefinitionNotReady", message, false);
    }
    let schema = definition.spec.schema.as_ref().and_then(|raw| Schema::compile(raw).ok());
    input(schedule, schema.as_ref())
}

/// Why a definition cannot be used. One that was not looked at yet may well be good: a run waits for that.
fn not_ready(definition: &OrchestrationDefinition) -> Option<String> {
    let status = definition.status.as_ref()?;
    if status.observed_generation != definition.metadata.generation {
        return None;
    }
    let ready = condition::find(&status.conditions, "Ready").filter(|ready| ready.status != "True")?;
    Some(condition::explained(ready))
}

/// What is wrong with the input of the template.
fn input(schedule: &OrchestrationSchedule, schema: Option<&Schema>) -> Option<Fault> {
    let mistakes = template::check_input(&schedule.spec.orchestration_template, schema);
    let reason = mistakes.first()?.0;
    let lines: Vec<String> = mistakes.iter().map(|(_, path, message)| format!("{path}: {message}")).collect();
    Some(Fault { reason: reason.to_owned(), message: printable(&lines.join("\n")), is_stalled: true })
}

/// What the conditions say.
pub(super) fn statements(
    judged: &Judged,
    schedule: &OrchestrationSchedule,
    decision: &Decision,
    refusal: Option<&str>,
) -> Vec<Statement> {
    if let Some(fault) = &judged.fault {
        let mut all = vec![Statement::new("Ready", Some(false), &*fault.reason, fault.message.as_str())];
        if fault.is_stalled {
            all.push(Statement::new("Stalled", Some(true), &*fault.reason, fault.message.as_str()));
        }
        return all;
    }
    let not_ready = |reason, message: String| vec![Statement::new("Ready", Some(false), reason, message)];
    if let Some(refusal) = refusal {
        return not_ready("RunRefused", format!("the last tick cannot be made into a run: {refusal}"));
    }
    if decision.is_clock_behind {
        let until = decision.record.accounted.map(|time| time.to_string()).unwrap_or_default();
        return not_ready(
            "ClockBehind",
            format!(
                "ticks up to {until} are accounted for, which is still to come: a clock was, or is, wrong"
            ),
        );
    }
    let spec = &schedule.spec;
    let type_ = &spec.orchestration_template.spec.type_;
    if spec.suspend {
        let message = "no runs are made while spec.suspend is true, and none for that time afterwards";
        return vec![Statement::new("Ready", Some(true), "Suspended", message)];
    }
    let terms = Terms {
        starting_deadline: spec.starting_deadline_seconds.map(jiff::SignedDuration::from_secs),
        ..Terms::default()
    };
    let warnings: Vec<Problem> = warnings(Some(&spec.time_zone), &terms);
    let mut message = format!("makes runs of OrchestrationDefinition \"{type_}\"");
    if !warnings.is_empty() {
        message.push_str("; warnings: ");
        message.push_str(&problem::text(&warnings).replace('\n', "; "));
    }
    vec![Statement::new("Ready", Some(true), "Ready", message)]
}
