//! What the integration tests share: a real control plane, an operator in it, and a kubelet that does what a test says.
//!
//! Responsible for: making a test read like the fact it proves. Must never: know a single fact.

pub mod cluster;
pub mod fuse;
pub mod held;
pub mod in_process;
pub mod invariants;
pub mod kubelet;
pub mod ledger;
pub mod objects;
pub mod operator;
pub mod own;
pub mod process;
pub mod proxy;
pub mod reconciles;
pub mod recording;
pub mod rights;
pub mod sandbox;
pub mod scene;
pub mod simulated;
pub mod told;
