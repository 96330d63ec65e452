//! The text of one document: what it holds, or why it is none.
//!
//! Responsible for: mistakes in words for people, at their line. Must never: know what a document means.

use serde_json::Value;
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

use super::{Mistake, Place};

/// What is said of a text that is no YAML, and has what no YAML but many a template has.
pub(super) const TEMPLATE_HINT: &str =
    " (this looks like a template: render it first, as `helm template` does, and hand on the result as -)";

/// What is said of a tab in the indentation.
const TAB: &str = "tabs cannot indent, only spaces can";

/// What a document holds.
pub(super) fn parse(place: &Place, text: &str) -> Result<Value, Mistake> {
    // 0644 is 420, as for kubectl.
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let at = error
            .location()
            .map_or(0, |location| usize::try_from(location.line()).unwrap_or(1).saturating_sub(1));
        let (line, mut message) = match tab(&error, text, at) {
            Some((line, column)) => (place.line + line, not_yaml(column, TAB)),
            None => (place.line + at, words(&error)),
        };
        if text.contains("{{") {
            message.push_str(TEMPLATE_HINT);
        }
        Mistake { place: Place { line, ..place.clone() }, message }
    })
}

/// Line, from 0, and column, from 1, of a tab that stands where YAML has only spaces. The parser tells where the text
/// begins that goes on behind the tab, and that may be lines above.
fn tab(error: &Error, text: &str, at: usize) -> Option<(usize, u64)> {
    let indentations = text.lines().enumerate().skip(at).map(|(line, text)| {
        let spaces = text.len() - text.trim_start_matches(' ').len();
        (line, spaces, text.get(spaces..).is_some_and(|rest| rest.starts_with('\t')))
    });
    let is_tab = UserMessageFormatter.format_message(error).contains(" found a tab");
    let (line, spaces, _) = indentations.filter(|_| is_tab).find(|(.., is_tab)| *is_tab)?;
    Some((line, u64::try_from(spaces + 1).unwrap_or(1)))
}

fn not_yaml(column: u64, words: &str) -> String {
    format!("is not YAML: column {column}: {words}")
}

/// Why a text is no document. The line is told by its place.
fn words(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => words(error),
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            "is nested deeper than the 64 levels that are read".to_owned()
        }
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "has more parts, or more aliases, than are read".to_owned()
        }
        other => {
            let column = other.location().map_or(1, |location| location.column());
            let words = UserMessageFormatter.format_message(other);
            not_yaml(column, words.lines().next().unwrap_or_default())
        }
    }
}
