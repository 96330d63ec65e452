//! CEL rules: the `x-kubernetes-validations` of a schema.
//!
//! Responsible for: compiling a rule once, and evaluating it on every value it concerns, with the old value where the
//! two belong together. Must never: evaluate on an object that its schema does not hold for.

mod reads;

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::cel::objects::{Key, Map as CelMap};
use kube_cel::cel::{Context, Program, Value as Cel};
use serde_json::Value;

use super::schema::{Additional, ListType, Schema};
use super::structural::correlated;
use crate::embedded::field::{FieldError, Path};
use crate::engine::expression::library;
use reads::{Extent, Reads};

/// One rule.
pub struct Rule {
    text: String,
    program: Program,
    message: Option<String>,
    message_program: Option<Program>,
    reason: String,
    field_path: Option<String>,
    transition: bool,
    optional_old: bool,
    /// What it reads of `self` and of `oldSelf`.
    reads: [Reads; 2],
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Rule").field(&self.text).finish()
    }
}

impl Rule {
    /// Compiles a rule as it stands in a schema. The error says what is wrong with it.
    pub fn compile(raw: &Value) -> Result<Self, String> {
        let text = |key: &str| raw.get(key).and_then(Value::as_str).map(str::to_owned);
        let compiled =
            |source: &str| Program::compile(source).map_err(|error| format!("compilation failed: {error}"));
        let rule = text("rule").filter(|rule| !rule.trim().is_empty()).ok_or("rule is not specified")?;
        let program = compiled(&rule)?;
        Ok(Self {
            transition: program.references().has_variable("oldSelf"),
            reads: reads::of(program.expression()),
            program,
            message: text("message"),
            message_program: text("messageExpression").map(|source| compiled(&source)).transpose()?,
            reason: text("reason").unwrap_or_default(),
            field_path: text("fieldPath"),
            optional_old: raw.get("optionalOldSelf").and_then(Value::as_bool).unwrap_or_default(),
            text: rule,
        })
    }
}

/// How a rule sees a value.
#[derive(Clone, Copy)]
struct View<'v> {
    reads: &'v Reads,
    is_root: bool,
    /// The new value, when this is the old one.
    compared_to: Option<&'v Value>,
}

/// Evaluates rules.
pub struct Evaluator {
    functions: &'static Context<'static>,
    /// Turns a text into a time; the CEL crate has the type, and only a program makes values of it.
    timestamp: Option<Program>,
    duration: Option<Program>,
}

impl std::fmt::Debug for Evaluator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Evaluator")
    }
}

impl Default for Evaluator {
    fn default() -> Self {
        Self {
            functions: library(),
            timestamp: Program::compile("timestamp(text)").ok(),
            duration: Program::compile("duration(text)").ok(),
        }
    }
}

