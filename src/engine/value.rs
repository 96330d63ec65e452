//! Values: what an activity handed back, brought into the form in which it can be kept exactly.
//!
//! Responsible for: outputs from text, and the absence of nulls. Must never: know who produced a value, or check it
//! against a schema.

use serde_json::{Number, Value};

use crate::api::common::Object;

/// Deepest nesting of inputs and outputs. The parser that reads a whole Orchestration back ends at 128 levels.
const MAX_DEPTH: usize = 32;

/// Reads outputs: a JSON object without null members; nothing at all is an object without members.
///
/// The last of several members with one key wins. Whole numbers written as fractions or with an exponent (`1.0`)
/// become integers, because the API server stores them so, and a value must be equal to itself when it is read back.
///
/// # Errors
/// The text is not a JSON object, is nested too deeply, or holds an integer beyond 64 bits signed, which the parser
/// would round silently; however it is written: the API server keeps `1e19` as a float and writes it out as
/// `10000000000000000000`, which no activity could hand back. The message begins with line and column where there are
/// any.
pub fn parse_outputs(text: &str) -> Result<Object, String> {
    if text.chars().all(|c| matches!(c, ' ' | '\t' | '\n' | '\r')) {
        return Ok(Object::new());
    }
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let whole = error.to_string();
        let place = format!("line {} column {}", error.line(), error.column());
        format!("{place}: {}", whole.strip_suffix(&format!(" at {place}")).unwrap_or(&whole))
    })?;
    if let Some((line, column, token)) = oversized_integer(text) {
        return Err(format!("line {line} column {column}: the integer {token} is beyond 64 bits signed"));
    }
    match value {
        Value::Object(object) if depth(object.values()) <= MAX_DEPTH => Ok(as_stored(without_nulls(object))),
        Value::Object(_) => Err(format!("nested deeper than {MAX_DEPTH} levels")),
        other => Err(format!("line 1 column 1: {} instead of an object", kind(&other))),
    }
}

/// Whether an object is nested deeper than inputs and outputs may be.
#[must_use]
pub fn is_too_deep(object: &Object) -> bool {
    depth(object.values()) > MAX_DEPTH
}

/// Size of an object, in bytes of JSON as people write it.
#[must_use]
pub fn bytes(object: &Object) -> usize {
    serde_json::to_string(object).map_or(0, |text| text.len())
}

/// Size of an object as the API server stores it, which is up to six times as large: it writes `<`, `>`, `&` and two
/// line separators as escapes.
#[must_use]
pub fn stored_bytes(object: &Object) -> usize {
    serde_json::to_string(object).map_or(0, |text| text.chars().map(stored_width).sum())
}

/// Bytes that a text takes where the API server stores it.
#[must_use]
pub fn stored_text_bytes(text: &str) -> usize {
    text.chars().map(text_width).sum()
}

fn text_width(character: char) -> usize {
    match character {
        '"' | '\\' => 2,
        control if control.is_ascii_control() => 6,
        other => stored_width(other),
    }
}

/// A text cut so that it takes no more than a number of bytes where the API server stores it.
#[must_use]
pub fn cut_stored(mut text: String, limit: usize) -> String {
    let (mut size, mut end) = (0, 0);
    for (at, character) in text.char_indices() {
        size += text_width(character);
        if size + '…'.len_utf8() <= limit {
            end = at + character.len_utf8();
        }
    }
    if size > limit {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A text in which nothing but its own line breaks is more than text: what controls a terminal, or turns the direction of
/// writing, is shown as an escape.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' | '\'' | '\n' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

fn stored_width(character: char) -> usize {
    match character {
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => 6,
        other => other.len_utf8(),
    }
}

/// The object without members that are null, at any depth. Nulls that are elements of lists stay, since the others
/// would move.
///
/// Merge patches and `kubectl apply` drop null members before we can see them: null and absent are the same to us.
#[must_use]
pub fn without_nulls(object: Object) -> Object {
    object
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| (key, value_without_nulls(value)))
        .collect()
}

fn value_without_nulls(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(without_nulls(object)),
        Value::Array(elements) => Value::Array(elements.into_iter().map(value_without_nulls).collect()),
        other => other,
    }
}

/// The name of the type of a value, with its article.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// How many objects and lists lie in each other, the outermost included. The parser has bounded the recursion.
fn depth<'a>(members: impl Iterator<Item = &'a Value>) -> usize {
    1 + members
        .map(|member| match member {
            Value::Object(object) => depth(object.values()),
            Value::Array(elements) => depth(elements.iter()),
            _ => 0,
        })
        .max()
        .unwrap_or(0)
}

fn as_stored(mut object: Object) -> Object {
    object.values_mut().for_each(store);
    object
}

