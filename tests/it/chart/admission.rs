//! What the API server refuses itself: the messages that people see, and that nothing is refused that the engine takes.

use kube::api::{Api, DeleteParams, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use orchestrator::embedded::random::Random;
use orchestrator::engine::definition::{TypeState, compile};
use serde_json::{Value, json};

use super::rendered;
use crate::support::cluster::{TestNamespace, cluster};
use crate::support::scene::until;

/// The policies, at work in one namespace alone.
struct Policies {
    namespace: TestNamespace,
    made: Vec<(ApiResource, String)>,
}

impl Policies {
    /// Installs them under names of their own, and waits until they act.
    async fn install() -> Self {
        Self::install_in(TestNamespace::new().await).await
    }

    async fn install_in(namespace: TestNamespace) -> Self {
        let selector = format!(
            r#"admission.namespaceSelector={{"matchLabels":{{"kubernetes.io/metadata.name":"{}"}}}}"#,
            namespace.name
        );
        let name = format!("fullnameOverride={}", namespace.name);
        let all = rendered(&["--set", &name, "--set-json", &selector]);
        let mut made = Vec::new();
        for policy in
            all.into_iter().filter(|one| one["kind"].as_str().unwrap().starts_with("ValidatingAdmission"))
        {
            let kind = policy["kind"].as_str().unwrap().to_owned();
            let resource =
                ApiResource::from_gvk(&GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", &kind));
            let api: Api<DynamicObject> = Api::all_with(namespace.client.clone(), &resource);
            let object: DynamicObject = serde_json::from_value(policy).unwrap();
            let created = api.create(&PostParams::default(), &object).await.unwrap();
            made.push((resource, created.metadata.name.unwrap()));
        }
        assert_eq!(made.len(), 4, "two policies and their bindings");
        let policies = Self { namespace, made };
        // A new policy takes a while to act.
        for (kind, spec) in [
            ("OrchestrationDefinition", json!({"activities": [{"id": "a", "type": "t", "dependsOn": "a"}]})),
            ("ActivityDefinition", activity(json!({"hostNetwork": true}))),
        ] {
            until("the policies act", || async { policies.refusal(kind, &spec).await.map(|_| ()) }).await;
        }
        policies
    }

    /// Why the server refuses a spec; nothing if it takes it. Nothing is stored.
    async fn refusal(&self, kind: &str, spec: &Value) -> Option<String> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("orchestrator.dev", "v1alpha1", kind));
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.namespace.client.clone(), &self.namespace.name, &resource);
        let object = json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": kind, "metadata": {"name": "tried"}, "spec": spec,
        });
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        match api.create(&dry, &object).await {
            Ok(_) => None,
            Err(kube::Error::Api(status)) => Some(status.message.clone()),
            Err(error) => panic!("{error}"),
        }
    }

    async fn remove(self) {
        for (resource, name) in self.made {
            let api: Api<DynamicObject> = Api::all_with(self.namespace.client.clone(), &resource);
            api.delete(&name, &DeleteParams::default()).await.unwrap();
        }
    }
}

fn activity(pod: Value) -> Value {
    let mut spec = json!({"containers": [{"name": "main", "image": "busybox:1.37"}]});
    for (key, value) in pod.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({"provider": "p", "job": {"template": {"spec": spec}}})
}

/// A definition of so many activities, with the dependencies that `edges` gives each.
fn graph(size: usize, mut edges: impl FnMut(usize) -> Vec<usize>) -> Value {
    let activities: Vec<Value> = (0..size)
        .map(|at| {
            let names: Vec<String> = edges(at).iter().map(|to| format!("a{to}")).collect();
            match names.as_slice() {
                [] => json!({"id": format!("a{at}"), "type": "t"}),
                // The short form too.
                [one] if at % 2 == 0 => json!({"id": format!("a{at}"), "type": "t", "dependsOn": one}),
                _ => json!({"id": format!("a{at}"), "type": "t", "dependsOn": names}),
            }
        })
        .collect();
    json!({"activities": activities})
}

