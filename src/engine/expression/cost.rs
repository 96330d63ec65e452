//! Cost: what an evaluation takes at most, known before it begins.
//!
//! Responsible for: two bounds. The rule of people's reckoning, by the largest collection that is read and the loops; and
//! an estimate of every value that is copied or compared, by the sizes that the values in scope really have. Must never:
//! need a clock.

mod size;

use kube_cel::cel::common::ast::operators;
use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue};
use serde_json::Value;

use self::size::{PIECE, Size, count, largest_of_object};
use super::check::{Shape, entries, function_of, parts};
use super::collected::{COLLECT, COLLECTION};
use super::exact::{ADD, EQUAL, MEMBER, SUBTRACT};
use super::functions::{self, Growth};
use super::{Reference, Scope};
use crate::api::common::Object;
use crate::engine::{path, pattern};

/// Most visits of nodes: the elements of the largest list or object that is read, to the power of the loops inside each other, times
/// the nodes of the expression.
pub const MAX_VISITS: u64 = 1_000_000;

/// Most steps: values that are copied or compared, texts in pieces of 16 bytes.
pub const MAX_STEPS: u64 = 10_000_000;

/// What it takes to compile a regular expression that is known and small, in steps.
const COMPILE_SMALL: u64 = 5_000;

/// What it takes to compile any other, or to find that it is too large.
const COMPILE_ANY: u64 = 400_000;

/// Most characters that one verb of a format can make, by its precision.
const PRECISION: u64 = 65_536;

/// Refuses what would be too costly; else the steps that it may take.
pub(super) fn check(
    program: &IdedExpr,
    shape: &Shape,
    references: &[Reference],
    scope: &Scope<'_>,
) -> Result<u64, String> {
    let read = references.iter().map(|reference| largest_read(reference, scope));
    let largest = read.chain([count(shape.largest)]).max().unwrap_or(0);
    let loops = u32::try_from(shape.nesting).unwrap_or(u32::MAX);
    let visits = largest.max(1).saturating_pow(loops).saturating_mul(count(shape.nodes));
    if visits > MAX_VISITS {
        let nodes = shape.nodes;
        return Err(format!(
            "too costly: up to {largest} elements, loops {loops} deep and {nodes} nodes are {visits} visits, at most {MAX_VISITS} are allowed"
        ));
    }
    let mut estimate = Estimate { scope, variables: Vec::new(), once: 0 };
    let (steps, _) = estimate.of(program);
    let steps = steps.saturating_add(estimate.once);
    if steps > MAX_STEPS {
        return Err(format!("too costly: may take {steps} steps, at most {MAX_STEPS} are allowed"));
    }
    Ok(steps)
}

/// Elements of the largest list or object in what a reference reads. What a loop goes over is read by one; elements of it
/// are inside of that.
fn largest_read(reference: &Reference, scope: &Scope<'_>) -> u64 {
    let (root, path) = match reference {
        Reference::Input { is_presence: true, .. }
        | Reference::Activity { is_presence: true, .. }
        | Reference::Activity { outputs: None, .. }
        | Reference::RunState { .. }
        | Reference::ScheduleTime { .. } => return 0,
        Reference::Input { path, .. } => (Some(scope.input), path),
        Reference::Activity { id, outputs: Some(path), .. } => {
            (scope.activities.get(id.as_str()).and_then(|activity| activity.outputs), path)
        }
    };
    match root.and_then(|root| path::read(root, path)) {
        Some(path::Found::Whole(object)) => largest_of_object(object),
        Some(path::Found::Value(value)) => size::largest(value),
        None => 0,
    }
}

