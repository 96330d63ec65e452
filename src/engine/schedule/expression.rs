//! Expressions: the five fields of a schedule, as sets of numbers.
//!
//! Responsible for: what CronJob takes too, and exact words about what it does not. Must never: know a time zone.

use jiff::civil::{Date, DateTime, Weekday};

use crate::engine::condition::cut;
use crate::engine::problem::{Problem, ProblemCode};

/// The field that all of this is about.
const PATH: &str = "spec.schedule";
/// What may be written.
const ALLOWED: &str = "five fields (minute, hour, day of month, month, day of week), \
    or one of @hourly, @daily, @weekly, @monthly, @yearly";
/// Most bytes of a mistake that are repeated.
const MAX_SHOWN: usize = 64;
/// Most bytes of an expression: every number of every field fits twice.
const MAX_LENGTH: usize = 1024;
/// How many years may lie between two dates that match: 29 February, over a century that has none.
const MAX_YEARS: i16 = 9;

/// When a schedule is due, in local time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// Bit n: minute n; and so on for the others. Day of week: 0 is Sunday.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether the day of the month, or of the week, is left open. If neither is, either of them is enough.
    any_day: bool,
    any_weekday: bool,
}

/// One of the five fields.
struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    /// Names of the numbers from `min` on.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", min: 0, max: 59, names: &[] },
    Field { name: "hour", min: 0, max: 23, names: &[] },
    Field { name: "day of month", min: 1, max: 31, names: &[] },
    Field {
        name: "month",
        min: 1,
        max: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    // Sunday is 0, and 7 as well.
    Field { name: "day of week", min: 0, max: 7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

impl Expression {
    /// Reads an expression. All fields that are wrong are told.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let refuse = |code, message: String| Err(vec![Problem::new(code, PATH, message)]);
        let text = text.trim();
        if text.len() > MAX_LENGTH {
            let message = format!("must have at most {MAX_LENGTH} bytes, has {}", text.len());
            return refuse(ProblemCode::LimitExceeded, message);
        }
        let upper = text.to_ascii_uppercase();
        if let Some(prefix) = ["CRON_TZ=", "TZ="].into_iter().find(|prefix| upper.starts_with(prefix)) {
            let message = format!("{prefix} is not allowed here: set spec.timeZone");
            return refuse(ProblemCode::InvalidSchedule, message);
        }
        let expanded = match text {
            "@hourly" => "0 * * * *",
            "@daily" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" => "0 0 1 1 *",
            _ => text,
        };
        let fields: Vec<&str> = expanded.split_whitespace().collect();
        match fields.len() {
            _ if expanded.starts_with('@') => {
                let word = shown(fields.first().unwrap_or(&"@"));
                refuse(
                    ProblemCode::UnsupportedSchedule,
                    format!("{word} is not supported: must be {ALLOWED}"),
                )
            }
            6 | 7 => {
                let message = format!(
                    "{} fields, seconds and years are not supported: must be {ALLOWED}",
                    fields.len()
                );
                refuse(ProblemCode::UnsupportedSchedule, message)
            }
            5 => Self::of_fields(&fields, text),
            0 => refuse(ProblemCode::InvalidSchedule, format!("is empty: must be {ALLOWED}")),
            count => {
                let plural = if count == 1 { "" } else { "s" };
                refuse(ProblemCode::InvalidSchedule, format!("{count} field{plural}: must be {ALLOWED}"))
            }
        }
    }

    fn of_fields(fields: &[&str], text: &str) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let sets: Vec<(u64, bool)> = FIELDS
            .iter()
            .zip(fields)
            .map(|(field, text)| {
                field.read(text).unwrap_or_else(|message| {
                    problems.push(Problem::new(ProblemCode::InvalidSchedule, PATH, message));
                    (0, false)
                })
            })
            .collect();
        let &[(minutes, _), (hours, _), (days, any_day), (months, _), (weekdays, any_weekday)] =
            sets.as_slice()
        else {
            return Err(problems);
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        let weekdays = (weekdays | weekdays >> 7) & 0x7f;
        let expression = Self { minutes, hours, days, months, weekdays, any_day, any_weekday };
        if expression.never_fires() {
            let message = format!("no date within {} years matches \"{}\"", MAX_YEARS - 1, shown(text));
            return Err(vec![Problem::new(ProblemCode::NeverFires, PATH, message)]);
        }
        Ok(expression)
    }

    /// Only a day of the month that none of the months has can be waited for in vain.
    fn never_fires(&self) -> bool {
        let longest = |month: u32| match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let is_possible = (1..=12)
            .any(|month| has(self.months, month) && (1..=longest(month)).any(|day| has(self.days, day)));
        self.any_weekday && !self.any_day && !is_possible
    }

    /// Whether it is due in every hour of a day, and so follows real time.
    pub(super) fn is_every_hour(&self) -> bool {
        self.hours == (1 << 24) - 1
    }

    /// The first local time that matches, at or after a whole minute.
    pub(super) fn next(&self, from: DateTime) -> Option<DateTime> {
        let last_year = from.year().saturating_add(MAX_YEARS);
        let (mut date, mut hour, mut minute) = (from.date(), number(from.hour()), number(from.minute()));
        loop {
            if date.year() > last_year {
                return None;
            }
            if !has(self.months, number(date.month())) {
                date = date.last_of_month().tomorrow().ok()?;
            } else if let Some((hour, minute)) =
                self.matches_day(date).then(|| self.time(hour, minute)).flatten()
            {
                return Some(date.at(hour, minute, 0, 0));
            } else {
                date = date.tomorrow().ok()?;
            }
            (hour, minute) = (0, 0);
        }
    }

    fn matches_day(&self, date: Date) -> bool {
        let by_day = has(self.days, number(date.day()));
        let by_weekday = has(self.weekdays, number(weekday(date.weekday())));
        if self.any_day || self.any_weekday { by_day && by_weekday } else { by_day || by_weekday }
    }

    /// The first time of a day that matches, at or after this one.
    fn time(&self, hour: u32, minute: u32) -> Option<(i8, i8)> {
        let of_hour = if has(self.hours, hour) { lowest(self.minutes, minute) } else { None };
        let (hour, minute) = match of_hour {
            Some(minute) => (hour, minute),
            None => (lowest(self.hours, hour.saturating_add(1))?, lowest(self.minutes, 0)?),
        };
        Some((i8::try_from(hour).ok()?, i8::try_from(minute).ok()?))
    }
}

impl Field {
    /// The numbers of a field, and whether it is left open.
    fn read(&self, text: &str) -> Result<(u64, bool), String> {
        let (mut numbers, mut is_open) = (0, false);
        for entry in text.split(',') {
            if entry.is_empty() {
                return Err(format!("{}: an entry of \"{}\" is empty", self.name, shown(text)));
            }
            let (range, step) = match entry.split_once('/') {
                Some((range, step)) => (range, Some(self.step(step)?)),
                None => (entry, None),
            };
            let (first, last) = self.range(range, step.is_some())?;
            is_open |= matches!(range, "*" | "?") && step.unwrap_or(1) == 1;
            let mut value = first;
            while value <= last {
                numbers |= 1 << value;
                value += step.unwrap_or(1);
            }
        }
        Ok((numbers, is_open))
    }

    fn range(&self, text: &str, has_step: bool) -> Result<(u32, u32), String> {
        // Sunday twice would be once too often.
        let last = if self.max == 7 { 6 } else { self.max };
        if matches!(text, "*" | "?") {
            return Ok((self.min, last));
        }
        let Some((first, until)) = text.split_once('-') else {
            let value = self.value(text)?;
            // As CronJob has it: 5/15 is from 5 on, every 15.
            return Ok((value, if has_step { last.max(value) } else { value }));
        };
        let (from, to) = (self.value(first)?, self.value(until)?);
        if from > to {
            return Err(format!("{} range {} goes backwards", self.name, shown(text)));
        }
        Ok((from, to))
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let named = self.names.iter().position(|name| text.eq_ignore_ascii_case(name));
        if let Some(value) = named.and_then(|at| u32::try_from(at).ok()) {
            return Ok(self.min + value);
        }
        let Some(value) = digits(text) else {
            let or = match (self.names.first(), self.names.last()) {
                (Some(first), Some(last)) => format!(", nor a name from {first} to {last}"),
                _ => String::new(),
            };
            return Err(format!("{} \"{}\" is not a number{or}", self.name, shown(text)));
        };
        if (self.min..=self.max).contains(&value) {
            return Ok(value);
        }
        Err(format!("{} {} out of range {}-{}", self.name, shown(text), self.min, self.max))
    }

    fn step(&self, text: &str) -> Result<u32, String> {
        // A step beyond the field looks like more than it does: */90 is once an hour.
        let largest = if self.max == 7 { 7 } else { self.max - self.min + 1 };
        match digits(text) {
            None => Err(format!("{} step \"{}\" is not a number", self.name, shown(text))),
            Some(step) if (1..=largest).contains(&step) => Ok(step),
            Some(_) => Err(format!("{} step {} out of range 1-{largest}", self.name, shown(text))),
        }
    }
}

/// A number without a sign; what is too large for us is larger than every limit.
fn digits(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u32::MAX))
}

fn has(set: u64, value: u32) -> bool {
    set.checked_shr(value).is_some_and(|rest| rest & 1 == 1)
}

/// The lowest member at or above a value.
fn lowest(set: u64, from: u32) -> Option<u32> {
    let rest = set.checked_shr(from).filter(|rest| *rest != 0)?;
    Some(from + rest.trailing_zeros())
}

fn number(part: i8) -> u32 {
    u32::try_from(part).unwrap_or_default()
}

fn weekday(day: Weekday) -> i8 {
    day.to_sunday_zero_offset()
}

fn shown(text: &str) -> String {
    cut(text.to_owned(), MAX_SHOWN)
}
