//! `orchestrator run` as a person uses it: the real binary, on files, with no cluster.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::support::cluster::PATIENCE;

mod activities;
mod mistakes;
mod results;
mod samples;
mod signals;
mod terminal;

const ORCHESTRATOR: &str = env!("CARGO_BIN_EXE_orchestrator");

fn run(arguments: &[&str]) -> Output {
    Command::new(ORCHESTRATOR)
        .arg("run")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A definition with one activity that runs a shell script, and one run of it.
fn script(script: &str) -> String {
    let definitions = [
        json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": "script"},
            "spec": {"retry": {"maxRetries": 0}, "job": {"template": {"spec": {"terminationGracePeriodSeconds": 1, "containers": [
                {"name": "main", "image": "busybox:1.37", "command": ["sh", "-c", script]},
            ]}}}},
        }),
        json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition", "metadata": {"name": "one"},
            "spec": {"activities": [{"id": "only", "type": "script"}], "output": [{"source": "only.n"}]},
        }),
        json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "metadata": {"name": "run"},
            "spec": {"type": "one"},
        }),
    ];
    definitions.map(|document| document.to_string()).join("\n---\n")
}

fn in_file(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.yaml");
    std::fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap().to_owned();
    (directory, name)
}

/// Makes a named pipe: whoever opens one end waits for the other, so that no test must look again and again.
fn pipe_file(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// Does what may wait for ever, but no longer than anything takes.
fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(PATIENCE).expect("it comes to an end")
}

#[test]
fn the_tenant_sample_runs_with_no_cluster() {
    let output = run(&["config/samples/tenant", "-o", "json", "--timeout", "60s"]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let finished: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(finished["status"]["state"], "Succeeded");
    assert_eq!(finished["status"]["output"]["did"], "did:web:a.example.com");
    let told = errors(&output);
    for activity in ["config", "did", "ingress", "activation"] {
        assert!(told.lines().any(|line| line.contains(activity) && line.contains("Succeeded")), "{told}");
    }
}

#[test]
fn a_failure_shows_the_last_words_and_exits_with_1() {
    let (_directory, file) = in_file(&script("echo 'no such tenant' >&2; exit 3"));
    let output = run(&[&file, "--timeout", "60s"]);
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("ExitCode: exit code 3"), "{shown}");
    assert!(shown.contains("| no such tenant"), "{shown}");
}

#[test]
fn logs_are_kept_where_they_are_wanted() {
    let (directory, file) = in_file(&script("echo kept"));
    let logs = directory.path().join("logs");
    let output = run(&[&file, "--timeout", "60s", "--logs", logs.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert!(holds(&logs, "kept"), "no log below {}", logs.display());
}

fn holds(directory: &Path, text: &str) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holds(&path, text)
        } else {
            std::fs::read_to_string(&path).unwrap().contains(text)
        }
    })
}

#[test]
fn what_takes_too_long_is_ended_and_exits_with_3() {
    let (_directory, file) = in_file(&script("exec sleep 1000"));
    let output = run(&[&file, "--timeout", "300ms"]);
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
}

#[test]
fn every_mistake_of_every_document_is_told_before_anything_runs() {
    let output = run(&["tests/fixtures/bad/definition.yaml"]);
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    let place = "tests/fixtures/bad/definition.yaml:10: document 2: OrchestrationDefinition three-mistakes";
    let expected = [
        r#"UnknownDependency: spec.activities[1].dependsOn[0]: no activity "biuld" (did you mean "build"?)"#,
        r#"ReservedName: spec.activities[2].id: "input" is reserved, as are input, run, schedule, activities"#,
        r#"InvalidPath: spec.activities[2].inputs[0]: "a..b" column 3: expected a name (letters, digits, "_", "-"), found ".""#,
    ];
    assert_eq!(errors(&output).lines().collect::<Vec<_>>(), expected.map(|line| format!("{place}: {line}")));
}

