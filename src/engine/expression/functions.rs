//! Functions: those of CEL and of Kubernetes that an expression may call.
//!
//! Responsible for: the one list of names, with the types of their results; and regular expressions within their limits.
//! Must never: admit a function whose cost nobody bounds.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use kube_cel::KubeCelExt;
use kube_cel::cel::extractors::{Arguments, This};
use kube_cel::cel::{Context, ExecutionError, Value};
use regex::Regex;

use super::exact;
use super::kinds::Kind;
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

const fn f(name: &'static str, result: Kind, growth: Growth) -> Function {
    Function { name, result, growth }
}

/// `lists.range` is not among them: one number would make a list of any length.
static FUNCTIONS: &[Function] = {
    use Growth::{Format, Join, Kept, Quadratic, Replace, Scalar, Search, SearchAll, Sorted, Split};
    use Kind::{Bool, Bytes, Double, Duration, Int, List, String, Timestamp, Uint, Unknown};
    &[
        // The language.
        f("bytes", Bytes, Kept),
        f("contains", Bool, Scalar),
        f("double", Double, Scalar),
        f("duration", Duration, Scalar),
        f("endsWith", Bool, Scalar),
        f("getDate", Int, Scalar),
        f("getDayOfMonth", Int, Scalar),
        f("getDayOfWeek", Int, Scalar),
        f("getDayOfYear", Int, Scalar),
        f("getFullYear", Int, Scalar),
        f("getHours", Int, Scalar),
        f("getMilliseconds", Int, Scalar),
        f("getMinutes", Int, Scalar),
        f("getMonth", Int, Scalar),
        f("getSeconds", Int, Scalar),
        f("int", Int, Scalar),
        f("matches", Bool, Search),
        f("max", Unknown, Kept),
        f("min", Unknown, Kept),
        f("size", Int, Scalar),
        f("startsWith", Bool, Scalar),
        f("string", String, Kept),
        f("timestamp", Timestamp, Scalar),
        f("uint", Uint, Scalar),
        // Optional values.
        f("hasValue", Bool, Scalar),
        f("optional.none", Unknown, Kept),
        f("optional.of", Unknown, Kept),
        f("optional.ofNonZeroValue", Unknown, Kept),
        f("or", Unknown, Kept),
        f("orValue", Unknown, Kept),
        f("value", Unknown, Kept),
        // Strings.
        f("charAt", String, Scalar),
        f("find", String, Search),
        f("findAll", List, SearchAll),
        f("format", String, Format),
        f("indexOf", Int, Scalar),
        f("join", String, Join),
        f("lastIndexOf", Int, Scalar),
        f("lowerAscii", String, Kept),
        f("replace", String, Replace),
        f("reverse", Unknown, Kept),
        f("split", List, Split),
        f("strings.quote", String, Kept),
        f("substring", String, Kept),
        f("trim", String, Kept),
        f("upperAscii", String, Kept),
        // Lists and sets.
        f("distinct", List, Quadratic),
        f("first", Unknown, Kept),
        f("flatten", List, Kept),
        f("isSorted", Bool, Scalar),
        f("last", Unknown, Kept),
        f("sets.contains", Bool, Quadratic),
        f("sets.equivalent", Bool, Quadratic),
        f("sets.intersects", Bool, Quadratic),
        f("slice", List, Kept),
        f("sort", List, Sorted),
        f("sum", Unknown, Quadratic),
        // Numbers.
        f("math.abs", Unknown, Scalar),
        f("math.bitAnd", Unknown, Scalar),
        f("math.bitNot", Unknown, Scalar),
        f("math.bitOr", Unknown, Scalar),
        f("math.bitShiftLeft", Unknown, Scalar),
        f("math.bitShiftRight", Unknown, Scalar),
        f("math.bitXor", Unknown, Scalar),
        f("math.ceil", Double, Scalar),
        f("math.floor", Double, Scalar),
        f("math.greatest", Unknown, Kept),
        f("math.isFinite", Bool, Scalar),
        f("math.isInf", Bool, Scalar),
        f("math.isNaN", Bool, Scalar),
        f("math.least", Unknown, Kept),
        f("math.round", Double, Scalar),
        f("math.sign", Unknown, Scalar),
        f("math.sqrt", Double, Scalar),
        f("math.trunc", Double, Scalar),
        // Quantities and versions.
        f("add", Unknown, Scalar),
        f("asApproximateFloat", Double, Scalar),
        f("asInteger", Int, Scalar),
        f("compareTo", Int, Scalar),
        f("isGreaterThan", Bool, Scalar),
        f("isInteger", Bool, Scalar),
        f("isLessThan", Bool, Scalar),
        f("isQuantity", Bool, Scalar),
        f("isSemver", Bool, Scalar),
        f("major", Int, Scalar),
        f("minor", Int, Scalar),
        f("patch", Int, Scalar),
        f("quantity", Unknown, Scalar),
        f("semver", Unknown, Kept),
        f("sign", Int, Scalar),
        f("sub", Unknown, Scalar),
        // Addresses.
        f("cidr", Unknown, Scalar),
        f("containsCIDR", Bool, Scalar),
        f("containsIP", Bool, Scalar),
        f("family", Int, Scalar),
        f("getEscapedPath", String, Kept),
        f("getHost", String, Kept),
        f("getHostname", String, Kept),
        f("getPort", String, Kept),
        f("getQuery", Unknown, Kept),
        f("getScheme", String, Kept),
        f("ip", Unknown, Scalar),
        f("ip.isCanonical", Bool, Scalar),
        f("isCIDR", Bool, Scalar),
        f("isGlobalUnicast", Bool, Scalar),
        f("isIP", Bool, Scalar),
        f("isLinkLocalMulticast", Bool, Scalar),
        f("isLinkLocalUnicast", Bool, Scalar),
        f("isLoopback", Bool, Scalar),
        f("isURL", Bool, Scalar),
        f("isUnspecified", Bool, Scalar),
        f("masked", Unknown, Scalar),
        f("prefixLength", Int, Scalar),
        f("url", Unknown, Kept),
        // Encodings and named formats.
        f("base64.decode", Bytes, Kept),
        f("base64.encode", String, Join),
        f("format.byte", Unknown, Scalar),
        f("format.date", Unknown, Scalar),
        f("format.datetime", Unknown, Scalar),
        f("format.dns1035Label", Unknown, Scalar),
        f("format.dns1035LabelPrefix", Unknown, Scalar),
        f("format.dns1123Label", Unknown, Scalar),
        f("format.dns1123LabelPrefix", Unknown, Scalar),
        f("format.dns1123Subdomain", Unknown, Scalar),
        f("format.dns1123SubdomainPrefix", Unknown, Scalar),
        f("format.labelValue", Unknown, Scalar),
        f("format.named", Unknown, Scalar),
        f("format.qualifiedName", Unknown, Scalar),
        f("format.uri", Unknown, Scalar),
        f("format.uuid", Unknown, Scalar),
        f("jsonpatch.escapeKey", String, Join),
        f("validate", Unknown, Kept),
    ]
};

/// The functions, ready to be called.
pub(super) static CONTEXT: LazyLock<Context<'static>> = LazyLock::new(|| {
    let mut context = Context::default().with_all();
    exact::register(&mut context);
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
