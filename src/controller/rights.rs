//! Rights: what the API server does not let the operator do.
//!
//! Responsible for: telling health as long as a right is missing, and no longer. Must never: keep anybody from trying
//! again; that is how a right that was given back is found.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use kube::runtime::watcher;

use crate::client::{answer, is_missing_right, tells_of_missing_right};
use crate::config::Scope;
use crate::health::Health;

/// The refusals that stand, by who met them.
#[derive(Debug, Default)]
pub struct Rights {
    health: Health,
    name: String,
    refused: Mutex<BTreeSet<String>>,
}

impl Rights {
    /// Nothing is refused yet to whoever works in `scope`.
    #[must_use]
    pub fn new(health: Health, scope: &Scope) -> Self {
        let name = match scope {
            Scope::Cluster => "rights".to_owned(),
            Scope::Namespace(namespace) => format!("rights in {namespace}"),
        };
        Self { health, name, refused: Mutex::default() }
    }

    /// Something was refused to `who`, for want of a right.
    pub fn refused(&self, who: &str, words: &str) {
        self.all().insert(who.to_owned());
        self.health.miss(&self.name, words);
    }

    /// `who` got what it asked for, or asks no more.
    pub fn settled(&self, who: &str) {
        let mut all = self.all();
        if all.remove(who) && all.is_empty() {
            self.health.have(&self.name);
        }
    }

    /// `who` was answered, with these words if it was refused. Refusals for other reasons are no matter of rights.
    pub fn answered(&self, who: &str, refusal: Option<&str>) {
        match refusal.filter(|words| tells_of_missing_right(words)) {
            Some(words) => self.refused(who, words),
            None => self.settled(who),
        }
    }

    /// An object is gone, and nothing is asked for it any more.
    pub fn forget(&self, uid: &str) {
        for who in [uid.to_owned(), making(uid)] {
            self.settled(&who);
        }
    }

    /// Everything was listed anew. Whoever is still refused meets that again, after a pause.
    pub fn relisted(&self) {
        self.all().clear();
        self.health.have(&self.name);
    }

    /// A watch was interrupted. Only what it may not do is a matter of rights.
    pub fn interrupted(&self, who: &str, error: &watcher::Error) {
        let status = match error {
            watcher::Error::InitialListFailed(source)
            | watcher::Error::WatchStartFailed(source)
            | watcher::Error::WatchFailed(source) => answer(source),
            watcher::Error::WatchError(status) => Some(status.as_ref()),
            watcher::Error::NoResourceVersion => None,
        };
        if let Some(status) = status.filter(|status| is_missing_right(status)) {
            self.refused(who, &status.message);
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who asks for what is made for the object with this uid. It is refused apart from what is written to the object.
#[must_use]
pub fn making(uid: &str) -> String {
    format!("{uid} and what is made for it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_missing_until_everybody_got_what_they_asked_for() {
        let health = Health::watched();
        let rights = Rights::new(health.clone(), &Scope::Namespace("n".to_owned()));
        rights.settled("nobody");
        assert_eq!(health.ready(), Ok(()));
        rights.refused("a", "cannot patch");
        rights.refused("b", "cannot list");
        rights.refused("b", "cannot list");
        assert_eq!(health.ready(), Err(vec!["rights in n: cannot list".to_owned()]));
        rights.settled("b");
        assert!(health.ready().is_err(), "a is still refused");
        rights.settled("a");
        assert_eq!(health.ready(), Ok(()));
        // Of what is gone without a word, nothing stays.
        rights.refused("a", "cannot patch");
        rights.relisted();
        assert_eq!(health.ready(), Ok(()));
    }

    #[test]
    fn only_a_missing_right_of_a_watch_is_told() {
        let health = Health::watched();
        let rights = Rights::new(health.clone(), &Scope::Cluster);
        let failed = |code: u16, message: &str| {
            let status = kube::core::Status { code, message: message.to_owned(), ..Default::default() };
            watcher::Error::InitialListFailed(kube::Error::Api(status.boxed()))
        };
        rights.interrupted("Jobs", &failed(500, "etcd is away"));
        rights.interrupted("Jobs", &failed(403, "exceeded quota: none"));
        rights.interrupted("Jobs", &watcher::Error::NoResourceVersion);
        assert_eq!(health.ready(), Ok(()));
        let words = r#"jobs.batch is forbidden: User "o" cannot list resource "jobs" in API group "batch""#;
        rights.interrupted("Jobs", &failed(403, words));
        assert_eq!(health.ready(), Err(vec![format!("rights: {words}")]));
        rights.settled("Jobs");
        assert_eq!(health.ready(), Ok(()));
    }
}
