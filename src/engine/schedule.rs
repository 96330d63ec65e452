//! Schedules: when an orchestration is due, and what to do about it.
//!
//! Responsible for: reading schedules and time zones with every mistake told, the instants at which a schedule is due
//! (its ticks), and the decision what becomes of each of them. Must never: read a clock, or a file: the zones of the
//! IANA database are in the binary, so that every replica has the same ones.
//!
//! A **fixed local time** is due once on every day: on a day that leaves it out, at the first instant after the gap; on a
//! day that has it twice, the first time. A schedule of **every hour** follows real time: 23 runs of `0 * * * *` on the
//! day of a gap, 25 on the day of an overlap. Every hour means all 24, however they are written; `*/2` names twelve
//! fixed hours. CronJob differs in both.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::names::hash;
use super::problem::Problem;
use expression::Expression;

pub mod decide;
pub mod expression;
pub mod record;
pub mod removed;
pub mod runs;
pub mod template;
mod ticks;
pub mod zone;

/// Longest part of a schedule's name that the names of its children keep.
const NAME_LENGTH: usize = 230;

/// A schedule that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    expression: Expression,
    zone: TimeZone,
}

impl Schedule {
    /// Reads `spec.schedule` and `spec.timeZone` (default `Etc/UTC`). All that is wrong is told at once.
    pub fn compile(schedule: &str, time_zone: Option<&str>) -> Result<Self, Vec<Problem>> {
        let expression = Expression::parse(schedule);
        let zone = zone::find(time_zone.unwrap_or(zone::DEFAULT));
        match (expression, zone) {
            (Ok(expression), Ok(zone)) => Ok(Self { expression, zone }),
            (expression, zone) => {
                let mut problems = expression.err().unwrap_or_default();
                problems.extend(zone.err());
                Err(problems)
            }
        }
    }

    /// The next tick after an instant; nothing if the calendar ends before (in the year 9999).
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        ticks::next_after(&self.expression, &self.zone, after)
    }

    /// The ticks after an instant, in order.
    pub fn after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next_after(after), |tick| self.next_after(*tick))
    }

    /// The last tick at or before an instant; nothing if there was none in the nine years before.
    #[must_use]
    pub fn latest(&self, until: Timestamp) -> Option<Timestamp> {
        ticks::latest(&self.expression, &self.zone, until)
    }

    /// The instant of a local time where the schedule is: the first of two; of a time that a gap leaves out the first
    /// instant after the gap, at which a fixed time in it is due.
    #[must_use]
    pub fn instant(&self, local: jiff::civil::DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(local);
        let is_gap = matches!(ambiguous.offset(), jiff::tz::AmbiguousOffset::Gap { .. });
        // By the clock that was not put forward, which is after the gap.
        let instant = ambiguous.compatible().ok()?;
        if !is_gap {
            return Some(instant);
        }
        let next = instant.checked_add(jiff::SignedDuration::from_nanos(1)).ok()?;
        self.zone.preceding(next).next().map(|transition| transition.timestamp())
    }

    /// The local time of an instant where the schedule is, for people.
    #[must_use]
    pub fn local(&self, instant: Timestamp) -> jiff::Zoned {
        instant.to_zoned(self.zone.clone())
    }
}

/// What people should know about a schedule that is right, but may not do what they think.
#[must_use]
pub fn warnings(time_zone: Option<&str>, terms: &decide::Terms) -> Vec<Problem> {
    let zone = time_zone.and_then(zone::warning);
    zone.into_iter().chain(terms.warning()).collect()
}

/// The name of the Orchestration of one tick: a function of the schedule's name and the tick, so that no restart and no
/// second replica can make it twice. At most 253 characters.
#[must_use]
pub fn child_name(schedule: &str, tick: Timestamp) -> String {
    let minutes = tick.as_second().div_euclid(60);
    if schedule.len() <= NAME_LENGTH {
        return format!("{schedule}-{minutes}");
    }
    let cut: String = schedule.chars().take(NAME_LENGTH).collect();
    // A name must not have a dash behind a dot.
    format!("{}-{}-{minutes}", cut.trim_end_matches(['.', '-']), hash(schedule))
}

/// The tick of a child, by its name; nothing if no tick has that name.
#[must_use]
pub fn tick_of(schedule: &str, child: &str) -> Option<Timestamp> {
    let minutes: i64 = child.rsplit('-').next()?.parse().ok()?;
    let tick = Timestamp::from_second(minutes.checked_mul(60)?).ok()?;
    (child_name(schedule, tick) == child).then_some(tick)
}

#[cfg(test)]
mod tests;
