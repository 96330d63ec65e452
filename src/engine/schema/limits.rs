//! Limits of a schema: how much of it there may be, so that no schema takes long to compile or to apply.
//!
//! Responsible for: the numbers, and counting against them. Must never: know what a keyword means.

use super::Mistake;
use crate::engine::problem::ProblemCode;

/// Largest schema, in bytes of JSON.
pub const MAX_SIZE: usize = 32 * 1024;

/// Deepest nesting of schemas, references followed.
pub const MAX_DEPTH: usize = 32;

/// Most properties in total, references followed.
pub const MAX_PROPERTIES: usize = 500;

/// Most schemas in total, references followed: each property, item and alternative is one.
pub const MAX_NODES: usize = 2_000;

/// Most references, those inside of what is referred to included.
pub const MAX_REFERENCES: usize = 100;

/// Most patterns, equal ones counted once.
pub const MAX_PATTERNS: usize = 200;

/// Most of them that compile to more than a few kilobytes, such as `^.{1,100}$`.
pub const MAX_LARGE_PATTERNS: usize = 16;

/// Most schemas that may apply to one value: alternatives, and what alternatives say further down.
pub const MAX_OVERLAP: usize = 256;

/// Most values times schemas for which all violations are collected; beyond, only the first is told.
pub(super) const MAX_WORK: usize = 100_000;

/// What has been counted so far. Each limit is told of once.
#[derive(Debug, Default)]
pub(super) struct Counts {
    nodes: usize,
    properties: usize,
    references: usize,
    patterns: usize,
    large_patterns: usize,
    is_over: bool,
}

impl Counts {
    /// Whether a limit was exceeded: the rest of the schema is not read.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn node(&mut self, at: &str) -> Result<(), Mistake> {
        self.nodes += 1;
        self.check(self.nodes, MAX_NODES, "schemas in total, references followed", at)
    }

    pub(super) fn properties(&mut self, more: usize, at: &str) -> Result<(), Mistake> {
        self.properties += more;
        self.check(self.properties, MAX_PROPERTIES, "properties in total, references followed", at)
    }

    pub(super) fn reference(&mut self, at: &str) -> Result<(), Mistake> {
        self.references += 1;
        self.check(self.references, MAX_REFERENCES, "references in total", at)
    }

    pub(super) fn pattern(&mut self, at: &str) -> Result<(), Mistake> {
        self.patterns += 1;
        self.check(self.patterns, MAX_PATTERNS, "different patterns", at)
    }

    /// Reading a pattern that is too large takes long already: no other is tried.
    pub(super) fn too_large_pattern(&mut self) {
        self.is_over = true;
    }

    pub(super) fn large_pattern(&mut self, at: &str) -> Result<(), Mistake> {
        self.large_patterns += 1;
        self.check(self.large_patterns, MAX_LARGE_PATTERNS, "patterns with large repetitions", at)
    }

    pub(super) fn depth(&mut self, depth: usize, at: &str) -> Result<(), Mistake> {
        self.check(depth + 1, MAX_DEPTH, "levels of schemas inside each other, references followed", at)
    }

    fn check(&mut self, count: usize, limit: usize, what: &str, at: &str) -> Result<(), Mistake> {
        if count <= limit {
            return Ok(());
        }
        self.is_over = true;
        Err(Mistake::new(ProblemCode::LimitExceeded, at, format!("a schema has at most {limit} {what}")))
    }
}

/// Whether a schema is small enough to be read at all.
pub(super) fn check_size(bytes: usize) -> Result<(), Mistake> {
    if bytes <= MAX_SIZE {
        return Ok(());
    }
    let message =
        format!("SchemaTooLarge: a schema has at most {MAX_SIZE} bytes of JSON, this one has {bytes}");
    Err(Mistake::new(ProblemCode::LimitExceeded, "", message))
}
