//! Decisions, one at a time: what is created, what is ended, what is missed and why, and when to look again.

use jiff::SignedDuration;

use super::super::decide::*;
use super::*;

const HOURLY: &str = "0 * * * *";

/// A schedule of every full hour, seen since midnight, and all that can be different about it.
struct Scene {
    schedule: Option<Schedule>,
    written: &'static str,
    terms: Terms,
    children: Vec<Child>,
    refusal: Option<&'static str>,
    record: Option<Record>,
    generation: i64,
}

impl Scene {
    fn new() -> Self {
        let observed = Observed {
            schedule: HOURLY.to_owned(),
            time_zone: "Etc/UTC".to_owned(),
            since: today("00:00:00"),
        };
        Self {
            schedule: Some(schedule(HOURLY, "Etc/UTC")),
            written: HOURLY,
            terms: Terms::default(),
            children: Vec::new(),
            refusal: None,
            record: Some(Record { observed: Some(observed), ..Record::default() }),
            generation: 1,
        }
    }

    fn terms(
        mut self,
        concurrency_policy: ConcurrencyPolicy,
        catch_up: CatchUp,
        deadline: Option<i64>,
    ) -> Self {
        let starting_deadline = deadline.map(SignedDuration::from_secs);
        self.terms = Terms { concurrency_policy, catch_up, starting_deadline, suspend: false };
        self
    }

    fn accounted(mut self, time: &str) -> Self {
        self.record.as_mut().unwrap().accounted = Some(today(time));
        self
    }

    fn child(mut self, time: &str, is_finished: bool) -> Self {
        let name = child_name("sync", today(time));
        self.children.push(Child { name, is_ours: true, is_finished, is_terminating: false });
        self
    }

    fn decide(&self, time: &str) -> Decision {
        decide(&Situation {
            name: "sync",
            created: today("00:00:00") - SignedDuration::from_hours(24),
            generation: self.generation,
            schedule: self.schedule.as_ref(),
            written: self.written,
            time_zone: "Etc/UTC",
            terms: self.terms,
            children: &self.children,
            refusal: self.refusal,
            record: self.record.as_ref(),
            now: today(time),
        })
    }

    /// Goes on with what a decision has left.
    fn remember(mut self, decision: &Decision) -> Self {
        for birth in &decision.create {
            let name = birth.name.clone();
            self.children.push(Child { name, is_ours: true, is_finished: false, is_terminating: false });
        }
        for child in &mut self.children {
            child.is_terminating |= decision.terminate.contains(&child.name);
        }
        self.record = Some(decision.record.clone());
        self
    }

    fn finish(mut self) -> Self {
        self.children.iter_mut().for_each(|child| child.is_finished = true);
        self
    }
}

fn today(time: &str) -> Timestamp {
    at(&format!("2026-06-10T{time}Z"))
}

fn clock(instant: Timestamp) -> String {
    instant.to_string()[11..19].to_owned()
}

/// The ticks that are created, and what is said about the others.
fn told(decision: &Decision) -> (Vec<String>, Vec<String>) {
    let created = decision.create.iter().map(|birth| clock(birth.tick)).collect();
    let missed = decision.history.iter().filter_map(|entry| {
        let why = entry.outcome.as_ref().err()?;
        Some(format!("{} {}", clock(entry.tick), why.reason()))
    });
    (created, missed.collect())
}

#[track_caller]
fn check(decision: &Decision, created: &[&str], missed: &[&str]) {
    let (found, why) = told(decision);
    assert_eq!(found, created, "{decision:?}");
    assert_eq!(why, missed, "{decision:?}");
}

#[test]
fn nothing_happens_between_ticks() {
    let decision = Scene::new().accounted("09:00:00").decide("09:30:00");
    check(&decision, &[], &[]);
    assert_eq!(decision.next, Some(today("10:00:00")));
    assert_eq!(decision.wake_at, decision.next);
    assert_eq!(Some(&decision.record), Scene::new().accounted("09:00:00").record.as_ref());
}

