//! The store: objects, versions and history, in memory.
//!
//! Responsible for: one counter of versions, a bounded log of changes per kind that watches and old reads are served
//! from, and an index of owners. Must never: validate anything, or keep a copy per watcher.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Notify;

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The storage of its kind.
    pub storage: String,
    /// Its namespace; empty for what has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// An object in one version.
#[derive(Debug)]
pub struct Object {
    /// The object, with its resourceVersion.
    pub value: Value,
    /// The version.
    pub version: u64,
    text: OnceLock<Bytes>,
}

impl Object {
    /// An object in a version.
    #[must_use]
    pub fn new(value: Value, version: u64) -> Arc<Self> {
        Arc::new(Self { value, version, text: OnceLock::new() })
    }

    /// The object as JSON. It is written once, for all who read it.
    pub fn text(&self) -> Bytes {
        self.text.get_or_init(|| Bytes::from(self.value.to_string())).clone()
    }
}

/// One change of one object.
#[derive(Debug)]
pub struct Change {
    /// The version that the change made.
    pub version: u64,
    /// Namespace and name.
    pub place: (String, String),
    /// What was before.
    pub old: Option<Arc<Object>>,
    /// What is now; of a removed object its last state.
    pub object: Arc<Object>,
    /// Whether the object was removed.
    pub removed: bool,
}

/// How much history is kept of every kind.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most changes.
    pub changes: usize,
    /// Most bytes of objects in them, roughly.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { changes: 8_192, bytes: 64 * 1024 * 1024 }
    }
}

/// What was asked for is older than the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The oldest version that can still be asked for.
    pub oldest: u64,
}

type Objects = BTreeMap<(String, String), Arc<Object>>;

#[derive(Debug, Default)]
struct Table {
    objects: Objects,
    log: VecDeque<(Arc<Change>, usize)>,
    bytes: usize,
    /// Changes after this version are all in the log.
    floor: u64,
    /// Wakes who waits for a change, in the order of their waiting: a simulation is the same every time.
    changed: Arc<Notify>,
}

/// All objects.
#[derive(Debug)]
pub struct Store {
    version: u64,
    tables: BTreeMap<String, Table>,
    by_uid: HashMap<String, Key>,
    dependents: HashMap<String, BTreeSet<Key>>,
    bounds: Bounds,
}

impl Store {
    /// An empty store.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            version: 1,
            tables: BTreeMap::new(),
            by_uid: HashMap::new(),
            dependents: HashMap::new(),
            bounds,
        }
    }

    /// The newest version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// An object.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        let place = (key.namespace.clone(), key.name.clone());
        self.tables.get(&key.storage)?.objects.get(&place)
    }

    /// Whether an object with a uid exists, and where.
    #[must_use]
    pub fn by_uid(&self, uid: &str) -> Option<&Key> {
        self.by_uid.get(uid)
    }

    /// The objects that name a uid as owner.
    #[must_use]
    pub fn dependents(&self, uid: &str) -> Vec<Key> {
        self.dependents.get(uid).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }

    /// The objects of a storage, in a namespace or in all, by namespace and name.
    pub fn list<'s>(
        &'s self,
        storage: &str,
        namespace: Option<&'s str>,
    ) -> impl Iterator<Item = &'s Arc<Object>> {
        let start =
            namespace.map_or_else(Default::default, |namespace| (namespace.to_owned(), String::new()));
        let objects =
            self.tables.get(storage).into_iter().flat_map(move |table| table.objects.range(start.clone()..));
        objects
            .take_while(move |((of, _), _)| namespace.is_none_or(|namespace| namespace == of))
            .map(|(_, object)| object)
    }

    /// The objects of a storage as they were at a version.
    pub fn list_at(
        &self,
        storage: &str,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<Vec<Arc<Object>>, Compacted> {
        if version >= self.version {
            return Ok(self.list(storage, namespace).cloned().collect());
        }
        let Some(table) = self.tables.get(storage) else { return Ok(Vec::new()) };
        if version < table.floor {
            return Err(Compacted { oldest: table.floor });
        }
        let is_wanted = |of: &str| namespace.is_none_or(|namespace| namespace == of);
        let mut objects: BTreeMap<&(String, String), &Arc<Object>> =
            table.objects.iter().filter(|((of, _), _)| is_wanted(of)).collect();
        for (change, _) in table.log.iter().rev().take_while(|(change, _)| change.version > version) {
            if !is_wanted(&change.place.0) {
                continue;
            }
            match &change.old {
                Some(old) => objects.insert(&change.place, old),
                None => objects.remove(&change.place),
            };
        }
        Ok(objects.into_values().cloned().collect())
    }

    /// The changes of a storage after a version.
    pub fn changes(
        &self,
        storage: &str,
        after: u64,
    ) -> Result<impl Iterator<Item = &Arc<Change>>, Compacted> {
        let table = self.tables.get(storage);
        if let Some(table) = table
            && after < table.floor
        {
            return Err(Compacted { oldest: table.floor });
        }
        let changes = table.into_iter().flat_map(move |table| {
            let first = table.log.partition_point(|(change, _)| change.version <= after);
            table.log.range(first..).map(|(change, _)| change)
        });
        Ok(changes)
    }

    /// Tells of every change of a storage.
    pub fn subscribe(&mut self, storage: &str) -> Arc<Notify> {
        Arc::clone(&self.table(storage).changed)
    }

    /// Forgets the history: who asks for an older version is told that it has expired.
    pub fn compact(&mut self) {
        for table in self.tables.values_mut() {
            // Who has seen the last change has missed nothing.
            if let Some((last, _)) = table.log.back() {
                table.floor = last.version;
            }
            table.log.clear();
            table.bytes = 0;
            table.changed.notify_waiters();
        }
    }

    /// Stores an object in a new version.
    pub fn put(&mut self, key: &Key, value: Value) -> Arc<Change> {
        self.record(key, value, false)
    }

    /// Removes an object; `last` is its last state.
    pub fn remove(&mut self, key: &Key, last: Value) -> Arc<Change> {
        self.record(key, last, true)
    }

    fn record(&mut self, key: &Key, mut value: Value, removed: bool) -> Arc<Change> {
        self.version += 1;
        let version = self.version;
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".to_owned(), Value::String(version.to_string()));
        }
        let bounds = self.bounds;
        let object = Object::new(value, version);
        let place = (key.namespace.clone(), key.name.clone());
        let table = self.table(&key.storage);
        let old = if removed {
            table.objects.remove(&place)
        } else {
            table.objects.insert(place.clone(), Arc::clone(&object))
        };
        let change = Arc::new(Change { version, place, old, object, removed });
        let size = weight(&change.object.value);
        table.bytes += size;
        table.log.push_back((Arc::clone(&change), size));
        while table.log.len() > bounds.changes.max(1) || (table.bytes > bounds.bytes && table.log.len() > 1) {
            let Some((oldest, size)) = table.log.pop_front() else { break };
            table.bytes -= size;
            table.floor = oldest.version;
        }
        table.changed.notify_waiters();
        self.index(key, &change);
        change
    }

    fn index(&mut self, key: &Key, change: &Change) {
        let before: Vec<&str> =
            change.old.as_ref().map(|old| owners(&old.value).collect()).unwrap_or_default();
        let after: Vec<&str> =
            if change.removed { Vec::new() } else { owners(&change.object.value).collect() };
        for uid in before.iter().filter(|uid| !after.contains(uid)) {
            if let Some(keys) = self.dependents.get_mut(*uid) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(*uid);
                }
            }
        }
        for uid in after.iter().filter(|uid| !before.contains(uid)) {
            self.dependents.entry((*uid).to_owned()).or_default().insert(key.clone());
        }
        let uid = uid(&change.object.value);
        if change.removed {
            self.by_uid.remove(uid);
        } else if change.old.is_none() {
            self.by_uid.insert(uid.to_owned(), key.clone());
        }
    }

    fn table(&mut self, storage: &str) -> &mut Table {
        if !self.tables.contains_key(storage) {
            self.tables.insert(storage.to_owned(), Table::default());
        }
        self.tables.entry(storage.to_owned()).or_default()
    }
}

