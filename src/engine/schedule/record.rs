//! Records: what a decision remembers, as it stands in the status.
//!
//! Responsible for: that what is written is what is read again. Must never: decide.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::decide::{Decision, Entry, Observed, Record};
use super::runs::{self, Run};
use crate::api::orchestration_schedule::{MAX_HISTORY, ObservedSchedule, OrchestrationScheduleStatus, Tick};
use crate::engine::condition::{cut, stamp};

/// Longest message of a tick.
const MAX_MESSAGE: usize = 1024;

/// What is remembered in a status; nothing if the schedule was never looked at.
#[must_use]
pub fn read(status: &OrchestrationScheduleStatus) -> Option<Record> {
    status.observed_generation?;
    let time = |time: &Option<Time>| time.as_ref().map(|time| time.0);
    Some(Record {
        generation: status.observed_generation,
        observed: status.observed_schedule.as_ref().map(|seen| Observed {
            schedule: seen.schedule.clone(),
            time_zone: seen.time_zone.clone(),
            since: seen.since.0,
        }),
        accounted: time(&status.accounted_schedule_time),
        waiting: time(&status.waiting_schedule_time),
        last: time(&status.last_schedule_time),
        missed: status.missed.and_then(|missed| u64::try_from(missed).ok()).unwrap_or_default(),
    })
}

/// The status after a decision, without conditions.
#[must_use]
pub fn written(
    previous: &OrchestrationScheduleStatus,
    generation: Option<i64>,
    decision: &Decision,
    known: &[Run],
) -> OrchestrationScheduleStatus {
    let record = &decision.record;
    let (active, active_count) = runs::active(known);
    let seen = |seen: &Observed| ObservedSchedule {
        schedule: seen.schedule.clone(),
        time_zone: seen.time_zone.clone(),
        since: stamp(seen.since),
    };
    OrchestrationScheduleStatus {
        observed_generation: generation,
        observed_schedule: record.observed.as_ref().map(seen),
        next_schedule_time: decision.next.map(stamp),
        last_schedule_time: record.last.map(stamp),
        last_successful_time: runs::last_success(
            known,
            previous.last_successful_time.as_ref().map(|time| time.0),
        )
        .map(stamp),
        accounted_schedule_time: record.accounted.map(stamp),
        waiting_schedule_time: record.waiting.map(stamp),
        active,
        active_count: Some(active_count),
        missed: Some(i64::try_from(record.missed).unwrap_or(i64::MAX)),
        history: history(&previous.history, &decision.history),
        removed: previous.removed.clone(),
        last_result: runs::last_result(known, previous.last_result.as_ref()),
        conditions: Vec::new(),
    }
}

/// Up to when nothing becomes of ticks any more: they are accounted for, or nobody's.
#[must_use]
pub fn settled(status: &OrchestrationScheduleStatus) -> Option<Timestamp> {
    let since = status.observed_schedule.as_ref().map(|seen| seen.since.0);
    status.accounted_schedule_time.as_ref().map(|time| time.0).max(since)
}

/// The newest ticks, the newest first. What is told anew of a tick takes the place of what was told.
fn history(before: &[Tick], entries: &[Entry]) -> Vec<Tick> {
    let is_told = |tick: Timestamp| entries.iter().any(|entry| stamp(entry.tick).0 == tick);
    let kept = before.iter().filter(|tick| !is_told(tick.schedule_time.0)).cloned();
    let mut all: Vec<Tick> = entries.iter().map(told).chain(kept).collect();
    all.sort_by_key(|tick| std::cmp::Reverse(tick.schedule_time.0));
    all.truncate(MAX_HISTORY);
    all
}

fn told(entry: &Entry) -> Tick {
    let schedule_time = stamp(entry.tick);
    match &entry.outcome {
        Ok(name) => Tick { schedule_time, name: Some(name.clone()), skip_reason: None, message: None },
        Err(missed) => Tick {
            schedule_time,
            name: None,
            skip_reason: Some(missed.reason().to_owned()),
            message: Some(cut(missed.to_string(), MAX_MESSAGE)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::schedule::decide::Missed;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let record = Record {
            generation: Some(1),
            observed: Some(Observed {
                schedule: "@daily".into(),
                time_zone: "Etc/UTC".into(),
                since: at(60),
            }),
            accounted: Some(at(180)),
            waiting: Some(at(240)),
            last: Some(at(120)),
            missed: 7,
        };
        let decision = Decision { record: record.clone(), next: Some(at(300)), ..Decision::default() };
        let status = written(&OrchestrationScheduleStatus::default(), Some(1), &decision, &[]);
        assert_eq!(read(&status), Some(record));
        assert_eq!(status.next_schedule_time, Some(Time(at(300))));
        assert_eq!(read(&OrchestrationScheduleStatus::default()), None, "it was never looked at");
        let blank = written(&status, Some(2), &Decision::default(), &[]);
        let nothing = Record { generation: Some(2), ..Record::default() };
        assert_eq!(read(&blank), Some(nothing), "it was, and nothing is observed");
    }

    #[test]
    fn the_history_keeps_ten_ticks_the_newest_first_and_each_once() {
        let entry = |second| Entry { tick: at(second), outcome: Ok(format!("s-{second}")) };
        let first = history(&[], &(0..8).map(|n| entry(n * 60)).collect::<Vec<_>>());
        assert_eq!(first.len(), 8);
        let missed = Entry { tick: at(420), outcome: Err(Missed::NotReady("because".into())) };
        let then = history(&first, &[missed, entry(480), entry(540), entry(600)]);
        let shown: Vec<String> = then
            .iter()
            .map(|tick| tick.name.clone().or_else(|| tick.skip_reason.clone()).unwrap_or_default())
            .collect();
        assert_eq!(
            shown,
            ["s-600", "s-540", "s-480", "NotReady", "s-360", "s-300", "s-240", "s-180", "s-120", "s-60"]
        );
        assert_eq!(then[3].message.as_deref(), Some("because"));
    }
}
