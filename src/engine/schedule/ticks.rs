//! Ticks: the instants at which a schedule is due, in a zone whose clocks are put forward and back.
//!
//! Responsible for: each tick once, in order, in few steps. Must never: go from minute to minute.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::expression::Expression;

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// How far back a last tick is looked for: longer than any two ticks are apart.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(9 * 366 * 24);

/// The next tick after an instant.
pub(super) fn next_after(expression: &Expression, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    if expression.is_every_hour() {
        next_in_real_time(expression, zone, after)
    } else {
        next_local_time(expression, zone, after)
    }
}

/// The last tick at or before an instant: the later one begins to look, the later the tick that is found, so that
/// halving the time in between finds it.
pub(super) fn latest(expression: &Expression, zone: &TimeZone, until: Timestamp) -> Option<Timestamp> {
    let is_found = |second: i64| {
        let tick = next_after(expression, zone, Timestamp::from_second(second).ok()?)?;
        (tick <= until).then_some(tick)
    };
    let mut early = until.checked_sub(LOOK_BACK).unwrap_or(Timestamp::MIN).as_second();
    let mut late = until.as_second();
    let mut found = is_found(early)?;
    while late - early > 1 {
        let middle = early + (late - early) / 2;
        match is_found(middle) {
            Some(tick) => (early, found) = (middle, tick),
            None => late = middle,
        }
    }
    Some(found)
}

/// Real time: whatever the clocks show, between two changes of them it goes evenly.
fn next_in_real_time(expression: &Expression, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut from = after.checked_add(SignedDuration::from_nanos(1)).ok()?;
    loop {
        let offset = zone.to_offset(from);
        let change = zone.following(from).next().map(|change| change.timestamp());
        let local = expression.next(up_to_minute(offset.to_datetime(from))?)?;
        let tick = offset.to_timestamp(local).ok()?;
        match change.filter(|change| *change <= tick) {
            Some(change) => from = change,
            None => return Some(tick),
        }
    }
}

/// Fixed local times: none of them comes before an earlier one, so that the first one that is due later is the next.
fn next_local_time(expression: &Expression, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut from = minute_after(zone.to_datetime(after))?;
    loop {
        let local = expression.next(from)?;
        let tick = first_instant(zone, local)?;
        if tick > after {
            return Some(tick);
        }
        // The second pass of an hour that is repeated.
        from = minute_after(local)?;
    }
}

/// When a local time is reached for the first time, or passed over.
fn first_instant(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            offset.to_timestamp(local).ok()
        }
        AmbiguousOffset::Gap { before, after } => {
            // By the clock that was not put forward, the gap has begun.
            let beyond = before.to_timestamp(local).ok()?.checked_add(SECOND).ok()?;
            let change = zone.preceding(beyond).find(|change| change.offset() == after)?;
            Some(change.timestamp())
        }
    }
}

fn minute_after(local: DateTime) -> Option<DateTime> {
    let whole = local.date().at(local.hour(), local.minute(), 0, 0);
    whole.checked_add(MINUTE).ok()
}

fn up_to_minute(local: DateTime) -> Option<DateTime> {
    let is_whole = local.second() == 0 && local.subsec_nanosecond() == 0;
    if is_whole { Some(local) } else { minute_after(local) }
}
