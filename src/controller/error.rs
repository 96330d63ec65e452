//! Errors of a reconcile: what was being done, and what to do about it.
//!
//! Responsible for: one classification for every controller. Must never: hide the server's own words.

use crate::client::{Class, class, words};

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

    /// Whether the object is gone, so that nothing is left to do.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Write { source: kube::Error::Api(status), .. } => status.is_not_found(),
            _ => false,
        }
    }
}
