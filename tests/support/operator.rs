//! The operator in a test: the real thing, in this process, as its own ServiceAccount.
//!
//! Responsible for: a client with the rights of `config/rbac` and nothing more, so that a missing verb is a failing
//! test. Must never: give it another way in.

use std::sync::Arc;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::client::ClientBuilder;
use kube::config::AuthInfo;
use kube::{Client, Config};
use orchestrator::clock::SystemClock;
use orchestrator::config::{Scope, Settings};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cluster::{TestNamespace, cluster};
use super::fuse::Fuse;
use super::reconciles::start_counting;
use super::recording::Recording;
use super::rights;

/// A running operator that works in one namespace.
pub struct Operator {
    /// Everything that it asked of the server.
    pub requests: Recording,
    shutdown: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Operator {
    /// Starts an operator for a test's namespace.
    pub async fn start(namespace: &TestNamespace) -> Self {
        Self::start_with(namespace, |_| {}).await
    }

    /// Starts an operator with other settings.
    pub async fn start_with(namespace: &TestNamespace, change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_on(namespace, service_account_config().await, &Fuse::never(), change)
    }

    /// Starts an operator that is cut off from the world when a fuse blows.
    pub async fn start_with_fuse(namespace: &TestNamespace, fuse: &Fuse) -> Self {
        Self::start_on(namespace, service_account_config().await, fuse, |_| {})
    }

    /// Starts an operator that finds the server in another way.
    pub fn start_on(
        namespace: &TestNamespace,
        config: Config,
        fuse: &Fuse,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        start_counting();
        let mut settings =
            Settings { scope: Scope::Namespace(namespace.name.clone()), ..Settings::default() };
        change(&mut settings);
        let requests = Recording::default();
        let config = orchestrator::client::prepare(config);
        let client: Client =
            ClientBuilder::try_from(config).unwrap().with_layer(fuse).with_layer(&requests).build();
        let (shutdown, receiver) = watch::channel(false);
        let task = tokio::spawn(orchestrator::app::run(client, Arc::new(SystemClock), settings, receiver));
        Self { requests, shutdown, task: Some(task) }
    }

    /// Stops it and waits until it has stopped.
    pub async fn stop(mut self) {
        self.shutdown.send_replace(true);
        if let Some(task) = self.task.take() {
            task.await.unwrap();
        }
    }

    /// Ends it in the middle of whatever it does, as a crash would.
    pub fn crash(mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.shutdown.send_replace(true);
        if let Some(task) = self.task.take() {
            task.abort();
        }
        // Every test is a test of config/rbac too.
        if !std::thread::panicking() {
            rights::check(&self.requests);
        }
    }
}

/// Configuration of a client that is the operator's ServiceAccount.
pub async fn service_account_config() -> Config {
    let token = service_account_token().await;
    let mut config = cluster().admin().await;
    config.auth_info = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
    config
}

/// A new token of the operator's ServiceAccount.
pub async fn service_account_token() -> String {
    token_of("orchestrator-system", "orchestrator").await
}

/// A new token of a ServiceAccount.
pub async fn token_of(namespace: &str, account: &str) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster().client().await, namespace);
    let request = TokenRequest { spec: Some(TokenRequestSpec::default()), ..TokenRequest::default() };
    let answer = accounts.create_token_request(account, &PostParams::default(), &request).await.unwrap();
    answer.status.unwrap().token.unwrap()
}