#[test]
fn a_tick_is_made_under_its_name_and_remembered() {
    let decision = Scene::new().accounted("09:00:00").child("09:00:00", true).decide("10:00:00");
    check(&decision, &["10:00:00"], &[]);
    let name = child_name("sync", today("10:00:00"));
    assert_eq!(decision.create[0].name, name);
    assert_eq!(decision.history, [Entry { tick: today("10:00:00"), outcome: Ok(name) }]);
    assert_eq!(decision.record.last, Some(today("10:00:00")));
    assert_eq!(decision.record.accounted, Some(today("10:00:00")));
    assert_eq!(decision.wake_at, Some(today("11:00:00")));
}

#[test]
fn a_tick_that_was_made_before_a_crash_is_found_and_not_made_again() {
    for is_finished in [false, true] {
        let decision = Scene::new().accounted("09:00:00").child("10:00:00", is_finished).decide("10:00:05");
        check(&decision, &[], &[]);
        assert_eq!(decision.record.last, Some(today("10:00:00")));
        assert_eq!(decision.history.len(), 1);
    }
}

#[test]
fn what_came_before_a_tick_that_was_made_is_not_made_up_for() {
    let after_a_crash = |catch_up| {
        let scene = Scene::new().accounted("07:00:00").child("10:00:00", true);
        scene.terms(ConcurrencyPolicy::Allow, catch_up, None).decide("10:00:05")
    };
    check(&after_a_crash(CatchUp::Latest), &[], &["08:00:00 Superseded", "09:00:00 Superseded"]);
    check(&after_a_crash(CatchUp::All), &["08:00:00", "09:00:00"], &[]);
}

#[test]
fn what_has_the_name_and_is_not_ours_stays_and_the_tick_is_missed() {
    let mut scene = Scene::new().accounted("09:00:00").child("10:00:00", false);
    scene.children[0].is_ours = false;
    let decision = scene.decide("10:00:05");
    check(&decision, &[], &["10:00:00 NameConflict"]);
    assert_eq!(decision.record.missed, 1);
    assert_eq!(decision.record.last, None);
    let told = decision.history[0].outcome.as_ref().unwrap_err().to_string();
    assert_eq!(told, "the Orchestration \"sync-29684760\" exists and does not belong to this schedule");
}

#[test]
fn nothing_is_made_for_the_time_before_creation() {
    let mut scene = Scene::new();
    scene.record = None;
    scene.terms.starting_deadline = None;
    // Created a day ago, and never looked at: a tick since then was missed while nobody was there.
    let decision = scene.decide("00:30:00");
    assert_eq!(told(&decision).0, ["00:00:00"]);
    assert_eq!(decision.record.missed, 23);
    let never = |time: &str, created: &str| {
        let schedule = schedule(HOURLY, "Etc/UTC");
        decide(&Situation {
            name: "sync",
            created: today(created),
            generation: 1,
            schedule: Some(&schedule),
            written: HOURLY,
            time_zone: "Etc/UTC",
            terms: Terms::default(),
            children: &[],
            refusal: None,
            record: None,
            now: today(time),
        })
    };
    check(&never("09:59:59", "09:30:00"), &[], &[]);
    // Created at the very instant of a tick.
    check(&never("09:00:00", "09:00:00"), &[], &[]);
    check(&never("09:00:01", "08:59:59"), &["09:00:00"], &[]);
    // The clock of the API server may be ahead of ours.
    check(&never("09:00:00", "09:00:30"), &[], &[]);
}

