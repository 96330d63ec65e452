//! Functions: those of CEL and of Kubernetes that an expression may call.
//!
//! Responsible for: the one list of names, with the types of their results; and regular expressions within their limits.
//! Must never: admit a function whose cost nobody bounds.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use kube_cel::KubeCelExt;
use kube_cel::cel::common::ast::{CallExpr, Expr, IdedExpr};
use kube_cel::cel::extractors::{Arguments, This};
use kube_cel::cel::{Context, ExecutionError, Value};
use regex::Regex;

use super::form::{Form, MANY, behind, either, plain};
use super::kinds::Kind;
use super::{collected, exact, times};
use crate::engine::pattern;

/// What a function does to the size of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// The result is a scalar.
    Scalar,
    /// The result is no larger than the arguments together.
    Kept,
    /// Compares each with each.
    Quadratic,
    /// Sorts.
    Sorted,
    /// Searches with a regular expression.
    Search,
    /// Finds all matches of one.
    SearchAll,
    /// Splits a text into as many parts as it has characters.
    Split,
    /// Joins with a separator between.
    Join,
    /// Puts the last argument in place of each character of the text.
    Replace,
    /// Formats.
    Format,
}

/// A function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) form: Form,
    pub(super) result: Kind,
    pub(super) growth: Growth,
}

/// The function of a name; functions of a library with it: `math.abs`.
pub(super) fn known(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name)
}

