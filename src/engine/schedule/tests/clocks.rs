//! Clocks that are put forward and back: tables of the days on which that happens.

use super::*;

/// The local times of all ticks on a local day, with their offsets.
fn day(expression: &str, zone: &str, day: &str) -> Vec<String> {
    let schedule = schedule(expression, zone);
    let day: jiff::civil::Date = day.parse().unwrap();
    let begin = day.to_zoned(schedule.zone.clone()).unwrap().timestamp();
    let end = day.tomorrow().unwrap().to_zoned(schedule.zone.clone()).unwrap().timestamp();
    schedule
        .after(begin - jiff::SignedDuration::from_nanos(1))
        .take_while(|tick| *tick < end)
        .map(|tick| schedule.local(tick).strftime("%H:%M%:z").to_string())
        .collect()
}

#[test]
fn a_fixed_time_runs_once_on_the_day_of_a_gap_at_its_end() {
    assert_eq!(day("30 2 * * *", "Europe/Paris", "2026-03-29"), ["03:00+02:00"]);
    assert_eq!(day("0 3 * * *", "Europe/Paris", "2026-03-29"), ["03:00+02:00"]);
    // Both are due then, and that is one tick.
    assert_eq!(day("0 2,3 * * *", "Europe/Paris", "2026-03-29"), ["03:00+02:00"]);
    assert_eq!(day("*/15 2 * * *", "Europe/Paris", "2026-03-29"), ["03:00+02:00"]);
    assert_eq!(
        day("0 1-4 * * *", "Europe/Paris", "2026-03-29"),
        ["01:00+01:00", "03:00+02:00", "04:00+02:00"]
    );
    assert_eq!(day("30 2 * * *", "America/New_York", "2026-03-08"), ["03:00-04:00"]);
    // Half an hour, and midnight itself.
    assert_eq!(day("15 2 * * *", "Australia/Lord_Howe", "2026-10-04"), ["02:30+11:00"]);
    assert_eq!(day("0 0 * * *", "Africa/Cairo", "2026-04-24"), ["01:00+03:00"]);
    assert_eq!(day("0 */12 * * *", "Africa/Cairo", "2026-04-24"), ["01:00+03:00", "12:00+03:00"]);
    // A whole day that never was.
    assert_eq!(day("30 2 * * *", "Pacific/Apia", "2011-12-31"), ["00:00+14:00", "02:30+14:00"]);
    assert_eq!(day("30 2 30 12 *", "Pacific/Apia", "2011-12-31"), ["00:00+14:00"]);
    assert_eq!(day("30 2 31 12 *", "Pacific/Apia", "2011-12-31"), ["02:30+14:00"]);
}

#[test]
fn a_fixed_time_runs_once_on_the_day_of_an_overlap_the_first_time() {
    assert_eq!(day("30 2 * * *", "Europe/Paris", "2026-10-25"), ["02:30+02:00"]);
    assert_eq!(day("0 2,3 * * *", "Europe/Paris", "2026-10-25"), ["02:00+02:00", "03:00+01:00"]);
    assert_eq!(day("*/30 2 * * *", "Europe/Paris", "2026-10-25"), ["02:00+02:00", "02:30+02:00"]);
    assert_eq!(day("30 1 * * *", "America/New_York", "2026-11-01"), ["01:30-04:00"]);
    assert_eq!(day("45 1 * * *", "Australia/Lord_Howe", "2026-04-05"), ["01:45+11:00"]);
    assert_eq!(day("0 */2 * * *", "Europe/Paris", "2026-10-25").len(), 12);
}

#[test]
fn every_hour_follows_real_time() {
    assert_eq!(day("0 * * * *", "Europe/Paris", "2026-03-29").len(), 23);
    assert_eq!(day("0 * * * *", "Europe/Paris", "2026-06-01").len(), 24);
    assert_eq!(day("0 * * * *", "Europe/Paris", "2026-10-25").len(), 25);
    assert_eq!(
        day("0 * * * *", "Europe/Paris", "2026-10-25")[1..5],
        ["01:00+02:00", "02:00+02:00", "02:00+01:00", "03:00+01:00"]
    );
    assert_eq!(day("*/15 * * * *", "America/New_York", "2026-03-08").len(), 23 * 4);
    assert_eq!(day("*/15 * * * *", "America/New_York", "2026-11-01").len(), 25 * 4);
    // However it is written.
    for hours in ["*", "*/1", "0-23", "?", "0-11,12-23"] {
        assert_eq!(day(&format!("0 {hours} * * *"), "Europe/Paris", "2026-10-25").len(), 25, "{hours}");
    }
    // Half an hour is put back: one of the two has 30 minutes only.
    assert_eq!(day("30 * * * *", "Australia/Lord_Howe", "2026-04-05").len(), 25);
    assert_eq!(day("0 * * * *", "Australia/Lord_Howe", "2026-04-05").len(), 24);
    // Two hours at once.
    assert_eq!(day("0 * * * *", "Antarctica/Troll", "2026-03-29").len(), 22);
    assert_eq!(day("0 * * * *", "Antarctica/Troll", "2026-10-25").len(), 26);
}

#[test]
fn the_ticks_of_office_hours_are_at_the_same_local_time_all_year() {
    let schedule = schedule("0 9-16 * * 0-5", "Europe/Paris");
    let ticks: Vec<Timestamp> = schedule
        .after(at("2025-12-31T23:00:00Z"))
        .take_while(|tick| *tick < at("2026-12-31T23:00:00Z"))
        .collect();
    // 52 Saturdays are free.
    assert_eq!(ticks.len(), (365 - 52) * 8);
    for tick in ticks {
        let local = schedule.local(tick);
        assert!((9..=16).contains(&local.hour()) && local.minute() == 0, "{local}");
        assert_ne!(local.weekday(), jiff::civil::Weekday::Saturday, "{local}");
    }
}

#[test]
fn the_latest_tick_is_the_last_one_at_or_before_an_instant() {
    let paris = schedule("30 2 * * *", "Europe/Paris");
    for (until, expected) in [
        ("2026-03-29T00:59:59Z", "2026-03-28T01:30:00Z"),
        ("2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z"),
        ("2026-10-25T01:30:00Z", "2026-10-25T00:30:00Z"),
        ("2026-10-25T00:29:59.999999999Z", "2026-10-24T00:30:00Z"),
    ] {
        assert_eq!(paris.latest(at(until)), Some(at(expected)), "{until}");
    }
    let leap = schedule("0 0 29 2 *", "Etc/UTC");
    assert_eq!(leap.latest(at("2104-02-28T23:59:59Z")), Some(at("2096-02-29T00:00:00Z")));
    assert_eq!(leap.latest(Timestamp::MIN), None);
    assert_eq!(leap.next_after(Timestamp::MAX), None);
    assert_eq!(leap.next_after(at("9999-12-30T00:00:00Z")), None);
}
