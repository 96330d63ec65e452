//! Knowledge: what this process knows of a schedule's runs and the watch does not show yet.
//!
//! Responsible for: that a run that was made a moment ago is not forgotten. Must never: be needed for safety across a
//! restart; the server is asked then.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::schedule::runs::Run;

/// When it is looked again for a run that we know of and the watch does not show.
pub const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What is known of all schedules, by uid.
#[derive(Debug, Default)]
pub struct AllKnowledge {
    schedules: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Knowledge>>>>,
}

impl AllKnowledge {
    /// What is known of one schedule. Reconciles of one object never overlap, so that the lock is never waited for.
    pub fn of(&self, uid: &str) -> Arc<tokio::sync::Mutex<Knowledge>> {
        let mut all = self.schedules.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(uid.to_owned()).or_default())
    }

    /// Forgets a schedule that is gone.
    pub fn forget(&self, uid: &str) {
        self.schedules.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// What is known of one schedule.
#[derive(Debug, Default)]
pub struct Knowledge {
    /// The runs that we made, or found on the server, and the watch does not show.
    pub ahead: BTreeMap<String, Run>,
    /// When those were last seen.
    pub looked: Option<Instant>,
    /// Uids of runs that we deleted and the watch may still show.
    pub deleted: BTreeSet<String>,
    /// Names of runs that we asked to terminate and the watch may still show without that.
    pub terminated: BTreeSet<String>,
    /// Names that others have taken.
    pub strangers: BTreeSet<String>,
    /// Why the server refused to make the last run, if it did.
    pub refusal: Option<String>,
}

impl Knowledge {
    /// All runs: those that the watch shows, and those that it does not show yet.
    pub fn runs(&mut self, shown: BTreeMap<String, Run>) -> BTreeMap<String, Run> {
        self.ahead.retain(|name, _| !shown.contains_key(name));
        let gone = |uid: &String| !shown.values().any(|run| run.uid == *uid);
        self.deleted.retain(|uid| !gone(uid));
        self.terminated.retain(|name| shown.get(name).is_none_or(|run| !run.is_terminating));
        let mut runs = shown;
        runs.retain(|_, run| !self.deleted.contains(&run.uid));
        runs.extend(self.ahead.clone());
        for name in &self.terminated {
            if let Some(run) = runs.get_mut(name) {
                run.is_terminating = true;
            }
        }
        self.terminated.retain(|name| runs.contains_key(name));
        runs
    }

    /// Remembers a run until the watch shows it.
    pub fn remember(&mut self, run: Run) {
        self.looked = Some(Instant::now());
        self.ahead.insert(run.name.clone(), run);
    }

    /// Whether we know of runs that the watch should have shown long ago.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.is_ahead() && self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_AGAIN)
    }

    /// Whether we know of runs that the watch does not show.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str) -> (String, Run) {
        let run =
            Run { name: name.into(), uid: format!("u-{name}"), tick: None, is_terminating: false, end: None };
        (name.to_owned(), run)
    }

    #[test]
    fn what_the_watch_does_not_show_yet_is_known() {
        let mut known = Knowledge { ahead: [run("b")].into(), ..Knowledge::default() };
        assert_eq!(known.runs([run("a")].into()).len(), 2);
        assert!(known.is_ahead());
        known.terminated.insert("b".to_owned());
        assert!(known.runs([run("b")].into())["b"].is_terminating);
        assert!(!known.is_ahead(), "the watch shows it now");
        known.deleted.insert("u-b".to_owned());
        assert!(known.runs([run("b")].into()).is_empty());
        assert!(known.runs([].into()).is_empty());
        assert!(known.deleted.is_empty() && known.terminated.is_empty());
        // Made again under the same name, it is another one.
        assert_eq!(known.runs([run("b")].into()).len(), 1);
    }
}
