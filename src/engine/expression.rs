//! Expressions: the CEL of `when`, compiled with the definition and evaluated when an activity is ready.
//!
//! Responsible for: mistakes with their place, what an expression reads, and a bound on what it costs. Must never:
//! panic, or take longer than its limits allow.
//!
//! The variables are `input`, `activities` and `schedule`, and `run` in `finally`; the functions are those of Kubernetes.
//! An activity is read by its name, as `activities.build.state` or `activities["tenant-config"].outputs.url`, so that what
//! is read is known beforehand.

mod check;
mod collected;
mod cost;
mod evaluate;
mod exact;
mod form;
mod functions;
mod kinds;
mod operands;
mod quiet;
mod scan;
mod times;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kube_cel::cel::Context;
use kube_cel::cel::common::ast::IdedExpr;

use super::path::Segment;
use super::problem::ProblemCode;
use super::schema::Schema;
use crate::api::common::Object;
pub use check::{MAX_DEPTH, MAX_NESTING, MAX_NODES};
pub use cost::{MAX_STEPS, MAX_VISITS};
pub use scan::{MAX_BRACKETS, MAX_LENGTH, MAX_TOKENS};

/// A compiled expression. Cheap to clone; two are equal when they were written equally.
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    source: String,
    program: IdedExpr,
    references: Vec<Reference>,
    shape: check::Shape,
    names: check::Names,
}

/// The functions of Kubernetes' CEL, as they are there: with lengths in characters, and arithmetic that cannot overflow.
#[must_use]
pub fn library() -> &'static Context<'static> {
    &functions::CONTEXT
}

/// A place in an expression, both from 1; columns are counted in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Position {
    /// The beginning.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {} column {}", self.line, self.column)
    }
}

/// A mistake in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// `InvalidExpression`; where only what is declared shows it, `TypeMismatch` or `UnknownReference`.
    pub code: ProblemCode,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What is wrong and what is allowed, one line.
    pub message: String,
}

impl Mistake {
    fn new(at: Position, message: impl Into<String>) -> Self {
        Self {
            code: ProblemCode::InvalidExpression,
            line: at.line,
            column: at.column,
            message: message.into(),
        }
    }
}

impl Mistake {
    /// Where.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { line: self.line, column: self.column }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.position(), self.message)
    }
}

/// Something that an expression reads, as far as its text shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A value of the input; without segments, all of it.
    Input {
        /// The path below the input, up to what only evaluation shows.
        path: Vec<Segment>,
        /// Whether only its presence is asked for: `has(input.a)`.
        is_presence: bool,
        /// Where.
        position: Position,
    },
    /// An activity.
    Activity {
        /// Its id.
        id: String,
        /// The path below its outputs; none if only its state is read.
        outputs: Option<Vec<Segment>>,
        /// Whether only the presence of the last segment is asked for.
        is_presence: bool,
        /// Where.
        position: Position,
    },
    /// `schedule.time`.
    ScheduleTime {
        /// Whether only its presence is asked for.
        is_presence: bool,
        /// Where.
        position: Position,
    },
    /// `run.state`.
    RunState {
        /// Where.
        position: Position,
    },
}

/// The schema of an activity's outputs, by its id.
pub type OutputSchemas<'a> = &'a dyn Fn(&str) -> Option<&'a Schema>;

/// What is declared of what an expression reads; nothing is where nothing is said.
#[derive(Clone, Copy, Default)]
pub struct Declared<'a> {
    /// Of the input.
    pub input: Option<&'a Schema>,
    /// Of the outputs of an activity, by its id.
    pub outputs: Option<OutputSchemas<'a>>,
}

impl<'a> Declared<'a> {
    fn of_activity(&self, id: &str) -> Option<&'a Schema> {
        self.outputs.and_then(|outputs| outputs(id))
    }
}

