//! `orchestrator lint` and `orchestrator graph` as a person uses them: the real binary, on files, with no cluster.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

mod same_words;

const ORCHESTRATOR: &str = env!("CARGO_BIN_EXE_orchestrator");
/// Where the mistakes are.
const BAD: &str = "tests/fixtures/bad";

fn orchestrator(arguments: &[&str]) -> Output {
    Command::new(ORCHESTRATOR)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn told(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

/// What lint finds, as a program reads it.
fn findings(arguments: &[&str]) -> Vec<Value> {
    let output = orchestrator(&[&["lint", "-o", "json"], arguments].concat());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The files with mistakes, by name.
fn families() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(BAD);
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}

/// Beside every file with mistakes lies what is said of it. `UPDATE_ARTEFACTS=1` writes it anew, to be read by a person.
#[test]
fn every_mistake_is_told_with_file_and_line_in_these_words() {
    let mut differing = Vec::new();
    for path in families() {
        let file = format!("{BAD}/{}", path.file_name().unwrap().to_str().unwrap());
        let (out, err, code) = told(&orchestrator(&["lint", &file]));
        let found = format!("$ orchestrator lint {file}\n{out}{err}exit code {}\n", code.unwrap());
        let expected = path.with_extension("txt");
        if std::env::var_os("UPDATE_ARTEFACTS").is_some() {
            std::fs::write(&expected, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        if found != expected {
            differing.push(format!("{file}: found\n{found}\nand expected\n{expected}"));
        }
        let is_told = code != Some(0) || err.contains(" warning") || err.contains("skipped");
        assert!(is_told, "{file} has no mistake");
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn all_files_together_have_the_mistakes_of_each() {
    let files: Vec<String> = families()
        .iter()
        .map(|path| format!("{BAD}/{}", path.file_name().unwrap().to_str().unwrap()))
        .collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let together = findings(&files);
    let apart: usize = files.iter().map(|file| findings(&[file]).len()).sum();
    assert_eq!(together.len(), apart);
    let in_directory = findings(&[BAD]);
    assert_eq!(in_directory.len(), apart);
}

#[test]
fn the_samples_are_clean() {
    let (out, err, code) = told(&orchestrator(&["lint", "--strict", "config/samples"]));
    assert_eq!((out.as_str(), code), ("", Some(0)), "{err}");
    assert!(err.contains(" documents checked: no problems\n"), "{err}");
    assert!(err.ends_with("skipped, because not of orchestrator.dev: 2 ConfigMap of v1\n"), "{err}");
}

#[test]
fn programs_get_a_list_with_every_member() {
    let found = findings(&[&format!("{BAD}/definition.yaml")]);
    assert_eq!(
        found[0],
        serde_json::json!({
            "file": "tests/fixtures/bad/definition.yaml", "line": 21, "document": 2,
            "kind": "OrchestrationDefinition", "name": "three-mistakes", "path": "spec.activities[1].dependsOn[0]",
            "code": "UnknownDependency", "message": "no activity \"biuld\" (did you mean \"build\"?)", "severity": "error",
        })
    );
    assert_eq!(findings(&["config/samples"]), Vec::<Value>::new());
}

#[test]
fn what_holds_no_document_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("empty.yaml");
    for text in ["", "---\n---\n", "# a comment\n", "~\n", "kind: List\napiVersion: v1\nitems: []\n"] {
        std::fs::write(&file, text).unwrap();
        let path = file.to_str().unwrap();
        let (out, err, code) = told(&orchestrator(&["lint", path]));
        let expected = format!("{path}: holds no document: nothing was checked\n");
        assert_eq!((out, code), (expected, Some(2)), "{text:?} {err}");
        let directory = directory.path().to_str().unwrap();
        assert_eq!(orchestrator(&["lint", directory]).status.code(), Some(2), "{text:?}");
    }
    // One file of several may be empty.
    let sample = "config/samples/tenant";
    let output = orchestrator(&["lint", file.to_str().unwrap(), sample]);
    assert_eq!(told(&output).2, Some(0));
    let (out, _, code) = told(&orchestrator(&["lint", "-"]));
    assert_eq!((out.as_str(), code), ("<stdin>: holds no document: nothing was checked\n", Some(2)));
}

#[test]
fn warnings_fail_only_where_they_are_asked_to() {
    let file = format!("{BAD}/secrets.yaml");
    assert_eq!(orchestrator(&["lint", &file]).status.code(), Some(0));
    assert_eq!(orchestrator(&["lint", "--strict", &file]).status.code(), Some(1));
}

#[test]
fn what_is_elsewhere_may_be_missing() {
    let flow = "config/samples/data-flow/20-orchestration-definition-site.yaml";
    let run = "config/samples/data-flow/30-sites.yaml";
    let (out, err, code) = told(&orchestrator(&["lint", flow]));
    assert_eq!((out.lines().count(), code), (3, Some(1)), "{out}");
    assert!(err.contains("--allow-missing"), "{err}");
    for file in [flow, run] {
        let (out, err, code) = told(&orchestrator(&["lint", "--allow-missing", file]));
        assert_eq!((out.as_str(), code), ("", Some(0)), "{err}");
    }
}

#[test]
fn what_cannot_be_read_is_told_with_the_rest() {
    let (out, _, code) = told(&orchestrator(&["lint", "nowhere.yaml", &format!("{BAD}/definition.yaml")]));
    assert_eq!(code, Some(2));
    assert!(out.starts_with("nowhere.yaml: cannot be read: "), "{out}");
    assert_eq!(out.lines().count(), 4, "{out}");
    assert_eq!(orchestrator(&["lint"]).status.code(), Some(2));
}

#[test]
fn standard_input_is_a_file_too() {
    let mut lint = Command::new(ORCHESTRATOR)
        .args(["lint", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = "apiVersion: orchestrator.dev/v1alpha1\nkind: Orchestration\nmetadata: {name: r}\nspec: {}\n";
    lint.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let (out, err, code) = told(&lint.wait_with_output().unwrap());
    assert_eq!((out.as_str(), code), ("<stdin>:4: spec.type: Required value\n", Some(1)), "{err}");
    assert_eq!(err, "1 document checked: 1 problem\n");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut lint = Command::new(ORCHESTRATOR)
        .args(["lint", BAD])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(lint.stdout.take());
    let (_, err, code) = told(&lint.wait_with_output().unwrap());
    assert_eq!(code, Some(2), "{err}");
    assert!(!err.contains("panicked"), "{err}");
}

#[test]
fn a_graph_shows_tiers_and_what_comes_before() {
    let (out, err, code) = told(&orchestrator(&["graph", "config/samples/data-flow"]));
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(
        out,
        "site.example.com  3 activities in 3 tiers
   0  plan     address-plan.example.com
   1  router   router-config.example.com  after plan
   2  monitor  monitor.example.com        after plan, router  when input.stage == \"production\" && size(activities.plan.outputs.hosts) > 0
"
    );
    for (format, begin) in [("mermaid", "flowchart LR\n"), ("dot", "digraph orchestrations {\n")] {
        let (out, err, code) = told(&orchestrator(&["graph", "config/samples/data-flow", "-o", format]));
        assert_eq!(code, Some(0), "{err}");
        assert!(out.starts_with(begin), "{out}");
    }
}

#[test]
fn a_graph_that_cannot_be_drawn_says_why() {
    let (out, err, code) = told(&orchestrator(&["graph", &format!("{BAD}/graph.yaml")]));
    assert_eq!(code, Some(1));
    assert!(out.starts_with("graph-twice  2 activities in 2 tiers\n"), "{out}");
    assert!(
        err.contains("OrchestrationDefinition graph-cycle: CycleDetected: spec.activities: dependency cycle a -> b -> c -> a\n"),
        "{err}"
    );
    let at_field = format!(
        "{BAD}/definition.yaml:21: document 2: OrchestrationDefinition three-mistakes: UnknownDependency: "
    );
    let (_, err, _) = told(&orchestrator(&["graph", &format!("{BAD}/definition.yaml")]));
    assert!(err.contains(&at_field), "{err}");
    let (_, err, code) = told(&orchestrator(&["graph", "config/samples/tenant/30-tenant-a.yaml"]));
    assert_eq!(code, Some(2));
    assert!(err.contains("nothing to draw"), "{err}");
}

#[test]
fn the_definitions_of_a_list_are_drawn() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let definition = |name: &str, spec: &str| {
        format!(
            "{{apiVersion: orchestrator.dev/v1alpha1, kind: OrchestrationDefinition, metadata: {name}, spec: {spec}}}"
        )
    };
    let one = definition("{name: d}", "{activities: [{id: a, type: t}]}");
    let text = format!("apiVersion: v1\nkind: List\nitems:\n- {one}\n- {}\n", definition("{}", "7"));
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap();
    let (out, err, code) = told(&orchestrator(&["graph", path]));
    assert_eq!((out.as_str(), code), ("d  1 activity in 1 tier\n   0  a  t\n", Some(1)));
    let place = format!("{path}:5: document 1: items[1]: OrchestrationDefinition: spec: cannot be read: ");
    assert!(err.starts_with(&place), "{err}");
}
