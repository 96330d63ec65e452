//! Mistakes, and the words in which they are told.

use orchestrator::api::OrchestrationSchedule;
use serde_json::{Value, json};

use super::*;
use crate::support::objects::{orchestration, schedule};
use crate::support::told::says;

/// What a schedule with this over its spec is told in Ready, by the controller; or by the server.
async fn told(sandbox: &Sandbox, number: usize, over: Value) -> String {
    let name = format!("m{number}");
    match sandbox.create(schedule(&name, "0 * * * *", "quick", over)).await {
        Ok(()) => sandbox.told::<OrchestrationSchedule>(&name, "Ready").await,
        Err(message) => message.split_once(" is invalid: ").unwrap().1.to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn every_mistake_is_told_in_its_own_words() {
    let sandbox = sandbox().await;
    let expression = |text: &str| json!({"schedule": text});
    let zone = |text: &str| json!({"timeZone": text});
    let cases: Vec<(Value, &str)> = vec![
        (
            expression("61 * * * *"),
            "False InvalidSchedule: InvalidSchedule: spec.schedule: minute 61 out of range 0-59",
        ),
        (expression("* * * *"), "False InvalidSchedule: "),
        (expression("every day"), "False InvalidSchedule: "),
        (expression("0 0 * * * *"), "False UnsupportedSchedule: "),
        (expression("@every 5m"), "False UnsupportedSchedule: "),
        (expression("@reboot"), "False UnsupportedSchedule: "),
        (expression("0 0 31 2 *"), "False NeverFires: "),
        (expression("0 0 30 2 *"), "False NeverFires: "),
        (expression("TZ=Europe/Paris 0 * * * *"), "False InvalidSchedule: "),
        (expression("CRON_TZ=Europe/Paris 0 * * * *"), "False InvalidSchedule: "),
        (
            zone("Europe/paris"),
            "False UnknownTimeZone: UnknownTimeZone: spec.timeZone: \"Europe/paris\" is not a name of the IANA time \
             zone database (did you mean \"Europe/Paris\"?)",
        ),
        (zone("Local"), "False UnknownTimeZone: "),
        (
            zone("GMT+1"),
            "False AmbiguousTimeZone: AmbiguousTimeZone: spec.timeZone: \"GMT+1\" may be ahead of UTC or, as POSIX \
             reads it, behind it, and tells nothing of daylight saving: did you mean Europe/Paris or Etc/GMT-1?",
        ),
        (
            zone("Etc/GMT+1"),
            "True Ready: makes runs of OrchestrationDefinition \"quick\"; warnings: AmbiguousTimeZone: spec.timeZone: \
             \"Etc/GMT+1\" is 1 hour behind UTC: in these names the sign is POSIX's",
        ),
        (
            json!({"startingDeadlineSeconds": 5}),
            "True Ready: makes runs of OrchestrationDefinition \"quick\"; warnings: ShortDeadline: \
             spec.startingDeadlineSeconds: 5 s are less than the 30 s that the controller may need after a restart or \
             a change of leaders: a tick at such a moment is missed",
        ),
        (
            json!({"orchestrationTemplate": {"spec": {"type": "nothing"}}}),
            "False DefinitionNotFound: OrchestrationDefinition \"nothing\" not found in this namespace",
        ),
        (
            json!({"startingDeadlineSeconds": 0}),
            "spec.startingDeadlineSeconds: Invalid value: 0: spec.startingDeadlineSeconds in body should be greater \
             than or equal to 1",
        ),
        (
            json!({"startingDeadlineSeconds": -1}),
            "spec.startingDeadlineSeconds: Invalid value: -1: spec.startingDeadlineSeconds in body should be greater \
             than or equal to 1",
        ),
        (
            json!({"startingDeadlineSeconds": 4_000_000_000_i64}),
            "spec.startingDeadlineSeconds: Invalid value: 4000000000: spec.startingDeadlineSeconds in body should be \
             less than or equal to 31536000",
        ),
        (
            json!({"successfulHistoryLimit": -1}),
            "spec.successfulHistoryLimit: Invalid value: -1: spec.successfulHistoryLimit in body should be greater \
             than or equal to 0",
        ),
        (
            json!({"failedHistoryLimit": 1_000_000_000}),
            "spec.failedHistoryLimit: Invalid value: 1000000000: spec.failedHistoryLimit in body should be less than \
             or equal to 1000",
        ),
        (
            json!({"concurrencyPolicy": "Queue"}),
            "spec.concurrencyPolicy: Unsupported value: \"Queue\": supported values: \"Forbid\", \"Allow\", \"Replace\"",
        ),
        (
            json!({"catchUp": "Some"}),
            "spec.catchUp: Unsupported value: \"Some\": supported values: \"None\", \"Latest\", \"All\"",
        ),
        (
            json!({"orchestrationTemplate": {
                "metadata": {"labels": {"orchestrator.dev/schedule": "x"}}, "spec": {"type": "quick"},
            }}),
            "spec.orchestrationTemplate.metadata: Invalid value: labels with the prefix orchestrator.dev/ are the \
             orchestrator's own",
        ),
        (
            json!({"orchestrationTemplate": {
                "metadata": {"annotations": {"orchestrator.dev/x": "x"}}, "spec": {"type": "quick"},
            }}),
            "spec.orchestrationTemplate.metadata: Invalid value: annotations with the prefix orchestrator.dev/ are the \
             orchestrator's own",
        ),
        (
            json!({"orchestrationTemplate": {"metadata": {"labels": {"a b": "x"}}, "spec": {"type": "quick"}}}),
            "False InvalidTemplate: InvalidTemplate: spec.orchestrationTemplate.metadata.labels: \"a b\" is no key: ",
        ),
        (
            json!({"orchestrationTemplate": {"spec": {"type": "quick", "input": {"x": "y".repeat(70_000)}}}}),
            "False InputTooLarge: spec.orchestrationTemplate.spec.input: has 70008 bytes of JSON, at most 65536 are allowed",
        ),
    ];
    for (number, (over, expected)) in cases.into_iter().enumerate() {
        let told = told(&sandbox, number, over.clone()).await;
        println!("{told}");
        // Where the shape is wrong, the server adds that it did not look at its rules.
        let normal = told.replace("Invalid value: \"object\": ", "Invalid value: ");
        let normal = normal.split(", <nil>: ").next().unwrap().trim_start_matches('[');
        let is_as_expected =
            if expected.ends_with(": ") { normal.starts_with(expected) } else { normal == expected };
        assert!(is_as_expected, "{over}:\n{told}\n{expected}");
    }
}

#[tokio::test(start_paused = true)]
async fn both_mistakes_of_one_schedule_are_told_and_no_run_is_made() {
    let sandbox = sandbox().await;
    let over = json!({"schedule": "61 * * * *", "timeZone": "Mars/Olympus"});
    sandbox.apply([schedule("s", "0 * * * *", "quick", over)]).await;
    let told = sandbox.told::<OrchestrationSchedule>("s", "Ready").await;
    assert_eq!(told.lines().count(), 2, "{told}");
    sandbox.pass(DAY).await;
    assert_eq!(made(&sandbox, "s"), [""; 0]);
    let found = sandbox.api::<OrchestrationSchedule>().get("s").await.unwrap();
    assert!(says(&found, "Stalled").starts_with("True InvalidSchedule: "));
    // Mended, it counts from then on.
    let mended = json!({"schedule": "0 * * * *", "timeZone": "Etc/UTC"});
    sandbox.edit::<OrchestrationSchedule>("s", mended).await;
    sandbox.pass(HOUR).await;
    assert_eq!(made(&sandbox, "s").len(), 1);
    let found = sandbox.api::<OrchestrationSchedule>().get("s").await.unwrap();
    assert_eq!(says(&found, "Stalled"), "");
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_is_not_ready_makes_its_ticks_skipped_ones() {
    let sandbox = sandbox().await;
    sandbox.apply([definition("broken", json!({"activities": [{"id": "a", "type": "unknown"}]}))]).await;
    let mut inactive = definition("inactive", json!({"activities": [{"id": "a", "type": "t"}]}));
    inactive["spec"]["active"] = json!(false);
    sandbox.apply([inactive]).await;
    sandbox.pass(MINUTE).await;
    for type_ in ["broken", "inactive", "missing"] {
        begin(&sandbox, type_, "0 * * * *", type_, keep()).await;
    }
    sandbox.pass(HOUR).await;
    for (type_, told) in [
        (
            "broken",
            "DefinitionNotReady: OrchestrationDefinition \"broken\" is not ready: ActivityDefinitionNotFound: \
             spec.activities[0].type: ActivityDefinition \"unknown\" not found in this namespace",
        ),
        (
            "inactive",
            "DefinitionInactive: OrchestrationDefinition \"inactive\" takes no new Orchestrations (its spec.active is \
             false)",
        ),
        ("missing", "DefinitionNotFound: OrchestrationDefinition \"missing\" not found in this namespace"),
    ] {
        assert_eq!(made(&sandbox, type_), [""; 0]);
        let found = sandbox.api::<OrchestrationSchedule>().get(type_).await.unwrap();
        assert_eq!(says(&found, "Ready"), format!("False {told}"));
        assert_eq!(says(&found, "Stalled"), "", "it may heal without an edit");
        let history = &status(&sandbox, type_).await.history;
        assert_eq!(history.len(), 1);
        assert_eq!(
            (history[0].skip_reason.as_deref(), history[0].message.as_deref()),
            (Some("NotReady"), Some(told))
        );
    }
    // What comes heals it.
    sandbox
        .apply([definition("missing", json!({"activities": [{"id": "a", "type": "t", "when": "1 > 2"}]}))])
        .await;
    sandbox.until("missing", |found: &OrchestrationSchedule| says(found, "Ready").starts_with("True ")).await;
    sandbox.pass(HOUR).await;
    assert_eq!(made(&sandbox, "missing").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_with_the_longest_name_has_runs_of_its_own() {
    let sandbox = sandbox().await;
    let (one, other) = ("a".repeat(253), format!("{}b", "a".repeat(252)));
    for name in [&one, &other] {
        begin(&sandbox, name, "0 * * * *", "quick", keep()).await;
    }
    sandbox.pass(2 * HOUR).await;
    let names = sandbox.names::<Orchestration>().await;
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names.iter().all(|name| name.len() <= 253));
    for name in [&one, &other] {
        let status = status(&sandbox, name).await;
        assert_eq!((status.missed, status.history.len()), (Some(0), 2));
        assert!(status.history.iter().all(|tick| names.contains(tick.name.as_ref().unwrap())));
    }
}

#[tokio::test(start_paused = true)]
async fn a_label_that_is_no_time_makes_a_run_of_no_schedule() {
    let sandbox = sandbox().await;
    let mut run = orchestration("r", "quick", json!({}));
    run["metadata"]["labels"] = json!({"orchestrator.dev/scheduled-time": "noon"});
    sandbox.apply([run]).await;
    assert_eq!(sandbox.finished("r").await.status.unwrap().scheduled_time, None);
}
