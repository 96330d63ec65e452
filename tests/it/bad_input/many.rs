//! Many objects that cannot be read, beside a hundred that can: the healthy ones end, and every other is told.

use futures::{StreamExt, stream};
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use orchestrator::api::{Orchestration, crds};
use orchestrator::embedded::kinds::definition::Definition;
use serde_json::{Value, json};

use super::poison::{create_raw, nested};
use crate::support::cluster::{TestNamespace, cluster};
use crate::support::kubelet::{Act, Kubelet};
use crate::support::objects::{activity_definition, definition, orchestration};
use crate::support::process::OperatorProcess;
use crate::support::sandbox::{Sandbox, Setup};
use crate::support::scene::until;
use crate::support::told::spec;

const POISON: usize = 1_000;
/// How many deep ones a real API server has to take. It pays for every level of each of them in all its caches: of 1,000
/// so many GiB that everybody else waits. This variable asks for another number.
const DEEP: usize = 200;
const DEEP_VARIABLE: &str = "ORCHESTRATOR_DEEP_OBJECTS";
const HEALTHY: usize = 100;
/// Most memory of the operator's process, in KiB: the objects alone are 14 MB as JSON.
const MOST_MEMORY: u64 = 256 * 1024;

fn healthy() -> Value {
    definition("healthy", spec("activities: [{id: a, type: t}, {id: b, type: t, dependsOn: a}]"))
}

/// Between 130 and 9,000 levels, a few of them so deep: the API server takes up to 10,000, and pays for every level in
/// each of its caches.
fn levels(number: usize, of: usize) -> usize {
    let part = 1_000 * (number + 1) / of;
    130 + (9_000 - 130) * part / 1_000 * part / 1_000 * part / 1_000
}

