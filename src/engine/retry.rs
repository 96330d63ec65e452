//! Retry: whether a failed attempt is followed by another, and when.
//!
//! Responsible for: the class of every failure, the two budgets, and the pauses. Must never: count anything by itself;
//! what was counted stands in the status.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::observe::FailureReason;
use crate::api::common::Retry;
use crate::api::orchestration::{ActivityState, ActivityStatus};

/// Attempts of one activity that the cluster may take away before the activity fails.
pub const MAX_DISRUPTIONS: u32 = 10;

/// What a failure means for further attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Another attempt would end in the same way.
    Fatal,
    /// Another attempt may succeed.
    Retry,
    /// The cluster took the attempt away: it says nothing about the work.
    Disruption,
}

/// What a failure means for further attempts.
#[must_use]
pub fn class(reason: FailureReason) -> Class {
    match reason {
        FailureReason::ExitCode
        | FailureReason::ImagePullFailed
        | FailureReason::StartingDeadlineExceeded
        | FailureReason::TimedOut => Class::Retry,
        FailureReason::Disrupted
        | FailureReason::JobVanished
        | FailureReason::OutputLost
        | FailureReason::PodDeleted => Class::Disruption,
        FailureReason::AdmissionDenied
        | FailureReason::Cancelled
        | FailureReason::DeadlineExceeded
        | FailureReason::ExpressionError
        | FailureReason::FatalExitCode
        | FailureReason::InputTooLarge
        | FailureReason::InvalidInput
        | FailureReason::InvalidJobTemplate
        | FailureReason::MissingInput
        | FailureReason::NameConflict
        | FailureReason::OutputInvalid
        | FailureReason::OutputTooLarge => Class::Fatal,
    }
}

/// When failed attempts are followed by others, with nothing left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Most new attempts after failures; disruptions do not count.
    pub max_retries: u32,
    /// Seconds of the first pause.
    pub initial_seconds: u32,
    /// How many times as long every further pause is.
    pub factor: u32,
    /// Seconds of the longest pause.
    pub max_seconds: u32,
}

impl Policy {
    /// Fills in, field by field: what the activity says, then what its type says, then the defaults.
    #[must_use]
    pub fn of(activity: Option<&Retry>, type_: Option<&Retry>) -> Self {
        let said = [activity, type_];
        let retry = |read: fn(&Retry) -> Option<u32>| said.iter().flatten().find_map(|retry| read(retry));
        let initial = retry(|retry| retry.backoff?.initial_seconds);
        let max = retry(|retry| retry.backoff?.max_seconds);
        // Whoever says one of the two only has said it in knowledge of the other's default, or means it.
        let initial_seconds = initial.unwrap_or_else(|| max.map_or(10, |max| max.min(10)));
        Self {
            max_retries: retry(|retry| retry.max_retries).unwrap_or(3),
            initial_seconds,
            factor: retry(|retry| retry.backoff?.factor).unwrap_or(2).max(1),
            max_seconds: max.unwrap_or_else(|| initial_seconds.max(300)),
        }
    }

