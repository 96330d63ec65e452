//! A second opinion, slow and plain: from minute to minute over the zone's data, with fields that are read anew.
//!
//! A fixed local time is due when a clock on the wall first shows it, or first shows a later one.

use croner::Cron;
use jiff::SignedDuration;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// Whether a field names a number.
fn names(field: &str, value: usize, min: usize, max: usize) -> bool {
    field.split(',').any(|entry| {
        let mut parts = entry.split('/');
        let range = parts.next().unwrap();
        let step: usize = parts.next().map_or(1, |step| step.parse().unwrap());
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (min, max),
            Some((first, last)) => (first.parse().unwrap(), last.parse().unwrap()),
            None => (range.parse().unwrap(), range.parse().unwrap()),
        };
        (first..=last).step_by(step).any(|named| named == value)
    })
}

/// What an expression says about every minute, hour, day, month and day of the week.
pub(super) struct Plain {
    minutes: Vec<bool>,
    hours: Vec<bool>,
    days: Vec<bool>,
    months: Vec<bool>,
    weekdays: Vec<bool>,
    both_days: bool,
    is_every_hour: bool,
}

impl Plain {
    pub(super) fn new(expression: &str) -> Self {
        let fields: Vec<&str> = expression.split(' ').collect();
        let all = |at: usize, min: usize, max: usize| -> Vec<bool> {
            (0..=max).map(|value| value >= min && names(fields[at], value, min, max)).collect()
        };
        let mut weekdays = all(4, 0, 6);
        weekdays[0] |= names(fields[4], 7, 0, 6);
        let hours = all(1, 0, 23);
        Self {
            minutes: all(0, 0, 59),
            is_every_hour: hours.iter().all(|hour| *hour),
            hours,
            days: all(2, 1, 31),
            months: all(3, 1, 12),
            weekdays,
            both_days: fields[2] == "*" || fields[4] == "*",
        }
    }

    /// Whether it is due at a local time, in minutes since the local 1970.
    fn matches(&self, local: i64) -> bool {
        let (day, minute) = (local.div_euclid(1440), usize::try_from(local.rem_euclid(1440)).unwrap());
        self.minutes[minute % 60] && self.hours[minute / 60] && self.matches_day(day)
    }

    fn matches_day(&self, day: i64) -> bool {
        let number = |part: i8| usize::try_from(part).unwrap();
        let date = jiff::civil::date(1970, 1, 1) + SignedDuration::from_hours(24 * day);
        let day = self.days[number(date.day())];
        let weekday = self.weekdays[number(date.weekday().to_sunday_zero_offset())];
        self.months[number(date.month())] && if self.both_days { day && weekday } else { day || weekday }
    }
}

/// The ticks of some expressions from one instant up to another, both in whole minutes.
pub(super) fn walk(
    expressions: &[Plain],
    zone: &TimeZone,
    from: Timestamp,
    to: Timestamp,
) -> Vec<Vec<Timestamp>> {
    let mut ticks = vec![Vec::new(); expressions.len()];
    let minute = |instant: Timestamp| instant.as_second() / 60;
    let local = |minute: i64| {
        let offset = zone.to_offset(Timestamp::from_second(minute * 60).unwrap()).seconds();
        assert_eq!(offset % 60, 0, "clocks that differ from UTC by whole minutes");
        minute + i64::from(offset / 60)
    };
    // Two days earlier, so that it is known what the clocks have shown already.
    let mut shown = local(minute(from) - 50 * 60);
    for now in minute(from) - 50 * 60 + 1..=minute(to) {
        let local = local(now);
        let before = shown;
        shown = shown.max(local);
        if now < minute(from) {
            continue;
        }
        for (expression, ticks) in expressions.iter().zip(&mut ticks) {
            let is_due = if expression.is_every_hour {
                expression.matches(local)
            } else {
                (before + 1..=shown).any(|local| expression.matches(local))
            };
            if is_due {
                ticks.push(Timestamp::from_second(now * 60).unwrap());
            }
        }
    }
    ticks
}

