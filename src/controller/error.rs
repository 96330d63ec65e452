//! Errors of a reconcile: what was being done, and what to do about it.
//!
//! Responsible for: one classification for every controller. Must never: hide the server's own words.

use crate::client::{Class, answer, class, is_missing_right, is_namespace_terminating, words};

/// What went wrong in a reconcile. What can be told in a status is not an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A read failed.
    #[error("cannot read {what}: {}", words(.source))]
    Read {
        /// What was being read.
        what: &'static str,
        /// Why it failed.
        source: kube::Error,
    },
    /// A write failed.
    #[error("cannot write {what}: {}", words(.source))]
    Write {
        /// What was being written.
        what: &'static str,
        /// Why it failed.
        source: kube::Error,
    },
    /// The provider could not look at an attempt.
    #[error(transparent)]
    Provider(#[from] crate::provider::job::Error),
    /// Caches are not filled yet.
    #[error("the caches are not filled yet")]
    NotReady,
    /// The reconcile panicked. A bug; the object backs off, all others go on.
    #[error("panicked: {0}")]
    Panicked(String),
}

impl Error {
    /// An object to be written is not there any more.
    #[must_use]
    pub fn gone(what: &'static str) -> Self {
        let gone = kube::core::Status { code: 404, reason: "NotFound".to_owned(), ..Default::default() };
        Self::Write { what, source: kube::Error::Api(gone.boxed()) }
    }

    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } => class(source),
            Self::Provider(error) => error.class(),
            Self::NotReady => Class::Transient,
            Self::Panicked(_) => Class::Permanent,
        }
    }

    /// Whether the namespace is being deleted, and all in it with it.
    #[must_use]
    pub fn is_namespace_terminating(&self) -> bool {
        match self {
            Self::Write { source, .. } => answer(source).is_some_and(is_namespace_terminating),
            _ => false,
        }
    }

    /// Whether the operator lacks the right to what it tried.
    #[must_use]
    pub fn is_missing_right(&self) -> bool {
        let source = match self {
            Self::Read { source, .. } | Self::Write { source, .. } => source,
            Self::Provider(error) => error.cause(),
            Self::NotReady | Self::Panicked(_) => return false,
        };
        answer(source).is_some_and(is_missing_right)
    }

    /// Whether the object is gone, so that nothing is left to do.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Write { source: kube::Error::Api(status), .. } => status.is_not_found(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use serde_json::json;

    #[test]
    fn a_namespace_that_is_being_deleted_is_told_from_other_refusals() {
        let is_one = |details: serde_json::Value| {
            let status: Status = serde_json::from_value(json!({"code": 403, "details": details})).unwrap();
            Error::Write { what: "a revision", source: kube::Error::Api(status.boxed()) }
                .is_namespace_terminating()
        };
        assert!(is_one(json!({"causes": [{"reason": "NamespaceTerminating", "message": "…"}]})));
        assert!(!is_one(json!({})) && !Error::NotReady.is_namespace_terminating());
    }
}
