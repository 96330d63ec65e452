//! The cache of Jobs and pods: facts of every child in the cluster, kept by one watch of each kind.
//!
//! Responsible for: looking up a Job by its name and the pods of a Job, and telling which Orchestration a change
//! concerns. Must never: keep whole objects, or trigger on a change that matters to nobody.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Event;
use tokio::sync::watch;

use super::facts::{Identity, JobFacts, PodFacts};

/// Namespace and name of an Orchestration.
pub type Concerned = (String, String);

/// Facts of one kind of child.
pub trait Facts: Clone + Send + Sync + 'static {
    /// The kind that they are taken from.
    type Object;

    /// Takes the facts from an object.
    fn of(object: &Self::Object) -> Self;
    /// Who the object is.
    fn identity(&self) -> &Identity;
    /// Name of the Job that the object is, or belongs to.
    fn job(&self) -> &str;
    /// Whether a change is worth a reconcile.
    fn matters(old: Option<&Self>, new: &Self) -> bool;
}

impl Facts for JobFacts {
    type Object = Job;

    fn of(object: &Job) -> Self {
        Self::from(object)
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn job(&self) -> &str {
        &self.identity.name
    }

    fn matters(old: Option<&Self>, new: &Self) -> bool {
        Self::triggers(old, new)
    }
}

impl Facts for PodFacts {
    type Object = Pod;

    fn of(object: &Pod) -> Self {
        Self::from(object)
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn job(&self) -> &str {
        self.identity.owner.as_ref().map_or("", |owner| owner.name.as_str())
    }

    fn matters(old: Option<&Self>, new: &Self) -> bool {
        Self::triggers(old, new)
    }
}

/// By namespace and Job name, then by object name.
type Entries<F> = HashMap<(String, String), BTreeMap<String, Arc<F>>>;

/// All children of one kind.
#[derive(Debug)]
pub struct Index<F> {
    entries: RwLock<Entries<F>>,
    /// What a list that is under way has brought so far.
    listed: RwLock<Entries<F>>,
    filled: watch::Sender<bool>,
}

impl<F> Default for Index<F> {
    fn default() -> Self {
        Self { entries: RwLock::default(), listed: RwLock::default(), filled: watch::Sender::new(false) }
    }
}

impl<F: Facts> Index<F> {
    /// The objects of one Job, by name.
    #[must_use]
    pub fn of_job(&self, namespace: &str, job: &str) -> Vec<Arc<F>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.to_owned(), job.to_owned());
        entries.get(&key).map(|objects| objects.values().cloned().collect()).unwrap_or_default()
    }

    /// A Job whose name begins so: of use only to a mistake that is made on purpose.
    #[doc(hidden)]
    #[must_use]
    pub fn named_like(&self, namespace: &str, beginning: &str) -> Option<String> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let names = entries.keys().filter(|(of, name)| of == namespace && name.starts_with(beginning));
        names.map(|(_, name)| name.clone()).min()
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).values().map(BTreeMap::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until the first list is complete.
    pub async fn wait_until_filled(&self) {
        let mut filled = self.filled.subscribe();
        // The sender lives as long as we do, so that this cannot fail.
        let _ = filled.wait_for(|filled| *filled).await;
    }

    /// Whether the first list is complete.
    #[must_use]
    pub fn is_filled(&self) -> bool {
        *self.filled.borrow()
    }

    /// Takes in one event of the watch. The result is the Orchestrations that it concerns.
    pub fn take(&self, event: &Event<F::Object>) -> Vec<Concerned> {
        match event {
            Event::Init => {
                self.listed.write().unwrap_or_else(PoisonError::into_inner).clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                insert(&mut self.listed.write().unwrap_or_else(PoisonError::into_inner), F::of(object));
                Vec::new()
            }
            Event::InitDone => {
                let listed =
                    std::mem::take(&mut *self.listed.write().unwrap_or_else(PoisonError::into_inner));
                let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
                let concerned = differences(&entries, &listed);
                *entries = listed;
                drop(entries);
                self.filled.send_replace(true);
                concerned
            }
            Event::Apply(object) => {
                let new = F::of(object);
                let concerned = concerned(new.identity());
                let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
                let old = insert(&mut entries, new.clone());
                if F::matters(old.as_deref(), &new) { concerned.into_iter().collect() } else { Vec::new() }
            }
            Event::Delete(object) => {
                let gone = F::of(object);
                let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
                let key = (gone.identity().namespace.clone(), gone.job().to_owned());
                if let Some(objects) = entries.get_mut(&key) {
                    objects.remove(&gone.identity().name);
                    if objects.is_empty() {
                        entries.remove(&key);
                    }
                }
                concerned(gone.identity()).into_iter().collect()
            }
        }
    }
}

fn insert<F: Facts>(entries: &mut Entries<F>, new: F) -> Option<Arc<F>> {
    let key = (new.identity().namespace.clone(), new.job().to_owned());
    entries.entry(key).or_default().insert(new.identity().name.clone(), Arc::new(new))
}

/// Whose Orchestrations are concerned when a new list takes the place of the old entries: deletions may have been
/// missed.
fn differences<F: Facts>(old: &Entries<F>, new: &Entries<F>) -> Vec<Concerned> {
    let before = |key: &(String, String), name: &str| old.get(key).and_then(|objects| objects.get(name));
    let changed = new.iter().flat_map(|(key, objects)| {
        objects.iter().filter(|(name, facts)| F::matters(before(key, name).map(Arc::as_ref), facts))
    });
    let gone = old.iter().flat_map(|(key, objects)| {
        objects.iter().filter(|(name, _)| !new.get(key).is_some_and(|objects| objects.contains_key(*name)))
    });
    changed.chain(gone).filter_map(|(_, facts)| concerned(facts.identity())).collect()
}

fn concerned(identity: &Identity) -> Option<Concerned> {
    identity.orchestration.clone().map(|orchestration| (identity.namespace.clone(), orchestration))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(name: &str, ended: bool) -> Job {
        let conditions = if ended { json!([{"type": "Complete", "status": "True"}]) } else { json!([]) };
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "n", "uid": name, "annotations": {"orchestrator.dev/orchestration": "o"}},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    fn concerned_by(index: &Index<JobFacts>, events: Vec<Event<Job>>) -> usize {
        events.iter().map(|event| index.take(event).len()).sum()
    }

    #[test]
    fn only_what_matters_triggers() {
        let index = Index::<JobFacts>::default();
        assert_eq!(concerned_by(&index, vec![Event::Init, Event::InitDone]), 0);
        assert!(index.is_filled() && index.is_empty());
        assert_eq!(concerned_by(&index, vec![Event::Apply(job("a", false))]), 0);
        assert_eq!(concerned_by(&index, vec![Event::Apply(job("a", true))]), 1);
        assert_eq!(concerned_by(&index, vec![Event::Apply(job("a", true))]), 0);
        assert_eq!(index.of_job("n", "a").len(), 1);
        assert_eq!(index.take(&Event::Delete(job("a", true))), [("n".to_owned(), "o".to_owned())]);
        assert!(index.of_job("n", "a").is_empty());
    }

    #[test]
    fn a_new_list_tells_of_missed_deletions_and_ends() {
        let index = Index::<JobFacts>::default();
        concerned_by(&index, vec![Event::Apply(job("gone", false)), Event::Apply(job("ends", false))]);
        let list = vec![
            Event::Init,
            Event::InitApply(job("ends", true)),
            Event::InitApply(job("new", false)),
            Event::InitDone,
        ];
        assert_eq!(concerned_by(&index, list), 2);
        assert_eq!(index.len(), 2);
    }
}
