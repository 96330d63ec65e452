//! Suitable: whether the cluster is one that this operator can work on.
//!
//! Responsible for: waiting until it is, and telling what to do until then. Must never: end the process: a restart makes
//! no cluster newer, and a crash loop hides the message.

use std::time::Duration;

use kube::Client;
use serde_json::Value;

use crate::client::{bounded, words};
use crate::health::Health;

/// Oldest minor version of Kubernetes 1: selectable fields of custom resources.
const MINOR: u32 = 32;
/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(10);
/// The cluster among what the operator needs.
const HEALTH: &str = "cluster";
/// Where the schemas are that the server knows. Everybody who is authenticated may read them.
const SCHEMAS: &str = "/openapi/v3/apis/orchestrator.dev/v1alpha1";
/// Most fields that are told of.
const TOLD: usize = 3;

/// Waits until the cluster is suitable. What is missing is logged when it changes.
pub async fn wait(client: &Client, health: &Health) {
    let mut last = String::new();
    health.miss(HEALTH, "not looked at yet");
    loop {
        match look(client).await {
            Ok(()) => {
                health.have(HEALTH);
                return;
            }
            Err(why) => {
                health.miss(HEALTH, &why);
                if why != last {
                    tracing::error!("not started: {why}");
                    last = why;
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn look(client: &Client) -> Result<(), String> {
    let read = |error: &kube::Error| format!("the API server cannot be read: {}", words(error));
    let version = bounded(client.apiserver_version()).await.map_err(|error| read(&error))?;
    is_new_enough(&version.major, &version.minor)?;
    let request = http::Request::get(SCHEMAS).body(Vec::new()).map_err(|error| error.to_string())?;
    let served: Value = match bounded(client.request(request)).await {
        Ok(served) => served,
        Err(kube::Error::Api(status)) if status.is_not_found() => Value::Null,
        Err(error) => return Err(read(&error)),
    };
    let missing = missing(&served);
    if missing.is_empty() {
        return Ok(());
    }
    let shown: Vec<&str> = missing.iter().take(TOLD).map(String::as_str).collect();
    let more = match missing.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(format!(
        "the CustomResourceDefinitions are older than this operator ({}), the cluster does not know {}{more}; upgrade \
        them: helm upgrade with crds.enabled, or kubectl apply --server-side --force-conflicts -f crds/",
        env!("CARGO_PKG_VERSION"),
        shown.join(", ")
    ))
}

fn is_new_enough(major: &str, minor: &str) -> Result<(), String> {
    // Some servers put a plus sign behind.
    let number =
        |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().unwrap_or_default();
    if (number(major), number(minor)) >= (1, MINOR) {
        Ok(())
    } else {
        Err(format!("Kubernetes {major}.{minor} is too old, this operator needs 1.{MINOR} or later"))
    }
}

/// The kinds and fields of ours that served schemas lack, as `Kind.path`.
fn missing(served: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for kind in crate::api::crds() {
        let name = &kind.spec.names.kind;
        let schema = kind.spec.versions.first().and_then(|version| version.schema.as_ref());
        let ours = serde_json::to_value(schema.and_then(|schema| schema.open_api_v3_schema.as_ref()));
        let key = format!("dev.orchestrator.v1alpha1.{name}");
        match served.pointer("/components/schemas").and_then(|schemas| schemas.get(&key)) {
            Some(theirs) => compare(&ours.unwrap_or_default(), theirs, name, &mut all),
            None => all.push(format!("the kind {name}")),
        }
    }
    all
}

/// What a served schema lacks of ours.
fn compare(ours: &Value, theirs: &Value, at: &str, missing: &mut Vec<String>) {
    for (name, property) in ours.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{at}.{name}");
        match theirs.get("properties").and_then(|properties| properties.get(name)) {
            // What everything has is served by reference.
            Some(_) if name == "metadata" => {}
            Some(served) => compare(property, served, &path, missing),
            None => missing.push(path),
        }
    }
    for (inner, mark) in [("items", "[]"), ("additionalProperties", ".*")] {
        if let (Some(ours), Some(theirs)) = (ours.get(inner), theirs.get(inner)) {
            compare(ours, theirs, &format!("{at}{mark}"), missing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_version_that_is_too_old_is_told() {
        assert_eq!(is_new_enough("1", "32"), Ok(()));
        assert_eq!(is_new_enough("1", "36+"), Ok(()));
        assert_eq!(is_new_enough("2", "0"), Ok(()));
        let told = is_new_enough("1", "31").unwrap_err();
        assert_eq!(told, "Kubernetes 1.31 is too old, this operator needs 1.32 or later");
        assert!(is_new_enough("", "").is_err());
    }

    /// What a server serves that knows our kinds, without what `remove` takes away.
    fn served(remove: impl Fn(&mut Value)) -> Value {
        let mut schemas = serde_json::Map::new();
        for kind in crate::api::crds() {
            let schema = kind.spec.versions[0].schema.clone().unwrap().open_api_v3_schema;
            let key = format!("dev.orchestrator.v1alpha1.{}", kind.spec.names.kind);
            schemas.insert(key, serde_json::to_value(schema).unwrap());
        }
        let mut served = json!({"components": {"schemas": schemas}});
        remove(&mut served);
        served
    }

    fn field<'v>(served: &'v mut Value, path: &str) -> &'v mut serde_json::Map<String, Value> {
        let path = format!("/components/schemas/dev.orchestrator.v1alpha1.{path}");
        served.pointer_mut(&path).unwrap().as_object_mut().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_operator_waits_until_its_kinds_are_upgraded() {
        let upgraded = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = std::sync::Arc::clone(&upgraded);
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let old = !seen.load(std::sync::atomic::Ordering::SeqCst);
            let answer = match request.uri().path() {
                "/version" => json!({
                    "major": "1", "minor": "36", "buildDate": "", "compiler": "", "gitCommit": "",
                    "gitTreeState": "", "gitVersion": "v1.36.0", "goVersion": "", "platform": "",
                }),
                SCHEMAS => served(|served| {
                    if old {
                        field(served, "Orchestration/properties/spec/properties").remove("resumeFrom");
                    }
                }),
                other => panic!("{other}"),
            };
            let body = kube::client::Body::from(answer.to_string().into_bytes());
            std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(body)))
        });
        let client = Client::new(service, "default");
        let health = Health::watched();
        let waiting = wait(&client, &health);
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(Duration::from_secs(60), &mut waiting).await.is_err());
        assert_eq!(
            health.ready().unwrap_err(),
            [format!(
                "cluster: the CustomResourceDefinitions are older than this operator ({}), the cluster does not know \
                Orchestration.spec.resumeFrom; upgrade them: helm upgrade with crds.enabled, or kubectl apply \
                --server-side --force-conflicts -f crds/",
                env!("CARGO_PKG_VERSION")
            )]
        );
        upgraded.store(true, std::sync::atomic::Ordering::SeqCst);
        waiting.await;
        assert_eq!(health.ready(), Ok(()));
    }

    #[test]
    fn a_field_that_the_cluster_does_not_know_is_told() {
        assert_eq!(missing(&served(|_| {})), Vec::<String>::new());
        let old = served(|served| {
            field(served, "Orchestration/properties/spec/properties").remove("shutdown");
            let activity = "OrchestrationDefinition/properties/spec/properties/activities/items/properties";
            field(served, activity).remove("when");
        });
        assert_eq!(
            missing(&old),
            ["OrchestrationDefinition.spec.activities[].when", "Orchestration.spec.shutdown"]
        );
        assert_eq!(missing(&Value::Null).len(), crate::api::crds().len());
    }
}
