//! Checks: names, functions, limits and types of a parsed expression; and the form in which it is evaluated.
//!
//! Responsible for: every mistake that the text alone shows, and what the expression reads. Must never: evaluate.

mod chain;
mod conjuncts;
mod names;
mod rewrite;
mod shape;

use std::collections::BTreeSet;

use kube_cel::cel::common::ast::operators;
use kube_cel::cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, MapExpr};

use super::kinds::{self, Kind, Wrong};
use super::scan::Token;
use super::{Declared, Mistake, Position, Reference, functions, times};
use crate::engine::path::Segment;
use crate::engine::pattern;
use crate::engine::problem::{ProblemCode, suggestion};
use chain::{Step, chain, is_only, known};
pub(super) use conjuncts::implies;
pub(super) use names::Names;
pub(super) use shape::Shape;
use shape::shape;

/// Most nodes: operators, calls, names and literals, macros spelled out.
pub const MAX_NODES: usize = 500;

/// Deepest nesting of nodes: the interpreter recurses, and threads have small stacks. A chain of additions nests; a
/// chain of `&&` does not.
pub const MAX_DEPTH: usize = 24;

/// Most comprehensions (`all`, `exists`, `map`, `filter`, …) inside each other.
pub const MAX_NESTING: usize = 3;

/// The variables that there are.
const VARIABLES: [&str; 3] = ["input", "activities", "schedule"];

/// Names that no call of a function has.
const OPERATORS: [&str; 19] = [
    operators::ADD,
    operators::CONDITIONAL,
    operators::DIVIDE,
    operators::EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::IN,
    operators::INDEX,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::LOGICAL_AND,
    operators::LOGICAL_NOT,
    operators::LOGICAL_OR,
    operators::MODULO,
    operators::MULTIPLY,
    operators::NEGATE,
    operators::NOT_EQUALS,
    operators::NOT_STRICTLY_FALSE,
    operators::SUBSTRACT,
];

/// What was checked.
pub(super) struct Checked {
    pub(super) program: IdedExpr,
    pub(super) references: Vec<Reference>,
    pub(super) shape: Shape,
    /// Places of what is evaluated.
    pub(super) names: Names,
}

/// Checks an expression; the mistakes are in the order of the text. With the result come the mistakes that only show by
/// what is declared.
pub(super) fn check(
    parsed: &IdedExpr,
    tokens: &[Token],
    declared: &Declared<'_>,
) -> Result<(Checked, Vec<Mistake>), Vec<Mistake>> {
    let shape = shape(parsed)?;
    let names = Names::of(parsed, tokens);
    let mut walk = Walk {
        names: &names,
        bound: Vec::new(),
        mistakes: Vec::new(),
        references: Vec::new(),
        told: BTreeSet::new(),
    };
    walk.visit(parsed);
    let (mut mistakes, references) = (walk.mistakes, walk.references);
    type_mistakes(parsed, &names, &Declared::default(), &mut mistakes);
    if !mistakes.is_empty() {
        mistakes.sort_by_key(Mistake::position);
        mistakes.dedup();
        return Err(mistakes);
    }
    let mut shown = Vec::new();
    if declared.input.is_some() || declared.outputs.is_some() {
        type_mistakes(parsed, &names, declared, &mut shown);
    }
    Ok((Checked { program: rewrite::rewritten(parsed), references, shape, names }, shown))
}

/// Adds what is wrong with the types of an expression.
fn type_mistakes(parsed: &IdedExpr, names: &Names, declared: &Declared<'_>, mistakes: &mut Vec<Mistake>) {
    let is_declared = declared.input.is_some() || declared.outputs.is_some();
    let code = |wrong: Wrong| match wrong {
        _ if !is_declared => ProblemCode::InvalidExpression,
        Wrong::Type => ProblemCode::TypeMismatch,
        Wrong::Reference => ProblemCode::UnknownReference,
    };
    let kind = kinds::kind(parsed, declared, &mut |expression, wrong, message| {
        mistakes.push(Mistake { code: code(wrong), ..Mistake::new(names.position_of(expression), message) });
    });
    if mistakes.is_empty() && !matches!(kind, Kind::Bool | Kind::Unknown) {
        let message = format!("must be a boolean, is {}", kind.word());
        mistakes.push(Mistake { code: code(Wrong::Type), ..Mistake::new(Position::START, message) });
    }
}

