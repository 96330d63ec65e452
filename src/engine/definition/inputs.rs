//! Inputs and outputs of a definition: source paths are parsed and bound to what they read.
//!
//! Responsible for: that every source can be read when its activity starts. Must never: read a value, or know what
//! type it has; `data` does.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::graph::NodeSet;
use super::super::names::variable_name;
use super::super::path::Path;
use super::super::problem::ProblemCode;
use super::shorthand::{self, shorten};
use super::{Binding, Findings, RESERVED_IDS, Root, data, split};
use crate::api::common::Mapping;
use crate::api::orchestration_definition::{Activity, MAX_INPUTS};
use crate::engine::activity_type::Schemas;
use crate::engine::schema::{Known, Schema};

/// Longest name of an input or output.
const MAX_TARGET: usize = 253;

/// What a source may refer to.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// All activities; those of `finally` come last.
    pub(super) activities: &'a [&'a Activity],
    /// How many are not of `finally`.
    pub(super) main: usize,
    pub(super) index: &'a BTreeMap<&'a str, usize>,
    pub(super) names: &'a [&'a str],
    /// The activity that reads; nothing for the output of the orchestration, which may read all.
    pub(super) reader: Option<usize>,
    /// Nothing while a cycle makes ancestors meaningless.
    pub(super) ancestors: Option<&'a [NodeSet]>,
    /// What the input has to be like.
    pub(super) schema: Option<&'a Schema>,
    /// Whether the definition has a schema, though it may be a wrong one.
    pub(super) has_schema: bool,
    /// What every activity takes and produces.
    pub(super) schemas: &'a [Schemas],
}

/// The inputs of one activity.
pub(super) fn of_activity(
    at: usize,
    inputs: &[Value],
    scope: &Scope<'_>,
    found: &mut Findings,
) -> Vec<Binding> {
    if inputs.len() > MAX_INPUTS {
        let message = format!("must have at most {MAX_INPUTS} entries, has {}", inputs.len());
        found.at(at, ProblemCode::LimitExceeded, ".inputs", message);
        return Vec::new();
    }
    let mut bindings = Bindings::default();
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    // What could not be read may have fed anything.
    let mut all_are_read = true;
    for (item, value) in inputs.iter().enumerate() {
        let Some((field, mapping)) = shorthand::input(at, item, value, found) else {
            all_are_read = false;
            continue;
        };
        let is_long = value.is_object();
        let mistake = match bindings.add(&mapping, is_long, scope, found) {
            Ok(binding) => {
                let variable = variable_name(&binding.target);
                if let Some(other) = variables.insert(variable.clone(), binding.target.clone()) {
                    let message = format!(
                        "\"{}\" and \"{other}\" would both be the variable {variable}",
                        binding.target
                    );
                    found.at(at, ProblemCode::VariableCollision, &format!(".inputs[{item}]"), message);
                }
                data::check_input(at, binding, (&mapping, &field), scope, found)
            }
            Err(mistake) => {
                all_are_read = false;
                Err(mistake)
            }
        };
        if let Err(mistake) = mistake {
            found.at(at, mistake.code, &mistake.field(&field, &mapping), mistake.message);
        }
    }
    if all_are_read {
        data::check_required(at, &bindings.list, scope, found);
    }
    data::check_defaults(at, &variables, scope, found);
    bindings.list
}

/// The output of the orchestration.
pub(super) fn of_output(output: &[Mapping], scope: &Scope<'_>, found: &mut Findings) -> Vec<Binding> {
    let mut bindings = Bindings::default();
    for (item, mapping) in output.iter().enumerate() {
        let field = format!("[{item}].source");
        let bound = bindings.add(mapping, true, scope, found);
        let declared = bound.and_then(|binding| {
            let says_input = says_input(&mapping.source);
            scope.check_declared(binding.root, &binding.path, says_input, found)?;
            Ok(scope.oddity(binding.root, &binding.path, says_input, found))
        });
        match declared {
            Ok(Some(oddity)) => found.warn_in_output(ProblemCode::UnknownReference, &field, oddity),
            Ok(None) => {}
            Err(mistake) => {
                found.in_output(mistake.code, &mistake.field(&field, mapping), mistake.message);
            }
        }
    }
    bindings.list
}

