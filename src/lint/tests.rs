//! Lint of documents that stand in files.

use super::*;
use crate::manifest::{Extent, read};

/// Writes files and lints them: what is told, the file's own name first.
fn told(files: &[(&str, &str)], options: Options) -> (Vec<String>, Report) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = directory.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    let parts = read(&[directory.path().to_owned()], Extent::Tree);
    let parts: Vec<Part> = parts.into_iter().map(Result::unwrap).collect();
    let report = lint(&parts, &options).unwrap();
    let here = format!("{}/", directory.path().display());
    (report.findings.iter().map(|finding| finding.to_string().replace(&here, "")).collect(), report)
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(told(&[("f.yaml", text)], Options::default()).0, expected, "{text}");
}

const STEP: &str = "apiVersion: orchestrator.dev/v1alpha1
kind: ActivityDefinition
metadata: {name: step}
spec: {job: {template: {spec: {containers: [{name: main, image: 'busybox:1.37'}]}}}}
";

fn definition(name: &str, activities: &str) -> String {
    format!(
        "apiVersion: orchestrator.dev/v1alpha1\nkind: OrchestrationDefinition\nmetadata: {{name: {name}}}\nspec:\n  activities:\n{activities}"
    )
}

#[test]
fn references_are_looked_up_in_all_files_and_in_their_namespace() {
    let uses = definition("d", "  - {id: a, type: step}\n");
    let elsewhere = uses.replace("name: d", "name: d, namespace: other");
    let run = "apiVersion: orchestrator.dev/v1alpha1\nkind: Orchestration\nmetadata: {generateName: r-}\nspec: {type: x}\n";
    let files =
        [("a.yaml", uses.as_str()), ("b.yaml", STEP), ("c.yaml", elsewhere.as_str()), ("d.yaml", run)];
    let (lines, report) = told(&files, Options::default());
    assert_eq!(
        lines,
        [
            "c.yaml:6: ActivityDefinitionNotFound: spec.activities[0].type: ActivityDefinition \"step\" not found in this namespace",
            "d.yaml:4: DefinitionNotFound: spec.type: OrchestrationDefinition \"x\" not found in this namespace",
        ]
    );
    assert_eq!(report.checked, 4);
    let (lines, _) = told(&files, Options { allow_missing: true, ..Options::default() });
    assert_eq!(lines, Vec::<String>::new());
}

#[test]
fn what_is_missing_hides_no_other_mistake() {
    let flow =
        definition("d", "  - {id: a, type: elsewhere}\n  - {id: b, type: elsewhere, dependsOn: [a, a, c]}\n");
    let (lines, _) = told(&[("f.yaml", &flow)], Options { allow_missing: true, ..Options::default() });
    assert_eq!(lines, ["f.yaml:7: UnknownDependency: spec.activities[1].dependsOn[2]: no activity \"c\""]);
}

#[test]
fn other_kinds_are_skipped_and_counted() {
    let text = "apiVersion: v1\nkind: ConfigMap\n---\napiVersion: v1\nkind: ConfigMap\n---\nreplicas: 1\n---\n- 1\n---\n\
                apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n";
    let (lines, report) = told(&[("f.yaml", text)], Options::default());
    assert_eq!((lines.len(), report.checked), (0, 0));
    let skipped: Vec<(&str, usize)> =
        report.skipped.iter().map(|(what, count)| (what.as_str(), *count)).collect();
    assert_eq!(
        skipped,
        [
            ("ConfigMap of v1", 2),
            ("Kustomization of kustomize.config.k8s.io/v1beta1", 1),
            ("no Kubernetes object", 2)
        ]
    );
}

