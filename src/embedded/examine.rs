//! Examination: everything that the server would refuse in a new object, without a server.
//!
//! Responsible for: all of it at once, where a server stops at the first step that fails. Must never: judge what takes
//! other objects to judge, such as a name that is taken.

use serde_json::{Value, json};

use super::field::FieldError;
use super::kinds::Kind;
use super::kinds::strategy::{self, metadata_schema};
use super::refusal::Refusal;
use super::server::MAX_BODY;
use super::server::decode::{cannot_be_handled, complete, strict_words};
use super::validate::rules::Evaluator;
use super::validate::schema::{Additional, Schema};

/// Stands for what only a server can give: a uid, and the end of a generated name.
const UID: &str = "00000000-0000-0000-0000-000000000000";
const GENERATED: &str = "xxxxx";

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Examined {
    /// The object as it would be stored: pruned, with defaults.
    pub object: Value,
    /// It is larger than what a server reads.
    pub is_too_large: bool,
    /// What in it has a type that cannot be decoded, in the decoder's words. Nothing else was looked at then.
    pub undecodable: Option<String>,
    /// The paths of fields that its kind does not have.
    pub unknown: Vec<String>,
    /// What is wrong with the others.
    pub errors: Vec<FieldError>,
}

/// Examines an object that somebody wants to create, as strictly as a server can be asked to.
#[must_use]
pub fn examine(kind: &Kind, object: &Value, evaluator: &Evaluator) -> Examined {
    let is_too_large = serde_json::to_vec(object).is_ok_and(|body| body.len() > MAX_BODY);
    let mut object = object.clone();
    let unknown = match complete(kind, &mut object) {
        Ok(unknown) => unknown,
        Err(words) => {
            let (undecodable, unknown, errors) = (Some(words), Vec::new(), Vec::new());
            return Examined { object, is_too_large, undecodable, unknown, errors };
        }
    };
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let prefix = metadata.get("generateName").and_then(Value::as_str).unwrap_or_default();
        if !prefix.is_empty() && metadata.get("name").is_none() {
            let name = format!("{}{GENERATED}", prefix.chars().take(58).collect::<String>());
            metadata.insert("name".to_owned(), json!(name));
        }
        metadata.insert("uid".to_owned(), json!(UID));
    }
    if let Some(members) = object.as_object_mut() {
        strategy::prepare_create(kind, members);
    }
    let errors = strategy::check(kind, &object, None, false, evaluator);
    Examined { object, is_too_large, undecodable: None, unknown, errors }
}

impl Examined {
    /// The answer of a server, if it would refuse the object.
    #[must_use]
    pub fn refusal(&self, kind: &Kind) -> Option<Refusal> {
        if self.is_too_large {
            return Some(Refusal::too_large(MAX_BODY));
        }
        if let Some(words) = &self.undecodable {
            return Some(cannot_be_handled(kind, words));
        }
        if !self.unknown.is_empty() {
            return Some(cannot_be_handled(kind, &strict_words(&[], &self.unknown)));
        }
        let name = self.object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        (!self.errors.is_empty()).then(|| Refusal::invalid(kind, name, &self.errors))
    }
}

/// The fields that an object of a kind may have beside one, given the path of that.
#[must_use]
pub fn fields_beside<'k>(kind: &'k Kind, path: &str) -> Vec<&'k str> {
    let segments: Vec<&str> = path.split('.').collect();
    let Some((_, parents)) = segments.split_last() else { return Vec::new() };
    let (mut schema, parents): (&Schema, &[&str]) = match parents {
        ["metadata", rest @ ..] => (metadata_schema(), rest),
        parents => (kind.schema(), parents),
    };
    for segment in parents {
        let (name, elements) = segment.split_once('[').unwrap_or((segment, ""));
        let inner = schema.properties.get(name).or(match &schema.additional {
            Additional::Values(inner) => Some(inner),
            Additional::Unsaid | Additional::Any => None,
        });
        let Some(inner) = inner else { return Vec::new() };
        schema = inner;
        for _ in elements.matches(']') {
            let Some(items) = &schema.items else { return Vec::new() };
            schema = items;
        }
    }
    schema.properties.keys().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::kinds::builtin;
    use crate::embedded::kinds::definition::Definition;

    fn kind(name: &str) -> std::sync::Arc<Kind> {
        let ours = crate::api::crds()
            .into_iter()
            .flat_map(|crd| Definition::compile(&serde_json::to_value(crd).unwrap()).unwrap().kinds);
        ours.chain(builtin::all().iter().cloned()).find(|kind| kind.kind == name).unwrap()
    }

    #[test]
    fn all_is_told_at_once() {
        let object = json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition",
            "metadata": {"generateName": "d-", "label": {}},
            "spec": {"activities": [{"id": "A", "type": "t", "dependOn": "b"}], "parallelism": 0},
        });
        let found = examine(&kind("OrchestrationDefinition"), &object, &Evaluator::default());
        assert_eq!(found.unknown, ["metadata.label", "spec.activities[0].dependOn"]);
        let told: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "spec.activities[0].id: Invalid value: \"A\": spec.activities[0].id in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'",
                "spec.parallelism: Invalid value: 0: spec.parallelism in body should be greater than or equal to 1",
            ]
        );
        assert_eq!(found.object.pointer("/spec/active"), Some(&json!(true)), "defaults are applied");
    }

    #[test]
    fn a_refusal_is_worded_as_the_server_words_it() {
        let job = |template: Value| json!({"metadata": {"name": "j"}, "spec": {"template": template}});
        let told = |template: Value| {
            let kind = kind("Job");
            examine(&kind, &job(template), &Evaluator::default())
                .refusal(&kind)
                .map(|refusal| refusal.message)
        };
        let pod = |container: Value| json!({"spec": {"restartPolicy": "Never", "containers": [container]}});
        assert_eq!(told(pod(json!({"name": "main", "image": "i:1"}))), None);
        assert_eq!(
            told(pod(json!({"name": "main"}))).unwrap(),
            "Job.batch \"j\" is invalid: spec.template.spec.containers[0].image: Required value"
        );
        assert_eq!(
            told(pod(json!({"name": "main", "image": "i:1", "comand": []}))).unwrap(),
            "Job in version \"v1\" cannot be handled as a Job: strict decoding error: unknown field \"spec.template.spec.containers[0].comand\""
        );
        let mut annotated = pod(json!({"name": "main", "image": "i:1"}));
        annotated["metadata"] = json!({"annotations": {"a": "x".repeat(262_144)}});
        assert_eq!(
            told(annotated).unwrap(),
            "Job.batch \"j\" is invalid: spec.template.annotations: Too long: may not be more than 262144 bytes"
        );
        assert!(
            told(pod(json!({"name": 7}))).unwrap().contains("cannot unmarshal number into Go struct field")
        );
    }

    #[test]
    fn fields_are_known_at_any_depth() {
        let kind = kind("OrchestrationDefinition");
        assert!(fields_beside(&kind, "spec.activities[3].wen").contains(&"when"));
        assert!(fields_beside(&kind, "metadata.nam").contains(&"name"));
        assert!(fields_beside(&kind, "sepc").contains(&"spec"));
        assert_eq!(fields_beside(&kind, "spec.nowhere.at[0].all"), Vec::<&str>::new());
    }
}
