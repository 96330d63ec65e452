//! The two sides: a real API server and the embedded one, and how a case is run on either.
//!
//! Responsible for: sending the same bytes to both. Must never: know which answer is right.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use http::{Request, header};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use orchestrator::clock::SystemClock;
use orchestrator::embedded::kinds::definition::Definition;
use orchestrator::embedded::server::Server;
use serde_json::{Value, json};

use super::custom;
use super::dsl::{Action, Case, Step};
use super::normal::Answer;
use crate::support::cluster::cluster;

/// Longest that an eventual answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One of the two.
pub struct Side {
    client: Client,
    run: String,
    is_real: bool,
}

impl Side {
    /// The real control plane of the tests.
    pub async fn real() -> Self {
        let mut config = cluster().admin().await;
        // An answer is an answer: nothing is tried again.
        config.default_retry = false;
        let side = Self { client: Client::try_from(config).unwrap(), run: run_name(), is_real: true };
        side.install().await;
        side
    }

    /// The embedded server.
    pub async fn embedded() -> Self {
        let mut builder = Server::builder(Arc::new(SystemClock));
        for crd in ["activitydefinitions", "orchestrationdefinitions", "orchestrations"] {
            let path = format!("{}/crds/orchestrator.dev_{crd}.yaml", env!("CARGO_MANIFEST_DIR"));
            let crd: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            builder = builder.definition(Definition::compile(&crd).unwrap());
        }
        let side = Self { client: builder.build().client(), run: run_name(), is_real: false };
        side.install().await;
        side
    }

    /// Makes the kind of the cases known, through the API.
    async fn install(&self) {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let (code, text) =
            self.call("POST", path, "application/json", "", Some(custom::definition().to_string())).await;
        assert!(matches!(code, 201 | 409), "{code} {text}");
        let widgets = format!("/apis/{}/v1/widgets", custom::group());
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.call("GET", &widgets, "", "", None).await.0 != 200 {
            assert!(tokio::time::Instant::now() < deadline, "the kind of the cases was not served");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Runs a case. The result is one answer for every step.
    pub async fn run(&self, case: &Case, index: usize) -> Vec<Answer> {
        let namespace = format!("conformance-{}-{index}", self.run);
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        let (code, text) =
            self.call("POST", "/api/v1/namespaces", "application/json", "", Some(object.to_string())).await;
        assert_eq!(code, 201, "{text}");
        if self.is_real {
            for path in ["serviceaccounts/default", "configmaps/kube-root-ca.crt"] {
                let path = format!("/api/v1/namespaces/{namespace}/{path}");
                while self.call("GET", &path, "", "", None).await.0 != 200 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        let mut saved = BTreeMap::from([("ns".to_owned(), namespace.clone())]);
        let mut answers = Vec::new();
        for step in &case.steps {
            answers.push(self.step(step, &namespace, &mut saved).await);
        }
        self.call("DELETE", &format!("/api/v1/namespaces/{namespace}"), "", "", None).await;
        answers
    }

    async fn step(&self, step: &Step, namespace: &str, saved: &mut BTreeMap<String, String>) -> Answer {
        let path = filled(&whole_path(&step.path), saved);
        let body = step.body.as_ref().map(|body| filled(body, saved));
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let path = if matches!(step.action, Action::Watch) { with_watch(&path) } else { path.clone() };
            let (code, text) =
                self.call(step.method, &path, step.content_type, step.accept, body.clone()).await;
            if matches!(step.action, Action::Until)
                && !is_reached(step, code, &text)
                && tokio::time::Instant::now() < deadline
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            if let Some(name) = step.save {
                save(name, &text, saved);
            }
            return match step.action {
                Action::Watch => Answer::of_events(code, &text, namespace),
                Action::Send | Action::Until => Answer::of(code, &text, namespace),
            };
        }
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        accept: &str,
        body: Option<String>,
    ) -> (u16, String) {
        let mut request =
            Request::builder().method(method).uri(path).header(header::USER_AGENT, "conformance");
        if body.is_some() && !content_type.is_empty() {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        if !accept.is_empty() {
            request = request.header(header::ACCEPT, accept);
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.into_bytes()));
        let response = self.client.send(request.body(body).unwrap()).await.unwrap();
        let code = response.status().as_u16();
        let bytes: Vec<bytes::Bytes> = response
            .into_body()
            .into_data_stream()
            .map(|part| part.map_err(|_| ()))
            .try_collect()
            .await
            .unwrap_or_default();
        (code, String::from_utf8_lossy(&bytes.concat()).into_owned())
    }
}

fn is_reached(step: &Step, code: u16, text: &str) -> bool {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    code == step.code
        && step.has.iter().all(|(pointer, value)| body.pointer(pointer).unwrap_or(&Value::Null) == value)
}

fn run_name() -> String {
    format!("{:x}", jiff::Timestamp::now().as_millisecond() & 0xfff_ffff)
}

/// `configmaps/a` is short for its whole path; what begins with `/` is one already.
fn whole_path(path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let plural = path.split(['/', '?']).next().unwrap_or_default();
    let group = match plural {
        "jobs" => "/apis/batch/v1".to_owned(),
        "leases" => "/apis/coordination.k8s.io/v1".to_owned(),
        "controllerrevisions" => "/apis/apps/v1".to_owned(),
        "orchestrations" | "activitydefinitions" | "orchestrationdefinitions" => {
            "/apis/orchestrator.dev/v1alpha1".to_owned()
        }
        "widgets" => format!("/apis/{}/v1", custom::group()),
        _ => "/api/v1".to_owned(),
    };
    format!("{group}/namespaces/{{ns}}/{path}")
}

fn with_watch(path: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}watch=true&timeoutSeconds=1")
}

fn filled(text: &str, saved: &BTreeMap<String, String>) -> String {
    saved.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

fn save(name: &str, text: &str, saved: &mut BTreeMap<String, String>) {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    for (key, pointer) in [
        ("rv", "/metadata/resourceVersion"),
        ("uid", "/metadata/uid"),
        ("name", "/metadata/name"),
        ("continue", "/metadata/continue"),
    ] {
        let value = body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        saved.insert(format!("{name}.{key}"), value.to_owned());
    }
}
