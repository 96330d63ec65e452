//! Embedded mode: the operator with no cluster around it.
//!
//! Responsible for: the parts of Kubernetes that the operator needs, in this process. Must never: know a controller
//! of ours; they are clients like any other.

pub mod job;
pub mod runner;
