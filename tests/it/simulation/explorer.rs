//! The explorer: many schedules on two threads, and the shortest one that fails.
//!
//! Responsible for: schedules as a function of seed and number, and reports that can be replayed. Must never: judge a
//! run; the world does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use orchestrator::embedded::random::Random;

use crate::support::simulated::faults::{Fault, Kind, Planned, Replicas, Schedule};
use crate::support::simulated::scenario::Scenario;
use crate::support::simulated::users::Act;
use crate::support::simulated::world::{Outcome, Rules, run};

const THREADS: usize = 2;
/// Names of the scenarios that are explored, with commas in between; all where it is not set.
const ONLY_VARIABLE: &str = "ORCHESTRATOR_SIMULATION_SCENARIOS";
/// Requests after the last one of an undisturbed run at which faults are planned too: a disturbed one makes more.
const BEYOND: usize = 14;

/// Lines of a failed run that are told of its beginning, and as many of its end.
const TOLD: usize = 60;

/// What was explored.
pub struct Exploration {
    pub count: usize,
    pub failures: Vec<(Schedule, Outcome)>,
    pub took: Duration,
}

/// The scenarios, and how many requests each of them makes when nothing goes wrong.
pub struct Ground {
    scenarios: BTreeMap<&'static str, (Arc<Scenario>, usize)>,
    faults: [Vec<Fault>; 4],
    acts: Vec<Fault>,
    stale_starts: Vec<Fault>,
    /// What makes a leader lose its lease.
    losses: Vec<Fault>,
}

