//! Exactness: what CEL says where the interpreter does otherwise.
//!
//! Responsible for: equality, membership, sizes in characters, arithmetic that ends where its type ends, durations and
//! times within their ranges, and loops whose errors yield to an element that decides. Must never: panic, or be called
//! by a name that an expression can write, unless that name means the same.

use std::sync::Arc;

use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::Opaque;
use kube_cel::cel::{Context, ExecutionError, FunctionContext, Value, functions};

/// Equality: numbers are equal as numbers.
pub(super) const EQUAL: &str = "@equal";
/// Whether a list has an equal element, or an object such a key.
pub(super) const MEMBER: &str = "@member";
/// `+`.
pub(super) const ADD: &str = "@add";
/// `-` between two.
pub(super) const SUBTRACT: &str = "@subtract";
/// `-` before one.
pub(super) const NEGATE: &str = "@negate";
/// One round of `exists`.
pub(super) const EXISTS: &str = "@exists";
/// One round of `all`.
pub(super) const ALL: &str = "@all";
/// The result of `exists` and `all`.
pub(super) const SETTLED: &str = "@settled";

/// Seconds since 1970 of the first and the last second that a timestamp may have: the years 1 to 9999.
const TIMESTAMPS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

const NANOSECONDS_OF_HOUR: u64 = 3_600_000_000_000;
const NANOSECONDS_OF_SECOND: u64 = 1_000_000_000;

/// Adds the functions to those of the interpreter, and puts them in the place of some.
pub(super) fn register(context: &mut Context<'_>) {
    context.add_function(EQUAL, |one: Value, other: Value| one == other);
    context.add_function(MEMBER, is_member);
    context.add_function(ADD, add);
    context.add_function(SUBTRACT, subtract);
    context.add_function(NEGATE, negate);
    context.add_function(EXISTS, exists);
    context.add_function(ALL, all);
    context.add_function(SETTLED, settled);
    context.add_function("size", size);
    context.add_function("sum", sum);
    context.add_function("duration", duration);
    context.add_function("timestamp", timestamp);
}

