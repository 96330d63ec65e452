//! Clocks: timers count the time that passes, and schedules mean the time of day.
//!
//! Responsible for: that somebody looks again when the two part, because a clock was set or the machine slept. Must
//! never: look at a schedule.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use crate::clock::Clock;

/// How often the two are compared: one timer for all schedules.
const INTERVAL: Duration = Duration::from_secs(60);
/// How far they may part before it matters.
const APART: SignedDuration = SignedDuration::from_secs(1);

/// Compares the clocks until it is dropped, and tells whenever they have parted.
pub async fn watch(clock: Arc<dyn Clock>, mut parted: impl FnMut()) {
    let mut last = (clock.now(), Instant::now());
    loop {
        tokio::time::sleep(INTERVAL).await;
        let now = (clock.now(), Instant::now());
        let passed = SignedDuration::try_from(now.1.duration_since(last.1)).unwrap_or(SignedDuration::MAX);
        if (now.0.duration_since(last.0) - passed).abs() > APART {
            tracing::info!("the clock was set, or the machine slept: all schedules are looked at");
            parted();
        }
        last = now;
    }
}
