//! Every mistake is told at once, in the order of the files, and before anything runs.

use std::io::Write;
use std::process::{Command, Stdio};

use super::{ORCHESTRATOR, errors, in_file, run, script, within};

/// What was said on standard error by a run that was refused.
fn refused(arguments: &[&str]) -> Vec<String> {
    let output = run(arguments);
    let told = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(output.stdout.is_empty(), "nothing was run");
    told.lines().map(str::to_owned).collect()
}

const KINDS: [&str; 3] = [
    "kinds.yaml:1: document 1: Gadget g: the embedded API server has no kind Gadget of example.com/v1",
    "kinds.yaml:4: document 2: apiVersion and kind are required, as text",
    "kinds.yaml:6: document 3: must be an object with apiVersion, kind and metadata",
];
const MISSING: [&str; 2] = [
    "missing-definition.yaml:1: document 1: Orchestration lonely: Orchestration in version \"v1alpha1\" cannot be handled as a Orchestration: strict decoding error: unknown field \"spec.inptu\"",
    "missing-definition.yaml:1: document 1: Orchestration lonely: DefinitionNotFound: spec.type: OrchestrationDefinition \"never-defined\" not found in this namespace",
];

fn in_fixtures(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| format!("tests/fixtures/bad/{line}")).collect()
}

#[test]
fn what_cannot_be_read_hides_no_mistake_of_what_can() {
    assert_eq!(refused(&["tests/fixtures/bad/kinds.yaml"]), in_fixtures(&KINDS));
    assert_eq!(refused(&["tests/fixtures/bad/missing-definition.yaml"]), in_fixtures(&MISSING));
    let files = ["definition", "kinds", "missing-definition", "not-yaml"];
    let files = files.map(|name| format!("tests/fixtures/bad/{name}.yaml"));
    let told = refused(&files.each_ref().map(String::as_str));
    let definition = "definition.yaml:10: document 2: OrchestrationDefinition three-mistakes: ";
    let beginnings = [
        &[definition; 3],
        KINDS.as_slice(),
        &MISSING,
        &["not-yaml.yaml:4: document 1: is not YAML: column 5: "],
    ];
    let beginnings = in_fixtures(&beginnings.concat());
    assert_eq!(told.len(), beginnings.len(), "{told:#?}");
    for (line, beginning) in told.iter().zip(&beginnings) {
        assert!(line.starts_with(beginning), "{line:?} does not begin with {beginning:?}");
    }
    // As they were named, not by name.
    let told = refused(&["tests/fixtures/bad/missing-definition.yaml", "tests/fixtures/bad/kinds.yaml"]);
    assert_eq!(told, in_fixtures(&[MISSING.as_slice(), &KINDS].concat()));
}

#[test]
fn what_follows_from_a_mistake_is_not_told() {
    let whole = script("true");
    // Each breaks one document of three; the others stand and fall with it.
    let breaks = [
        ("\"spec\":{\"job\"", "\"spec\":{\"jobs\"", 1),
        ("\"name\":\"main\"", "\"name\":\"-\"", 1),
        ("\"spec\":{\"activities\":[", "\"spec\":{\"activities\":7,\"x\":[", 2),
        ("\"kind\":\"OrchestrationDefinition\"", "\"kind\":\"OrchestrationDefinition", 2),
        ("\"kind\":\"ActivityDefinition\"", "\"kinds\":\"ActivityDefinition\"", 1),
    ];
    for (right, wrong, document) in breaks {
        assert!(whole.contains(right), "{right} is not in {whole}");
        let (_directory, file) = in_file(&whole.replacen(right, wrong, 1));
        let told = refused(&[&file]);
        let of_it = format!(": document {document}: ");
        let is_expected = |line: &String| line.starts_with(&file) && line.contains(&of_it);
        assert!(!told.is_empty() && told.iter().all(is_expected), "{wrong}: {told:#?}");
    }
    let (_directory, file) = in_file(&whole);
    let [definitions, one] = ["nowhere.yaml", &file];
    assert_eq!(refused(&[definitions, one]).len(), 1, "the file may hold anything");
}

#[test]
fn a_field_that_is_not_known_hides_no_other_mistake() {
    let text = script("true")
        .replace("\"spec\":{\"activities\"", "\"spec\":{\"activites\":[],\"activities\"")
        .replace("\"id\":\"only\"", "\"id\":\"only\",\"dependsOn\":[\"nobody\"]");
    let (_directory, file) = in_file(&text);
    let told = refused(&[&file]);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains("unknown field \"spec.activites\""), "{told:#?}");
    assert!(told[1].contains("UnknownDependency: spec.activities[0].dependsOn[0]: "), "{told:#?}");
}