impl Ground {
    /// Runs every scenario once.
    pub fn measure() -> Self {
        let only = std::env::var(ONLY_VARIABLE).ok();
        let is_wanted = |scenario: &Scenario| {
            only.as_ref().is_none_or(|only| only.split(',').any(|name| name == scenario.name))
        };
        let rules = Rules { is_traced: true, ..Rules::default() };
        let mut failures = Vec::new();
        let mut measured = BTreeMap::new();
        for scenario in Scenario::all().into_iter().filter(is_wanted).map(Arc::new) {
            let outcome = run(&scenario, &quiet(&scenario, 1), &rules);
            if !outcome.violations.is_empty() {
                let (violations, trace) = (outcome.violations, outcome.trace.join("\n      "));
                failures.push(format!("{}: {violations:#?}\n      {trace}", scenario.name));
            }
            measured.insert(scenario.name, (scenario, outcome.requests));
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        let faults = Fault::groups();
        let of = |is_wanted: fn(&Fault) -> bool| faults.iter().flatten().copied().filter(is_wanted).collect();
        Self {
            scenarios: measured,
            acts: of(|fault| matches!(fault, Fault::User(_))),
            stale_starts: of(|fault| matches!(fault, Fault::Restart(..))),
            losses: of(|fault| {
                matches!(
                    fault,
                    Fault::Isolate(25) | Fault::Sleep(_) | Fault::Late(_) | Fault::Slow(29) | Fault::Retire
                ) || matches!(fault, Fault::CrashBefore | Fault::CrashAfter | Fault::Refuse(409))
            }),
            faults,
        }
    }

    /// The death of the operator before and after every request of every scenario, and of all other single faults so many,
    /// spread evenly.
    pub fn singles(&self, most: usize) -> Vec<Schedule> {
        let is_death =
            |schedule: &Schedule| matches!(schedule.faults[0].fault, Fault::CrashBefore | Fault::CrashAfter);
        let (mut chosen, others): (Vec<Schedule>, Vec<Schedule>) =
            self.all_singles().into_iter().partition(is_death);
        let (deaths, all) = (chosen.len(), others.len());
        chosen.extend(others.into_iter().step_by(all.div_ceil(most).max(1)));
        println!("explorer: {deaths} deaths, and {} of {all} other single faults", chosen.len() - deaths);
        chosen
    }

    fn all_singles(&self) -> Vec<Schedule> {
        let mut all = Vec::new();
        for (scenario, requests) in self.scenarios.values() {
            for at in 0..*requests {
                for fault in self.faults.iter().flatten() {
                    all.push(Schedule { faults: vec![Planned { at, fault: *fault }], ..quiet(scenario, 1) });
                }
            }
        }
        all
    }

    /// The schedule of a number: pairs and triples of faults, every eighth time two operators at once, and every eighth
    /// time two of which one is elected.
    pub fn random(&self, seed: u64, number: usize) -> Schedule {
        let mut random = Random::from_seed(seed ^ (number as u64).wrapping_mul(0x9e37_79b9_97f4_a7c1));
        let mut below = |bound: usize| usize::try_from(random.bits() >> 16).unwrap() % bound;
        let (scenario, requests) = self.scenarios.values().nth(below(self.scenarios.len())).unwrap();
        let replicas = match number % 8 {
            3 => Replicas::Two,
            7 => Replicas::Elected,
            _ => Replicas::One,
        };
        let is_split = replicas == Replicas::Two;
        let count = match replicas {
            Replicas::One => 2 + below(2),
            Replicas::Two => below(3),
            Replicas::Elected => 1 + below(2),
        };
        // The election makes requests of its own.
        let places = (requests + BEYOND) * if replicas == Replicas::Elected { 3 } else { replicas.count() };
        // Often what is worst for a cache: somebody acts, and the operator dies and begins with an old list.
        let is_stale_start = replicas == Replicas::One && below(3) == 0;
        let mut faults: Vec<Planned> = Vec::new();
        while faults.len() < count {
            let group = match faults.len() {
                0 if is_stale_start => &self.acts,
                1 if is_stale_start => &self.stale_starts,
                0 if replicas == Replicas::Elected && below(2) == 0 => &self.losses,
                _ => &self.faults[below(self.faults.len())],
            };
            let fault = match group[below(group.len())] {
                Fault::Restart(..) if is_stale_start && below(2) == 0 => {
                    Fault::Restart(Kind::Orchestrations, 1 + below(40) as u64)
                }
                Fault::User(_) if is_stale_start && faults.is_empty() && below(3) == 0 => {
                    Fault::User(Act::DeleteJobs)
                }
                fault => fault,
            };
            // Two operators and a user who deletes what one of them has made: at least once, and documented so.
            if is_split && matches!(fault, Fault::User(Act::DeleteJobs)) {
                continue;
            }
            // Half of the time where the last one was: faults that come together do most.
            let at = match faults.last() {
                Some(last) if below(2) == 0 => last.at + below(3),
                _ => below(places),
            };
            faults.push(Planned { at, fault });
        }
        let jitter = is_split || below(3) == 0;
        let seed = (below(usize::MAX >> 16) as u64) | 1;
        Schedule { faults, jitter, replicas, ..quiet(scenario, seed) }
    }

    /// Runs schedules on all threads until there are no more. What is wanted is a violation with these words: then only
    /// such ones count, and the first of them is enough.
    pub fn explore(
        &self,
        rules: &Rules,
        count: usize,
        wanted: Option<&str>,
        schedule: impl Fn(usize) -> Schedule + Sync,
    ) -> Exploration {
        let (next, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (stop, failures, start) = (AtomicBool::new(false), Mutex::new(Vec::new()), Instant::now());
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return;
                        }
                        let schedule = schedule(number);
                        let outcome = self.run(&schedule, rules);
                        ended.fetch_add(1, Ordering::Relaxed);
                        if outcome.has(wanted.unwrap_or_default()) {
                            failures.lock().unwrap().push((schedule, outcome));
                            stop.store(wanted.is_some(), Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let failures = failures.into_inner().unwrap();
        Exploration { count: ended.into_inner(), failures, took: start.elapsed() }
    }

    /// Runs one schedule.
    pub fn run(&self, schedule: &Schedule, rules: &Rules) -> Outcome {
        let (scenario, _) = &self.scenarios[schedule.scenario];
        run(scenario, schedule, rules)
    }

    /// The same schedule without what is not needed for a violation with these words, and what comes of it.
    pub fn shrink(&self, mut schedule: Schedule, rules: &Rules, words: &str) -> (Schedule, Outcome) {
        let rules = Rules { is_traced: true, ..rules.clone() };
        let mut outcome = self.run(&schedule, &rules);
        while let Some((simpler, failed)) = simpler(&schedule).into_iter().find_map(|simpler| {
            let outcome = self.run(&simpler, &rules);
            outcome.has(words).then_some((simpler, outcome))
        }) {
            (schedule, outcome) = (simpler, failed);
        }
        (schedule, outcome)
    }

    /// Fails with the shortest failing schedules, one for every kind of violation.
    pub fn report(&self, exploration: &Exploration, rules: &Rules) {
        let mut kinds: BTreeMap<String, Vec<&Schedule>> = BTreeMap::new();
        for (schedule, outcome) in &exploration.failures {
            let kind: String = outcome.violations[0].chars().take(40).collect();
            kinds.entry(kind).or_default().push(schedule);
        }
        for (kind, schedules) in &kinds {
            let shortest = schedules.iter().min_by_key(|schedule| schedule.faults.len()).unwrap();
            let (schedule, outcome) = self.shrink((*shortest).clone(), rules, kind);
            println!("--- {} schedules: {kind}\n{schedule}", schedules.len());
            outcome.violations.iter().for_each(|violation| println!("    {violation}"));
            // How it began and how it ended: what is in between is mostly watches.
            let rest = outcome.trace.len().saturating_sub(TOLD).max(TOLD);
            outcome.trace.iter().take(TOLD).for_each(|line| println!("      {line}"));
            outcome.trace.iter().skip(rest).for_each(|line| println!("      {line}"));
        }
        assert!(kinds.is_empty(), "{} of {} schedules failed", exploration.failures.len(), exploration.count);
    }
}

impl Exploration {
    /// One line.
    pub fn say(&self, what: &str) {
        let rate = self.count as f64 / self.took.as_secs_f64();
        let (count, failures, took) = (self.count, self.failures.len(), self.took);
        println!(
            "explorer: {what}: {count} schedules in {took:.1?}, {rate:.0} a second, {failures} violations"
        );
    }
}

/// Nothing goes wrong.
pub fn quiet(scenario: &Scenario, seed: u64) -> Schedule {
    Schedule { scenario: scenario.name, seed, replicas: Replicas::One, jitter: false, faults: Vec::new() }
}

/// Schedules with one thing less.
fn simpler(schedule: &Schedule) -> Vec<Schedule> {
    let mut all = Vec::new();
    for left_out in 0..schedule.faults.len() {
        let mut fewer = schedule.clone();
        fewer.faults.remove(left_out);
        all.push(fewer);
    }
    if schedule.replicas != Replicas::One {
        all.push(Schedule { replicas: Replicas::One, ..schedule.clone() });
    }
    if schedule.jitter && schedule.replicas != Replicas::Two {
        all.push(Schedule { jitter: false, ..schedule.clone() });
    }
    all
}
