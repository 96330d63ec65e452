//! What stands on standard output at the end, and what happens if nobody reads it.

use std::fs::File;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{ORCHESTRATOR, errors, in_file, run, script, within};

/// A run with an output, and another one of the same definition.
fn two() -> String {
    let second = r#"{"apiVersion": "orchestrator.dev/v1alpha1", "kind": "Orchestration", "metadata": {"name": "second"}, "spec": {"type": "one"}}"#;
    format!("{}\n---\n{second}\n", script(r#"printf '{"n": 7}' > "$ORCHESTRATOR_OUTPUT_FILE""#))
}

fn shown(file: &str, format: &str) -> String {
    let output = run(&[file, "--timeout", "60s", "-o", format]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn programs_get_the_orchestrations_as_json_or_yaml() {
    let (_directory, file) = in_file(&two());
    let json: Value = serde_json::from_str(&shown(&file, "json")).unwrap();
    let yaml: Value = serde_saphyr::from_str(&shown(&file, "yaml")).unwrap();
    for list in [json, yaml] {
        assert_eq!((&list["apiVersion"], &list["kind"]), (&"v1".into(), &"List".into()), "{list}");
        let items = list["items"].as_array().unwrap();
        let said: Vec<_> = items
            .iter()
            .map(|item| {
                [
                    &item["kind"],
                    &item["metadata"]["name"],
                    &item["status"]["state"],
                    &item["status"]["output"]["n"],
                ]
            })
            .collect();
        let expected = ["run", "second"]
            .map(|name| [Value::from("Orchestration"), name.into(), "Succeeded".into(), 7.into()]);
        assert_eq!(said, expected.each_ref().map(|row| row.each_ref()), "{list}");
    }
}

#[test]
fn people_see_the_outputs_of_every_activity_if_they_ask() {
    let (_directory, file) = in_file(&two());
    let wide = shown(&file, "wide");
    assert_eq!(wide.matches("      outputs {\"n\":7}\n").count(), 2, "{wide}");
    assert_eq!(wide.matches("  output\n    {\n      \"n\": 7\n    }\n").count(), 2, "{wide}");
    let plain = String::from_utf8(run(&[&file, "--timeout", "60s"]).stdout).unwrap();
    assert!(!plain.contains("outputs ") && plain.contains("\"n\": 7"), "{plain}");
}

#[test]
fn what_is_no_format_or_duration_is_refused_with_what_is_one() {
    for (flag, value, hint) in
        [("-o", "xml", "[possible values: wide, json, yaml]"), ("--timeout", "5", "such as 30s")]
    {
        let output = run(&["config/samples/tenant", flag, value]);
        assert_eq!(output.status.code(), Some(2));
        assert!(errors(&output).contains(hint), "{}", errors(&output));
    }
}

/// Runs with one of the two outputs going nowhere: into a pipe that nobody reads.
fn closed(arguments: &[&str], is_error: bool) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(ORCHESTRATOR);
    command.arg("run").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    if is_error {
        command.stderr(writer).stdout(Stdio::piped());
    } else {
        command.stdout(writer).stderr(Stdio::piped());
    }
    let output = within(move || command.output().unwrap());
    let text = if is_error { output.stdout } else { output.stderr };
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn a_pipe_that_nobody_reads_is_no_failure_of_the_run() {
    let (_directory, file) = in_file(&script("echo '{\"n\": 1}' > $ORCHESTRATOR_OUTPUT_FILE"));
    let (code, said) = closed(&[&file, "-o", "json"], false);
    assert!(code == Some(0) && !said.contains("panicked"), "{code:?} {said}");
    let (code, shown) = closed(&[&file], true);
    assert!(code == Some(0) && shown.contains("Succeeded  1/1"), "{code:?} {shown}");
    // Nobody hears of the mistake, but the exit code stays.
    for wrong in ["nowhere.yaml", "tests/fixtures/bad", "crds"] {
        assert_eq!(closed(&[wrong], true), (Some(2), String::new()), "{wrong}");
    }
}

#[test]
fn a_result_that_cannot_be_written_is_told_and_fails() {
    let (_directory, file) = in_file(&script("echo '{\"n\": 1}' > $ORCHESTRATOR_OUTPUT_FILE"));
    for format in ["json", "yaml", "wide"] {
        let mut command = Command::new(ORCHESTRATOR);
        command.args(["run", &file, "-o", format]).stdin(Stdio::null());
        command.stdout(File::create("/dev/full").unwrap()).stderr(Stdio::piped());
        let output = within(move || command.output().unwrap());
        let told = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        let last = told.lines().last().unwrap();
        assert!(last.starts_with("the result cannot be written to standard output: No space left"), "{told}");
    }
}

#[test]
fn people_are_told_how_soon_the_first_process_was_started() {
    let (_directory, file) = in_file(&script("true"));
    let shown = String::from_utf8(run(&[&file]).stdout).unwrap();
    let line = shown.lines().last().unwrap();
    let number = line.strip_prefix("first process after ").and_then(|rest| rest.strip_suffix(" ms"));
    assert!(number.is_some_and(|number| number.parse::<u64>().is_ok()), "{shown}");
}
