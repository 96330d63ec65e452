//! GitOps: what Argo CD, Flux and kubectl make of our objects, and what becomes of run-once objects that are in git.

mod actions;
mod golden;
mod health;
mod kstatus;
mod lua;
mod metadata;
pub mod page;
mod run_once;

use std::path::PathBuf;

use serde_json::Value;

/// The kinds that there are.
const KINDS: [&str; 4] =
    ["ActivityDefinition", "OrchestrationDefinition", "Orchestration", "OrchestrationSchedule"];

/// The directory of a kind's scripts for Argo CD.
fn directory(kind: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("config/argocd/resource_customizations/orchestrator.dev")
        .join(kind)
}

fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A YAML file of one document.
fn document(path: &std::path::Path) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
