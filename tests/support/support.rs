//! What the integration tests share: a real control plane, an operator in it, and a kubelet that does what a test says.
//!
//! Responsible for: making a test read like the fact it proves. Must never: know a single fact.

pub mod cluster;
pub mod kubelet;
pub mod operator;
pub mod reconciles;
pub mod recording;
