//! Proof that the explorer bites: mistakes made on purpose are found.

use orchestrator::config::{Flaw, Settings};

use super::explorer::Ground;
use crate::support::simulated::world::Rules;

/// Most schedules that it may take to find one.
const BUDGET: usize = 20_000;
const SEED: u64 = 0xb17e;

/// The flaw is found, and not by an invariant that is ignored; without it the same schedule is flawless.
fn is_found(flaw: Flaw, ignored: &[u32], words: &str) {
    let ground = Ground::measure();
    let settings = Settings { flaw: Some(flaw), ..Settings::default() };
    let rules = Rules { settings, ignored: ignored.to_vec(), ..Rules::default() };
    let exploration = ground.explore(&rules, BUDGET, Some(words), |number| ground.random(SEED, number));
    exploration.say(&format!("{flaw:?}, seed {SEED:#x}"));
    let (schedule, _) = exploration.failures.first().expect("the flaw is not found");
    let (schedule, outcome) = ground.shrink(schedule.clone(), &rules, words);
    println!("    {schedule} {:?}", outcome.violations);
    let sound = Rules { ignored: ignored.to_vec(), ..Rules::default() };
    let again = ground.explore(&sound, 1, None, |_| schedule.clone());
    assert!(again.failures.is_empty(), "{:?}", again.failures);
}

#[test]
fn jobs_that_are_deleted_once_their_result_is_recorded_are_found() {
    is_found(Flaw::DeletesRecordedJobs, &[], "is started although it is recorded as");
}

#[test]
fn jobs_that_the_server_names_are_found_by_their_second_run() {
    is_found(Flaw::GeneratesJobNames, &[5], "a second Job of");
}

#[test]
fn an_attempt_that_begins_before_the_last_one_is_recorded_as_failed_is_found() {
    is_found(Flaw::RetriesBeforeRecord, &[], "begins before the one before is recorded as failed");
}

#[test]
fn a_stop_before_it_is_decided_and_stored_is_found() {
    is_found(Flaw::StopsBeforeRecord, &[], "is suspended before that is decided and stored");
}

#[test]
fn what_is_in_finally_and_does_not_wait_is_found() {
    is_found(Flaw::BeginsFinallyAtOnce, &[], "in finally is started before all others");
}

#[test]
fn a_start_while_all_is_suspended_is_found() {
    is_found(Flaw::IgnoresSuspend, &[], "is started although it is suspended");
}

#[test]
fn a_start_after_a_shutdown_is_found() {
    is_found(Flaw::IgnoresShutdown, &[], "is started although its shutdown was seen");
}

#[test]
fn an_end_before_the_last_pod_is_gone_is_found() {
    is_found(Flaw::TakesStoppingForStopped, &[], "is recorded as Cancelled while something of it goes on");
}

#[test]
fn a_budget_that_is_not_used_up_by_failures_is_found() {
    is_found(Flaw::TakesFailuresForDisruptions, &[], "was Failed(3) and is recorded as Retrying");
}

#[test]
fn what_is_run_again_instead_of_taken_over_is_found() {
    is_found(Flaw::RunsAllAgain, &[], "1 Jobs were made of \"a\"");
}

#[test]
fn a_leader_that_goes_on_after_its_lease_is_found() {
    is_found(Flaw::OutlivesLeadership, &[], "writes although it does not hold the Lease");
}

#[test]
fn a_create_without_a_look_at_the_server_is_found() {
    is_found(Flaw::SkipsFreshnessCheck, &[], "is started although it is recorded as");
}
