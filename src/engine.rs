//! The engine: how an orchestration moves. Values in, values out.
//!
//! Responsible for: every decision. Must never: do I/O, read a clock or the environment, use randomness, be async,
//! fail or panic on any input.

pub mod acceptance;
pub mod activity_type;
pub mod condition;
pub mod definition;
pub mod effect;
pub mod expression;
pub mod graph;
pub mod lease;
pub mod metadata;
pub mod names;
pub mod observe;
pub mod path;
pub mod pattern;
pub mod plan;
pub mod problem;
pub mod resume;
pub mod retry;
pub mod revision;
pub mod schedule;
pub mod schema;
pub mod state;
pub mod status;
pub mod text;
pub mod unpinned;
pub mod value;
