//! Whole years: the zones of the issue minute by minute, and every zone of the database on the days that matter.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::reference::{Plain, all_zones, ours, walk, zone};
use super::*;

const EXPRESSIONS: [&str; 4] = ["0 * * * *", "30 2 * * *", "*/15 * * * *", "0 9-16 * * 0-5"];

fn compare(expressions: &[&str], name: &str, from: Timestamp, to: Timestamp) {
    let plain: Vec<Plain> = expressions.iter().map(|expression| Plain::new(expression)).collect();
    for (expression, slow) in expressions.iter().zip(walk(&plain, &zone(name), from, to)) {
        assert_eq!(ours(expression, name, from, to), slow, "{expression} in {name}, {from} to {to}");
    }
}

#[test]
fn a_leap_year_in_seven_zones_is_what_going_from_minute_to_minute_finds() {
    for name in [
        "Europe/Paris",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "Etc/UTC",
    ] {
        compare(&EXPRESSIONS, name, at("2028-01-01T00:00:00Z"), at("2029-01-01T00:00:00Z"));
    }
}

#[test]
fn every_zone_has_a_fixed_time_once_on_every_day_of_a_leap_year() {
    let zones = all_zones();
    assert!(zones.len() > 500, "{}", zones.len());
    let mut distinct: BTreeMap<Vec<(Timestamp, i32)>, String> = BTreeMap::new();
    for name in &zones {
        let here = zone(name);
        let midnight = |year: i16| jiff::civil::date(year, 1, 1).to_zoned(here.clone()).unwrap().timestamp();
        let (from, to) = (midnight(2028), midnight(2029) - SignedDuration::from_secs(1));
        let daily = ours("30 2 * * *", name, from, to);
        assert_eq!(daily.len(), 366, "{name}");
        assert!(daily.is_sorted_by(|one, next| one < next), "{name}");
        let days: Vec<_> = daily.iter().map(|tick| here.to_datetime(*tick).date()).collect();
        assert!(days.is_sorted_by(|one, next| one.tomorrow().is_ok_and(|day| day == *next)), "{name}");
        let mut changes = vec![(from, here.to_offset(from).seconds())];
        changes.extend(
            here.following(from)
                .take_while(|change| change.timestamp() <= to)
                .map(|change| (change.timestamp(), change.offset().seconds())),
        );
        distinct.entry(changes).or_insert_with(|| name.clone());
    }

    // Zones that agree all year long are looked at once.
    let mut days = 0;
    for (changes, name) in &distinct {
        for (change, _) in &changes[1..] {
            let (from, to) =
                (*change - SignedDuration::from_hours(26), *change + SignedDuration::from_hours(26));
            compare(
                &["0 * * * *", "30 2 * * *", "*/10 0-3 * * *", "0 */2 * * *", "45 23 * * *"],
                name,
                from,
                to,
            );
            days += 1;
        }
        let hourly = ours("0 * * * *", name, at("2028-01-01T00:00:00Z"), at("2028-12-31T23:59:59Z"));
        // Where clocks are put by half an hour, one more or less.
        assert!(hourly.len().abs_diff(8784) <= 1, "{name}: {}", hourly.len());
    }
    println!("{} zones, {} of them distinct, {days} changes of clocks", zones.len(), distinct.len());
    assert!(distinct.len() > 40 && days > 30);
}

#[test]
fn the_places_that_are_proposed_are_where_they_are_said_to_be() {
    for hours in -11..=14 {
        let Err(problem) = zone::find(&format!("UTC{hours:+}")) else { panic!("{hours} is a zone") };
        let Some((_, meant)) = problem.message.split_once("did you mean ") else { panic!("{problem}") };
        for name in meant.trim_end_matches('?').split(" or ") {
            let here = zone(name);
            // In one of the two halves of the year no daylight is saved.
            let offsets = ["2028-01-01T00:00:00Z", "2028-07-01T00:00:00Z"]
                .map(|instant| here.to_offset(at(instant)).seconds());
            assert_eq!(offsets[0].min(offsets[1]), hours * 3600, "{name}");
        }
    }
}