/// What an expression can read.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    input: &'a Object,
    run_state: Option<&'a str>,
    schedule_time: Option<&'a str>,
    activities: BTreeMap<&'a str, Activity<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Activity<'a> {
    state: &'a str,
    /// Nothing if they are not read.
    outputs: Option<&'a Object>,
}

impl<'a> Scope<'a> {
    /// A scope with an input and no activities.
    #[must_use]
    pub fn new(input: &'a Object) -> Self {
        Self { input, run_state: None, schedule_time: None, activities: BTreeMap::new() }
    }

    /// Adds `run.state`.
    #[must_use]
    pub fn with_run_state(mut self, state: &'a str) -> Self {
        self.run_state = Some(state);
        self
    }

    /// Adds `schedule.time`. Without it `has(schedule.time)` is false.
    #[must_use]
    pub fn with_schedule_time(mut self, time: &'a str) -> Self {
        self.schedule_time = Some(time);
        self
    }

    /// Adds an activity: the name of its state, and its outputs. One that has none, as what was skipped, has an object
    /// without members: `has(activities.a.outputs.x)` is false then, and no error. Only those that
    /// [`Expression::references`] names are looked at.
    #[must_use]
    pub fn with_activity(mut self, id: &'a str, state: &'a str, outputs: &'a Object) -> Self {
        self.activities.insert(id, Activity { state, outputs: Some(outputs) });
        self
    }
}

impl Reference {
    /// Where it is read.
    #[must_use]
    pub fn position(&self) -> Position {
        match self {
            Self::Input { position, .. }
            | Self::Activity { position, .. }
            | Self::RunState { position }
            | Self::ScheduleTime { position, .. } => *position,
        }
    }
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// Every mistake, by position: syntax; unknown names and functions; activities that are not read by name; operators
    /// on values that are known to be of the wrong type; more than the limits; a result that is known not to be
    /// boolean.
    pub fn compile(source: &str) -> Result<Self, Vec<Mistake>> {
        Self::compile_with(source, &Declared::default()).map(|(expression, _)| expression)
    }

    /// Compiles an expression, and holds it against what is declared of what it reads: the result is the expression with
    /// the mistakes that only this shows. Paths from a variable that lead to nothing are not among them; whoever asks for
    /// [`Self::references`] tells of those.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_with(source: &str, declared: &Declared<'_>) -> Result<(Self, Vec<Mistake>), Vec<Mistake>> {
        let scanned = scan::scan(source).map_err(|mistake| vec![mistake])?;
        let program = scan::parse(&scanned.source)?;
        let (checked, mistakes) = check::check(&program, &scanned.tokens, declared)?;
        let compiled = Compiled {
            source: source.to_owned(),
            program: checked.program,
            references: checked.references,
            shape: checked.shape,
            names: checked.names,
        };
        Ok((Self(Arc::new(compiled)), mistakes))
    }

    /// What it reads, in the order of the text.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.0.references
    }

    /// Whether it holds only where another holds too, as far as their texts show it: it asks all that the other asks.
    #[must_use]
    pub fn implies(&self, other: &Self) -> bool {
        check::implies(&self.0.program, &other.0.program)
    }

    /// Whether it reads an activity, its state or its outputs.
    #[must_use]
    pub fn reads_activity(&self, id: &str) -> bool {
        self.0.references.iter().any(|reference| match reference {
            Reference::Activity { id: read, .. } => read == id,
            Reference::Input { .. } | Reference::RunState { .. } | Reference::ScheduleTime { .. } => false,
        })
    }

    /// The text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Evaluates it.
    ///
    /// # Errors
    /// One line for people, with the place in the text: no such key, wrong types, division by zero, `too costly`, or a
    /// result that is no boolean.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<bool, String> {
        evaluate::evaluate(&self.0, scope)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

impl Eq for Expression {}

impl fmt::Debug for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Expression").field(&self.0.source).finish()
    }
}

#[cfg(test)]
mod tests;