#[test]
fn an_edit_never_fires_for_the_past() {
    let mut scene = Scene::new().accounted("07:00:00").terms(ConcurrencyPolicy::Allow, CatchUp::All, None);
    scene.written = "*/10 * * * *";
    scene.schedule = Some(schedule(scene.written, "Etc/UTC"));
    scene.generation = 2;
    let decision = scene.decide("09:55:00");
    check(&decision, &[], &[]);
    assert_eq!(decision.record.observed.as_ref().unwrap().since, today("09:55:00"));
    assert_eq!(decision.next, Some(today("10:00:00")));
    let scene = scene.remember(&decision);
    check(&scene.decide("10:10:00"), &["10:00:00", "10:10:00"], &[]);

    // Edited before it was ever looked at.
    let mut unseen = Scene::new();
    (unseen.record, unseen.generation) = (None, 2);
    let decision = unseen.decide("09:00:01");
    assert_eq!(decision.create, []);
    let told = decision.history.last().unwrap();
    assert_eq!(
        (clock(told.tick), told.outcome.as_ref().unwrap_err().reason()),
        ("09:00:00".to_owned(), "Edited")
    );
    assert_eq!(decision.record.missed, 33, "every tick since its creation is accounted for");
}

#[test]
fn what_may_have_been_suspended_while_nobody_looked_is_not_made_and_told() {
    let scene = || {
        let mut scene =
            Scene::new().accounted("07:00:00").terms(ConcurrencyPolicy::Allow, CatchUp::All, None);
        scene.record.as_mut().unwrap().generation = Some(3);
        scene
    };
    // One edit, which left schedule and zone as they are, was another one.
    let mut once = scene();
    once.generation = 4;
    check(&once.decide("09:30:00"), &["08:00:00", "09:00:00"], &[]);
    // Two may have been a suspension and its end.
    let mut twice = scene().child("08:00:00", false);
    twice.generation = 5;
    let decision = twice.decide("09:30:00");
    check(&decision, &[], &["09:00:00 Edited"]);
    assert_eq!(decision.record.accounted, Some(today("09:00:00")));
    assert_eq!(decision.record.observed.as_ref().unwrap().since, today("09:30:00"));
    let mut later = twice.remember(&decision);
    later.record.as_mut().unwrap().generation = Some(5);
    check(&later.decide("10:00:00"), &["10:00:00"], &[]);
}

#[test]
fn a_suspension_is_never_made_up_for() {
    let mut scene = Scene::new().accounted("07:00:00").terms(ConcurrencyPolicy::Allow, CatchUp::All, None);
    scene.terms.suspend = true;
    let decision = scene.decide("09:30:00");
    check(&decision, &[], &[]);
    assert_eq!((decision.next, decision.wake_at), (None, None));
    let mut scene = scene.remember(&decision);
    scene.terms.suspend = false;
    let decision = scene.decide("12:30:00");
    check(&decision, &[], &[]);
    assert_eq!(decision.record.missed, 0);
    assert_eq!(decision.next, Some(today("13:00:00")));
    check(&scene.remember(&decision).decide("13:00:00"), &["13:00:00"], &[]);

    // A schedule that could not be read for a while is no different.
    let mut scene = Scene::new().accounted("07:00:00");
    let good = scene.schedule.take();
    let decision = scene.decide("08:30:00");
    let mut scene = scene.remember(&decision);
    scene.schedule = good;
    check(&scene.decide("09:10:00"), &[], &[]);
}

