//! Applying documents: definitions first, judged before any Orchestration is made.
//!
//! Responsible for: every mistake of every document at once, with its place, in the server's and the controllers' own
//! words; nothing runs if there is one. Must never: judge a document itself.

use std::collections::BTreeMap;
use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::Api;
use kube::core::NamespaceResourceScope;
use kube::runtime::wait::await_condition;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::{ActivityDefinition, OrchestrationDefinition};
use crate::app::local::Local;
use crate::client::{answer, words};
use crate::engine::acceptance;
use crate::engine::condition::find;
use crate::engine::schema::Schema;
use crate::manifest::{Document, Mistake};

/// Namespace and name of what was made.
pub(super) type Made = (String, String);

/// Where documents without a namespace go.
const DEFAULT_NAMESPACE: &str = "default";

/// The order in which kinds are made; all others come first.
fn rank(kind: &str) -> u8 {
    match kind {
        "Namespace" => 0,
        "ActivityDefinition" => 2,
        "OrchestrationDefinition" => 3,
        "Orchestration" => 4,
        _ => 1,
    }
}

/// Makes all objects. The result is the Orchestrations, or every mistake.
pub(super) async fn all(
    local: &Local,
    documents: &[Document],
) -> anyhow::Result<Result<Vec<Made>, Vec<Mistake>>> {
    let mut mistakes: Vec<Mistake> = Vec::new();
    let mut made: BTreeMap<u8, Vec<(&Document, Made)>> = BTreeMap::new();
    let (orchestrations, mut others): (Vec<&Document>, Vec<&Document>) =
        documents.iter().partition(|document| document.kind == "Orchestration");
    others.sort_by_key(|document| rank(&document.kind));
    make_namespaces(local, documents).await;
    for document in others {
        match create(local, document, false).await {
            Ok(created) => made.entry(rank(&document.kind)).or_default().push((document, created)),
            Err(messages) => mistakes.extend(messages.into_iter().map(|message| mistake(document, &message))),
        }
    }
    let client = local.client();
    for (document, created) in made.get(&2).into_iter().flatten() {
        let judged = judged::<ActivityDefinition>(&client, created, |found| {
            found.status.as_ref().and_then(|status| find(&status.conditions, "Ready")).cloned()
        });
        mistakes.extend(problems(document, &judged.await?));
    }
    // Definitions that name an activity type with a mistake are not Ready for that alone.
    let types_are_good = mistakes.is_empty();
    for (document, created) in made.get(&3).into_iter().flatten() {
        let judged = judged::<OrchestrationDefinition>(&client, created, |found| {
            let ready = found.status.as_ref().and_then(|status| find(&status.conditions, "Ready"))?;
            // What heals by itself is waited for, unless it cannot heal.
            (!ready.message.contains("ActivityNotReady:") || !types_are_good).then(|| ready.clone())
        });
        mistakes.extend(problems(document, &judged.await?));
    }
    for document in &orchestrations {
        if let Err(messages) = check(local, document).await {
            mistakes.extend(messages.into_iter().map(|message| mistake(document, &message)));
        }
    }
    if orchestrations.is_empty() && mistakes.is_empty() {
        anyhow::bail!("there is no Orchestration among the documents: nothing to run");
    }
    if !mistakes.is_empty() {
        mistakes.sort_by(|a, b| a.place.cmp(&b.place));
        return Ok(Err(mistakes));
    }
    let mut wanted = Vec::new();
    for document in orchestrations {
        match create(local, document, false).await {
            Ok(created) => wanted.push(created),
            Err(messages) => mistakes.extend(messages.into_iter().map(|message| mistake(document, &message))),
        }
    }
    Ok(if mistakes.is_empty() { Ok(wanted) } else { Err(mistakes) })
}

/// What the server and the definitions say of an Orchestration before it is made.
async fn check(local: &Local, document: &Document) -> Result<(), Vec<String>> {
    create(local, document, true).await?;
    let type_ = document.value.pointer("/spec/type").and_then(Value::as_str).unwrap_or_default();
    let definitions: Api<OrchestrationDefinition> = Api::namespaced(local.client(), &namespace(document));
    let found = definitions.get_opt(type_).await.map_err(|error| vec![words(&error)])?;
    match found {
        None => Err(vec![format!(
            "spec.type: there is no OrchestrationDefinition \"{type_}\" among the documents"
        )]),
        Some(definition) if !definition.spec.active => {
            Err(vec![format!("spec.type: OrchestrationDefinition \"{type_}\" is not active")])
        }
        Some(definition) => check_input(document, &definition),
    }
}

