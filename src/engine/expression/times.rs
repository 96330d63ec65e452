//! Times: the parts of timestamps and durations, in UTC or a zone, and both as text.
//!
//! Responsible for: what CEL says of them, where the interpreter drops the zone, and reads a time by the difference it
//! was written with. Must never: read a clock, or take a zone for another.

use jiff::civil::{DateTime, date};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use kube_cel::cel::extractors::{Arguments, This};
use kube_cel::cel::{Context, ExecutionError, Value};

use crate::engine::schedule::zone;

/// The functions that a zone may be told to.
pub(super) const PARTS: [&str; 10] = [
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
];

/// Puts the functions in the place of the interpreter's.
pub(super) fn register(context: &mut Context<'_>) {
    for name in PARTS {
        context.add_function(name, move |This(value): This<Value>, Arguments(arguments): Arguments| {
            part(name, &value, &arguments).map_err(|why| ExecutionError::function_error(name, why))
        });
    }
}

fn part(name: &str, value: &Value, arguments: &[Value]) -> Result<i64, String> {
    match (value, arguments) {
        (Value::Timestamp(time), arguments) => {
            let zone = match arguments {
                [] => TimeZone::UTC,
                [Value::String(zone)] => zone_of(zone).ok_or_else(|| unknown(zone))?,
                _ => return Err("a zone is a string".to_owned()),
            };
            let nanoseconds = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(i32::MAX);
            let local = local(time.timestamp(), nanoseconds, &zone);
            local.map(|local| of_time(name, local)).ok_or_else(|| "out of range in this zone".to_owned())
        }
        (Value::Duration(duration), []) => match name {
            "getHours" => Ok(duration.num_hours()),
            "getMinutes" => Ok(duration.num_minutes()),
            "getSeconds" => Ok(duration.num_seconds()),
            "getMilliseconds" => Ok(duration.num_milliseconds()),
            _ => Err("is for timestamps, this is a duration".to_owned()),
        },
        (Value::Duration(_), _) => Err("a duration has no zone".to_owned()),
        _ => Err("is for timestamps and durations".to_owned()),
    }
}

fn of_time(name: &str, local: DateTime) -> i64 {
    match name {
        "getDate" => local.day().into(),
        "getDayOfMonth" => i64::from(local.day()) - 1,
        "getDayOfWeek" => local.weekday().to_sunday_zero_offset().into(),
        "getDayOfYear" => i64::from(local.day_of_year()) - 1,
        "getFullYear" => local.year().into(),
        "getHours" => local.hour().into(),
        "getMilliseconds" => local.millisecond().into(),
        "getMinutes" => local.minute().into(),
        "getMonth" => i64::from(local.month()) - 1,
        _ => local.second().into(),
    }
}

/// The clock on the wall. The last hours of the year 9999 are no instants that can be had, but times of the clock.
fn local(seconds: i64, nanoseconds: i32, zone: &TimeZone) -> Option<DateTime> {
    let instant = Timestamp::new(seconds, nanoseconds).unwrap_or(Timestamp::MAX);
    let offset = i64::from(zone.to_offset(instant).seconds());
    let since = SignedDuration::new(seconds.checked_add(offset)?, nanoseconds);
    date(1970, 1, 1).at(0, 0, 0, 0).checked_add(since).ok()
}

/// A zone by its name in the IANA database, or by its difference from UTC: `+02:00`, `-07:30`, `02:00`.
fn zone_of(text: &str) -> Option<TimeZone> {
    let Some((hours, minutes)) = text.split_once(':') else { return zone::named(text) };
    let (sign, hours) = match hours.strip_prefix('-') {
        Some(hours) => (-1, hours),
        None => (1, hours.strip_prefix('+').unwrap_or(hours)),
    };
    let number = |digits: &str, most: i32| {
        let is_good = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i32>().ok().filter(|number| is_good && *number <= most)
    };
    let seconds = sign * (number(hours, 23)? * 3600 + number(minutes, 59)? * 60);
    Offset::from_seconds(seconds).ok().map(TimeZone::fixed)
}