/// The uid of an object.
#[must_use]
pub fn uid(object: &Value) -> &str {
    object
        .get("metadata")
        .and_then(|metadata| metadata.get("uid"))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The uids of an object's owners.
pub fn owners(object: &Value) -> impl Iterator<Item = &str> {
    let list =
        object.get("metadata").and_then(|metadata| metadata.get("ownerReferences")).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|owner| owner.get("uid")?.as_str())
}

/// Roughly how many bytes a value takes.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => 8 + text.len(),
        Value::Array(elements) => 8 + elements.iter().map(weight).sum::<usize>(),
        Value::Object(members) => {
            8 + members.iter().map(|(name, member)| 8 + name.len() + weight(member)).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key(name: &str) -> Key {
        Key { storage: "/configmaps".to_owned(), namespace: "n".to_owned(), name: name.to_owned() }
    }

    fn object(name: &str, data: u64) -> Value {
        json!({"metadata": {"name": name, "uid": name}, "data": data})
    }

    fn data(objects: &[Arc<Object>]) -> Vec<u64> {
        objects.iter().filter_map(|object| object.value["data"].as_u64()).collect()
    }

    #[test]
    fn every_version_in_the_history_can_be_read() {
        let mut store = Store::new(Bounds { changes: 3, bytes: usize::MAX });
        let one = store.put(&key("a"), object("a", 1)).version;
        let two = store.put(&key("b"), object("b", 2)).version;
        let three = store.put(&key("a"), object("a", 3)).version;
        store.remove(&key("b"), object("b", 2));
        let at = |version| store.list_at("/configmaps", Some("n"), version).map(|objects| data(&objects));
        assert_eq!(at(one), Ok(vec![1]));
        assert_eq!(at(two), Ok(vec![1, 2]));
        assert_eq!(at(three), Ok(vec![3, 2]));
        assert_eq!(at(store.version()), Ok(vec![3]));
        assert_eq!(at(one - 1), Err(Compacted { oldest: one }));
        assert_eq!(store.changes("/configmaps", two).unwrap().count(), 2);
        store.compact();
        assert_eq!(store.changes("/configmaps", three).err(), Some(Compacted { oldest: store.version() }));
        assert_eq!(store.changes("/configmaps", store.version()).unwrap().count(), 0);
    }

    #[test]
    fn owners_are_indexed() {
        let mut store = Store::new(Bounds::default());
        let mut child = object("child", 1);
        child["metadata"]["ownerReferences"] = json!([{"uid": "parent"}]);
        store.put(&key("child"), child);
        assert_eq!(store.dependents("parent"), [key("child")]);
        store.put(&key("child"), object("child", 1));
        assert!(store.dependents("parent").is_empty());
        assert_eq!(store.by_uid("child"), Some(&key("child")));
    }
}
