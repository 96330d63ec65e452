//! Conformance: one list of requests, and a real API server and the embedded one that answer them alike.
//!
//! Responsible for: running every case against both, each case in a namespace of its own, and showing both answers
//! where they differ. Must never: hide a difference; what is known to differ is listed, with its reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::needless_pass_by_value, reason = "a call with a json literal reads better without a borrow")]

mod built_in;
mod custom;
mod deleting;
mod dsl;
mod normal;
mod reading;
mod side;
mod watching;
mod writing;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use dsl::{Case, Difference};
use futures::StreamExt;
use side::Side;

/// How many cases run at once.
const AT_ONCE: usize = 12;

fn cases() -> Vec<Case> {
    let all = [
        reading::cases(),
        writing::cases(),
        deleting::cases(),
        watching::cases(),
        custom::cases(),
        built_in::cases(),
    ];
    all.into_iter().flatten().collect()
}

#[test]
fn there_are_enough_cases_with_names_of_their_own() {
    let cases = cases();
    let names: std::collections::BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
    assert!(cases.len() >= 120 && names.len() == cases.len(), "{} cases, {} names", cases.len(), names.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_server_answers_as_a_real_one() {
    let only = std::env::args().find_map(|argument| argument.strip_prefix("case=").map(str::to_owned));
    let cases: Vec<Case> = cases()
        .into_iter()
        .filter(|case| only.as_ref().is_none_or(|only| case.name.contains(only.as_str())))
        .collect();
    let (real, embedded) = (Side::real().await, Side::embedded().await);
    let results: Vec<(usize, Vec<String>)> = futures::stream::iter(cases.iter().enumerate())
        .map(|(index, case)| {
            let (real, embedded) = (&real, &embedded);
            async move {
                let (real, embedded) = futures::join!(real.run(case, index), embedded.run(case, index));
                (index, dsl::compare(case, &real, &embedded))
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let steps: usize = cases.iter().map(|case| case.steps.len()).sum();
    let mut known: BTreeMap<Difference, usize> = BTreeMap::new();
    for difference in cases.iter().flat_map(|case| &case.steps).filter_map(|step| step.differs) {
        *known.entry(difference).or_default() += 1;
    }
    println!("conformance: {} cases, {steps} requests; known differences:", cases.len());
    for (difference, count) in known {
        println!("  {count:2} × {difference:?}: {}", difference.reason());
    }
    let mut failed: Vec<&(usize, Vec<String>)> =
        results.iter().filter(|(_, problems)| !problems.is_empty()).collect();
    failed.sort();
    let mut report = String::new();
    for (index, problems) in &failed {
        let _ = writeln!(report, "\n===== {}", cases[*index].name);
        problems.iter().for_each(|problem| writeln!(report, "{problem}").unwrap());
    }
    assert!(failed.is_empty(), "{} of {} cases differ:\n{report}", failed.len(), cases.len());
}
