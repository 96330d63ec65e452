//! Compile: a definition as users write it, and the activity types it names, become a graph that can be run.
//!
//! Responsible for: normalising the shorthand once, and finding every mistake at once, each with its field path.
//! Must never: stop at the first mistake, or leave anything to be checked while an orchestration runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::activity_type::Schemas;
use super::expression::Expression;
use super::graph::Graph;
use super::path::{Path, Segment};
use super::problem::{Problem, ProblemCode};
use super::retry::Policy;
use super::schema::{Schema, TooLarge};
use super::value::without_nulls;
use findings::{Findings, Place};

use crate::api::ActivityDefinitionSpec;
use crate::api::common::Object;
use crate::api::orchestration_definition::{
    Activity, DEFAULT_FINALLY_DEADLINE_SECONDS, Execution, FailurePolicy, MAX_ACTIVITIES,
    OrchestrationDefinitionSpec,
};

mod condition;
mod control;
mod data;
mod findings;
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
    Compiled(Schemas, &'a ActivityDefinitionSpec),
    /// It exists and cannot be used yet, for this reason.
    NotReady(String),
    /// There is no such ActivityDefinition.
    Missing,
}

/// A definition that can be run. Activities are known by their index in definition order.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The activities, in definition order, then those of `finally`.
    pub activities: Vec<CompiledActivity>,
    /// How many of them are not of `finally`.
    pub main: usize,
    /// Index of every activity, by id.
    pub index: HashMap<String, usize>,
    /// The activities of every tier, in definition order.
    pub tiers: Vec<Vec<usize>>,
    /// All activities, in the order in which they start: by tier, then as defined; then those of `finally`.
    pub order: Vec<usize>,
    /// The edges.
    pub graph: Graph,
    /// When an activity starts.
    pub execution: Execution,
    /// What happens when an activity has failed.
    pub failure_policy: FailurePolicy,
    /// Most activities that run at once.
    pub parallelism: usize,
    /// What an input has to be like; nothing if everything is taken.
    pub schema: Option<Schema>,
    /// What the output of an Orchestration holds.
    pub output: Vec<Binding>,
    /// Seconds that an Orchestration may take.
    pub active_deadline_seconds: i64,
    /// Seconds that what is in `finally` may take together.
    pub finally_deadline_seconds: i64,
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
    /// Length of the longest path to it; means nothing for those of `finally`.
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
    /// When a failed attempt is followed by another.
    pub retry: Policy,
    /// Seconds that an attempt may take from the start of its pod; nothing if only the deadline counts.
    pub timeout_seconds: Option<i64>,
    /// Seconds that an attempt may take from being ready to its start.
    pub starting_deadline_seconds: i64,
    /// Seconds that a stop may take before it is not waited for any longer.
    pub stop_grace_seconds: i64,
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
    /// The state that the Orchestration is about to have; for what is in `finally`.
    RunState,
    /// The tick of the schedule that the Orchestration was made for.
    ScheduleTime,
}

impl Compiled {
    /// How large it is, for people: "4 activities in 3 tiers".
    #[must_use]
    pub fn size(&self) -> String {
        let activities = match self.main {
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

    /// Whether an activity is of `finally`.
    #[must_use]
    pub fn is_finally(&self, activity: usize) -> bool {
        activity >= self.main
    }

    /// Where an activity stands in its definition, such as `spec.activities[2]`.
    #[must_use]
    pub fn place(&self, activity: usize) -> String {
        place(activity, self.main)
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

fn place(activity: usize, main: usize) -> String {
    match activity.checked_sub(main) {
        Some(last) => format!("spec.finally[{last}]"),
        None => format!("spec.activities[{activity}]"),
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
    let main = spec.activities.len();
    let mut found = Findings { main, ..Findings::default() };
    let all: Vec<&Activity> = spec.activities.iter().chain(&spec.finally).collect();
    if !spec.finally.is_empty() && all.len() > MAX_ACTIVITIES {
        let message = format!(
            "with {main} activities there may be {}, there are {}",
            MAX_ACTIVITIES.saturating_sub(main),
            spec.finally.len()
        );
        let problem = Problem::new(ProblemCode::LimitExceeded, "spec.finally", message);
        found.problems.push((Place::Whole, problem));
    }
    let index = index(&all);
    let names: Vec<&str> = all.iter().map(|activity| activity.id.as_str()).collect();
    let schema = spec.schema.as_ref().and_then(|raw| found.schema(raw));

    let mut types = types::Types::new(state_of);
    let mut dependencies = Vec::with_capacity(all.len());
    let mut schemas: Vec<Schemas> = Vec::with_capacity(all.len());
    for (at, activity) in all.iter().enumerate() {
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

    let mut activities = Vec::with_capacity(all.len());
    let mut condition_outputs = BTreeSet::new();
    let scope = inputs::Scope {
        activities: &all,
        main,
        index: &index,
        names: &names,
        reader: None,
        ancestors: ancestors.as_deref(),
        schema: schema.as_ref(),
        has_schema: spec.schema.is_some(),
        schemas: &schemas,
    };
    for (at, activity) in all.iter().enumerate() {
        let scope = inputs::Scope { reader: Some(at), ..scope };
        let inputs = inputs::of_activity(at, &activity.inputs, &scope, &mut found);
        let condition = condition::of_activity(at, activity.when.as_deref(), &scope, &mut found);
        let Schemas { input, output } = schemas.get(at).cloned().unwrap_or_default();
        let limits = types.limits(&activity.type_);
        let control = control::of_activity(at, activity, &limits, spec.active_deadline_seconds, &mut found);
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
            retry: control.retry,
            timeout_seconds: control.timeout_seconds,
            starting_deadline_seconds: control.starting_deadline_seconds,
            stop_grace_seconds: control.stop_grace_seconds,
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
    let (tiers, order) = arrange(&activities, main);
    found.finish().map(|warnings| Compiled {
        activities,
        main,
        index: index.iter().map(|(id, at)| ((*id).to_owned(), *at)).collect(),
        tiers,
        order,
        graph,
        execution: spec.execution,
        failure_policy: spec.failure_policy,
        parallelism: spec.parallelism.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX),
        schema,
        output,
        active_deadline_seconds: spec.active_deadline_seconds,
        finally_deadline_seconds: spec.finally_deadline_seconds.unwrap_or(DEFAULT_FINALLY_DEADLINE_SECONDS),
        warnings,
    })
}

/// The first activity of every id.
fn index<'a>(activities: &[&'a Activity]) -> BTreeMap<&'a str, usize> {
    let mut index = BTreeMap::new();
    for (at, activity) in activities.iter().enumerate() {
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
        let message = format!("\"{id}\" is the id of {} already", place(*first, found.main));
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
fn arrange(activities: &[CompiledActivity], main: usize) -> (Vec<Vec<usize>>, Vec<usize>) {
    let count = activities.iter().take(main).map(|activity| activity.tier + 1).max().unwrap_or_default();
    let mut tiers = vec![Vec::new(); count];
    for (at, activity) in activities.iter().take(main).enumerate() {
        if let Some(tier) = tiers.get_mut(activity.tier) {
            tier.push(at);
        }
    }
    let order = tiers.iter().flatten().copied().chain(main..activities.len()).collect();
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
