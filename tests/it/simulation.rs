//! The simulation: the real controllers on the embedded server, on paused time, with faults.

use std::sync::Arc;

use crate::support::simulated::faults::Schedule;
use crate::support::simulated::scenario::Scenario;
use crate::support::simulated::world::{Rules, run};

#[test]
fn without_faults_every_scenario_ends_as_it_should() {
    for scenario in Scenario::all() {
        let schedule = Schedule { scenario: scenario.name, seed: 1, replicas: 1, jitter: false, faults: Vec::new() };
        let rules = Rules { is_traced: true, ..Rules::default() };
        let start = std::time::Instant::now();
        let outcome = run(&Arc::new(scenario), &schedule, &rules);
        println!("{schedule} {} requests, {:?}", outcome.requests, start.elapsed());
        assert!(outcome.violations.is_empty(), "{:#?}\n{}", outcome.violations, outcome.trace.join("\n"));
    }
}
