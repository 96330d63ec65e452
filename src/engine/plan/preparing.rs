//! What an activity gets: its condition, and its inputs from what is stored.
//!
//! Responsible for: finding every mistake in the data of an activity before anything of it is started. Must never:
//! change a value on its way.

use serde_json::Value;

use super::super::acceptance::defaults_too_large;
use super::super::definition::{Binding, CompiledActivity, Root};
use super::super::expression::{Expression, Scope};
use super::super::observe::FailureReason;
use super::super::path::{self, Found, Segment};
use super::super::schema;
use super::super::state::name;
use super::super::value::{bytes, printable, without_nulls};
use super::{MAX_INPUT_BYTES, Planner};
use crate::api::common::Object;
use crate::api::orchestration::ActivityState;

/// Most paths that a message names.
const MAX_SHOWN: usize = 10;

/// What is to become of an activity that is ready.
pub(super) enum Prepared<'a> {
    /// It starts with these inputs.
    Inputs(Object),
    /// It is skipped, because this condition is false.
    Skip(&'a str),
}

impl Planner<'_> {
    /// Evaluates the condition of an activity and collects its inputs, or says why it fails without an attempt.
    pub(super) fn prepare<'c>(
        &self,
        activity: usize,
        compiled: &'c CompiledActivity,
    ) -> Result<Prepared<'c>, (FailureReason, String)> {
        // A condition is asked once: what has been tried is not skipped any more.
        if let Some(when) = &compiled.when
            && self.state(activity) != ActivityState::Retrying
            && !self.holds(activity, compiled, when)?
        {
            return Ok(Prepared::Skip(when.source()));
        }
        let mut inputs = self.resolve(&compiled.inputs);
        if let Some(schema) = &compiled.input_schema {
            let missing: Vec<String> = schema
                .required()
                .filter(|required| !inputs.contains_key(*required))
                .map(|required| self.explain_missing(activity, compiled, required))
                .collect();
            if !missing.is_empty() {
                return Err((FailureReason::MissingInput, missing.join("\n")));
            }
            inputs = schema
                .with_defaults(&inputs)
                .map_err(|_| (FailureReason::InputTooLarge, format!("the input {}", defaults_too_large())))?;
        }
        let size = bytes(&inputs);
        if size > MAX_INPUT_BYTES {
            let message =
                format!("the input has {size} bytes of JSON, at most {MAX_INPUT_BYTES} are allowed");
            return Err((FailureReason::InputTooLarge, message));
        }
        if let Some(schema) = &compiled.input_schema {
            let whole = Value::Object(inputs);
            let violations = schema.validate(&whole, "input");
            if !violations.is_empty() {
                let why = schema::text_within(&violations, self.message_limit());
                return Err((FailureReason::InvalidInput, why));
            }
            let Value::Object(checked) = whole else { return Ok(Prepared::Inputs(Object::new())) };
            inputs = checked;
        }
        Ok(Prepared::Inputs(inputs))
    }

    fn holds(
        &self,
        activity: usize,
        compiled: &CompiledActivity,
        when: &Expression,
    ) -> Result<bool, (FailureReason, String)> {
        let mut scope = compiled.reads.iter().fold(Scope::new(self.input()), |scope, read| {
            let entry = self.stored_entry(*read);
            scope.with_activity(
                self.id(*read),
                name(entry.state),
                entry.outputs.as_ref().unwrap_or(nothing()),
            )
        });
        if self.compiled.is_finally(activity) {
            scope = scope.with_run_state(self.run_state());
        }
        let time = self.schedule_time();
        if let Some(time) = &time {
            scope = scope.with_schedule_time(time);
        }
        when.evaluate(&scope)
            .map_err(|why| (FailureReason::ExpressionError, printable(&format!("when: {why}"))))
    }

    /// The tick that the run was made for.
    fn schedule_time(&self) -> Option<String> {
        self.stored.scheduled_time.as_ref().map(|time| time.0.to_string())
    }

    /// The values of some bindings, from what is stored; what is absent is left out.
    pub(super) fn resolve(&self, bindings: &[Binding]) -> Object {
        let values = bindings.iter().filter_map(|binding| {
            if binding.root == Root::RunState {
                return Some((binding.target.clone(), Value::from(self.run_state())));
            }
            if binding.root == Root::ScheduleTime {
                return Some((binding.target.clone(), Value::from(self.schedule_time()?)));
            }
            let found = self.find(binding)?;
            Some((binding.target.clone(), found.to_value()))
        });
        without_nulls(values.collect())
    }

    /// Where a binding leads. The outputs of what was skipped are absent, also as a whole.
    fn find(&self, binding: &Binding) -> Option<Found<'_>> {
        match binding.root {
            Root::RunState | Root::ScheduleTime => None,
            Root::Input => path::read(self.input(), &binding.path),
            // The entry, not the stored one: the output of an orchestration is written with the last results.
            Root::Activity(activity) => match (&self.entry(activity).outputs, self.state(activity)) {
                (Some(outputs), _) => path::read(outputs, &binding.path),
                (None, ActivityState::Succeeded) => {
                    binding.path.is_empty().then_some(Found::Whole(nothing()))
                }
                (None, _) => None,
            },
        }
    }

    /// Which source led to nothing, and what there is instead.
    fn explain_missing(&self, activity: usize, compiled: &CompiledActivity, required: &str) -> String {
        let at = format!("{}.inputs", self.compiled.place(activity));
        let whose = format!("the required input \"{required}\" of ActivityDefinition \"{}\"", compiled.type_);
        let bound = compiled.inputs.iter().enumerate().find(|(_, binding)| binding.target == required);
        let Some((item, binding)) = bound else { return format!("{at}: nothing feeds {whose}") };
        let path = path::display(&binding.path);
        let (what, has) = match binding.root {
            Root::RunState => ("there is no run.state".to_owned(), None),
            Root::ScheduleTime => {
                ("there is no schedule.time, because no schedule made this run,".to_owned(), None)
            }
            Root::Input => (format!("the input has no \"{path}\""), Some(self.input())),
            Root::Activity(read) if self.state(read) == ActivityState::Skipped => {
                (format!("activity \"{}\" was skipped and has no outputs", self.id(read)), None)
            }
            Root::Activity(read) if !self.is_done(read) => {
                (format!("activity \"{}\" has not succeeded and has no outputs", self.id(read)), None)
            }
            Root::Activity(read) => (
                format!("activity \"{}\" produced no output \"{path}\"", self.id(read)),
                Some(self.entry(read).outputs.as_ref().unwrap_or(nothing())),
            ),
        };
        let has = has.map(|has| format!(" (has: {})", paths(has))).unwrap_or_default();
        format!("{at}[{item}]{}: {what} for {whose}{has}", binding.field())
    }
}

fn nothing() -> &'static Object {
    static NOTHING: std::sync::LazyLock<Object> = std::sync::LazyLock::new(Object::new);
    &NOTHING
}

/// The paths of all values in an object, as far as a message has room; lists are not looked into.
fn paths(object: &Object) -> String {
    let mut found = Vec::new();
    collect(object, &mut Vec::new(), &mut found);
    let more = found.len().saturating_sub(MAX_SHOWN);
    found.truncate(MAX_SHOWN);
    match (found.is_empty(), more) {
        (true, _) => "nothing".to_owned(),
        (false, 0) => found.join(", "),
        (false, more) => format!("{}, and {more} more", found.join(", ")),
    }
}

fn collect(object: &Object, at: &mut Vec<Segment>, found: &mut Vec<String>) {
    for (key, value) in object {
        at.push(Segment::Key(key.clone()));
        match value {
            Value::Object(inner) if !inner.is_empty() => collect(inner, at, found),
            _ => found.push(path::display(at)),
        }
        at.pop();
    }
}
