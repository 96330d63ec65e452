//! Asking: what the embedded server says of one document.
//!
//! Responsible for: creating objects as `kubectl` does, and every reason of a refusal. Must never: collect what was said.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::api::Api;
use kube::runtime::wait::await_condition;
use serde_json::Value;

use super::{Document, Local, Made, namespace};
use crate::client::{Namespaced, answer, words};

/// What the server says of fields that are not known, instead of anything else.
const STRICT: &str = "strict decoding error: ";

/// How an object is created.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Create {
    /// It is only asked whether it could be.
    pub(super) dry_run: bool,
    /// Fields that are not known are left out.
    pub(super) lenient: bool,
}

/// Why an object was not created.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    /// Every reason of the server.
    pub(super) reasons: Vec<String>,
    /// It has fields that are not known; what else is wrong with it was not looked at.
    pub(super) is_strict: bool,
}

/// Creates one object, or asks whether it could be created.
pub(super) async fn create(local: &Local, document: &Document, how: &Create) -> Result<Made, Refusal> {
    let Some(kind) = local.server.kind(&document.api_version, &document.kind) else {
        let what = format!("{} of {}", document.kind, document.api_version);
        let reasons = vec![format!("the embedded API server has no kind {what}")];
        return Err(Refusal { reasons, ..Refusal::default() });
    };
    let root = if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}", kind.api_version())
    };
    let namespace = namespace(document);
    let path = if kind.namespaced {
        format!("{root}/namespaces/{namespace}/{}", kind.plural)
    } else {
        format!("{root}/{}", kind.plural)
    };
    let validation = if how.lenient { "Ignore" } else { "Strict" };
    let dry_run = if how.dry_run { "&dryRun=All" } else { "" };
    let path = format!("{path}?fieldValidation={validation}{dry_run}");
    match post(&local.client(), &path, &document.value).await {
        Ok(created) => {
            let name = created.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            Ok((namespace, name.to_owned()))
        }
        // The namespace may have been made for another document already.
        Err(kube::Error::Api(status)) if kind.kind == "Namespace" && status.is_already_exists() => {
            Ok((String::new(), document.name.clone().unwrap_or_default()))
        }
        Err(error) => Err(Refusal {
            is_strict: answer(&error).is_some_and(|status| status.message.contains(STRICT)),
            reasons: reasons(&error),
        }),
    }
}

pub(super) async fn post(client: &Client, path: &str, body: &Value) -> Result<Value, kube::Error> {
    let request = http::Request::post(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes())
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}

/// Every cause of a refusal with its field, or its message if it has no causes.
pub(super) fn reasons(error: &kube::Error) -> Vec<String> {
    let causes =
        answer(error).and_then(|status| status.details.as_ref()).map(|details| details.causes.as_slice());
    match causes {
        Some(causes) if !causes.is_empty() => {
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
        }
        _ => vec![words(error)],
    }
}

/// Waits until a definition is judged; the condition Ready that it got.
pub(super) async fn judged<K>(
    client: &Client,
    made: &Made,
    ready: impl Fn(&K) -> Option<Condition> + Send,
) -> anyhow::Result<Condition>
where
    K: Namespaced,
{
    let api: Api<K> = Api::namespaced(client.clone(), &made.0);
    let is_judged =
        |object: Option<&K>| object.and_then(&ready).is_some_and(|ready| ready.status != "Unknown");
    let found = await_condition(api, &made.1, is_judged).await?;
    found.as_ref().and_then(&ready).ok_or_else(|| anyhow::anyhow!("{} was deleted", made.1))
}
