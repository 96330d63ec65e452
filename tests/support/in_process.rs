//! An API server in this process, so small that time can be paused around it: objects, merge patches, and watches.
//!
//! Responsible for: as much of the Kubernetes API as the controllers use when next to nothing happens. Must never: be
//! taken for the real one; what a server decides is tested there.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use orchestrator::clock::Clock;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tower::Service;

/// The server. A clone is the same one.
#[derive(Clone, Debug)]
pub struct Server {
    state: Arc<Mutex<State>>,
    version: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct State {
    /// Objects by path.
    objects: BTreeMap<String, Value>,
    /// Every change: version, path, and the line of a watch.
    changes: Vec<(u64, String, String)>,
    /// How long lists of a resource take.
    delays: BTreeMap<String, Duration>,
}

impl Default for Server {
    fn default() -> Self {
        Self { state: Arc::default(), version: Arc::new(watch::Sender::new(1)) }
    }
}

impl Server {
    /// Puts an object at a path, as a user or another controller would. The result is the object as it is stored.
    pub fn put(&self, path: &str, mut object: Value) -> Value {
        let mut state = self.state.lock().unwrap();
        let version = *self.version.borrow() + 1;
        let old = state.objects.get(path).cloned();
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(version.to_string());
        for (key, value) in [
            ("uid", json!(format!("00000000-0000-0000-0000-{version:012}"))),
            ("generation", json!(1)),
            ("creationTimestamp", json!(BEGINNING)),
        ] {
            if metadata[key].is_null() {
                metadata[key] = value;
            }
        }
        // The type comes first, as it does from the real server: readers of raw text rely on it.
        let type_ = if old.is_some() { "MODIFIED" } else { "ADDED" };
        let line = format!("{{\"type\":\"{type_}\",\"object\":{object}}}\n");
        state.objects.insert(path.to_owned(), object.clone());
        state.changes.push((version, path.to_owned(), line));
        self.version.send_replace(version);
        object
    }

    /// Lets lists of a resource take so long.
    pub fn delay(&self, resource: &str, time: Duration) {
        self.state.lock().unwrap().delays.insert(resource.to_owned(), time);
    }

    /// The object at a path.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(path).cloned()
    }

    /// The paths that begin so.
    pub fn paths(&self, begin: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.objects.keys().filter(|path| path.starts_with(begin)).cloned().collect()
    }

    /// Waits until something is so.
    pub async fn until<T>(&self, found: impl Fn(&Self) -> Option<T>) -> T {
        let mut version = self.version.subscribe();
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            // A day of paused time is over at once, should it never be so.
            tokio::time::timeout(Duration::from_secs(86_400), version.changed()).await.unwrap().unwrap();
        }
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let query: BTreeMap<String, String> = parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let sent = body.collect_bytes().await.unwrap();
        let sent = || serde_json::from_slice::<Value>(&sent).unwrap();
        match parts.method {
            Method::GET if query.get("watch").is_some_and(|watch| watch == "true") => {
                self.watch(&path, &query).await
            }
            Method::GET => match self.get(&path) {
                Some(object) => respond(200, &object),
                None if is_object(&path) => refuse(404, "NotFound"),
                None => {
                    let resource = path.rsplit('/').next().unwrap_or_default();
                    let delay = self.state.lock().unwrap().delays.get(resource).copied();
                    tokio::time::sleep(delay.unwrap_or_default()).await;
                    self.list(&path)
                }
            },
            Method::POST if query.contains_key("dryRun") => respond(201, &sent()),
            Method::POST => {
                let object = sent();
                let at = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
                if self.get(&at).is_some() {
                    refuse(409, "AlreadyExists")
                } else {
                    respond(201, &self.put(&at, object))
                }
            }
            Method::PATCH => {
                let at = path.strip_suffix("/status").unwrap_or(&path);
                let Some(mut object) = self.get(at) else { return refuse(404, "NotFound") };
                let patch = sent();
                let expected = &patch["metadata"]["resourceVersion"];
                if !expected.is_null() && *expected != object["metadata"]["resourceVersion"] {
                    return refuse(409, "Conflict");
                }
                merge(&mut object, &patch);
                respond(200, &self.put(at, object))
            }
            _ => refuse(405, "MethodNotAllowed"),
        }
    }

    fn list(&self, collection: &str) -> Response<Body> {
        let state = self.state.lock().unwrap();
        let begin = format!("{collection}/");
        let items: Vec<&Value> = state
            .objects
            .iter()
            .filter(|(path, _)| path.starts_with(&begin))
            .map(|(_, object)| object)
            .collect();
        let metadata = json!({"resourceVersion": self.version.borrow().to_string()});
        respond(200, &json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items}))
    }

    /// Answers when there is something to tell, or when the time of the watch is over: both end it, as a server may
    /// at any time.
    async fn watch(&self, collection: &str, query: &BTreeMap<String, String>) -> Response<Body> {
        let number = |key: &str| query.get(key).and_then(|text| text.parse::<u64>().ok());
        let since = number("resourceVersion").unwrap_or_default();
        let begin = format!("{collection}/");
        let mut version = self.version.subscribe();
        let news = async {
            loop {
                let lines: String = {
                    let state = self.state.lock().unwrap();
                    let news =
                        state.changes.iter().filter(|(at, path, _)| *at > since && path.starts_with(&begin));
                    news.map(|(_, _, line)| line.as_str()).collect()
                };
                if !lines.is_empty() {
                    return lines;
                }
                version.changed().await.unwrap();
            }
        };
        let time = Duration::from_secs(number("timeoutSeconds").unwrap_or(290));
        let lines = tokio::time::timeout(time, news).await.unwrap_or_default();
        Response::new(Body::from(lines.into_bytes()))
    }
}

impl Service<Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.clone().answer(request).map(Ok).boxed()
    }
}

/// Whether a path names an object and not a collection: /api/v1/namespaces/n/pods/NAME, /apis/g/v/namespaces/n/r/NAME.
fn is_object(path: &str) -> bool {
    let segments = path.trim_matches('/').split('/').count();
    segments > if path.starts_with("/api/") { 5 } else { 6 }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Some(members) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in members {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}

fn respond(code: u16, body: &Value) -> Response<Body> {
    let response = Response::builder().status(code).header("content-type", "application/json");
    response.body(Body::from(body.to_string().into_bytes())).unwrap()
}

fn refuse(code: u16, reason: &str) -> Response<Body> {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason});
    respond(code, &status)
}

/// When time begins in this server.
const BEGINNING: &str = "2026-01-01T00:00:00Z";

/// A wall clock that goes as tokio's time does, also when that is paused.
#[derive(Debug)]
pub struct PausedClock(Instant);

impl Default for PausedClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        let beginning: Timestamp = BEGINNING.parse().unwrap();
        beginning + SignedDuration::try_from(self.0.elapsed()).unwrap()
    }
}
