//! The short way to the embedded server: requests of users and nodes, as JSON, with no faults on the way.
//!
//! Responsible for: saying who sends. Must never: be what the operator uses.

use std::sync::Arc;

use http::{Method, Request};
use orchestrator::embedded::server::Server;
use orchestrator::embedded::server::body::Body as Answer;
use orchestrator::embedded::store::Object;
use serde_json::Value;
use tower::Service;

use super::scenario::NAMESPACE;

/// A client of the embedded server under a name.
#[derive(Clone, Debug)]
pub struct Direct {
    server: Server,
    agent: &'static str,
}

impl Direct {
    /// A client under a name.
    pub fn new(server: &Server, agent: &'static str) -> Self {
        Self { server: server.clone(), agent }
    }

    /// Sends a request; the result is the status and the answer.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let media_type = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let text = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, media_type)
            .header(http::header::USER_AGENT, self.agent)
            .body(kube::client::Body::from(text))
            .unwrap();
        let response = self.server.clone().call(request).await.unwrap();
        let status = response.status().as_u16();
        match response.into_body() {
            Answer::Once(bytes) => {
                (status, serde_json::from_slice(&bytes.unwrap_or_default()).unwrap_or_default())
            }
            Answer::Stream(_) => panic!("a watch is not for the short way"),
        }
    }

    /// Reads an object; nothing if there is none.
    pub async fn get(&self, path: &str) -> Option<Value> {
        let (status, object) = self.send(Method::GET, path, &Value::Null).await;
        (status == 200).then_some(object)
    }

    /// An object of the simulated namespace as it is stored, without a request.
    pub fn peek(&self, group: &str, plural: &str, name: &str) -> Option<Arc<Object>> {
        let version = self.server.version();
        let objects = self.server.objects_at(group, plural, Some(NAMESPACE), version).unwrap_or_default();
        objects.into_iter().find(|object| object.value["metadata"]["name"] == name)
    }

    /// Creates an object, which must succeed.
    pub async fn create(&self, path: &str, object: &Value) -> Value {
        let (status, answer) = self.send(Method::POST, path, object).await;
        assert_eq!(status, 201, "{path}: {answer}");
        answer
    }

    /// Merges a patch into an object, which must succeed unless it is gone.
    pub async fn patch(&self, path: &str, patch: &Value) {
        let (status, answer) = self.send(Method::PATCH, path, patch).await;
        assert!(matches!(status, 200 | 404), "{path}: {status} {answer}");
    }

    /// Deletes an object, if there is one.
    pub async fn delete(&self, path: &str, options: &Value) {
        let (status, answer) = self.send(Method::DELETE, path, options).await;
        assert!(matches!(status, 200 | 404), "{path}: {status} {answer}");
    }

    /// The objects under a path.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let (status, mut answer) = self.send(Method::GET, path, &Value::Null).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default()
    }
}