/// Keys and values of an object that is written out.
pub(super) fn entries(map: &MapExpr) -> impl Iterator<Item = (&IdedExpr, &IdedExpr)> {
    map.entries.iter().filter_map(|entry| match &entry.expr {
        EntryExpr::MapEntry(entry) => Some((&entry.key, &entry.value)),
        EntryExpr::StructField(_) => None,
    })
}

/// The name of the function that is called, with its library; nothing if it is an operator.
pub(super) fn function_of(call: &CallExpr) -> Option<String> {
    if OPERATORS.contains(&call.func_name.as_str()) {
        return None;
    }
    match call.target.as_deref().map(|target| &target.expr) {
        Some(Expr::Ident(library)) if functions::is_library(library) => {
            Some(format!("{library}.{}", call.func_name))
        }
        _ => Some(call.func_name.clone()),
    }
}

/// The parts of an expression, in the order of the text as far as macros allow.
pub(super) fn parts(expression: &IdedExpr) -> Vec<&IdedExpr> {
    match &expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) => Vec::new(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => entries(map).flat_map(|(key, value)| [key, value]).collect(),
        Expr::Comprehension(inner) => {
            vec![&inner.iter_range, &inner.accu_init, &inner.loop_cond, &inner.loop_step, &inner.result]
        }
    }
}