#[test]
fn of_what_was_missed_the_last_one_is_made_up_for_or_all_or_none() {
    use CatchUp::{All, Latest};
    use ConcurrencyPolicy::{Allow, Forbid};
    let after = |catch_up, deadline| {
        Scene::new().accounted("07:00:00").terms(Allow, catch_up, deadline).decide("10:20:00")
    };
    check(&after(Latest, None), &["10:00:00"], &["08:00:00 Superseded", "09:00:00 Superseded"]);
    check(&after(All, None), &["08:00:00", "09:00:00", "10:00:00"], &[]);
    check(
        &after(CatchUp::None, None),
        &[],
        &["08:00:00 NotMadeUp", "09:00:00 NotMadeUp", "10:00:00 NotMadeUp"],
    );
    check(&after(All, Some(2 * 3600)), &["09:00:00", "10:00:00"], &["08:00:00 TooLate"]);
    check(&after(Latest, Some(600)), &[], &["08:00:00 TooLate", "09:00:00 TooLate", "10:00:00 TooLate"]);
    assert_eq!(after(Latest, Some(600)).record.missed, 3);
    // A small delay is not missing it, whatever is made up for.
    let late = |time| Scene::new().accounted("09:00:00").terms(Forbid, CatchUp::None, Some(300)).decide(time);
    check(&late("10:00:30"), &["10:00:00"], &[]);
    check(&late("10:00:31"), &[], &["10:00:00 NotMadeUp"]);
    // One after the other, where only one may run.
    let scene = Scene::new().accounted("07:00:00").terms(Forbid, All, None);
    let first = scene.decide("10:20:00");
    check(&first, &["08:00:00"], &[]);
    assert_eq!(first.record.waiting, Some(today("09:00:00")));
    let scene = scene.remember(&first).finish();
    let second = scene.decide("10:40:00");
    check(&second, &["09:00:00"], &[]);
    check(&scene.remember(&second).finish().decide("10:50:00"), &["10:00:00"], &[]);
}

#[test]
fn forbid_waits_for_the_earlier_run_until_the_starting_deadline_or_the_next_tick() {
    let scene = || {
        Scene::new().accounted("09:00:00").child("09:00:00", false).terms(
            ConcurrencyPolicy::Forbid,
            CatchUp::Latest,
            Some(300),
        )
    };
    let waits = scene().decide("10:00:00");
    check(&waits, &[], &[]);
    assert_eq!(waits.record.waiting, Some(today("10:00:00")));
    assert_eq!(waits.record.accounted, Some(today("09:00:00")));
    assert_eq!(waits.wake_at, Some(today("10:05:01")));
    check(&scene().remember(&waits).finish().decide("10:04:59"), &["10:00:00"], &[]);
    check(&scene().remember(&waits).decide("10:05:01"), &[], &["10:00:00 StillRunning"]);
    // It waits also if what is missed is not made up for: it was not missed.
    let mut patient = scene().remember(&waits).finish();
    patient.terms.catch_up = CatchUp::None;
    check(&patient.decide("10:04:59"), &["10:00:00"], &[]);

    let mut endless = scene().remember(&waits);
    endless.terms.starting_deadline = None;
    let next = endless.decide("11:00:00");
    check(&next, &[], &["10:00:00 StillRunning"]);
    assert_eq!(next.record.waiting, Some(today("11:00:00")));

    // What it waits for is gone with an edit or a suspension.
    let mut suspended = scene().remember(&waits);
    suspended.terms.suspend = true;
    check(&suspended.decide("10:01:00"), &[], &["10:00:00 Suspended"]);
    let mut edited = scene().remember(&waits).finish();
    (edited.written, edited.generation) = ("30 * * * *", 2);
    edited.schedule = Some(schedule(edited.written, "Etc/UTC"));
    let decision = edited.decide("10:01:00");
    check(&decision, &[], &["10:00:00 Edited"]);
    assert_eq!(decision.next, Some(today("10:30:00")));
}

#[test]
fn allow_runs_beside_and_replace_ends_the_earlier_run_first() {
    let running = |policy| {
        Scene::new().accounted("09:00:00").child("09:00:00", false).terms(policy, CatchUp::All, Some(300))
    };
    check(&running(ConcurrencyPolicy::Allow).decide("10:00:00"), &["10:00:00"], &[]);

    let scene = running(ConcurrencyPolicy::Replace);
    let ends = scene.decide("10:00:00");
    check(&ends, &[], &[]);
    assert_eq!(ends.terminate, [child_name("sync", today("09:00:00"))]);
    let scene = scene.remember(&ends);
    let waits = scene.decide("10:00:01");
    check(&waits, &[], &[]);
    assert!(waits.terminate.is_empty(), "once is enough");
    let made = scene.finish().decide("10:00:40");
    check(&made, &["10:00:00"], &[]);

    // All would end each other.
    let scene = Scene::new().accounted("07:00:00").terms(ConcurrencyPolicy::Replace, CatchUp::All, None);
    check(&scene.decide("10:20:00"), &["10:00:00"], &["08:00:00 Superseded", "09:00:00 Superseded"]);
}

