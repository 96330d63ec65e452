//! Patterns: regular expressions as the API server reads them, matched in linear time.
//!
//! Responsible for: the dialect (RE2, which has no look-around and no back-references), and the size of what a pattern
//! becomes. Must never: backtrack.

use regex::{Regex, RegexBuilder};

use super::problem::ProblemCode;

/// Longest pattern, in bytes.
pub const MAX_LENGTH: usize = 1_024;

/// Largest compiled pattern, in bytes.
const MAX_SIZE: usize = 256 * 1024;

/// Largest compiled pattern of which there may be any number.
const SMALL: usize = 16 * 1024;

/// How much a pattern becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A few kilobytes.
    Small,
    /// More, within the limit.
    Large,
}

/// Compiles a pattern. The error is a code and a message.
pub fn compile(pattern: &str) -> Result<(Regex, Size), (ProblemCode, String)> {
    if pattern.len() > MAX_LENGTH {
        let message =
            format!("a pattern has at most {MAX_LENGTH} characters, this one has {}", pattern.len());
        return Err((ProblemCode::LimitExceeded, message));
    }
    let translated = translated(pattern);
    if let Ok(regex) = built(&translated, SMALL) {
        return Ok((regex, Size::Small));
    }
    match built(&translated, MAX_SIZE) {
        Ok(regex) => Ok((regex, Size::Large)),
        Err(regex::Error::CompiledTooBig(_)) => {
            let message = "UnsupportedPattern: the pattern is too large, its repetitions multiply; for lengths there are minLength and maxLength";
            Err((ProblemCode::LimitExceeded, message.to_owned()))
        }
        Err(error) => Err((ProblemCode::InvalidSchema, explained(&error))),
    }
}

fn built(pattern: &str, size: usize) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(size).dfa_size_limit(MAX_SIZE).nest_limit(32).build()
}

/// The last line of the parser's message says what is wrong; those before it draw the place.
fn explained(error: &regex::Error) -> String {
    let text = error.to_string();
    let why = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
    if why.contains("look-around") || why.contains("backreferences") {
        return "UnsupportedPattern: look-around and back-references cannot be matched in linear time"
            .to_owned();
    }
    format!("is no regular expression (RE2 syntax): {why}")
}

/// RE2 in the words of the regex crate: `\d`, `\w` and `\s` are ASCII, and classes know neither nesting nor set
/// operations.
fn translated(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    let mut rest = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(next) = rest.next() {
        match (next, in_class) {
            ('\\', _) => {
                let escaped = rest.next();
                match escaped.and_then(ascii_class) {
                    Some(ascii) => text.push_str(ascii),
                    None => text.extend(['\\'].into_iter().chain(escaped)),
                }
            }
            ('[', false) => {
                text.push('[');
                if rest.peek() == Some(&'^') {
                    text.extend(rest.next());
                }
                // A bracket that comes first is one of the characters.
                if rest.peek() == Some(&']') {
                    rest.next();
                    text.push_str("\\]");
                }
                in_class = true;
            }
            ('[', true) if rest.peek() == Some(&':') => {
                text.push('[');
                for inner in rest.by_ref() {
                    text.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            ('[' | '&' | '~', true) => text.extend(['\\', next]),
            ('-', true) if text.ends_with('-') => text.push_str("\\-"),
            (']', true) => {
                text.push(']');
                in_class = false;
            }
            _ => text.push(next),
        }
    }
    text
}

fn ascii_class(escaped: char) -> Option<&'static str> {
    match escaped {
        'd' => Some("[0-9]"),
        'D' => Some("[^0-9]"),
        'w' => Some("[0-9A-Za-z_]"),
        'W' => Some("[^0-9A-Za-z_]"),
        's' => Some("[\\t\\n\\f\\r ]"),
        'S' => Some("[^\\t\\n\\f\\r ]"),
        _ => None,
    }
}