/// Whether functions begin with this name and a dot.
pub(super) fn is_library(name: &str) -> bool {
    names().any(|function| function.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

const fn f(name: &'static str, form: Form, result: Kind, growth: Growth) -> Function {
    Function { name, form, result, growth }
}

/// `lists.range` is not among them: one number would make a list of any length.
static FUNCTIONS: &[Function] = {
    use Growth::{Format, Join, Kept, Quadratic, Replace, Scalar, Search, SearchAll, Sorted, Split};
    use Kind::{Bool, Bytes, Double, Duration, Int, List, String, Timestamp, Uint, Unknown};
    &[
        // The language.
        f("bool", plain(1, 1), Bool, Scalar),
        f("bytes", plain(1, 1), Bytes, Kept),
        f("contains", behind(1, 1), Bool, Scalar),
        f("double", plain(1, 1), Double, Scalar),
        f("duration", plain(1, 1), Duration, Scalar),
        f("dyn", plain(1, 1), Unknown, Kept),
        f("endsWith", behind(1, 1), Bool, Scalar),
        f("getDate", behind(0, 1), Int, Scalar),
        f("getDayOfMonth", behind(0, 1), Int, Scalar),
        f("getDayOfWeek", behind(0, 1), Int, Scalar),
        f("getDayOfYear", behind(0, 1), Int, Scalar),
        f("getFullYear", behind(0, 1), Int, Scalar),
        f("getHours", behind(0, 1), Int, Scalar),
        f("getMilliseconds", behind(0, 1), Int, Scalar),
        f("getMinutes", behind(0, 1), Int, Scalar),
        f("getMonth", behind(0, 1), Int, Scalar),
        f("getSeconds", behind(0, 1), Int, Scalar),
        f("int", plain(1, 1), Int, Scalar),
        f("matches", either(1, 2), Bool, Search),
        f("max", behind(0, 0), Unknown, Kept),
        f("min", behind(0, 0), Unknown, Kept),
        f("size", either(0, 1), Int, Scalar),
        f("startsWith", behind(1, 1), Bool, Scalar),
        f("string", plain(1, 1), String, Kept),
        f("timestamp", plain(1, 1), Timestamp, Scalar),
        f("uint", plain(1, 1), Uint, Scalar),
        // Optional values.
        f("hasValue", behind(0, 0), Bool, Scalar),
        f("optional.none", plain(0, 0), Unknown, Kept),
        f("optional.of", plain(1, 1), Unknown, Kept),
        f("optional.ofNonZeroValue", plain(1, 1), Unknown, Kept),
        f("or", behind(1, 1), Unknown, Kept),
        f("orValue", behind(1, 1), Unknown, Kept),
        f("value", behind(0, 0), Unknown, Kept),
        // Strings.
        f("charAt", behind(1, 1), String, Scalar),
        f("find", behind(1, 1), String, Search),
        f("findAll", behind(1, 2), List, SearchAll),
        f("format", behind(1, 1), String, Format),
        f("indexOf", behind(1, 2), Int, Scalar),
        f("join", behind(0, 1), String, Join),
        f("lastIndexOf", behind(1, 2), Int, Scalar),
        f("lowerAscii", behind(0, 0), String, Kept),
        f("replace", behind(2, 3), String, Replace),
        f("reverse", behind(0, 0), Unknown, Kept),
        f("split", behind(1, 2), List, Split),
        f("strings.quote", plain(1, 1), String, Kept),
        f("substring", behind(1, 2), String, Kept),
        f("trim", behind(0, 0), String, Kept),
        f("upperAscii", behind(0, 0), String, Kept),
        // Lists and sets.
        f("distinct", behind(0, 0), List, Quadratic),
        f("first", behind(0, 0), Unknown, Kept),
        f("flatten", behind(0, 1), List, Kept),
        f("isSorted", behind(0, 0), Bool, Scalar),
        f("last", behind(0, 0), Unknown, Kept),
        f("sets.contains", plain(2, 2), Bool, Quadratic),
        f("sets.equivalent", plain(2, 2), Bool, Quadratic),
        f("sets.intersects", plain(2, 2), Bool, Quadratic),
        f("slice", behind(2, 2), List, Kept),
        f("sort", behind(0, 0), List, Sorted),
        f("sum", behind(0, 0), Unknown, Scalar),
        // Numbers.
        f("math.abs", plain(1, 1), Unknown, Scalar),
        f("math.bitAnd", plain(2, 2), Unknown, Scalar),
        f("math.bitNot", plain(1, 1), Unknown, Scalar),
        f("math.bitOr", plain(2, 2), Unknown, Scalar),
        f("math.bitShiftLeft", plain(2, 2), Unknown, Scalar),
        f("math.bitShiftRight", plain(2, 2), Unknown, Scalar),
        f("math.bitXor", plain(2, 2), Unknown, Scalar),
        f("math.ceil", plain(1, 1), Double, Scalar),
        f("math.floor", plain(1, 1), Double, Scalar),
        f("math.greatest", plain(1, MANY), Unknown, Kept),
        f("math.isFinite", plain(1, 1), Bool, Scalar),
        f("math.isInf", plain(1, 1), Bool, Scalar),
        f("math.isNaN", plain(1, 1), Bool, Scalar),
        f("math.least", plain(1, MANY), Unknown, Kept),
        f("math.round", plain(1, 1), Double, Scalar),
        f("math.sign", plain(1, 1), Unknown, Scalar),
        f("math.sqrt", plain(1, 1), Double, Scalar),
        f("math.trunc", plain(1, 1), Double, Scalar),
        // Quantities and versions.
        f("add", behind(1, 1), Unknown, Scalar),
        f("asApproximateFloat", behind(0, 0), Double, Scalar),
        f("asInteger", behind(0, 0), Int, Scalar),
        f("compareTo", behind(1, 1), Int, Scalar),
        f("isGreaterThan", behind(1, 1), Bool, Scalar),
        f("isInteger", behind(0, 0), Bool, Scalar),
        f("isLessThan", behind(1, 1), Bool, Scalar),
        f("isQuantity", plain(1, 1), Bool, Scalar),
        f("isSemver", plain(1, 2), Bool, Scalar),
        f("major", behind(0, 0), Int, Scalar),
        f("minor", behind(0, 0), Int, Scalar),
        f("patch", behind(0, 0), Int, Scalar),
        f("quantity", plain(1, 1), Unknown, Scalar),
        f("semver", plain(1, 2), Unknown, Kept),
        f("sign", behind(0, 0), Int, Scalar),
        f("sub", behind(1, 1), Unknown, Scalar),
        // Addresses.
        f("cidr", plain(1, 1), Unknown, Scalar),
        f("containsCIDR", behind(1, 1), Bool, Scalar),
        f("containsIP", behind(1, 1), Bool, Scalar),
        f("family", behind(0, 0), Int, Scalar),
        f("getEscapedPath", behind(0, 0), String, Kept),
        f("getHost", behind(0, 0), String, Kept),
        f("getHostname", behind(0, 0), String, Kept),
        f("getPort", behind(0, 0), String, Kept),
        f("getQuery", behind(0, 0), Unknown, Kept),
        f("getScheme", behind(0, 0), String, Kept),
        f("ip", either(0, 1), Unknown, Scalar),
        f("ip.isCanonical", plain(1, 1), Bool, Scalar),
        f("isCIDR", plain(1, 1), Bool, Scalar),
        f("isGlobalUnicast", behind(0, 0), Bool, Scalar),
        f("isIP", plain(1, 1), Bool, Scalar),
        f("isLinkLocalMulticast", behind(0, 0), Bool, Scalar),
        f("isLinkLocalUnicast", behind(0, 0), Bool, Scalar),
        f("isLoopback", behind(0, 0), Bool, Scalar),
        f("isURL", plain(1, 1), Bool, Scalar),
        f("isUnspecified", behind(0, 0), Bool, Scalar),
        f("masked", behind(0, 0), Unknown, Scalar),
        f("prefixLength", behind(0, 0), Int, Scalar),
        f("url", plain(1, 1), Unknown, Kept),
        // Encodings and named formats.
        f("base64.decode", plain(1, 1), Bytes, Kept),
        f("base64.encode", plain(1, 1), String, Join),
        f("format.byte", plain(0, 0), Unknown, Scalar),
        f("format.date", plain(0, 0), Unknown, Scalar),
        f("format.datetime", plain(0, 0), Unknown, Scalar),
        f("format.dns1035Label", plain(0, 0), Unknown, Scalar),
        f("format.dns1035LabelPrefix", plain(0, 0), Unknown, Scalar),
        f("format.dns1123Label", plain(0, 0), Unknown, Scalar),
        f("format.dns1123LabelPrefix", plain(0, 0), Unknown, Scalar),
        f("format.dns1123Subdomain", plain(0, 0), Unknown, Scalar),
        f("format.dns1123SubdomainPrefix", plain(0, 0), Unknown, Scalar),
        f("format.labelValue", plain(0, 0), Unknown, Scalar),
        f("format.named", plain(1, 1), Unknown, Scalar),
        f("format.qualifiedName", plain(0, 0), Unknown, Scalar),
        f("format.uri", plain(0, 0), Unknown, Scalar),
        f("format.uuid", plain(0, 0), Unknown, Scalar),
        f("jsonpatch.escapeKey", plain(1, 1), String, Join),
        f("validate", behind(1, 1), Unknown, Kept),
    ]
};

/// The functions, ready to be called.
pub(super) static CONTEXT: LazyLock<Context<'static>> = LazyLock::new(|| {
    let mut context = Context::default().with_all();
    exact::register(&mut context);
    collected::register(&mut context);
    times::register(&mut context);
    context.add_function("string", string);
    context.add_function("bool", boolean);
    context.add_function("dyn", |value: Value| Ok::<Value, ExecutionError>(value));
    context.add_function("split", split);
    context.add_function("matches", matches);
    context.add_function("find", find);
    context.add_function("findAll", find_all);
    context
});

