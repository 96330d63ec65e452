//! Fairness: what one large orchestration costs the small ones beside it.

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
    let before = sandbox.count("create jobs");
    for name in &names {
        assert_eq!(state(&sandbox.finished(name).await), "Succeeded");
    }
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    let meanwhile = sandbox.count("create jobs") - before;
    assert!(meanwhile > 2 * SMALL, "the large one went on: {meanwhile}");
    println!("{SMALL} small ones took {:?}, {meanwhile} Jobs were made meanwhile", begin.elapsed());
}
