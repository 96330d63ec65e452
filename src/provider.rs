//! Providers: who does the work of an activity, and how what they do is told to the engine.
//!
//! Responsible for: starting, stopping and observing attempts. Must never: decide what comes next; the engine does.

pub mod job;
