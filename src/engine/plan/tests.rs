//! Tests of the plan: tables for what is decided, and a simulated world in which every invariant of the engine holds.
#![allow(clippy::needless_pass_by_value, reason = "json!(…) reads better without a borrow")]

mod data;
mod ending;
mod fixture;
mod invariants;
mod last;
mod order;
mod recording;
mod robustness;
mod scale;
mod simulation;
mod size;
mod starting;
mod world;
