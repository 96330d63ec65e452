//! Zones: the names of the IANA database, and what people write instead of them.
//!
//! Responsible for: that no schedule ever runs in a zone that was not meant. Must never: fall back to another zone.

use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, tz::Offset};

use crate::engine::condition::cut;
use crate::engine::problem::{Problem, ProblemCode};

pub use crate::api::orchestration_schedule::DEFAULT_TIME_ZONE as DEFAULT;

/// The field that all of this is about.
const PATH: &str = "spec.timeZone";
/// Most names that are proposed.
const MAX_PROPOSED: usize = 3;
/// How alike a name must be to be proposed.
const ALIKE: f64 = 0.85;
/// How much less alike than the best one others may be.
const NEARLY: f64 = 0.02;
/// Names for a zone that nobody has set. They count as UTC, which nobody has asked for.
const PLACEHOLDERS: [&str; 2] = ["Etc/Unknown", "Factory"];
/// Longest name that is compared with others.
const MAX_COMPARED: usize = 64;

/// A place with each whole hour of difference from UTC, in winter and without daylight saving where there is one.
const PLACES: [(i32, &str); 26] = [
    (-11, "Pacific/Pago_Pago"),
    (-10, "Pacific/Honolulu"),
    (-9, "America/Anchorage"),
    (-8, "America/Los_Angeles"),
    (-7, "America/Denver"),
    (-6, "America/Chicago"),
    (-5, "America/New_York"),
    (-4, "America/Halifax"),
    (-3, "America/Sao_Paulo"),
    (-2, "America/Noronha"),
    (-1, "Atlantic/Azores"),
    (0, "Europe/London"),
    (1, "Europe/Paris"),
    (2, "Europe/Helsinki"),
    (3, "Europe/Istanbul"),
    (4, "Asia/Dubai"),
    (5, "Asia/Karachi"),
    (6, "Asia/Dhaka"),
    (7, "Asia/Bangkok"),
    (8, "Asia/Singapore"),
    (9, "Asia/Tokyo"),
    (10, "Australia/Brisbane"),
    (11, "Pacific/Noumea"),
    (12, "Pacific/Tarawa"),
    (13, "Pacific/Tongatapu"),
    (14, "Pacific/Kiritimati"),
];

/// The zone of a name, which must be written exactly as the IANA database has it.
pub fn find(name: &str) -> Result<TimeZone, Problem> {
    let refuse = |code, message| Err(Problem::new(code, PATH, message));
    if let Some(zone) = named(name) {
        return Ok(zone);
    }
    let shown = cut(name.to_owned(), MAX_COMPARED);
    if PLACEHOLDERS.contains(&name) {
        let message = format!("\"{shown}\" stands for a zone that nobody has set: did you mean Etc/UTC?");
        return refuse(ProblemCode::UnknownTimeZone, message);
    }
    if let Some(hours) = offset(name) {
        let message = match hours {
            Some(0) => format!("\"{shown}\" is a difference from UTC and no zone: did you mean Etc/UTC?"),
            Some(hours) => {
                // In the names below Etc the sign is POSIX's, the other way round.
                let etc = format!("Etc/GMT{:+}", -hours);
                let place = PLACES.iter().find(|(there, _)| *there == hours);
                let place = place.map_or_else(String::new, |(_, place)| format!("{place} or "));
                format!(
                    "\"{shown}\" may be ahead of UTC or, as POSIX reads it, behind it, and tells nothing of \
                    daylight saving: did you mean {place}{etc}?"
                )
            }
            None => format!(
                "\"{shown}\" is a difference from UTC and no zone: name a place, such as Europe/Paris"
            ),
        };
        return refuse(ProblemCode::AmbiguousTimeZone, message);
    }
    let message = format!("\"{shown}\" is not a name of the IANA time zone database{}", nearest(name));
    refuse(ProblemCode::UnknownTimeZone, message)
}

/// The zone of a name, as [`find`] has it, or nothing: no words are looked for.
#[must_use]
pub fn named(name: &str) -> Option<TimeZone> {
    // The database takes any case; what depends on that cannot be moved to another system.
    let zone = TimeZoneDatabase::bundled().get(name).ok().filter(|zone| zone.iana_name() == Some(name));
    zone.filter(|_| !PLACEHOLDERS.contains(&name))
}

/// What people should know about a zone that is right, but may not be what they think.
#[must_use]
pub fn warning(name: &str) -> Option<Problem> {
    let sign = name.strip_prefix("Etc/GMT")?;
    let zone = TimeZoneDatabase::bundled().get(name).ok()?;
    let offset = zone.to_offset(Timestamp::UNIX_EPOCH);
    if offset == Offset::UTC || !sign.starts_with(['+', '-']) {
        return None;
    }
    let (hours, side) =
        (offset.seconds().abs() / 3600, if offset.is_negative() { "behind" } else { "ahead of" });
    let plural = if hours == 1 { "hour" } else { "hours" };
    let message = format!("\"{name}\" is {hours} {plural} {side} UTC: in these names the sign is POSIX's");
    Some(Problem::new(ProblemCode::AmbiguousTimeZone, PATH, message))
}

/// Whether a name is a difference from UTC, and its whole hours as most people mean them; nothing inside: it has minutes,
/// or is none that exists.
fn offset(name: &str) -> Option<Option<i32>> {
    let upper = name.to_ascii_uppercase();
    let rest =
        ["GMT", "UTC", "UT", "Z"].into_iter().find_map(|prefix| upper.strip_prefix(prefix)).unwrap_or(&upper);
    let (sign, digits) = match rest.strip_prefix('+') {
        Some(digits) => (1, digits),
        None => (-1, rest.strip_prefix(['-', '−'])?),
    };
    let plain: String = digits.chars().filter(|character| *character != ':').collect();
    if plain.is_empty() || plain.len() > 4 || !plain.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = plain.split_at(if plain.len() > 2 { plain.len() - 2 } else { plain.len() });
    let hours: i32 = hours.parse().ok()?;
    let is_whole = minutes.bytes().all(|byte| byte == b'0') && (-12..=14).contains(&(sign * hours));
    Some(is_whole.then_some(sign * hours))
}

/// The names that are most like a wrong one: ` (did you mean "Europe/Paris"?)`, or nothing.
fn nearest(wrong: &str) -> String {
    if wrong.len() > MAX_COMPARED {
        return String::new();
    }
    let lower = wrong.to_ascii_lowercase().replace(' ', "_");
    let database = TimeZoneDatabase::bundled();
    let mut alike: Vec<(f64, String)> = database
        .available()
        .map(|name| {
            let known = name.as_str().to_ascii_lowercase();
            // A city is often written without its continent.
            let city = known.rsplit('/').next().unwrap_or(&known);
            let likeness = strsim::jaro_winkler(&lower, &known).max(strsim::jaro_winkler(&lower, city));
            (likeness, name.as_str().to_owned())
        })
        .filter(|(likeness, _)| *likeness > ALIKE)
        .collect();
    if let Some((_, name)) = alike.iter().find(|(_, name)| name.eq_ignore_ascii_case(&lower)) {
        return format!(" (did you mean \"{name}\"?)");
    }
    alike.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let best = alike.first().map_or(1.0, |(likeness, _)| *likeness);
    let names = alike.into_iter().take_while(|(likeness, _)| *likeness >= best - NEARLY).take(MAX_PROPOSED);
    let names: Vec<String> = names.map(|(_, name)| format!("\"{name}\"")).collect();
    if names.is_empty() { String::new() } else { format!(" (did you mean {}?)", names.join(" or ")) }
}
