//! What the role knows of the world: the last state of every object, our own writes included.
//!
//! The answer to a write is taken in at once, so that a decision never overlooks what the role has done itself.
//!
//! Responsible for: the newest state wins, and what is gone stays gone. Must never: decide anything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::watcher::Event;

/// How many of the last deletions are remembered, against answers that come later than the news of the end.
const REMEMBERED_DELETIONS: usize = 1024;

/// All objects of a kind, by uid and by the key of a group.
#[derive(Debug)]
pub struct Cache<K> {
    objects: BTreeMap<String, Entry<K>>,
    groups: BTreeMap<String, BTreeSet<String>>,
    group: fn(&K) -> Option<String>,
    gone: VecDeque<String>,
    /// Number of the current list; what the last complete list did not bring is gone.
    list: u64,
    is_complete: bool,
}

#[derive(Debug)]
struct Entry<K> {
    object: Arc<K>,
    list: u64,
}

impl<K: ResourceExt> Cache<K> {
    /// An empty cache. `group` names what an object belongs to.
    #[must_use]
    pub fn new(group: fn(&K) -> Option<String>) -> Self {
        let (objects, groups, gone) = (BTreeMap::new(), BTreeMap::new(), VecDeque::new());
        Self { objects, groups, group, gone, list: 0, is_complete: false }
    }

    /// Whether a list has been taken in to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// An object.
    #[must_use]
    pub fn get(&self, uid: &str) -> Option<&Arc<K>> {
        self.objects.get(uid).map(|entry| &entry.object)
    }

    /// The objects of a group.
    pub fn members<'a>(&'a self, group: &str) -> impl Iterator<Item = &'a K> {
        self.groups.get(group).into_iter().flatten().filter_map(|uid| self.get(uid).map(AsRef::as_ref))
    }

    /// Takes in an event of a watch. The result are the groups that it touches.
    pub fn observe(&mut self, event: Event<K>) -> Vec<String> {
        match event {
            Event::Init => {
                self.list += 1;
                Vec::new()
            }
            Event::Apply(object) | Event::InitApply(object) => self.insert(object).into_iter().collect(),
            Event::Delete(object) => self.remove(&object.uid().unwrap_or_default()).into_iter().collect(),
            Event::InitDone => {
                self.is_complete = true;
                let missing = |entry: &Entry<K>| entry.list < self.list;
                let gone: Vec<String> = self
                    .objects
                    .iter()
                    .filter(|(_, entry)| missing(entry))
                    .map(|(uid, _)| uid.clone())
                    .collect();
                gone.iter().filter_map(|uid| self.remove(uid)).collect()
            }
        }
    }

    /// Takes in an object, unless a newer state of it is known. The result is its group.
    pub fn insert(&mut self, object: K) -> Option<String> {
        let uid = object.uid()?;
        let group = (self.group)(&object)?;
        if self.gone.contains(&uid) {
            return None;
        }
        let list = self.list;
        if let Some(known) = self.objects.get_mut(&uid)
            && version(known.object.as_ref()) > version(&object)
        {
            known.list = list;
            return None;
        }
        self.groups.entry(group.clone()).or_default().insert(uid.clone());
        self.objects.insert(uid, Entry { object: Arc::new(object), list });
        Some(group)
    }

    /// Forgets an object, for good. The result is its group.
    pub fn remove(&mut self, uid: &str) -> Option<String> {
        self.gone.push_back(uid.to_owned());
        if self.gone.len() > REMEMBERED_DELETIONS {
            self.gone.pop_front();
        }
        let entry = self.objects.remove(uid)?;
        let group = (self.group)(&entry.object)?;
        if let Some(members) = self.groups.get_mut(&group) {
            members.remove(uid);
            if members.is_empty() {
                self.groups.remove(&group);
            }
        }
        Some(group)
    }
}

/// Versions of one kind are decimal numbers that grow.
fn version<K: ResourceExt>(object: &K) -> u64 {
    object.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    fn pod(uid: &str, group: &str, version: u64) -> Pod {
        serde_json::from_value(serde_json::json!({"metadata": {
            "name": uid, "uid": uid, "resourceVersion": version.to_string(), "labels": {"group": group},
        }}))
        .unwrap()
    }

    fn cache() -> Cache<Pod> {
        Cache::new(|pod| pod.labels().get("group").cloned())
    }

    fn members(cache: &Cache<Pod>, group: &str) -> Vec<String> {
        cache.members(group).map(|pod| format!("{}@{}", pod.name_any(), version(pod))).collect()
    }

    #[test]
    fn the_newest_state_wins_and_what_is_gone_stays_gone() {
        let mut cache = cache();
        assert_eq!(cache.insert(pod("a", "x", 5)), Some("x".to_owned()));
        assert_eq!(cache.insert(pod("a", "x", 4)), None, "an old answer");
        assert_eq!(cache.insert(pod("b", "x", 10)), Some("x".to_owned()));
        assert_eq!(members(&cache, "x"), ["a@5", "b@10"]);
        assert_eq!(cache.observe(Event::Delete(pod("a", "x", 6))), ["x"]);
        assert_eq!(cache.insert(pod("a", "x", 7)), None, "the answer to a write came after the deletion");
        assert_eq!(members(&cache, "x"), ["b@10"]);
    }

    #[test]
    fn a_list_replaces_what_was_known_before_it_but_not_what_was_written_meanwhile() {
        let mut cache = cache();
        cache.insert(pod("a", "x", 1));
        assert!(!cache.is_complete());
        cache.observe(Event::Init);
        cache.insert(pod("written", "x", 9));
        cache.observe(Event::InitApply(pod("b", "y", 2)));
        assert_eq!(cache.observe(Event::InitDone), ["x"]);
        assert_eq!(
            (members(&cache, "x"), members(&cache, "y")),
            (vec!["written@9".to_owned()], vec!["b@2".to_owned()])
        );
        assert!(cache.is_complete());
    }
}
