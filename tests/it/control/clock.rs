//! The operator's clock is put forward and back while things wait: nothing ends early or late, and nothing else happens.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orchestrator::api::orchestration::ActivityState;
use orchestrator::clock::{Clock, SteadyClock};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{activity, attempt, running, state, states, type_with};
use crate::support::in_process::PausedClock;
use crate::support::kubelet::{Act, Work};
use crate::support::objects::{definition, orchestration};
use crate::support::sandbox::{Sandbox, Setup};
use crate::support::told::says;

/// A clock of a machine that somebody sets.
#[derive(Clone, Debug, Default)]
struct Jumping {
    right: Arc<PausedClock>,
    wrong_by: Arc<Mutex<SignedDuration>>,
}

impl Jumping {
    fn put_forward(&self, by: SignedDuration) {
        *self.wrong_by.lock().unwrap() += by;
    }
}

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        self.right.now() + *self.wrong_by.lock().unwrap()
    }
}

fn sandbox(machine: &Jumping, script: impl Fn(&Work) -> Act + Send + Sync + 'static) -> Sandbox {
    let clock: Arc<dyn Clock> = Arc::new(SteadyClock::new(machine.clone()));
    Sandbox::start_as(Setup { clock_of_operator: Some(clock), ..Setup::default() }, script)
}

/// What came of a run: its condition, states, attempts, reasons on the way, Jobs, and how long it took.
#[derive(Debug, PartialEq)]
struct Course {
    said: String,
    states: String,
    attempts: Vec<(String, u32, u32)>,
    reasons: [Option<String>; 3],
    jobs: usize,
}

/// One activity that fails and waits for its next attempt, one that does not start, and one that takes too long; the
/// clock jumps while all of them wait, and again later.
async fn course(first: SignedDuration, second: SignedDuration) -> (Course, Duration) {
    let machine = Jumping::default();
    let sandbox = sandbox(&machine, |work| match (work.activity.as_str(), attempt(work)) {
        ("fails", 1) => Act::Fail(1, "Error", "no route".to_owned()),
        ("waits", 1) => Act::Wait("ImagePullBackOff", "Back-off pulling image"),
        ("hangs", 1) => Act::Run,
        _ => Act::outputs(&json!({})),
    });
    let retry = json!({"maxRetries": 1, "backoff": {"initialSeconds": 1000}});
    let id = |id: &str, more: Value| {
        let mut activity = json!({"id": id, "type": "t", "retry": retry});
        activity.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        activity
    };
    let activities = json!([
        id("fails", json!({})),
        id("waits", json!({"startingDeadlineSeconds": 2000})),
        id("hangs", json!({"timeoutSeconds": 3000, "startingDeadlineSeconds": 100})),
    ]);
    sandbox.apply([type_with(json!({})), definition("d", json!({"activities": activities}))]).await;
    sandbox.ready(&["d"]).await;
    let began = Instant::now();
    sandbox.apply([orchestration("run", "d", json!({}))]).await;
    let retrying = |id| {
        activity(&sandbox, "run", id, |entry| entry.state == ActivityState::Retrying && entry.attempt == 1)
    };
    let failed = retrying("fails").await.reason;
    running(&sandbox, "run", "hangs").await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    machine.put_forward(first);
    let waited = retrying("waits").await.reason;
    machine.put_forward(second);
    let hung = retrying("hangs").await.reason;
    let finished = sandbox.finished("run").await;
    let took = began.elapsed();
    let activities = &finished.status.as_ref().unwrap().activities;
    let attempts = activities.iter().map(|(id, entry)| (id.clone(), entry.attempt, entry.disruptions));
    let course = Course {
        said: says(&finished, "Succeeded"),
        states: states(&finished),
        attempts: attempts.collect(),
        reasons: [failed, waited, hung],
        jobs: sandbox.count("create jobs"),
    };
    (course, took)
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_by_an_hour_or_a_day_changes_nothing() {
    let (expected, took) = course(SignedDuration::ZERO, SignedDuration::ZERO).await;
    assert_eq!(expected.said, "True Completed: all 3 activities have succeeded");
    let reasons = ["ExitCode", "ImagePullFailed", "TimedOut"].map(|reason| Some(reason.to_owned()));
    assert_eq!((&expected.reasons, expected.jobs), (&reasons, 6));
    let (hour, day) = (SignedDuration::from_hours(1), SignedDuration::from_hours(24));
    for jump in [hour, -hour, day, -day] {
        for then in [SignedDuration::ZERO, jump, -jump] {
            let (found, lasted) = course(jump, then).await;
            assert_eq!(found, expected, "{jump}, then {then}");
            // A clock that is wrong goes a tenth faster or slower until it is right.
            let ratio = lasted.as_secs_f64() / took.as_secs_f64();
            assert!((0.88..1.13).contains(&ratio), "{jump}, then {then}: {lasted:?}, and {took:?} without");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_a_run_follows_the_clock_slowly() {
    for (jump, expected) in [(1, 900..=960), (0, 995..=1070), (-1, 1040..=1180)] {
        let machine = Jumping::default();
        let sandbox = sandbox(&machine, |_| Act::Run);
        sandbox
            .apply([type_with(json!({})), definition("d", json!({"activities": [{"id": "a", "type": "t"}]}))])
            .await;
        sandbox.ready(&["d"]).await;
        let began = Instant::now();
        let mut run = orchestration("run", "d", json!({}));
        run["spec"]["activeDeadlineSeconds"] = json!(1000);
        sandbox.apply([run]).await;
        running(&sandbox, "run", "a").await;
        machine.put_forward(SignedDuration::from_hours(jump));
        let finished = sandbox.finished("run").await;
        assert_eq!((state(&finished), states(&finished).as_str()), ("Failed", "a Cancelled"));
        let took = began.elapsed().as_secs();
        assert!(expected.contains(&took), "set by {jump} h: {took} s, and not {expected:?}");
    }
}
