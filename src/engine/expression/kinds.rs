//! Kinds: what type a part of an expression has, as far as its text and the schemas of what it reads show it.
//!
//! Responsible for: operators on values that cannot go together, and members that cannot be there. Must never: refuse
//! what may be.

use kube_cel::cel::common::ast::operators;
use kube_cel::cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue};

use super::{Declared, functions, operands};
use crate::engine::path::Segment;
use crate::engine::problem::suggestion;
use crate::engine::schema::{Known, Schema, SubSchema};

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Uint,
    Double,
    /// An integer or a floating-point number, which a value of JSON itself decides.
    Number,
    String,
    Bytes,
    List,
    Map,
    Null,
    Timestamp,
    Duration,
    /// Not known.
    Unknown,
}

impl Kind {
    /// The word for it, with an article.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Bool => "a boolean",
            Self::Int => "an integer",
            Self::Uint => "an unsigned integer",
            Self::Double => "a floating-point number",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Bytes => "bytes",
            Self::List => "a list",
            Self::Map => "an object",
            Self::Null => "null",
            Self::Timestamp => "a timestamp",
            Self::Duration => "a duration",
            Self::Unknown => "a value",
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double | Self::Number)
    }

    fn may_be(self, other: Self) -> bool {
        self == Self::Unknown || self == other
    }
}

/// What is known of a part of an expression.
#[derive(Clone, Copy)]
enum Type<'a, 's> {
    Kind(Kind),
    /// It has this schema. Whether a path from a variable leads there: what is not there is then told by its path.
    Schema(SubSchema<'s>, bool),
    Activities,
    Activity(&'a str),
    /// The state of an activity. What is read below it is told by its path.
    State,
}

impl Type<'_, '_> {
    const UNKNOWN: Self = Self::Kind(Kind::Unknown);

    fn kind(self) -> Kind {
        match self {
            Self::Kind(kind) => kind,
            Self::Activities | Self::Activity(_) => Kind::Map,
            Self::State => Kind::String,
            Self::Schema(schema, _) => match schema.only_type() {
                Some("object") => Kind::Map,
                Some("array") => Kind::List,
                Some("string") => Kind::String,
                Some("integer") => Kind::Int,
                Some("number") => Kind::Number,
                Some("boolean") => Kind::Bool,
                _ => Kind::Unknown,
            },
        }
    }
}

/// The kind of an expression, with what is declared of what it reads. What cannot be is told to `wrong`, with the
/// expression it is about, and whether something is read that is not declared.
pub(super) fn kind<'a>(
    expression: &'a IdedExpr,
    declared: &Declared<'_>,
    wrong: &mut dyn FnMut(&'a IdedExpr, Wrong, String),
) -> Kind {
    Kinds { declared, bound: Vec::new(), wrong }.of(expression).kind()
}

/// What sort of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Types that do not go together.
    Type,
    /// A member that a closed schema lacks.
    Reference,
}

struct Kinds<'a, 's, 'w> {
    declared: &'w Declared<'s>,
    /// The variables of the loops around.
    bound: Vec<(&'a str, Type<'a, 's>)>,
    wrong: &'w mut dyn FnMut(&'a IdedExpr, Wrong, String),
}