/// What is known of a value: itself where a path leads to it, else its size.
#[derive(Clone, Copy)]
enum Found<'a> {
    Value(&'a Value),
    /// All of the input, or the outputs of an activity.
    Object(&'a Object),
    Activities,
    Activity(&'a str),
    Sized(Size),
}

struct Estimate<'s, 'a> {
    scope: &'s Scope<'a>,
    variables: Vec<(String, Size)>,
    /// Steps that are taken once, in whatever loop.
    once: u64,
}

impl Estimate<'_, '_> {
    /// Steps to evaluate an expression, and the size of its result.
    fn of(&mut self, expression: &IdedExpr) -> (u64, Size) {
        if let Some(found) = self.found(expression) {
            return (1, self.size(found));
        }
        match &expression.expr {
            Expr::Literal(LiteralValue::String(text)) => (1, Size::text(count(text.inner().len()))),
            Expr::Literal(LiteralValue::Bytes(bytes)) => (1, Size::text(count(bytes.inner().len()))),
            Expr::Literal(_) | Expr::Ident(_) | Expr::Unspecified | Expr::Struct(_) => (1, Size::SCALAR),
            Expr::Select(select) => (self.of(&select.operand).0.saturating_add(1), Size::SCALAR),
            Expr::List(list) => self.all(list.elements.iter()),
            Expr::Map(map) => self.all(entries(map).flat_map(|(key, value)| [key, value])),
            Expr::Comprehension(inner) => self.comprehension(inner),
            Expr::Call(call) => self.call(call),
        }
    }

    /// Parts that are copied into a list or an object.
    fn all<'e>(&mut self, parts: impl Iterator<Item = &'e IdedExpr>) -> (u64, Size) {
        let mut steps = 1_u64;
        let mut sizes = Vec::new();
        for part in parts {
            let (part, size) = self.of(part);
            steps = steps.saturating_add(part).saturating_add(size.weight);
            sizes.push(size);
        }
        (steps, Size::holding(sizes.into_iter()))
    }

    fn comprehension(&mut self, inner: &ComprehensionExpr) -> (u64, Size) {
        let (range_steps, range) = self.of(&inner.iter_range);
        let element = match self.found(&inner.iter_range) {
            Some(found) => self.element(found),
            None => range.inside(),
        };
        let collects = matches!(&inner.accu_init.expr, Expr::Call(begin) if begin.func_name == COLLECTION);
        // What there is already is handed on from round to round, and not copied.
        self.variables.push((inner.accu_var.clone(), Size::default()));
        self.variables.push((inner.iter_var.clone(), element));
        let (step, made) = self.of(&inner.loop_step);
        self.variables.truncate(self.variables.len() - 2);
        let rounds = range.length;
        let each = step.saturating_add(element.weight).saturating_add(8);
        let steps = range_steps.saturating_add(rounds.saturating_mul(each));
        if !collects {
            return (steps, Size::SCALAR);
        }
        // What is made is a list of one element, or the list so far.
        let result = made.inside().or(element).repeated(rounds);
        (steps.saturating_add(result.weight.saturating_mul(3)), result)
    }

    fn call(&mut self, call: &CallExpr) -> (u64, Size) {
        let mut steps = 1_u64;
        let mut sizes = Vec::with_capacity(call.args.len() + 1);
        let name = function_of(call);
        let target =
            call.target.as_deref().filter(|_| !name.as_deref().is_some_and(|name| name.contains('.')));
        for part in target.into_iter().chain(&call.args) {
            let (part, size) = self.of(part);
            steps = steps.saturating_add(part);
            sizes.push(size);
        }
        let whole = sizes.iter().copied().fold(Size::default(), Size::with);
        let first = sizes.first().copied().unwrap_or_default();
        let last = sizes.last().copied().unwrap_or_default();
        match call.func_name.as_str() {
            operators::INDEX => return (steps, first.inside()),
            operators::CONDITIONAL => {
                let result = sizes.into_iter().skip(1).fold(Size::default(), Size::or);
                return (steps, result);
            }
            operators::ADD => return (steps.saturating_add(whole.weight), whole),
            // Two values are copied on their way into a function, and put together or compared.
            ADD | SUBTRACT => return (steps.saturating_add(whole.weight.saturating_mul(3)), whole),
            COLLECT => {
                return (steps.saturating_add(last.weight), Size::holding(std::iter::once(last)));
            }
            EQUAL | MEMBER => return (steps.saturating_add(whole.weight.saturating_mul(3)), Size::SCALAR),
            _ => {}
        }
        let Some(function) = name.and_then(|name| functions::known(&name)) else {
            return (steps.saturating_add(sizes.len() as u64), Size::SCALAR);
        };
        let copied = steps.saturating_add(whole.weight.saturating_mul(3));
        let square = first.length.saturating_mul(first.length);
        let text = |length: u64| Size::text(length);
        let (work, result) = match function.growth {
            Growth::Scalar => (0, Size::SCALAR),
            Growth::Kept => (0, whole),
            Growth::Quadratic => (first.length.saturating_mul(whole.weight), whole),
            Growth::Sorted => (first.weight.saturating_mul(20), whole),
            Growth::Search => {
                (self.compiling(call).saturating_add(first.weight.saturating_mul(8)), text(first.length))
            }
            Growth::SearchAll => (
                self.compiling(call).saturating_add(square / 8),
                text(first.length).repeated(first.length.saturating_add(1)).bounded(first),
            ),
            Growth::Split => {
                (first.length, text(first.length).repeated(first.length.saturating_add(2)).bounded(first))
            }
            Growth::Join => {
                let length = whole.weight.saturating_mul(PIECE * 2);
                (0, text(length.saturating_add(first.length.saturating_mul(last.length))))
            }
            Growth::Replace => {
                (0, text(first.length.saturating_add(1).saturating_mul(last.length.saturating_add(1))))
            }
            Growth::Format => {
                let verbs = match call.target.as_deref().map(|target| &target.expr) {
                    // Without a precision, a verb makes no more than its argument.
                    Some(Expr::Literal(LiteralValue::String(format))) if !format.inner().contains("%.") => 0,
                    _ => first.length / 3,
                };
                let plain = whole.weight.saturating_mul(PIECE * 4);
                (0, text(plain.saturating_add(verbs.saturating_mul(PRECISION))))
            }
        };
        (copied.saturating_add(work).saturating_add(result.weight), result)
    }

    /// Steps to compile the pattern of a call; what does not change in a loop is compiled once.
    fn compiling(&mut self, call: &CallExpr) -> u64 {
        let Some(pattern) = call.args.first() else { return 0 };
        let steps = match &pattern.expr {
            Expr::Literal(LiteralValue::String(text)) => match pattern::compile(text.inner()) {
                Ok((_, pattern::Size::Small)) => COMPILE_SMALL,
                Ok((_, pattern::Size::Large)) | Err(_) => COMPILE_ANY,
            },
            _ => COMPILE_ANY,
        };
        if self.varies(pattern) {
            return steps;
        }
        self.once = self.once.saturating_add(steps);
        0
    }

    /// Whether an expression reads the variable of a loop around.
    fn varies(&self, expression: &IdedExpr) -> bool {
        match &expression.expr {
            Expr::Ident(name) => self.variables.iter().any(|(variable, _)| variable == name),
            _ => parts(expression).into_iter().any(|part| self.varies(part)),
        }
    }

    fn size(&self, found: Found<'_>) -> Size {
        match found {
            Found::Value(value) => Size::of(value),
            Found::Object(object) => Size::of_object(object),
            // Only what is in them is ever read.
            Found::Activities | Found::Activity(_) => Size::SCALAR,
            Found::Sized(size) => size,
        }
    }

    /// The largest element of a list, or the longest key of an object.
    fn element(&self, found: Found<'_>) -> Size {
        match found {
            Found::Value(Value::Array(elements)) => {
                elements.iter().map(Size::of).fold(Size::default(), Size::or)
            }
            Found::Value(Value::Object(members)) | Found::Object(members) => {
                members.keys().map(|key| Size::key(key)).fold(Size::default(), Size::or)
            }
            other => self.size(other).inside(),
        }
    }

    /// The value that an expression leads to, if it is a variable or a path below one.
    fn found(&self, expression: &IdedExpr) -> Option<Found<'_>> {
        match &expression.expr {
            Expr::Ident(name) => {
                let variable = self.variables.iter().rev().find(|(variable, _)| variable == name);
                match (variable, name.as_str()) {
                    (Some((_, size)), _) => Some(Found::Sized(*size)),
                    (None, "input") => Some(Found::Object(self.scope.input)),
                    (None, "activities") => Some(Found::Activities),
                    (None, "run" | "schedule") => Some(Found::Sized(Size::SCALAR)),
                    _ => None,
                }
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                let [operand, index] = call.args.as_slice() else { return None };
                let found = self.found(operand)?;
                match &index.expr {
                    Expr::Literal(LiteralValue::String(key)) => Some(self.member(found, key.inner())),
                    Expr::Literal(LiteralValue::Int(index)) => {
                        let Found::Value(Value::Array(elements)) = found else { return None };
                        let element =
                            usize::try_from(*index.inner()).ok().and_then(|index| elements.get(index));
                        Some(element.map_or(Found::Sized(Size::SCALAR), Found::Value))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn member<'f>(&'f self, found: Found<'f>, key: &str) -> Found<'f> {
        let nothing = Found::Sized(Size::SCALAR);
        match found {
            Found::Value(value) => value.get(key).map_or(nothing, Found::Value),
            Found::Object(object) => object.get(key).map_or(nothing, Found::Value),
            Found::Activities => {
                self.scope.activities.keys().find(|id| **id == key).map_or(nothing, |id| Found::Activity(id))
            }
            Found::Activity(id) if key == "outputs" => {
                let outputs = self.scope.activities.get(id).and_then(|activity| activity.outputs);
                outputs.map_or(nothing, Found::Object)
            }
            Found::Activity(_) => nothing,
            Found::Sized(size) => Found::Sized(size.inside()),
        }
    }
}