/// Most patterns that one evaluation remembers.
const REMEMBERED: usize = 128;

thread_local! {
    /// The patterns of the evaluation that runs in this thread: in a loop, each is compiled once.
    static PATTERNS: RefCell<HashMap<String, Regex>> = RefCell::default();
}

/// Forgets the patterns of an evaluation.
pub(super) fn forget_patterns() {
    PATTERNS
        .with(|patterns| patterns.try_borrow_mut().map(|mut patterns| patterns.clear()).unwrap_or_default());
}

fn compiled(function: &str, text: &str) -> Result<Regex, ExecutionError> {
    let known = PATTERNS.with(|patterns| patterns.try_borrow().ok()?.get(text).cloned());
    if let Some(regex) = known {
        return Ok(regex);
    }
    let (regex, _) =
        pattern::compile(text).map_err(|(_, why)| ExecutionError::function_error(function, why))?;
    PATTERNS.with(|patterns| {
        if let Ok(mut patterns) = patterns.try_borrow_mut()
            && patterns.len() < REMEMBERED
        {
            patterns.insert(text.to_owned(), regex.clone());
        }
    });
    Ok(regex)
}

/// The functions as the interpreter has them.
static ORIGINAL: LazyLock<Context<'static>> = LazyLock::new(|| Context::default().with_all());

