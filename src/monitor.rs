//! The monitor: everything by which a running operator can be seen from outside.
//!
//! Responsible for: keeping it together, so that who has something to show takes one thing along. Must never: decide
//! what is shown.

use crate::health::Health;
use crate::metrics::Metrics;

/// Metrics and health of this process. Handing it on is cheap; all copies are the same.
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    /// What is counted and measured.
    pub metrics: Metrics,
    /// Whether it lives and can work.
    pub health: Health,
}
