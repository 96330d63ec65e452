//! On the real control plane: the words of the server, a real tick, and the commands.

use std::process::{Command, Output};

use orchestrator::api::OrchestrationSchedule;
use serde_json::json;

use super::*;
use crate::support::cluster::{TestNamespace, cluster};
use crate::support::kubelet::Kubelet;
use crate::support::operator::Operator;
use crate::support::told::{kubectl_create, says, yaml};

fn command(namespace: &TestNamespace, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_orchestrator"))
        .arg("schedule")
        .args(arguments)
        .args(["--namespace", &namespace.name])
        .env("KUBECONFIG", cluster().kubeconfig())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_refuses_what_has_not_the_shape_of_a_schedule() {
    let namespace = TestNamespace::new().await;
    let schedule = |name: &str, spec: &str| {
        let template = if spec.contains("orchestrationTemplate") {
            ""
        } else {
            ", orchestrationTemplate: {spec: {type: t}}"
        };
        let expression = if spec.contains("schedule:") { "" } else { "schedule: '@daily', " };
        yaml("OrchestrationSchedule", name, &format!("{{{expression}{spec}{template}}}"))
    };
    let cases = [
        (
            "schedule: ''",
            "spec.schedule: Invalid value: \"\": spec.schedule in body should be at least 1 chars long",
        ),
        (
            "startingDeadlineSeconds: 0",
            "spec.startingDeadlineSeconds: Invalid value: 0: spec.startingDeadlineSeconds in body should be greater than or equal to 1",
        ),
        (
            "startingDeadlineSeconds: 31536001",
            "spec.startingDeadlineSeconds: Invalid value: 31536001: spec.startingDeadlineSeconds in body should be less than or equal to 31536000",
        ),
        (
            "successfulHistoryLimit: -1",
            "spec.successfulHistoryLimit: Invalid value: -1: spec.successfulHistoryLimit in body should be greater than or equal to 0",
        ),
        (
            "failedHistoryLimit: 1001",
            "spec.failedHistoryLimit: Invalid value: 1001: spec.failedHistoryLimit in body should be less than or equal to 1000",
        ),
        (
            "concurrencyPolicy: Queue",
            "spec.concurrencyPolicy: Unsupported value: \"Queue\": supported values: \"Forbid\", \"Allow\", \"Replace\"",
        ),
        (
            "catchUp: Some",
            "spec.catchUp: Unsupported value: \"Some\": supported values: \"None\", \"Latest\", \"All\"",
        ),
        (
            "suspend: later",
            "spec.suspend: Invalid value: \"string\": spec.suspend in body must be of type boolean: \"string\"",
        ),
        (
            "orchestrationTemplate: {metadata: {labels: {orchestrator.dev/x: z}}, spec: {type: t}}",
            "spec.orchestrationTemplate.metadata: Invalid value: labels with the prefix orchestrator.dev/ are the orchestrator's own",
        ),
        (
            "orchestrationTemplate: {metadata: {annotations: {orchestrator.dev/x: z}}, spec: {type: t}}",
            "spec.orchestrationTemplate.metadata: Invalid value: annotations with the prefix orchestrator.dev/ are the orchestrator's own",
        ),
        (
            "orchestrationTemplate: {spec: {type: Not_A_Name}}",
            "spec.orchestrationTemplate.spec.type: Invalid value: \"Not_A_Name\": spec.orchestrationTemplate.spec.type in body should match",
        ),
        (
            "orchestrationTemplate: {spec: {type: t, resumeFrom: x}}",
            "unknown field \"spec.orchestrationTemplate.spec.resumeFrom\"",
        ),
    ];
    let documents: Vec<String> =
        cases.iter().enumerate().map(|(number, (spec, _))| schedule(&format!("s{number}"), spec)).collect();
    let told = kubectl_create(&namespace, &documents);
    println!("{}", told.join("\n"));
    for (spec, expected) in cases {
        let is_told =
            |line: &String| line.replace("Invalid value: \"object\": ", "Invalid value: ").contains(expected);
        assert!(told.iter().any(is_told), "{spec}: {expected}\n{}", told.join("\n"));
    }
    // What is right, and an edit of everything.
    cluster().kubectl_on(&schedule("right", "suspend: true"), &["-n", &namespace.name, "apply"]);
    let changed =
        schedule("right", "schedule: '@hourly', suspend: true, orchestrationTemplate: {spec: {type: u}}");
    let (is_taken, told) = cluster().kubectl_on(&changed, &["-n", &namespace.name, "apply"]);
    assert!(is_taken, "{told}");
    let shown = cluster().kubectl(&["-n", &namespace.name, "get", "orchsched"]);
    assert!(shown.contains("SCHEDULE") && shown.contains("Etc/UTC"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_tick_is_made_and_commands_make_runs_by_hand() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::outputs(&json!({})));
    namespace.create(activity_definition("t")).await;
    namespace.create(definition("quick", json!({"activities": [{"id": "a", "type": "t"}]}))).await;
    namespace.definition_ready("quick", "True", "Ready").await;
    namespace.create(schedule("s", "* * * * *", "quick", keep())).await;
    let ready = |found: &OrchestrationSchedule| says(found, "Ready").starts_with("True ");
    let first = namespace.until("s", ready).await;
    let created = first.metadata.creation_timestamp.clone().unwrap().0;

    let made = command(&namespace, &["trigger", "s"]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let name = text(&made.stdout).trim().strip_prefix("made ").unwrap().to_owned();
    namespace.finished(&name).await;

    let minute = |minutes: i64| Timestamp::from_second((created.as_second() / 60 - minutes) * 60).unwrap();
    let (from, to) = (minute(3).to_string(), minute(1).to_string());
    let dry = command(&namespace, &["backfill", "s", "--from", &from, "--to", &to, "--dry-run"]);
    assert_eq!(dry.status.code(), Some(0), "{}", text(&dry.stderr));
    assert!(
        text(&dry.stdout).ends_with("2 would be made, 0 skipped because they exist or existed, 0 not made\n")
    );
    let filled = command(&namespace, &["backfill", "s", "--from", &from, "--to", &to]);
    assert!(
        text(&filled.stdout).ends_with("2 made, 0 skipped because they exist or existed, 0 not made\n"),
        "{filled:?}"
    );
    let again = command(&namespace, &["backfill", "s", "--from", &from, "--to", &to]);
    assert!(
        text(&again.stdout).ends_with("0 made, 2 skipped because they exist or existed, 0 not made\n"),
        "{again:?}"
    );
    let next = command(&namespace, &["next", "s", "-n", "2"]);
    assert_eq!(text(&next.stdout).lines().count(), 2, "{next:?}");
    let refused = command(&namespace, &["trigger", "nobody"]);
    assert_eq!(refused.status.code(), Some(2));

    // The next full minute.
    let ticked = namespace
        .until("s", |found: &OrchestrationSchedule| {
            found.status.as_ref().is_some_and(|status| status.last_schedule_time.is_some())
        })
        .await;
    let tick = ticked.status.unwrap().last_schedule_time.unwrap().0;
    assert!(tick > created);
    let run = namespace.finished(&names("s", &[tick])[0]).await;
    let labels = run.metadata.labels.clone().unwrap();
    assert_eq!(labels["orchestrator.dev/scheduled-time"], tick.strftime("%Y%m%dT%H%M%SZ").to_string());
    let late = run.metadata.creation_timestamp.unwrap().0.duration_since(tick);
    println!("the run was made {late} after its tick");
    let shown = cluster().kubectl(&["-n", &namespace.name, "get", "orchsched", "s"]);
    println!("{shown}");
}