    /// How long to wait after an attempt: `min(max, initial · factor^(n-1))`, shortened by up to a fifth, by a hash, so
    /// that a plan made twice is the same plan.
    #[must_use]
    pub fn pause(&self, uid: &str, activity: &str, attempt: u32) -> SignedDuration {
        let grown = u64::from(self.initial_seconds)
            .saturating_mul(u64::from(self.factor).saturating_pow(attempt.saturating_sub(1)));
        let milliseconds = grown.min(u64::from(self.max_seconds)) * 1000;
        let digest = Sha256::digest(format!("{uid}/{activity}/{attempt}/backoff").as_bytes());
        let random = digest.iter().take(4).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let shorter = milliseconds / 5 * random / u64::from(u32::MAX);
        // A status holds whole seconds: rounded up, or a pause of a second would be none.
        let seconds = (milliseconds - shorter).div_ceil(1000);
        SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the activity has failed.
    Failed,
    /// Another attempt.
    Attempt {
        /// How many attempts the cluster has taken away by now.
        disruptions: u32,
    },
}

/// Whether another attempt follows attempt number `attempt`, `disruptions` of whose predecessors were taken away.
#[must_use]
pub fn next(class: Class, attempt: u32, disruptions: u32, policy: &Policy) -> Next {
    match class {
        Class::Disruption if disruptions < MAX_DISRUPTIONS => Next::Attempt { disruptions: disruptions + 1 },
        Class::Retry if attempt.saturating_sub(disruptions) <= policy.max_retries => {
            Next::Attempt { disruptions }
        }
        Class::Fatal | Class::Retry | Class::Disruption => Next::Failed,
    }
}

/// Number of the attempt that an activity is at: the one that runs, or the next that will.
#[must_use]
pub fn attempt(entry: &ActivityStatus) -> u32 {
    match entry.state {
        ActivityState::Retrying => entry.attempt.max(1).saturating_add(1),
        ActivityState::Pending
        | ActivityState::Running
        | ActivityState::Succeeded
        | ActivityState::Skipped
        | ActivityState::Failed
        | ActivityState::Cancelled
        | ActivityState::NotStarted
        | ActivityState::Unknown => entry.attempt.max(1),
    }
}

/// When the next attempt starts: a pause after the end of the last one, and never later than a pause from now, whatever
/// another machine's clock says. In whole seconds, as a status holds it, rounded up.
#[must_use]
pub fn next_attempt_time(ended: Timestamp, now: Timestamp, pause: SignedDuration) -> Timestamp {
    let next = ended.min(now).saturating_add(pause).unwrap_or(Timestamp::MAX);
    let seconds = next.as_second().saturating_add(i64::from(next.subsec_nanosecond() > 0));
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::common::Backoff;
    use proptest::prelude::*;

    const REASONS: [FailureReason; 20] = [
        FailureReason::AdmissionDenied,
        FailureReason::Cancelled,
        FailureReason::DeadlineExceeded,
        FailureReason::Disrupted,
        FailureReason::ExitCode,
        FailureReason::ExpressionError,
        FailureReason::FatalExitCode,
        FailureReason::ImagePullFailed,
        FailureReason::InputTooLarge,
        FailureReason::InvalidInput,
        FailureReason::InvalidJobTemplate,
        FailureReason::JobVanished,
        FailureReason::MissingInput,
        FailureReason::NameConflict,
        FailureReason::OutputInvalid,
        FailureReason::OutputLost,
        FailureReason::OutputTooLarge,
        FailureReason::PodDeleted,
        FailureReason::StartingDeadlineExceeded,
        FailureReason::TimedOut,
    ];

    fn said(max_retries: Option<u32>, backoff: Option<(Option<u32>, Option<u32>, Option<u32>)>) -> Retry {
        let backoff = backoff.map(|(initial_seconds, factor, max_seconds)| Backoff {
            initial_seconds,
            factor,
            max_seconds,
        });
        Retry { max_retries, backoff }
    }

    fn policy(max_retries: u32, initial_seconds: u32, factor: u32, max_seconds: u32) -> Policy {
        Policy { max_retries, initial_seconds, factor, max_seconds }
    }

    #[test]
    fn every_field_is_taken_from_the_nearest_that_says_it() {
        assert_eq!(Policy::of(None, None), policy(3, 10, 2, 300));
        let type_ = said(Some(7), Some((Some(1), Some(3), Some(60))));
        assert_eq!(Policy::of(None, Some(&type_)), policy(7, 1, 3, 60));
        assert_eq!(Policy::of(Some(&said(Some(5), None)), Some(&type_)), policy(5, 1, 3, 60));
        let used = said(None, Some((None, Some(1), None)));
        assert_eq!(Policy::of(Some(&used), Some(&type_)), policy(7, 1, 1, 60));
        assert_eq!(Policy::of(Some(&used), None), policy(3, 10, 1, 300));
    }

    #[test]
    fn the_longest_pause_follows_a_longer_first_one_and_the_other_way_round() {
        assert_eq!(
            Policy::of(Some(&said(None, Some((Some(900), None, None)))), None),
            policy(3, 900, 2, 900)
        );
        assert_eq!(Policy::of(Some(&said(None, Some((None, None, Some(2))))), None), policy(3, 2, 2, 2));
    }

    #[test]
    fn pauses_grow_to_their_limit_and_are_shortened_by_a_fifth_at_most() {
        let policy = policy(9, 10, 2, 300);
        for (attempt, longest) in
            [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 300), (7, 300), (u32::MAX, 300)]
        {
            let pause = policy.pause("u", "a", attempt).as_secs();
            assert!((longest * 4 / 5..=longest).contains(&pause), "{attempt}: {pause}");
        }
        assert_eq!(policy.pause("u", "a", 3), policy.pause("u", "a", 3));
        let pauses: std::collections::BTreeSet<i64> =
            (0..50).map(|at| policy.pause("u", &format!("a{at}"), 6).as_secs()).collect();
        assert!(pauses.len() > 20, "they come back at different moments: {pauses:?}");
    }

