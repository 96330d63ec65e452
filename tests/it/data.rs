//! Data on its way: schemas, inputs and outputs, conditions, and the revisions that keep them as they were.
//!
//! Responsible for: what the controllers make of it, on the embedded server. Must never: repeat what tests of the engine
//! say of single messages.

mod collecting;
mod flow;
mod refused;
mod secrets;