struct Walk<'a> {
    names: &'a Names,
    /// Variables of the comprehensions around.
    bound: Vec<&'a str>,
    mistakes: Vec<Mistake>,
    references: Vec<Reference>,
    /// Functions that were told of.
    told: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    fn wrong(&mut self, at: Position, message: impl Into<String>) {
        self.mistakes.push(Mistake::new(at, message));
    }

    fn is_bound(&self, name: &str) -> bool {
        name.starts_with('@') || self.bound.contains(&name)
    }

    fn visit(&mut self, expression: &'a IdedExpr) {
        if let Some((root, name, steps)) = chain(expression)
            && !self.is_bound(name)
        {
            let position = self.names.position(root.id, name);
            let is_test = matches!(&expression.expr, Expr::Select(select) if select.test);
            match name {
                "input" => self.input(&steps, is_test, position),
                "activities" => self.activity(&steps, is_test, position),
                "schedule" if is_only(&steps, "time") => {
                    self.references.push(Reference::ScheduleTime { is_presence: is_test, position });
                }
                "schedule" => self.wrong(position, "of the schedule, only schedule.time can be read"),
                "run" if !is_test && is_only(&steps, "state") => {
                    self.references.push(Reference::RunState { position });
                }
                "run" => self.wrong(position, "of the run, only run.state can be read, and only in finally"),
                _ => self.unknown(name, position),
            }
            for step in steps {
                if let Step::Dynamic(index) = step {
                    self.visit(index);
                }
            }
            return;
        }
        match &expression.expr {
            Expr::Call(call) => self.call(expression, call),
            Expr::Comprehension(inner) => {
                self.visit(&inner.iter_range);
                self.visit(&inner.accu_init);
                self.bound.push(&inner.iter_var);
                [&inner.loop_cond, &inner.loop_step, &inner.result]
                    .into_iter()
                    .for_each(|part| self.visit(part));
                self.bound.pop();
            }
            _ => parts(expression).into_iter().for_each(|part| self.visit(part)),
        }
    }

    fn unknown(&mut self, name: &str, position: Position) {
        let meant = suggestion(name, VARIABLES.into_iter());
        self.wrong(
            position,
            format!("unknown variable \"{name}\"{meant}; there are input, activities and schedule"),
        );
    }

    fn input(&mut self, steps: &[Step<'_>], is_test: bool, position: Position) {
        let path = known(steps);
        let is_presence = is_test && path.len() == steps.len();
        self.references.push(Reference::Input { path, is_presence, position });
    }

    fn activity(&mut self, steps: &[Step<'_>], is_test: bool, position: Position) {
        let (id, rest) = match steps {
            [Step::Known(Segment::Key(id)), rest @ ..] => (id, rest),
            _ => {
                let message = "activities are read by name: activities.<id>.state or activities.<id>.outputs";
                return self.wrong(position, message);
            }
        };
        let outputs = match rest {
            [Step::Known(Segment::Key(field))] if field == "state" && !is_test => None,
            [Step::Known(Segment::Key(field)), below @ ..] if field == "outputs" => Some(below),
            [Step::Known(Segment::Key(field)), ..] if field != "state" => {
                let meant = suggestion(field, ["state", "outputs"].into_iter());
                let message = format!("an activity has state and outputs, and no \"{field}\"{meant}");
                return self.wrong(position, message);
            }
            [Step::Known(Segment::Key(_)), ..] => {
                return self.wrong(position, "the state of an activity is a string, and always there");
            }
            _ => return self.wrong(position, "of an activity, state or outputs can be read"),
        };
        let path = outputs.map(known);
        let is_presence = is_test && path.as_ref().map(Vec::len) == outputs.map(<[_]>::len);
        self.references.push(Reference::Activity { id: id.clone(), outputs: path, is_presence, position });
    }

    fn call(&mut self, expression: &'a IdedExpr, call: &'a CallExpr) {
        if call.func_name == operators::SUBSTRACT && self.dashed(expression) {
            return;
        }
        let Some(name) = function_of(call) else {
            return call.args.iter().for_each(|argument| self.visit(argument));
        };
        let position = self.names.position_of_call(expression.id, &name);
        self.function(call, &name, position);
        if let Some(target) = call.target.as_deref().filter(|_| !name.contains('.')) {
            self.visit(target);
        }
        call.args.iter().for_each(|argument| self.visit(argument));
    }

    /// Tells of a function that there is not, or that is not called so.
    fn function(&mut self, call: &CallExpr, name: &str, position: Position) {
        let Some(function) = functions::known(name) else {
            if name == "type" && self.told.insert(name.to_owned()) {
                self.wrong(position, "\"type\" is not supported: a type is no value here");
            } else if self.told.insert(name.to_owned()) {
                let meant = suggestion(name, functions::names());
                self.wrong(position, format!("unknown function \"{name}\"{meant}"));
            }
            return;
        };
        let is_behind = call.target.is_some() && !name.contains('.');
        if let Some(why) = function.form.mistake(name, is_behind, call.args.len()) {
            self.wrong(position, why);
        }
        let Some(Expr::Literal(LiteralValue::String(text))) = call.args.first().map(|first| &first.expr)
        else {
            return;
        };
        if matches!(name, "matches" | "find" | "findAll")
            && let Err((_, why)) = pattern::compile(text.inner())
        {
            self.wrong(position, format!("{}: {why}", super::evaluate::cut(text.inner())));
        }
        if times::PARTS.contains(&name)
            && let Some(why) = times::zone_mistake(text.inner())
        {
            self.wrong(position, format!("{name}: {why}"));
        }
    }

    /// Tells of a name with a dash, which CEL reads as a subtraction: `activities.tenant-config.outputs`.
    fn dashed(&mut self, expression: &IdedExpr) -> bool {
        let mut operands = Vec::new();
        let mut left = expression;
        while let Expr::Call(call) = &left.expr
            && let (operators::SUBSTRACT, [first, second]) = (call.func_name.as_str(), call.args.as_slice())
        {
            operands.push(second);
            left = first;
        }
        let Some((root, variable, steps)) = chain(left) else { return false };
        let Some(Step::Known(Segment::Key(start))) = steps.last() else { return false };
        let is_whole = match variable {
            "activities" => steps.len() == 1,
            _ => variable == "input",
        };
        let mut written = start.clone();
        for operand in operands.into_iter().rev() {
            match chain(operand) {
                Some((_, name, _)) if !self.is_bound(name) && !VARIABLES.contains(&name) => {
                    written = format!("{written}-{name}");
                }
                _ => return false,
            }
        }
        if is_whole && !self.is_bound(variable) {
            let position = self.names.position(root.id, variable);
            let message = format!(
                "\"-\" subtracts; a name with a dash is written [\"{written}\"], as in {variable}[\"{written}\"]"
            );
            self.wrong(position, message);
        }
        is_whole
    }
}
