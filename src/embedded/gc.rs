//! Garbage collection: what follows when an owner goes, and when a namespace does.
//!
//! Responsible for: ownerReferences (background, foreground, orphan) and the contents of a namespace, done within the
//! write that makes it due, so that it needs no task and no time. Must never: touch an object whose owner's kind it
//! does not know.

use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::Kind;
use super::kinds::strategy::Propagation;
use super::state::deletion::{FOREGROUND, ORPHAN, finalizers};
use super::state::{Context, DeleteOptions, State, is_finished, set_finalizers, set_metadata};
use super::store::{Change, Key, owners, uid};

/// What has become due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// An object's owners may have gone.
    Examine(Key),
    /// An object waits for what it owns.
    Release(Key),
    /// A namespace that is going may be empty.
    Namespace(String),
}

/// What is known of an owner.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// It is there.
    Solid,
    /// It waits for the object to go.
    Waiting,
    /// It is not there.
    Gone,
}

impl State {
    /// Notes what follows from a change.
    pub(super) fn note_due(&mut self, key: &Key, change: &Change) {
        let object = &change.object.value;
        if change.removed {
            let orphans = self.store.dependents(uid(object));
            self.due.extend(orphans.into_iter().map(Due::Examine));
            for owner in owners(object) {
                if let Some(owner) = self.store.by_uid(owner).cloned() {
                    self.due.push_back(Due::Release(owner));
                }
            }
            self.due.push_back(Due::Namespace(key.namespace.clone()));
            return;
        }
        let old_owners = change.old.as_ref().and_then(|old| old.value.pointer("/metadata/ownerReferences"));
        let new_owners = object.pointer("/metadata/ownerReferences");
        if new_owners.is_some() && new_owners != old_owners {
            self.due.push_back(Due::Examine(key.clone()));
        }
        if object.pointer("/metadata/deletionTimestamp").is_some() {
            if key.storage == "/namespaces" {
                self.due.push_back(Due::Namespace(key.name.clone()));
            }
            self.due.push_back(Due::Release(key.clone()));
        }
    }

    /// Does everything that is due, and what becomes due by it.
    pub fn collect_garbage(&mut self) {
        while let Some(due) = self.due.pop_front() {
            match due {
                Due::Examine(key) => self.examine(&key),
                Due::Release(key) => self.release(&key),
                Due::Namespace(name) => self.empty_namespace(&name),
            }
        }
    }

    fn examine(&mut self, key: &Key) {
        let Some(kind) = self.kinds.of_storage(&key.storage).cloned() else { return };
        let Some(object) = self.store.get(key).cloned() else { return };
        if object.value.pointer("/metadata/deletionTimestamp").is_some() {
            return;
        }
        let references = object.value.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let known: Vec<(&Value, Owner)> = references
            .into_iter()
            .flatten()
            .filter_map(|reference| Some((reference, self.owner(&kind, key, reference)?)))
            .collect();
        let total = references.map_or(0, Vec::len);
        if total == 0 || known.len() < total || known.iter().all(|(_, owner)| *owner == Owner::Solid) {
            return;
        }
        let solid: Vec<&Value> = known
            .iter()
            .filter(|(_, owner)| *owner == Owner::Solid)
            .map(|(reference, _)| *reference)
            .collect();
        if !solid.is_empty() {
            let mut value = object.value.clone();
            set_metadata(&mut value, "ownerReferences", json!(solid));
            self.put(&kind, key, value, &collector(key));
            return;
        }
        let is_waited_for = known.iter().any(|(_, owner)| *owner == Owner::Waiting);
        let has_dependents = !self.store.dependents(uid(&object.value)).is_empty();
        let held = finalizers(&object.value);
        let has = |name: &str| held.iter().any(|finalizer| finalizer == name);
        let propagation = match (is_waited_for && has_dependents, has(ORPHAN), has(FOREGROUND)) {
            (true, ..) | (_, false, true) => Propagation::Foreground,
            (_, true, _) => Propagation::Orphan,
            _ => Propagation::Background,
        };
        let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
        // It was there a moment ago, and nobody else has done anything since.
        let _ = self.delete(&kind, key, &options, &collector(key));
    }

    /// What an owner reference points to; none if its kind is not known.
    fn owner(&self, kind: &Kind, key: &Key, reference: &Value) -> Option<Owner> {
        let text = |name: &str| reference.get(name).and_then(Value::as_str).unwrap_or_default();
        let owner_kind = self.kinds.named(text("apiVersion"), text("kind"))?;
        if !kind.namespaced && owner_kind.namespaced {
            // It cannot be looked up: such an object is left alone.
            return None;
        }
        let owner_key = Self::key(owner_kind, &key.namespace, text("name"));
        let Some(owner) = self.store.get(&owner_key).filter(|owner| uid(&owner.value) == text("uid")) else {
            return Some(Owner::Gone);
        };
        let is_going = owner.value.pointer("/metadata/deletionTimestamp").is_some();
        let waits = is_going && finalizers(&owner.value).iter().any(|finalizer| finalizer == FOREGROUND);
        Some(if waits { Owner::Waiting } else { Owner::Solid })
    }

