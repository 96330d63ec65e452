//! The integration tests: one binary, so that they are linked once.

#[path = "../support/support.rs"]
mod support;

mod architecture;
mod artefacts;
mod conformance;
mod embedded_server;
mod job_role;
mod runner;
mod runs;
