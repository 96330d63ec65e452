//! Decoding: bytes become JSON, and what is said twice is noticed.
//!
//! Responsible for: bounds on nesting, duplicate members with their paths. Must never: interpret a member.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads JSON. The error names the character that does not belong.
pub fn read(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map_err(|error| words(bytes, &error))
}

/// Reads JSON, and notes the paths of members that are there twice.
pub fn read_strictly(bytes: &[u8]) -> Result<(Value, Vec<String>), String> {
    let mut duplicates = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { path: String::new(), duplicates: &mut duplicates }.deserialize(&mut deserializer);
    let value =
        value.and_then(|value| deserializer.end().map(|()| value)).map_err(|error| words(bytes, &error))?;
    Ok((value, duplicates))
}

fn words(bytes: &[u8], error: &serde_json::Error) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.trim().is_empty() || error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    if error.to_string().contains("recursion limit") {
        return "exceeded max depth: the embedded server reads 127 levels".to_owned();
    }
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let character = line.as_bytes().get(error.column().saturating_sub(1)).copied().map_or('?', char::from);
    let place =
        if error.to_string().contains("key must be a string") { "object key string" } else { "value" };
    format!("invalid character '{character}' looking for beginning of {place}")
}

/// A whole number that was written with a point is written without one from then on.
pub fn whole_numbers(value: &mut Value) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(whole_numbers),
        Value::Object(members) => members.values_mut().for_each(whole_numbers),
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().unwrap_or_default();
            if let Some(whole) = whole(float) {
                *value = whole;
            }
        }
        _ => {}
    }
}

fn whole(float: f64) -> Option<Value> {
    if float.fract() != 0.0 || float.abs() >= 1e15 {
        return None;
    }
    format!("{float:.0}").parse::<i64>().ok().map(Value::from)
}

struct Strict<'d> {
    path: String,
    duplicates: &'d mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let seed =
                Strict { path: format!("{}[{}]", self.path, list.len()), duplicates: &mut *self.duplicates };
            match elements.next_element_seed(seed)? {
                Some(element) => list.push(element),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let path = if self.path.is_empty() { name.clone() } else { format!("{}.{name}", self.path) };
            if members.contains_key(&name) && !self.duplicates.contains(&path) {
                self.duplicates.push(path.clone());
            }
            let value = entries.next_value_seed(Strict { path, duplicates: &mut *self.duplicates })?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn duplicates_are_noticed_and_the_last_one_counts() {
        let (value, duplicates) = read_strictly(br#"{"a": 1, "b": [{"c": 1, "c": 2}], "a": -2.5}"#).unwrap();
        assert_eq!(value, json!({"a": -2.5, "b": [{"c": 2}]}));
        assert_eq!(duplicates, ["b[0].c", "a"]);
    }

    #[test]
    fn garbage_is_named() {
        for (bytes, words) in [
            (&b"{garbage"[..], "invalid character 'g' looking for beginning of object key string"),
            (b"", "unexpected end of JSON input"),
            (b"{\"a\": x}", "invalid character 'x' looking for beginning of value"),
        ] {
            assert_eq!(read(bytes).unwrap_err(), words);
            assert_eq!(read_strictly(bytes).unwrap_err(), words);
        }
        assert!(read("[".repeat(200).as_bytes()).unwrap_err().contains("max depth"));
    }
}