    #[test]
    fn the_bounds_of_every_field_make_a_pause() {
        for (initial, factor, max, pause) in [
            (0, 1, 0, 0..=0),
            (0, 10, 86_400, 0..=0),
            (1, 1, 1, 1..=1),
            (86_400, 10, 86_400, 69_120..=86_400),
        ] {
            for attempt in [0, 1, 2, 100, u32::MAX] {
                let found = policy(100, initial, factor, max).pause("u", "a", attempt).as_secs();
                assert!(pause.contains(&found), "{initial} {factor} {max} {attempt}: {found}");
            }
        }
    }

    #[test]
    fn the_two_budgets_are_counted_apart() {
        let policy = policy(2, 10, 2, 300);
        let mut outcomes = Vec::new();
        let mut disruptions = 0;
        for (attempt, class) in [
            (1, Class::Disruption),
            (2, Class::Retry),
            (3, Class::Disruption),
            (4, Class::Retry),
            (5, Class::Disruption),
            (6, Class::Retry),
        ] {
            let next = next(class, attempt, disruptions, &policy);
            if let Next::Attempt { disruptions: counted } = next {
                disruptions = counted;
            }
            outcomes.push(next != Next::Failed);
        }
        assert_eq!((outcomes, disruptions), (vec![true, true, true, true, true, false], 3));
    }

    #[test]
    fn a_fatal_failure_is_never_tried_again() {
        for reason in REASONS.into_iter().filter(|reason| class(*reason) == Class::Fatal) {
            assert_eq!(next(class(reason), 1, 0, &policy(100, 0, 1, 0)), Next::Failed, "{reason:?}");
        }
    }

    #[test]
    fn the_next_attempt_is_never_further_away_than_its_pause() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let pause = SignedDuration::from_secs(10);
        assert_eq!(next_attempt_time(at(100), at(103), pause), at(110));
        assert_eq!(next_attempt_time(at(9000), at(103), pause), at(113), "the pod's clock is ahead");
        assert_eq!(
            next_attempt_time(Timestamp::MAX, Timestamp::MAX, pause).as_second(),
            Timestamp::MAX.as_second()
        );
        let half = at(100) + SignedDuration::from_millis(500);
        assert_eq!(next_attempt_time(half, half, SignedDuration::ZERO), at(101));
    }

    proptest! {
        #[test]
        fn attempts_never_exceed_both_budgets(max_retries in 0u32..8, failures in prop::collection::vec(any::<bool>(), 40)) {
            let policy = policy(max_retries, 0, 1, 0);
            let (mut attempt, mut disruptions) = (1, 0);
            for is_disruption in failures {
                let class = if is_disruption { Class::Disruption } else { Class::Retry };
                match next(class, attempt, disruptions, &policy) {
                    Next::Failed => break,
                    Next::Attempt { disruptions: counted } => {
                        disruptions = counted;
                        attempt += 1;
                    }
                }
            }
            prop_assert!(attempt <= 1 + max_retries + MAX_DISRUPTIONS);
        }
    }
}
