//! The controllers: the six steps around the engine.
//!
//! Responsible for: observing, planning through the engine, acting, recording and reporting, for one object at a time.
//! Must never: decide what the engine can decide.

pub mod activity_definition;
pub mod apply;
pub mod backoff;
pub mod collecting;
pub mod context;
pub mod definitions;
pub mod error;
mod filling;
pub mod flaw;
pub mod guard;
mod measuring;
pub mod memory;
pub mod orchestration;
pub mod orchestration_definition;
pub mod report;
pub mod revisions;
pub mod rights;
pub mod runs;
pub mod schedule;
pub mod schemas;
pub mod status;
mod watching;
pub mod wiring;
