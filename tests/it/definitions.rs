//! What the API promises of definitions and runs, on the real API server: statuses, what can be changed and what
//! cannot, and what kubectl shows.
//!
//! Responsible for: the promises of the API as its users see them. Must never: look into the operator.

mod finished;
mod kstatus;
mod kubectl;
mod pinned;
mod revisions;
