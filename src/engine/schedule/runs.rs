//! Runs: the Orchestrations of a schedule, as far as it has to know them.
//!
//! Responsible for: which of them are active, how the last one ended, and which are too many. Must never: call one
//! superfluous that has not finished, or whose tick nobody has accounted for: its name is the record that the tick was
//! made.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::decide::Child;
use super::{template, tick_of};
use crate::api::Orchestration;
use crate::api::orchestration::Shutdown;
use crate::api::orchestration_schedule::{ActiveRun, LastResult, MAX_ACTIVE};
use crate::engine::condition::{cut, find};

/// Longest message of a result.
const MAX_MESSAGE: usize = 1024;

/// What is known of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Name of the Orchestration.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its tick; nothing if it was made for none.
    pub tick: Option<Timestamp>,
    /// Whether it has been asked to terminate, or is being deleted.
    pub is_terminating: bool,
    /// How it ended; nothing while it has not.
    pub end: Option<End>,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// When.
    pub at: Timestamp,
    /// How: Succeeded, Failed or Cancelled.
    pub state: String,
    /// What its condition Succeeded says.
    pub message: String,
}

impl Run {
    /// What is to be known of an Orchestration.
    #[must_use]
    pub fn of(orchestration: &Orchestration) -> Self {
        let metadata = &orchestration.metadata;
        let status = orchestration.status.as_ref();
        let end = status.and_then(|status| {
            let succeeded = find(&status.conditions, "Succeeded");
            Some(End {
                at: status.completion_time.as_ref()?.0,
                state: status.state.clone().unwrap_or_default(),
                message: succeeded.map_or_else(String::new, |said| cut(said.message.clone(), MAX_MESSAGE)),
            })
        });
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
            tick: template::tick_of(orchestration),
            is_terminating: orchestration.spec.shutdown == Some(Shutdown::Terminate)
                || metadata.deletion_timestamp.is_some(),
            end,
        }
    }

    /// The same for a decision.
    #[must_use]
    pub fn child(&self) -> Child {
        Child {
            name: self.name.clone(),
            is_ours: true,
            is_finished: self.end.is_some(),
            is_terminating: self.is_terminating,
        }
    }

    fn result(&self) -> Option<LastResult> {
        let end = self.end.as_ref()?;
        Some(LastResult {
            name: self.name.clone(),
            state: end.state.clone(),
            schedule_time: self.tick.map(Time),
            completion_time: Time(end.at),
            message: Some(end.message.clone()).filter(|message| !message.is_empty()),
        })
    }
}

/// The runs that have not finished: the first of them by name, and how many there are.
#[must_use]
pub fn active(runs: &[Run]) -> (Vec<ActiveRun>, i64) {
    let mut names: Vec<&str> =
        runs.iter().filter(|run| run.end.is_none()).map(|run| run.name.as_str()).collect();
    names.sort_unstable();
    let count = i64::try_from(names.len()).unwrap_or(i64::MAX);
    (names.into_iter().take(MAX_ACTIVE).map(|name| ActiveRun { name: name.to_owned() }).collect(), count)
}

/// The end of the run that has ended last; what is remembered stays if all that ended later are gone.
#[must_use]
pub fn last_result(runs: &[Run], remembered: Option<&LastResult>) -> Option<LastResult> {
    let ended = runs.iter().filter_map(Run::result).chain(remembered.cloned());
    ended.max_by(|one, other| (one.completion_time.0, &one.name).cmp(&(other.completion_time.0, &other.name)))
}

/// When a run last succeeded.
#[must_use]
pub fn last_success(runs: &[Run], remembered: Option<Timestamp>) -> Option<Timestamp> {
    let ended = runs.iter().filter_map(|run| run.end.as_ref());
    ended.filter(|end| end.state == SUCCEEDED).map(|end| end.at).chain(remembered).max()
}

/// The state of a run that has succeeded.
const SUCCEEDED: &str = "Succeeded";

/// The runs of a schedule that are more than the limits allow, the oldest first. Those with the name of a tick that is
/// not accounted for stay.
#[must_use]
pub fn surplus<'r>(
    schedule: &str,
    runs: &'r [Run],
    accounted: Option<Timestamp>,
    successful: usize,
    failed: usize,
) -> Vec<&'r Run> {
    let mut ended: Vec<(&End, &'r Run)> =
        runs.iter().filter_map(|run| run.end.as_ref().map(|end| (end, run))).collect();
    ended.sort_by(|(one, a), (other, b)| (one.at, &a.name).cmp(&(other.at, &b.name)));
    let oldest = |is_success: bool, limit: usize| {
        let alike: Vec<&'r Run> = ended
            .iter()
            .filter(|(end, _)| (end.state == SUCCEEDED) == is_success)
            .map(|(_, run)| *run)
            .collect();
        let too_many = alike.len().saturating_sub(limit);
        alike.into_iter().take(too_many)
    };
    let all = oldest(true, successful).chain(oldest(false, failed));
    all.filter(|run| tick_of(schedule, &run.name).is_none_or(|tick| Some(tick) <= accounted)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn run(name: &str, tick: i64, end: Option<(i64, &str)>) -> Run {
        let end = end.map(|(second, state)| End {
            at: at(second),
            state: state.to_owned(),
            message: String::new(),
        });
        Run { name: name.to_owned(), uid: name.to_owned(), tick: Some(at(tick)), is_terminating: false, end }
    }

    #[test]
    fn the_oldest_of_each_outcome_are_too_many() {
        let runs = [
            run("s-5", 5, None),
            run("s-4", 4, Some((60, SUCCEEDED))),
            run("s-3", 3, Some((50, "Cancelled"))),
            run("s-2", 2, Some((40, "Failed"))),
            run("s-1", 1, Some((30, SUCCEEDED))),
            run("s-manual-x", 9, Some((20, SUCCEEDED))),
        ];
        let told = |accounted: i64, successful, failed| {
            let found = surplus("s", &runs, Some(at(accounted * 60)), successful, failed);
            found.iter().map(|run| run.name.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(told(9, 1, 1), ["s-manual-x", "s-1", "s-2"]);
        assert_eq!(told(9, 0, 0), ["s-manual-x", "s-1", "s-4", "s-2", "s-3"]);
        assert_eq!(told(9, 9, 9), [""; 0]);
        assert_eq!(
            told(3, 0, 0),
            ["s-manual-x", "s-1", "s-2", "s-3"],
            "the tick of s-4 is not accounted for"
        );
        assert_eq!(told(0, 0, 0), ["s-manual-x"]);
    }

    #[test]
    fn the_last_result_outlives_its_run() {
        let runs = [run("b", 2, Some((40, "Failed"))), run("a", 1, Some((30, SUCCEEDED))), run("c", 3, None)];
        let last = last_result(&runs, None).unwrap();
        assert_eq!((last.name.as_str(), last.state.as_str()), ("b", "Failed"));
        assert_eq!(last_result(&[], Some(&last)), Some(last.clone()));
        assert_eq!(last_result(&runs[1..], Some(&last)), Some(last));
        assert_eq!(last_success(&runs, None), Some(at(30)));
        assert_eq!(last_success(&[], Some(at(30))), Some(at(30)));
        assert_eq!(active(&runs), (vec![ActiveRun { name: "c".to_owned() }], 1));
    }
}