    /// Lets an object go that waits for what it owns, when it need not wait any more.
    fn release(&mut self, key: &Key) {
        let Some(kind) = self.kinds.of_storage(&key.storage).cloned() else { return };
        let Some(object) = self.store.get(key).cloned() else { return };
        let held = finalizers(&object.value);
        if object.value.pointer("/metadata/deletionTimestamp").is_none() {
            return;
        }
        let uid = uid(&object.value).to_owned();
        let dependents = self.store.dependents(&uid);
        if held.iter().any(|finalizer| finalizer == ORPHAN) {
            for dependent in dependents {
                self.disown(&dependent, &uid);
            }
            self.drop_finalizer(&kind, key, ORPHAN);
        } else if held.iter().any(|finalizer| finalizer == FOREGROUND) {
            let blocking: Vec<Key> =
                dependents.into_iter().filter(|dependent| self.blocks(dependent, &uid)).collect();
            if blocking.is_empty() {
                self.drop_finalizer(&kind, key, FOREGROUND);
            } else {
                self.due.extend(blocking.into_iter().map(Due::Examine));
            }
        }
    }

    fn blocks(&self, dependent: &Key, owner: &str) -> bool {
        let object = self.store.get(dependent);
        let references =
            object.and_then(|object| object.value.pointer("/metadata/ownerReferences")?.as_array());
        let mut of_owner =
            references.into_iter().flatten().filter(|reference| reference.get("uid") == Some(&json!(owner)));
        of_owner.any(|reference| reference.get("blockOwnerDeletion") == Some(&json!(true)))
    }

    fn disown(&mut self, dependent: &Key, owner: &str) {
        let Some(kind) = self.kinds.of_storage(&dependent.storage).cloned() else { return };
        let Some(mut value) = self.store.get(dependent).map(|object| object.value.clone()) else { return };
        let references = value.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let others: Vec<Value> = references
            .into_iter()
            .flatten()
            .filter(|reference| reference.get("uid") != Some(&json!(owner)))
            .cloned()
            .collect();
        match value.get_mut("metadata").and_then(Value::as_object_mut) {
            Some(metadata) if others.is_empty() => drop(metadata.remove("ownerReferences")),
            Some(metadata) => drop(metadata.insert("ownerReferences".to_owned(), json!(others))),
            None => return,
        }
        self.put(&kind, dependent, value, &collector(dependent));
    }

    fn drop_finalizer(&mut self, kind: &Arc<Kind>, key: &Key, name: &str) {
        let Some(mut value) = self.store.get(key).map(|object| object.value.clone()) else { return };
        let left: Vec<String> =
            finalizers(&value).into_iter().filter(|finalizer| finalizer != name).collect();
        set_finalizers(&mut value, &left);
        self.put_or_finish(kind, key, value, &collector(key));
    }

    /// Deletes what is in a namespace that is going, and the namespace when nothing is left.
    fn empty_namespace(&mut self, name: &str) {
        let is_going = |object: &Value| object.pointer("/metadata/deletionTimestamp").is_some();
        let Some(namespace) = self.namespace(name).filter(|object| is_going(&object.value)).cloned() else {
            return;
        };
        let kinds: Vec<Arc<Kind>> = self.kinds.stored().filter(|kind| kind.namespaced).cloned().collect();
        let options =
            DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
        for kind in kinds {
            let objects =
                self.store.list(&kind.storage, Some(name)).filter(|object| !is_going(&object.value));
            let keys: Vec<Key> = objects
                .filter_map(|object| {
                    Some(Self::key(&kind, name, object.value.pointer("/metadata/name")?.as_str()?))
                })
                .collect();
            for key in keys {
                let _ = self.delete(&kind, &key, &options, &collector(&key));
            }
        }
        if self.has_contents(name) || !is_finished(&namespace.value) {
            return;
        }
        let key = Key { storage: "/namespaces".to_owned(), namespace: String::new(), name: name.to_owned() };
        if let Some(kind) = self.kinds.of_storage("/namespaces").cloned()
            && self.store.get(&key).is_some()
        {
            let mut last = namespace.value.clone();
            if let Some(spec) = last.get_mut("spec").and_then(Value::as_object_mut) {
                spec.remove("finalizers");
            }
            self.remove(&kind, &key, last, &collector(&key));
        }
    }
}

fn collector(key: &Key) -> Context {
    Context {
        verb: "collect",
        path: format!("{}/{}/{}", key.storage, key.namespace, key.name),
        user_agent: "embedded-garbage-collector".to_owned(),
        ..Context::default()
    }
}