fn unknown(text: &str) -> String {
    let text = super::evaluate::cut(text);
    format!("\"{text}\" is no time zone: name a place such as Europe/Paris, or a difference such as +02:00")
}

/// What is wrong with the name of a zone that is written out; nothing if it is one.
pub(super) fn zone_mistake(text: &str) -> Option<String> {
    if zone_of(text).is_some() {
        return None;
    }
    match zone::find(text) {
        // A difference is right here, if it is written as CEL has it.
        Err(problem) if !text.contains([':', '+', '-']) => Some(problem.message),
        _ => Some(unknown(text)),
    }
}

/// A time as CEL writes it, in RFC 3339 with no more digits of the second than needed.
pub(super) fn time_text(seconds: i64, nanoseconds: u32, offset: i32) -> Option<String> {
    let zone = TimeZone::fixed(Offset::from_seconds(offset).ok()?);
    let local = local(seconds, 0, &zone)?;
    let zone = match offset {
        0 => "Z".to_owned(),
        _ => {
            let sign = if offset < 0 { '-' } else { '+' };
            let minutes = offset.unsigned_abs() / 60;
            format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
    };
    let (day, clock) = (local.date(), local.time());
    let (hour, minute, second) = (clock.hour(), clock.minute(), clock.second());
    Some(format!("{day}T{hour:02}:{minute:02}:{second:02}{}{zone}", fraction(nanoseconds)))
}

/// A duration as CEL writes it: `5400s`, `-0.2s`.
pub(super) fn duration_text(nanoseconds: i64) -> String {
    let size = nanoseconds.unsigned_abs();
    let (seconds, rest) = (size / 1_000_000_000, size % 1_000_000_000);
    let sign = if nanoseconds < 0 { "-" } else { "" };
    format!("{sign}{seconds}{}s", fraction(u32::try_from(rest).unwrap_or_default()))
}

fn fraction(nanoseconds: u32) -> String {
    match nanoseconds {
        0 => String::new(),
        _ => format!(".{nanoseconds:09}").trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_a_name_or_a_difference() {
        let offset = |text: &str| zone_of(text).map(|zone| zone.to_offset(Timestamp::UNIX_EPOCH).seconds());
        assert_eq!(offset("UTC"), Some(0));
        assert_eq!(offset("Asia/Tokyo"), Some(9 * 3600));
        assert_eq!(offset("+02:00"), Some(7200));
        assert_eq!(offset("02:30"), Some(9000));
        assert_eq!(offset("-07:00"), Some(-7 * 3600));
        for bad in ["", "2:00", "+24:00", "+02:60", "+0200", "asia/tokyo", "Mars", "+-2:00", ":", "GMT+1"] {
            assert_eq!(offset(bad), None, "{bad}");
            assert!(zone_mistake(bad).is_some(), "{bad}");
        }
        assert_eq!(
            zone_mistake("Europe/Pari").unwrap(),
            "\"Europe/Pari\" is not a name of the IANA time zone database (did you mean \"Europe/Paris\"?)"
        );
        assert_eq!(
            zone_mistake("GMT+1").unwrap(),
            "\"GMT+1\" is no time zone: name a place such as Europe/Paris, or a difference such as +02:00"
        );
    }

    #[test]
    fn times_and_durations_have_one_text() {
        assert_eq!(time_text(0, 0, 0).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(time_text(0, 500_000_000, 7200).unwrap(), "1970-01-01T02:00:00.5+02:00");
        assert_eq!(time_text(0, 1, -27_000).unwrap(), "1969-12-31T16:30:00.000000001-07:30");
        assert_eq!(time_text(253_402_300_799, 0, 0).unwrap(), "9999-12-31T23:59:59Z");
        assert_eq!(time_text(-62_135_596_800, 0, 0).unwrap(), "0001-01-01T00:00:00Z");
        assert_eq!(duration_text(0), "0s");
        assert_eq!(duration_text(5_400_000_000_000), "5400s");
        assert_eq!(duration_text(-200_000_000), "-0.2s");
        assert_eq!(duration_text(i64::MIN), "-9223372036.854775808s");
    }
}
