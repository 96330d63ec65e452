//! Cause: the part of an expression that failed, and why, in words.
//!
//! Responsible for: the smallest part that fails by itself, and the types that an operator or function was not for. Must
//! never: be asked of an expression that is costly; its parts are evaluated once more for every level that they lie deep.

use kube_cel::cel::common::ast::operators;
use kube_cel::cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};
use kube_cel::cel::{Context, ExecutionError, Value};

use super::super::check::{function_of, parts};
use super::super::exact::{ADD, MEMBER, NEGATE, SUBTRACT};
use super::super::kinds::{self, Kind};
use super::super::quiet::{Panicked, quietly};

/// What is said where the values are not known any more.
const TYPES: &str = "an operator or function is applied to values of types that it is not for";

/// The smallest part of a failed expression that fails, and why. What fails in a loop is told of the loop.
pub(super) fn find<'e>(
    program: &'e IdedExpr,
    error: ExecutionError,
    context: &Context<'_>,
) -> (&'e IdedExpr, ExecutionError) {
    let mut found = (program, error);
    while let Some(inner) = failing(found.0, context) {
        found = inner;
    }
    found
}

/// The value of a part. Functions of Kubernetes have arithmetic that panics where it overflows.
pub(super) fn resolved(part: &IdedExpr, context: &Context<'_>) -> Result<Value, ExecutionError> {
    quietly(|| context.resolve(part)).unwrap_or_else(|Panicked| {
        let name = called(part).unwrap_or_else(|| "an operation".to_owned());
        Err(ExecutionError::function_error(&name, "cannot be evaluated"))
    })
}

/// The first part that fails, of those that were evaluated.
fn failing<'e>(whole: &'e IdedExpr, context: &Context<'_>) -> Option<(&'e IdedExpr, ExecutionError)> {
    let fails = |part: &'e IdedExpr| resolved(part, context).err().map(|error| (part, error));
    match &whole.expr {
        Expr::Comprehension(inner) => fails(&inner.iter_range),
        Expr::Call(call) if call.func_name == operators::CONDITIONAL => {
            let [condition, holds, fails_else] = call.args.as_slice() else { return None };
            match resolved(condition, context) {
                Ok(Value::Bool(true)) => fails(holds),
                Ok(Value::Bool(false)) => fails(fails_else),
                Ok(_) => None,
                Err(error) => Some((condition, error)),
            }
        }
        Expr::Call(call) => operands(call).into_iter().find_map(fails),
        _ => parts(whole).into_iter().find_map(fails),
    }
}

/// What a call is applied to: a library before its name is no value.
fn operands(call: &CallExpr) -> Vec<&IdedExpr> {
    let is_of_library = function_of(call).is_some_and(|name| name.contains('.'));
    call.target.as_deref().filter(|_| !is_of_library).into_iter().chain(&call.args).collect()
}

/// An error as people read it; `part` is what failed, if that was looked for.
pub(super) fn worded(error: &ExecutionError, part: Option<&IdedExpr>, context: &Context<'_>) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key \"{key}\""),
        ExecutionError::UndeclaredReference(name) => format!("unknown name \"{name}\""),
        ExecutionError::InvalidArgumentCount { expected, actual } => {
            let name = part.and_then(called).unwrap_or_else(|| "a function".to_owned());
            let plural = if *expected == 1 { "" } else { "s" };
            format!("{name} expects {expected} argument{plural} and is given {actual}")
        }
        ExecutionError::MissingArgumentOrTarget => "an argument of a function cannot be evaluated".to_owned(),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "remainder of a division by zero".to_owned(),
        ExecutionError::Overflow(operation, ..) => format!("overflow in {operation}"),
        ExecutionError::IndexOutOfBounds(Value::Int(index)) => format!("the list has no element {index}"),
        ExecutionError::IndexOutOfBounds(_) => "the list has no such element".to_owned(),
        ExecutionError::FunctionError { function, message } => {
            format!("{function}: {}", without_values(message))
        }
        ExecutionError::NoSuchOverload
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::UnsupportedTargetType { .. }
        | ExecutionError::NotSupportedAsMethod { .. }
        | ExecutionError::UnsupportedKeyType(_)
        | ExecutionError::ValuesNotComparable(..)
        | ExecutionError::UnsupportedUnaryOperator(..)
        | ExecutionError::UnsupportedBinaryOperator(..)
        | ExecutionError::UnsupportedMapIndex(_)
        | ExecutionError::UnsupportedListIndex(_)
        | ExecutionError::UnsupportedIndex(..) => {
            part.and_then(|part| types(part, context)).unwrap_or_else(|| TYPES.to_owned())
        }
        other => without_values(&other.to_string()).to_owned(),
    }
}

