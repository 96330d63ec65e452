//! What goes in and what comes out, byte by byte.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use orchestrator::api::orchestration::ActivityState;
use serde_json::{Value, json};

use super::{assert_failed, independent};
use crate::support::kubelet::Act;
use crate::support::scene::Scene;

/// The text that is the input of a pod.
fn input(pod: &Pod) -> &str {
    &pod.annotations()["orchestrator.dev/input"]
}

/// The value of a variable of the pod's first container.
fn variable<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    let env = pod.spec.as_ref()?.containers[0].env.as_ref()?;
    // The API server leaves empty values out.
    env.iter().find(|one| one.name == name).map(|one| one.value.as_deref().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_that_cannot_be_kept_exactly_fail_the_activity_and_say_where() {
    // A kubelet keeps the last 4,096 bytes.
    let long = json!({"list": "x".repeat(5000)}).to_string();
    let cut = long[long.len() - 4096..].to_owned();
    let scene = Scene::new(move |work| {
        Act::Succeed(match work.activity.as_str() {
            "words" => "done\n".to_owned(),
            "list" => "[1, 2]".to_owned(),
            "broken" => "{\"a\": 1,\n  \"b\": }".to_owned(),
            "cut" => cut.clone(),
            "large" => "{\"n\": 9223372036854775808}".to_owned(),
            "small" => "{\n \"deep\": [{\"n\": -9223372036854775809}]}".to_owned(),
            _ => json!({"list": "x".repeat(4000)}).to_string(),
        })
    })
    .await;
    scene.step_type().await;
    let ids = ["words", "list", "broken", "cut", "large", "small", "fits"];
    scene.run(json!({"activities": independent("step", &ids)}), json!({})).await;
    let status = scene.finished().await;
    let check = |id, why: &str| {
        assert_failed(&status, id, "OutputInvalid", &format!("outputs must be a JSON object: {why}"));
    };
    check("words", "line 1 column 1: expected value");
    check("list", "line 1 column 1: a list instead of an object");
    check("broken", "line 2 column 8: expected value");
    check(
        "cut",
        "line 1 column 1: expected value; possibly cut to its last 4,096 bytes, the most that Kubernetes keeps",
    );
    check("large", "line 1 column 7: the integer 9223372036854775808 is beyond 64 bits signed");
    check("small", "line 2 column 17: the integer -9223372036854775809 is beyond 64 bits signed");
    assert_eq!(status.activities["fits"].state, ActivityState::Succeeded);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outputs_arrive_at_their_readers_exactly() {
    let scene = Scene::new(|work| match work.activity.as_str() {
        "producer" => Act::Succeed(
            r#"{"exact": 9007199254740993, "least": -9223372036854775808, "ratio": 0.1, "gone": null,
                "nested": {"list": [1, "2", [null, {"x": null, "y": ""}], {}], "none": null}, "flag": false,
                "text": "a \"b\" $(HOME) \\ ü 🦀"}"#
                .to_owned(),
        ),
        _ => Act::Succeed(" \n".to_owned()),
    })
    .await;
    scene.step_type().await;
    let activities = json!([
        {"id": "producer", "type": "step"},
        {"id": "silent", "type": "step"},
        {"id": "consumer", "type": "step", "dependsOn": ["producer", "silent"], "inputs": [
            "producer.exact", "producer.least", "producer.ratio", "producer.gone", "producer.nested", "producer.flag",
            "producer.text", "silent.anything",
            {"source": "producer.nested.list[2][1].y", "target": "picked"},
            {"source": "producer", "target": "whole"},
            {"source": "silent", "target": "nothing"},
        ]},
    ]);
    let output = json!([{"source": "producer.exact"}, {"source": "producer.nested.none", "target": "none"}]);
    scene.run(json!({"activities": activities, "output": output}), json!({})).await;
    let status = scene.finished().await;
    assert_eq!(status.state.as_deref(), Some("Succeeded"), "{status:?}");
    let whole = json!({
        "exact": 9_007_199_254_740_993_i64, "least": i64::MIN, "ratio": 0.1, "flag": false,
        "nested": {"list": [1, "2", [null, {"y": ""}], {}]},
        "text": "a \"b\" $(HOME) \\ ü 🦀",
    });
    assert_eq!(json!(status.activities["producer"].outputs), whole);
    assert_eq!(status.activities["silent"].outputs, None);
    assert_eq!(json!(status.output), json!({"exact": 9_007_199_254_740_993_i64}));

    let pod = scene.pod("consumer", |_| true).await;
    let mut expected = whole.clone();
    let more = json!({"picked": "", "whole": whole, "nothing": {}});
    expected.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    assert_eq!(serde_json::from_str::<Value>(input(&pod)).unwrap(), expected);
    assert!(input(&pod).contains(r#""exact":9007199254740993,"#), "{}", input(&pod));
    assert_eq!(variable(&pod, "INPUT_EXACT"), Some("9007199254740993"));
    assert_eq!(variable(&pod, "INPUT_LEAST"), Some("-9223372036854775808"));
    assert_eq!(variable(&pod, "INPUT_FLAG"), Some("false"));
    assert_eq!(variable(&pod, "INPUT_TEXT"), Some("a \"b\" $$(HOME) \\ ü 🦀"));
    assert_eq!(variable(&pod, "INPUT_NESTED"), None, "only scalars are variables");
    assert_eq!(variable(&pod, "INPUT_GONE"), None);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_reaches_the_pod_byte_by_byte_and_is_never_expanded() {
    let scene = Scene::new(|_| Act::Succeed(String::new())).await;
    let main = json!({
        "name": "main", "image": "none", "args": ["$(INPUT_TEXT)"],
        "env": [{"name": "SECRET", "value": "s3cret"}, {"name": "GREETING", "value": "for $(INPUT_TENANT_ID)"}],
    });
    let init = json!({"name": "init", "image": "none"});
    let template = json!({"template": {"spec": {"containers": [main], "initContainers": [init]}}});
    scene.type_with("step", template).await;
    let text = "$(HOME) $$ $$(SECRET) $(SECRET) 'a' \"b\" `id` \\ \r\n\ttab 🦀 \u{202e}x";
    let inputs = json!([
        "text", {"source": "large", "target": "big"}, "list", {"source": "tenantID", "target": "tenantID"},
        "input.owner.e-mail", {"source": "text", "target": "nul"},
    ]);
    let activities = json!([{"id": "only", "type": "step", "discriminator": "deploy", "inputs": inputs}]);
    scene.define(json!({"activities": activities})).await;
    let run = scene
        .begin(json!({
            "text": text, "large": "$".repeat(5000), "list": ["$(SECRET)"], "tenantID": "t-1",
            "owner": {"e-mail": "a@example.com"},
        }))
        .await;
    scene.finished().await;
    let pod = scene.pod("only", |_| true).await;
    assert_eq!(
        serde_json::from_str::<Value>(input(&pod)).unwrap(),
        json!({
            "text": text, "big": "$".repeat(5000), "list": ["$(SECRET)"], "tenantID": "t-1", "e-mail": "a@example.com",
            "nul": text,
        })
    );
    assert_eq!(variable(&pod, "INPUT_TEXT"), Some(text.replace('$', "$$").as_str()));
    assert_eq!(variable(&pod, "INPUT_TENANT_ID"), Some("t-1"));
    assert_eq!(variable(&pod, "INPUT_E_MAIL"), Some("a@example.com"));
    assert_eq!(variable(&pod, "INPUT_BIG"), None, "what is larger than 4 KiB is in the file only");
    assert_eq!(variable(&pod, "INPUT_LIST"), None);
    assert_eq!(variable(&pod, "GREETING"), Some("for $(INPUT_TENANT_ID)"), "the template's own is expanded");
    let context = |name: &str| variable(&pod, &format!("ORCHESTRATOR_{name}"));
    assert_eq!(context("NAMESPACE"), Some(scene.namespace.name.as_str()));
    assert_eq!(context("ORCHESTRATION"), Some("run"));
    assert_eq!(context("UID"), run.uid().as_deref());
    assert_eq!(context("TYPE"), Some("flow"));
    assert_eq!(context("ACTIVITY"), Some("only"));
    assert_eq!(context("ACTIVITY_TYPE"), Some("step"));
    assert_eq!(context("DISCRIMINATOR"), Some("deploy"));
    assert_eq!(context("ATTEMPT"), Some("1"));
    assert_eq!(context("CORRELATION_ID"), Some(""));

    let spec = pod.spec.as_ref().unwrap();
    let names = |container: &k8s_openapi::api::core::v1::Container| -> Vec<String> {
        container.env.iter().flatten().map(|one| one.name.clone()).collect()
    };
    let (main, init) = (names(&spec.containers[0]), names(&spec.init_containers.as_ref().unwrap()[0]));
    assert_eq!(main.last().map(String::as_str), Some("GREETING"), "ours come first: {main:?}");
    assert!(init.contains(&"INPUT_TEXT".to_owned()) && init.contains(&"ORCHESTRATOR_INPUT_FILE".to_owned()));
    assert!(!init.contains(&"ORCHESTRATOR_OUTPUT_FILE".to_owned()), "only the first container has outputs");
    // The pod carries the input once more; the Job's own metadata does not.
    assert!(!scene.job("only", |_| true).await.annotations().contains_key("orchestrator.dev/input"));
    scene.end().await;
}
