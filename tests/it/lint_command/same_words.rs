//! One mistake, one wording: what lint says of files, `run` says of them, and so do the conditions of the objects.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator::api::{ActivityDefinition, Orchestration, OrchestrationDefinition, OrchestrationSchedule};
use serde_json::{Value, json};

use super::{BAD, findings, orchestrator, told};
use crate::support::kubelet::Act;
use crate::support::sandbox::Sandbox;
use crate::support::told::{condition, says};

/// Files with mistakes that the API server does not see, so that the controllers judge them.
const JUDGED: [&str; 9] = [
    "data",
    "definition",
    "expressions",
    "graph",
    "input",
    "job-templates",
    "orchestrations",
    "references",
    "schedules",
];

fn file(family: &str) -> String {
    format!("{BAD}/{family}.yaml")
}

/// What lint says of a document, as conditions do, without the path if that is left out there.
fn text(finding: &Value) -> String {
    let text = |member: &str| finding[member].as_str().unwrap_or_default();
    let code = if finding["code"].is_null() { String::new() } else { format!("{}: ", text("code")) };
    format!("{code}{}: {}", text("path"), text("message"))
}

/// The texts of one severity, by the number of the document.
fn by_document(findings: &[Value], severity: &str) -> BTreeMap<u64, BTreeSet<String>> {
    let mut found: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for finding in findings.iter().filter(|finding| finding["severity"] == severity) {
        found.entry(finding["document"].as_u64().unwrap()).or_default().insert(text(finding));
    }
    found
}

#[test]
fn run_says_what_lint_says() {
    for family in JUDGED.into_iter().chain(["schemas"]) {
        let found = findings(&[&file(family)]);
        // What only follows from a mistake in another document is not told by `run`.
        let is_told =
            |finding: &&Value| finding["severity"] == "error" && finding["code"] != "ActivityNotReady";
        let errors = found.iter().filter(is_told);
        let lint: BTreeSet<String> = errors
            .map(|finding| {
                let text_of = |member: &str| finding[member].as_str().unwrap();
                let object = format!("{} {}", text_of("kind"), text_of("name"));
                format!("{}: {object}: {}", finding["document"], text(finding))
            })
            .collect();
        let (_, err, code) = told(&orchestrator(&["run", &file(family)]));
        assert_eq!(code, Some(2), "{family}: {err}");
        let run: BTreeSet<String> = err
            .lines()
            .map(|line| line.split_once(": document ").unwrap_or_else(|| panic!("{line}")).1.to_owned())
            .collect();
        assert!(!lint.is_empty(), "{family}");
        assert_eq!(lint, run, "{family}");
    }
}

#[test]
fn what_no_server_reads_is_told_by_lint_and_by_run() {
    let documents = [
        json!({"kind": "ActivityDefinition", "metadata": {"name": "t"}, "spec": {"job": {"template": {"spec": {
            "containers": [{"name": "main", "image": "busybox:1.37"}],
        }}}}}),
        json!({"kind": "OrchestrationDefinition", "metadata": {"name": "d"}, "spec": {"activities": [{"id": "a", "type": "t"}]}}),
        json!({"kind": "Orchestration", "metadata": {"name": "o"}, "spec": {"type": "d", "input": {"x": "x".repeat(3_200_000)}}}),
    ];
    let documents = documents.map(|mut document| {
        document["apiVersion"] = json!("orchestrator.dev/v1alpha1");
        document.to_string()
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), documents.join("\n---\n")).unwrap();
    let path = file.path().to_str().unwrap();
    let reasons = [
        "Request entity too large: limit is 3145728",
        "InputTooLarge: spec.input: has 3200008 bytes of JSON, at most 65536 are allowed",
    ];
    let (out, _, code) = told(&orchestrator(&["lint", path]));
    assert_eq!((out, code), (reasons.map(|reason| format!("{path}:5: {reason}\n")).concat(), Some(1)));
    let (_, err, code) = told(&orchestrator(&["run", path]));
    // It tells where the document begins: at the line that separates it.
    let said = reasons.map(|reason| format!("{path}:4: document 3: Orchestration o: {reason}\n"));
    assert_eq!((err, code), (said.concat(), Some(2)));
}