impl<'a, 's> Kinds<'a, 's, '_> {
    fn of(&mut self, expression: &'a IdedExpr) -> Type<'a, 's> {
        match &expression.expr {
            Expr::Literal(literal) => Type::Kind(match literal {
                LiteralValue::Boolean(_) => Kind::Bool,
                LiteralValue::Bytes(_) => Kind::Bytes,
                LiteralValue::Double(_) => Kind::Double,
                LiteralValue::Int(_) => Kind::Int,
                LiteralValue::Null => Kind::Null,
                LiteralValue::String(_) => Kind::String,
                LiteralValue::UInt(_) => Kind::Uint,
            }),
            Expr::Ident(name) => self.variable(name),
            Expr::Unspecified | Expr::Struct(_) => Type::UNKNOWN,
            Expr::Select(select) => {
                let operand = self.of(&select.operand);
                let found = self.member(expression, operand, &select.field);
                if select.test { Type::Kind(Kind::Bool) } else { found }
            }
            Expr::List(list) => {
                list.elements.iter().for_each(|element| drop_type(self.of(element)));
                Type::Kind(Kind::List)
            }
            Expr::Map(map) => {
                for (key, value) in super::check::entries(map) {
                    drop_type(self.of(key));
                    drop_type(self.of(value));
                }
                Type::Kind(Kind::Map)
            }
            Expr::Comprehension(inner) => self.comprehension(inner),
            Expr::Call(call) => self.call(expression, call),
        }
    }

    fn variable(&self, name: &str) -> Type<'a, 's> {
        let bound = self.bound.iter().rev().find(|(bound, _)| *bound == name);
        match (bound, name) {
            (Some((_, type_)), _) => *type_,
            (None, "input") => object(self.declared.input),
            (None, "activities") => Type::Activities,
            (None, "run" | "schedule") => Type::Kind(Kind::Map),
            (None, _) => Type::UNKNOWN,
        }
    }

    /// The member of a value.
    fn member(&mut self, at: &'a IdedExpr, operand: Type<'a, 's>, name: &'a str) -> Type<'a, 's> {
        match operand {
            Type::Activities => Type::Activity(name),
            Type::Activity(_) if name == "state" => Type::State,
            Type::Activity(id) if name == "outputs" => object(self.declared.of_activity(id)),
            Type::Activity(_) | Type::State => Type::UNKNOWN,
            Type::Schema(schema, is_path) => self.below(at, schema, is_path, &Segment::Key(name.to_owned())),
            Type::Kind(Kind::Unknown | Kind::Map) => Type::UNKNOWN,
            Type::Kind(kind) => {
                let message = format!("{} has no members, so no \"{name}\"", kind.word());
                (self.wrong)(at, Wrong::Type, message);
                Type::UNKNOWN
            }
        }
    }

    /// What a schema says of a step below.
    fn below(
        &mut self,
        at: &'a IdedExpr,
        schema: SubSchema<'s>,
        is_path: bool,
        segment: &Segment,
    ) -> Type<'a, 's> {
        match schema.below(segment) {
            Known::Schema(below) if below.is_nullable() && matches!(segment, Segment::Index(_)) => {
                Type::UNKNOWN
            }
            Known::Schema(below) => Type::Schema(below, is_path),
            Known::Absent { has } if !is_path => {
                let message = match segment {
                    Segment::Key(name) => format!("there is no \"{name}\"{}", or_else(name, &has)),
                    Segment::Index(_) => "only lists have elements by number".to_owned(),
                };
                (self.wrong)(at, Wrong::Reference, message);
                Type::UNKNOWN
            }
            Known::Anything | Known::Absent { .. } => Type::UNKNOWN,
        }
    }

    fn call(&mut self, at: &'a IdedExpr, call: &'a CallExpr) -> Type<'a, 's> {
        let types: Vec<Type<'a, 's>> = call.args.iter().map(|argument| self.of(argument)).collect();
        let target = call.target.as_ref().map(|target| self.of(target).kind());
        let kinds: Vec<Kind> = types.iter().map(|type_| type_.kind()).collect();
        self.operands(at, call, target, &kinds);
        let kind = match operator(&call.func_name, &kinds) {
            Some(Ok(kind)) => kind,
            Some(Err(why)) => {
                (self.wrong)(at, Wrong::Type, why);
                Kind::Unknown
            }
            None => super::check::function_of(call)
                .and_then(|name| functions::known(&name))
                .map_or(Kind::Unknown, |function| function.result),
        };
        match (call.func_name.as_str(), types.as_slice(), call.args.get(1).map(|index| &index.expr)) {
            (operators::INDEX, [operand, _], Some(index)) => self.element(at, *operand, index),
            _ => Type::Kind(kind),
        }
    }

    /// Tells of a function that is applied to what it is not for.
    fn operands(&mut self, at: &'a IdedExpr, call: &'a CallExpr, target: Option<Kind>, arguments: &[Kind]) {
        let Some(name) = super::check::function_of(call) else { return };
        // The name of a library stands where a value would.
        let target = target.filter(|_| !name.contains('.'));
        let (applied_to, argument) = match target {
            Some(target) => (Some(target), arguments.first()),
            None => (arguments.first().copied(), None),
        };
        let wrong_value =
            applied_to.and_then(|found| operands::mistake(&name, operands::of(&name), found, false));
        let wrong_argument =
            argument.and_then(|found| operands::mistake(&name, operands::argument_of(&name), *found, true));
        for why in wrong_value.into_iter().chain(wrong_argument) {
            (self.wrong)(at, Wrong::Type, why);
        }
    }

    /// `operand[index]`.
    fn element(&mut self, at: &'a IdedExpr, operand: Type<'a, 's>, index: &'a Expr) -> Type<'a, 's> {
        match (operand, index) {
            (Type::Activities | Type::Activity(_), Expr::Literal(LiteralValue::String(name))) => {
                self.member(at, operand, name.inner())
            }
            (Type::Schema(schema, is_path), Expr::Literal(LiteralValue::String(name))) => {
                self.below(at, schema, is_path, &Segment::Key(name.inner().to_owned()))
            }
            (Type::Schema(schema, is_path), _) if operand.kind() == Kind::List => {
                let is_path = is_path && matches!(index, Expr::Literal(LiteralValue::Int(_)));
                self.below(at, schema, is_path, &Segment::Index(0))
            }
            _ => Type::UNKNOWN,
        }
    }

    fn comprehension(&mut self, inner: &'a ComprehensionExpr) -> Type<'a, 's> {
        let range = self.of(&inner.iter_range);
        let element = match (range, range.kind()) {
            (Type::Schema(schema, _), Kind::List) => {
                self.below(&inner.iter_range, schema, false, &Segment::Index(0))
            }
            (_, Kind::Map) => Type::Kind(Kind::String),
            (_, Kind::List | Kind::Unknown) => Type::UNKNOWN,
            (_, kind) => {
                let message = format!("only lists and objects have elements, this is {}", kind.word());
                (self.wrong)(&inner.iter_range, Wrong::Type, message);
                Type::UNKNOWN
            }
        };
        self.bound.push((&inner.iter_var, element));
        drop_type(self.of(&inner.loop_step));
        self.bound.pop();
        match self.of(&inner.accu_init).kind() {
            Kind::List => Type::Kind(Kind::List),
            _ => Type::Kind(Kind::Bool),
        }
    }
}