impl Evaluator {
    /// Evaluates all rules of a schema on a value.
    pub fn check(
        &self,
        schema: &Schema,
        value: &Value,
        old: Option<&Value>,
        path: &Path<'_>,
        errors: &mut Vec<FieldError>,
    ) {
        if !schema.ruled {
            return;
        }
        for rule in &schema.rules {
            self.check_rule(rule, schema, value, old, path, errors);
        }
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    if let Some(inner) = schema.properties.get(name) {
                        let old = old.and_then(|old| old.get(name));
                        self.check(inner, member, old, &path.member(name), errors);
                    } else if let Additional::Values(inner) = &schema.additional {
                        // Values of an atomic map are not versions of each other.
                        let old = if schema.atomic_map { None } else { old.and_then(|old| old.get(name)) };
                        self.check(inner, member, old, &path.key(name), errors);
                    }
                }
            }
            Value::Array(elements) => {
                let Some(items) = &schema.items else { return };
                for (index, element) in elements.iter().enumerate() {
                    let old = correlated(&schema.list_type, element, old);
                    self.check(items, element, old, &path.element(index), errors);
                }
            }
            _ => {}
        }
    }

    fn check_rule(
        &self,
        rule: &Rule,
        schema: &Schema,
        value: &Value,
        old: Option<&Value>,
        path: &Path<'_>,
        errors: &mut Vec<FieldError>,
    ) {
        if rule.transition && old.is_none() && !rule.optional_old {
            return;
        }
        if !rule.transition && old == Some(value) {
            return;
        }
        let is_root = matches!(path, Path::Root);
        let [reads, reads_old] = &rule.reads;
        let mut context = self.functions.new_inner_scope();
        let view = View { reads, is_root, compared_to: None };
        context.add_variable_from_value("self", self.root(schema, value, view));
        if rule.transition {
            let view = View { reads: reads_old, is_root, compared_to: Some(value) };
            context.add_variable_from_value(
                "oldSelf",
                old.map_or(Cel::Null, |old| self.root(schema, old, view)),
            );
        }
        let why = match rule.program.execute(&context) {
            Ok(Cel::Bool(true)) => return,
            Ok(Cel::Bool(false)) => self.message(rule, schema, value, old, path),
            Ok(_) => format!("rule \"{}\" did not evaluate to bool", rule.text),
            Err(error) => format!("rule evaluation error: {error}"),
        };
        let field = match &rule.field_path {
            Some(below) => format!("{path}{below}").trim_start_matches('.').to_owned(),
            None => path.to_string(),
        };
        errors.push(match rule.reason.as_str() {
            "FieldValueRequired" => FieldError::required(field, &why),
            "FieldValueForbidden" => FieldError::forbidden(field, &why),
            "FieldValueDuplicate" => FieldError::duplicate(field, value),
            _ if value.is_object() || value.is_array() => FieldError::invalid_unquoted(field, &why),
            _ => FieldError::invalid(field, value, &why),
        });
    }

    fn message(
        &self,
        rule: &Rule,
        schema: &Schema,
        value: &Value,
        old: Option<&Value>,
        path: &Path<'_>,
    ) -> String {
        if let Some(program) = &rule.message_program {
            let whole =
                View { reads: &Reads::Everything, is_root: matches!(path, Path::Root), compared_to: None };
            let mut context = self.functions.new_inner_scope();
            context.add_variable_from_value("self", self.root(schema, value, whole));
            if let Some(old) = old {
                context.add_variable_from_value("oldSelf", self.root(schema, old, whole));
            }
            if let Ok(Cel::String(message)) = program.execute(&context) {
                return message.to_string();
            }
        }
        rule.message.clone().unwrap_or_else(|| format!("failed rule: {}", rule.text))
    }

    /// A value as a rule sees it: at the root of an object, of the metadata only the name.
    fn root(&self, schema: &Schema, value: &Value, view: View<'_>) -> Cel {
        let Value::Object(members) = value else { return self.convert(Some(schema), value) };
        let mut map = HashMap::new();
        let is_map = is_map(schema);
        for (name, member) in members {
            let key = if is_map { name.clone() } else { escape(name) };
            let Some(extent) = view.reads.of(&key) else { continue };
            let inner = schema.member(name);
            // Times are equal as times, whatever their text.
            let is_one = (member.is_object() || member.is_array()) && !inner.is_some_and(|inner| inner.timed);
            let converted = match extent {
                Extent::Presence => Cel::Null,
                _ if view.is_root && name == "metadata" => self.convert(None, &only_names(member)),
                _ if view.is_root && matches!(name.as_str(), "apiVersion" | "kind") => {
                    self.convert(None, member)
                }
                // Any two values do that are equal when these are: here 0, and 1 for another old one.
                Extent::Comparison if is_one => {
                    Cel::Int(i64::from(view.compared_to.is_some_and(|new| new.get(name) != Some(member))))
                }
                _ => match inner {
                    Some(inner) => self.convert(Some(inner), member),
                    // Preserved unknown members are invisible to CEL below an object of known members.
                    None if is_map || schema.properties.is_empty() => self.convert(None, member),
                    None => continue,
                },
            };
            map.insert(Key::String(Arc::new(key)), converted);
        }
        Cel::Map(CelMap { map: Arc::new(map) })
    }

    fn convert(&self, schema: Option<&Schema>, value: &Value) -> Cel {
        match value {
            Value::Null => Cel::Null,
            Value::Bool(flag) => Cel::Bool(*flag),
            Value::Number(number) => {
                let is_float = schema.is_some_and(|schema| schema.type_ == Some(super::schema::Type::Number));
                match number.as_i64() {
                    Some(integer) if !is_float => Cel::Int(integer),
                    _ => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
                }
            }
            Value::String(text) => self.text(schema.map_or("", |schema| schema.format.as_str()), text),
            Value::Array(elements) => {
                let items = schema.and_then(|schema| schema.items.as_deref());
                Cel::List(Arc::new(elements.iter().map(|element| self.convert(items, element)).collect()))
            }
            Value::Object(members) => {
                let is_map = schema.is_some_and(is_map);
                let convert = |(name, member): (&String, &Value)| {
                    let key = if is_map { name.clone() } else { escape(name) };
                    (
                        Key::String(Arc::new(key)),
                        self.convert(schema.and_then(|schema| schema.member(name)), member),
                    )
                };
                Cel::Map(CelMap { map: Arc::new(members.iter().map(convert).collect()) })
            }
        }
    }

    fn text(&self, format: &str, text: &str) -> Cel {
        let plain = Cel::String(Arc::new(text.to_owned()));
        let program = match format {
            "date-time" => &self.timestamp,
            "duration" => &self.duration,
            _ => return plain,
        };
        let Some(program) = program else { return plain };
        let mut context = self.functions.new_inner_scope();
        context.add_variable_from_value("text", plain.clone());
        program.execute(&context).unwrap_or(plain)
    }
}

