//! Ends: suspend, shutdown, failure policies and `finally`.

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use orchestrator::api::Orchestration;
use orchestrator::api::orchestration::ActivityState;
use serde_json::{Value, json};

use super::{activity, patch, running, state, states, type_with};
use crate::support::kubelet::{Act, Work, perform};
use crate::support::objects::{definition, orchestration};
use crate::support::sandbox::Sandbox;
use crate::support::told::says;

/// What `does` in the input says: `run`, `fail`, or nothing for a success that tells what it saw.
fn script(work: &Work) -> Act {
    match work.activity.as_str() {
        id if id.starts_with("run") => Act::Run,
        id if id.starts_with("fail") => Act::Fail(1, "Error", "broken".to_owned()),
        _ => Act::outputs(&json!({"saw": work.input})),
    }
}

async fn sandbox(spec: Value) -> Sandbox {
    let sandbox = Sandbox::start(script);
    sandbox.apply([type_with(json!({})), definition("d", spec)]).await;
    sandbox.ready(&["d"]).await;
    sandbox
}

fn activities(ids: &[(&str, &str)]) -> Value {
    let one = |(id, on): &(&str, &str)| {
        let on: Vec<&str> = on.split_whitespace().collect();
        json!({"id": id, "type": "t", "dependsOn": on})
    };
    ids.iter().map(one).collect()
}

