//! The runs of schedules, as the watch of Orchestrations shows them.
//!
//! Responsible for: finding the runs of one schedule without looking at all Orchestrations, and which schedule a change
//! concerns. Must never: count one that another owner has.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use tokio::sync::watch;

use super::error::Error;
use super::guard::Guarded;
use crate::api::{GROUP, Orchestration, OrchestrationSchedule};
use crate::engine::schedule::runs::{End, Run};

/// Kind of the owner of a run.
const OWNER_KIND: &str = "OrchestrationSchedule";

/// Runs by the uid of their schedule, and then by name.
type ByOwner = HashMap<String, BTreeMap<String, Run>>;

/// The index.
#[derive(Debug)]
pub struct Runs {
    state: Mutex<State>,
    listed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    shown: ByOwner,
    /// The list that is under way; it takes the place of what is shown when it is complete.
    listing: Option<(ByOwner, Vec<ObjectRef<Guarded<OrchestrationSchedule>>>)>,
}

impl Default for Runs {
    fn default() -> Self {
        Self { state: Mutex::default(), listed: watch::Sender::new(false) }
    }
}

impl Runs {
    /// Takes what the watch shows. The result is the schedules that have to be looked at.
    pub fn take(
        &self,
        event: &Event<Guarded<Orchestration>>,
    ) -> Vec<ObjectRef<Guarded<OrchestrationSchedule>>> {
        let mut state = self.lock();
        match event {
            Event::Init => {
                state.listing = Some(Default::default());
                Vec::new()
            }
            Event::InitApply(found) => {
                let Some((owner, run)) = run_of(found) else { return Vec::new() };
                let is_news = state.shown.get(&owner.uid).and_then(|runs| runs.get(&run.name)) != Some(&run);
                if let Some((listing, wake)) = &mut state.listing {
                    if is_news {
                        wake.push(schedule(found, &owner));
                    }
                    listing.entry(owner.uid).or_default().insert(run.name.clone(), run);
                }
                Vec::new()
            }
            Event::InitDone => {
                let (listing, wake) = state.listing.take().unwrap_or_default();
                state.shown = listing;
                self.listed.send_replace(true);
                wake
            }
            Event::Apply(changed) => {
                let Some((owner, run)) = run_of(changed) else { return Vec::new() };
                let runs = state.shown.entry(owner.uid.clone()).or_default();
                let is_news = runs.get(&run.name) != Some(&run);
                runs.insert(run.name.clone(), run);
                if is_news { vec![schedule(changed, &owner)] } else { Vec::new() }
            }
            Event::Delete(gone) => {
                let Some((owner, run)) = run_of(gone) else { return Vec::new() };
                let Some(runs) = state.shown.get_mut(&owner.uid) else { return Vec::new() };
                // Another one may have its name by now.
                if runs.get(&run.name).is_some_and(|shown| shown.uid == run.uid) {
                    runs.remove(&run.name);
                }
                if runs.is_empty() {
                    state.shown.remove(&owner.uid);
                }
                // Nobody waits for the end of what has finished.
                if run.end.is_none() { vec![schedule(gone, &owner)] } else { Vec::new() }
            }
        }
    }

    /// The runs of one schedule, by name.
    #[must_use]
    pub fn of(&self, uid: &str) -> BTreeMap<String, Run> {
        self.lock().shown.get(uid).cloned().unwrap_or_default()
    }

    /// Waits until the first list is complete: before, every run would be missing.
    pub async fn wait_until_listed(&self) -> Result<(), Error> {
        let mut listed = self.listed.subscribe();
        listed.wait_for(|listed| *listed).await.map(|_| ()).map_err(|_| Error::NotReady)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be known of an Orchestration, and its schedule; nothing if no schedule controls it.
#[must_use]
pub fn run_of(found: &Guarded<Orchestration>) -> Option<(OwnerReference, Run)> {
    let owners = found.meta().owner_references.as_ref()?;
    let is_ours = |owner: &&OwnerReference| {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        owner.controller == Some(true) && owner.kind == OWNER_KIND && group == GROUP
    };
    let owner = owners.iter().find(is_ours)?.clone();
    let run = match &found.content {
        Ok(orchestration) => Run::of(orchestration),
        // Nobody can say when it ends, or that it has not; what could be read must do.
        Err(unreadable) => Run {
            name: found.name_any(),
            uid: found.uid().unwrap_or_default(),
            tick: None,
            is_terminating: found.meta().deletion_timestamp.is_some(),
            end: (unreadable.is_finished || unreadable.too_deep).then(|| End {
                at: found.creation_timestamp().map(|time| time.0).unwrap_or_default(),
                state: "Failed".to_owned(),
                message: unreadable.to_string(),
            }),
        },
    };
    Some((owner, run))
}

fn schedule(
    run: &Guarded<Orchestration>,
    owner: &OwnerReference,
) -> ObjectRef<Guarded<OrchestrationSchedule>> {
    ObjectRef::new(&owner.name).within(&run.namespace().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn orchestration(name: &str, owner: &str, status: Value) -> Guarded<Orchestration> {
        serde_json::from_value(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration",
            "metadata": {"name": name, "namespace": "n", "uid": format!("u-{name}"), "ownerReferences": [{
                "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationSchedule", "name": owner,
                "uid": format!("u-{owner}"), "controller": true,
            }]},
            "spec": {"type": "t"}, "status": status,
        }))
        .unwrap()
    }

    fn names(woken: &[ObjectRef<Guarded<OrchestrationSchedule>>]) -> Vec<&str> {
        woken.iter().map(|found| found.name.as_str()).collect()
    }

    #[test]
    fn a_schedule_is_woken_by_the_beginning_and_the_end_of_its_runs_alone() {
        let runs = Runs::default();
        let running = |progress: &str| orchestration("r", "s", json!({"progress": progress}));
        let ended =
            orchestration("r", "s", json!({"completionTime": "2026-01-01T00:00:00Z", "state": "Failed"}));
        assert_eq!(names(&runs.take(&Event::Apply(running("0/2")))), ["s"]);
        assert_eq!(names(&runs.take(&Event::Apply(running("1/2")))), [""; 0]);
        assert_eq!(names(&runs.take(&Event::Apply(ended.clone()))), ["s"]);
        assert_eq!(runs.of("u-s")["r"].end.as_ref().unwrap().state, "Failed");
        assert_eq!(names(&runs.take(&Event::Delete(ended))), [""; 0]);
        assert!(runs.of("u-s").is_empty());
        runs.take(&Event::Apply(running("0/2")));
        assert_eq!(names(&runs.take(&Event::Delete(running("0/2")))), ["s"], "it may have been waited for");
    }

    #[test]
    fn a_new_list_takes_the_place_of_the_old_one_when_it_is_complete() {
        let runs = Runs::default();
        let one = |name: &str| orchestration(name, "s", json!({}));
        runs.take(&Event::Apply(one("a")));
        runs.take(&Event::Init);
        assert!(runs.take(&Event::InitApply(one("b"))).is_empty());
        assert_eq!(runs.of("u-s").keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(names(&runs.take(&Event::InitDone)), ["s"]);
        assert_eq!(runs.of("u-s").keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn what_another_owner_has_is_not_a_run() {
        let mut other = orchestration("r", "s", json!({}));
        let owners = other.meta_mut().owner_references.as_mut().unwrap();
        owners[0].controller = Some(false);
        assert!(run_of(&other).is_none());
        let owners = other.meta_mut().owner_references.as_mut().unwrap();
        (owners[0].controller, owners[0].kind) = (Some(true), "CronJob".to_owned());
        assert!(run_of(&other).is_none());
    }
}
