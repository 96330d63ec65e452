//! Progress and the status that it makes.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn ended(exit_code: i32) -> State {
    let reason = if exit_code == 0 { "Completed" } else { "Error" };
    let message = String::new();
    State::Ended(Ended { exit_code, reason, message, started_at: Some(at(10)), finished_at: at(20) })
}

#[test]
fn the_phase_follows_from_the_containers() {
    let running = || State::Running(at(10));
    let waiting = || State::Waiting("PodInitializing", None);
    let cases = [
        ("nothing yet", vec![], vec![waiting()], false, None, "Pending"),
        ("init runs", vec![running()], vec![waiting()], false, None, "Pending"),
        ("init has ended", vec![ended(0)], vec![waiting()], false, None, "Pending"),
        ("runs", vec![ended(0)], vec![running(), ended(0)], false, None, "Running"),
        ("all well", vec![ended(0)], vec![ended(0)], true, None, "Succeeded"),
        ("one of two", vec![], vec![ended(0), ended(1)], true, None, "Failed"),
        ("init failed", vec![ended(1)], vec![waiting()], true, None, "Failed"),
        ("deleted before it ran", vec![], vec![waiting()], true, Some(Cause::Deleted), "Failed"),
        ("deleted, and ended well", vec![], vec![ended(0)], true, Some(Cause::Deleted), "Succeeded"),
        ("too late, and ended well", vec![], vec![ended(0)], true, Some(Cause::Deadline), "Failed"),
    ];
    for (name, init, main, ended, cause, expected) in cases {
        let progress = Progress { start_time: None, init, main, ended, cause };
        assert_eq!(progress.phase(), expected, "{name}");
    }
}

#[test]
fn a_status_is_what_a_kubelet_writes_and_keeps_foreign_conditions() {
    let pod: Pod = serde_json::from_value(json!({
        "spec": {"containers": [{"name": "main", "image": "busybox"}]},
        "status": {"conditions": [
            {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"},
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": "1970-01-01T00:00:05Z"},
        ]},
    }))
    .unwrap();
    let start_error = State::Ended(Ended {
        exit_code: 128,
        reason: "StartError",
        message: "exec: \"nope\": executable file not found in $PATH".to_owned(),
        started_at: None,
        finished_at: at(20),
    });
    let progress =
        Progress { start_time: Some(at(9)), main: vec![start_error], ended: true, ..Progress::default() };
    assert_eq!(
        status(&pod, &progress, at(21)),
        json!({
            "phase": "Failed", "startTime": "1970-01-01T00:00:09Z",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": "1970-01-01T00:00:05Z"},
                {"type": "Initialized", "status": "True", "lastTransitionTime": "1970-01-01T00:00:21Z"},
                {"type": "ContainersReady", "status": "False", "lastTransitionTime": "1970-01-01T00:00:21Z", "reason": "PodFailed"},
                {"type": "Ready", "status": "False", "lastTransitionTime": "1970-01-01T00:00:21Z", "reason": "PodFailed"},
                {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"},
            ],
            "containerStatuses": [{
                "name": "main", "image": "busybox", "imageID": "", "restartCount": 0, "ready": false, "started": false,
                "state": {"terminated": {
                    "exitCode": 128, "reason": "StartError", "message": "exec: \"nope\": executable file not found in $PATH",
                    "startedAt": "1970-01-01T00:00:00Z", "finishedAt": "1970-01-01T00:00:20Z",
                }},
            }],
        })
    );
}

#[test]
fn the_end_by_a_deadline_and_by_the_runner_are_said() {
    let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [{"name": "main"}]}})).unwrap();
    let said = |cause| {
        let progress =
            Progress { main: vec![ended(143)], ended: true, cause: Some(cause), ..Progress::default() };
        let status = status(&pod, &progress, at(0));
        (status["reason"].clone(), status["conditions"].to_string().contains("DisruptionTarget"))
    };
    assert_eq!(said(Cause::Deadline), (json!("DeadlineExceeded"), false));
    assert_eq!(said(Cause::Shutdown), (json!("Terminated"), true));
    assert_eq!(said(Cause::Lost), (json!("NodeLost"), true));
    assert_eq!(said(Cause::Deleted), (Value::Null, false));
}
