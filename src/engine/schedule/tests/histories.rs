//! Histories: a schedule among crashes, outages, wrong clocks, edits and people, decided over and over.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::decide::*;
use super::*;

const EXPRESSIONS: [&str; 5] = ["0 * * * *", "30 2 * * *", "*/15 * * * *", "0 9-16 * * 0-5", "* * * * *"];

#[derive(Clone)]
struct History {
    state: u64,
    /// What the controller's clock shows.
    now: Timestamp,
    created: Timestamp,
    expression: &'static str,
    zone: &'static str,
    schedule: Schedule,
    generation: i64,
    terms: Terms,
    refusal: bool,
    children: Vec<Child>,
    record: Option<Record>,
    /// Everything ever made, also what is deleted.
    made: BTreeSet<String>,
    /// No tick up to here may ever be made: what the last edit or suspension has left behind.
    floor: Timestamp,
    is_suspension_seen: bool,
    decisions: usize,
}

impl History {
    fn new(expression: &'static str, zone: &'static str, terms: Terms, seed: u64) -> Self {
        let now = at("2026-03-27T12:34:56Z");
        Self {
            state: seed,
            now,
            created: now,
            expression,
            zone,
            schedule: schedule(expression, zone),
            generation: 1,
            terms,
            refusal: false,
            children: Vec::new(),
            record: None,
            made: BTreeSet::new(),
            floor: now,
            is_suspension_seen: false,
            decisions: 0,
        }
    }

    fn dice(&mut self, sides: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % sides
    }

    fn decide(&self) -> Decision {
        decide(&Situation {
            name: "sync",
            created: self.created,
            generation: self.generation,
            schedule: Some(&self.schedule),
            written: self.expression,
            time_zone: self.zone,
            terms: self.terms,
            children: &self.children,
            refusal: self.refusal.then_some("not ready"),
            record: self.record.as_ref(),
            now: self.now,
        })
    }

    fn unfinished(&self) -> usize {
        self.children.iter().filter(|child| child.is_ours && !child.is_finished).count()
    }

    /// One reconcile. It may end anywhere; then the next one finds what it has done so far.
    fn reconcile(&mut self) -> Decision {
        self.decisions += 1;
        let decision = self.decide();
        self.check(&decision);
        for name in &decision.terminate {
            for child in self.children.iter_mut().filter(|child| child.name == *name) {
                child.is_terminating = true;
            }
        }
        for birth in &decision.create {
            if self.dice(20) == 0 {
                return decision;
            }
            assert!(self.made.insert(birth.name.clone()), "made twice: {birth:?}");
            let name = birth.name.clone();
            self.children.push(Child { name, is_ours: true, is_finished: false, is_terminating: false });
        }
        if self.dice(20) > 0 {
            self.store(&decision);
        }
        decision
    }

    fn check(&self, decision: &Decision) {
        let before = self.record.clone().unwrap_or_default();
        let after = &decision.record;
        assert!(
            after.accounted >= before.accounted && after.last >= before.last && after.last <= after.accounted
        );
        assert!(after.missed >= before.missed);
        self.check_accounts(&before, decision);
        for birth in &decision.create {
            assert!(birth.tick <= self.now, "in the future: {birth:?}");
            assert!(birth.tick > self.floor, "for the past: {birth:?}, {}", self.floor);
            assert_eq!(self.schedule.latest(birth.tick), Some(birth.tick), "not a tick: {birth:?}");
            assert_eq!(birth.name, child_name("sync", birth.tick));
            let late = self.now.duration_since(birth.tick);
            assert!(self.terms.starting_deadline.is_none_or(|deadline| late <= deadline), "{birth:?}");
            assert!(!self.terms.suspend && !self.refusal);
        }
        if self.terms.concurrency_policy != ConcurrencyPolicy::Allow {
            let beside = if decision.create.is_empty() { 0 } else { self.unfinished() };
            assert!(decision.create.len() <= 1 && beside == 0, "{decision:?}");
        }
        assert!(self.terms.concurrency_policy == ConcurrencyPolicy::Replace || decision.terminate.is_empty());
        assert!(decision.create.len() <= MAX_CATCH_UP && decision.history.len() <= MAX_HISTORY);
        assert!(decision.wake_at.is_none_or(|wake| wake > self.now));
        assert_eq!(decision.next.is_none(), self.terms.suspend);
        assert!(decision.wake_at <= decision.next || decision.next.is_none());
        assert_eq!(decision.is_clock_behind, after.accounted.is_some_and(|accounted| accounted > self.now));
    }