/// Whether what is wrong keeps rules from being evaluated.
#[must_use]
pub fn is_blocked_by(errors: &[FieldError]) -> bool {
    use crate::embedded::field::Fault;
    let blocks = |fault: Fault| {
        matches!(fault, Fault::NotSupported | Fault::Required | Fault::TooLong | Fault::TooMany | Fault::Type)
    };
    errors.iter().any(|error| blocks(error.fault))
}

/// What is said when rules were not evaluated.
#[must_use]
pub fn not_checked() -> FieldError {
    let why = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
    FieldError::invalid("", &Value::Null, why)
}

fn is_map(schema: &Schema) -> bool {
    !matches!(schema.additional, Additional::Unsaid) && !matches!(schema.list_type, ListType::Map(_))
}

fn only_names(metadata: &Value) -> Value {
    let members = metadata.as_object().into_iter().flatten();
    let kept = members.filter(|(name, _)| matches!(name.as_str(), "name" | "generateName"));
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// A member's name as CEL can write it.
fn escape(name: &str) -> String {
    const RESERVED: [&str; 21] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    let mut escaped = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let (written, length) = match first {
            '_' if rest.starts_with("__") => ("__underscores__", 2),
            '.' => ("__dot__", 1),
            '-' => ("__dash__", 1),
            '/' => ("__slash__", 1),
            _ => ("", first.len_utf8()),
        };
        if written.is_empty() {
            escaped.push(first);
        } else {
            escaped.push_str(written);
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::needless_pass_by_value,
        reason = "a call with a json literal reads better without a borrow"
    )]

    use super::*;
    use serde_json::json;

    fn messages(schema: Value, value: Value, old: Option<Value>) -> Vec<String> {
        let mut errors = Vec::new();
        let schema = Schema::compile(&schema).unwrap();
        Evaluator::default().check(&schema, &value, old.as_ref(), &Path::Root, &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    fn ruled(rule: &str, properties: Value) -> Value {
        json!({"type": "object", "properties": {"s": {"type": "object", "properties": properties,
            "x-kubernetes-validations": [{"rule": rule, "message": "no"}]}}})
    }

    #[test]
    fn rules_see_members_old_values_and_times() {
        let times = json!({"a": {"type": "string", "format": "date-time"}, "b-c": {"type": "integer"}});
        let rule = "!has(oldSelf.a) || self.a >= oldSelf.a";
        let of = |a: &str| json!({"s": {"a": a}});
        let (one, two) = (of("2026-01-01T00:00:00Z"), of("2026-01-01T01:00:00+02:00"));
        assert_eq!(
            messages(ruled(rule, times.clone()), two.clone(), Some(one.clone())),
            ["s: Invalid value: no"]
        );
        assert!(messages(ruled(rule, times.clone()), one, Some(two.clone())).is_empty());
        assert!(messages(ruled(rule, times.clone()), two, None).is_empty());
        assert!(
            messages(ruled("self.b__dash__c == 2", times.clone()), json!({"s": {"b-c": 2}}), None).is_empty()
        );
        assert!(
            messages(
                ruled("self == oldSelf", times),
                json!({"s": {"b-c": 2}}),
                Some(json!({"s": {"b-c": 2}}))
            )
            .is_empty()
        );
    }

    #[test]
    fn elements_of_a_map_list_have_old_values_and_others_have_not() {
        let items = json!({"type": "object", "properties": {"k": {"type": "string"}, "n": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.n >= oldSelf.n"}]});
        let list = |kind: Value| {
            let mut schema = json!({"type": "array", "items": items.clone()});
            schema.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
            json!({"type": "object", "properties": {"l": schema}})
        };
        let map = json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]});
        let (old, new) =
            (json!({"l": [{"k": "a", "n": 2}]}), json!({"l": [{"k": "b", "n": 0}, {"k": "a", "n": 1}]}));
        let told = messages(list(map), new.clone(), Some(old.clone()));
        assert_eq!(told, ["l[1]: Invalid value: failed rule: self.n >= oldSelf.n"]);
        assert!(messages(list(json!({})), new, Some(old)).is_empty());
    }
}