fn store(value: &mut Value) {
    match value {
        Value::Object(object) => object.values_mut().for_each(store),
        Value::Array(elements) => elements.iter_mut().for_each(store),
        Value::Number(number) => {
            if let Some(whole) = whole(number) {
                *number = whole;
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The integer that a whole float is after a round trip through the API server. Go and Rust print the same shortest
/// digits, so what parses from them is what will be read back.
fn whole(number: &Number) -> Option<Number> {
    let float = number.as_f64().filter(|_| number.is_f64())?;
    float.to_string().parse::<i64>().map(Number::from).ok()
}

/// From here on, the API server writes a float with an exponent, so that it is read back as a float.
const FIRST_WITH_EXPONENT: f64 = 1e21;

/// Whether a number is stored as an integer that does not fit 64 bits signed.
fn is_oversized(token: &str) -> bool {
    if is_integer(token) {
        return token.parse::<i64>().is_err();
    }
    token.parse::<f64>().is_ok_and(|float| {
        float.fract() == 0.0 && float.abs() < FIRST_WITH_EXPONENT && float.to_string().parse::<i64>().is_err()
    })
}

/// The first number that is stored as an integer beyond 64 bits signed, with its line and column. The text is valid
/// JSON.
fn oversized_integer(text: &str) -> Option<(usize, usize, &str)> {
    let mut in_string = false;
    let mut escaped = false;
    let mut token_start = None;
    let (mut line, mut line_start) = (1, 0);
    for (index, byte) in text.bytes().chain([b' ']).enumerate() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') {
            // The letters `e` of true and false come here too; they are no integers either.
            token_start = token_start.or(Some(index));
        } else {
            let token = token_start.take().and_then(|start| Some((start, text.get(start..index)?)));
            if let Some((start, token)) = token.filter(|(_, token)| is_oversized(token)) {
                return Some((line, start - line_start + 1, token));
            }
            in_string = byte == b'"';
        }
        if byte == b'\n' {
            (line, line_start) = (line + 1, index + 1);
        }
    }
    None
}

fn is_integer(token: &str) -> bool {
    let digits = token.strip_prefix('-').unwrap_or(token);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn check(text: &str, expected: Result<Value, &str>) {
        assert_eq!(parse_outputs(text).map(Value::Object), expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn nothing_is_no_outputs() {
        check("", Ok(json!({})));
        check(" \r\n\t", Ok(json!({})));
        check("{}\n", Ok(json!({})));
    }

    #[test]
    fn what_is_not_an_object_is_refused_with_its_place() {
        check("[1]", Err("line 1 column 1: a list instead of an object"));
        check("null", Err("line 1 column 1: null instead of an object"));
        check("\"x\"", Err("line 1 column 1: a string instead of an object"));
        check("true", Err("line 1 column 1: a boolean instead of an object"));
        check("12", Err("line 1 column 1: a number instead of an object"));
        check("{\"a\":\n xyz}", Err("line 2 column 2: expected value"));
        check("{\"a\": 1", Err("line 1 column 7: EOF while parsing an object"));
        check("{} {}", Err("line 1 column 4: trailing characters"));
        check("{\"a\": NaN}", Err("line 1 column 7: expected value"));
        check("{\"a\": 1e400}", Err("line 1 column 11: number out of range"));
    }

    #[test]
    fn null_members_are_absent_at_any_depth_and_nulls_in_lists_stay() {
        check(
            r#"{"a": null, "b": {"c": null, "d": 1}, "e": [null, {"f": null}]}"#,
            Ok(json!({"b": {"d": 1}, "e": [null, {}]})),
        );
    }

    #[test]
    fn the_last_of_two_equal_keys_wins() {
        check(r#"{"a": 1, "a": 2}"#, Ok(json!({"a": 2})));
        check(r#"{"a": 1, "a": null}"#, Ok(json!({})));
    }

    #[test]
    fn integers_are_exact_or_refused() {
        check(
            r#"{"max": 9223372036854775807, "min": -9223372036854775808, "past": 9007199254740993}"#,
            Ok(json!({"max": i64::MAX, "min": i64::MIN, "past": 9_007_199_254_740_993_i64})),
        );
        check(
            "{\"ok\": true,\n \"a\": [9223372036854775808]}",
            Err("line 2 column 8: the integer 9223372036854775808 is beyond 64 bits signed"),
        );
        check(
            r#"{"a": -9223372036854775809}"#,
            Err("line 1 column 7: the integer -9223372036854775809 is beyond 64 bits signed"),
        );
        check(
            r#"{"a": "9223372036854775808 \" 99999999999999999999"}"#,
            Ok(json!({"a": "9223372036854775808 \" 99999999999999999999"})),
        );
        check(
            r#"{"a\\": 1, "99999999999999999999": false}"#,
            Ok(json!({"a\\": 1, "99999999999999999999": false})),
        );
    }

    #[test]
    fn a_whole_number_is_an_integer_however_it_is_written() {
        check(
            r#"{"a": 1.0, "b": [1e2, -0, 1.5], "c": 1e21}"#,
            Ok(json!({"a": 1, "b": [100, 0, 1.5], "c": 1e21})),
        );
    }

    #[test]
    fn a_whole_number_beyond_64_bits_is_refused_however_it_is_written() {
        let refused = |token: &str| {
            let why = format!("line 1 column 7: the integer {token} is beyond 64 bits signed");
            check(&format!("{{\"a\": {token}}}"), Err(&why));
        };
        refused("1e19");
        refused("-1E19");
        refused("9223372036854775808.0");
        // The nearest float is written as -9223372036854776000.
        refused("-9223372036854775808.0");
        refused("18446744073709551615.0");
        refused("1.5e20");
        refused("999999999999999900000");
        refused("9.999999999999999e20");
    }

    #[test]
    fn what_is_taken_can_be_handed_on_and_back_as_the_api_server_writes_it() {
        for token in ["1e18", "9223372036854774784.0", "1e21", "-1e300", "0.1", "1e-7"] {
            let taken = parse_outputs(&format!("{{\"a\": {token}}}")).unwrap();
            let float = taken["a"].as_f64().unwrap();
            // As Go writes a float: without an exponent up to a bound.
            let is_plain = (1e-6..1e21).contains(&float.abs());
            let written = if is_plain { float.to_string() } else { format!("{float:e}") };
            assert_eq!(parse_outputs(&format!("{{\"a\": {written}}}")).unwrap(), taken, "{token}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let nested = |levels: usize| format!("{}{}", "{\"a\":".repeat(levels - 1) + "{", "}".repeat(levels));
        assert!(parse_outputs(&nested(32)).is_ok());
        check(&nested(33), Err("nested deeper than 32 levels"));
        assert!(parse_outputs(&nested(5000)).is_err());
        assert!(parse_outputs(&format!("{{\"a\":{}{}}}", "[".repeat(32), "]".repeat(32))).is_err());
    }

    #[test]
    fn sizes_are_those_of_what_is_stored() {
        let object = json!({"a": "<>&\u{2028}\u{2029}", "b": "\u{1}\"ü"});
        let object = object.as_object().unwrap();
        // As Go writes it: {"a":"\u003c\u003e\u0026\u2028\u2029","b":"\u0001\"ü"}
        assert_eq!(stored_bytes(object), 55);
        assert_eq!(bytes(object), 55 - 3 * 5 - 2 * 3);
    }

    #[test]
    fn nothing_in_a_printable_text_is_more_than_text() {
        assert_eq!(
            printable("a\u{202e}b\n\u{1b}[31m 'q' \"r\" \\n ü 🦀\u{2028}\u{0}"),
            "a\\u{202e}b\n\\u{1b}[31m 'q' \"r\" \\n ü 🦀\\u{2028}\\0"
        );
    }

    #[test]
    fn a_text_is_cut_by_what_is_stored() {
        assert_eq!(cut_stored("abcdef".to_owned(), 6), "abcdef");
        assert_eq!(cut_stored("abcdefg".to_owned(), 6), "abc…");
        assert_eq!(cut_stored("<<<".to_owned(), 18), "<<<");
        assert_eq!(cut_stored("<<<".to_owned(), 17), "<<…");
        assert_eq!(cut_stored("ü\"\n".to_owned(), 9), "ü\"…");
    }

    proptest! {
        #[test]
        fn a_cut_text_fits(text in any::<String>(), limit in 3usize..40) {
            let cut = cut_stored(text.clone(), limit);
            let object: Object = [("k".to_owned(), json!(cut))].into_iter().collect();
            let whole = limit + "{'k':''}".len();
            prop_assert!(stored_bytes(&object) <= whole, "{}", cut);
            prop_assert!(cut == text || cut.ends_with('…'));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = parse_outputs(&text);
            let _ = parse_outputs(&format!("{{\"a\": {text}}}"));
        }

        #[test]
        fn an_integer_is_kept_or_refused_but_never_rounded(text in "-?[1-9][0-9]{0,24}") {
            match parse_outputs(&format!("{{\"a\": {text}}}")) {
                Ok(object) => prop_assert_eq!(object.get("a").map(ToString::to_string), Some(text)),
                Err(_) => prop_assert!(text.parse::<i64>().is_err()),
            }
        }

        // Numbers of 15 digits, as people write them. Longer or larger ones are exact only with the feature
        // `float_roundtrip` of serde_json.
        #[test]
        fn outputs_are_equal_to_themselves_when_they_are_read_back(
            digits in -999_999_999_999_999_i64..=999_999_999_999_999, exponent in -15..=3
        ) {
            let read = parse_outputs(&format!("{{\"a\": {digits}e{exponent}}}")).map(Value::Object);
            prop_assert!(read.is_ok());
            let printed = read.as_ref().map(ToString::to_string).unwrap_or_default();
            prop_assert_eq!(parse_outputs(&printed).map(Value::Object), read);
        }
    }
}
