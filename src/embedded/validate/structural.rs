//! Structural validation: types, bounds, enumerations, required members, lists as sets and maps.
//!
//! Responsible for: every error at once, worded as the API server words it. Must never: change a value. What is equal
//! to the old value is not validated again, so that an object does not become unwritable when its schema gets
//! stricter.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::schema::{Additional, ListType, Schema, Type};
use crate::embedded::field::{FieldError, Path};

/// Validates a value, and an update of it.
#[derive(Debug, Default)]
pub struct Validation<'a> {
    /// The member that is validated on its own, if it is not the whole object.
    pub part: Option<&'a str>,
    /// What was found.
    pub errors: Vec<FieldError>,
}

impl Validation<'_> {
    /// Validates a value against a schema.
    pub fn check(&mut self, schema: &Schema, value: &Value, old: Option<&Value>, path: &Path<'_>) {
        if old.is_some_and(|old| old == value) {
            return;
        }
        if value.is_null() && schema.nullable {
            return;
        }
        if !self.has_type(schema, value, path) {
            return;
        }
        if !schema.values.is_empty() && !schema.values.contains(value) {
            let supported: Vec<String> =
                schema.values.iter().filter(|value| !value.is_null()).map(quoted).collect();
            self.errors.push(FieldError::not_supported(path, value, &supported));
        }
        match value {
            Value::Object(members) => self.object(schema, members, old, path),
            Value::Array(elements) => self.array(schema, elements, old, path),
            Value::String(text) => self.text(schema, text, path),
            Value::Number(number) => self.number(schema, number, path),
            Value::Bool(_) | Value::Null => {}
        }
        self.branches(schema, value, old, path);
    }

    fn says(&self, path: &Path<'_>, what: &str) -> String {
        let name = path.below(self.part);
        if name.is_empty() { format!("\"\" {what}") } else { format!("{name} {what}") }
    }

    fn has_type(&mut self, schema: &Schema, value: &Value, path: &Path<'_>) -> bool {
        if schema.int_or_string {
            let fits = value.is_string() || is_integer(value);
            if !fits {
                let why =
                    self.says(path, &format!("in body must be of type integer,string: \"{}\"", word(value)));
                self.errors.push(FieldError::type_(path, &json!(word(value)), &why));
            }
            return fits;
        }
        let Some(expected) = schema.type_ else { return true };
        let fits = match expected {
            Type::Object => value.is_object(),
            Type::Array => value.is_array(),
            Type::String => value.is_string(),
            Type::Integer => is_integer(value),
            Type::Number => value.is_number(),
            Type::Boolean => value.is_boolean(),
        };
        if fits {
            return true;
        }
        // A fraction where a whole number is expected is told of twice, and by its format.
        if expected == Type::Integer && value.is_number() {
            let is_plain = schema.format.is_empty();
            let (found, wanted) =
                if is_plain { ("number", "integer") } else { ("float64", schema.format.as_str()) };
            let why = self.says(path, &format!("in body must be of type {wanted}: \"{found}\""));
            self.errors.push(FieldError::type_(path, &json!(found), &why));
            let format =
                if is_plain { "(default format)".to_owned() } else { format!("with format {wanted}") };
            let why = format!("Checked value must be of type integer {format} in {}", path.below(self.part));
            self.errors.push(FieldError::invalid("", &json!(""), &why));
            return false;
        }
        let why =
            self.says(path, &format!("in body must be of type {}: \"{}\"", expected.word(), word(value)));
        self.errors.push(FieldError::type_(path, &json!(word(value)), &why));
        false
    }

    fn object(
        &mut self,
        schema: &Schema,
        members: &Map<String, Value>,
        old: Option<&Value>,
        path: &Path<'_>,
    ) {
        for name in &schema.required {
            if !members.contains_key(name) {
                self.errors.push(FieldError::required(path.member(name), ""));
            }
        }
        let count = members.len();
        if let (Some(least), _) = schema.property_count
            && (count as u64) < least
        {
            let why = self.says(path, &format!("in body should have at least {least} properties"));
            self.errors.push(FieldError::invalid(path, &count, &why));
        }
        if let (_, Some(most)) = schema.property_count
            && count as u64 > most
        {
            self.errors.push(FieldError::too_many(path, count, most));
        }
        for (name, member) in members {
            let old = old.and_then(|old| old.get(name));
            if let Some(inner) = schema.properties.get(name) {
                self.check(inner, member, old, &path.member(name));
            } else if let Additional::Values(inner) = &schema.additional {
                self.check(inner, member, old, &path.key(name));
            }
        }
    }

    fn array(&mut self, schema: &Schema, elements: &[Value], old: Option<&Value>, path: &Path<'_>) {
        let count = elements.len();
        if let (Some(least), _) = schema.item_count
            && (count as u64) < least
        {
            let why = self.says(path, &format!("in body should have at least {least} items"));
            self.errors.push(FieldError::invalid(path, &count, &why));
        }
        if let (_, Some(most)) = schema.item_count
            && count as u64 > most
        {
            self.errors.push(FieldError::too_many(path, count, most));
        }
        if let Some(items) = &schema.items {
            for (index, element) in elements.iter().enumerate() {
                let old = correlated(&schema.list_type, element, old);
                self.check(items, element, old, &path.element(index));
            }
        }
        let keys: Vec<Value> = match &schema.list_type {
            ListType::Atomic => return,
            ListType::Set => elements.to_vec(),
            ListType::Map(keys) => elements.iter().map(|element| keys_of(element, keys, schema)).collect(),
        };
        let mut seen = HashSet::new();
        for (index, key) in keys.iter().enumerate() {
            if !seen.insert(key.to_string()) {
                self.errors.push(FieldError::duplicate(path.element(index), key));
            }
        }
    }

    /// Of a text, the first mistake is told; the format is judged beside.
    fn text(&mut self, schema: &Schema, text: &str, path: &Path<'_>) {
        let length = text.chars().count() as u64;
        let (least, most) = schema.length;
        if let Some(most) = most.filter(|most| length > *most) {
            self.errors.push(FieldError::too_long(path, most));
        } else if let Some(least) = least.filter(|least| length < *least) {
            let why = self.says(path, &format!("in body should be at least {least} chars long"));
            self.errors.push(FieldError::invalid(path, &json!(text), &why));
        } else if let Some((pattern, regex)) = &schema.pattern
            && !regex.is_match(text)
        {
            let why = self.says(path, &format!("in body should match '{pattern}'"));
            self.errors.push(FieldError::invalid(path, &json!(text), &why));
        }
        if schema.format == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
            let why = self.says(path, &format!("in body must be of type date-time: {}", json!(text)));
            self.errors.push(FieldError::type_(path, &json!(text), &why));
        }
    }

    fn number(&mut self, schema: &Schema, number: &serde_json::Number, path: &Path<'_>) {
        let Some(value) = number.as_f64() else { return };
        if let Some(bound) = schema.minimum
            && (value < bound.value || (bound.exclusive && value <= bound.value))
        {
            let or_equal = if bound.exclusive { "" } else { " or equal to" };
            let why = self.says(path, &format!("in body should be greater than{or_equal} {}", bound.value));
            self.errors.push(FieldError::invalid(path, &Value::Number(number.clone()), &why));
        }
        if let Some(bound) = schema.maximum
            && (value > bound.value || (bound.exclusive && value >= bound.value))
        {
            let or_equal = if bound.exclusive { "" } else { " or equal to" };
            let why = self.says(path, &format!("in body should be less than{or_equal} {}", bound.value));
            self.errors.push(FieldError::invalid(path, &Value::Number(number.clone()), &why));
        }
        if let Some(factor) = schema.multiple_of
            && (value / factor).fract().abs() > f64::EPSILON
        {
            let why = self.says(path, &format!("in body should be a multiple of {factor}"));
            self.errors.push(FieldError::invalid(path, &Value::Number(number.clone()), &why));
        }
    }

    fn branches(&mut self, schema: &Schema, value: &Value, old: Option<&Value>, path: &Path<'_>) {
        for branch in &schema.all_of {
            self.check(branch, value, old, path);
        }
        let errors_of = |branch: &Schema| {
            let mut validation = Validation { part: self.part, errors: Vec::new() };
            validation.check(branch, value, None, path);
            validation.errors
        };
        let any: Vec<Vec<FieldError>> = schema.any_of.iter().map(errors_of).collect();
        let one: Vec<Vec<FieldError>> = schema.one_of.iter().map(errors_of).collect();
        let not = schema.not.as_ref().is_some_and(|branch| errors_of(branch).is_empty());
        let valid = one.iter().filter(|errors| errors.is_empty()).count();
        if !any.is_empty() && any.iter().all(|errors| !errors.is_empty()) {
            self.about_branches(path, "must validate at least one schema (anyOf)", any);
        }
        match valid {
            1 => {}
            0 if one.is_empty() => {}
            0 => {
                self.about_branches(
                    path,
                    "must validate one and only one schema (oneOf). Found none valid",
                    one,
                );
            }
            _ => {
                let what = format!(
                    "must validate one and only one schema (oneOf). Found {valid} valid alternatives"
                );
                self.about_branches(path, &what, Vec::new());
            }
        }
        if not {
            self.about_branches(path, "must not validate the schema (not)", Vec::new());
        }
    }

    /// What is told of branches has no field; the mistakes of the branch that fits best are told beside it.
    fn about_branches(&mut self, path: &Path<'_>, what: &str, errors: Vec<Vec<FieldError>>) {
        let why = format!("\"{}\" {what}", path.below(self.part));
        self.errors.push(FieldError::invalid("", &json!(""), &why));
        self.errors.extend(errors.into_iter().min_by_key(Vec::len).into_iter().flatten());
    }
}

/// The element of an old list that a new one is a version of.
#[must_use]
pub fn correlated<'o>(list_type: &ListType, element: &Value, old: Option<&'o Value>) -> Option<&'o Value> {
    let ListType::Map(keys) = list_type else { return None };
    let same = |candidate: &&Value| keys.iter().all(|key| candidate.get(key) == element.get(key));
    old?.as_array()?.iter().find(same)
}

fn keys_of(element: &Value, keys: &[String], schema: &Schema) -> Value {
    let default =
        |key: &String| schema.items.as_ref().and_then(|items| items.properties.get(key)?.default.clone());
    let found = keys
        .iter()
        .filter_map(|key| Some((key.clone(), element.get(key).cloned().or_else(|| default(key))?)));
    Value::Object(found.collect())
}

fn is_integer(value: &Value) -> bool {
    value.is_i64()
        || value.is_u64()
        || value.as_f64().is_some_and(|number| number.fract() == 0.0 && number.abs() < 1e18)
}

/// The word that the API server has for what it found.
fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn quoted(value: &Value) -> String {
    match value {
        Value::String(_) => value.to_string(),
        other => json!(other.to_string()).to_string(),
    }
}
