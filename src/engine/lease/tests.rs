//! Tables: one look, one decision, one record. What several replicas make of it is in `simulation`.

use super::*;

mod simulation;

const ME: &str = "me_1";

fn terms() -> Terms {
    Terms::default()
}

fn at(seconds: u64) -> Moment {
    Duration::from_secs(seconds)
}

fn wall(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// A Lease as client-go writes it, renewed at a time of its holder's clock.
fn lease(holder: &str, renewed: i64, transitions: i32) -> Lease {
    let metadata = ObjectMeta {
        name: Some("orchestrator".to_owned()),
        resource_version: Some(format!("{}", 100 + renewed)),
        ..ObjectMeta::default()
    };
    let spec = LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(15),
        acquire_time: Some(MicroTime(wall(-1000))),
        renew_time: Some(MicroTime(wall(renewed))),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    };
    Lease { metadata, spec: Some(spec) }
}

fn candidate() -> Candidate {
    Candidate::new("orchestrator", ME, terms())
}

fn write(candidate: &Candidate, now: Moment, wall: Timestamp) -> Lease {
    match candidate.next(now, wall) {
        Step::Write(lease) => *lease,
        other => panic!("no write but {other:?}"),
    }
}

/// A candidate that has led since second 100, and the Lease.
fn leader() -> (Candidate, Lease) {
    let mut candidate = candidate();
    candidate.read(None, at(100));
    let mut lease = write(&candidate, at(100), wall(0));
    lease.metadata.resource_version = Some("1".to_owned());
    candidate.written(lease.clone(), at(100), at(100));
    (candidate, lease)
}

#[track_caller]
fn check(looks: &[(u64, Option<Lease>)], expected: Decision) {
    let mut seen = None;
    let mut now = Moment::ZERO;
    for (second, lease) in looks {
        now = at(*second);
        seen = Seen::look(seen, lease.as_ref(), now);
    }
    assert_eq!(decide(seen.as_ref(), ME, &terms(), now), expected);
}

#[test]
fn a_lease_expires_when_we_have_not_seen_it_change_for_its_duration() {
    let theirs = |renewed| Some(lease("they", renewed, 3));
    check(&[(7, None)], Decision::Acquire);
    check(&[(7, theirs(0))], Decision::Wait(at(8)));
    check(&[(7, theirs(0)), (21, theirs(0))], Decision::Wait(at(22)));
    check(&[(7, theirs(0)), (22, theirs(0))], Decision::Acquire);
    check(&[(7, theirs(0)), (21, theirs(2)), (22, theirs(2))], Decision::Wait(at(23)));
    // Their clock is a day behind or ahead, or goes back: only change counts.
    check(&[(7, theirs(-86_400))], Decision::Wait(at(8)));
    check(&[(7, theirs(86_400)), (22, theirs(86_400))], Decision::Acquire);
    check(&[(7, theirs(5)), (21, theirs(-5)), (30, theirs(-5))], Decision::Wait(at(31)));
    // The last look may come between two usual ones.
    check(&[(7, theirs(0)), (21, theirs(0))], Decision::Wait(at(22)));
    check(&[(7, Some(lease(ME, 0, 3)))], Decision::Renew);
    check(&[(7, Some(lease("", 0, 3)))], Decision::Acquire);
}

#[test]
fn a_lease_lasts_as_long_as_it_says() {
    let lasts = |seconds: Option<i32>| {
        let mut lease = lease("they", 0, 0);
        lease.spec.as_mut().unwrap().lease_duration_seconds = seconds;
        Some(lease)
    };
    check(&[(7, lasts(Some(60))), (60, lasts(Some(60)))], Decision::Wait(at(61)));
    check(&[(7, lasts(Some(60))), (67, lasts(Some(60)))], Decision::Acquire);
    check(&[(7, lasts(Some(1))), (8, lasts(Some(1)))], Decision::Acquire);
    for nothing in [None, Some(0), Some(-5)] {
        check(&[(7, lasts(nothing)), (21, lasts(nothing))], Decision::Wait(at(22)));
        check(&[(7, lasts(nothing)), (22, lasts(nothing))], Decision::Acquire);
    }
    let empty = Some(Lease::default());
    check(&[(7, empty)], Decision::Acquire);
}