#[expect(clippy::needless_pass_by_value, reason = "the interpreter hands values over")]
fn is_member(value: Value, container: Value) -> Result<bool, ExecutionError> {
    match container {
        Value::List(elements) => Ok(elements.contains(&value)),
        Value::Map(map) => Ok(map.map.keys().any(|key| Value::from(key) == value)),
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

fn add(one: Value, other: Value) -> Result<Value, ExecutionError> {
    match (one, other) {
        (Value::Bytes(one), Value::Bytes(other)) => {
            Ok(Value::Bytes(Arc::new(one.iter().chain(other.iter()).copied().collect())))
        }
        (one, other) => (one + other).and_then(|sum| in_range("add", sum)),
    }
}

fn subtract(one: Value, other: Value) -> Result<Value, ExecutionError> {
    (one - other).and_then(|difference| in_range("sub", difference))
}

#[expect(clippy::needless_pass_by_value, reason = "the interpreter hands values over")]
fn negate(value: Value) -> Result<Value, ExecutionError> {
    match value {
        Value::Int(number) => number.checked_neg().map(Value::Int).ok_or(ExecutionError::Overflow(
            "neg",
            Value::Int(number),
            Value::Null,
        )),
        Value::Float(number) => Ok(Value::Float(-number)),
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

/// A duration has 64 bits of nanoseconds, and a time a year of at most four digits.
fn in_range(operation: &'static str, value: Value) -> Result<Value, ExecutionError> {
    let is_in_range = match &value {
        Value::Duration(duration) => duration.num_nanoseconds().is_some(),
        Value::Timestamp(time) => TIMESTAMPS.contains(&time.timestamp()),
        _ => true,
    };
    if is_in_range { Ok(value) } else { Err(ExecutionError::Overflow(operation, value, Value::Null)) }
}

/// An error that a later element may make meaningless.
#[derive(Debug, PartialEq)]
struct Failed(ExecutionError);

impl Eq for Failed {}

impl Opaque for Failed {
    fn runtime_type_name(&self) -> &str {
        "orchestrator.dev/failed"
    }
}

fn exists(call: &FunctionContext<'_, '_>) -> Result<Value, ExecutionError> {
    round(call, true)
}

fn all(call: &FunctionContext<'_, '_>) -> Result<Value, ExecutionError> {
    round(call, false)
}

/// One round: what was found so far, and what this element says. Like `||` and `&&`, an element that decides wins over
/// one that fails, wherever it stands; of several errors the first is told.
fn round(call: &FunctionContext<'_, '_>, decisive: bool) -> Result<Value, ExecutionError> {
    let [so_far, element] = call.args else { return Err(ExecutionError::NoSuchOverload) };
    let so_far = call.ptx.resolve(so_far)?;
    let error = match call.ptx.resolve(element) {
        Ok(Value::Bool(found)) if found == decisive => return Ok(Value::Bool(decisive)),
        Ok(Value::Bool(_)) => return Ok(so_far),
        Ok(_) => ExecutionError::NoSuchOverload,
        Err(error) => error,
    };
    Ok(match so_far {
        Value::Opaque(first) => Value::Opaque(first),
        _ => Value::Opaque(Arc::new(Failed(error))),
    })
}

fn settled(result: Value) -> Result<Value, ExecutionError> {
    match &result {
        Value::Opaque(opaque) => match opaque.downcast_ref::<Failed>() {
            Some(Failed(error)) => Err(error.clone()),
            None => Ok(result),
        },
        _ => Ok(result),
    }
}

/// The elements of a list together; of none, 0.
fn sum(This(elements): This<Arc<Vec<Value>>>) -> Result<Value, ExecutionError> {
    let (first, rest) = match elements.split_first() {
        Some((first, rest)) => (first.clone(), rest),
        None => return Ok(Value::Int(0)),
    };
    rest.iter().try_fold(first, |sum, element| match element {
        Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Duration(_) => add(sum, element.clone()),
        _ => Err(ExecutionError::function_error("sum", "cannot sum values of this type")),
    })
}

/// Characters of a text, as CEL counts them: code points. Called before or behind its value; what is wrong with that is
/// told, where the interpreter would say that it is missing.
fn size(call: &FunctionContext<'_, '_>) -> Result<i64, ExecutionError> {
    let value = match (&call.this, call.args) {
        (Some(value), []) => value.clone(),
        (None, [value]) => call.ptx.resolve(value)?,
        (this, arguments) => {
            let (expected, actual) = (usize::from(this.is_none()), arguments.len());
            return Err(ExecutionError::InvalidArgumentCount { expected, actual });
        }
    };
    let size = match &value {
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(elements) => elements.len(),
        Value::Map(members) => members.map.len(),
        _ => {
            let message = "only strings, bytes, lists and objects have a size";
            return Err(ExecutionError::function_error("size", message));
        }
    };
    Ok(i64::try_from(size).unwrap_or(i64::MAX))
}

fn timestamp(text: Arc<String>) -> Result<Value, ExecutionError> {
    let time = functions::timestamp(text)?;
    in_range("timestamp", time).map_err(|_| {
        ExecutionError::function_error("timestamp", "out of range: the years 1 to 9999 are allowed")
    })
}

#[expect(clippy::needless_pass_by_value, reason = "the interpreter hands values over")]
fn duration(text: Arc<String>) -> Result<Value, ExecutionError> {
    let nanoseconds = nanoseconds(&text).map_err(|why| ExecutionError::function_error("duration", why))?;
    // The interpreter reads pieces of this size exactly.
    let size = nanoseconds.unsigned_abs();
    let (hours, rest) = (size / NANOSECONDS_OF_HOUR, size % NANOSECONDS_OF_HOUR);
    let (seconds, rest) = (rest / NANOSECONDS_OF_SECOND, rest % NANOSECONDS_OF_SECOND);
    let sign = if nanoseconds < 0 { "-" } else { "" };
    functions::duration(Arc::new(format!("{sign}{hours}h{seconds}s{rest}ns")))
}

/// Nanoseconds of a duration, written as in Go: `1h30m`, `-1.5s`, `0`. What is smaller than a nanosecond is dropped.
fn nanoseconds(text: &str) -> Result<i64, &'static str> {
    const FORM: &str = "no duration; one is written like 1h30m, 1.5s or 200ms";
    const RANGE: &str = "out of range: at most 2562047h47m16s are allowed, about 292 years";
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    let mut total = 0_u64;
    loop {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return Err(FORM);
        }
        let unit_length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit_length).unwrap_or((after, ""));
        let unit: u64 = match unit {
            "ns" => 1,
            // The letter u, and both characters for micro.
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => NANOSECONDS_OF_SECOND,
            "m" => 60 * NANOSECONDS_OF_SECOND,
            "h" => NANOSECONDS_OF_HOUR,
            _ => return Err(FORM),
        };
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| RANGE)? };
        let piece = whole.checked_mul(unit).and_then(|piece| piece.checked_add(part(fraction, unit)));
        total = piece.and_then(|piece| total.checked_add(piece)).ok_or(RANGE)?;
        rest = after;
        if rest.is_empty() {
            let size = i128::from(total);
            return i64::try_from(if is_negative { -size } else { size }).map_err(|_| RANGE);
        }
    }
}

fn digits(text: &str) -> (&str, &str) {
    let length = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(length).unwrap_or((text, ""))
}

/// The part of a unit that some digits behind a point are; more of them than these say nothing of nanoseconds.
fn part(fraction: &str, unit: u64) -> u64 {
    let mut part = 0_u128;
    let mut scale = 1_u128;
    for digit in fraction.chars().take(15).filter_map(|digit| digit.to_digit(10)) {
        part = part * 10 + u128::from(digit);
        scale *= 10;
    }
    u64::try_from(part * u128::from(unit) / scale).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn a_duration_is_read_exactly_or_refused() {
        let good = |text: &str, expected: i64| assert_eq!(nanoseconds(text), Ok(expected), "{text}");
        good("0", 0);
        good("-0", 0);
        good("0s", 0);
        good("1h30m", 5_400_000_000_000);
        good("+1.5s", 1_500_000_000);
        good("-.5ms", -500_000);
        good("1.\u{b5}s", 1_000);
        good("0.1234567899999us", 123);
        good("9223372036854775807ns", i64::MAX);
        good("-9223372036854775808ns", i64::MIN);
        good("2562047h47m16.854775807s", i64::MAX);
        let bad = |text: &str, beginning: &str| {
            let why = nanoseconds(text).unwrap_err();
            assert!(why.starts_with(beginning), "{text}: {why}");
        };
        for text in ["", "-", "1", "h", "1x", "1 h", "1h ", "1hx", "1e3s", "inf", "--1s", ".s", "1h-1m", "00"]
        {
            bad(text, "no duration");
        }
        for text in ["9223372036854775808ns", "2562048h", "-9223372036854775809ns", "99999999999999999999h"] {
            bad(text, "out of range");
        }
        bad(&format!("{}s", "9".repeat(4000)), "out of range");
        bad(&"2562047h".repeat(8), "out of range");
    }
}
