//! Activities that misbehave: nothing but they themselves comes to harm.

use serde_json::{Value, json};

use super::{errors, in_file, run};

/// What an activity does, and what is said of it.
const CASES: [(&str, &str, &str); 8] = [
    ("good", "true", ""),
    ("shouts", "head -c 100000000 /dev/zero | tr '\\0' x; exit 4", "ExitCode: exit code 4"),
    ("babbles", "head -c 1000000 /dev/zero | tr '\\0' x > $ORCHESTRATOR_OUTPUT_FILE", "OutputInvalid: "),
    ("forks", "(trap '' TERM HUP; exec sleep 1000) & exit 5", "ExitCode: exit code 5"),
    ("mute", "exec >&- 2>&-; exit 6", "ExitCode: exit code 6"),
    ("killed", "kill -KILL $$$$", "ExitCode: exit code 137"),
    ("unknown", "no-such-program", "ExitCode: exit code 127"),
    ("deaf", "trap '' TERM; while :; do sleep 0.05; done", "DeadlineExceeded: "),
];

fn documents() -> String {
    let kind = |kind: &str, name: &str, spec: Value| {
        let object = json!({"apiVersion": "orchestrator.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        format!("{object}\n---\n")
    };
    let of = |(name, script, _): &(&str, &str, &str)| {
        let container = json!({"name": "main", "image": "none", "command": ["sh", "-c", script]});
        let template = json!({"spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}});
        let activities = json!([{"id": "only", "type": name}]);
        let definition = json!({"activities": activities, "output": [{"source": "only.n"}]});
        let definition = if *name == "babbles" { definition } else { json!({"activities": activities}) };
        let deadline = if *name == "deaf" {
            json!({"type": name, "activeDeadlineSeconds": 2})
        } else {
            json!({"type": name})
        };
        kind("ActivityDefinition", name, json!({"job": {"template": template}}))
            + &kind("OrchestrationDefinition", name, definition)
            + &kind("Orchestration", name, deadline)
    };
    CASES.iter().map(of).collect()
}

#[test]
fn an_activity_that_misbehaves_harms_no_other() {
    let (_directory, file) = in_file(&documents());
    let output = run(&[&file, "--timeout", "120s", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (item, (name, _, expected)) in list["items"].as_array().unwrap().iter().zip(&CASES) {
        assert_eq!(item["metadata"]["name"], **name);
        let activity = &item["status"]["activities"]["only"];
        let said = format!(
            "{}: {}",
            activity["reason"].as_str().unwrap_or_default(),
            activity["message"].as_str().unwrap_or_default()
        );
        if expected.is_empty() {
            assert_eq!(item["status"]["state"], "Succeeded", "{item}");
        } else {
            assert!(said.starts_with(expected) && item["status"]["state"] == "Failed", "{name}: {item}");
        }
    }
}
