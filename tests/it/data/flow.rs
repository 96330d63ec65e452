//! A run whose data takes every way that there is.

use kube::ResourceExt;
use orchestrator::api::orchestration::ActivityState;
use orchestrator::api::{ActivityDefinition, OrchestrationDefinition};
use serde_json::{Value, json};

use crate::support::kubelet::Act;
use crate::support::objects::{activity_with, definition, orchestration};
use crate::support::sandbox::Sandbox;
use crate::support::told::says;

fn type_(name: &str, input_schema: Value, output_schema: Value) -> Value {
    let mut type_ = activity_with(
        name,
        json!({"template": {"spec": {"containers": [{"name": "main", "image": "none", "command": ["true"]}]}}}),
    );
    type_["spec"]["inputSchema"] = input_schema;
    type_["spec"]["outputSchema"] = output_schema;
    type_
}

/// Two types and a definition: `config` runs always, `ingress` unless the cell is dark, `notify` after both.
fn objects() -> [Value; 3] {
    [
        type_(
            "config",
            json!({"openAPIV3Schema": {"type": "object", "required": ["domain"], "properties": {
                "domain": {"type": "string"}, "replicas": {"type": "integer", "default": 2}}}}),
            json!({"type": "object", "properties": {
                "resource": {"type": "object", "properties": {"id": {"type": "string"}, "hosts": {"type": "array", "items": {"type": "string"}}}},
                "serial": {"type": "integer"}}}),
        ),
        type_("plain", json!({}), json!({})),
        definition(
            "tenant",
            json!({
                "schema": {"openAPIV3Schema": {"type": "object", "required": ["domain"], "properties": {
                    "domain": {"type": "string"}, "cell": {"type": "string", "default": "c1"}}}},
                "activities": [
                    {"id": "config", "type": "config", "inputs": ["domain"]},
                    {"id": "ingress", "type": "plain", "dependsOn": "config", "when": "input.cell != 'dark'",
                     "inputs": ["cell", {"source": "config.resource.hosts[1]", "target": "host"}, "config.serial"]},
                    {"id": "notify", "type": "plain", "dependsOn": ["config", "ingress"],
                     "inputs": [{"source": "ingress", "target": "ingress"}, {"source": "config.resource.id", "target": "id"}]},
                ],
                "output": [{"source": "ingress.url"}, {"source": "notify.saw", "target": "saw"}, {"source": "cell"}],
            }),
        ),
    ]
}

fn sandbox() -> Sandbox {
    Sandbox::start(|work| match work.activity.as_str() {
        "config" => Act::outputs(&json!({
            "resource": {"id": "r-1", "hosts": ["a", "b"]}, "serial": 9_007_199_254_740_993_i64, "saw": work.input,
        })),
        "ingress" => Act::outputs(&json!({"url": "https://x", "saw": work.input})),
        _ => Act::outputs(&json!({"saw": work.input})),
    })
}

