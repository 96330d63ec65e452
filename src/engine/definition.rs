//! Compile: a definition as users write it, and the activity types it names, become a graph that can be run.
//!
//! Responsible for: normalising the shorthand once, and finding every mistake at once, each with its field path.
//! Must never: stop at the first mistake, or leave anything to be checked while an orchestration runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::activity_type::{self, Schemas};
use super::expression::Expression;
use super::graph::Graph;
use super::path::{Path, Segment};
use super::problem::{self, Problem, ProblemCode};
use super::schema::{Schema, TooLarge};
use super::value::without_nulls;
use crate::api::ActivityDefinitionSpec;
use crate::api::common::Object;
use crate::api::orchestration_definition::{Execution, OrchestrationDefinitionSpec};

mod condition;
mod data;
mod inputs;
mod shorthand;
mod types;

/// Ids that paths and expressions give a meaning of their own.
pub const RESERVED_IDS: [&str; 4] = ["input", "run", "schedule", "activities"];
/// Most dependencies that one activity lists.
pub const MAX_DEPENDENCIES: usize = 1000;
/// Problems among which similar names are looked for; a message shows hardly more. Without an end, one definition of
/// nothing but mistakes would keep a controller busy for minutes.
const MAX_SUGGESTIONS: usize = 100;

/// What is known of an activity type when a definition is compiled.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeState<'a> {
    /// It can be used.
    Ready(&'a ActivityDefinitionSpec),
    /// It can be used, and its schemas are compiled already.
    Compiled(Schemas),
    /// It exists and cannot be used yet, for this reason.
    NotReady(String),
    /// There is no such ActivityDefinition.
    Missing,
}

/// A definition that can be run. Activities are known by their index in definition order.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The activities, in definition order.
    pub activities: Vec<CompiledActivity>,
    /// Index of every activity, by id.
    pub index: HashMap<String, usize>,
    /// The activities of every tier, in definition order.
    pub tiers: Vec<Vec<usize>>,
    /// All activities, in the order in which they start: by tier, then as defined.
    pub order: Vec<usize>,
    /// The edges.
    pub graph: Graph,
    /// When an activity starts.
    pub execution: Execution,
    /// Most activities that run at once.
    pub parallelism: usize,
    /// What an input has to be like; nothing if everything is taken.
    pub schema: Option<Schema>,
    /// What the output of an Orchestration holds.
    pub output: Vec<Binding>,
    /// Seconds that an Orchestration may take.
    pub active_deadline_seconds: i64,
    /// Harmless oddities, for people.
    pub warnings: Vec<Problem>,
}

/// One activity of a compiled definition.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledActivity {
    /// Id within the orchestration.
    pub id: String,
    /// Name of its ActivityDefinition.
    pub type_: String,
    /// Which of several things it is to do.
    pub discriminator: Option<String>,
    /// Length of the longest path to it.
    pub tier: usize,
    /// What it gets.
    pub inputs: Vec<Binding>,
    /// Whether it is done at all; nothing if it always is.
    pub when: Option<Expression>,
    /// What its input has to be like; nothing if everything is taken.
    pub input_schema: Option<Schema>,
    /// What its outputs have to be like; nothing if everything is taken.
    pub output_schema: Option<Schema>,
    /// The activities that its inputs or its condition read.
    pub reads: BTreeSet<usize>,
    /// Whether another activity, or the output of the orchestration, reads its outputs.
    pub outputs_are_read: bool,
}

/// A value, where it comes from and what it is called. Two are equal however they were written.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Whose value.
    pub root: Root,
    /// Which part of it; empty for the whole.
    pub path: Vec<Segment>,
    /// Its name at the receiver.
    pub target: String,
    /// Whether it was written as `{source, target}`, which places of mistakes follow.
    pub is_long: bool,
}

impl PartialEq for Binding {
    fn eq(&self, other: &Self) -> bool {
        (self.root, &self.path, &self.target) == (other.root, &other.path, &other.target)
    }
}

impl Eq for Binding {}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The input of the Orchestration.
    Input,
    /// The outputs of an activity.
    Activity(usize),
}

impl Compiled {
    /// How large it is, for people: "4 activities in 3 tiers".
    #[must_use]
    pub fn size(&self) -> String {
        let activities = match self.activities.len() {
            1 => "1 activity".to_owned(),
            number => format!("{number} activities"),
        };
        let tiers = match self.tiers.len() {
            1 => "1 tier".to_owned(),
            number => format!("{number} tiers"),
        };
        format!("{activities} in {tiers}")
    }

    /// The input that activities read: what was given, without nulls and with the defaults of the schema.
    ///
    /// One whose defaults are too large is never accepted; of such, what was given is left.
    #[must_use]
    pub fn input(&self, given: Option<&Object>) -> Object {
        input(self.schema.as_ref(), given).unwrap_or_else(|TooLarge| given_input(given))
    }

