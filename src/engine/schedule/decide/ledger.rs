//! The ledger: every tick that is due, the oldest first, and what is written down about it.
//!
//! Responsible for: that the ticks up to the one that is accounted for are exactly those that were made or missed. Must
//! never: go past a tick that waits.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::due::Due;
use super::{
    Birth, CatchUp, Child, ConcurrencyPolicy, Decision, Entry, MAX_HISTORY, Missed, Observed, Record,
    Situation, WORST_DELAY,
};
use crate::engine::schedule::{child_name, tick_of};

/// What is written down while a decision is made.
pub(super) struct Ledger {
    pub(super) record: Record,
    create: Vec<Birth>,
    terminate: Vec<String>,
    history: Vec<Entry>,
}

impl Ledger {
    pub(super) fn new(record: Record) -> Self {
        Self { record, create: Vec::new(), terminate: Vec::new(), history: Vec::new() }
    }

    /// Since when ticks count. What is not as it was last seen counts from now on. So does what was edited while nobody
    /// looked, so that it may have been suspended, or another one, in between: then since when that is so is the second
    /// result.
    pub(super) fn observe(&mut self, situation: &Situation<'_>) -> (Timestamp, Option<Timestamp>) {
        let before = self.record.observed.take();
        let is_as_before = |before: &Observed| {
            before.schedule == situation.written && before.time_zone == situation.time_zone
        };
        let seen = situation.record.map_or(1, |record| record.generation.unwrap_or(situation.generation));
        let edits = situation.generation.saturating_sub(seen);
        let (since, doubtful) = match &before {
            // One edit that left both as they are was another one. Two may have suspended it and gone back.
            Some(before) if is_as_before(before) && edits <= 1 => (before.since, None),
            Some(before) if is_as_before(before) => (situation.now, Some(before.since)),
            // Never seen, and never edited: a tick may have come while nobody looked.
            None if situation.record.is_none() && edits == 0 => (situation.created, None),
            None if situation.record.is_none() => (situation.now, Some(situation.created)),
            _ => (situation.now, None),
        };
        if before.is_some_and(|before| before.since != since) {
            self.give_up_waiting(Missed::Edited, situation.now);
        }
        let (schedule, time_zone) = (situation.written.to_owned(), situation.time_zone.to_owned());
        self.record.observed = Some(Observed { schedule, time_zone, since });
        (since, doubtful)
    }

    /// Goes through ticks of which nobody knows whether they were to be made: they are not, and that is told.
    pub(super) fn go_without(&mut self, situation: &Situation<'_>, due: &Due) {
        self.go_past(situation, due, |_| Missed::Edited);
        for tick in &due.ticks {
            let name = child_name(situation.name, *tick);
            match situation.children.iter().any(|child| child.is_ours && child.name == name) {
                true => self.made(*tick, name),
                false => self.missed(*tick, Missed::Edited),
            }
        }
    }

    /// Goes through the ticks that are due, the oldest first, until one has to wait. That one is the result.
    pub(super) fn go_through(&mut self, situation: &Situation<'_>, due: &Due) -> Option<Timestamp> {
        let terms = &situation.terms;
        let names: BTreeMap<&str, &Child> =
            situation.children.iter().map(|child| (child.name.as_str(), child)).collect();
        let unfinished: Vec<&Child> =
            situation.children.iter().filter(|child| child.is_ours && !child.is_finished).collect();
        let makes_up_one =
            terms.catch_up != CatchUp::All || terms.concurrency_policy == ConcurrencyPolicy::Replace;
        let waited = self.record.waiting.take();
        self.go_past(situation, due, |beyond| match untimely(situation, beyond, false) {
            Some(why) => why,
            None if makes_up_one => Missed::Superseded,
            None => Missed::TooMany,
        });
        let fates: Vec<Fate> = due
            .ticks
            .iter()
            .map(|tick| {
                let name = child_name(situation.name, *tick);
                fate(situation, &names, *tick, name, waited == Some(*tick))
            })
            .collect();
        // What came before a tick that was made already is not made up for either.
        let newest = fates.iter().rposition(|fate| matches!(fate, Fate::Run(_) | Fate::Made(_)));
        for (at, (tick, fate)) in due.ticks.iter().zip(fates).enumerate() {
            let name = match fate {
                Fate::Made(name) => {
                    self.made(*tick, name);
                    continue;
                }
                Fate::Missed(missed) => {
                    self.missed(*tick, missed);
                    continue;
                }
                Fate::Run(_) if makes_up_one && newest != Some(at) => {
                    let why = if waited == Some(*tick) { Missed::StillRunning } else { Missed::Superseded };
                    self.missed(*tick, why);
                    continue;
                }
                Fate::Run(name) => name,
            };
            let is_free = unfinished.is_empty() && self.create.is_empty();
            match terms.concurrency_policy {
                ConcurrencyPolicy::Forbid if !is_free => {
                    self.record.waiting = Some(*tick);
                    return Some(*tick);
                }
                ConcurrencyPolicy::Replace if !is_free => {
                    let to_end = unfinished.iter().filter(|child| !child.is_terminating);
                    self.terminate.extend(to_end.map(|child| child.name.clone()));
                    self.record.waiting = Some(*tick);
                    return Some(*tick);
                }
                ConcurrencyPolicy::Allow | ConcurrencyPolicy::Forbid | ConcurrencyPolicy::Replace => {
                    self.create.push(Birth { tick: *tick, name: name.clone() });
                    self.made(*tick, name);
                }
            }
        }
        // It is still to come if the clock has gone back.
        self.record.waiting = waited.filter(|waited| Some(*waited) > self.record.accounted);
        None
    }

