//! The decision: what becomes of every tick that is due.
//!
//! Responsible for: that each tick is made at most once or accounted as missed with its reason, and that somebody wakes
//! up for the next one. A total function. Must never: let a tick be forgotten, or look at a tick of the past that an
//! edit or the end of a suspension has left behind.
//!
//! What is created is a child under its tick's name; the record is stored after it. A crash in between is healed by the
//! child that is found under the name.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::Schedule;
pub use crate::api::orchestration_schedule::{CatchUp, ConcurrencyPolicy, MAX_HISTORY};
use crate::engine::problem::{Problem, ProblemCode};
use due::due;
use ledger::Ledger;

mod due;
mod ledger;

/// Most ticks that are made up for with `catchUp: All`: the newest ones.
pub const MAX_CATCH_UP: usize = 100;
/// How late the controller itself may be: a change of leaders takes up to 17 s, and then it has to list everything. A
/// tick that is seen so late was not missed.
pub const WORST_DELAY: SignedDuration = SignedDuration::from_secs(30);

/// What a schedule asks for besides its times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What to do beside a run.
    pub concurrency_policy: ConcurrencyPolicy,
    /// What to do about what was missed.
    pub catch_up: CatchUp,
    /// How late a tick may start. Nothing: as late as it may be.
    pub starting_deadline: Option<SignedDuration>,
    /// Start nothing.
    pub suspend: bool,
}

impl Terms {
    /// What people should know about terms that are right, but may not do what they think.
    #[must_use]
    pub fn warning(&self) -> Option<Problem> {
        let deadline = self.starting_deadline.filter(|deadline| *deadline < WORST_DELAY)?;
        let message = format!(
            "{} s are less than the {} s that the controller may need after a restart or a change of leaders: \
            a tick at such a moment is missed",
            deadline.as_secs(),
            WORST_DELAY.as_secs()
        );
        Some(Problem::new(ProblemCode::ShortDeadline, "spec.startingDeadlineSeconds", message))
    }
}

/// Schedule and zone as they are written, and since when they count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// `spec.schedule`.
    pub schedule: String,
    /// `spec.timeZone`.
    pub time_zone: String,
    /// Ticks up to here are not looked at: creation, edit, or the end of a suspension.
    pub since: Timestamp,
}

/// What is remembered of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The generation of the schedule that was last looked at.
    pub generation: Option<i64>,
    /// What is observed; nothing while it is suspended or cannot be used.
    pub observed: Option<Observed>,
    /// All ticks up to this one are made, or accounted as missed. Never decreases.
    pub accounted: Option<Timestamp>,
    /// A tick that was seen in time, and waits for an earlier run to end.
    pub waiting: Option<Timestamp>,
    /// The last tick that was made. Never decreases.
    pub last: Option<Timestamp>,
    /// How many ticks were missed, ever.
    pub missed: u64,
}

/// An Orchestration that has, or takes, a name of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its name.
    pub name: String,
    /// Whether it belongs to this schedule, by its owner's uid.
    pub is_ours: bool,
    /// Whether it has ended.
    pub is_finished: bool,
    /// Whether it has been asked to terminate.
    pub is_terminating: bool,
}

/// Everything that a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'s> {
    /// Name of the schedule.
    pub name: &'s str,
    /// When it was created.
    pub created: Timestamp,
    /// Its generation: 1 until its spec is edited, one more with every edit.
    pub generation: i64,
    /// Its times; nothing if they cannot be read.
    pub schedule: Option<&'s Schedule>,
    /// `spec.schedule` as it is written.
    pub written: &'s str,
    /// `spec.timeZone` as it is written, or its default.
    pub time_zone: &'s str,
    /// What it asks for.
    pub terms: Terms,
    /// Its runs, and what else has a name that one of its ticks would take.
    pub children: &'s [Child],
    /// Why no run can be made now, such as a definition that is not ready.
    pub refusal: Option<&'s str>,
    /// What is remembered; nothing if it was never looked at.
    pub record: Option<&'s Record>,
    /// What time it is.
    pub now: Timestamp,
}

