//! Fairness: what one large orchestration costs the small ones beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use orchestrator::api::Orchestration;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{state, type_with};
use crate::support::kubelet::Act;
use crate::support::objects::{definition, orchestration};
use crate::support::sandbox::{Sandbox, Setup};

const LARGE: usize = 1000;
const SMALL: usize = 100;
/// A small one has two activities, one after the other; each is a Job, whose end takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_hundred_small_ones_finish_beside_a_large_one_that_never_comes_to_rest() {
    let setup = Setup { longest_request: Duration::from_millis(50), ..Setup::default() };
    let sandbox = Sandbox::start_as(setup, |work| match work.activity.as_str() {
        id if id.starts_with("large") => Act::Fail(1, "Error", "again".to_owned()),
        _ => Act::outputs(&json!({"n": 1})),
    });
    let retry =
        json!({"retry": {"maxRetries": 100, "backoff": {"initialSeconds": 1, "factor": 1, "maxSeconds": 1}}});
    let ids: Vec<Value> = (0..LARGE).map(|at| json!({"id": format!("large-{at}"), "type": "t"})).collect();
    let small = json!([
        {"id": "a", "type": "t"}, {"id": "b", "type": "t", "dependsOn": "a", "inputs": ["a.n"]},
    ]);
    sandbox
        .apply([
            type_with(retry),
            definition("large", json!({ "activities": ids })),
            definition("small", json!({ "activities": small })),
        ])
        .await;
    sandbox.ready(&["large", "small"]).await;
    sandbox.apply([orchestration("large", "large", json!({}))]).await;
    let has_begun = |run: &Orchestration| {
        run.status.as_ref().is_some_and(|status| status.activities.values().any(|entry| entry.attempt > 1))
    };
    sandbox.until("large", has_begun).await;
    let begin = Instant::now();
    let names: Vec<String> = (0..SMALL).map(|at| format!("small-{at}")).collect();
    sandbox.apply(names.iter().map(|name| orchestration(name, "small", json!({})))).await;
    for name in &names {
        assert_eq!(state(&sandbox.finished(name).await), "Succeeded");
    }
    let took = begin.elapsed();
    let large = sandbox.api::<Orchestration>().get("large").await.unwrap();
    println!("{SMALL} small ones took {took:?}; beside them, {}", states_of(&large));
    assert!(took < PATIENCE && large.status.as_ref().unwrap().completion_time.is_none(), "{took:?}");
    // It is held up by nobody either.
    let made = sandbox.count("create jobs");
    sandbox.until("large", |run: &Orchestration| attempts(run) >= attempts(&large) + LARGE).await;
    assert!(sandbox.count("create jobs") >= made + LARGE / 2);
}

/// How many attempts there have been of all activities.
fn attempts(run: &Orchestration) -> usize {
    run.status.as_ref().unwrap().activities.values().map(|entry| entry.attempt as usize).sum()
}

fn states_of(run: &Orchestration) -> String {
    let mut counts = BTreeMap::new();
    for entry in run.status.as_ref().unwrap().activities.values() {
        *counts.entry((format!("{:?}", entry.state), entry.attempt)).or_insert(0) += 1;
    }
    format!("{counts:?}")
}
