//! Schemas of activity types, compiled once for every version of an ActivityDefinition.
//!
//! Responsible for: that a definition of a hundred activities, or a hundred definitions that share their activity types,
//! do not compile the same schemas again and again. Must never: answer with those of another version.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::ResourceExt;

use crate::api::ActivityDefinition;
use crate::engine::activity_type::{self, Schemas};
use crate::engine::problem::Problem;

/// Most activity types whose schemas are kept compiled. More are compiled again when they are needed.
const CACHED: usize = 1_024;

/// Compiled schemas by the uid of the ActivityDefinition, with the generation that they are of. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct SchemaCache(Arc<Mutex<HashMap<String, (i64, Outcome)>>>);

type Outcome = Result<Schemas, Arc<[Problem]>>;

impl SchemaCache {
    /// The schemas of an activity type.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn of(&self, definition: &ActivityDefinition) -> Result<Schemas, Arc<[Problem]>> {
        let uid = definition.uid().unwrap_or_default();
        let generation = definition.metadata.generation.unwrap_or_default();
        let known = self.lock().get(&uid).filter(|(of, _)| *of == generation).map(|(_, found)| found.clone());
        if let Some(found) = known.filter(|_| !uid.is_empty()) {
            return found;
        }
        let found = activity_type::compile(&definition.spec).map_err(Arc::from);
        let mut all = self.lock();
        if all.len() >= CACHED {
            all.clear();
        }
        all.insert(uid, (generation, found.clone()));
        found
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (i64, Outcome)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn type_(uid: &str, generation: i64, schema: &str) -> ActivityDefinition {
        serde_json::from_value(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition",
            "metadata": {"name": "t", "uid": uid, "generation": generation}, "spec": {"inputSchema": {"type": schema}},
        }))
        .unwrap()
    }

    fn is_same(one: &Schemas, other: &Schemas) -> bool {
        one.input.as_ref().unwrap().is_same(other.input.as_ref().unwrap())
    }

    #[test]
    fn a_version_is_compiled_once() {
        let cache = SchemaCache::default();
        let first = cache.of(&type_("u", 1, "object")).unwrap();
        assert!(is_same(&first, &cache.of(&type_("u", 1, "object")).unwrap()));
        let shared = cache.clone();
        assert!(is_same(&first, &shared.of(&type_("u", 1, "object")).unwrap()), "clones share it");
        assert!(!is_same(&first, &cache.of(&type_("v", 1, "object")).unwrap()), "another one of this name");
        let edited = cache.of(&type_("u", 2, "object")).unwrap();
        assert!(!is_same(&first, &edited));
        assert!(is_same(&edited, &cache.of(&type_("u", 2, "object")).unwrap()));
    }

    #[test]
    fn an_edit_is_seen_in_both_directions() {
        let cache = SchemaCache::default();
        assert!(cache.of(&type_("u", 1, "object")).is_ok());
        let told = cache.of(&type_("u", 2, "strng")).unwrap_err();
        assert_eq!(told[0].path, "spec.inputSchema.type");
        assert_eq!(cache.of(&type_("u", 2, "strng")).unwrap_err(), told);
        assert!(cache.of(&type_("u", 3, "object")).is_ok());
    }
}
