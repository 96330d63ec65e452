//! Leader election: of several operators one works, and another one goes on when it does not.
//!
//! The rule itself is tested in the engine, over thousands of schedules. Here are the operators around it.

mod processes;
mod replicas;
mod wire;