#[test]
fn one_object_in_two_documents_is_refused_before_anything_runs() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("mark");
    let text = script(&format!("echo > {}", mark.display()));
    let files = ["a.yaml", "b.yaml"].map(|name| directory.path().join(name));
    let [definition, _, run] = text.split("\n---\n").collect::<Vec<_>>()[..] else { panic!("{text}") };
    std::fs::write(&files[0], &text).unwrap();
    let bad = definition.replace("\"script\"", "\"script\",\"labels\":7");
    let elsewhere = definition.replace("\"script\"", "\"script\",\"namespace\":\"elsewhere\"");
    let namespace = r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"elsewhere"}}"#;
    let second = [namespace, namespace, &elsewhere, run, &bad].join("\n---\n");
    std::fs::write(&files[1], second).unwrap();
    let [a, b] = files.each_ref().map(|file| file.to_str().unwrap());
    let told = refused(&[a, b]);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert_eq!(told[0], format!("{b}:6: document 4: Orchestration \"run\" is in document 3 of {a} already"));
    let expected =
        format!("{b}:8: document 5: ActivityDefinition \"script\" is in document 1 of {a} already");
    assert_eq!(told[1], expected);
    assert!(told[2].starts_with(&format!("{b}:8: document 5: ActivityDefinition script: ")), "{told:#?}");
    assert!(!mark.exists(), "nothing was run");
}

#[test]
fn standard_input_and_lists_are_read() {
    let items: Vec<String> = script("true").split("\n---\n").map(str::to_owned).collect();
    let list = |items: &[String]| {
        format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{}]}}", items.join(","))
    };
    let piped = |text: String| {
        let mut child = Command::new(ORCHESTRATOR)
            .args(["run", "-", "--timeout", "60s"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        within(move || child.wait_with_output().unwrap())
    };
    let output = piped(list(&items));
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let output = piped(format!("# a comment\n---\n{}", list(&items[2..])));
    assert_eq!(output.status.code(), Some(2));
    let expected = "<stdin>:2: document 1: items[0]: Orchestration run: DefinitionNotFound: spec.type: OrchestrationDefinition \"one\" not found in this namespace\n";
    assert_eq!(errors(&output), expected);
}

#[test]
fn logs_that_cannot_be_kept_are_refused_before_anything_runs() {
    let directory = tempfile::tempdir().unwrap();
    let (file, mark) = (directory.path().join("run.yaml"), directory.path().join("mark"));
    std::fs::write(&file, script(&format!("echo > {}", mark.display()))).unwrap();
    let file = file.to_str().unwrap();
    for logs in [file.to_owned(), format!("{file}/logs")] {
        let told = refused(&[file, "--logs", &logs]);
        let beginning = format!("orchestrator: --logs {logs}: no logs can be kept there: ");
        assert!(told.len() == 1 && told[0].starts_with(&beginning), "{told:?}");
    }
    assert!(!mark.exists(), "nothing was run");
}

#[test]
fn a_place_for_temporary_files_that_is_none_is_told_by_its_name() {
    let output = Command::new(ORCHESTRATOR)
        .args(["run", "config/samples/tenant"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("TMPDIR", "/nonexistent")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let expected =
        "orchestrator: no directory can be made in /nonexistent, where TMPDIR points: entity not found\n";
    assert_eq!(errors(&output), expected);
}

#[test]
fn warnings_are_told_once_and_hold_nothing_up() {
    let text = script("true").replace(
        r#""spec":{"activities":["#,
        r#""spec":{"activities":[{"id":"a","type":"script"},{"id":"b","type":"script","dependsOn":["a","a"]},{"id":"c","type":"script","dependsOn":["b","b"]},"#,
    );
    let (_directory, file) = in_file(&text);
    let output = run(&[&file, "--timeout", "60s"]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let warning = |at: usize, id: &str| {
        format!(
            "{file}:2: document 2: OrchestrationDefinition one: warning: DuplicateId: spec.activities[{at}].dependsOn[1]: \"{id}\" is listed twice"
        )
    };
    let told = errors(&output);
    let warnings: Vec<&str> = told.lines().filter(|line| line.contains("warning")).collect();
    assert_eq!(warnings, [warning(1, "a"), warning(2, "b")]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!shown.contains("warning"), "{shown}");
}

#[test]
fn what_a_condition_makes_panic_is_an_error_and_nothing_else() {
    let text = script("true").replace(
        r#""id":"only","type":"script""#,
        r#""id":"only","type":"script","when":"'%.70000f'.format([1.0]) == ''""#,
    );
    let (_directory, file) = in_file(&text);
    let output = run(&[&file, "--timeout", "60s"]);
    let (told, shown) = (errors(&output), String::from_utf8_lossy(&output.stdout).into_owned());
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(shown.contains("ExpressionError: when: line 1 column 1: format: cannot be evaluated"), "{shown}");
    assert!(!told.contains("panicked"), "{told}");
}
