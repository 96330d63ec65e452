//! Metadata: what goes on from an Orchestration to its Jobs and pods, and from a schedule to its runs.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use orchestrator::api::{Orchestration, OrchestrationSchedule};
use orchestrator::engine::metadata::{Allowed, Pattern, is_of_a_tool};
use serde_json::{Value, json};

use crate::support::cluster::{TestNamespace, cluster};
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{activity_with, definition, orchestration, schedule};
use crate::support::operator::Operator;
use crate::support::sandbox::Sandbox;
use crate::support::told::spec;

/// What Argo CD, Helm, Flux, Kustomize and kubectl write on objects, as they call it, and two of a user's.
const KEYS: [&str; 13] = [
    "app.kubernetes.io/instance",
    "argocd.argoproj.io/sync-wave",
    "argocd.argoproj.io/tracking-id",
    "config.kubernetes.io/origin",
    "example.com/cost",
    "helm.sh/resource-policy",
    "helm.toolkit.fluxcd.io/name",
    "kubectl.kubernetes.io/last-applied-configuration",
    "kustomize.toolkit.fluxcd.io/name",
    "link.argocd.argoproj.io/external-link",
    "meta.helm.sh/release-name",
    "reconcile.fluxcd.io/requestedAt",
    "team",
];

fn all() -> Value {
    KEYS.iter().map(|key| ((*key).to_owned(), json!("v"))).collect::<serde_json::Map<_, _>>().into()
}

fn keys(all: &BTreeMap<String, String>) -> Vec<&str> {
    let ours = |key: &&str| {
        key.starts_with("orchestrator.dev/")
            || key.starts_with("app.kubernetes.io/")
            || key.starts_with("batch.kubernetes.io/")
    };
    all.keys().map(String::as_str).filter(|key| !ours(key) || is_of_a_tool(key)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_and_its_pod_carry_what_the_operator_lets_through_and_nothing_of_any_tool() {
    for allowed in [false, true] {
        let namespace = TestNamespace::new().await;
        let pattern = |text: &str| vec![Pattern::parse(text).unwrap()];
        let operator = Operator::start_with(&namespace, |settings| {
            if allowed {
                settings.propagation =
                    Allowed { labels: pattern("team"), annotations: pattern("example.com/*") };
            }
        })
        .await;
        let _kubelet = Kubelet::start(&namespace, |_| Act::outputs(&json!({})));
        // What an author writes into a pod template is the pod's.
        let template = json!({"template": {
            "metadata": {"labels": {"helm.sh/chart": "c-1"}},
            "spec": {"schedulerName": "none", "containers": [{"name": "main", "image": "none", "command": ["true"]}]},
        }});
        namespace.create(activity_with("step", template)).await;
        namespace.create(definition("deploy", spec("activities: [{id: a, type: step}]"))).await;
        namespace.definition_ready("deploy", "True", "Ready").await;
        let mut run = orchestration("run", "deploy", json!({}));
        run["metadata"]["labels"] = all();
        run["metadata"]["annotations"] = all();
        namespace.create(run).await;
        namespace.finished("run").await;
        let (labels, annotations): (&[&str], &[&str]) =
            if allowed { (&["team"], &["example.com/cost"]) } else { (&[], &[]) };
        let job = namespace.api::<Job>().list(&ListParams::default()).await.unwrap().items.remove(0);
        assert_eq!(
            (keys(job.labels()), keys(job.annotations())),
            (labels.to_vec(), annotations.to_vec()),
            "{allowed}"
        );
        let pod = namespace.api::<Pod>().list(&ListParams::default()).await.unwrap().items.remove(0);
        let of_the_job_controller = ["controller-uid", "job-name"];
        let mut found = keys(pod.labels());
        found.retain(|key| !of_the_job_controller.contains(key));
        assert_eq!(found, [&["helm.sh/chart"], labels].concat());
        assert_eq!(keys(pod.annotations()), annotations);
        operator.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_of_a_schedule_carries_the_templates_metadata_without_that_of_tools() {
    let sandbox = Sandbox::start(|_| Act::outputs(&json!({})));
    let once = definition("deploy", json!({"activities": [{"id": "a", "type": "step"}]}));
    sandbox.apply([crate::support::objects::activity_definition("step"), once]).await;
    sandbox.ready(&["deploy"]).await;
    let template = json!({"orchestrationTemplate": {
        "metadata": {"labels": all(), "annotations": all()}, "spec": {"type": "deploy"},
    }});
    sandbox.apply([schedule("nightly", "0 * * * *", "deploy", template)]).await;
    let last = |found: &OrchestrationSchedule| {
        found.status.as_ref().and_then(|status| status.last_result.as_ref()).map(|last| last.name.clone())
    };
    let found = sandbox.until("nightly", |found: &OrchestrationSchedule| last(found).is_some()).await;
    let run = sandbox.api::<Orchestration>().get(&last(&found).unwrap()).await.unwrap();
    assert_eq!(keys(run.labels()), ["example.com/cost", "team"]);
    assert_eq!(keys(run.annotations()), ["example.com/cost", "team"]);
    // The template itself is as its user wrote it.
    assert_eq!(json!(found.spec.orchestration_template.metadata.labels), all());
}

#[test]
fn a_forbidden_key_is_refused_when_the_operator_starts() {
    for (flag, value, why) in [
        (
            "--propagate-labels",
            "team,app.kubernetes.io/instance",
            "app.kubernetes.io/instance is of a tool of deployment",
        ),
        (
            "--propagate-labels",
            "app.kubernetes.io/*",
            "app.kubernetes.io/instance is of a tool of deployment",
        ),
        (
            "--propagate-annotations",
            "argocd.argoproj.io/sync-wave",
            "argocd.argoproj.io/ is of a tool of deployment",
        ),
        ("--propagate-annotations", "orchestrator.dev/x", "orchestrator.dev/ is set by the orchestrator"),
        ("--propagate-annotations", "*", "must be a key, such as example.com/team"),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_orchestrator"))
            .args(["controller", flag, value])
            .env_remove("KUBECONFIG")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(why) && told.contains(flag), "{told}");
    }
}

#[test]
fn the_chart_hands_the_lists_to_the_operator() {
    let rendered = |set: &str| {
        let (succeeded, text) = cluster().helm(&["template", "release", "CHART", "--set", set]);
        assert!(succeeded, "{text}");
        text
    };
    let text =
        rendered("controller.propagateLabels={team,example.com/*},controller.propagateAnnotations={a.b/c}");
    assert!(text.contains("- \"--propagate-labels=team,example.com/*\"\n"), "{text}");
    assert!(text.contains("- \"--propagate-annotations=a.b/c\"\n"), "{text}");
    assert!(!rendered("replicas=1").contains("propagate"));
}
