//! The clock: the only place that asks what time it is.
//!
//! Responsible for: wall-clock time as a value that can be injected. Must never: be bypassed.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Tells the time.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The wall-clock time.
    fn now(&self) -> Timestamp;
}

/// How long to sleep so that an instant has come: a little later rather than a little earlier, because a wake-up before its
/// time would find nothing to do.
#[must_use]
pub fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default() + Duration::from_millis(5)
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // this is the place
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The clock of the machine without its jumps: it goes on as time passes, and where the machine's was put forward or back
/// it goes a tenth faster or slower until both agree. No wait ends early, or late, because somebody set a clock.
#[derive(Debug)]
pub struct SteadyClock<C = SystemClock> {
    machine: C,
    /// What was told last, and when.
    last: Mutex<(Timestamp, Instant)>,
}

impl<C: Clock> SteadyClock<C> {
    /// A clock that agrees with the machine's now.
    #[must_use]
    pub fn new(machine: C) -> Self {
        let last = Mutex::new((machine.now(), Instant::now()));
        Self { machine, last }
    }
}

impl Default for SteadyClock {
    fn default() -> Self {
        Self::new(SystemClock)
    }
}

impl<C: Clock> Clock for SteadyClock<C> {
    fn now(&self) -> Timestamp {
        let machine = self.machine.now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let here = Instant::now();
        let elapsed = SignedDuration::try_from(here.duration_since(last.1)).unwrap_or(SignedDuration::MAX);
        *last = (steady(last.0, elapsed, machine), here);
        last.0
    }
}

/// The time after so much has passed since `last`, drawn towards what the machine's clock says. Never earlier than `last`.
#[must_use]
pub fn steady(last: Timestamp, elapsed: SignedDuration, machine: Timestamp) -> Timestamp {
    let expected = last.saturating_add(elapsed).unwrap_or(Timestamp::MAX);
    let most = elapsed / 10;
    let correction = machine.duration_since(expected).clamp(-most, most);
    expected.saturating_add(correction).unwrap_or(expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn without_a_jump_it_is_the_clock_of_the_machine() {
        let mut told = at(1000);
        for second in 1001..2000 {
            told = steady(told, SignedDuration::from_secs(1), at(second));
            assert_eq!(told, at(second));
        }
    }

    proptest! {
        #[test]
        fn whatever_jump_of_the_machine_a_wait_is_as_long_as_it_was_by_a_tenth(
            jumps in prop::collection::vec((0usize..3000, prop::sample::select(&[-86_400i64, -3600, -60, 60, 3600, 86_400][..])), 0..5),
            wait in 10i64..600,
        ) {
            let (mut told, mut offset, mut began) = (at(1_000_000), 0, at(1_000_000));
            for second in 1..3000_i64 {
                let index = usize::try_from(second).unwrap();
                offset += jumps.iter().filter(|(when, _)| *when == index).map(|(_, by)| by).sum::<i64>();
                let before = told;
                told = steady(told, SignedDuration::from_secs(1), at(1_000_000 + second + offset));
                prop_assert!(told > before, "it never goes back");
                if second % wait == 0 {
                    let took = told.duration_since(began).as_secs_f64();
                    let (least, most) = (wait as f64 * 0.9 - 0.001, wait as f64 * 1.1 + 0.001);
                    prop_assert!((least..=most).contains(&took), "{took} of {wait}");
                    began = told;
                }
            }
        }
    }

    #[test]
    fn after_a_jump_both_agree_again() {
        let mut told = at(0);
        for second in 1..700_i64 {
            told = steady(told, SignedDuration::from_secs(1), at(second + 60));
        }
        assert_eq!(told, at(699 + 60));
    }
}