/// A poisonous object: its resource, and its text.
fn poisonous(number: usize, of: usize) -> (&'static str, String) {
    let deep = nested(levels(number, of));
    let (plural, kind, spec) = match number % 4 {
        0 => ("activitydefinitions", "ActivityDefinition", format!(r#"{{"job":{{"template":{deep}}}}}"#)),
        1 => (
            "orchestrationdefinitions",
            "OrchestrationDefinition",
            format!(r#"{{"activities":[{{"id":"a","type":"t","inputs":[{deep}]}}]}}"#),
        ),
        _ => ("orchestrations", "Orchestration", format!(r#"{{"type":"healthy","input":{deep}}}"#)),
    };
    let text = format!(
        r#"{{"apiVersion":"orchestrator.dev/v1alpha1","kind":"{kind}","metadata":{{"name":"poison-{number}"}},"spec":{spec}}}"#
    );
    (plural, text)
}

/// How many poisonous objects say that they are stalled.
fn told(namespace: &TestNamespace) -> usize {
    let each = r#"jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Stalled")].status}{"\n"}{end}"#;
    let kinds = "activitydefinitions,orchestrationdefinitions,orchestrations";
    let printed = cluster().kubectl(&["-n", &namespace.name, "get", kinds, "-o", each]);
    printed.lines().filter(|line| line.starts_with("poison-") && line.ends_with(" True")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_objects_are_told_and_a_hundred_healthy_ones_end() {
    let deep = std::env::var(DEEP_VARIABLE).map_or(DEEP, |number| number.parse().unwrap());
    let namespace = TestNamespace::new().await;
    let _kubelet = Kubelet::start(&namespace, |_| Act::outputs(&json!({})));
    let make = |numbers: std::ops::Range<usize>| {
        let namespace = &namespace;
        stream::iter(numbers).for_each_concurrent(16, move |number| async move {
            let (plural, text) = poisonous(number, deep);
            create_raw(namespace, plural, &text).await;
        })
    };
    // One half is there before the operator, the other comes while it works.
    make(0..deep / 2).await;
    let operator = OperatorProcess::start(&namespace).await;
    namespace.create(activity_definition("t")).await;
    namespace.create(healthy()).await;
    namespace.definition_ready("healthy", "True", "Ready").await;
    let runs = async {
        for number in 0..HEALTHY {
            namespace.create(orchestration(&format!("run-{number}"), "healthy", json!({}))).await;
        }
    };
    tokio::join!(make(deep / 2..deep), runs);
    for number in 0..HEALTHY {
        let finished = namespace.finished(&format!("run-{number}")).await;
        assert_eq!(finished.status.unwrap().state.as_deref(), Some("Succeeded"), "run-{number}");
    }
    until("every poisonous object is told", || async { (told(&namespace) == deep).then_some(()) }).await;
    let most = operator.memory("VmHWM");
    println!("{deep} deep objects beside {HEALTHY} healthy runs: at most {} MiB", most / 1024);
    assert!(most < MOST_MEMORY, "{most} KiB");
    assert_eq!(operator.terminate().await.code(), Some(0));
}

/// CustomResourceDefinitions that let any spec and status through, as an earlier version's might have.
fn loose_crds() -> Vec<Definition> {
    let loose = |crd| {
        let mut crd = serde_json::to_value(crd).unwrap();
        let properties = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        for part in ["spec", "status"] {
            properties[part] = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        }
        Definition::compile(&crd).unwrap()
    };
    crds().into_iter().map(loose).collect()
}

/// Objects with something of a wrong type, each at another place.
fn ill_typed(number: usize) -> Value {
    let wrong = [
        ("Orchestration", json!({"type": 5})),
        ("Orchestration", json!({"type": "healthy", "input": [1]})),
        ("Orchestration", json!({"type": "healthy", "suspend": "yes"})),
        ("Orchestration", json!({"type": "healthy", "activeDeadlineSeconds": "1h"})),
        ("Orchestration", json!({"input": {}})),
        ("OrchestrationDefinition", json!({"activities": "none"})),
        ("OrchestrationDefinition", json!({"activities": [{"id": 1, "type": "t"}]})),
        ("OrchestrationDefinition", json!({"activities": [{"id": "a", "type": "t", "retry": true}]})),
        ("ActivityDefinition", json!({"job": 7})),
        ("ActivityDefinition", json!({"job": {"template": {}}, "timeoutSeconds": -0.5})),
    ];
    let (kind, spec) = &wrong[number % wrong.len()];
    json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": kind, "metadata": {"name": format!("wrong-{number}")},
        "spec": spec, "status": {"conditions": number},
    })
}

#[tokio::test(start_paused = true)]
async fn a_thousand_ill_typed_objects_are_told_and_a_hundred_healthy_ones_end() {
    let sandbox = Sandbox::start_as(Setup { definitions: loose_crds(), ..Setup::default() }, |_| {
        Act::outputs(&json!({}))
    });
    sandbox.apply((0..POISON / 2).map(ill_typed)).await;
    sandbox.apply([activity_definition("t"), healthy()]).await;
    sandbox.ready(&["healthy"]).await;
    sandbox
        .apply((0..HEALTHY).map(|number| orchestration(&format!("run-{number}"), "healthy", json!({}))))
        .await;
    sandbox.apply((POISON / 2..POISON).map(ill_typed)).await;
    for number in 0..HEALTHY {
        let finished: Orchestration = sandbox.finished(&format!("run-{number}")).await;
        assert_eq!(finished.status.unwrap().state.as_deref(), Some("Succeeded"), "run-{number}");
    }
    let mut told = 0;
    for kind in ["Orchestration", "OrchestrationDefinition", "ActivityDefinition"] {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("orchestrator.dev", "v1alpha1", kind));
        let api: Api<DynamicObject> = Api::default_namespaced_with(sandbox.client.clone(), &resource);
        for object in api.list(&ListParams::default()).await.unwrap() {
            let name = object.metadata.name.clone().unwrap();
            if !name.starts_with("wrong-") {
                continue;
            }
            let conditions = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let stalled = conditions.iter().find(|condition| condition["type"] == "Stalled");
            let stalled = stalled.unwrap_or_else(|| panic!("{name}: {object:?}"));
            assert_eq!(
                (&stalled["status"], &stalled["reason"]),
                (&json!("True"), &json!("Unreadable")),
                "{name}"
            );
            let message = stalled["message"].as_str().unwrap();
            assert!(message.starts_with("the object cannot be read: "), "{name}: {message}");
            told += 1;
        }
    }
    assert_eq!(told, POISON);
}
