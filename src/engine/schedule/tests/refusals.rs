//! What is refused, word for word.

use proptest::prelude::*;

use super::*;

const ALLOWED: &str = "must be five fields (minute, hour, day of month, month, day of week), or one of @hourly, \
    @daily, @weekly, @monthly, @yearly";

#[track_caller]
fn check(schedule: &str, zone: &str, expected: &[&str]) {
    let told = match Schedule::compile(schedule, Some(zone)) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    };
    let expected: Vec<String> = expected.iter().map(|line| line.replace("ALLOWED", ALLOWED)).collect();
    assert_eq!(told, expected, "{schedule}, {zone}");
}

#[track_caller]
fn refused(schedule: &str, expected: &[&str]) {
    let expected: Vec<String> = expected
        .iter()
        .map(|line| {
            line.split_once(' ').map(|(code, rest)| format!("{code}: spec.schedule: {rest}")).unwrap()
        })
        .collect();
    check(schedule, "Etc/UTC", &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn an_invalid_field_is_told_with_its_range_and_all_of_them_at_once() {
    refused("61 * * * *", &["InvalidSchedule minute 61 out of range 0-59"]);
    refused("0 24 * * *", &["InvalidSchedule hour 24 out of range 0-23"]);
    refused("0 0 0 * *", &["InvalidSchedule day of month 0 out of range 1-31"]);
    refused("0 0 * 13 *", &["InvalidSchedule month 13 out of range 1-12"]);
    refused("0 0 * * 8", &["InvalidSchedule day of week 8 out of range 0-7"]);
    refused("0 99999999999999999999 * * *", &["InvalidSchedule hour 99999999999999999999 out of range 0-23"]);
    refused(
        "60 24 32 0 mon-sun",
        &[
            "InvalidSchedule minute 60 out of range 0-59",
            "InvalidSchedule hour 24 out of range 0-23",
            "InvalidSchedule day of month 32 out of range 1-31",
            "InvalidSchedule month 0 out of range 1-12",
            "InvalidSchedule day of week range mon-sun goes backwards",
        ],
    );
    refused("0 22-2 * * *", &["InvalidSchedule hour range 22-2 goes backwards"]);
    refused("often * * * *", &["InvalidSchedule minute \"often\" is not a number"]);
    refused("-5 * * * *", &["InvalidSchedule minute \"\" is not a number"]);
    refused("1.5 * * * *", &["InvalidSchedule minute \"1.5\" is not a number"]);
    refused(
        "0 0 * february *",
        &["InvalidSchedule month \"february\" is not a number, nor a name from jan to dec"],
    );
    refused(
        "0 0 * * 5L",
        &["InvalidSchedule day of week \"5L\" is not a number, nor a name from sun to sat"],
    );
    refused("0 0 L * *", &["InvalidSchedule day of month \"L\" is not a number"]);
    refused("1,,2 * * * *", &["InvalidSchedule minute: an entry of \"1,,2\" is empty"]);
    refused("*/0 * * * *", &["InvalidSchedule minute step 0 out of range 1-60"]);
    refused("*/90 * * * *", &["InvalidSchedule minute step 90 out of range 1-60"]);
    refused("0 */x * * *", &["InvalidSchedule hour step \"x\" is not a number"]);
    refused("0 0 * * */8", &["InvalidSchedule day of week step 8 out of range 1-7"]);
    let long = format!("{} * * * *", "x".repeat(100));
    refused(&long, &[&format!("InvalidSchedule minute \"{}…\" is not a number", "x".repeat(61))]);
}

#[test]
fn another_number_of_fields_and_other_forms_are_told_with_what_is_allowed() {
    refused("", &["InvalidSchedule is empty: ALLOWED"]);
    refused(" \t\n", &["InvalidSchedule is empty: ALLOWED"]);
    refused("hourly", &["InvalidSchedule 1 field: ALLOWED"]);
    refused("5 4 * *", &["InvalidSchedule 4 fields: ALLOWED"]);
    refused("0 0 0 0 0 0 0 0", &["InvalidSchedule 8 fields: ALLOWED"]);
    refused("0 5 4 * * *", &["UnsupportedSchedule 6 fields, seconds and years are not supported: ALLOWED"]);
    refused(
        "0 5 4 * * * 2027",
        &["UnsupportedSchedule 7 fields, seconds and years are not supported: ALLOWED"],
    );
    refused("@every 5m", &["UnsupportedSchedule @every is not supported: ALLOWED"]);
    refused("@reboot", &["UnsupportedSchedule @reboot is not supported: ALLOWED"]);
    refused("@Daily", &["UnsupportedSchedule @Daily is not supported: ALLOWED"]);
    refused("@", &["UnsupportedSchedule @ is not supported: ALLOWED"]);
    refused("TZ=Europe/Paris 0 9 * * *", &["InvalidSchedule TZ= is not allowed here: set spec.timeZone"]);
    refused("CRON_TZ=UTC 0 9 * * *", &["InvalidSchedule CRON_TZ= is not allowed here: set spec.timeZone"]);
    refused("tz=UTC 0 9 * * *", &["InvalidSchedule TZ= is not allowed here: set spec.timeZone"]);
    refused(&"1,".repeat(600), &["LimitExceeded must have at most 1024 bytes, has 1200"]);
}

#[test]
fn a_schedule_that_never_fires_is_told() {
    refused("0 0 31 2 *", &["NeverFires no date within 8 years matches \"0 0 31 2 *\""]);
    refused("0 0 30 feb *", &["NeverFires no date within 8 years matches \"0 0 30 feb *\""]);
    refused("0 0 31 2,4,6,9,11 *", &["NeverFires no date within 8 years matches \"0 0 31 2,4,6,9,11 *\""]);
    for fires in ["0 0 29 2 *", "0 0 30 2 1", "0 0 31 */2 *", "0 0 * 2 *", "0 0 30,31 2-4 *"] {
        check(fires, "Etc/UTC", &[]);
    }
}

#[test]
fn what_a_cronjob_takes_is_taken() {
    for good in [
        "@hourly",
        "@daily",
        "@weekly",
        "@monthly",
        "@yearly",
        "  0   9-16\t* * 0-5 ",
        "*/15 * * * *",
        "5/15 * * * *",
        "0 */24 * * *",
        "1-5,7,9-59/10 0 1,15 JAN-Mar,12 MON",
        "0 0 ? * 7",
        "0 0 * * sun-sat",
        "0 0 * * 5-7",
        "059 0 * * *",
    ] {
        check(good, "Etc/UTC", &[]);
    }
    let next = |expression| schedule(expression, "Etc/UTC").next_after(at("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!(next("@hourly"), at("2026-01-01T01:00:00Z"));
    assert_eq!(next("@daily"), at("2026-01-02T00:00:00Z"));
    assert_eq!(next("@weekly"), at("2026-01-04T00:00:00Z"));
    assert_eq!(next("@monthly"), at("2026-02-01T00:00:00Z"));
    assert_eq!(next("@yearly"), at("2027-01-01T00:00:00Z"));
    assert_eq!(next("50/5 * * * *"), at("2026-01-01T00:50:00Z"));
    assert_eq!(next("0 0 * * 7"), at("2026-01-04T00:00:00Z"));
    // Either the day of the month or that of the week, as cron has it.
    assert_eq!(next("0 0 13 * 5"), at("2026-01-02T00:00:00Z"));
    assert_eq!(next("0 0 2 * 0"), at("2026-01-02T00:00:00Z"));
    assert_eq!(next("0 0 */1 * 0"), at("2026-01-04T00:00:00Z"));
    assert_eq!(next("0 0 29 2 *"), at("2028-02-29T00:00:00Z"));
    let after_2096 = schedule("0 0 29 2 *", "Etc/UTC").next_after(at("2096-03-01T00:00:00Z"));
    assert_eq!(after_2096, Some(at("2104-02-29T00:00:00Z")));
}

#[test]
fn a_zone_that_is_not_one_is_told_with_what_may_be_meant() {
    let zone = |name: &str, expected: &str| check("@daily", name, &[expected]);
    let unknown = |name: &str, hint: &str| {
        let told = format!(
            "UnknownTimeZone: spec.timeZone: \"{name}\" is not a name of the IANA time zone database{hint}"
        );
        zone(name, &told);
    };
    unknown("Europe/paris", " (did you mean \"Europe/Paris\"?)");
    unknown("EUROPE/PARIS", " (did you mean \"Europe/Paris\"?)");
    unknown("utc", " (did you mean \"UTC\"?)");
    unknown("Paris", " (did you mean \"Europe/Paris\"?)");
    unknown("America/New York", " (did you mean \"America/New_York\"?)");
    unknown("Europe/Pari", " (did you mean \"Europe/Paris\"?)");
    unknown("Local", "");
    unknown("", "");
    // They would count as UTC.
    for placeholder in ["Factory", "Etc/Unknown"] {
        let told = Schedule::compile("* * * * *", Some(placeholder)).unwrap_err();
        assert_eq!(
            told[0].to_string(),
            format!(
                "UnknownTimeZone: spec.timeZone: \"{placeholder}\" stands for a zone that nobody has set: did you mean Etc/UTC?"
            )
        );
    }
    let long = "x".repeat(5000);
    zone(
        &long,
        &format!(
            "UnknownTimeZone: spec.timeZone: \"{}…\" is not a name of the IANA time zone database",
            "x".repeat(61)
        ),
    );

    let ambiguous = |name: &str, meant: &str| {
        let told = format!(
            "AmbiguousTimeZone: spec.timeZone: \"{name}\" may be ahead of UTC or, as POSIX reads it, behind it, and \
            tells nothing of daylight saving: did you mean {meant}?"
        );
        zone(name, &told);
    };
    ambiguous("GMT+1", "Europe/Paris or Etc/GMT-1");
    ambiguous("UTC+2", "Europe/Helsinki or Etc/GMT-2");
    ambiguous("UTC-05:00", "America/New_York or Etc/GMT+5");
    ambiguous("gmt-5", "America/New_York or Etc/GMT+5");
    ambiguous("+0900", "Asia/Tokyo or Etc/GMT-9");
    ambiguous("-12", "Etc/GMT+12");
    let difference = |name: &str, rest: &str| {
        let told = format!(
            "AmbiguousTimeZone: spec.timeZone: \"{name}\" is a difference from UTC and no zone: {rest}"
        );
        zone(name, &told);
    };
    difference("UTC+0", "did you mean Etc/UTC?");
    difference("UTC+5:30", "name a place, such as Europe/Paris");
    difference("GMT+25", "name a place, such as Europe/Paris");
    for good in
        ["Etc/UTC", "UTC", "GMT", "Etc/GMT+1", "Etc/GMT-14", "Europe/Paris", "Asia/Kathmandu", "EST5EDT"]
    {
        check("@daily", good, &[]);
    }
    // Both fields are told.
    check(
        "61 * * * *",
        "GMT+12",
        &[
            "InvalidSchedule: spec.schedule: minute 61 out of range 0-59",
            "AmbiguousTimeZone: spec.timeZone: \"GMT+12\" may be ahead of UTC or, as POSIX reads it, behind it, and \
             tells nothing of daylight saving: did you mean Pacific/Tarawa or Etc/GMT-12?",
        ],
    );
}

proptest! {
    #[test]
    fn nothing_that_is_written_makes_it_panic(
        schedule in prop_oneof![".{0,40}", "[-*/?,@0-9a-z ]{0,30}", "([-*/0-9]{1,5} ){4}[-*/0-9]{1,5}"],
        zone in prop_oneof![".{0,20}", "[A-Za-z_/+:0-9-]{0,20}"],
    ) {
        let _ = Schedule::compile(&schedule, Some(&zone));
        if let Ok(schedule) = Schedule::compile(&schedule, None) {
            let now = at("2026-01-01T00:00:00Z");
            let tick = schedule.next_after(now).expect("what is taken is due some day");
            assert!(tick > now);
            assert_eq!(schedule.latest(tick), Some(tick));
        }
    }
}
