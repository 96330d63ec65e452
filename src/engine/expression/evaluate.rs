//! Evaluation: values in, a boolean or a sentence out.
//!
//! Responsible for: handing the interpreter what is read and no more, and its errors in words. Must never: panic, or
//! begin what is too costly.

mod cause;

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{Context, Value as Cel};
use serde_json::Value;

use super::check::MAX_DEPTH;
use super::{Activity, Compiled, Position, Reference, Scope, cost, functions};
use crate::api::common::Object;

/// Longest text of an error, in characters.
const LONGEST: usize = 300;

/// Steps up to which the part that failed is looked for: that takes them once more for every level.
const MAX_SEARCHED: u64 = cost::MAX_STEPS / MAX_DEPTH as u64;

pub(super) fn evaluate(expression: &Compiled, scope: &Scope<'_>) -> Result<bool, String> {
    let Compiled { program, references, .. } = expression;
    let scope = &read(references, scope);
    let steps = cost::check(program, &expression.shape, references, scope)?;
    let mut context: Context<'_> = functions::CONTEXT.new_inner_scope();
    context.add_variable_from_value("input", object(scope.input));
    let activities =
        scope.activities.iter().map(|(id, activity)| (key(id), converted_activity(activity))).collect();
    context.add_variable_from_value("activities", Cel::Map(Map { map: Arc::new(activities) }));
    if let Some(state) = scope.run_state {
        let state = Cel::String(Arc::new(state.to_owned()));
        let members = HashMap::from([(key("state"), state)]);
        context.add_variable_from_value("run", Cel::Map(Map { map: Arc::new(members) }));
    }
    let time = scope.schedule_time.map(|time| (key("time"), Cel::String(Arc::new(time.to_owned()))));
    let schedule = Map { map: Arc::new(time.into_iter().collect()) };
    context.add_variable_from_value("schedule", Cel::Map(schedule));
    let result = match cause::resolved(program, &context) {
        Ok(Cel::Bool(result)) => Ok(result),
        Ok(other) => {
            Err(format!("{}: must be a boolean, is {}", Position::START, cause::kind(&other).word()))
        }
        Err(error) if steps > MAX_SEARCHED => Err(cut(&cause::worded(&error, None, &context))),
        Err(error) => {
            let (part, error) = cause::find(program, error, &context);
            let position = expression.names.position_of(part);
            Err(format!("{position}: {}", cut(&cause::worded(&error, Some(part), &context))))
        }
    };
    functions::forget_patterns();
    result
}

/// The part of a scope that is read.
fn read<'a>(references: &[Reference], scope: &Scope<'a>) -> Scope<'a> {
    let is_read = |wanted: &str, with_outputs: bool| {
        references.iter().any(|reference| match reference {
            Reference::Activity { id, outputs, .. } => id == wanted && (outputs.is_some() || !with_outputs),
            Reference::Input { .. } | Reference::RunState { .. } | Reference::ScheduleTime { .. } => false,
        })
    };
    let activities = scope.activities.iter().filter(|(id, _)| is_read(id, false));
    let activities = activities.map(|(id, activity)| {
        let outputs = activity.outputs.filter(|_| is_read(id, true));
        (*id, Activity { outputs, ..*activity })
    });
    Scope { activities: activities.collect(), ..scope.clone() }
}

fn converted_activity(activity: &Activity<'_>) -> Cel {
    let state = (key("state"), Cel::String(Arc::new(activity.state.to_owned())));
    let outputs = activity.outputs.map(|outputs| (key("outputs"), object(outputs)));
    Cel::Map(Map { map: Arc::new([state].into_iter().chain(outputs).collect()) })
}

fn key(text: &str) -> Key {
    Key::String(Arc::new(text.to_owned()))
}

/// An object; null members count as absent.
fn object(object: &Object) -> Cel {
    let members = object.iter().filter(|(_, member)| !member.is_null());
    let map: HashMap<Key, Cel> = members.map(|(name, member)| (key(name), converted(member))).collect();
    Cel::Map(Map { map: Arc::new(map) })
}

fn converted(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(flag) => Cel::Bool(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Cel::Int(integer),
            (None, Some(integer)) => Cel::UInt(integer),
            (None, None) => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(elements) => Cel::List(Arc::new(elements.iter().map(converted).collect())),
        Value::Object(members) => object(members),
    }
}

/// A text as one short line.
pub(super) fn cut(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST + 1).collect();
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST).chain("…".chars()).collect()
}
