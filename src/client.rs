//! The client: how we talk to the API server, and what an error of it means.
//!
//! Responsible for: bounds on every call, and one classification of errors. Must never: retry by itself; the
//! controllers do, per object.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::core::{NamespaceResourceScope, Status};
use kube::{Client, Config, Resource};
use serde::de::DeserializeOwned;
use tower::timeout::TimeoutLayer;

use crate::metrics::Metrics;
use counted::CountedLayer;

mod counted;

/// Longest that one call may take. The layer of the client that retries on its own could hold a call for minutes and
/// replays creates; it is off.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It may go away: try again with growing pauses.
    Transient,
    /// Somebody else was faster: look again soon.
    Conflict,
    /// It stays until a person changes something.
    Permanent,
}

/// An object in a namespace, of a kind that is known when we are compiled: all that a call for it or its watch takes.
pub trait Namespaced:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + DeserializeOwned
    + Clone
    + Debug
    + Send
    + Sync
    + 'static
{
}

impl<K> Namespaced for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + Debug
        + Send
        + Sync
        + 'static
{
}

/// A client from the kubeconfig, or from the pod's ServiceAccount.
pub async fn connect() -> Result<Client, Unreachable> {
    connect_counted(Metrics::default()).await
}

/// The same, with its requests counted.
pub async fn connect_counted(metrics: Metrics) -> Result<Client, Unreachable> {
    let config = Config::infer().await.map_err(|error| Unreachable::because(&error))?;
    // The watches' own lists too: an answer that never begins must not hold them for ever. What follows the beginning
    // of an answer is bounded by the read time-out.
    let layer = TimeoutLayer::new(CALL_TIMEOUT);
    let counted = CountedLayer(metrics);
    let builder = ClientBuilder::try_from(prepare(config)).map_err(|error| Unreachable::because(&error))?;
    Ok(builder.with_layer(&layer).with_layer(&counted).build())
}

/// No cluster is configured that can be asked.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to a cluster: {why}; set KUBECONFIG to a file with which kubectl works")]
pub struct Unreachable {
    /// The innermost reason, in one line.
    why: String,
}

impl Unreachable {
    /// The causes of these errors repeat each other, and the innermost draws pictures of files.
    fn because(error: &(dyn std::error::Error + 'static)) -> Self {
        let innermost = std::iter::successors(Some(error), |error| error.source()).last();
        let file = std::iter::successors(Some(error), |error| error.source())
            .map(ToString::to_string)
            .find_map(|said| Some(said.split_once("'")?.1.split_once("'")?.0.to_owned()));
        let first = innermost.map(ToString::to_string).unwrap_or_default();
        let first = first.lines().next().unwrap_or_default();
        let why = match file.filter(|file| !first.contains(file.as_str())) {
            Some(file) => format!("{file}: {first}"),
            None => first.to_owned(),
        };
        Self { why }
    }
}

/// The settings that every client of ours has.
#[must_use]
pub fn prepare(mut config: Config) -> Config {
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(10));
    config.write_timeout = Some(CALL_TIMEOUT);
    // Longer than a watch that brings nothing.
    config.read_timeout = Some(Duration::from_secs(300));
    config
}

/// One call, bounded in time. What took too long may have happened all the same.
pub async fn bounded<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(result) => result,
        Err(_) => Err(kube::Error::Service(format!("no answer within {} s", CALL_TIMEOUT.as_secs()).into())),
    }
}

/// What to do about an error of the API server or of the way to it.
#[must_use]
pub fn class(error: &kube::Error) -> Class {
    match error {
        kube::Error::Api(status) if status.is_conflict() => Class::Conflict,
        kube::Error::Api(status) if status.code == 429 || status.code >= 500 => Class::Transient,
        kube::Error::Api(_) => Class::Permanent,
        _ => Class::Transient,
    }
}

/// The answer of the API server, if the error is one.
#[must_use]
pub fn answer(error: &kube::Error) -> Option<&Status> {
    match error {
        kube::Error::Api(status) => Some(status),
        _ => None,
    }
}

/// The error in the server's own words.
#[must_use]
pub fn words(error: &kube::Error) -> String {
    match answer(error) {
        Some(status) if !status.message.is_empty() => status.message.clone(),
        Some(status) => format!("{} {}", status.code, status.reason),
        None => error.to_string(),
    }
}

/// Whether the answer is that of RBAC: a right is missing. Quotas, policies and namespaces that go answer 403 as well, with
/// other words.
#[must_use]
pub fn is_missing_right(status: &Status) -> bool {
    status.code == 403 && tells_of_missing_right(&status.message)
}

/// Whether the server's words are those of RBAC.
#[must_use]
pub fn tells_of_missing_right(message: &str) -> bool {
    message.contains("\" cannot ") && message.contains(" resource \"")
}

/// Whether the namespace is being deleted, so that nothing new can be made in it.
#[must_use]
pub fn is_namespace_terminating(status: &Status) -> bool {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    status.code == 403 && causes.iter().any(|cause| cause.reason == "NamespaceTerminating")
}