/// A value as text; times and durations as CEL writes them.
fn string(value: Value) -> Result<Value, ExecutionError> {
    let text = match &value {
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Timestamp(time) => {
            let offset = time.offset().local_minus_utc();
            times::time_text(time.timestamp(), time.timestamp_subsec_nanos(), offset)
        }
        Value::Duration(duration) => duration.num_nanoseconds().map(times::duration_text),
        _ => None,
    };
    if let Some(text) = text {
        return Ok(Value::String(Arc::new(text)));
    }
    let mut scope = ORIGINAL.new_inner_scope();
    scope.add_variable_from_value("@value", value);
    let argument = IdedExpr { id: 0, expr: Expr::Ident("@value".to_owned()) };
    let call = CallExpr { func_name: "string".to_owned(), target: None, args: vec![argument] };
    scope.resolve(&IdedExpr { id: 0, expr: Expr::Call(call) })
}

#[expect(clippy::needless_pass_by_value, reason = "the interpreter hands values over")]
fn boolean(value: Value) -> Result<bool, ExecutionError> {
    match &value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(ExecutionError::function_error("bool", "no boolean; it is written true or false")),
        },
        _ => Err(ExecutionError::function_error("bool", "only strings and booleans become a boolean")),
    }
}

/// The parts of a text between a separator; between nothing, its characters. The last of at most so many parts is the
/// rest.
fn split(This(text): This<Arc<String>>, Arguments(arguments): Arguments) -> Result<Value, ExecutionError> {
    let (separator, most) = match arguments.as_slice() {
        [Value::String(separator)] => (separator, usize::MAX),
        // A negative number is no bound.
        [Value::String(separator), Value::Int(most)] => {
            (separator, usize::try_from(*most).unwrap_or(usize::MAX))
        }
        _ => {
            let why = "expects a separator, and at most a number beside it";
            return Err(ExecutionError::function_error("split", why));
        }
    };
    let parts: Vec<&str> = if separator.is_empty() {
        characters(&text, most)
    } else {
        text.splitn(most, separator.as_str()).collect()
    };
    let parts = parts.into_iter().map(|part| Value::String(Arc::new(part.to_owned())));
    Ok(Value::List(Arc::new(parts.collect())))
}

fn characters(text: &str, most: usize) -> Vec<&str> {
    let mut rest = text;
    let mut parts = Vec::new();
    while let Some(first) = rest.chars().next().filter(|_| parts.len() < most) {
        let length = if parts.len() + 1 == most { rest.len() } else { first.len_utf8() };
        let (part, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        parts.push(part);
        rest = after;
    }
    parts
}

#[expect(clippy::needless_pass_by_value, reason = "the interpreter hands values over")]
fn matches(This(text): This<Arc<String>>, pattern: Arc<String>) -> Result<bool, ExecutionError> {
    Ok(compiled("matches", &pattern)?.is_match(&text))
}

#[expect(clippy::needless_pass_by_value, reason = "the interpreter hands values over")]
fn find(This(text): This<Arc<String>>, pattern: Arc<String>) -> Result<Value, ExecutionError> {
    let found = compiled("find", &pattern)?.find(&text).map_or("", |found| found.as_str()).to_owned();
    Ok(Value::String(Arc::new(found)))
}

fn find_all(This(text): This<Arc<String>>, Arguments(arguments): Arguments) -> Result<Value, ExecutionError> {
    let wrong =
        || ExecutionError::function_error("findAll", "expects a pattern, and at most a number beside it");
    let (pattern, most) = match arguments.as_slice() {
        [Value::String(pattern)] => (pattern, usize::MAX),
        [Value::String(pattern), Value::Int(most)] => (pattern, usize::try_from(*most).unwrap_or(usize::MAX)),
        _ => return Err(wrong()),
    };
    let regex = compiled("findAll", pattern)?;
    let found =
        regex.find_iter(&text).take(most).map(|found| Value::String(Arc::new(found.as_str().to_owned())));
    Ok(Value::List(Arc::new(found.collect())))
}
