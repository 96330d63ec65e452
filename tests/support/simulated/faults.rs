//! Faults: what can go wrong, and a schedule of what does.
//!
//! Responsible for: names for the faults of `reliability.md`, short enough that a schedule can be read. Must never:
//! make one happen.

use std::fmt;

use super::users::Act;

/// A kind that the operator watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Orchestrations,
    OrchestrationDefinitions,
    ActivityDefinitions,
    Jobs,
    Pods,
    OrchestrationSchedules,
}

impl Kind {
    /// Those that something befalls. There are no schedules in these worlds.
    pub const ALL: [Self; 5] = [
        Self::Orchestrations,
        Self::OrchestrationDefinitions,
        Self::ActivityDefinitions,
        Self::Jobs,
        Self::Pods,
    ];

    /// The kind of a word in a path.
    pub fn of(plural: &str) -> Option<Self> {
        match plural {
            "orchestrations" => Some(Self::Orchestrations),
            "orchestrationdefinitions" => Some(Self::OrchestrationDefinitions),
            "activitydefinitions" => Some(Self::ActivityDefinitions),
            "jobs" => Some(Self::Jobs),
            "pods" => Some(Self::Pods),
            "orchestrationschedules" => Some(Self::OrchestrationSchedules),
            _ => None,
        }
    }
}

/// What befalls the watches of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ail {
    /// The connection ends.
    Cut,
    /// The server says 410 in the middle.
    Gone,
    /// Nothing comes any more, and nobody says so.
    Silent,
    /// Everything comes some seconds later.
    Held,
    /// Some seconds later, and of every object only the last event.
    Coalesced,
    /// Every event comes twice.
    Doubled,
}

/// One thing that goes wrong when a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// F01: the operator dies before the request leaves.
    CrashBefore,
    /// F01: the operator dies after the request was carried out.
    CrashAfter,
    /// F06, F05: it dies, and what it lists of a kind after the restart is so many versions old for some seconds.
    Restart(Kind, u64),
    /// The request never arrives, and the connection ends.
    LoseRequest,
    /// F02: it is carried out, and the connection ends.
    LoseAnswer,
    /// F02: it is carried out, and the answer is 504.
    TimeOutApplied,
    /// F03, F04: it is refused with this code.
    Refuse(u16),
    /// F04: it is carried out, and the answer is cut in the middle.
    Truncate,
    /// F04: it is carried out, and the answer is a page for people.
    Garble,
    /// F04: a minute of nothing, then the connection ends; it was not carried out.
    StallBefore,
    /// F04: it is carried out; then a minute of nothing, and the connection ends.
    StallAfter,
    /// It arrives only after this many seconds, whether or not anybody still waits for the answer.
    Late(u64),
    /// F30: request and answer take so many seconds together.
    Slow(u64),
    /// F09: the server is away for so many seconds.
    Down(u64),
    /// F29: the operator is asked to end, and is started again.
    Retire,
    /// F11: nothing goes between this operator and the server for so many seconds; what is under way arrives then.
    Isolate(u64),
    /// F11, F13: all processes sleep for so many seconds, and then all of their timers are late.
    Sleep(u64),
    /// F08, F07: something befalls the watches of a kind.
    Watch(Kind, Ail),
    /// F08: the history is forgotten.
    Compact,
    /// F19, F20, F25–F28: a user does something just before.
    User(Act),
}

impl Fault {
    /// Every fault there is, by groups: deaths, answers, watches, users.
    pub fn groups() -> [Vec<Self>; 4] {
        let mut deaths = vec![Self::CrashBefore, Self::CrashAfter, Self::Retire];
        deaths.extend([Self::Isolate(8), Self::Isolate(25), Self::Sleep(20)]);
        let mut answers = vec![Self::LoseRequest, Self::LoseAnswer, Self::Compact];
        answers.extend([
            Self::TimeOutApplied,
            Self::Truncate,
            Self::Garble,
            Self::StallBefore,
            Self::StallAfter,
        ]);
        answers.extend([409, 429, 500, 503, 504].map(Self::Refuse));
        answers.extend([Self::Late(5), Self::Late(40), Self::Slow(5), Self::Slow(29), Self::Down(600)]);
        let mut watches = Vec::new();
        let ails = [Ail::Cut, Ail::Gone, Ail::Silent, Ail::Held, Ail::Coalesced, Ail::Doubled];
        for kind in Kind::ALL {
            watches.extend(ails.map(|ail| Self::Watch(kind, ail)));
            deaths.extend([1, 5, 12, 1000].map(|age| Self::Restart(kind, age)));
        }
        [deaths, answers, watches, Act::ALL.map(Self::User).to_vec()]
    }
}

/// A fault at a request of the operator, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Planned {
    pub at: usize,
    pub fault: Fault,
}

/// The operators of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replicas {
    One,
    /// Both work at the same time.
    Two,
    /// Of two, the one that holds the Lease.
    Elected,
}

impl Replicas {
    /// How many there are.
    pub fn count(self) -> usize {
        if self == Self::One { 1 } else { 2 }
    }
}

/// All that makes one run differ from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Name of the scenario.
    pub scenario: &'static str,
    /// What is random is taken from it.
    pub seed: u64,
    pub replicas: Replicas,
    /// Whether every request and every event takes a time of its own.
    pub jitter: bool,
    pub faults: Vec<Planned>,
}

impl fmt::Display for Schedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, seed, replicas, jitter, faults } = self;
        write!(formatter, "{scenario} (seed {seed:#x}, replicas {replicas:?}, jitter {jitter}):")?;
        for planned in faults {
            write!(formatter, " {:?} at request {};", planned.fault, planned.at)?;
        }
        Ok(())
    }
}