    /// The ticks that are newly accounted for are exactly those that were made, or found, or missed.
    fn check_accounts(&self, before: &Record, decision: &Decision) {
        let after = &decision.record;
        let left = |entry: &&Entry| matches!(entry.outcome, Err(Missed::Edited | Missed::Suspended));
        let left = decision.history.iter().filter(left).count();
        let missed = usize::try_from(after.missed - before.missed).unwrap();
        let (Some(observed), Some(accounted)) = (&after.observed, after.accounted) else {
            return assert_eq!(missed, left);
        };
        let from = before.accounted.map_or(observed.since, |accounted| accounted.max(observed.since));
        let has_run = |name: &String| {
            let is_here = self.children.iter().any(|child| child.is_ours && child.name == *name);
            is_here || decision.create.iter().any(|birth| birth.name == *name)
        };
        let (mut ticks, mut run) = (0, 0);
        for tick in self.schedule.after(from).take_while(|tick| *tick <= accounted) {
            ticks += 1;
            run += usize::from(has_run(&child_name("sync", tick)));
        }
        assert_eq!(ticks + left, missed + run, "{decision:?}");
    }

    /// What is decided and done needs no second decision.
    fn check_rest(&self) {
        let decision = self.decide();
        let mut done = self.clone();
        for birth in &decision.create {
            let name = birth.name.clone();
            done.children.push(Child { name, is_ours: true, is_finished: false, is_terminating: false });
        }
        for child in &mut done.children {
            child.is_terminating |= decision.terminate.contains(&child.name);
        }
        done.record = Some(decision.record.clone());
        let again = done.decide();
        assert_eq!(again.record, decision.record);
        assert!(
            again.create.is_empty() && again.terminate.is_empty() && again.history.is_empty(),
            "{again:?}"
        );
        assert_eq!((again.next, again.wake_at), (decision.next, decision.wake_at));
    }

    /// Something happens.
    fn step(&mut self) {
        let seconds = |seconds: u64| SignedDuration::from_secs(i64::try_from(seconds).unwrap());
        let (short, long) = (seconds(self.dice(1800)), seconds(self.dice(3 * 86_400)));
        let jump = if self.dice(2) == 0 { seconds(3600) } else { seconds(86_400) };
        match self.dice(24) {
            0..=8 => self.now += short,
            9 => self.now += long,
            // Clocks that are wrong.
            10 => self.now += jump,
            11 => self.now -= jump,
            12..=16 => self.finish_some(),
            17 => self.refusal = !self.refusal,
            18 => self.suspend(),
            19 => self.edit(),
            20 => self.tidy_up(),
            21 => self.occupy(),
            _ => {}
        }
    }

    fn finish_some(&mut self) {
        for at in 0..self.children.len() {
            self.children[at].is_finished |= self.dice(2) == 0;
        }
    }

    /// Old runs are deleted, as history limits do it: those that are accounted for.
    fn tidy_up(&mut self) {
        let accounted = self.record.as_ref().and_then(|record| record.accounted);
        let Some(accounted) = accounted.map(|tick| tick.as_second() / 60) else { return };
        let minutes = |child: &Child| child.name.rsplit('-').next().unwrap().parse::<i64>().unwrap();
        self.children.retain(|child| !child.is_finished || minutes(child) > accounted);
    }

    fn suspend(&mut self) {
        if self.terms.suspend && !self.is_suspension_seen {
            return;
        }
        self.terms.suspend = !self.terms.suspend;
        self.generation += 1;
    }

    fn edit(&mut self) {
        let others = EXPRESSIONS.into_iter().filter(|expression| *expression != self.expression);
        let others: Vec<&str> = others.collect();
        let chosen = usize::try_from(self.dice(4)).unwrap();
        self.expression = others[chosen];
        self.schedule = schedule(self.expression, self.zone);
        self.generation += 1;
        self.record.get_or_insert_default();
        self.reconcile_until_stored();
    }

    /// An edit that is taken back before anybody saw it is none.
    fn reconcile_until_stored(&mut self) {
        let decision = self.decide();
        self.check(&decision);
        assert!(decision.create.is_empty());
        self.store(&decision);
    }

    fn store(&mut self, decision: &Decision) {
        self.is_suspension_seen = self.terms.suspend;
        let since = |record: &Record| record.observed.as_ref().map(|observed| observed.since);
        let (before, after) = (self.record.as_ref().map(since), since(&decision.record));
        if let Some(since) = after.filter(|_| before != Some(after)) {
            // What counts begins when it is first seen, and for a new schedule with its creation.
            assert_eq!(since, if before.is_none() && self.generation == 1 { self.created } else { self.now });
            self.floor = since;
        }
        self.record = Some(Record { generation: Some(self.generation), ..decision.record.clone() });
    }