/// Whether the engine has anything against the graph.
fn is_sound(spec: &Value) -> bool {
    let spec = serde_json::from_value(spec.clone()).unwrap();
    let problems = compile(&spec, |_| TypeState::Missing).map_or_else(|problems| problems, |_| Vec::new());
    problems.iter().all(|problem| problem.to_string().starts_with("ActivityDefinitionNotFound"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_are_refused_where_they_are_made_and_nothing_else_is() {
    let policies = Policies::install().await;
    let definition = |spec: Value| {
        let policies = &policies;
        async move { policies.refusal("OrchestrationDefinition", &spec).await.unwrap_or_default() }
    };
    let told = definition(json!({"activities": [
        {"id": "build", "type": "t"}, {"id": "test", "type": "t", "dependsOn": ["biuld", "build"]},
        {"id": "ship", "type": "t", "dependsOn": "tset"},
    ]}))
    .await;
    assert!(
        told.contains(
            "spec.activities: \"test\" depends on \"biuld\", and there is no such activity; \"ship\" depends on \"tset\", \
             and there is no such activity"
        ),
        "{told}"
    );
    let told = definition(json!({"activities": [{"id": "a", "type": "t", "dependsOn": "a"}]})).await;
    assert!(told.contains("spec.activities: \"a\" must not depend on itself"), "{told}");
    let ring = graph(3, |at| vec![(at + 1) % 3]);
    let told = definition(ring).await;
    assert!(told.contains("spec.activities: dependency cycle among \"a0\", \"a1\", \"a2\""), "{told}");
    // A cycle of 40 behind 20 tiers, and one among 300 activities.
    let told = definition(graph(60, |at| match at {
        0 => Vec::new(),
        20 => vec![19, 59],
        _ => vec![at - 1],
    }))
    .await;
    assert!(told.contains("dependency cycle among"), "{told}");
    let layered = |at: usize| -> Vec<usize> {
        if at < 10 { Vec::new() } else { (0..4).map(|n| at / 10 * 10 - 10 + n).collect() }
    };
    let told = definition(graph(300, |at| if at == 0 { vec![299] } else { layered(at) })).await;
    assert!(told.contains("dependency cycle among"), "{told}");
    assert_eq!(definition(graph(300, layered)).await, "");
    // Too large for the budget: admitted, and the condition tells.
    assert_eq!(definition(graph(1000, |at| vec![(at + 1) % 1000])).await, "");
    let typed = cluster().kubectl(&["get", "validatingadmissionpolicies", "-o", "json"]);
    let typed: Value = serde_json::from_str(&typed).unwrap();
    for policy in typed["items"].as_array().unwrap() {
        if policies.made.iter().any(|(_, name)| policy["metadata"]["name"] == **name) {
            assert_eq!(policy["status"]["typeChecking"]["expressionWarnings"], Value::Null, "{policy}");
        }
    }
    let told = definition(json!({
        "activities": [{"id": "a", "type": "t"}],
        "finally": [{"id": "y", "type": "t"}, {"id": "z", "type": "t", "dependsOn": ["y", "a"]}],
    }))
    .await;
    assert!(told.contains("spec.finally: \"z\" must depend on others in spec.finally only"), "{told}");
    let told = definition(json!({"activities": [
        {"id": "a", "type": "t"}, {"id": "b", "type": "t", "dependsOn": ["a", 3]},
    ]}))
    .await;
    assert!(told.contains("\"b\" depends on \"3\", and there is no such activity"), "{told}");
    never_false(&policies).await;
    policies.remove().await;
}

/// Random graphs: what the engine takes is never refused, and what is refused the engine does not take.
async fn never_false(policies: &Policies) {
    let mut random = Random::from_seed(7);
    let mut below = |bound: usize| usize::try_from(random.bits() >> 33).unwrap() % bound;
    let (mut refused, mut taken, mut missed) = (0, 0, 0);
    for _ in 0..150 {
        let size = 1 + below(40);
        let acyclic = below(2) == 0;
        let density = 1 + below(4);
        let mut edges: Vec<Vec<usize>> = Vec::new();
        for at in 0..size {
            let mut of: Vec<usize> = Vec::new();
            for _ in 0..below(density + 1) {
                if acyclic && at == 0 {
                    continue;
                }
                // Now and then one that does not exist.
                let more = usize::from(below(30) == 0);
                let to = if acyclic { below(at) } else { below(size + more) };
                if !of.contains(&to) {
                    of.push(to);
                }
            }
            edges.push(of);
        }
        let spec = graph(size, |at| edges[at].clone());
        let refusal = policies.refusal("OrchestrationDefinition", &spec).await;
        match (is_sound(&spec), refusal) {
            (true, None) => taken += 1,
            (true, Some(why)) => panic!("refused without a reason: {why}\n{spec}"),
            (false, Some(_)) => refused += 1,
            (false, None) => missed += 1,
        }
    }
    println!("{taken} sound graphs taken, {refused} of {} others refused", refused + missed);
    assert!(taken > 30 && refused > 30, "{taken} {refused}");
    assert_eq!(missed, 0, "so small ones are all found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_reach_into_the_node_are_refused() {
    let policies = Policies::install().await;
    let refusal = |pod: Value| {
        let policies = &policies;
        async move { policies.refusal("ActivityDefinition", &activity(pod)).await.unwrap_or_default() }
    };
    let flag = "reaches into the node, and the operator runs without --allow-host-access";
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        let told = refusal(json!({field: true})).await;
        assert!(
            told.contains(&format!("spec.job.template.spec.{field}: must not be set: it {flag}")),
            "{told}"
        );
        assert_eq!(refusal(json!({field: false})).await, "");
    }
    let told = refusal(json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]})).await;
    assert!(
        told.contains(&format!("spec.job.template.spec.volumes: must not have a hostPath: it {flag}")),
        "{told}"
    );
    assert_eq!(refusal(json!({"volumes": [{"name": "v", "emptyDir": {}}]})).await, "");
    let privileged = json!([{"name": "bad", "image": "i", "securityContext": {"privileged": true}}]);
    for list in ["containers", "initContainers"] {
        let told = refusal(json!({list: privileged})).await;
        assert!(told.contains("the containers \"bad\" must not be privileged"), "{list}: {told}");
    }
    assert_eq!(refusal(json!({"securityContext": {"runAsNonRoot": true}})).await, "");
    let nameless = json!([{"image": "i", "securityContext": {"privileged": true}}]);
    let told = refusal(json!({"initContainers": null, "containers": nameless})).await;
    assert!(told.contains("the containers \"?\" must not be privileged"), "{told}");
    // What has the wrong type is the operator's to tell.
    assert_eq!(refusal(json!({"volumes": "none"})).await, "");
    policies.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_there_before_the_policies_can_be_labelled_and_deleted_but_not_made_worse() {
    let namespace = TestNamespace::new().await;
    let ring = |extra: &str| {
        json!({
            "apiVersion": "orchestrator.dev/v1alpha1", "kind": "OrchestrationDefinition", "metadata": {"name": "ring"},
            "spec": {"description": extra, "activities": [
                {"id": "a", "type": "t", "dependsOn": "b"}, {"id": "b", "type": "t", "dependsOn": "a"},
            ]},
        })
    };
    let host = json!({
        "apiVersion": "orchestrator.dev/v1alpha1", "kind": "ActivityDefinition", "metadata": {"name": "host"},
        "spec": activity(json!({"hostNetwork": true})),
    });
    namespace.create(ring("before")).await;
    namespace.create(host).await;
    let policies = Policies::install_in(namespace).await;
    let name = policies.namespace.name.clone();
    let both = ["orchdef/ring", "actdef/host"];
    cluster().kubectl(&["-n", &name, "label", both[0], both[1], "team=dns"]);
    let arguments = ["apply", "--server-side", "--force-conflicts", "-n", &name];
    let (taken, said) = cluster().kubectl_on(&ring("after").to_string(), &arguments);
    assert!(!taken && said.contains("dependency cycle among"), "{said}");
    // Foreground deletion takes finalizers away by an update, as Argo CD's prune does.
    let deletion = ["-n", &name, "delete", "--cascade=foreground", "--timeout=60s"];
    cluster().kubectl(&[deletion.as_slice(), &both].concat());
    policies.remove().await;
}