/// Whether a source says by itself that it reads the input.
pub(super) fn says_input(source: &str) -> bool {
    source.split(['.', '[']).next() == Some("input")
}

/// What is wrong with a mapping, and with which half of it.
pub(super) struct Mistake {
    pub(super) code: ProblemCode,
    is_about_target: bool,
    pub(super) message: String,
}

impl Mistake {
    pub(super) fn of_source(code: ProblemCode, message: impl Into<String>) -> Self {
        Self { code, is_about_target: false, message: message.into() }
    }

    pub(super) fn of_target(code: ProblemCode, message: impl Into<String>) -> Self {
        Self { code, is_about_target: true, message: message.into() }
    }

    /// The path of the field, from that of the source. A target that nobody wrote follows from the source.
    fn field(&self, source: &str, mapping: &Mapping) -> String {
        match source.strip_suffix(".source") {
            Some(item) if self.is_about_target && mapping.target.is_some() => format!("{item}.target"),
            _ => source.to_owned(),
        }
    }
}

#[derive(Default)]
struct Bindings {
    list: Vec<Binding>,
    targets: BTreeMap<String, String>,
}

impl Bindings {
    /// Adds one mapping.
    fn add(
        &mut self,
        mapping: &Mapping,
        is_long: bool,
        scope: &Scope<'_>,
        found: &Findings,
    ) -> Result<&Binding, Mistake> {
        let path = Path::parse(&mapping.source)
            .map_err(|error| Mistake::of_source(ProblemCode::InvalidPath, error))?;
        let special = scope.special(&path)?;
        let root = if special.is_none() { Some(scope.resolve(&path, found)?) } else { None };
        let target = target(mapping, &path)?;
        if let Some(other) = self.targets.insert(target.clone(), mapping.source.clone()) {
            let message = format!("the target \"{target}\" is filled from \"{}\" already", shorten(&other));
            return Err(Mistake::of_target(ProblemCode::DuplicateTarget, message));
        }
        let (root, path) = match (special, root) {
            (Some(special), _) => (special, Vec::new()),
            (None, root) => split(&path, root.flatten()),
        };
        self.list.push(Binding { root, path, target, is_long });
        self.list.last().ok_or_else(|| Mistake::of_source(ProblemCode::InvalidPath, "cannot be bound"))
    }
}

fn target(mapping: &Mapping, path: &Path) -> Result<String, Mistake> {
    let Some(target) = mapping.target.as_deref().or_else(|| path.default_target()) else {
        let message =
            "target is required, because the last segment is no plain name (letters, digits, \"_\", \"-\")";
        return Err(Mistake::of_target(ProblemCode::InvalidPath, message));
    };
    if target.len() > MAX_TARGET {
        let message = format!("a target has at most {MAX_TARGET} characters");
        return Err(Mistake::of_target(ProblemCode::LimitExceeded, message));
    }
    if target.is_empty() || target.chars().any(char::is_control) {
        let message = "a target must not be empty, nor hold control characters";
        return Err(Mistake::of_target(ProblemCode::InvalidPath, message));
    }
    Ok(target.to_owned())
}