/// Why a tick was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missed {
    /// It would have started later than it may.
    TooLate,
    /// Nobody was there in time, and it is not made up for.
    NotMadeUp,
    /// A later tick is due as well, and only the last one is made up for.
    Superseded,
    /// There were too many to make up for.
    TooMany,
    /// An earlier run had not finished.
    StillRunning,
    /// No run could be made.
    NotReady(String),
    /// Something else has its name.
    NameConflict(String),
    /// It waited for an earlier run when the schedule was suspended or could not be read any more.
    Suspended,
    /// It waited for an earlier run when schedule or zone were edited; or the schedule was edited while nobody looked, so
    /// that it may have been suspended.
    Edited,
}

impl Missed {
    /// The reason in one word.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLate => "TooLate",
            Self::NotMadeUp => "NotMadeUp",
            Self::Superseded => "Superseded",
            Self::TooMany => "TooMany",
            Self::StillRunning => "StillRunning",
            Self::NotReady(_) => "NotReady",
            Self::NameConflict(_) => "NameConflict",
            Self::Suspended => "Suspended",
            Self::Edited => "Edited",
        }
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLate => formatter.write_str("it would have started later than startingDeadlineSeconds"),
            Self::NotMadeUp => formatter.write_str("the controller was not there, and catchUp is None"),
            Self::Superseded => formatter.write_str("a later tick was due as well"),
            Self::TooMany => write!(formatter, "more than {MAX_CATCH_UP} ticks were to be made up for"),
            Self::StillRunning => formatter.write_str("an earlier run had not finished"),
            Self::NotReady(why) => formatter.write_str(why),
            Self::NameConflict(name) => {
                write!(formatter, "the Orchestration \"{name}\" exists and does not belong to this schedule")
            }
            Self::Suspended => formatter.write_str("the schedule was suspended while it waited"),
            Self::Edited => formatter.write_str("the schedule was edited meanwhile"),
        }
    }
}

/// What became of a tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The tick.
    pub tick: Timestamp,
    /// The name of its run, or why it has none.
    pub outcome: Result<String, Missed>,
}

/// A run to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    /// The tick.
    pub tick: Timestamp,
    /// The name of its run.
    pub name: String,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Runs to create, in this order.
    pub create: Vec<Birth>,
    /// Names of runs that are to be terminated.
    pub terminate: Vec<String>,
    /// What to remember once all of that is done.
    pub record: Record,
    /// What to add to the history: the newest ticks that were accounted for, the oldest of them first.
    pub history: Vec<Entry>,
    /// The next tick; nothing if there is none to come.
    pub next: Option<Timestamp>,
    /// When to look again, if nothing happens before.
    pub wake_at: Option<Timestamp>,
    /// Whether ticks that are still to come are accounted for already: a clock was, or is, wrong. Nothing is made until
    /// it has caught up.
    pub is_clock_behind: bool,
}

/// What to do about a schedule now.
#[must_use]
pub fn decide(situation: &Situation<'_>) -> Decision {
    let now = situation.now;
    let mut ledger = Ledger::new(situation.record.cloned().unwrap_or_default());
    let Some(schedule) = situation.schedule.filter(|_| !situation.terms.suspend) else {
        // The next tick that counts is one after its end.
        ledger.give_up_waiting(Missed::Suspended, now);
        ledger.record.observed = None;
        return ledger.into_decision(None, None, now);
    };
    let (since, doubtful) = ledger.observe(situation);
    if let Some(doubtful) = doubtful {
        let from = ledger.record.accounted.map_or(doubtful, |accounted| accounted.max(doubtful));
        ledger.go_without(situation, &due(schedule, from, now));
    }
    let from = ledger.record.accounted.map_or(since, |accounted| accounted.max(since));
    let next = schedule.next_after(from.max(now));
    let waits = ledger.go_through(situation, &due(schedule, from, now));
    let deadline = waits.and_then(|tick| {
        let latest = tick.checked_add(situation.terms.starting_deadline?).ok()?;
        latest.checked_add(SignedDuration::from_secs(1)).ok()
    });
    ledger.into_decision(next, deadline, now)
}