#[tokio::test(start_paused = true)]
async fn values_move_whole_with_defaults_and_nested_paths_into_the_output() {
    let sandbox = sandbox();
    sandbox.apply(objects()).await;
    sandbox.ready(&["tenant"]).await;
    sandbox.apply([orchestration("run", "tenant", json!({"domain": "d"}))]).await;
    let finished = sandbox.finished("run").await;
    assert_eq!(says(&finished, "Succeeded"), "True Completed: all 3 activities have succeeded");
    let status = finished.status.as_ref().unwrap();
    let saw = |id: &str| status.activities[id].outputs.as_ref().unwrap()["saw"].clone();
    assert_eq!(saw("config"), json!({"domain": "d", "replicas": 2}));
    assert_eq!(saw("ingress"), json!({"cell": "c1", "host": "b", "serial": 9_007_199_254_740_993_i64}));
    let ingress = json!({"url": "https://x", "saw": saw("ingress")});
    assert_eq!(saw("notify"), json!({"id": "r-1", "ingress": ingress}));
    let expected = json!({"url": "https://x", "cell": "c1", "saw": saw("notify")});
    assert_eq!(status.output.clone().map(Value::Object), Some(expected));
    assert_eq!(json!(finished.spec.input), json!({"domain": "d"}), "the spec stays as it was written");
    // One revision, made once.
    assert_eq!(sandbox.count("create controllerrevisions"), 1);
    sandbox.apply([orchestration("next", "tenant", json!({"domain": "e"}))]).await;
    sandbox.finished("next").await;
    assert_eq!(sandbox.count("create controllerrevisions"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_skipped_is_done_and_has_no_outputs() {
    let sandbox = sandbox();
    sandbox.apply(objects()).await;
    sandbox.ready(&["tenant"]).await;
    sandbox.apply([orchestration("run", "tenant", json!({"domain": "d", "cell": "dark"}))]).await;
    let finished = sandbox.finished("run").await;
    assert_eq!(
        says(&finished, "Succeeded"),
        "True Completed: 2 of 3 activities have succeeded, 1 was skipped"
    );
    let status = finished.status.as_ref().unwrap();
    assert_eq!(status.activities["ingress"].state, ActivityState::Skipped);
    assert_eq!(status.progress.as_deref(), Some("3/3"));
    assert_eq!(status.output.clone().map(Value::Object), Some(json!({"cell": "dark", "saw": {"id": "r-1"}})));
    assert_eq!(sandbox.count("create jobs"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_run_keeps_the_schemas_and_defaults_that_it_was_accepted_with() {
    // The first activity of the first run takes its time.
    let mut sandbox = Sandbox::start(|work| match work.activity.as_str() {
        "config" if work.input["domain"] == "slow" => Act::Run,
        _ => Act::outputs(&json!({"saw": work.input})),
    });
    sandbox.apply(objects()).await;
    sandbox.ready(&["tenant"]).await;
    sandbox.apply([orchestration("run", "tenant", json!({"domain": "slow"}))]).await;
    let running = sandbox
        .until("run", |run: &orchestrator::api::Orchestration| {
            run.status.as_ref().is_some_and(|status| {
                status.activities.get("config").is_some_and(|entry| entry.start_time.is_some())
            })
        })
        .await;
    let revision = running.status.as_ref().unwrap().revision.clone();
    // Everything changes: the default, the condition, the type.
    let mut edited = objects()[2]["spec"].clone();
    edited["schema"]["openAPIV3Schema"]["properties"]["cell"]["default"] = json!("dark");
    edited["activities"][1]["when"] = json!("false");
    sandbox.edit::<OrchestrationDefinition>("tenant", edited).await;
    sandbox
        .edit::<ActivityDefinition>("plain", json!({"inputSchema": {"type": "object", "required": ["none"]}}))
        .await;
    sandbox
        .until("tenant", |definition: &OrchestrationDefinition| {
            says(definition, "Ready").contains("MissingSource")
        })
        .await;
    // Whoever starts anew has nothing but the revision to go by.
    sandbox.start_operator();
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> = sandbox.api();
    let pod = pods.list(&kube::api::ListParams::default()).await.unwrap().items.remove(0);
    crate::support::kubelet::perform(
        &pods,
        &pod,
        &Act::outputs(&json!({"resource": {"id": "r", "hosts": ["a", "b"]}})),
    )
    .await;
    let finished = sandbox.finished("run").await;
    assert_eq!(
        says(&finished, "Succeeded"),
        "True Completed: all 3 activities have succeeded",
        "{}",
        finished.name_any()
    );
    let status = finished.status.unwrap();
    assert_eq!(status.revision, revision);
    assert_eq!(
        status.activities["ingress"].outputs.as_ref().unwrap()["saw"],
        json!({"cell": "c1", "host": "b"})
    );
    assert_eq!(status.output.unwrap()["cell"], json!("c1"));
}
