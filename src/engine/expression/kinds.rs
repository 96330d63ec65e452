//! Kinds: what type a part of an expression has, as far as its text shows it.
//!
//! Responsible for: operators on values that cannot go together. Must never: refuse what may be.

use kube_cel::cel::common::ast::operators;
use kube_cel::cel::common::ast::{ComprehensionExpr, Expr, IdedExpr, LiteralValue};

use super::functions;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Uint,
    Double,
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
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    fn may_be(self, other: Self) -> bool {
        self == Self::Unknown || self == other
    }
}

/// The kind of an expression. What cannot be is told to `wrong`, with the expression it is about.
pub(super) fn kind<'a>(expression: &'a IdedExpr, wrong: &mut dyn FnMut(&'a IdedExpr, String)) -> Kind {
    match &expression.expr {
        Expr::Literal(literal) => match literal {
            LiteralValue::Boolean(_) => Kind::Bool,
            LiteralValue::Bytes(_) => Kind::Bytes,
            LiteralValue::Double(_) => Kind::Double,
            LiteralValue::Int(_) => Kind::Int,
            LiteralValue::Null => Kind::Null,
            LiteralValue::String(_) => Kind::String,
            LiteralValue::UInt(_) => Kind::Uint,
        },
        Expr::Ident(name) if matches!(name.as_str(), "input" | "activities" | "run" | "schedule") => {
            Kind::Map
        }
        Expr::Ident(_) | Expr::Unspecified | Expr::Struct(_) => Kind::Unknown,
        Expr::Select(select) => {
            let operand = kind(&select.operand, wrong);
            if operand != Kind::Unknown && operand != Kind::Map {
                wrong(expression, format!("{} has no members, so no \"{}\"", operand.word(), select.field));
            }
            if select.test { Kind::Bool } else { Kind::Unknown }
        }
        Expr::List(list) => {
            list.elements.iter().for_each(|element| drop_kind(kind(element, wrong)));
            Kind::List
        }
        Expr::Map(map) => {
            for (key, value) in super::check::entries(map) {
                drop_kind(kind(key, wrong));
                drop_kind(kind(value, wrong));
            }
            Kind::Map
        }
        Expr::Comprehension(loop_) => comprehension(loop_, wrong),
        Expr::Call(call) => {
            let mut arguments = Vec::with_capacity(call.args.len());
            for argument in &call.args {
                arguments.push(kind(argument, wrong));
            }
            if let Some(target) = &call.target {
                drop_kind(kind(target, wrong));
            }
            match operator(&call.func_name, &arguments) {
                Some(Ok(kind)) => kind,
                Some(Err(why)) => {
                    wrong(expression, why);
                    Kind::Unknown
                }
                None => super::check::function_of(call)
                    .and_then(|name| functions::known(&name))
                    .map_or(Kind::Unknown, |function| function.result),
            }
        }
    }
}

fn drop_kind(_: Kind) {}

fn comprehension<'a>(loop_: &'a ComprehensionExpr, wrong: &mut dyn FnMut(&'a IdedExpr, String)) -> Kind {
    let range = kind(&loop_.iter_range, wrong);
    if !matches!(range, Kind::List | Kind::Map | Kind::Unknown) {
        wrong(&loop_.iter_range, format!("only lists and objects have elements, this is {}", range.word()));
    }
    drop_kind(kind(&loop_.loop_step, wrong));
    match kind(&loop_.accu_init, wrong) {
        Kind::List => Kind::List,
        _ => Kind::Bool,
    }
}

/// The result of an operator, or why there is none; nothing if it is no operator.
fn operator(name: &str, arguments: &[Kind]) -> Option<Result<Kind, String>> {
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
