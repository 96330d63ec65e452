//! The custom resource types of the group `orchestrator.dev`: what users write and what they read back.
//!
//! Responsible for: the shape, documentation, bounds and CEL rules of every kind; the names of every label,
//! annotation and variable we use. Must never: decide anything, talk to a server, read a clock.

pub mod activity_definition;
pub mod common;
pub mod labels;
pub mod orchestration;
pub mod orchestration_definition;
pub mod orchestration_schedule;
pub mod schema;

pub use activity_definition::{ActivityDefinition, ActivityDefinitionSpec};
pub use orchestration::{Orchestration, OrchestrationSpec, OrchestrationStatus};
pub use orchestration_definition::{OrchestrationDefinition, OrchestrationDefinitionSpec};
pub use orchestration_schedule::{OrchestrationSchedule, OrchestrationScheduleSpec};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// API group of every kind.
pub const GROUP: &str = "orchestrator.dev";

/// The CustomResourceDefinitions of all kinds, as they are written to `crds/`.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![
        ActivityDefinition::crd(),
        OrchestrationDefinition::crd(),
        Orchestration::crd(),
        OrchestrationSchedule::crd(),
    ]
}
