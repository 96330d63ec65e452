//! Kinds: what the server can store, and under which paths.
//!
//! Responsible for: one description of a kind for all that is generic. Must never: treat a custom kind by its name;
//! what is particular to a built-in one stands in its strategy.

pub mod builtin;
pub mod config;
pub mod definition;
pub mod event;
pub mod job;
pub mod pod;
pub mod strategy;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::validate::schema::Schema;
use strategy::Strategy;

type MakeSchema = Box<dyn FnOnce() -> Schema + Send>;

/// A kind in one version.
pub struct Kind {
    /// The API group; empty for the core.
    pub group: String,
    /// The version in the group.
    pub version: String,
    /// The kind.
    pub kind: String,
    /// The kind of its lists.
    pub list_kind: String,
    /// Its word in paths.
    pub plural: String,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// Whether the status is written on its own.
    pub has_status: bool,
    /// What is particular to it.
    pub strategy: Strategy,
    /// Labels of field selectors beside name and namespace, with the path of the value in the stored object.
    pub fields: Vec<(String, Vec<String>)>,
    /// Where its objects are; kinds with the same one share them.
    pub storage: String,
    schema: LazyLock<Schema, MakeSchema>,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Kind({}, {})", self.api_version(), self.kind)
    }
}

impl Kind {
    /// `group/version`, or the version alone in the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `plural.group`.
    #[must_use]
    pub fn qualified_plural(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    /// `Kind.group`.
    #[must_use]
    pub fn qualified_kind(&self) -> String {
        qualified(&self.kind, &self.group)
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Whether a definition made it.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        matches!(self.strategy, Strategy::Custom)
    }

    /// An object as this kind shows it, if that is not as it is stored.
    #[must_use]
    pub fn view(&self, stored: &Value) -> Option<Value> {
        match self.strategy {
            Strategy::NewEvent => Some(event::to_new(stored)),
            Strategy::Custom
                if stored.get("apiVersion").and_then(Value::as_str) != Some(&self.api_version()) =>
            {
                let mut shown = stored.clone();
                if let Some(members) = shown.as_object_mut() {
                    members.insert("apiVersion".to_owned(), Value::String(self.api_version()));
                }
                Some(shown)
            }
            _ => None,
        }
    }
}

fn qualified(word: &str, group: &str) -> String {
    if group.is_empty() { word.to_owned() } else { format!("{word}.{group}") }
}

/// All kinds of a server.
#[derive(Clone, Debug)]
pub struct Kinds {
    /// By group, version and plural.
    by_path: BTreeMap<(String, String, String), Arc<Kind>>,
}

impl Default for Kinds {
    fn default() -> Self {
        let mut kinds = Self { by_path: BTreeMap::new() };
        builtin::all().iter().for_each(|kind| kinds.insert(Arc::clone(kind)));
        kinds
    }
}

impl Kinds {
    /// Adds a kind, or puts it in the place of the one with the same path.
    pub fn insert(&mut self, kind: Arc<Kind>) {
        self.by_path.insert((kind.group.clone(), kind.version.clone(), kind.plural.clone()), kind);
    }

    /// Takes away all versions of a custom kind.
    pub fn remove(&mut self, group: &str, plural: &str) {
        self.by_path.retain(|_, kind| !(kind.is_custom() && kind.group == group && kind.plural == plural));
    }

    /// The kind under a path.
    #[must_use]
    pub fn at(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.by_path.get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// A kind by the words of an owner reference.
    #[must_use]
    pub fn named(&self, api_version: &str, kind: &str) -> Option<&Arc<Kind>> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        self.by_path.values().find(|candidate| candidate.group == group && candidate.kind == kind)
    }

    /// One kind for every storage.
    pub fn stored(&self) -> impl Iterator<Item = &Arc<Kind>> {
        let mut seen = std::collections::BTreeSet::new();
        self.by_path.values().filter(move |kind| seen.insert(kind.storage.clone()))
    }

    /// The kind whose objects are in a storage.
    #[must_use]
    pub fn of_storage(&self, storage: &str) -> Option<&Arc<Kind>> {
        self.by_path.values().find(|kind| kind.storage == storage && kind.strategy != Strategy::NewEvent)
    }
}