    /// Accounts for the ticks before those that are listed. One entry tells of all of them.
    fn go_past(&mut self, situation: &Situation<'_>, due: &Due, why: impl FnOnce(Timestamp) -> Missed) {
        let Some(beyond) = due.beyond else { return };
        // Made before a crash.
        let ours = situation.children.iter().filter(|child| child.is_ours);
        let ticks = ours.filter_map(|child| tick_of(situation.name, &child.name));
        let is_tick = |tick: &Timestamp| {
            let is_one = situation.schedule.is_some_and(|schedule| schedule.latest(*tick) == Some(*tick));
            *tick > due.from && *tick <= beyond && is_one
        };
        let made: Vec<Timestamp> = ticks.filter(is_tick).collect();
        self.record.last = self.record.last.max(made.iter().max().copied());
        let missed = due.beyond_count.saturating_sub(u64::try_from(made.len()).unwrap_or_default());
        if missed == 0 {
            self.record.accounted = self.record.accounted.max(Some(beyond));
            return;
        }
        self.count(missed - 1);
        self.missed(beyond, why(beyond));
    }

    fn made(&mut self, tick: Timestamp, name: String) {
        self.record.last = self.record.last.max(Some(tick));
        self.account(Entry { tick, outcome: Ok(name) });
    }

    fn missed(&mut self, tick: Timestamp, why: Missed) {
        self.count(1);
        self.account(Entry { tick, outcome: Err(why) });
    }

    fn count(&mut self, missed: u64) {
        self.record.missed = self.record.missed.saturating_add(missed);
    }

    fn account(&mut self, entry: Entry) {
        self.record.accounted = self.record.accounted.max(Some(entry.tick));
        self.history.push(entry);
    }

    /// The tick that waits is not to be made any more. One that is still to come, because the clock has gone back, was
    /// none.
    pub(super) fn give_up_waiting(&mut self, why: Missed, now: Timestamp) {
        if let Some(tick) = self.record.waiting.take().filter(|tick| *tick <= now) {
            self.missed(tick, why);
        }
    }

    pub(super) fn into_decision(
        mut self,
        next: Option<Timestamp>,
        deadline: Option<Timestamp>,
        now: Timestamp,
    ) -> Decision {
        self.history.drain(..self.history.len().saturating_sub(MAX_HISTORY));
        Decision {
            is_clock_behind: self.record.accounted.is_some_and(|accounted| accounted > now),
            create: self.create,
            terminate: self.terminate,
            record: self.record,
            history: self.history,
            next,
            wake_at: next.into_iter().chain(deadline).min(),
        }
    }
}

/// What is to become of one tick, seen for itself.
enum Fate {
    Made(String),
    Missed(Missed),
    Run(String),
}

fn fate(
    situation: &Situation<'_>,
    names: &BTreeMap<&str, &Child>,
    tick: Timestamp,
    name: String,
    has_waited: bool,
) -> Fate {
    match names.get(name.as_str()) {
        Some(child) if child.is_ours => return Fate::Made(name),
        Some(_) => return Fate::Missed(Missed::NameConflict(name)),
        None => {}
    }
    if let Some(why) = untimely(situation, tick, has_waited) {
        return Fate::Missed(why);
    }
    match situation.refusal {
        Some(why) => Fate::Missed(Missed::NotReady(why.to_owned())),
        None => Fate::Run(name),
    }
}

/// Why it is too late for a tick, if it is.
fn untimely(situation: &Situation<'_>, tick: Timestamp, has_waited: bool) -> Option<Missed> {
    let late = situation.now.duration_since(tick);
    if situation.terms.starting_deadline.is_some_and(|deadline| late > deadline) {
        return Some(if has_waited { Missed::StillRunning } else { Missed::TooLate });
    }
    let is_missed = situation.terms.catch_up == CatchUp::None && !has_waited && late > WORST_DELAY;
    is_missed.then_some(Missed::NotMadeUp)
}