/// What acceptance would say of the input.
fn check_input(document: &Document, definition: &OrchestrationDefinition) -> Result<(), Vec<String>> {
    let input = document.value.pointer("/spec/input").and_then(Value::as_object);
    if let Some((reason, message)) = input.and_then(acceptance::check_size) {
        return Err(vec![format!("{reason}: {message}")]);
    }
    // A schema with mistakes is told with its definition.
    let schema = definition.spec.schema.as_ref().and_then(|raw| Schema::compile(raw).ok());
    match acceptance::check_input(schema.as_ref(), input) {
        Some(text) => Err(text.lines().map(|line| format!("InvalidInput: {line}")).collect()),
        None => Ok(()),
    }
}

fn namespace(document: &Document) -> String {
    let given = document.value.pointer("/metadata/namespace").and_then(Value::as_str);
    given.unwrap_or(DEFAULT_NAMESPACE).to_owned()
}

/// Every namespace that a document names is made; people have theirs on the cluster and not in the files.
async fn make_namespaces(local: &Local, documents: &[Document]) {
    let mut names: Vec<String> = documents.iter().map(namespace).collect();
    names.sort();
    names.dedup();
    for name in names.iter().filter(|name| *name != DEFAULT_NAMESPACE) {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        // If this fails, creating the document says why.
        drop(post(&local.client(), "/api/v1/namespaces", &body).await);
    }
}

/// Creates one object, or asks whether it could be created. The error is every reason of the server.
async fn create(local: &Local, document: &Document, dry_run: bool) -> Result<Made, Vec<String>> {
    let Some(kind) = local.server.kind(&document.api_version, &document.kind) else {
        let what = format!("{} of {}", document.kind, document.api_version);
        return Err(vec![format!("the embedded API server has no kind {what}")]);
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
    let dry_run = if dry_run { "&dryRun=All" } else { "" };
    let answer =
        post(&local.client(), &format!("{path}?fieldValidation=Strict{dry_run}"), &document.value).await;
    match answer {
        Ok(created) => {
            let name = created.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            Ok((namespace, name.to_owned()))
        }
        // The namespace may have been made for another document already.
        Err(kube::Error::Api(status)) if kind.kind == "Namespace" && status.is_already_exists() => {
            Ok((String::new(), document.name.clone().unwrap_or_default()))
        }
        Err(error) => Err(reasons(&error)),
    }
}

async fn post(client: &Client, path: &str, body: &Value) -> Result<Value, kube::Error> {
    let request = http::Request::post(path)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body.to_string().into_bytes())
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}

/// Every cause of a refusal with its field, or its message if it has no causes.
fn reasons(error: &kube::Error) -> Vec<String> {
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
async fn judged<K>(
    client: &Client,
    made: &Made,
    ready: impl Fn(&K) -> Option<Condition> + Send,
) -> anyhow::Result<Condition>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + Debug
        + Send
        + 'static,
{
    let api: Api<K> = Api::namespaced(client.clone(), &made.0);
    let is_judged =
        |object: Option<&K>| object.and_then(&ready).is_some_and(|ready| ready.status != "Unknown");
    let found = await_condition(api, &made.1, is_judged).await?;
    found.as_ref().and_then(&ready).ok_or_else(|| anyhow::anyhow!("{} was deleted", made.1))
}

/// Every line of what is wrong with a definition.
fn problems(document: &Document, ready: &Condition) -> Vec<Mistake> {
    if ready.status == "True" {
        return Vec::new();
    }
    ready.message.lines().map(|line| mistake(document, line)).collect()
}

fn mistake(document: &Document, message: &str) -> Mistake {
    let name = document.name.as_deref().unwrap_or_default();
    let what = if name.is_empty() { document.kind.clone() } else { format!("{} {name}", document.kind) };
    Mistake { place: document.place.clone(), message: format!("{what}: {message}") }
}
