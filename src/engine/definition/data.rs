//! What flows through a definition: every source against what is declared where it reads, and every value against what
//! its receiver wants.
//!
//! Responsible for: mistakes in data that schemas show before anything runs. Must never: object where nothing is
//! declared; what is not known is checked at run time.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::json;

use super::super::names::variable_name;
use super::super::path::{self, Segment};
use super::super::problem::ProblemCode;
use super::super::schema::{Known, Schema, mismatch};
use super::inputs::{Mistake, Scope};
use super::shorthand::shorten;
use super::{Binding, Findings, Root};
use crate::api::common::Mapping;

/// What is known of values that are neither of the input nor of an activity: they are strings.
static TEXT: LazyLock<Option<Schema>> = LazyLock::new(|| {
    let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
    Schema::compile(schema.as_object()?).ok()
});

/// Most names that a message lists.
const MAX_SHOWN: usize = 10;

/// Checks one input: that its source is declared, that the activity takes it, and that both mean the same type.
pub(super) fn check_input(
    at: usize,
    binding: &Binding,
    mapping: &Mapping,
    scope: &Scope<'_>,
    found: &mut Findings,
) -> Result<(), Mistake> {
    scope.check_declared(binding.root, &binding.path, found)?;
    let Some(consumer) = scope.schemas.get(at).and_then(|schemas| schemas.input.as_ref()) else {
        return Ok(());
    };
    let target = [Segment::Key(binding.target.clone())];
    let wanted = consumer.at(&target);
    if let Known::Absent { has } = &wanted {
        let type_ = scope.type_of(at);
        let meant = or_else_has(found, &binding.target, has);
        let message =
            format!("ActivityDefinition \"{type_}\" takes no input \"{}\"{meant}", shorten(&binding.target));
        return Err(Mistake::of_target(ProblemCode::UnknownReference, message));
    }
    if let Some(why) = mismatch(scope.known(binding.root, &binding.path), wanted) {
        let message = format!("\"{}\": {why}", shorten(&mapping.source));
        return Err(Mistake::of_source(ProblemCode::TypeMismatch, message));
    }
    Ok(())
}

/// Tells of required inputs that nothing feeds, and warns of those that are missing once what feeds them is skipped.
pub(super) fn check_required(at: usize, bindings: &[Binding], scope: &Scope<'_>, found: &mut Findings) {
    let Some(schema) = scope.schemas.get(at).and_then(|schemas| schemas.input.as_ref()) else { return };
    let is_conditional = |at: usize| scope.activities.get(at).is_some_and(|activity| activity.when.is_some());
    let type_ = scope.type_of(at);
    for required in schema.required() {
        let bound = bindings.iter().enumerate().find(|(_, binding)| binding.target == required);
        let Some((item, binding)) = bound else {
            let message = format!(
                "ActivityDefinition \"{type_}\" requires the input \"{required}\", and nothing feeds it"
            );
            found.at(at, ProblemCode::MissingSource, ".inputs", message);
            continue;
        };
        // A reader with a condition of its own may well be skipped together with what it reads.
        let Some(read) = binding.activity().filter(|read| is_conditional(*read) && !is_conditional(at))
        else {
            continue;
        };
        let read = scope.names.get(read).copied().unwrap_or_default();
        let message = format!(
            "\"{read}\" may be skipped, and ActivityDefinition \"{type_}\" requires the input \"{required}\" (give it a default, or this activity a when)"
        );
        found.warn(at, ProblemCode::SkippedReference, &format!(".inputs[{item}]"), message);
    }
}

/// Tells of defaults that would have the variable of another input.
pub(super) fn check_defaults(
    at: usize,
    variables: &BTreeMap<String, String>,
    scope: &Scope<'_>,
    found: &mut Findings,
) {
    let Some(schema) = scope.schemas.get(at).and_then(|schemas| schemas.input.as_ref()) else { return };
    let mut variables = variables.clone();
    for property in schema.properties().filter(|property| schema.has_default(property)) {
        let variable = variable_name(property);
        let other = variables.entry(variable.clone()).or_insert_with(|| property.to_owned());
        if *other != property {
            let message = format!(
                "\"{other}\" and \"{property}\", which has a default, would both be the variable {variable}"
            );
            found.at(at, ProblemCode::VariableCollision, ".inputs", message);
        }
    }
}

impl<'a> Scope<'a> {
    /// What is known of the values at a path.
    fn known(&self, root: Root, path: &[Segment]) -> Known<'a> {
        if matches!(root, Root::RunState | Root::ScheduleTime) {
            return TEXT
                .as_ref()
                .map_or(Known::Anything, |schema| schema.at(&[Segment::Key("text".to_owned())]));
        }
        self.producer(root).map_or(Known::Anything, |schema| schema.at(path))
    }

    fn producer(&self, root: Root) -> Option<&'a Schema> {
        match root {
            Root::Input => self.schema,
            Root::RunState | Root::ScheduleTime => None,
            Root::Activity(activity) => {
                self.schemas.get(activity).and_then(|schemas| schemas.output.as_ref())
            }
        }
    }

    /// Whether a path may lead to something, as far as that is declared.
    pub(super) fn check_declared(
        &self,
        root: Root,
        path: &[Segment],
        found: &Findings,
    ) -> Result<(), Mistake> {
        let Some(schema) = self.producer(root) else { return Ok(()) };
        let absent = (1..=path.len()).find_map(|length| {
            let prefix = path.get(..length)?;
            match schema.at(prefix) {
                Known::Absent { has } => Some((prefix, has)),
                Known::Anything | Known::Schema(_) => None,
            }
        });
        let Some((prefix, has)) = absent else { return Ok(()) };
        let last = match prefix.last() {
            Some(Segment::Key(key)) => key.as_str(),
            Some(Segment::Index(_)) | None => "",
        };
        let shown = shorten(&path::display(prefix));
        let message = match root {
            Root::Input if prefix.len() == 1 && path::is_name(last) => {
                let names: Vec<&str> = has.iter().copied().chain(self.names.iter().copied()).collect();
                let meant = or_else_has(found, last, &names);
                format!("\"{shown}\" is neither an activity nor a property of the input{meant}")
            }
            Root::RunState => format!("run has no \"{shown}\""),
            Root::ScheduleTime => format!("schedule has no \"{shown}\""),
            Root::Input => format!("the input has no \"{shown}\"{}", or_else_has(found, last, &has)),
            Root::Activity(activity) => format!(
                "activity \"{}\" has no output \"{shown}\"{}",
                self.names.get(activity).copied().unwrap_or_default(),
                or_else_has(found, last, &has)
            ),
        };
        Err(Mistake::of_source(ProblemCode::UnknownReference, message))
    }

    fn type_of(&self, at: usize) -> &'a str {
        self.activities.get(at).map_or("", |activity| activity.type_.as_str())
    }
}

/// What may have been meant, or else what there is.
fn or_else_has(found: &Findings, wrong: &str, has: &[&str]) -> String {
    let suggestion = found.suggestion(wrong, has.iter().copied());
    if !suggestion.is_empty() {
        return suggestion;
    }
    if has.is_empty() {
        return " (it has none)".to_owned();
    }
    let shown: Vec<String> = has.iter().take(MAX_SHOWN).map(|name| shorten(name)).collect();
    let more = match has.len() - shown.len() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!(" (has: {}{more})", shown.join(", "))
}
