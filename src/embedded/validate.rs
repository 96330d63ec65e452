//! Validation: what a schema says of a value, as the API server reads a schema.
//!
//! Responsible for: structural schemas (types, bounds, pruning, defaults), their CEL rules, and the names and labels
//! of every object. Must never: know a kind; kinds are schemas and nothing else here.

pub mod decode;
pub mod defaults;
pub mod metadata;
pub mod names;
pub mod prune;
pub mod rules;
pub mod schema;
pub mod structural;
pub mod typed;