    /// Somebody else takes the name of the next tick.
    fn occupy(&mut self) {
        if let Some(tick) = self.schedule.next_after(self.now) {
            let name = child_name("sync", tick);
            if !self.made.contains(&name) && self.children.iter().all(|child| child.name != name) {
                self.children.push(Child { name, is_ours: false, is_finished: false, is_terminating: false });
            }
        }
    }
}

fn terms() -> impl Strategy<Value = Terms> {
    use ConcurrencyPolicy::{Allow, Forbid, Replace};
    (
        select(vec![Forbid, Allow, Replace]),
        select(vec![CatchUp::None, CatchUp::Latest, CatchUp::All]),
        select(vec![None, Some(1), Some(20), Some(300), Some(7200), Some(200_000)]),
    )
        .prop_map(|(concurrency_policy, catch_up, deadline)| Terms {
            concurrency_policy,
            catch_up,
            starting_deadline: deadline.map(SignedDuration::from_secs),
            suspend: false,
        })
}

proptest! {
    #[test]
    fn a_tick_is_made_at_most_once_whatever_happens(
        expression in select(EXPRESSIONS.to_vec()), zone in select(vec!["Europe/Paris", "Etc/UTC", "Pacific/Apia"]),
        terms in terms(), seed in any::<u64>(),
    ) {
        let mut history = History::new(expression, zone, terms, seed);
        for _ in 0..120 {
            history.step();
            history.check_rest();
            history.reconcile();
        }
    }

    /// When the controller is there, and woken when it asks to be.
    #[test]
    fn every_tick_is_made_exactly_once_in_quiet_times(
        expression in select(EXPRESSIONS[..4].to_vec()), zone in select(vec!["Europe/Paris", "Australia/Lord_Howe"]),
        terms in terms(),
    ) {
        let mut history = History::new(expression, zone, terms, 0);
        let begin = history.now;
        // Ten days, with the changes of clocks in Europe and on Lord Howe Island in them.
        let end = begin + SignedDuration::from_hours(10 * 24);
        let mut wakes = 0;
        while history.now < end {
            let decision = history.decide();
            history.check(&decision);
            prop_assert!(decision.create.len() <= 1 && decision.terminate.is_empty());
            history.made.extend(decision.create.iter().map(|birth| birth.name.clone()));
            history.record = Some(decision.record);
            history.now = decision.wake_at.unwrap();
            wakes += 1;
        }
        let schedule = schedule(expression, zone);
        let ticks: BTreeSet<String> =
            schedule.after(begin).take_while(|tick| *tick < end).map(|tick| child_name("sync", tick)).collect();
        prop_assert_eq!(&history.made, &ticks);
        prop_assert_eq!(wakes, ticks.len() + 1, "one wake-up for each");
        prop_assert_eq!(history.record.unwrap().missed, 0);
    }
}

/// The dice must fall on everything that the property speaks of, or it would hold for nothing.
#[test]
fn the_histories_hold_every_kind_of_fate() {
    let (mut made, mut reasons, mut terminated, mut behind) = (0, BTreeSet::new(), 0, 0);
    for seed in 0..300 {
        let pick = |count: u64| usize::try_from(seed % count).unwrap();
        let terms = Terms {
            concurrency_policy: [
                ConcurrencyPolicy::Forbid,
                ConcurrencyPolicy::Allow,
                ConcurrencyPolicy::Replace,
            ][pick(3)],
            catch_up: [CatchUp::None, CatchUp::Latest, CatchUp::All, CatchUp::All][pick(4)],
            starting_deadline: [None, Some(SignedDuration::from_secs(300))][pick(2)],
            suspend: false,
        };
        let mut history = History::new(EXPRESSIONS[pick(5)], "Europe/Paris", terms, seed);
        for _ in 0..120 {
            history.step();
            let decision = history.reconcile();
            made += decision.create.len();
            terminated += decision.terminate.len();
            behind += usize::from(decision.is_clock_behind);
            let missed = decision.history.iter().filter_map(|entry| entry.outcome.as_ref().err());
            reasons.extend(missed.map(Missed::reason));
        }
    }
    let all = [
        "NameConflict",
        "NotMadeUp",
        "NotReady",
        "StillRunning",
        "Superseded",
        "Suspended",
        "TooLate",
        "TooMany",
    ];
    assert_eq!(reasons.iter().copied().filter(|reason| *reason != "Edited").collect::<Vec<_>>(), all);
    assert!(made > 1000 && terminated > 20 && behind > 100, "{made}, {terminated}, {behind}");
}
