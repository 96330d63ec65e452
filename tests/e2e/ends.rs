//! How real containers fail, and what people are told of it.

use orchestrator::api::orchestration::ActivityState;
use serde_json::{Value, json};

use super::{has_node, kubectl, restricted, told};
use crate::support::objects::{activity_with, definition, orchestration};
use crate::support::operator::Operator;

fn job(command: Value) -> Value {
    json!({"template": {"spec": {
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1000},
        "containers": [{
            "name": "main", "image": "busybox:1.37", "command": command, "resources": {"limits": {"memory": "16Mi"}},
        }],
    }}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_code_and_a_lack_of_memory_are_told_apart() {
    if !has_node("failing containers") {
        return;
    }
    let namespace = restricted().await;
    let _operator = Operator::start(&namespace).await;
    let script = r#"echo "the disk is full" > "$ORCHESTRATOR_OUTPUT_FILE"; exit 3"#;
    namespace.create(activity_with("exits", job(json!(["sh", "-c", script])))).await;
    let greedy = json!(["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"]);
    namespace.create(activity_with("greedy", job(greedy))).await;
    for type_ in ["exits", "greedy"] {
        let spec = json!({"activities": [
            {"id": "only", "type": type_}, {"id": "after", "type": type_, "dependsOn": "only"}
        ]});
        namespace.create(definition(type_, spec)).await;
        namespace.definition_ready(type_, "True", "Ready").await;
        namespace.create(orchestration(type_, type_, json!({}))).await;
    }
    for (run, words) in [("exits", ["exit code 3", "the disk is full"]), ("greedy", ["137", "OOMKilled"])] {
        let status = namespace.finished(run).await.status.unwrap();
        assert_eq!(status.state.as_deref(), Some("Failed"));
        let only = &status.activities["only"];
        assert_eq!(
            (only.state, only.reason.as_deref()),
            (ActivityState::Failed, Some("ExitCode")),
            "{only:?}"
        );
        let message = only.message.as_deref().unwrap();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        assert_eq!(status.activities["after"].state, ActivityState::NotStarted);

        let note = told(&namespace, run, "ActivityFailed").await;
        assert!(note.contains(message), "{note}");
        told(&namespace, run, "Failed").await;
        let described = kubectl(&namespace, &["describe", &format!("orch/{run}")]);
        let (_, events) = described.split_once("\nEvents:").unwrap();
        assert!(events.contains("Warning") && events.contains(words[1]), "{described}");
        let shown = kubectl(&namespace, &["get", "orch", run, "--no-headers", "--output", "wide"]);
        assert!(shown.contains("Failed") && shown.contains("0/2") && shown.contains(words[0]), "{shown}");
        println!("{shown}");
    }
}