#[test]
fn a_tick_for_which_no_run_can_be_made_is_missed_with_the_reason() {
    let mut scene = Scene::new().accounted("09:00:00");
    scene.refusal = Some("the definition is not ready");
    let decision = scene.decide("10:00:00");
    check(&decision, &[], &["10:00:00 NotReady"]);
    assert_eq!(decision.history[0].outcome.as_ref().unwrap_err().to_string(), "the definition is not ready");
    let mut scene = scene.remember(&decision);
    scene.refusal = None;
    check(&scene.decide("10:01:00"), &[], &[]);
}

#[test]
fn a_clock_that_goes_back_makes_nothing_twice_and_nothing_too_early() {
    let ahead = Scene::new().accounted("09:00:00").decide("14:00:00");
    check(
        &ahead,
        &["14:00:00"],
        &["10:00:00", "11:00:00", "12:00:00", "13:00:00"]
            .map(|tick| format!("{tick} Superseded"))
            .each_ref()
            .map(String::as_str),
    );
    let scene = Scene::new().remember(&ahead).finish();
    let back = scene.decide("10:00:00");
    check(&back, &[], &[]);
    assert!(back.is_clock_behind);
    assert_eq!(back.record, ahead.record);
    assert_eq!(back.wake_at, Some(today("15:00:00")));
    let again = scene.decide("15:00:00");
    check(&again, &["15:00:00"], &[]);
    assert!(!again.is_clock_behind);
}

#[test]
fn after_a_long_outage_the_work_is_bounded_and_everything_is_counted() {
    let mut scene = Scene::new().terms(ConcurrencyPolicy::Forbid, CatchUp::All, None);
    scene.written = "* * * * *";
    scene.schedule = Some(schedule(scene.written, "Etc/UTC"));
    let record = scene.record.as_mut().unwrap();
    record.observed.as_mut().unwrap().schedule = scene.written.to_owned();
    record.observed.as_mut().unwrap().since = today("00:00:00") - SignedDuration::from_hours(72);
    let missed = 3 * 24 * 60 + 10 * 60 - 100;
    let first = scene.decide("10:00:00");
    check(&first, &["08:21:00"], &["08:20:00 TooMany"]);
    assert_eq!(first.record.missed, missed);
    // They are not counted again.
    let scene = scene.remember(&first).finish();
    let second = scene.decide("10:00:00");
    check(&second, &["08:22:00"], &[]);
    assert_eq!(second.record.missed, missed);

    // After years not all are counted, and the newest tick is found all the same.
    let mut rare = Scene::new().terms(ConcurrencyPolicy::Forbid, CatchUp::Latest, None);
    rare.written = "* * * 1-5 *";
    rare.schedule = Some(schedule(rare.written, "Etc/UTC"));
    let record = rare.record.as_mut().unwrap();
    record.observed.as_mut().unwrap().schedule = rare.written.to_owned();
    record.observed.as_mut().unwrap().since = at("2016-01-01T00:00:00Z");
    let decision = rare.decide("10:00:00");
    assert_eq!(decision.create.len(), 1);
    assert_eq!(decision.create[0].tick, at("2026-05-31T23:59:00Z"));
    assert!(decision.record.missed > 100_000, "{}", decision.record.missed);
    assert_eq!(decision.history.len(), MAX_HISTORY);
}