/// The ticks as the engine has them.
pub(super) fn ours(expression: &str, zone: &str, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let schedule = schedule(expression, zone);
    let before = from - SignedDuration::from_nanos(1);
    schedule.after(before).take_while(|tick| *tick <= to).collect()
}

pub(super) fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

pub(super) fn all_zones() -> Vec<String> {
    let database = TimeZoneDatabase::bundled();
    let names = database.available().map(|name| name.as_str().to_owned());
    names.filter(|name| zone::find(name).is_ok()).collect()
}

fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
    let entry = prop_oneof![
        3 => (min..=max).prop_map(|value| value.to_string()),
        2 => (min..=max, min..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (min..=max, min..=max, 1..=7_u32).prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
        1 => (2..=7_u32).prop_map(|step| format!("*/{step}")),
    ];
    prop_oneof![
        2 => Just("*".to_owned()),
        3 => prop::collection::vec(entry, 1..=3).prop_map(|entries| entries.join(",")),
    ]
}

/// Hours at which clocks are changed are more interesting than others.
fn expression() -> impl Strategy<Value = String> {
    let hours = prop_oneof![Just("*".to_owned()), field(0, 3), field(0, 23), field(22, 23)];
    let open = || prop_oneof![3 => Just("*".to_owned()), 1 => Just("1-7".to_owned())];
    let days = prop_oneof![3 => open(), 1 => field(1, 31)];
    let weekdays = prop_oneof![3 => Just("*".to_owned()), 1 => field(0, 6), 1 => Just("5-7".to_owned())];
    let months = prop_oneof![4 => Just("*".to_owned()), 1 => field(1, 12)];
    (field(0, 59), hours, days, months, weekdays)
        .prop_map(|(minutes, hours, days, months, weekdays)| {
            format!("{minutes} {hours} {days} {months} {weekdays}")
        })
        .prop_filter("it is due some day", |expression| Schedule::compile(expression, None).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    /// A day and a half around a change of clocks, in any zone since 1980.
    #[test]
    fn the_ticks_are_those_of_going_from_minute_to_minute(
        expression in expression(), name in select(all_zones()), change in any::<Index>(),
    ) {
        let zone = zone(&name);
        let (first, last) = (at("1980-01-01T00:00:00Z"), at("2037-01-01T00:00:00Z"));
        let changes: Vec<Timestamp> =
            zone.following(first).map(|change| change.timestamp()).take_while(|change| *change < last).collect();
        let middle = if changes.is_empty() { at("2027-12-31T12:00:00Z") } else { changes[change.index(changes.len())] };
        let (from, to) = (middle - SignedDuration::from_hours(36), middle + SignedDuration::from_hours(36));
        let slow = walk(&[Plain::new(&expression)], &zone, from, to).remove(0);
        let ours = ours(&expression, &name, from, to);
        let differs = ours.iter().zip(&slow).find(|(ours, slow)| ours != slow);
        let counts = (ours.len(), slow.len());
        prop_assert!(ours == slow, "{} in {} around {}: {:?}, {:?}", expression, name, middle, differs, counts);
    }

    /// And those of another implementation, where no clock is changed.
    #[test]
    fn the_ticks_in_utc_are_those_of_croner(expression in expression(), second in 0_i64..2_000_000_000) {
        let schedule = schedule(&expression, "Etc/UTC");
        let cron: Cron = expression.parse().unwrap();
        let mut now = Timestamp::from_second(second).unwrap();
        for _ in 0..20 {
            let theirs = cron.find_next_occurrence(&now.to_zoned(TimeZone::UTC), false).unwrap().timestamp();
            prop_assert_eq!(schedule.next_after(now), Some(theirs), "{} after {}", expression, now);
            prop_assert_eq!(schedule.latest(theirs), Some(theirs));
            prop_assert!(schedule.latest(theirs - SignedDuration::from_nanos(1)).is_none_or(|tick| tick <= now));
            now = theirs;
        }
    }
}