#[test]
fn an_input_that_its_definition_refuses_is_told_before_anything_runs() {
    let text = script("true").replace(
        "\"activities\"",
        "\"schema\":{\"type\":\"object\",\"required\":[\"region\"],\"properties\":{\"region\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\"}}},\"activities\"",
    );
    let (_directory, file) =
        in_file(&text.replace("\"type\":\"one\"", "\"type\":\"one\",\"input\":{\"n\":\"3\"}"));
    let output = run(&[&file, "--timeout", "60s"]);
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    let told = errors(&output);
    let expected = [
        "Orchestration run: InvalidInput: spec.input.n: expected integer, got string \"3\"",
        "Orchestration run: InvalidInput: spec.input.region: required by OrchestrationDefinition \"one\" schema",
    ];
    for (line, expected) in told.lines().zip(expected) {
        assert!(line.ends_with(expected), "{line}");
    }
    assert_eq!(told.lines().count(), 2, "{told}");
}

#[test]
fn many_mistakes_of_an_input_are_told_one_by_one() {
    let names: Vec<String> = (0..25).map(|at| format!("\"p{at:02}\"")).collect();
    let schema = format!("\"schema\":{{\"required\":[{}]}},\"activities\"", names.join(","));
    let (_directory, file) = in_file(&script("true").replace("\"activities\"", &schema));
    let output = run(&[&file, "--timeout", "60s"]);
    let told = errors(&output);
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 25), "{told}");
    for (at, line) in told.lines().enumerate() {
        let end =
            format!("InvalidInput: spec.input.p{at:02}: required by OrchestrationDefinition \"one\" schema");
        assert!(line.ends_with(&end), "{line}");
    }
}

#[test]
fn what_is_no_document_is_told_with_its_line() {
    let output = run(&["tests/fixtures/bad/not-yaml.yaml", "tests/fixtures/bad/kinds.yaml", "nowhere.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let told = errors(&output);
    for expected in [
        "tests/fixtures/bad/not-yaml.yaml:4: document 1: is not YAML: ",
        "tests/fixtures/bad/kinds.yaml:4: document 2: apiVersion and kind are required",
        "tests/fixtures/bad/kinds.yaml:6: document 3: must be an object with apiVersion, kind and metadata",
        "nowhere.yaml: cannot be read: ",
    ] {
        assert!(told.contains(expected), "{expected} is not in\n{told}");
    }
}

#[test]
fn an_unknown_kind_and_a_missing_definition_are_told_by_name() {
    let (_directory, file) = in_file(
        "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: g}\n---\n\
         apiVersion: orchestrator.dev/v1alpha1\nkind: Orchestration\nmetadata: {name: lonely}\nspec: {type: never-defined}\n",
    );
    let output = run(&[&file]);
    assert_eq!(output.status.code(), Some(2));
    let told = errors(&output);
    assert!(
        told.contains(
            ":1: document 1: Gadget g: the embedded API server has no kind Gadget of example.com/v1"
        ),
        "{told}"
    );
    assert!(
        told.contains(":4: document 2: Orchestration lonely: DefinitionNotFound: spec.type: OrchestrationDefinition \"never-defined\" not found in this namespace"),
        "{told}"
    );
}

#[test]
fn a_misspelt_field_is_refused_as_a_real_server_would() {
    let output = run(&["tests/fixtures/bad/missing-definition.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("unknown field \"spec.inptu\""), "{}", errors(&output));
}

#[test]
fn a_namespace_that_cannot_be_is_told_once_for_each_document_and_the_rest_is_judged() {
    let elsewhere =
        r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "Not This"}}"#;
    let (_directory, file) = in_file(&format!("{}\n---\n{elsewhere}\n", script("true")));
    let output = run(&[&file]);
    assert_eq!(output.status.code(), Some(2));
    let told = errors(&output);
    let beginning =
        format!("{file}:6: document 4: ConfigMap c: metadata.namespace: Invalid value: \"Not This\": ");
    assert!(told.starts_with(&beginning) && told.lines().count() == 1, "{told}");
}

#[test]
fn a_file_without_a_run_says_that_there_is_nothing_to_run() {
    let (_directory, file) = in_file("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n");
    let output = run(&[&file]);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("nothing to run"), "{}", errors(&output));
}
