//! Observed: what is known of the current attempt of every activity, in the engine's own words.
//!
//! Responsible for: the vocabulary in which providers report. Must never: know Jobs, pods or messages; providers
//! translate.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::api::common::Object;

/// What is known of one attempt. Later variants are newer knowledge than earlier ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Attempt {
    /// Nothing was started, as far as is known.
    #[default]
    Absent,
    /// The start was refused for now and will be tried again; no attempt is used up.
    Refused {
        /// Since when the start has been tried in vain.
        since: Timestamp,
        /// When it is tried again.
        retry_at: Timestamp,
        /// One CamelCase word, such as `QuotaExceeded`.
        reason: String,
        /// The server's own words.
        message: String,
    },
    /// The start was accepted; nothing has been seen of it yet.
    Requested {
        /// When the start was accepted.
        at: Timestamp,
    },
    /// It exists, and has not started: its init containers may run, and what does its work does not.
    Waiting {
        /// When it was created.
        since: Timestamp,
        /// Why it waits, in one CamelCase word, such as `ImagePullBackOff`; absent while nothing is known.
        reason: Option<String>,
        /// The server's own words.
        message: Option<String>,
    },
    /// It runs.
    Running {
        /// When what does its work started.
        start_time: Timestamp,
    },
    /// Its stop was asked for, and something of it still runs.
    Stopping,
    /// It was stopped, and nothing of it runs any more.
    Stopped,
    /// It has ended by itself.
    Ended(Outcome),
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Success with outputs, or failure with a reason.
    pub verdict: Verdict,
    /// When what does its work started; absent if it never did or nobody knows any more.
    pub start_time: Option<Timestamp>,
    /// When it ended; absent if nobody knows.
    pub completion_time: Option<Timestamp>,
}

/// Success or failure of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It succeeded with these outputs.
    Complete(Object),
    /// It failed.
    Failed {
        /// Why, for programs.
        reason: FailureReason,
        /// Why, for people, at most 1 KiB.
        message: String,
    },
}

/// Why an activity failed or was cancelled. The names are part of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// A webhook or an admission policy refused the Job.
    AdmissionDenied,
    /// It was stopped, because the Orchestration was terminated or another activity failed.
    Cancelled,
    /// The Orchestration's deadline has passed, or that of its `finally`.
    DeadlineExceeded,
    /// The pod was evicted, drained or preempted, or its node was lost.
    Disrupted,
    /// A container ended with another exit code than 0.
    ExitCode,
    /// The condition of the activity could not be evaluated.
    ExpressionError,
    /// A container ended with an exit code after which trying again is pointless.
    FatalExitCode,
    /// Its image could not be pulled in time.
    ImagePullFailed,
    /// The input of the activity is larger than 64 KiB.
    InputTooLarge,
    /// The input of the activity is not as its input schema says.
    InvalidInput,
    /// The API server does not accept the Job.
    InvalidJobTemplate,
    /// The Job is gone, and no pod of it is alive.
    JobVanished,
    /// A required input is absent where it was to come from.
    MissingInput,
    /// Another object has the name that the Job must have.
    NameConflict,
    /// What the activity wrote is not a JSON object, holds what cannot be kept exactly, or is not as its output schema
    /// says.
    OutputInvalid,
    /// It succeeded, but its outputs went with its pod.
    OutputLost,
    /// The outputs of the activity, or of all activities together, are too large for a status.
    OutputTooLarge,
    /// The pod was deleted.
    PodDeleted,
    /// It did not start in time.
    StartingDeadlineExceeded,
    /// It did not end in time.
    TimedOut,
}

impl FailureReason {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::AdmissionDenied,
        Self::Cancelled,
        Self::DeadlineExceeded,
        Self::Disrupted,
        Self::ExitCode,
        Self::ExpressionError,
        Self::FatalExitCode,
        Self::ImagePullFailed,
        Self::InputTooLarge,
        Self::InvalidInput,
        Self::InvalidJobTemplate,
        Self::JobVanished,
        Self::MissingInput,
        Self::NameConflict,
        Self::OutputInvalid,
        Self::OutputLost,
        Self::OutputTooLarge,
        Self::PodDeleted,
        Self::StartingDeadlineExceeded,
        Self::TimedOut,
    ];

    /// Why an attempt has failed that did not start in time, by what it waited for.
    #[must_use]
    pub fn of_wait(reason: Option<&str>) -> Self {
        match reason {
            Some(
                "ErrImagePull"
                | "ImagePullBackOff"
                | "InvalidImageName"
                | "ErrImageNeverPull"
                | "ImageInspectError"
                | "RegistryUnavailable"
                | "SignatureValidationFailed",
            ) => Self::ImagePullFailed,
            _ => Self::StartingDeadlineExceeded,
        }
    }

    /// The reason as it stands in a status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AdmissionDenied => "AdmissionDenied",
            Self::Cancelled => "Cancelled",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::Disrupted => "Disrupted",
            // The message says which.
            Self::ExitCode | Self::FatalExitCode => "ExitCode",
            Self::ExpressionError => "ExpressionError",
            Self::ImagePullFailed => "ImagePullFailed",
            Self::InputTooLarge => "InputTooLarge",
            Self::InvalidInput => "InvalidInput",
            Self::InvalidJobTemplate => "InvalidJobTemplate",
            Self::JobVanished => "JobVanished",
            Self::MissingInput => "MissingInput",
            Self::NameConflict => "NameConflict",
            Self::OutputInvalid => "OutputInvalid",
            Self::OutputLost => "OutputLost",
            Self::OutputTooLarge => "OutputTooLarge",
            Self::PodDeleted => "PodDeleted",
            Self::StartingDeadlineExceeded => "StartingDeadlineExceeded",
            Self::TimedOut => "TimedOut",
        }
    }
}

/// What is known of all activities of one Orchestration, by their index in the compiled definition. What is not in
/// it is [`Attempt::Absent`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// By activity index, the number of the attempt that was looked at, and what is known of it.
    pub attempts: HashMap<usize, (u32, Attempt)>,
}

impl Observed {
    /// Takes in what is known of an attempt.
    pub fn insert(&mut self, activity: usize, number: u32, attempt: Attempt) {
        self.attempts.insert(activity, (number, attempt));
    }

    /// What is known of an attempt of an activity. What is known of another attempt never counts.
    #[must_use]
    pub fn attempt(&self, activity: usize, number: u32) -> &Attempt {
        const ABSENT: &Attempt = &Attempt::Absent;
        match self.attempts.get(&activity) {
            Some((seen, attempt)) if *seen == number => attempt,
            Some(_) | None => ABSENT,
        }
    }
}
