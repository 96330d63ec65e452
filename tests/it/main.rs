//! The integration tests: one binary, so that they are linked once.

#[path = "../support/support.rs"]
mod support;

#[path = "../e2e/e2e.rs"]
mod e2e;

mod architecture;
mod artefacts;
mod bad_input;
mod counts;
mod outcomes;
mod rbac;
mod refusals;
mod restarts;
