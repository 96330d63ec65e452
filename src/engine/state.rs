//! States: which follow which.
//!
//! Responsible for: the ONE table of legal transitions of an activity, and the words for the state of a whole
//! orchestration. Must never: say when a transition happens; the plan does.

use crate::api::orchestration::ActivityState;

use ActivityState::{Cancelled, Failed, NotStarted, Pending, Retrying, Running, Skipped, Succeeded, Unknown};

/// Whether an activity may go from one state to another. Staying is always legal.
///
/// An attempt may start and end between two looks, so that Pending leads to every end; a final state leads nowhere.
#[must_use]
pub fn is_legal(from: ActivityState, to: ActivityState) -> bool {
    match (from, to) {
        (
            Pending | Unknown,
            Pending | Running | Retrying | Succeeded | Skipped | Failed | Cancelled | NotStarted,
        ) => true,
        (Running | Retrying, Running | Retrying | Succeeded | Failed | Cancelled) => true,
        (Running | Retrying, Pending | Skipped | NotStarted) => false,
        (Succeeded | Skipped | Failed | Cancelled | NotStarted, to) => from == to,
        (Pending | Running | Retrying | Unknown, Unknown) => false,
    }
}

/// Whether a state never changes again.
#[must_use]
pub fn is_final(state: ActivityState) -> bool {
    match state {
        Succeeded | Skipped | Failed | Cancelled | NotStarted => true,
        Pending | Running | Retrying | Unknown => false,
    }
}

/// Whether what depends on the activity may go on.
#[must_use]
pub fn is_done(state: ActivityState) -> bool {
    match state {
        Succeeded | Skipped => true,
        Pending | Running | Retrying | Failed | Cancelled | NotStarted | Unknown => false,
    }
}

/// The word for a state, as it stands in a status and as expressions compare it.
#[must_use]
pub fn name(state: ActivityState) -> &'static str {
    match state {
        Pending => "Pending",
        Running => "Running",
        Retrying => "Retrying",
        Succeeded => "Succeeded",
        Skipped => "Skipped",
        Failed => "Failed",
        Cancelled => "Cancelled",
        NotStarted => "NotStarted",
        Unknown => "Unknown",
    }
}

/// State of a whole orchestration, for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrchestrationState {
    /// Nothing has started.
    Pending,
    /// Something has started, and not everything has ended.
    Running,
    /// Nothing may start, and nothing runs.
    Suspended,
    /// Every activity succeeded or was skipped.
    Succeeded,
    /// An activity has failed, or its deadline has passed.
    Failed,
    /// It was shut down before.
    Cancelled,
}

impl OrchestrationState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Suspended, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The word in a status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Suspended => "Suspended",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [ActivityState; 9] =
        [Pending, Running, Retrying, Succeeded, Skipped, Failed, Cancelled, NotStarted, Unknown];

    #[test]
    fn nothing_leaves_a_final_state() {
        for from in ALL.into_iter().filter(|state| is_final(*state)) {
            for to in ALL {
                assert_eq!(is_legal(from, to), from == to, "{from:?} -> {to:?}");
            }
        }
    }

    #[test]
    fn a_name_is_what_a_status_holds() {
        for state in ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), name(state));
        }
    }

    #[test]
    fn what_runs_never_becomes_unstarted() {
        for to in [Pending, Skipped, NotStarted] {
            assert!(!is_legal(Running, to) && !is_legal(Retrying, to), "{to:?}");
        }
    }

    #[test]
    fn what_another_version_wrote_can_end_in_every_way() {
        for to in ALL.into_iter().filter(|state| *state != Unknown) {
            assert!(is_legal(Unknown, to));
        }
    }
}