    /// The tiers as ids, as they stand in a status.
    #[must_use]
    pub fn tier_ids(&self) -> Vec<Vec<String>> {
        let ids = |tier: &Vec<usize>| {
            tier.iter().filter_map(|i| self.activities.get(*i)).map(|a| a.id.clone()).collect()
        };
        self.tiers.iter().map(ids).collect()
    }
}

/// An input without nulls and with the defaults of a schema.
///
/// # Errors
/// The defaults are too large.
pub fn input(schema: Option<&Schema>, given: Option<&Object>) -> Result<Object, TooLarge> {
    let given = given_input(given);
    schema.map_or_else(|| Ok(given.clone()), |schema| schema.with_defaults(&given))
}

fn given_input(given: Option<&Object>) -> Object {
    without_nulls(given.cloned().unwrap_or_default())
}

/// Compiles a definition. `state_of` tells what is known of an activity type. Nothing but the specs is needed: the
/// answer is the same in a cluster and on files.
///
/// The error is every problem, in field order.
pub fn compile<'a>(
    spec: &OrchestrationDefinitionSpec,
    state_of: impl Fn(&str) -> TypeState<'a>,
) -> Result<Compiled, Vec<Problem>> {
    let mut found = Findings::default();
    let index = index(spec);
    let names: Vec<&str> = spec.activities.iter().map(|activity| activity.id.as_str()).collect();
    let schema = spec.schema.as_ref().and_then(|raw| found.schema(raw));

    let mut types = types::Types::new(state_of);
    let mut dependencies = Vec::with_capacity(spec.activities.len());
    let mut schemas: Vec<Schemas> = Vec::with_capacity(spec.activities.len());
    for (at, activity) in spec.activities.iter().enumerate() {
        check_identity(at, activity.id.as_str(), &index, schema.as_ref(), &mut found);
        schemas.push(types.of_activity(at, &activity.type_, &mut found));
        dependencies.push(shorthand::dependencies(at, activity, &index, &names, &mut found));
    }
    let graph = Graph::new(dependencies);
    let tiers = graph.tiers().map_err(|stuck| cycle(&graph, &stuck, &names));
    let ancestors = tiers.as_ref().ok().map(|tiers| graph.ancestors(tiers));
    if let Err(cycle) = &tiers {
        found.problems.push((Place::Whole, cycle.clone()));
    }

    let mut activities = Vec::with_capacity(spec.activities.len());
    let mut condition_outputs = BTreeSet::new();
    let scope = inputs::Scope {
        spec,
        index: &index,
        names: &names,
        reader: None,
        ancestors: ancestors.as_deref(),
        schema: schema.as_ref(),
        schemas: &schemas,
    };
    for (at, activity) in spec.activities.iter().enumerate() {
        let scope = inputs::Scope { reader: Some(at), ..scope };
        let inputs = inputs::of_activity(at, &activity.inputs, &scope, &mut found);
        let condition = condition::of_activity(at, activity.when.as_deref(), &scope, &mut found);
        let Schemas { input, output } = schemas.get(at).cloned().unwrap_or_default();
        activities.push(CompiledActivity {
            id: activity.id.clone(),
            type_: activity.type_.clone(),
            discriminator: activity.discriminator.clone(),
            tier: tiers.as_ref().ok().and_then(|tiers| tiers.get(at)).copied().unwrap_or_default(),
            reads: read_by(&inputs).chain(condition.reads.iter().copied()).collect(),
            inputs,
            when: condition.when,
            input_schema: input,
            output_schema: output,
            outputs_are_read: false,
        });
        condition_outputs.extend(condition.outputs);
    }
    let output = inputs::of_output(&spec.output, &scope, &mut found);
    data::warn_of_skipped(&activities, &mut found);

    let read: BTreeSet<usize> = activities
        .iter()
        .flat_map(|activity: &CompiledActivity| read_by(&activity.inputs))
        .chain(read_by(&output))
        .chain(condition_outputs)
        .collect();
    for (at, activity) in activities.iter_mut().enumerate() {
        activity.outputs_are_read = read.contains(&at);
    }
    let (tiers, order) = arrange(&activities);
    found.finish().map(|warnings| Compiled {
        activities,
        index: index.iter().map(|(id, at)| ((*id).to_owned(), *at)).collect(),
        tiers,
        order,
        graph,
        execution: spec.execution,
        parallelism: spec.parallelism.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX),
        schema,
        output,
        active_deadline_seconds: spec.active_deadline_seconds,
        warnings,
    })
}

/// Where in the definition a problem is; problems are told in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Whole,
    Activity(usize),
    Output,
}

