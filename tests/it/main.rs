//! The integration tests: one binary, so that they are linked once.

// A test may stop at the first surprise, and helpers read better when they take what a test writes down.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used
)]

#[path = "../support/support.rs"]
mod support;

#[path = "../e2e/e2e.rs"]
mod e2e;

mod architecture;
mod argocd;
mod artefacts;
mod bad_input;
mod chart;
mod conformance;
mod control;
mod counts;
mod data;
mod definitions;
mod embedded_server;
mod gitops;
mod job_role;
mod leader;
mod lint_command;
mod monitor;
mod outcomes;
mod rbac;
mod refusals;
mod restarts;
mod run_command;
mod runner;
mod schedule;
mod simulation;
mod wait_command;
