//! Effects: what is to be done in the world, as plain data.
//!
//! Responsible for: naming every act. Must never: act.

use crate::api::common::Object;

/// One act. Each is idempotent under the identity (orchestration uid, activity, attempt).
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Start an attempt of an activity.
    Start {
        /// Index of the activity.
        activity: usize,
        /// Number of the attempt, from 1.
        attempt: u32,
        /// What it gets.
        inputs: Object,
    },
    /// Stop what still runs of an attempt.
    Stop {
        /// Index of the activity.
        activity: usize,
        /// Number of the attempt.
        attempt: u32,
    },
}