fn called(part: &IdedExpr) -> Option<String> {
    match &part.expr {
        Expr::Call(call) => function_of(call),
        _ => None,
    }
}

/// Which types do not go together; nothing where only an element of a loop would tell.
fn types(part: &IdedExpr, context: &Context<'_>) -> Option<String> {
    let kind = |part: &IdedExpr| resolved(part, context).map(|value| kind(&value));
    let call = match &part.expr {
        Expr::Call(call) => call,
        Expr::Comprehension(inner) => {
            let range = kind(&inner.iter_range).ok()?;
            let is_range = matches!(range, Kind::List | Kind::Map);
            return (!is_range)
                .then(|| format!("only lists and objects have elements, this is {}", range.word()));
        }
        Expr::Select(select) => {
            let operand = kind(&select.operand).ok()?;
            return Some(format!("{} has no members, so no \"{}\"", operand.word(), select.field));
        }
        _ => return None,
    };
    let kinds: Vec<Kind> = operands(call).into_iter().map(kind).collect::<Result<_, _>>().ok()?;
    let operator = match call.func_name.as_str() {
        ADD => operators::ADD,
        SUBTRACT => operators::SUBSTRACT,
        NEGATE => operators::NEGATE,
        MEMBER => operators::IN,
        other => other,
    };
    if let (operators::INDEX, [operand, _], [_, index]) = (operator, kinds.as_slice(), call.args.as_slice())
        && let Expr::Literal(LiteralValue::String(name)) = &index.expr
    {
        let name = super::cut(name.inner());
        return Some(format!("{} has no members, so no \"{name}\"", operand.word()));
    }
    if let Some(Err(why)) = kinds::operator(operator, &kinds) {
        return Some(why);
    }
    let is_order = [operators::LESS, operators::LESS_EQUALS, operators::GREATER, operators::GREATER_EQUALS];
    if is_order.contains(&operator) && kinds.contains(&Kind::Double) {
        return Some(format!("\"{}\" compares NaN, which has no order", operator.trim_matches('_')));
    }
    let shown = function_of(call).unwrap_or_else(|| operator.trim_matches('_').to_owned());
    let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
    Some(format!("\"{shown}\" is not for {}", words.join(" and ")))
}

/// The kind of a value.
pub(super) fn kind(value: &Value) -> Kind {
    match value {
        Value::List(_) => Kind::List,
        Value::Map(_) => Kind::Map,
        Value::Int(_) => Kind::Int,
        Value::UInt(_) => Kind::Uint,
        Value::Float(_) => Kind::Double,
        Value::String(_) => Kind::String,
        Value::Bytes(_) => Kind::Bytes,
        Value::Bool(_) => Kind::Bool,
        Value::Duration(_) => Kind::Duration,
        Value::Timestamp(_) => Kind::Timestamp,
        Value::Null => Kind::Null,
        Value::Function(..) | Value::Opaque(_) => Kind::Unknown,
    }
}

/// A message up to the first value that the interpreter shows in its own notation, and in no certain order.
fn without_values(message: &str) -> &str {
    let values =
        ["Map(", "List(", "Opaque<", "Map {"].into_iter().filter_map(|value| message.find(value)).min();
    message.get(..values.unwrap_or(message.len())).unwrap_or(message).trim_end()
}