async fn begin(sandbox: &Sandbox, more: Value) {
    let mut run = orchestration("run", "d", json!({}));
    run["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    sandbox.apply([run]).await;
}

/// Makes something happen to the pod of an activity.
async fn act(sandbox: &Sandbox, id: &str, act: Act) {
    let pods: Api<Pod> = sandbox.api();
    let all = pods.list(&Default::default()).await.unwrap().items;
    let of_activity = |pod: &&Pod| pod.metadata.labels.as_ref().unwrap()["orchestrator.dev/activity"] == id;
    perform(&pods, all.iter().find(of_activity).unwrap(), &act).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_suspended_starts_nothing_until_it_is_resumed() {
    let sandbox = sandbox(json!({"activities": activities(&[("run-a", ""), ("b", "run-a")])})).await;
    begin(&sandbox, json!({"suspend": true})).await;
    let suspended =
        |run: &Orchestration| run.status.as_ref().is_some_and(|s| s.state.as_deref() == Some("Suspended"));
    let run = sandbox.until("run", suspended).await;
    assert_eq!(says(&run, "Reconciling"), "True Suspended: suspended; 0 of 2 activities have succeeded");
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    assert_eq!(sandbox.count("create jobs"), 0);
    sandbox.edit::<Orchestration>("run", json!({"suspend": false})).await;
    running(&sandbox, "run", "run-a").await;
    // What runs goes on, what comes after it does not start.
    sandbox.edit::<Orchestration>("run", json!({"suspend": true})).await;
    act(&sandbox, "run-a", Act::outputs(&json!({}))).await;
    sandbox.until("run", suspended).await;
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    assert_eq!(sandbox.count("create jobs"), 1);
    sandbox.edit::<Orchestration>("run", json!({"suspend": null})).await;
    assert_eq!(state(&sandbox.finished("run").await), "Succeeded");
}

#[tokio::test(start_paused = true)]
async fn stop_lets_end_what_runs_and_terminate_stops_it() {
    for (shutdown, run_a) in [("Stop", "Succeeded"), ("Terminate", "Cancelled")] {
        let sandbox = sandbox(json!({"activities": activities(&[("run-a", ""), ("b", "run-a")])})).await;
        begin(&sandbox, json!({})).await;
        running(&sandbox, "run", "run-a").await;
        sandbox.edit::<Orchestration>("run", json!({"shutdown": shutdown})).await;
        if shutdown == "Stop" {
            tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
            let run = sandbox.api::<Orchestration>().get("run").await.unwrap();
            assert_eq!(states(&run), "b Pending, run-a Running", "it may take its time");
            act(&sandbox, "run-a", Act::outputs(&json!({}))).await;
        }
        let finished = sandbox.finished("run").await;
        assert_eq!(
            (state(&finished), states(&finished)),
            ("Cancelled", format!("b NotStarted, run-a {run_a}"))
        );
        let told = says(&finished, "Succeeded");
        assert!(told.starts_with("False Cancelled: was shut down before it had finished: "), "{told}");
        assert_eq!(sandbox.count("create jobs"), 1);
        // Once more, and the other way: nothing changes but the generation.
        let before = finished.status.unwrap();
        sandbox.edit::<Orchestration>("run", json!({"shutdown": "Terminate", "suspend": true})).await;
        let after = sandbox
            .until("run", |run: &Orchestration| {
                run.status.as_ref().unwrap().observed_generation == run.metadata.generation
            })
            .await;
        let mut after = after.status.unwrap();
        after.observed_generation = before.observed_generation;
        assert_eq!(after, before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_cannot_be_taken_back() {
    let sandbox = sandbox(json!({"activities": activities(&[("a", "")])})).await;
    let told = async |spec: Value| {
        let api: Api<Orchestration> = sandbox.api();
        let answer = api.patch("run", &PatchParams::default(), &Patch::Merge(patch(spec))).await;
        answer.map(|_| ()).map_err(|error| error.to_string())
    };
    begin(&sandbox, json!({"suspend": true})).await;
    told(json!({"shutdown": "Stop"})).await.unwrap();
    assert!(told(json!({"shutdown": null})).await.unwrap_err().contains("shutdown cannot be taken back"));
    told(json!({"shutdown": "Terminate"})).await.unwrap();
    told(json!({"shutdown": "Terminate"})).await.unwrap();
    assert!(told(json!({"shutdown": "Stop"})).await.unwrap_err().contains("shutdown cannot be taken back"));
    assert!(told(json!({"resumeFrom": "other"})).await.unwrap_err().contains("spec is immutable"));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_definition_can_be_shut_down() {
    let sandbox = Sandbox::start(script);
    begin(&sandbox, json!({"shutdown": "Stop"})).await;
    let finished = sandbox.finished("run").await;
    assert_eq!(state(&finished), "Cancelled");
    assert!(
        says(&finished, "Succeeded").starts_with("False Cancelled: was shut down before it was accepted: ")
    );
}

#[tokio::test(start_paused = true)]
async fn each_failure_policy_does_what_it_says() {
    let ids = [("fail", ""), ("run-b", ""), ("c", ""), ("d", "c"), ("e", "fail"), ("f", "e")];
    for (policy, expected) in [
        ("Drain", "c Succeeded, d NotStarted, e NotStarted, f NotStarted, fail Failed, run-b Succeeded"),
        ("Cancel", "c Succeeded, d NotStarted, e NotStarted, f NotStarted, fail Failed, run-b Cancelled"),
        ("Continue", "c Succeeded, d Succeeded, e NotStarted, f NotStarted, fail Failed, run-b Succeeded"),
    ] {
        let sandbox = sandbox(json!({"activities": activities(&ids), "failurePolicy": policy})).await;
        begin(&sandbox, json!({})).await;
        activity(&sandbox, "run", "fail", |entry| entry.state == ActivityState::Failed).await;
        if policy != "Cancel" {
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
            act(&sandbox, "run-b", Act::outputs(&json!({}))).await;
        }
        let finished = sandbox.finished("run").await;
        // With Drain and Cancel it depends on the moment whether what was free to start has.
        let shown = states(&finished)
            .replace("d Succeeded", if policy == "Continue" { "d Succeeded" } else { "d NotStarted" });
        assert_eq!((state(&finished), shown.as_str()), ("Failed", expected), "{policy}");
        assert_eq!(
            says(&finished, "Succeeded"),
            "False ActivityFailed: activity \"fail\" failed: ExitCode: exit code 1 (Error): broken",
            "{policy}"
        );
        if policy == "Cancel" {
            let entry = &finished.status.as_ref().unwrap().activities["run-b"];
            assert_eq!(entry.message.as_deref(), Some("stopped because activity \"fail\" has failed"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_continue_a_tier_opens_when_the_earlier_ones_are_over() {
    let ids = [("fail", ""), ("b", ""), ("c", "fail"), ("d", "b"), ("e", "d")];
    let spec = json!({"activities": activities(&ids), "failurePolicy": "Continue", "execution": "Tiered"});
    let sandbox = sandbox(spec).await;
    begin(&sandbox, json!({})).await;
    let finished = sandbox.finished("run").await;
    assert_eq!(states(&finished), "b Succeeded, c NotStarted, d Succeeded, e Succeeded, fail Failed");
}

#[tokio::test(start_paused = true)]
async fn finally_comes_last_whatever_the_result_and_sees_it() {
    let last = json!([
        {"id": "tell", "type": "t", "inputs": [{"source": "run.state", "target": "state"}, {"source": "a.saw", "target": "a"}, {"source": "b.saw", "target": "b"}]},
        {"id": "undo", "type": "t", "when": "run.state != 'Succeeded'"},
    ]);
    for (first, more, end, undo) in [
        ("a", json!({}), "Succeeded", "Skipped"),
        ("a", json!({"shutdown": "Stop"}), "Cancelled", "Succeeded"),
    ] {
        let spec = json!({"activities": activities(&[(first, ""), ("b", "a")]), "finally": last});
        let sandbox = sandbox(spec).await;
        begin(&sandbox, more).await;
        let finished = sandbox.finished("run").await;
        let status = finished.status.as_ref().unwrap();
        assert_eq!(
            (state(&finished), status.activities["undo"].state),
            (end, if undo == "Skipped" { ActivityState::Skipped } else { ActivityState::Succeeded })
        );
        let saw = &status.activities["tell"].outputs.as_ref().unwrap()["saw"];
        assert_eq!(saw["state"], json!(end));
        assert_eq!(saw.get("a").is_some(), end == "Succeeded", "absent if it has none");
        assert_eq!(
            status.progress.as_deref(),
            Some(if end == "Succeeded" { "2/2" } else { "0/2" }),
            "without finally"
        );
        assert!(status.activities["tell"].tier.is_none() && status.finally_time.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_finally_fails_the_run_and_its_deadline_ends_it() {
    let spec = |last: &str| json!({"activities": activities(&[("a", "")]), "finally": [{"id": last, "type": "t"}], "finallyDeadlineSeconds": 20});
    let failing = sandbox(spec("fail")).await;
    begin(&failing, json!({})).await;
    let finished = failing.finished("run").await;
    assert_eq!((state(&finished), states(&finished).as_str()), ("Failed", "a Succeeded, fail Failed"));
    let stuck = sandbox(spec("run-z")).await;
    begin(&stuck, json!({})).await;
    let finished = stuck.finished("run").await;
    assert_eq!((state(&finished), states(&finished).as_str()), ("Failed", "a Succeeded, run-z Cancelled"));
    assert_eq!(
        says(&finished, "Succeeded"),
        "False DeadlineExceeded: finally did not finish within 20 s: \"run-z\" was Running"
    );
}

#[tokio::test(start_paused = true)]
async fn the_deadline_still_runs_finally_and_terminate_does_not() {
    let spec = json!({"activities": activities(&[("run-a", "")]), "finally": [{"id": "z", "type": "t"}], "activeDeadlineSeconds": 100});
    let late = sandbox(spec.clone()).await;
    begin(&late, json!({})).await;
    let finished = late.finished("run").await;
    assert_eq!((state(&finished), states(&finished).as_str()), ("Failed", "run-a Cancelled, z Succeeded"));
    assert!(
        says(&finished, "Succeeded").starts_with("False DeadlineExceeded: did not finish by its deadline")
    );
    let terminated = sandbox(spec).await;
    begin(&terminated, json!({})).await;
    running(&terminated, "run", "run-a").await;
    terminated.edit::<Orchestration>("run", json!({"shutdown": "Terminate"})).await;
    let finished = terminated.finished("run").await;
    assert_eq!(
        (state(&finished), states(&finished).as_str()),
        ("Cancelled", "run-a Cancelled, z NotStarted")
    );
}

#[tokio::test(start_paused = true)]
async fn a_suspended_run_ends_when_it_is_stopped_or_fails_and_says_that_finally_was_left_out() {
    let left_out = "finally was left out, because spec.suspend is true: \"z\" was Pending";
    for (id, shutdown, said) in [
        ("run-a", Some("Stop"), "False Cancelled: was shut down before it had finished: \"b\" was Pending"),
        (
            "fail",
            None,
            "False ActivityFailed: activity \"fail\" failed: ExitCode: exit code 1 (Error): broken",
        ),
    ] {
        let spec =
            json!({"activities": activities(&[(id, ""), ("b", id)]), "finally": [{"id": "z", "type": "t"}]});
        let sandbox =
            Sandbox::start(|work| if work.activity == "b" { Act::outputs(&json!({})) } else { Act::Run });
        sandbox.apply([type_with(json!({})), definition("d", spec)]).await;
        sandbox.ready(&["d"]).await;
        begin(&sandbox, json!({})).await;
        running(&sandbox, "run", id).await;
        sandbox.edit::<Orchestration>("run", json!({"suspend": true, "shutdown": shutdown})).await;
        let end = if shutdown.is_some() {
            Act::outputs(&json!({}))
        } else {
            Act::Fail(1, "Error", "broken".to_owned())
        };
        act(&sandbox, id, end).await;
        let finished = sandbox.finished("run").await;
        assert_eq!(says(&finished, "Succeeded"), format!("{said}; {left_out}"));
        let status = finished.status.as_ref().unwrap();
        let took =
            status.completion_time.as_ref().unwrap().0.duration_since(status.start_time.as_ref().unwrap().0);
        assert!(took.as_secs() < 60, "it waits for no deadline: {took}");
        assert_eq!(
            (status.activities["z"].state, sandbox.count("create jobs")),
            (ActivityState::NotStarted, 1)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_in_finally_is_told_beside_what_came_before() {
    let last = json!([{"id": "fail-z", "type": "t"}]);
    let failing = sandbox(json!({"activities": activities(&[("fail-a", "")]), "finally": last})).await;
    begin(&failing, json!({})).await;
    assert_eq!(
        says(&failing.finished("run").await, "Succeeded"),
        "False ActivityFailed: activity \"fail-a\" failed: ExitCode: exit code 1 (Error): broken; \
         in finally, activity \"fail-z\" failed: ExitCode: exit code 1 (Error): broken"
    );
    let stopped = sandbox(json!({"activities": activities(&[("a", "")]), "finally": last})).await;
    begin(&stopped, json!({"shutdown": "Stop"})).await;
    let finished = stopped.finished("run").await;
    assert_eq!(
        says(&finished, "Succeeded"),
        "False ActivityFailed: activity \"fail-z\" failed: ExitCode: exit code 1 (Error): broken; \
         was shut down before it had finished: \"a\" was Pending"
    );
    assert_eq!(state(&finished), "Failed");
}
