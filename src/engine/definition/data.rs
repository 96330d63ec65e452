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
use super::inputs::{Mistake, Scope, says_input};
use super::shorthand::shorten;
use super::{Binding, CompiledActivity, Findings, Root};
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
    (mapping, field): (&Mapping, &str),
    scope: &Scope<'_>,
    found: &mut Findings,
) -> Result<(), Mistake> {
    let says_input = says_input(&mapping.source);
    scope.check_declared(binding.root, &binding.path, says_input, found)?;
    if let Some(oddity) = scope.oddity(binding.root, &binding.path, says_input, found) {
        found.warn(at, ProblemCode::UnknownReference, field, oddity);
    }
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

/// Tells of required inputs that nothing feeds.
pub(super) fn check_required(at: usize, bindings: &[Binding], scope: &Scope<'_>, found: &mut Findings) {
    let Some(schema) = scope.schemas.get(at).and_then(|schemas| schemas.input.as_ref()) else { return };
    let type_ = scope.type_of(at);
    for required in schema.required() {
        if !bindings.iter().any(|binding| binding.target == required) {
            let message = format!(
                "ActivityDefinition \"{type_}\" requires the input \"{required}\", and nothing feeds it"
            );
            found.at(at, ProblemCode::MissingSource, ".inputs", message);
        }
    }
}

/// Warns of required inputs that are missing once what feeds them is skipped.
pub(super) fn warn_of_skipped(activities: &[CompiledActivity], found: &mut Findings) {
    for (at, reader) in activities.iter().enumerate() {
        let required = reader.input_schema.iter().flat_map(Schema::required);
        for required in required {
            let mut bound = reader.inputs.iter().enumerate();
            let Some((item, binding)) = bound.find(|(_, binding)| binding.target == required) else {
                continue;
            };
            let Some(read) = binding.activity().and_then(|read| activities.get(read)) else { continue };
            if read.when.is_none() || is_guarded(reader, read) {
                continue;
            }
            let (read, type_) = (&read.id, &reader.type_);
            let message = format!(
                "\"{read}\" may be skipped, and ActivityDefinition \"{type_}\" requires the input \"{required}\" (give it a default, or repeat the when of \"{read}\" here)"
            );
            let field = format!(".inputs[{item}]{}", binding.field());
            found.warn(at, ProblemCode::SkippedReference, &field, message);
        }
    }
}

/// Whether a reader is skipped together with what it reads: it asks for the same, or asks what became of it. Any other
/// condition says nothing of that.
fn is_guarded(reader: &CompiledActivity, read: &CompiledActivity) -> bool {
    match (&reader.when, &read.when) {
        (Some(own), Some(other)) => own.implies(other) || own.reads_activity(&read.id),
        _ => false,
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
        match self.producer(root) {
            Some(schema) => schema.at(path),
            // The whole of an input or output is an object, whatever is in it.
            None if path.is_empty() => Known::object(),
            None => Known::Anything,
        }
    }

    fn producer(&self, root: Root) -> Option<&'a Schema> {
        match root {
            Root::Input => self.schema,
            Root::RunState | Root::ScheduleTime => None,
            Root::Activity(activity) => self.outputs_of(activity),
        }
    }

    /// What an activity declares of its outputs.
    pub(super) fn outputs_of(&self, activity: usize) -> Option<&'a Schema> {
        self.schemas.get(activity).and_then(|schemas| schemas.output.as_ref())
    }

    /// Whether a path may lead to something, as far as that is declared. One that says `input.` can mean no activity.
    pub(super) fn check_declared(
        &self,
        root: Root,
        path: &[Segment],
        says_input: bool,
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
            Root::Input if prefix.len() == 1 && path::is_name(last) && !says_input => {
                let names: Vec<&str> = has.iter().copied().chain(self.others()).collect();
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

    /// What is odd about a path that may lead to something: it leads to a member that is not declared where others are, and
    /// is likely misspelt.
    pub(super) fn oddity(
        &self,
        root: Root,
        path: &[Segment],
        says_input: bool,
        found: &Findings,
    ) -> Option<String> {
        let undeclared = self.producer(root)?.undeclared(path)?;
        let prefix = path.get(..undeclared.length)?;
        let Some(Segment::Key(last)) = prefix.last() else { return None };
        let shown = shorten(&path::display(prefix));
        let (what, names) = match root {
            Root::Input if prefix.len() == 1 && path::is_name(last) && !says_input => {
                let names = undeclared.has.iter().copied().chain(self.others()).collect();
                (format!("\"{shown}\" is neither an activity nor a declared property of the input"), names)
            }
            Root::Input => (format!("the input declares no \"{shown}\""), undeclared.has),
            Root::Activity(activity) => {
                let name = self.names.get(activity).copied().unwrap_or_default();
                (format!("activity \"{name}\" declares no output \"{shown}\""), undeclared.has)
            }
            Root::RunState | Root::ScheduleTime => return None,
        };
        let meant = or_else_has(found, last, &names);
        Some(format!("{what}{meant}; declare it, or say additionalProperties: true"))
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
