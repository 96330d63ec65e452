//! The simulation: the real controllers on the embedded server, on paused time, with faults.

mod explorer;
mod flaws;
mod plain;

use crate::support::simulated::faults::{Fault, Schedule};
use crate::support::simulated::users::Act;
use crate::support::simulated::world::Rules;
use explorer::Ground;

/// The seed of the schedules that are explored every time.
const SEED: u64 = 0x0_5eed;
/// Takes the place of the fresh seed.
const SEED_VARIABLE: &str = "ORCHESTRATOR_SIMULATION_SEED";
/// Takes the place of how many fresh schedules are explored.
const COUNT_VARIABLE: &str = "ORCHESTRATOR_SIMULATION_SCHEDULES";
/// Single faults besides the death of the operator.
const SINGLES: usize = 8_000;
/// Pairs, triples and two operators, with the fixed seed and with a fresh one.
const FIXED: usize = 9_000;
const FRESH: usize = 9_000;

#[test]
fn no_single_fault_breaks_an_invariant() {
    let ground = Ground::measure();
    let rules = Rules::default();
    let singles = ground.singles(SINGLES);
    let exploration = ground.explore(&rules, singles.len(), None, |number| singles[number].clone());
    exploration.say("single faults");
    ground.report(&exploration, &rules);
}

#[test]
fn no_pair_or_triple_of_faults_and_no_second_operator_breaks_an_invariant() {
    let ground = Ground::measure();
    let rules = Rules::default();
    let exploration = ground.explore(&rules, FIXED, None, |number| ground.random(SEED, number));
    exploration.say(&format!("pairs, triples and two operators, seed {SEED:#x}"));
    ground.report(&exploration, &rules);
}

#[test]
fn no_fresh_schedule_breaks_an_invariant() {
    let ground = Ground::measure();
    let rules = Rules::default();
    let seed = number(SEED_VARIABLE).unwrap_or_else(fresh);
    println!("explorer: {SEED_VARIABLE}={seed:#x}");
    let count = number(COUNT_VARIABLE).map_or(FRESH, |count| usize::try_from(count).unwrap());
    let exploration = ground.explore(&rules, count, None, |number| ground.random(seed, number));
    exploration.say(&format!("pairs, triples and two operators, seed {seed:#x}"));
    ground.report(&exploration, &rules);
}

#[test]
fn the_same_schedule_gives_the_same_run() {
    let ground = Ground::measure();
    let rules = Rules { is_traced: true, ..Rules::default() };
    // Of several objects of a kind that are due at once, kube's scheduler takes any (it keeps them in a HashSet), and
    // only poison makes several.
    let is_certain = |schedule: &Schedule| {
        !schedule.faults.iter().any(|planned| planned.fault == Fault::User(Act::Poison))
    };
    for schedule in (0..60).map(|number| ground.random(SEED, number)).filter(is_certain) {
        let (one, two) = (ground.run(&schedule, &rules), ground.run(&schedule, &rules));
        let difference = one.trace.iter().zip(&two.trace).find(|(one, two)| one != two);
        assert_eq!(difference, None, "{schedule}");
        assert_eq!(one, two, "{schedule}");
    }
}

fn fresh() -> u64 {
    orchestrator::embedded::random::Random::unpredictable().bits()
}

/// The number in a variable, if it is set.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    Some(number.unwrap_or_else(|_| panic!("{variable} is a number, decimal or 0x…, and not {text:?}")))
}