#[test]
fn what_is_meant_to_be_ours_is_told() {
    check(
        "kind: Orchestration\n---\napiVersion: orchestrator.dev/v1\nkind: Orchestration\n---\n\
         apiVersion: orchestrator.dev/v1alpha1\n\nkind: Orchestraton\n---\napiVersion: orchestrator.dev/v1alpha1\n---\n\
         apiVersion: orchestrator.dev\nkind: Orchestration\n",
        &[
            "f.yaml:1: apiVersion: is required: orchestrator.dev/v1alpha1 for this kind",
            "f.yaml:3: apiVersion: there is only orchestrator.dev/v1alpha1",
            "f.yaml:8: kind: orchestrator.dev has no kind \"Orchestraton\" (did you mean \"Orchestration\"?); it has ActivityDefinition, OrchestrationDefinition, Orchestration, OrchestrationSchedule",
            "f.yaml:10: kind: is required: one of ActivityDefinition, OrchestrationDefinition, Orchestration, OrchestrationSchedule",
            "f.yaml:12: apiVersion: there is only orchestrator.dev/v1alpha1",
        ],
    );
    // The group of a document is its own, unless it is nearly ours.
    let near = |version: &str, kind: &str| {
        let ours = "did you mean \"orchestrator.dev/v1alpha1\"?";
        let expected = format!("f.yaml:1: apiVersion: there is no \"{version}\" ({ours})");
        check(&format!("apiVersion: {version}\nkind: {kind}\n"), &[&expected]);
    };
    near("Orchestrator.dev/v1alpha1", "Orchestration");
    near("ORCHESTRATOR.DEV/v1", "Whatever");
    near("orchestrater.dev/v1alpha1", "OrchestrationSchedule");
    check("apiVersion: orchestrater.dev/v1\nkind: Whatever\n", &[]);
    check("apiVersion: example.com/v1\nkind: Orchestration\n", &[]);
}

#[test]
fn documents_that_are_no_objects_are_told_where_there_is_nothing_else() {
    let object = "must be an object with apiVersion, kind and metadata";
    check("hello\n", &[&format!("f.yaml:1: {object}")]);
    check("- 1\n- 2\n---\n~\n", &[&format!("f.yaml:1: {object}")]);
    check("replicas: 1\n", &["f.yaml:1: apiVersion and kind are required, as text"]);
    let (lines, report) = told(&[("a.yaml", "hello\n"), ("b.yaml", "kind: A\n")], Options::default());
    assert_eq!(
        lines,
        [format!("a.yaml:1: {object}"), "b.yaml:1: apiVersion is required, as text".to_owned()]
    );
    assert_eq!((report.checked, report.skipped.len()), (2, 0));
    check(&format!("hello\n---\n{STEP}"), &[]);
    check("hello\n---\napiVersion: v1\nkind: ConfigMap\n", &[]);
}

#[test]
fn what_the_server_refuses_is_told_once_and_with_all_the_rest() {
    let flow = definition(
        "d",
        "  - {id: a, type: step}\n  - id: a\n    type: step\n    wen: 'true'\n    dependsOn: b\n",
    );
    check(
        &format!("{STEP}---\n{flow}"),
        &[
            "f.yaml:12: spec.activities[1]: Duplicate value: {\"id\":\"a\"}",
            "f.yaml:14: spec.activities[1].wen: unknown field (did you mean \"when\"?)",
            "f.yaml:15: UnknownDependency: spec.activities[1].dependsOn: no activity \"b\"",
        ],
    );
    let bad = STEP.replace("name: step", "name: Step");
    let uses = definition("d", "  - {id: a, type: Step}\n");
    let lines = told(&[("f.yaml", &format!("{bad}---\n{uses}"))], Options::default()).0;
    assert!(lines[0].starts_with("f.yaml:3: metadata.name: Invalid value: \"Step\": "), "{lines:?}");
    assert!(lines[1].starts_with("f.yaml:11: spec.activities[0].type: Invalid value: "), "{lines:?}");
    assert_eq!(lines.len(), 2);
}

