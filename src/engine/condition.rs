//! Conditions: set by type, with transition times that change only with the status.
//!
//! Responsible for: the rules of the API conventions. Must never: be read back to decide anything.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What a condition is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Type of the condition.
    pub type_: &'static str,
    /// True, False or (nothing) Unknown.
    pub status: Option<bool>,
    /// One CamelCase word.
    pub reason: String,
    /// For people.
    pub message: String,
}

impl Statement {
    /// A statement.
    pub fn new(
        type_: &'static str,
        status: Option<bool>,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { type_, status, reason: reason.into(), message: message.into() }
    }
}

/// The conditions that say these statements and nothing else, in this order. What was said before with the same
/// status keeps its transition time.
#[must_use]
pub fn state(
    previous: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
    statements: impl IntoIterator<Item = Statement>,
) -> Vec<Condition> {
    let say = |statement: Statement| {
        let status = match statement.status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let before = previous.iter().find(|c| c.type_ == statement.type_ && c.status == status);
        Condition {
            type_: statement.type_.to_owned(),
            status: status.to_owned(),
            reason: statement.reason,
            message: cut(statement.message, 32_768),
            observed_generation: generation,
            last_transition_time: before.map_or_else(|| stamp(now), |c| c.last_transition_time.clone()),
        }
    };
    statements.into_iter().map(say).collect()
}

/// Whether a condition says True.
#[must_use]
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    conditions.iter().any(|c| c.type_ == type_ && c.status == "True")
}

/// A condition by its type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Why a condition is as it is, for people; the reason once, though most messages begin with it.
#[must_use]
pub fn explained(condition: &Condition) -> String {
    let (reason, message) = (&condition.reason, &condition.message);
    let repeats = message.strip_prefix(reason.as_str()).is_some_and(|rest| rest.starts_with(':'));
    if repeats { message.clone() } else { format!("{reason}: {message}") }
}

/// A time as a status holds it: whole seconds, so that what is written equals what is read.
#[must_use]
pub fn stamp(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

/// A text cut to a number of bytes, at a character.
#[must_use]
pub fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let mut end = limit.saturating_sub('…'.len_utf8());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_transition_time_changes_with_the_status_only() {
        let say = |previous: &[Condition], now, status, message: &str| {
            state(previous, Some(1), at(now), [Statement::new("Ready", status, "Because", message)])
        };
        let first = say(&[], 10, Some(true), "one");
        let second = say(&first, 20, Some(true), "two");
        assert_eq!(second[0].last_transition_time, Time(at(10)));
        assert_eq!(second[0].message, "two");
        let third = say(&second, 30, None, "three");
        assert_eq!(third[0].last_transition_time, Time(at(30)));
        assert_eq!(third[0].status, "Unknown");
    }

    #[test]
    fn the_reason_is_told_once() {
        let told = |message: &str| {
            explained(&state(&[], None, at(0), [Statement::new("Ready", None, "Because", message)])[0])
        };
        assert_eq!(told("of this"), "Because: of this");
        assert_eq!(told("Because: spec: of this"), "Because: spec: of this");
        assert_eq!(told("Becauses: of this"), "Because: Becauses: of this");
    }

    #[test]
    fn a_text_is_cut_at_a_character() {
        assert_eq!(cut("aäää".to_owned(), 6), "aä…");
        assert_eq!(cut("abc".to_owned(), 3), "abc");
    }
}
