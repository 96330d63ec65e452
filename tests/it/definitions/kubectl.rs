//! What kubectl shows of our kinds.

use serde_json::json;

use crate::support::cluster::{TestNamespace, cluster};
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{definition, orchestration};
use crate::support::operator::Operator;
use crate::support::told::spec;

/// What `kubectl get` prints, a line each, its cells parted by bars. What depends on the time is not shown.
fn get(namespace: &TestNamespace, arguments: &[&str]) -> Vec<String> {
    let all: Vec<&str> = ["-n", &namespace.name, "get"].iter().chain(arguments).copied().collect();
    let printed = cluster().kubectl(&all);
    let mut columns: Vec<(usize, &str)> = Vec::new();
    let mut lines = Vec::new();
    for line in printed.lines().filter(|line| !line.is_empty()) {
        if line.starts_with("NAME ") {
            // Cells begin below their headings.
            let headings = line.split_whitespace();
            columns = headings.map(|heading| (line.find(heading).unwrap(), heading)).collect();
        }
        let ends = columns.iter().skip(1).map(|(begin, _)| *begin).chain([line.len()]);
        let cells =
            columns.iter().zip(ends).filter(|((_, heading), _)| !["AGE", "DURATION"].contains(heading));
        let cells: Vec<&str> =
            cells.map(|((begin, _), end)| line.get(*begin..end).unwrap_or_default().trim()).collect();
        lines.push(if columns.is_empty() {
            line.to_owned()
        } else {
            cells.join(" | ").trim_end().to_owned()
        });
    }
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_columns_tell_at_a_glance_how_things_are() {
    let namespace = TestNamespace::new().await;
    let _operator = Operator::start(&namespace).await;
    let _kubelet = Kubelet::start(&namespace, |work| match work.input["fail"].as_bool() {
        Some(true) => Act::Fail(3, "Error", "no such tenant".to_owned()),
        _ => Act::outputs(&json!({})),
    });
    namespace.type_that_is_known("t").await;
    namespace
        .create(json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": "agent"},
            "spec": {"provider": "dns.example.com"},
        }))
        .await;
    namespace.create(definition("d", spec("activities: [{id: a, type: t, inputs: [fail]}]"))).await;
    namespace.create(definition("off", spec("{active: false, activities: [{id: a, type: t}]}"))).await;
    namespace.create(definition("lost", spec("activities: [{id: a, type: nowhere}]"))).await;
    namespace.create(orchestration("bad", "d", json!({"fail": true}))).await;
    namespace.create(orchestration("good", "d", json!({}))).await;
    namespace.create(orchestration("waits", "lost", json!({}))).await;
    namespace.finished("bad").await;
    namespace.finished("good").await;
    namespace.activity_ready("agent", "False").await;
    namespace.definition_ready("lost", "False", "ActivityDefinitionNotFound").await;
    cluster().kubectl(&[
        "-n",
        &namespace.name,
        "wait",
        "--for=jsonpath={.status.conditions[0].reason}=DefinitionNotReady",
        "--timeout=60s",
        "orch/waits",
    ]);
    assert_eq!(
        get(&namespace, &["orch,orchdef,actdef"]),
        [
            "NAME | TYPE | STATE | PROGRESS",
            "orchestration.orchestrator.dev/bad | d | Failed | 0/1",
            "orchestration.orchestrator.dev/good | d | Succeeded | 1/1",
            "orchestration.orchestrator.dev/waits | lost | Pending |",
            "NAME | READY | REASON | ACTIVE",
            "orchestrationdefinition.orchestrator.dev/d | True | Ready | true",
            "orchestrationdefinition.orchestrator.dev/knows-t | True | Ready | true",
            "orchestrationdefinition.orchestrator.dev/lost | False | ActivityDefinitionNotFound | true",
            "orchestrationdefinition.orchestrator.dev/off | True | Ready | false",
            "NAME | READY | REASON | PROVIDER",
            "activitydefinition.orchestrator.dev/agent | False | NoMessageBus | dns.example.com",
            "activitydefinition.orchestrator.dev/t | True | Ready |",
        ]
    );
    assert_eq!(
        get(&namespace, &["orch", "-o", "wide"]),
        [
            "NAME | TYPE | STATE | PROGRESS | MESSAGE",
            "bad | d | Failed | 0/1 | activity \"a\" failed: ExitCode: exit code 3 (Error): no such tenant",
            "good | d | Succeeded | 1/1 | the only activity has succeeded",
            "waits | lost | Pending |  | OrchestrationDefinition \"lost\" is not ready: ActivityDefinitionNotFound: spec.activities[0].type: ActivityDefinition \"nowhere\" not found in this namespace",
        ]
    );
    // Categories and full names.
    assert_eq!(get(&namespace, &["orchestrator", "-o", "name"]).len(), 9);
    for name in ["orchestrations", "orchestrationdefinitions", "activitydefinitions"] {
        assert!(!get(&namespace, &[name, "-o", "name"]).is_empty());
    }

    let named = |selector: &str| get(&namespace, &["orch", "-o", "name", "--field-selector", selector]);
    assert_eq!(named("spec.type=d,status.state=Failed"), ["orchestration.orchestrator.dev/bad"]);
    assert_eq!(named("spec.type=d,status.state!=Failed"), ["orchestration.orchestrator.dev/good"]);
    assert_eq!(named("spec.type=lost"), ["orchestration.orchestrator.dev/waits"]);
    assert_eq!(named("status.state=Running"), Vec::<String>::new());
}

#[test]
fn explain_documents_every_field() {
    let fields = |path: &str| -> Vec<String> {
        let explained = cluster().kubectl(&["explain", path]);
        let listed = explained.split_once("FIELDS:\n").unwrap().1;
        let is_field = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
        listed.lines().filter(is_field).map(|line| line.trim().replace('\t', " ")).collect()
    };
    assert_eq!(
        fields("orchestration.spec"),
        [
            "activeDeadlineSeconds <integer>",
            "correlationId <string>",
            "input <Object>",
            "resumeFrom <string>",
            "shutdown <string>",
            "enum: Stop, Terminate",
            "suspend <boolean>",
            "ttlSecondsAfterFinished <integer>",
            "type <string> -required-",
        ]
    );
    let explained = cluster().kubectl(&["explain", "orchestration.spec.activeDeadlineSeconds"]);
    let words = explained.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        words,
        "GROUP: orchestrator.dev KIND: Orchestration VERSION: v1alpha1 \
         FIELD: activeDeadlineSeconds <integer> \
         DESCRIPTION: How long this Orchestration may take, in seconds from its creation, 1 to 31536000. \
         The smaller of this and the definition's counts."
    );
    assert_eq!(
        fields("orchdef.spec.activities"),
        [
            "dependsOn <Object>",
            "discriminator <string>",
            "id <string> -required-",
            "inputs <[]Object>",
            "retry <Object>",
            "startingDeadlineSeconds <integer>",
            "timeoutSeconds <integer>",
            "type <string> -required-",
            "when <string>",
        ]
    );
    for path in ["orchestration.status", "orchdef.spec", "orchdef.status", "actdef.spec", "actdef.spec.job"] {
        let explained = cluster().kubectl(&["explain", path]);
        assert!(!explained.contains("<no description>"), "{explained}");
    }
}

#[test]
fn the_crds_are_applied_without_a_warning() {
    let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "crds/"];
    let output = cluster().kubectl_command().args(arguments).output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let applied = String::from_utf8_lossy(&output.stdout).lines().count();
    assert_eq!(applied, orchestrator::api::crds().len());
}