#[test]
fn an_object_that_is_there_twice_is_told() {
    let (lines, _) = told(&[("a.yaml", STEP), ("b.yaml", STEP)], Options::default());
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("b.yaml:3: metadata.name: ActivityDefinition \"step\" stands at "),
        "{lines:?}"
    );
    assert!(lines[0].ends_with("a.yaml:1 already"), "{lines:?}");
}

#[test]
fn a_directory_for_each_environment_has_names_of_its_own() {
    let run = |input: &str| {
        format!(
            "apiVersion: orchestrator.dev/v1alpha1\nkind: Orchestration\nmetadata: {{name: r}}\nspec: {{type: d, input: {input}}}\n"
        )
    };
    let flow = |type_: &str| {
        let schema = format!("  schema: {{type: object, properties: {{n: {{type: {type_}}}}}}}\n");
        definition("d", "  - {id: a, type: step}\n") + &schema
    };
    let (number, text) = (flow("integer"), flow("string"));
    let (one, x) = (run("{n: 1}"), run("{n: x}"));
    let (lines, _) = told(
        &[
            ("base/step.yaml", STEP),
            ("dev/flow.yaml", &number),
            ("dev/run.yaml", &one),
            ("prod/flow.yaml", &text),
            ("prod/eu/run.yaml", &x),
            ("prod/us/run.yaml", &one),
        ],
        Options::default(),
    );
    assert_eq!(lines, ["prod/us/run.yaml:4: InvalidInput: spec.input.n: expected string, got integer 1"]);
}

#[test]
fn the_items_of_a_list_are_documents() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: orchestrator.dev/v1alpha1\n  kind: Orchestration\n  metadata: {name: r}\n  spec:\n    type: none\n";
    check(
        text,
        &[
            "f.yaml:8: DefinitionNotFound: spec.type: OrchestrationDefinition \"none\" not found in this namespace",
        ],
    );
}

#[test]
fn a_secret_in_plain_text_is_a_warning_and_is_not_repeated() {
    let text = format!(
        "{STEP}---\n{}---\napiVersion: orchestrator.dev/v1alpha1\nkind: Orchestration\nmetadata: {{name: r}}\nspec:\n  type: d\n  input:\n    password: hunter2\n",
        definition("d", "  - {id: a, type: step}\n")
    );
    let (lines, report) = told(&[("f.yaml", &text)], Options::default());
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].severity, Severity::Warning);
    assert!(
        lines[0].starts_with("f.yaml:19: warning: PlainSecret: spec.input.password: looks like a secret"),
        "{lines:?}"
    );
    assert!(!lines[0].contains("hunter2"));
}

#[test]
fn a_template_that_reaches_into_the_node_may_be_allowed() {
    let text = STEP.replace("{spec: {containers", "{spec: {hostPID: true, containers");
    let (lines, _) = told(&[("f.yaml", &text)], Options::default());
    assert!(
        lines[0].starts_with("f.yaml:4: ForbiddenPodField: spec.job.template.spec.hostPID: "),
        "{lines:?}"
    );
    let allowed = Options { allow_host_access: true, ..Options::default() };
    assert_eq!(told(&[("f.yaml", &text)], allowed).0, Vec::<String>::new());
}

#[test]
fn lists_of_every_kind_and_depth_are_taken_apart() {
    let orchestration = "apiVersion: orchestrator.dev/v1alpha1\n    kind: Orchestration\n    metadata: {name: x}\n    spec: {}\n";
    let nested = format!(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n  - {orchestration}"
    );
    check(&nested, &["f.yaml:10: spec.type: Required value"]);
    let of_ours = "apiVersion: orchestrator.dev/v1alpha1\nkind: OrchestrationList\nitems:\n- metadata: {name: one}\n  spec: {}\n- metadata: {name: two}\n\n  spec: {type: []}\n";
    check(
        of_ours,
        &[
            "f.yaml:5: spec.type: Required value",
            "f.yaml:8: spec.type: Invalid value: \"array\": spec.type in body must be of type string: \"array\"",
        ],
    );
}