#[test]
fn lint_says_all_that_the_server_says() {
    let found = findings(&[&file("server")]);
    let lint = by_document(&found, "error");
    let (_, err, code) = told(&orchestrator(&["run", &file("server")]));
    assert_eq!(code, Some(2));
    let mut compared = 0;
    for line in err.lines() {
        let (_, rest) = line.split_once(": document ").unwrap();
        let (document, rest) = rest.split_once(": ").unwrap();
        let (_, message) = rest.split_once(": ").unwrap();
        // The server's note that it did not look at everything is no mistake, and what is missing is not its to say.
        if message.starts_with("<nil>: ") || message.starts_with("DefinitionNotFound: ") {
            continue;
        }
        let lint = &lint[&document.parse().unwrap()];
        if let Some((_, unknown)) = message.split_once("strict decoding error: ") {
            // The server names them, and lint says what may have been meant.
            for field in unknown.split(", ").map(|one| one.split('"').nth(1).unwrap()) {
                assert!(
                    lint.iter().any(|told| told.starts_with(&format!("{field}: unknown field"))),
                    "{field}"
                );
            }
        } else if message.starts_with("metadata.labels") || message.contains("cannot be handled") {
            let words = message.rsplit(": ").next().unwrap();
            assert!(lint.iter().any(|told| told.ends_with(words)), "{message} is not in {lint:#?}");
        } else {
            assert!(lint.contains(message), "{message} is not in {lint:#?}");
        }
        compared += 1;
    }
    assert!(compared >= 9, "{err}");
}

/// Waits until an object of a kind says in a condition what lint says.
macro_rules! until_it_says {
    ($sandbox:ident, $kind:ty, $name:expr, $condition:expr, $expected:expr, $lines:expr) => {{
        let found = $sandbox
            .until::<$kind>($name, |object| {
                condition(object, $condition).is_some_and(|found| $lines(found) == $expected)
            })
            .await;
        says(&found, $condition)
    }};
}

#[tokio::test(start_paused = true)]
async fn conditions_say_what_lint_says() {
    for family in JUDGED.into_iter().chain(["schemas"]) {
        let sandbox = Sandbox::start(|_| Act::outputs(&json!({})));
        let found = findings(&[&file(family)]);
        let (errors, warnings) = (by_document(&found, "error"), by_document(&found, "warning"));
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file(family));
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&std::fs::read_to_string(path).unwrap()).unwrap();
        let of = |number: usize, all: &BTreeMap<u64, BTreeSet<String>>| {
            all.get(&(number as u64 + 1)).cloned().unwrap_or_default()
        };
        let lines = |found: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| -> BTreeSet<String> {
            if found.status == "True" {
                return BTreeSet::new();
            }
            found.message.lines().map(str::to_owned).collect()
        };
        let is_run = |document: &&Value| document["kind"] == "Orchestration";
        sandbox.apply(documents.iter().filter(|document| !is_run(document)).cloned()).await;
        for (number, document) in documents.iter().enumerate() {
            let name = document["metadata"]["name"].as_str().unwrap();
            let expected = of(number, &errors);
            match document["kind"].as_str().unwrap() {
                "ActivityDefinition" => {
                    until_it_says!(sandbox, ActivityDefinition, name, "Ready", expected, lines);
                }
                "OrchestrationDefinition" => {
                    let told =
                        until_it_says!(sandbox, OrchestrationDefinition, name, "Ready", expected, lines);
                    for warning in of(number, &warnings).iter().filter(|_| expected.is_empty()) {
                        assert!(told.contains(warning.as_str()), "{warning} is not in {told}");
                    }
                }
                "OrchestrationSchedule" => {
                    let words =
                        |found: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| -> BTreeSet<String> {
                            let reason = &found.reason;
                            let line = |line: &str| match (line.find(": "), line.starts_with("spec.")) {
                                (_, true) => format!("{reason}: {line}"),
                                (Some(_), false) if line.contains(": spec.") => line.to_owned(),
                                (_, false) => format!("{reason}: spec.orchestrationTemplate.spec.type: {line}"),
                            };
                            if found.status == "True" { BTreeSet::new() } else { found.message.lines().map(line).collect() }
                        };
                    let told = until_it_says!(sandbox, OrchestrationSchedule, name, "Ready", expected, words);
                    for warning in of(number, &warnings).iter().filter(|_| expected.is_empty()) {
                        assert!(told.contains(warning.as_str()), "{warning} is not in {told}");
                    }
                }
                kind => assert_eq!(kind, "Orchestration"),
            }
        }
        for (number, document) in documents.iter().enumerate().filter(|(_, document)| is_run(document)) {
            let expected = of(number, &errors);
            // What is wrong with its definition is told there.
            if expected.is_empty() {
                continue;
            }
            sandbox.apply([document.clone()]).await;
            let name = document["metadata"]["name"].as_str().unwrap();
            let lines =
                |found: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| -> BTreeSet<String> {
                    let message = found.message.replace(", and the deadline has passed", "");
                    let path = if message.starts_with("spec.") { "" } else { "spec.type: " };
                    message.lines().map(|line| format!("{}: {path}{line}", found.reason)).collect()
                };
            until_it_says!(sandbox, Orchestration, name, "Accepted", expected, lines);
        }
    }
}
