//! Problems: what is wrong with something a user wrote, where, and what would be right.
//!
//! Responsible for: the one form in which mistakes are told. Must never: stop at the first mistake.

use std::fmt;

/// What kind of mistake it is. The names are part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemCode {
    /// No ActivityDefinition of that name.
    ActivityDefinitionNotFound,
    /// The ActivityDefinition is not Ready.
    ActivityNotReady,
    /// An activity has the name of a property of the input.
    AmbiguousReference,
    /// A time zone that may mean two things.
    AmbiguousTimeZone,
    /// Activities wait for each other.
    CycleDetected,
    /// Two entries that must differ are equal.
    DuplicateId,
    /// Two inputs have the same target.
    DuplicateTarget,
    /// A pod field that reaches into the node.
    ForbiddenPodField,
    /// An expression cannot be read, or says what cannot be.
    InvalidExpression,
    /// The job template cannot be used.
    InvalidJobTemplate,
    /// A source path cannot be read, or is missing.
    InvalidPath,
    /// A schema cannot be read, or says what cannot be.
    InvalidSchema,
    /// A schedule cannot be read.
    InvalidSchedule,
    /// What is to be made of a template cannot be made.
    InvalidTemplate,
    /// More or longer than allowed.
    LimitExceeded,
    /// Nothing feeds a required input.
    MissingSource,
    /// The work is for agents, and there is no way to them.
    NoMessageBus,
    /// A schedule that is never due.
    NeverFires,
    /// The activity read is not an ancestor of the reader.
    NotAnAncestor,
    /// The name has a meaning of its own.
    ReservedName,
    /// An activity depends on itself.
    SelfDependency,
    /// A deadline that the controller itself may miss.
    ShortDeadline,
    /// A required input comes from an activity that may be skipped.
    SkippedReference,
    /// A value has the wrong JSON type, or another type than its receiver wants.
    TypeMismatch,
    /// The dependency does not exist.
    UnknownDependency,
    /// A source names nothing that exists.
    UnknownReference,
    /// Not a name of the IANA time zone database.
    UnknownTimeZone,
    /// A form of schedule that others have, and we have not.
    UnsupportedSchedule,
    /// Two inputs would share one variable.
    VariableCollision,
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variant's name is the API name.
        fmt::Debug::fmt(self, formatter)
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of mistake.
    pub code: ProblemCode,
    /// Field path from the root of the object, such as `spec.activities[1].dependsOn[0]`.
    pub path: String,
    /// What is wrong and what is allowed, one line.
    pub message: String,
}

impl Problem {
    /// A problem at a field.
    pub fn new(code: ProblemCode, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}: {}", self.code, self.path, self.message)
    }
}

/// Longest text that a condition holds, with room to say that more was cut.
const MAX_TEXT: usize = 32_000;

/// All problems as the message of a condition, one line each, cut at the limit of a condition's message.
#[must_use]
pub fn text(problems: &[Problem]) -> String {
    let mut text = String::new();
    for (index, problem) in problems.iter().enumerate() {
        let line = problem.to_string();
        if text.len() + line.len() > MAX_TEXT {
            text.push_str(&format!("\nand {} more", problems.len() - index));
            break;
        }
        if index > 0 {
            text.push('\n');
        }
        text.push_str(&line);
    }
    text
}

/// Longest text that may be a misspelt name.
const MAX_MISSPELT: usize = 253;

/// The most similar of some names, if one is similar enough to have been meant: ` (did you mean "build"?)`, or nothing.
pub fn suggestion<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> String {
    // Comparing takes time in proportion to both lengths, and an untyped field can hold a megabyte.
    if wrong.len() > MAX_MISSPELT {
        return String::new();
    }
    names
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| format!(" (did you mean \"{name}\"?)"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggestion_is_made_only_for_similar_names() {
        assert_eq!(suggestion("biuld", ["build", "test"].into_iter()), " (did you mean \"build\"?)");
        assert_eq!(suggestion("zzz", ["build", "test"].into_iter()), "");
    }

    #[test]
    fn a_text_that_is_too_long_says_how_much_is_missing() {
        let long = Problem::new(ProblemCode::InvalidPath, "spec", "x".repeat(20_000));
        let shown = text(&[long.clone(), long.clone(), long]);
        assert!(shown.len() < 32_768 && shown.ends_with("and 2 more"));
    }
}
