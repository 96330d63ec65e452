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

/// What a document holds.
pub(super) fn parse(place: &Place, text: &str) -> Result<Value, Mistake> {
    serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(place.line, |location| {
            place.line + usize::try_from(location.line()).unwrap_or(1).saturating_sub(1)
        });
        let mut message = words(&error);
        if text.contains("{{") {
            message.push_str(TEMPLATE_HINT);
        }
        Mistake { place: Place { line, ..place.clone() }, message }
    })
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
            format!("is not YAML: column {column}: {}", words.lines().next().unwrap_or_default())
        }
    }
}
