//! Definitions by name: which of several a reference means.
//!
//! Responsible for: that directories with the same names beside each other, as one for each environment, do not mix. Must
//! never: know what a definition is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::subject::Subject;

/// Definitions by namespace and name, with the directories where they stand.
pub(super) struct Known<T> {
    by_name: HashMap<(String, String), Vec<(PathBuf, T)>>,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { by_name: HashMap::new() }
    }
}

impl<T> Known<T> {
    /// Adds what a document came to.
    pub(super) fn add(&mut self, subject: &Subject<'_>, value: T) {
        let key = (subject.namespace.clone(), subject.name.clone());
        self.by_name.entry(key).or_default().push((subject.directory().to_owned(), value));
    }

    /// What a document means by a name: of several the one whose directory is nearest to its own, and the first of those.
    pub(super) fn meant_by(&self, subject: &Subject<'_>, name: &str) -> Option<&T> {
        let all = self.by_name.get(&(subject.namespace.clone(), name.to_owned()))?;
        let nearest = all.iter().rev().max_by_key(|(directory, _)| shared(directory, subject.directory()));
        nearest.map(|(_, value)| value)
    }
}

/// How near two directories are: the same, or else as many levels as they share.
fn shared(one: &Path, other: &Path) -> usize {
    if one == other {
        return usize::MAX;
    }
    one.components().zip(other.components()).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearness_is_what_is_shared() {
        let near = |other: &str| shared(Path::new("config/prod/eu"), Path::new(other));
        assert!(near("config/prod/eu") > near("config/prod"));
        assert!(near("config/prod") > near("config/dev/eu"));
        assert!(near("config/dev") > near("other"));
    }
}