fn drop_type(_: Type<'_, '_>) {}

/// An input or the outputs of an activity.
fn object<'s>(schema: Option<&'s Schema>) -> Type<'static, 's> {
    match schema.map(|schema| schema.at(&[])) {
        Some(Known::Schema(schema)) => Type::Schema(schema, true),
        _ => Type::Kind(Kind::Map),
    }
}

/// What may have been meant, or else what there is.
fn or_else(wrong: &str, has: &[&str]) -> String {
    const MAX_SHOWN: usize = 10;
    let meant = suggestion(wrong, has.iter().copied());
    if !meant.is_empty() || has.is_empty() {
        return meant;
    }
    let shown: Vec<&str> = has.iter().copied().take(MAX_SHOWN).collect();
    let more = match has.len() - shown.len() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!(" (has: {}{more})", shown.join(", "))
}

/// The result of an operator, or why there is none; nothing if it is no operator.
pub(super) fn operator(name: &str, arguments: &[Kind]) -> Option<Result<Kind, String>> {
    let [first, rest @ ..] = arguments else { return None };
    let (first, second) = (*first, rest.first().copied().unwrap_or(Kind::Unknown));
    let known = first != Kind::Unknown && second != Kind::Unknown;
    let (one, other) = (first.word(), second.word());
    let symbol = name.trim_matches('_');
    Some(match name {
        operators::LOGICAL_AND | operators::LOGICAL_OR => {
            match [first, second].into_iter().find(|kind| !kind.may_be(Kind::Bool)) {
                Some(kind) => Err(format!("\"{symbol}\" needs two booleans, one side is {}", kind.word())),
                None => Ok(Kind::Bool),
            }
        }
        operators::LOGICAL_NOT if !first.may_be(Kind::Bool) => {
            Err(format!("\"!\" needs a boolean, this is {one}"))
        }
        operators::LOGICAL_NOT => Ok(Kind::Bool),
        operators::CONDITIONAL => {
            let third = rest.get(1).copied().unwrap_or(Kind::Unknown);
            if first.may_be(Kind::Bool) {
                Ok(if second == third { second } else { Kind::Unknown })
            } else {
                Err(format!("\"?\" needs a boolean before it, this is {one}"))
            }
        }
        operators::EQUALS | operators::NOT_EQUALS => {
            let can_be_equal = first == second
                || (first.is_number() && second.is_number())
                || [first, second].contains(&Kind::Null);
            if known && !can_be_equal {
                Err(format!("\"{symbol}\" compares {one} with {other}, which are never equal"))
            } else {
                Ok(Kind::Bool)
            }
        }
        operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS => {
            let have_order = (first.is_number() && second.is_number())
                || (first == second && !matches!(first, Kind::List | Kind::Map | Kind::Null));
            if known && !have_order {
                Err(format!("\"{symbol}\" cannot compare {one} with {other}"))
            } else {
                Ok(Kind::Bool)
            }
        }
        operators::ADD
        | operators::SUBSTRACT
        | operators::MULTIPLY
        | operators::DIVIDE
        | operators::MODULO => arithmetic(name, first, second)
            .ok_or_else(|| format!("\"{symbol}\" cannot be applied to {one} and {other}")),
        operators::NEGATE if first == Kind::Unknown || first.is_number() => Ok(first),
        operators::NEGATE => Err(format!("\"-\" needs a number, this is {one}")),
        operators::IN if matches!(second, Kind::List | Kind::Map | Kind::Unknown) => Ok(Kind::Bool),
        operators::IN => Err(format!("\"in\" needs a list or an object after it, this is {other}")),
        operators::INDEX if matches!(first, Kind::List | Kind::Map | Kind::Unknown) => Ok(Kind::Unknown),
        operators::INDEX => Err(format!("{one} has no elements")),
        _ => return None,
    })
}

/// The result of arithmetic; nothing if these two cannot go together.
fn arithmetic(name: &str, first: Kind, second: Kind) -> Option<Kind> {
    if first == Kind::Unknown || second == Kind::Unknown {
        return Some(Kind::Unknown);
    }
    if [first, second].contains(&Kind::Number) && first.is_number() && second.is_number() {
        return Some(Kind::Number);
    }
    if first == second && first.is_number() {
        return (name != operators::MODULO || first != Kind::Double).then_some(first);
    }
    match (name, first, second) {
        (operators::ADD, Kind::String | Kind::Bytes | Kind::List | Kind::Duration, _) if first == second => {
            Some(first)
        }
        (operators::ADD, Kind::Timestamp, Kind::Duration)
        | (operators::ADD, Kind::Duration, Kind::Timestamp) => Some(Kind::Timestamp),
        (operators::SUBSTRACT, Kind::Timestamp, Kind::Duration) => Some(Kind::Timestamp),
        (operators::SUBSTRACT, Kind::Timestamp, Kind::Timestamp)
        | (operators::SUBSTRACT, Kind::Duration, Kind::Duration) => Some(Kind::Duration),
        _ => None,
    }
}