/// Problems and warnings while they are collected.
#[derive(Default)]
struct Findings {
    problems: Vec<(Place, Problem)>,
    warnings: Vec<Problem>,
}

impl Findings {
    fn at(&mut self, activity: usize, code: ProblemCode, field: &str, message: impl Into<String>) {
        let path = format!("spec.activities[{activity}]{field}");
        self.problems.push((Place::Activity(activity), Problem::new(code, path, message)));
    }

    /// The compiled schema of the input, or its mistakes.
    fn schema(&mut self, raw: &Object) -> Option<Schema> {
        match Schema::compile_object(raw) {
            Ok(schema) => Some(schema),
            Err(mistakes) => {
                let problems = activity_type::problems("spec.schema", mistakes);
                self.problems.extend(problems.into_iter().map(|problem| (Place::Whole, problem)));
                None
            }
        }
    }

    fn in_output(&mut self, code: ProblemCode, field: &str, message: impl Into<String>) {
        self.problems.push((Place::Output, Problem::new(code, format!("spec.output{field}"), message)));
    }

    /// What may have been meant by a name that does not exist.
    fn suggestion<'a>(&self, wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
        if self.problems.len() < MAX_SUGGESTIONS { problem::suggestion(wrong, names) } else { String::new() }
    }

    fn warn(&mut self, activity: usize, code: ProblemCode, field: &str, message: impl Into<String>) {
        self.warnings.push(Problem::new(code, format!("spec.activities[{activity}]{field}"), message));
    }

    /// The warnings if there is no problem. Within one activity, problems keep the order in which they were found,
    /// which is that of the fields.
    fn finish(mut self) -> Result<Vec<Problem>, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(self.warnings);
        }
        self.problems.sort_by_key(|(place, _)| *place);
        Err(self.problems.into_iter().map(|(_, problem)| problem).collect())
    }
}

/// The first activity of every id.
fn index(spec: &OrchestrationDefinitionSpec) -> BTreeMap<&str, usize> {
    let mut index = BTreeMap::new();
    for (at, activity) in spec.activities.iter().enumerate() {
        index.entry(activity.id.as_str()).or_insert(at);
    }
    index
}

fn check_identity(
    at: usize,
    id: &str,
    index: &BTreeMap<&str, usize>,
    schema: Option<&Schema>,
    found: &mut Findings,
) {
    if RESERVED_IDS.contains(&id) {
        let message = format!("\"{id}\" is reserved, as are {}", RESERVED_IDS.join(", "));
        found.at(at, ProblemCode::ReservedName, ".id", message);
    }
    if let Some(first) = index.get(id).filter(|first| **first != at) {
        let message = format!("\"{id}\" is the id of spec.activities[{first}] already");
        found.at(at, ProblemCode::DuplicateId, ".id", message);
    }
    if schema.is_some_and(|schema| schema.properties().any(|property| property == id)) {
        let message = format!(
            "\"{id}\" is also a property of the input in spec.schema, and a source could mean either: rename one"
        );
        found.at(at, ProblemCode::AmbiguousReference, ".id", message);
    }
}

fn cycle(graph: &Graph, stuck: &[usize], names: &[&str]) -> Problem {
    let mut cycle = graph.shortest_cycle(stuck);
    cycle.extend(cycle.first().copied());
    let shown: Vec<&str> = cycle.iter().filter_map(|node| names.get(*node).copied()).collect();
    Problem::new(
        ProblemCode::CycleDetected,
        "spec.activities",
        format!("dependency cycle {}", shown.join(" -> ")),
    )
}

/// The activities that bindings read.
fn read_by(bindings: &[Binding]) -> impl Iterator<Item = usize> {
    bindings.iter().filter_map(Binding::activity)
}

/// Tiers, and the order in which activities start.
fn arrange(activities: &[CompiledActivity]) -> (Vec<Vec<usize>>, Vec<usize>) {
    let count = activities.iter().map(|activity| activity.tier + 1).max().unwrap_or_default();
    let mut tiers = vec![Vec::new(); count];
    for (at, activity) in activities.iter().enumerate() {
        if let Some(tier) = tiers.get_mut(activity.tier) {
            tier.push(at);
        }
    }
    let order = tiers.iter().flatten().copied().collect();
    (tiers, order)
}

/// The path of this path's binding, with its root found among the activities.
fn split(path: &Path, activity: Option<usize>) -> (Root, Vec<Segment>) {
    match activity {
        Some(activity) => (Root::Activity(activity), path.rest().to_vec()),
        None if path.first() == "input" => (Root::Input, path.rest().to_vec()),
        None => {
            let whole =
                std::iter::once(Segment::Key(path.first().to_owned())).chain(path.rest().iter().cloned());
            (Root::Input, whole.collect())
        }
    }
}

#[cfg(test)]
mod tests;
