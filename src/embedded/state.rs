//! The state: the store, the kinds in it, and everything that is done while nobody else does anything.
//!
//! Responsible for: one write after the other, each shown to the observer, and what follows from it done before the
//! next. Must never: wait, or read a request.

pub(super) mod deletion;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use super::gc::Due;
use super::kinds::{Kind, Kinds};
use super::random::Random;
use super::store::{Bounds, Change, Key, Object, Store};
use super::validate::rules::Evaluator;
use crate::clock::Clock;

pub use deletion::{DeleteOptions, Deleted};

/// Who writes, as far as a request says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// `create`, `update`, `patch`, `delete`, `deletecollection`, or `collect` for the garbage collector.
    pub verb: &'static str,
    /// The path of the request.
    pub path: String,
    /// The subresource; empty for the object itself.
    pub subresource: String,
    /// The header `User-Agent`.
    pub user_agent: String,
    /// The parameter `fieldManager`.
    pub field_manager: String,
}

/// One successful write, as the observer sees it.
pub struct Write<'a> {
    /// The version that it made.
    pub version: u64,
    /// The kind.
    pub kind: &'a Kind,
    /// Where the object is.
    pub key: &'a Key,
    /// What was before; none for a new object.
    pub old: Option<&'a Value>,
    /// What is now; none for a removed object.
    pub new: Option<&'a Value>,
    /// Who wrote.
    pub context: &'a Context,
    /// Everything that is stored, this write included.
    pub store: &'a Store,
}

/// Is shown every successful write, in order, inside the server: it must not send requests.
pub type Observer = Box<dyn FnMut(&Write<'_>) + Send>;

/// Everything that the server has.
pub struct State {
    /// The objects.
    pub store: Store,
    /// The kinds.
    pub kinds: Kinds,
    /// CEL.
    pub evaluator: Evaluator,
    pub(super) random: Random,
    pub(super) due: VecDeque<Due>,
    clock: Arc<dyn Clock>,
    observer: Option<Observer>,
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("State").field("version", &self.store.version()).finish_non_exhaustive()
    }
}

impl State {
    /// An empty state.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, random: Random, bounds: Bounds, observer: Option<Observer>) -> Self {
        Self {
            store: Store::new(bounds),
            kinds: Kinds::default(),
            evaluator: Evaluator::default(),
            random,
            due: VecDeque::new(),
            clock,
            observer,
        }
    }

    /// The time, as it stands in objects.
    #[must_use]
    pub fn now(&self) -> String {
        self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// The time some seconds from now.
    pub(super) fn now_plus(&self, seconds: i64) -> String {
        let now = self.clock.now();
        let then = now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(now);
        then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// A new uid.
    pub fn uid(&mut self) -> String {
        self.random.uid()
    }

    /// A suffix of a generated name.
    pub fn suffix(&mut self) -> String {
        self.random.suffix()
    }

    /// Where an object of a kind is.
    #[must_use]
    pub fn key(kind: &Kind, namespace: &str, name: &str) -> Key {
        let namespace = if kind.namespaced { namespace } else { "" };
        Key { storage: kind.storage.clone(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// A namespace.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&Arc<Object>> {
        self.store.get(&Key {
            storage: "/namespaces".to_owned(),
            namespace: String::new(),
            name: name.to_owned(),
        })
    }

    /// Stores an object. What follows from it becomes due.
    pub fn put(&mut self, kind: &Arc<Kind>, key: &Key, value: Value, context: &Context) -> Arc<Object> {
        let change = self.store.put(key, value);
        self.observe(kind, key, &change, context);
        self.note_due(key, &change);
        Arc::clone(&change.object)
    }

    /// Removes an object. What follows from it becomes due.
    pub fn remove(&mut self, kind: &Arc<Kind>, key: &Key, last: Value, context: &Context) -> Arc<Object> {
        let change = self.store.remove(key, last);
        self.observe(kind, key, &change, context);
        self.note_due(key, &change);
        Arc::clone(&change.object)
    }

    /// Stores what an update made of an object, or removes it when nothing holds it any more.
    pub fn put_or_finish(
        &mut self,
        kind: &Arc<Kind>,
        key: &Key,
        value: Value,
        context: &Context,
    ) -> Arc<Object> {
        if is_finished(&value) && !self.holds_contents(kind, key) {
            // Who watches is shown what was stored last; who asked, what he made of it.
            let Some(last) = self.store.get(key).cloned() else {
                return Object::new(value, self.store.version());
            };
            self.remove(kind, key, last.value.clone(), context);
            return Object::new(value, last.version);
        }
        self.put(kind, key, value, context)
    }

    /// A namespace stays as long as there is something in it.
    fn holds_contents(&self, kind: &Kind, key: &Key) -> bool {
        kind.storage == "/namespaces" && self.has_contents(&key.name)
    }

    /// Whether there is anything in a namespace.
    #[must_use]
    pub fn has_contents(&self, namespace: &str) -> bool {
        let mut kinds = self.kinds.stored().filter(|kind| kind.namespaced);
        kinds.any(|kind| self.store.list(&kind.storage, Some(namespace)).next().is_some())
    }

    fn observe(&mut self, kind: &Arc<Kind>, key: &Key, change: &Change, context: &Context) {
        let Some(observer) = &mut self.observer else { return };
        observer(&Write {
            version: change.version,
            kind,
            key,
            old: change.old.as_ref().map(|old| &old.value),
            new: (!change.removed).then_some(&change.object.value),
            context,
            store: &self.store,
        });
    }
}

/// Whether an object is to go and nothing holds it.
#[must_use]
pub fn is_finished(object: &Value) -> bool {
    let Some(metadata) = object.get("metadata") else { return false };
    let has_finalizers =
        metadata.get("finalizers").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let waits = metadata.get("deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or_default() > 0;
    metadata.get("deletionTimestamp").is_some() && !has_finalizers && !waits
}

/// Sets a member of the metadata.
pub(super) fn set_metadata(object: &mut Value, name: &str, value: Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert(name.to_owned(), value);
    }
}

/// Writes the finalizers of an object; none are left out.
pub(super) fn set_finalizers(object: &mut Value, finalizers: &[String]) {
    if !finalizers.is_empty() {
        set_metadata(object, "finalizers", json!(finalizers));
    } else if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("finalizers");
    }
}
