//! What the API server refuses at once, by the schemas and rules of our CRDs, in kubectl's words.

use crate::support::cluster::TestNamespace;
use crate::support::told::{kubectl_create, yaml};

/// What is refused of a kind, and why.
fn check(namespace: &TestNamespace, kind: &str, cases: &[(String, &str)]) {
    let name = "bad";
    let documents: Vec<String> = cases.iter().map(|(spec, _)| yaml(kind, name, spec)).collect();
    let told = kubectl_create(namespace, &documents);
    for ((spec, why), told) in cases.iter().zip(&told) {
        assert_eq!(*told, sentence(kind, name, why), "{spec}");
    }
    assert_eq!(told.len(), cases.len(), "{told:?}");
}

/// What is wrong with a value stands behind the name of the object; what cannot be read has another sentence.
fn sentence(kind: &str, name: &str, why: &str) -> String {
    if why.starts_with("unknown field") {
        format!("{kind} in version \"v1alpha1\" cannot be handled as a {kind}: strict decoding error: {why}")
    } else {
        format!("{kind}.orchestrator.dev \"{name}\" is invalid: {why}")
    }
}

fn activity(fields: &str) -> String {
    format!("{{activities: [{{{fields}}}]}}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_has_activities_each_with_an_id_of_its_own() {
    let namespace = TestNamespace::new().await;
    let many: Vec<String> = (0..1001).map(|at| format!("{{id: a{at}, type: t}}")).collect();
    check(
        &namespace,
        "OrchestrationDefinition",
        &[
            ("{}".to_owned(), "spec.activities: Required value"),
            (
                "{activities: []}".to_owned(),
                "spec.activities: Invalid value: 0: spec.activities in body should have at least 1 items",
            ),
            (
                "{activities: [{id: a, type: t}, {id: b, type: t}, {id: c, type: t}, {id: a, type: t}]}"
                    .to_owned(),
                "spec.activities[3]: Duplicate value: {\"id\":\"a\"}",
            ),
            (
                format!("{{activities: [{}]}}", many.join(", ")),
                "spec.activities: Too many: 1001: must have at most 1000 items",
            ),
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_is_a_short_name_in_lower_case() {
    let namespace = TestNamespace::new().await;
    let invalid = |id: &str| {
        format!(
            "spec.activities[0].id: Invalid value: \"{id}\": spec.activities[0].id in body should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'"
        )
    };
    let mistyped = |type_: &str| {
        format!(
            "spec.activities[0].id: Invalid value: \"{type_}\": spec.activities[0].id in body must be of type string: \"{type_}\""
        )
    };
    let mut cases: Vec<(String, String)> =
        ["a b", "A", "aB", "é", "🦀", "..", "a.b", "a/b", "-a", "a-", "a_b", "a[0]"]
            .iter()
            .map(|id| (activity(&format!("id: \"{id}\", type: t")), invalid(id)))
            .collect();
    // Nothing that turns the direction of writing reaches a terminal.
    cases.push((activity("id: \"a\u{202e}b\", type: t"), invalid("a\\u202eb")));
    cases.push((
        activity("id: \"\", type: t"),
        "spec.activities[0].id: Invalid value: \"\": spec.activities[0].id in body should be at least 1 chars long"
            .to_owned(),
    ));
    cases.push((
        activity(&format!("id: {}, type: t", "a".repeat(64))),
        "spec.activities[0].id: Too long: may not be more than 63 bytes".to_owned(),
    ));
    cases.push((activity("type: t"), "spec.activities[0].id: Required value".to_owned()));
    // What YAML reads as something else than text.
    cases.extend(
        ["y", "on", "n", "off", "yes", "true"]
            .map(|id| (activity(&format!("id: {id}, type: t")), mistyped("boolean"))),
    );
    cases.push((activity("id: 1, type: t"), mistyped("integer")));
    let cases: Vec<(String, &str)> = cases.iter().map(|(spec, why)| (spec.clone(), why.as_str())).collect();
    check(&namespace, "OrchestrationDefinition", &cases);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_never_leaves_its_namespace() {
    let namespace = TestNamespace::new().await;
    let pattern = r"'^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'";
    let why = |path: &str, value: &str| {
        format!("{path}: Invalid value: \"{value}\": {path} in body should match {pattern}")
    };
    let path = "spec.activities[0].type";
    check(
        &namespace,
        "OrchestrationDefinition",
        &[
            (activity("id: a, type: other/x"), &why(path, "other/x")),
            (activity("id: a, type: ../x"), &why(path, "../x")),
            (activity("id: a, type: t, namespace: other"), "unknown field \"spec.activities[0].namespace\""),
        ],
    );
    check(
        &namespace,
        "Orchestration",
        &[
            ("{type: other/x}".to_owned(), &why("spec.type", "other/x")),
            ("{type: X}".to_owned(), &why("spec.type", "X")),
            ("{type: x, namespace: other}".to_owned(), "unknown field \"spec.namespace\""),
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_field_is_refused_by_its_path() {
    let namespace = TestNamespace::new().await;
    check(
        &namespace,
        "OrchestrationDefinition",
        &[
            (activity("id: a, type: t, dependOn: b"), "unknown field \"spec.activities[0].dependOn\""),
            (
                "{activitys: [], activities: [{id: a, type: t}]}".to_owned(),
                "unknown field \"spec.activitys\"",
            ),
        ],
    );
    // What a pod may do is the ActivityDefinition's alone.
    check(
        &namespace,
        "Orchestration",
        &[
            ("{type: t, serviceAccountName: admin}".to_owned(), "unknown field \"spec.serviceAccountName\""),
            (
                "{type: t, template: {spec: {hostNetwork: true}}, image: x}".to_owned(),
                "unknown field \"spec.image\", unknown field \"spec.template\"",
            ),
        ],
    );
    check(
        &namespace,
        "ActivityDefinition",
        &[(
            "{job: {template: {}, exitCode: {fatal: [2]}}}".to_owned(),
            "unknown field \"spec.job.exitCode\"",
        )],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_has_its_type_and_its_bounds() {
    let namespace = TestNamespace::new().await;
    let with = |field: &str| format!("{{{field}, activities: [{{id: a, type: t}}]}}");
    let seconds = "spec.activeDeadlineSeconds";
    let at_least = "in body should be greater than or equal to 1";
    let zero = format!("{seconds}: Invalid value: 0: {seconds} {at_least}");
    let negative = format!("{seconds}: Invalid value: -1: {seconds} {at_least}");
    let large = format!(
        "{seconds}: Invalid value: 31536001: {seconds} in body should be less than or equal to 31536000"
    );
    let text = format!(
        "{seconds}: Invalid value: \"string\": {seconds} in body must be of type integer: \"string\""
    );
    let inputs: Vec<String> = (0..101).map(|at| format!("i{at}")).collect();
    check(
        &namespace,
        "OrchestrationDefinition",
        &[
            (with("activeDeadlineSeconds: 0"), &zero),
            (with("activeDeadlineSeconds: -1"), &negative),
            (with("activeDeadlineSeconds: 31536001"), &large),
            (with("activeDeadlineSeconds: \"5m\""), &text),
            (
                with("parallelism: 0"),
                "spec.parallelism: Invalid value: 0: spec.parallelism in body should be greater than or equal to 1",
            ),
            (
                with("execution: Lazy"),
                "spec.execution: Unsupported value: \"Lazy\": supported values: \"Eager\", \"Tiered\"",
            ),
            (
                activity(&format!("id: a, type: t, inputs: [{}]", inputs.join(", "))),
                "spec.activities[0].inputs: Too many: 101: must have at most 100 items",
            ),
            (
                activity("id: a, type: t, discriminator: \"a b\""),
                "spec.activities[0].discriminator: Invalid value: \"a b\": spec.activities[0].discriminator in body should match '^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'",
            ),
        ],
    );
    check(
        &namespace,
        "Orchestration",
        &[
            ("{type: t, activeDeadlineSeconds: 0}".to_owned(), &zero),
            ("{type: t, activeDeadlineSeconds: -1}".to_owned(), &negative),
            ("{type: t, activeDeadlineSeconds: 31536001}".to_owned(), &large),
            (
                format!("{{type: t, correlationId: {}}}", "c".repeat(257)),
                "[spec.correlationId: Too long: may not be more than 256 bytes, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]",
            ),
        ],
    );
    let fatal = "spec.job.exitCodes.fatal";
    check(
        &namespace,
        "ActivityDefinition",
        &[
            (
                "{job: {template: {}, exitCodes: {fatal: [0]}}}".to_owned(),
                &format!(
                    "{fatal}[0]: Invalid value: 0: {fatal}[0] in body should be greater than or equal to 1"
                ),
            ),
            (
                "{job: {template: {}, exitCodes: {fatal: [256]}}}".to_owned(),
                &format!(
                    "{fatal}[0]: Invalid value: 256: {fatal}[0] in body should be less than or equal to 255"
                ),
            ),
            (
                "{job: {template: {}, exitCodes: {fatal: [2, 2]}}}".to_owned(),
                &format!("{fatal}[1]: Duplicate value: 2"),
            ),
            ("{job: {}}".to_owned(), "spec.job.template: Required value"),
        ],
    );
}
