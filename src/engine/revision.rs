//! Revisions: a definition together with its activity types, under a name that follows from the content.
//!
//! Responsible for: what an Orchestration is pinned to, so that later edits change nothing for it. Must never: store
//! or fetch anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::definition::{Compiled, TypeState, compile};
use super::names::hash;
use super::problem::{self, Problem, ProblemCode};
use crate::api::{ActivityDefinitionSpec, OrchestrationDefinitionSpec};

/// Largest revision, in bytes of JSON: what etcd takes in one object, less what else stands in it.
pub const MAX_BYTES: usize = 1_000_000;

/// A definition with the activity types that it names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// The definition and the generation that it was read at.
    pub definition: Versioned<OrchestrationDefinitionSpec>,
    /// The activity types by name, with their generations.
    pub activity_definitions: BTreeMap<String, Versioned<ActivityDefinitionSpec>>,
}

/// A spec and the `metadata.generation` that it was read at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Versioned<T> {
    /// The generation.
    pub generation: i64,
    /// The spec.
    pub spec: T,
}

/// A revision that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Pinned {
    /// Name of the ControllerRevision.
    pub name: String,
    /// The graph.
    pub compiled: Compiled,
    /// The activity types by name.
    pub types: BTreeMap<String, ActivityDefinitionSpec>,
}

impl Revision {
    /// Name of the revision of a definition: `<definition>-<hash of the content>`, a DNS subdomain of at most 253
    /// characters. Equal content has an equal name.
    #[must_use]
    pub fn name(&self, definition: &str) -> String {
        let content = serde_json::to_string(&self.to_data()).unwrap_or_default();
        let cut: String = definition.chars().take(240).collect();
        format!("{}-{}", cut.trim_end_matches(['.', '-']), hash(&format!("{definition}/{content}")))
    }

    /// Why it is too large to be stored, if it is.
    #[must_use]
    pub fn check_size(&self) -> Option<Problem> {
        let bytes = self.to_data().to_string().len();
        let message = format!(
            "the definition and its ActivityDefinitions have {bytes} bytes of JSON together, at most {MAX_BYTES} can be stored"
        );
        (bytes > MAX_BYTES).then(|| Problem::new(ProblemCode::LimitExceeded, "spec.activities", message))
    }

    /// The content as it is stored.
    #[must_use]
    pub fn to_data(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The content as it was stored.
    pub fn from_data(data: Value) -> Result<Self, String> {
        serde_json::from_value(data).map_err(|error| error.to_string())
    }

    /// Compiles the revision. It was compiled before it was stored, so that a problem means that another version of
    /// the orchestrator stored it.
    pub fn pin(self, name: String) -> Result<Pinned, String> {
        let types = &self.activity_definitions;
        let known = |type_: &str| {
            types.get(type_).map_or(TypeState::Missing, |versioned| TypeState::Ready(&versioned.spec))
        };
        let compiled = compile(&self.definition.spec, known)
            .map_err(|problems: Vec<Problem>| problem::text(&problems))?;
        let types =
            self.activity_definitions.into_iter().map(|(type_, versioned)| (type_, versioned.spec)).collect();
        Ok(Pinned { name, compiled, types })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::expression::Expression;
    use k8s_openapi::api::apps::v1::ControllerRevision;
    use serde_json::json;

    fn revision(id: &str) -> Revision {
        Revision::from_data(json!({
            "definition": {"generation": 1, "spec": {"activities": [{"id": id, "type": "t"}]}},
            "activityDefinitions": {"t": {"generation": 2, "spec": {"job": {"template": {"spec": {"containers": []}}}}}},
        }))
        .unwrap()
    }

    #[test]
    fn a_name_follows_from_the_content() {
        assert_eq!(revision("a").name("d"), revision("a").name("d"));
        assert_ne!(revision("a").name("d"), revision("b").name("d"));
        assert_ne!(revision("a").name("d"), revision("a").name("e"));
        assert!(revision("a").name(&"x".repeat(253)).len() <= 253);
    }

    #[test]
    fn what_is_stored_can_be_run_again() {
        let pinned = Revision::from_data(revision("a").to_data()).unwrap().pin("n".to_owned()).unwrap();
        assert_eq!(pinned.compiled.tier_ids(), [["a"]]);
        assert!(pinned.types.contains_key("t"));
    }

    /// A revision as a version of the orchestrator stored it: an Orchestration may still run from it.
    fn check_stored(stored: &str, definition: &str, tiers: &[&[&str]], expected: &Value) {
        let stored: ControllerRevision = serde_json::from_str(stored).unwrap();
        let (name, data) = (stored.metadata.name.unwrap(), stored.data.0);
        let revision = Revision::from_data(data.clone()).unwrap();
        assert_eq!(revision.to_data(), data, "nothing is lost or added");
        assert_eq!(revision.name(definition), name, "or nobody would take it for what its name says");
        let pinned = revision.pin(name.clone()).unwrap();
        assert_eq!(
            (pinned.name, pinned.compiled.tier_ids()),
            (name, tiers.iter().map(|ids| ids.iter().map(ToString::to_string).collect()).collect())
        );
        let shown = pinned.compiled.activities.iter().map(|activity| {
            json!({
                "inputs": activity.inputs.iter().map(|input| input.target.as_str()).collect::<Vec<_>>(),
                "when": activity.when.as_ref().map(Expression::source),
                "schemas": [activity.input_schema.is_some(), activity.output_schema.is_some()],
                "read": activity.outputs_are_read,
            })
        });
        assert_eq!(shown.collect::<Value>(), *expected);
    }

    #[test]
    fn what_version_0_1_0_stored_still_runs_the_same() {
        check_stored(
            include_str!("../../tests/fixtures/revision/0.1.0/site.json"),
            "site.example.com",
            &[&["plan"], &["router"], &["monitor"]],
            &json!([
                {"inputs": ["site", "block"], "when": null, "schemas": [true, true], "read": true},
                {"inputs": ["address", "gateway", "carrier"], "when": null, "schemas": [true, true], "read": true},
                {"inputs": ["site", "hosts"], "when": "input.stage == \"production\" && size(activities.plan.outputs.hosts) > 0",
                    "schemas": [true, true], "read": true},
            ]),
        );
        check_stored(
            include_str!("../../tests/fixtures/revision/0.1.0/document.json"),
            "tenant.example.com",
            &[&["activity1"], &["activity2"]],
            &json!([
                {"inputs": ["cell", "baseUrl"], "when": null, "schemas": [true, true], "read": true},
                {"inputs": ["resourceId"], "when": null, "schemas": [true, true], "read": false},
            ]),
        );
    }
}