#[test]
fn a_lease_that_somebody_deletes_still_holds_for_those_who_saw_it() {
    let theirs = || Some(lease("they", 0, 3));
    check(&[(7, theirs()), (9, None)], Decision::Wait(at(10)));
    check(&[(7, theirs()), (22, None)], Decision::Acquire);
    check(&[(7, Some(lease("", 0, 3))), (9, None)], Decision::Acquire);
    // Its holder makes it again, and goes on.
    let (mut candidate, before) = leader();
    candidate.refused(at(102));
    assert_eq!(candidate.next(at(102), wall(2)), Step::Read);
    candidate.read(None, at(102));
    let again = write(&candidate, at(102), wall(2));
    assert_eq!(again.metadata.resource_version, None);
    let (before, again) = (before.spec.unwrap(), again.spec.unwrap());
    assert_eq!(again.acquire_time, before.acquire_time);
    assert_eq!(again.lease_transitions, before.lease_transitions);
}

#[test]
fn the_record_is_what_client_go_writes() {
    let mut first = candidate();
    assert_eq!(first.next(at(0), wall(0)), Step::Read);
    first.read(None, at(0));
    let made = write(&first, at(0), wall(0));
    let spec = made.spec.unwrap();
    assert_eq!(made.metadata.name.as_deref(), Some("orchestrator"));
    assert_eq!(made.metadata.resource_version, None);
    assert_eq!(spec.holder_identity.as_deref(), Some(ME));
    assert_eq!(spec.lease_duration_seconds, Some(15));
    assert_eq!(spec.acquire_time, Some(MicroTime(wall(0))));
    assert_eq!(spec.renew_time, spec.acquire_time);
    assert_eq!(spec.lease_transitions, Some(0));

    // Taken over: one transition more, and what else people wrote on it stays.
    let mut other = candidate();
    let mut old = lease("they", 0, 3);
    old.metadata.labels = Some([("team".to_owned(), "a".to_owned())].into());
    other.read(Some(old.clone()), at(0));
    other.read(Some(old.clone()), at(15));
    let taken = write(&other, at(15), wall(20));
    assert_eq!(taken.metadata, old.metadata);
    let spec = taken.spec.clone().unwrap();
    assert_eq!(spec.lease_transitions, Some(4));
    assert_eq!(spec.acquire_time, Some(MicroTime(wall(20))));

    // Renewed: only the time of renewal changes.
    other.written(taken, at(15), at(15));
    assert_eq!(other.next(at(16), wall(21)), Step::Wait(at(17)));
    let renewed = write(&other, at(17), wall(22)).spec.unwrap();
    assert_eq!(renewed, LeaseSpec { renew_time: Some(MicroTime(wall(22))), ..spec });

    // Given back.
    let (candidate, held) = leader();
    let released = candidate.released(Some(held.clone()), wall(5)).unwrap();
    assert_eq!(released.metadata, held.metadata);
    let spec = released.spec.unwrap();
    assert_eq!(spec.holder_identity.as_deref(), Some(""));
    assert_eq!(spec.lease_duration_seconds, Some(1));
    assert_eq!(spec.lease_transitions, Some(0));
    assert_eq!(spec.renew_time, Some(MicroTime(wall(5))));
    assert_eq!(candidate.released(Some(lease("they", 0, 0)), wall(5)), None);
    assert_eq!(candidate.released(None, wall(5)), None);
}

#[test]
fn a_clock_that_stands_still_does_not_make_a_leader_look_dead() {
    let (candidate, held) = leader();
    let renewed = write(&candidate, at(102), wall(0)).spec.unwrap();
    assert_ne!(renewed.renew_time, held.spec.unwrap().renew_time);
    assert_eq!(renewed.renew_time.unwrap().0, wall(0) + jiff::SignedDuration::from_micros(1));
}

#[test]
fn a_leader_that_cannot_renew_stops_before_others_may_begin() {
    let (mut candidate, _) = leader();
    for second in [102, 104, 106, 108] {
        assert!(candidate.leads(at(second)));
        candidate.failed(at(second));
        assert_eq!(candidate.next(at(second), wall(0)), Step::Wait(at(second + 2)));
    }
    assert_eq!(candidate.next(at(109), wall(0)), Step::Wait(at(110)));
    assert!(!candidate.leads(at(110)));
    assert_eq!(candidate.next(at(110), wall(0)), Step::Lost(Loss::Overdue));
    assert_eq!(candidate.next(at(1000), wall(0)), Step::Lost(Loss::Overdue));
}

