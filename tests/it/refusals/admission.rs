//! Admission: policies, webhooks and Pod Security that refuse a Job or its pod.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, PostParams};
use orchestrator::api::orchestration::ActivityState;
use serde_json::{Value, json};

use crate::outcomes::condition;
use crate::support::cluster::TestNamespace;
use crate::support::kubelet::Act;
use crate::support::scene::{Scene, until};

/// Creates a cluster-wide object that goes with the namespace.
async fn create<K>(namespace: &TestNamespace, mut object: Value)
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>
        + serde::de::DeserializeOwned
        + serde::Serialize
        + Clone
        + std::fmt::Debug,
{
    let owner = Api::<Namespace>::all(namespace.client.clone()).get(&namespace.name).await.unwrap();
    object["metadata"] = json!({
        "name": format!("{}.example.com", namespace.name),
        "ownerReferences": [{"apiVersion": "v1", "kind": "Namespace", "name": namespace.name, "uid": owner.uid()}],
    });
    let object: K = serde_json::from_value(object).unwrap();
    Api::<K>::all(namespace.client.clone()).create(&PostParams::default(), &object).await.unwrap();
}

/// Waits until the server refuses Jobs, and returns what it says.
async fn refused(namespace: &TestNamespace) -> String {
    let job: Job = serde_json::from_value(json!({
        "metadata": {"name": "probe"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "none"}]}}},
    }))
    .unwrap();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let api = namespace.api::<Job>();
    until("Jobs are refused", || async { api.create(&dry, &job).await.err().map(|error| error.to_string()) })
        .await
}

fn rules() -> Value {
    json!([{"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["jobs"]}])
}

fn only(namespace: &TestNamespace) -> Value {
    json!({"matchLabels": {"kubernetes.io/metadata.name": namespace.name}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_denies_the_job_fails_the_activity_in_the_policys_words() {
    let scene = Scene::new(|_| Act::Succeed(String::new())).await;
    scene.step_type().await;
    scene.define(json!({"activities": [{"id": "only", "type": "step"}]})).await;
    let namespace = &scene.namespace;
    let policy = json!({"spec": {
        "failurePolicy": "Fail", "matchConstraints": {"namespaceSelector": only(namespace), "resourceRules": rules()},
        "validations": [{"expression": "false", "message": "Jobs need a ticket"}],
    }});
    create::<ValidatingAdmissionPolicy>(namespace, policy).await;
    let name = format!("{}.example.com", namespace.name);
    let binding = json!({"spec": {
        "policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": only(namespace)},
    }});
    create::<ValidatingAdmissionPolicyBinding>(namespace, binding).await;
    refused(namespace).await;

    scene.begin(json!({})).await;
    let status = scene.finished().await;
    let entry = &status.activities["only"];
    assert_eq!((entry.state, entry.reason.as_deref()), (ActivityState::Failed, Some("AdmissionDenied")));
    let message = entry.message.as_deref().unwrap();
    assert!(message.starts_with("jobs.batch \"run-only-"), "{message}");
    let words = format!(
        "ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: Jobs need a ticket"
    );
    assert!(message.ends_with(&words), "{message}");
    let whole = format!("activity \"only\" failed: AdmissionDenied: {message}");
    assert_eq!(condition(&status, "Succeeded"), ("False", "ActivityFailed", whole.as_str()));
    assert_eq!(scene.creations(), 0);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_does_not_answer_only_delays_the_start() {
    let scene = Scene::new(|_| Act::Succeed(String::new())).await;
    scene.step_type().await;
    scene.define(json!({"activities": [{"id": "only", "type": "step"}]})).await;
    let namespace = &scene.namespace;
    // Nothing listens on that port.
    let webhook = json!({"webhooks": [{
        "name": "dead.example.com", "failurePolicy": "Fail", "sideEffects": "None", "timeoutSeconds": 1,
        "admissionReviewVersions": ["v1"], "clientConfig": {"url": "https://127.0.0.1:1/"},
        "namespaceSelector": only(namespace), "rules": rules(),
    }]});
    create::<ValidatingWebhookConfiguration>(namespace, webhook).await;
    refused(namespace).await;

    scene.begin(json!({})).await;
    let waits = scene.activity("only", |entry| entry.reason.is_some()).await;
    assert_eq!((waits.state, waits.reason.as_deref()), (ActivityState::Pending, Some("ApiServerError")));
    let message = waits.message.unwrap();
    assert!(
        message.starts_with("Internal error occurred: failed calling webhook \"dead.example.com\": "),
        "{message}"
    );
    assert_eq!(waits.attempt, 0);

    let webhooks: Api<ValidatingWebhookConfiguration> = Api::all(namespace.client.clone());
    webhooks.delete(&format!("{}.example.com", namespace.name), &DeleteParams::default()).await.unwrap();
    let status = scene.finished().await;
    let entry = &status.activities["only"];
    assert_eq!((entry.state, entry.attempt, &entry.reason), (ActivityState::Succeeded, 1, &None));
    assert_eq!(scene.creations(), 1);
    scene.end().await;
}

async fn restricted() -> TestNamespace {
    TestNamespace::with_labels(&[("pod-security.kubernetes.io/enforce", "restricted")]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restricted_namespace_admits_a_template_that_only_says_that_it_is_not_root() {
    let scene = Scene::in_namespace(restricted().await, |_| Act::Succeed(String::new())).await;
    let not_root = json!({"securityContext": {"runAsNonRoot": true}});
    let with_init = json!({
        "securityContext": {"runAsNonRoot": true}, "initContainers": [{"name": "fetch", "image": "none"}],
    });
    scene.type_with("step", json!({"template": {"spec": not_root}})).await;
    scene.type_with("init", json!({"template": {"spec": with_init}})).await;
    let activities = json!([{"id": "plain", "type": "step"}, {"id": "init", "type": "init"}]);
    scene.run(json!({"activities": activities}), json!({})).await;
    assert_eq!(scene.finished().await.state.as_deref(), Some("Succeeded"));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_pod_security_refuses_says_so_and_ends_at_the_deadline() {
    let scene = Scene::in_namespace(restricted().await, |_| Act::Succeed(String::new())).await;
    let root = json!({"securityContext": {"runAsUser": 0, "runAsNonRoot": true}});
    scene.type_with("root", json!({"template": {"spec": root}})).await;
    scene.run(json!({"activities": [{"id": "root", "type": "root"}]}), json!({})).await;
    let entry = scene.activity("root", |entry| entry.reason.is_some()).await;
    assert_eq!((entry.state, entry.reason.as_deref()), (ActivityState::Running, Some("PodRejected")));
    let message = entry.message.unwrap();
    assert!(message.starts_with("Error creating: pods \"run-root-"), "{message}");
    let words = "is forbidden: violates PodSecurity \"restricted:latest\": runAsUser=0 (pod must not set runAsUser=0)";
    assert!(message.ends_with(words), "{message}");
    assert_eq!(entry.start_time, None);

    scene.let_the_deadline_pass().await;
    let status = scene.finished().await;
    assert_eq!(status.activities["root"].state, ActivityState::Cancelled);
    let (succeeded, reason, message) = condition(&status, "Succeeded");
    assert_eq!((succeeded, reason), ("False", "DeadlineExceeded"));
    assert!(message.contains("\"root\" was Running: Error creating: pods"), "{message}");
    assert!(message.ends_with(words), "{message}");
    scene.end().await;
}
