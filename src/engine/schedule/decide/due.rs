//! What is due: the ticks that nobody has accounted for.
//!
//! Responsible for: a bound on the work after any outage. Must never: leave out the newest tick.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::MAX_CATCH_UP;
use crate::engine::schedule::Schedule;

/// Most ticks that are counted one by one: more than two months of every minute.
const MAX_COUNTED: u64 = 100_000;
/// How much of the time before the newest tick is looked at all the same.
const AT_LEAST: SignedDuration = SignedDuration::from_hours(24);

/// Ticks that are due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// After when they are.
    pub(super) from: Timestamp,
    /// The newest of them, the oldest first; at most [`MAX_CATCH_UP`].
    pub(super) ticks: VecDeque<Timestamp>,
    /// The last tick before those, if there is one.
    pub(super) beyond: Option<Timestamp>,
    /// How many there are before those. After a very long time not all of them are counted.
    pub(super) beyond_count: u64,
}

/// The ticks after one instant and up to another.
pub(super) fn due(schedule: &Schedule, from: Timestamp, now: Timestamp) -> Due {
    let mut due = Due { from, ticks: VecDeque::new(), beyond: None, beyond_count: 0 };
    let (mut last, mut counted) = (from, 0_u64);
    while let Some(tick) = schedule.next_after(last).filter(|tick| *tick <= now) {
        last = tick;
        due.ticks.push_back(tick);
        if due.ticks.len() > MAX_CATCH_UP {
            due.beyond = due.ticks.pop_front();
            due.beyond_count += 1;
        }
        counted += 1;
        if counted == MAX_COUNTED {
            let newest = schedule.latest(now).and_then(|newest| newest.checked_sub(AT_LEAST).ok());
            last = newest.map_or(last, |newest| newest.max(last));
        }
    }
    due
}
