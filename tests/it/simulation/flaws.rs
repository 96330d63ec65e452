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
fn a_create_without_a_look_at_the_server_is_found() {
    is_found(Flaw::SkipsFreshnessCheck, &[], "is started although it is recorded as");
}