impl Scope<'_> {
    /// Whether the reader is of `finally`.
    pub(super) fn is_finally(&self) -> bool {
        self.reader.is_some_and(|reader| reader >= self.main)
    }

    /// The names of all activities but the reader, which can mean each of them.
    pub(super) fn others(&self) -> impl Iterator<Item = &str> {
        let names = self.names.iter().enumerate();
        names.filter(|(at, _)| Some(*at) != self.reader).map(|(_, name)| *name)
    }

    /// What a path reads that is neither input nor activity: `run.state`, where it can be read, and `schedule.time`.
    fn special(&self, path: &Path) -> Result<Option<Root>, Mistake> {
        let is = |name: &str| matches!(path.rest(), [super::Segment::Key(key)] if key == name);
        match path.first() {
            "run" if self.is_finally() && is("state") => Ok(Some(Root::RunState)),
            "schedule" if is("time") => Ok(Some(Root::ScheduleTime)),
            "schedule" => {
                let message =
                    "of the schedule, only schedule.time can be read; use input.schedule for the input";
                Err(Mistake::of_source(ProblemCode::UnknownReference, message))
            }
            _ => Ok(None),
        }
    }

    /// The activity that a path reads, or nothing if it reads the input.
    fn resolve(&self, path: &Path, found: &Findings) -> Result<Option<usize>, Mistake> {
        let first = path.first();
        let Some(activity) = self.index.get(first).copied() else {
            return if first == "input" {
                Ok(None)
            } else if RESERVED_IDS.contains(&first) {
                Err(self.reserved(path, found))
            } else if self.declares_nothing() && matches!(path.rest().first(), Some(super::Segment::Key(_))) {
                Err(self.undeclared(first, found))
            } else {
                Ok(None)
            };
        };
        if first == "input" {
            return Ok(None);
        }
        self.check_ancestor(activity)?;
        Ok(Some(activity))
    }

    /// Whether the reader may read an activity: only what is done before it starts.
    pub(super) fn check_ancestor(&self, activity: usize) -> Result<(), Mistake> {
        let Some(reader) = self.reader else { return Ok(()) };
        let name = self.names.get(reader).copied().unwrap_or_default();
        if activity == reader {
            let message = format!("\"{name}\" may not read its own outputs");
            return Err(Mistake::of_source(ProblemCode::NotAnAncestor, message));
        }
        let read = self.names.get(activity).copied().unwrap_or_default();
        match (reader >= self.main, activity >= self.main) {
            (true, false) => return Ok(()),
            (true, true) => {
                let message = format!("\"{read}\" is in finally too, and nothing there waits for another");
                return Err(Mistake::of_source(ProblemCode::NotAnAncestor, message));
            }
            (false, true) => {
                let message = format!("\"{read}\" is in finally, which starts when all others are final");
                return Err(Mistake::of_source(ProblemCode::NotAnAncestor, message));
            }
            (false, false) => {}
        }
        let known = self.ancestors.and_then(|ancestors| ancestors.get(reader));
        if known.is_some_and(|ancestors| !ancestors.contains(activity)) {
            let message =
                format!("\"{name}\" reads \"{read}\" but does not depend on it (add dependsOn: [{read}])");
            return Err(Mistake::of_source(ProblemCode::NotAnAncestor, message));
        }
        Ok(())
    }

    /// Whether nothing is known of the input.
    fn declares_nothing(&self) -> bool {
        match self.schema {
            None => !self.has_schema,
            Some(schema) => {
                schema.properties().next().is_none()
                    && matches!(schema.at(&[super::Segment::Key(String::new())]), Known::Anything)
            }
        }
    }

    /// A path like that of an output, and no such activity: where no schema says what the input has, only `input.` says
    /// that it is meant, or every misspelt activity would be taken for it.
    fn undeclared(&self, first: &str, found: &Findings) -> Mistake {
        let meant = found.suggestion(first, self.others());
        let message = format!(
            "\"{first}\" is neither an activity nor a declared property of the input{meant}; use input.{first} for the input"
        );
        Mistake::of_source(ProblemCode::UnknownReference, message)
    }

    /// Words with a meaning of their own cannot be read; `activities.x` is what one writes in expressions.
    fn reserved(&self, path: &Path, found: &Findings) -> Mistake {
        let first = path.first();
        let meant = match path.rest().first() {
            Some(super::Segment::Key(key)) if first == "activities" => match self.index.get(key.as_str()) {
                Some(_) => format!(" (did you mean \"{key}\"?)"),
                None => found.suggestion(key, self.others()),
            },
            _ => String::new(),
        };
        let message = format!(
            "\"{first}\" is neither an activity nor readable here{meant}; use input.{first} for the input"
        );
        Mistake::of_source(ProblemCode::UnknownReference, message)
    }
}

impl Binding {
    /// Whether the binding reads an activity.
    #[must_use]
    pub fn activity(&self) -> Option<usize> {
        match self.root {
            Root::Activity(activity) => Some(activity),
            Root::Input | Root::RunState | Root::ScheduleTime => None,
        }
    }

    /// The field of its source, below the item that it stands in: the item itself, or `.source`.
    #[must_use]
    pub fn field(&self) -> &'static str {
        if self.is_long { ".source" } else { "" }
    }
}
