//! What goes into a container and what comes out of it, byte by byte.

use data_encoding::BASE64;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use orchestrator::api::Orchestration;
use serde_json::{Value, json};

use super::{has_node, restricted};
use crate::support::cluster::TestNamespace;
use crate::support::objects::{activity_with, definition, orchestration};
use crate::support::operator::Operator;

/// A value of the template that no input may read.
const SECRET: &str = "canary-4711";

/// Writes back what it got, in base64.
const ECHO: &str = r#"
encode() { base64 | tr -d '\n'; }
cat > "$ORCHESTRATOR_OUTPUT_FILE" <<END
{
  "variable": "$(printf %s "$INPUT_TEXT" | encode)",
  "argument": "$(printf %s "$1" | encode)",
  "copy": "$(printf %s "$COPY" | encode)",
  "trap": "$(printf %s "$INPUT_TRAP" | encode)",
  "file": "$(encode < "$ORCHESTRATOR_INPUT_FILE")"
}
END
"#;

/// Writes 4,000 bytes, as a user without rights on a file system that takes nothing else.
const LARGE: &str = r#"
[ "$(id -u)" = 1000 ]
if touch /anywhere 2>/dev/null; then exit 9; fi
printf '{"blob":"%s"}' "$(head -c 3989 /dev/zero | tr '\0' x)" > "$ORCHESTRATOR_OUTPUT_FILE"
"#;

/// Measures what it got.
const MEASURE: &str = r#"
printf '{"length":%s,"file":%s}' "${#INPUT_BLOB}" "$(wc -c < "$ORCHESTRATOR_INPUT_FILE")" > "$ORCHESTRATOR_OUTPUT_FILE"
"#;

fn container(script: &str, arguments: &[&str]) -> Value {
    json!({
        "name": "main", "image": "busybox:1.37", "command": ["sh", "-ec", script, "script"], "args": arguments,
        "env": [{"name": "SECRET", "value": SECRET}, {"name": "COPY", "value": "$(INPUT_TEXT)"}],
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "readOnlyRootFilesystem": true},
    })
}

async fn create_types(namespace: &TestNamespace) {
    for (name, container) in [
        ("echo", container(ECHO, &["$(INPUT_TEXT)"])),
        ("large", container(LARGE, &[])),
        ("measure", container(MEASURE, &[])),
    ] {
        let job = json!({"template": {"spec": {"containers": [container]}}});
        namespace.create(activity_with(name, job)).await;
    }
}

fn output(finished: Orchestration) -> Value {
    let status = finished.status.unwrap();
    assert_eq!(status.state.as_deref(), Some("Succeeded"), "{status:#?}");
    Value::Object(status.output.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_input_arrives_byte_by_byte_and_reads_nothing_of_the_template() {
    if !has_node("hostile inputs") {
        return;
    }
    let namespace = restricted().await;
    let _operator = Operator::start(&namespace).await;
    create_types(&namespace).await;
    let output_of = |name: &str| json!({"source": format!("echo.{name}")});
    let spec = json!({
        "activities": [{"id": "echo", "type": "echo", "inputs": ["text", "trap"]}],
        "output": (["variable", "argument", "copy", "trap", "file"].map(output_of)),
    });
    namespace.create(definition("echo", spec)).await;
    namespace.definition_ready("echo", "True", "Ready").await;
    let text = concat!(
        "$(HOME) $$ $$(SECRET) $(SECRET) ${SECRET} $SECRET $((1+1)) `id` $(id) \"double\" 'single' \\ \\n %s\n",
        "a second line\r\n\ta tab, \u{7f}, é, 🦀, {\"json\": [1]}, <xml/>, ; rm -rf / # & | *\n\n"
    );
    let input = json!({"text": text, "trap": "$(SECRET)"});
    namespace.create(orchestration("run", "echo", input.clone())).await;
    let output = output(namespace.finished("run").await);

    let decoded = |name: &str| {
        String::from_utf8(BASE64.decode(output[name].as_str().unwrap().as_bytes()).unwrap()).unwrap()
    };
    for way in ["variable", "argument", "copy"] {
        assert_eq!(decoded(way), text, "{way}");
    }
    assert_eq!(decoded("trap"), "$(SECRET)");
    assert_eq!(serde_json::from_str::<Value>(&decoded("file")).unwrap(), input);
    let pods = namespace.api::<Pod>().list(&Default::default()).await.unwrap();
    assert_eq!(decoded("file"), pods.items[0].annotations()["orchestrator.dev/input"]);
    for way in ["variable", "argument", "copy", "trap", "file"] {
        assert!(!decoded(way).contains(SECRET), "{way}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_of_4000_bytes_come_from_a_read_only_container_without_root_and_are_handed_on() {
    if !has_node("large outputs") {
        return;
    }
    let namespace = restricted().await;
    let _operator = Operator::start(&namespace).await;
    create_types(&namespace).await;
    let spec = json!({
        "activities": [
            {"id": "large", "type": "large"},
            {"id": "measure", "type": "measure", "dependsOn": "large", "inputs": ["large.blob"]},
        ],
        "output": [{"source": "measure.length"}, {"source": "measure.file"}, {"source": "large.blob"}],
    });
    namespace.create(definition("large", spec)).await;
    namespace.definition_ready("large", "True", "Ready").await;
    namespace.create(orchestration("run", "large", json!({}))).await;
    let output = output(namespace.finished("run").await);
    assert_eq!(output["blob"].as_str().unwrap(), "x".repeat(3989));
    assert_eq!((&output["length"], &output["file"]), (&json!(3989), &json!(4000)));
}
