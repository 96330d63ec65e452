//! Single stories on the same world: long waits, outages, an ending namespace, poison, and many beside one.

use std::sync::Arc;
use std::time::Duration;

use orchestrator::config::Settings;
use orchestrator::embedded::random::Random;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::explorer::quiet;
use crate::support::simulated::direct::Direct;
use crate::support::simulated::faults::{Fault, Planned, Schedule};
use crate::support::simulated::process::Process;
use crate::support::simulated::scenario::{Scenario, paths};
use crate::support::simulated::users::Act;
use crate::support::simulated::wire::Net;
use crate::support::simulated::world::{Outcome, Place, Rules, client, prepared, run, runtime};

fn told(scenario: Scenario, faults: &[(usize, Fault)]) -> Outcome {
    let faults = faults.iter().map(|(at, fault)| Planned { at: *at, fault: *fault }).collect();
    let schedule = Schedule { faults, ..quiet(&scenario, 1) };
    let outcome = run(&Arc::new(scenario), &schedule, &Rules { is_traced: true, ..Rules::default() });
    assert!(outcome.violations.is_empty(), "{:#?}\n{}", outcome.violations, outcome.trace.join("\n"));
    outcome
}

#[test]
fn a_day_of_waiting_takes_no_time() {
    let scenario = || Scenario { deadline: 86_400, end: "Failed", ..Scenario::new("waiting", "a b<a~ c<b") };
    prepared(&scenario());
    let start = std::time::Instant::now();
    let outcome = told(scenario(), &[]);
    let took = start.elapsed();
    println!("simulation: 24 hours until the deadline in {took:.0?}, {} requests", outcome.requests);
    // Six watches, each of them asked for again every 290 seconds, a look for unused revisions every ten minutes, and
    // the few requests of a run.
    assert!(outcome.requests < 6 * 86_400 / 290 + 86_400 / 600 + 100, "{} requests", outcome.requests);
}

#[test]
fn a_server_that_is_away_for_ten_minutes_delays_and_breaks_nothing() {
    // Never where a Job is asked for: its starting deadline is as long, and an attempt would be lost by right.
    for at in [0, 3, 14, 16, 19, 23] {
        let outcome = told(Scenario::new("diamond", "a b=a c=a d=b,c"), &[(at, Fault::Down(600))]);
        assert!(
            outcome.requests < 500,
            "{} requests at a server that is away\n{}",
            outcome.requests,
            outcome.trace.join("\n")
        );
    }
}

#[test]
fn the_end_of_a_namespace_is_met_quietly() {
    for at in [0, 12, 14, 16, 18, 20] {
        let outcome =
            told(Scenario::new("diamond", "a b=a c=a d=b,c"), &[(at, Fault::User(Act::DeleteNamespace))]);
        assert!(outcome.requests < 60, "{} requests\n{}", outcome.requests, outcome.trace.join("\n"));
    }
}

#[test]
fn poison_objects_stop_nobody_else() {
    for at in [0, 5, 14] {
        told(Scenario::new("diamond", "a b=a c=a d=b,c"), &[(at, Fault::User(Act::Poison))]);
    }
}

/// Runs some small orchestrations, beside a large one or not. The result is when the last small one, and the large
/// one, ended.
fn many(with_large: bool) -> (Duration, Duration) {
    let scenario = Arc::new(Scenario::new("small", "a b<a"));
    let snapshot = prepared(&scenario);
    runtime().block_on(async move {
        let start = Instant::now();
        let place = Place::new(&snapshot, &scenario, 1, &[10]);
        let users = Direct::new(&place.server, "user");
        if with_large {
            let activities: Vec<Value> =
                (0..1000).map(|n| json!({"id": format!("x{n}"), "type": "work"})).collect();
            let mut large = scenario.definition();
            large["metadata"]["name"] = json!("large");
            large["spec"] = json!({ "activities": activities });
            users.create(&paths::definitions(), &large).await;
            let mut run = scenario.run("large");
            run["spec"]["type"] = json!("large");
            users.create(&paths::runs(), &run).await;
        }
        for number in 0..100 {
            users.create(&paths::runs(), &scenario.run(&format!("small-{number}"))).await;
        }
        let (_stop, shutdown) = watch::channel(false);
        let (crashes, _none) = mpsc::unbounded_channel();
        let slow = Net::new(
            &place.server,
            &scenario,
            &quiet(&scenario, 1),
            Some(Random::from_seed(1)),
            crashes,
            false,
        );
        let client = client(&slow, &Process::new(0, 1));
        let operator = orchestrator::app::run(client, place.clock.clone(), Settings::default(), shutdown);
        let operator = tokio::spawn(operator);
        let (mut small, mut large) = (Duration::ZERO, Duration::ZERO);
        let all = async {
            while small.is_zero() || (with_large && large.is_zero()) {
                place.finished.notified().await;
                let runs = users.list(&paths::runs()).await;
                let running = runs.iter().filter(|run| run["status"]["completionTime"].is_null());
                let running: Vec<&str> = running.filter_map(|run| run["metadata"]["name"].as_str()).collect();
                if small.is_zero() && !running.iter().any(|name| name.starts_with("small")) {
                    small = start.elapsed();
                }
                if large.is_zero() && !running.contains(&"large") {
                    large = start.elapsed();
                }
            }
        };
        timeout(Duration::from_secs(600), all).await.unwrap();
        operator.abort();
        let violations = place.book.lock().unwrap().violations.clone();
        assert_eq!(violations, Vec::<String>::new());
        (small, large)
    })
}

#[test]
fn a_hundred_small_ones_do_not_wait_for_a_large_one() {
    let (alone, _) = many(false);
    let (beside, large) = many(true);
    println!(
        "simulation: 100 small orchestrations: {alone:?} alone, {beside:?} beside one of 1,000 activities ({large:?})"
    );
    assert!(beside <= alone * 2, "{beside:?} instead of {alone:?}");
}
