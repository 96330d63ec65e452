//! Bad input through the real API server, and the words in which a user is told of it.
//!
//! Responsible for: the whole message, as kubectl or a condition shows it. Must never: accept a message that only
//! contains the right word.

mod data;
mod graph;
mod many;
mod missing;
mod names;
mod poison;
mod refused;
mod templates;
