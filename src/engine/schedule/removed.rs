//! Removed runs: the ticks whose runs the history limits have deleted, as ranges.
//!
//! Responsible for: that a tick whose run is gone is known to have had one, within a bound. Must never: forget a tick; what
//! does not fit makes ranges wider.

use jiff::Timestamp;

use super::Schedule;
use crate::api::orchestration_schedule::{MAX_REMOVED, TickRange};
use crate::engine::condition::stamp;

/// The ranges with more ticks in them. Ticks that follow each other by the schedule share a range. When there are too
/// many, the two oldest become one with all that lies between them: a tick that had no run is then taken for one that
/// had, which is the harmless mistake.
#[must_use]
pub fn with(
    before: &[TickRange],
    ticks: impl IntoIterator<Item = Timestamp>,
    schedule: Option<&Schedule>,
) -> Vec<TickRange> {
    let mut all: Vec<(Timestamp, Timestamp)> =
        before.iter().map(|range| (range.first.0, range.last.0)).collect();
    all.extend(ticks.into_iter().map(|tick| (tick, tick)));
    all.sort_unstable();
    let follows = |last: Timestamp, first: Timestamp| {
        first <= last || schedule.is_some_and(|schedule| schedule.next_after(last) == Some(first))
    };
    let mut joined: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (first, last) in all {
        match joined.last_mut() {
            Some(range) if follows(range.1, first) => range.1 = range.1.max(last),
            _ => joined.push((first, last)),
        }
    }
    while joined.len() > MAX_REMOVED {
        let oldest = joined.remove(0);
        if let Some(next) = joined.first_mut() {
            next.0 = oldest.0;
        }
    }
    joined.into_iter().map(|(first, last)| TickRange { first: stamp(first), last: stamp(last) }).collect()
}

/// Whether the run of a tick was deleted.
#[must_use]
pub fn holds(ranges: &[TickRange], tick: Timestamp) -> bool {
    ranges.iter().any(|range| (range.first.0..=range.last.0).contains(&tick))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    fn shown(ranges: &[TickRange]) -> Vec<(i64, i64)> {
        ranges
            .iter()
            .map(|range| (range.first.0.as_second() / 3600, range.last.0.as_second() / 3600))
            .collect()
    }

    #[test]
    fn ticks_that_follow_each_other_share_a_range() {
        let hourly = Schedule::compile("0 * * * *", None).unwrap();
        let some = with(&[], [5, 3, 4, 9].map(at), Some(&hourly));
        assert_eq!(shown(&some), [(3, 5), (9, 9)]);
        assert!(holds(&some, at(4)) && holds(&some, at(9)) && !holds(&some, at(6)));
        let more = with(&some, [6, 7, 8, 4].map(at), Some(&hourly));
        assert_eq!(shown(&more), [(3, 9)]);
        // Where the times cannot be read nothing is joined that does not touch.
        assert_eq!(shown(&with(&some, [at(6)], None)), [(3, 5), (6, 6), (9, 9)]);
    }

    #[test]
    fn what_does_not_fit_makes_the_oldest_range_wider() {
        let hourly = Schedule::compile("0 * * * *", None).unwrap();
        let many = i64::try_from(MAX_REMOVED).unwrap() + 5;
        let ranges = with(&[], (0..many).map(|number| at(number * 10)), Some(&hourly));
        assert_eq!(ranges.len(), MAX_REMOVED);
        assert_eq!(shown(&ranges)[0], (0, 50));
        assert!((0..many).all(|number| holds(&ranges, at(number * 10))), "none is forgotten");
    }
}