#[test]
fn a_renewal_counts_from_when_it_was_sent() {
    let (mut candidate, lease) = leader();
    candidate.written(lease, at(102), at(106));
    assert_eq!(candidate.leads_until(), Some(at(112)));
    assert_eq!(candidate.next(at(106), wall(0)), Step::Write(Box::new(write(&candidate, at(106), wall(0)))));
}

#[test]
fn an_answer_that_comes_too_late_changes_nothing() {
    let (mut late, lease) = leader();
    late.written(lease.clone(), at(102), at(110));
    assert_eq!(late.next(at(110), wall(0)), Step::Lost(Loss::Overdue));
    assert!(!late.leads(at(110)));

    // An acquisition that took that long is none before it is renewed.
    let mut slow = candidate();
    slow.read(None, at(0));
    slow.written(lease.clone(), at(0), at(11));
    assert!(!slow.leads(at(11)));
    assert!(matches!(slow.next(at(11), wall(0)), Step::Write(_)));
    slow.written(lease, at(11), at(12));
    assert!(slow.leads(at(12)));
}

#[test]
fn a_leader_that_reads_another_name_has_lost_for_good() {
    for (found, by) in [(Some(lease("they", 5, 1)), "they"), (Some(lease("", 5, 1)), "")] {
        let (mut candidate, ours) = leader();
        candidate.refused(at(102));
        assert_eq!(candidate.next(at(102), wall(2)), Step::Read);
        candidate.read(found, at(102));
        let lost = Step::Lost(Loss::Taken(by.to_owned()));
        assert_eq!(candidate.next(at(102), wall(2)), lost);
        assert!(!candidate.leads(at(102)));
        candidate.written(ours, at(103), at(103));
        assert_eq!(candidate.next(at(103), wall(3)), lost);
    }
    assert_eq!(Loss::Taken(String::new()).to_string(), "the Lease is held by nobody");
    assert_eq!(Loss::Taken("they".to_owned()).to_string(), "the Lease is held by they");
}

#[test]
fn a_leader_whose_answer_was_lost_finds_its_own_name_and_goes_on() {
    let (mut candidate, mut held) = leader();
    held.metadata.resource_version = Some("2".to_owned());
    held.spec.as_mut().unwrap().renew_time = Some(MicroTime(wall(2)));
    candidate.refused(at(102));
    candidate.read(Some(held.clone()), at(102));
    // Not before a write of this life is confirmed.
    assert_eq!(candidate.leads_until(), Some(at(110)));
    let next = write(&candidate, at(102), wall(3));
    assert_eq!(next.metadata.resource_version.as_deref(), Some("2"));
    candidate.written(next, at(102), at(102));
    assert_eq!(candidate.leads_until(), Some(at(112)));
}

#[test]
fn a_candidate_that_is_refused_again_and_again_slows_down() {
    let mut candidate = candidate();
    candidate.read(Some(lease("", 0, 0)), at(5));
    assert!(matches!(candidate.next(at(5), wall(0)), Step::Write(_)));
    candidate.refused(at(5));
    assert_eq!(candidate.next(at(5), wall(0)), Step::Read);
    candidate.read(Some(lease("", 1, 0)), at(5));
    candidate.refused(at(5));
    assert_eq!(candidate.next(at(5), wall(0)), Step::Wait(at(7)));
    assert_eq!(candidate.next(at(7), wall(0)), Step::Read);
    candidate.read(Some(lease("they", 1, 0)), at(7));
    assert_eq!(candidate.holder(), "they");
    assert_eq!(candidate.next(at(7), wall(0)), Step::Wait(at(8)));
}

#[test]
fn terms_leave_time_to_notice() {
    let check = |terms: (u64, u64, u64), is_good: bool| {
        let millis = Duration::from_millis;
        let made = Terms::new(millis(terms.0), millis(terms.1), millis(terms.2));
        assert_eq!(made.is_ok(), is_good, "{terms:?}: {made:?}");
    };
    check((15_000, 10_000, 2_000), true);
    check((1_000, 999, 100), true);
    check((86_400_000, 10_000, 2_000), true);
    for wrong in [
        (0, 0, 0),
        (15_000, 15_000, 2_000),
        (10_000, 15_000, 2_000),
        (1_500, 1_000, 200),
        (86_401_000, 10_000, 2_000),
        (15_000, 10_000, 0),
        (15_000, 2_400, 2_000),
        (15_000, 0, 0),
    ] {
        check(wrong, false);
    }
    check((15_000, 2_401, 2_000), true);
    assert_eq!(Terms::new(at(15), at(10), at(2)), Ok(Terms::default()));
}
