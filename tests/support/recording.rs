//! A layer of a client that writes down every request.
//!
//! Responsible for: the counts that tests hold. Must never: change a request or an answer.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use kube::client::Body;
use serde_json::Value;
use tower::{Layer, Service};

/// One request and the status of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// HTTP method.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// The query, empty if there is none.
    pub query: String,
    /// What was sent, empty if nothing was.
    pub body: String,
    /// Status of the answer; 0 if there was none, or not yet.
    pub status: u16,
}

impl Recorded {
    /// Whether it can change anything.
    pub fn is_write(&self) -> bool {
        self.method != "GET" && !self.query.contains("dryRun")
    }

    /// Whether it makes a Job for real.
    pub fn makes_job(&self) -> bool {
        self.method == "POST" && self.path.ends_with("/jobs") && self.is_write()
    }

    /// What was sent, as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// All requests so far.
#[derive(Clone, Debug, Default)]
pub struct Recording(Arc<Mutex<Vec<Recorded>>>);

impl Recording {
    /// A copy of all requests so far.
    pub fn all(&self) -> Vec<Recorded> {
        self.0.lock().unwrap().clone()
    }

    /// How many requests of a method have a path that ends so.
    pub fn count(&self, method: &str, path_ends: &str) -> usize {
        self.count_that(|one| one.method == method && one.path.ends_with(path_ends))
    }

    /// How many requests satisfy.
    pub fn count_that(&self, satisfies: impl Fn(&Recorded) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|one| satisfies(one)).count()
    }

    /// The requests that satisfy.
    pub fn that(&self, satisfies: impl Fn(&Recorded) -> bool) -> Vec<Recorded> {
        self.0.lock().unwrap().iter().filter(|one| satisfies(one)).cloned().collect()
    }
}

impl<S> Layer<S> for Recording {
    type Service = RecordingService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RecordingService { inner, recording: self.clone() }
    }
}

/// The service of the layer.
#[derive(Clone, Debug)]
pub struct RecordingService<S> {
    inner: S,
    recording: Recording,
}

impl<S, B> Service<Request<Body>> for RecordingService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // Every body of ours is one piece of memory, so that a copy of it is there at once.
        let copy = request.body().try_clone().and_then(|body| body.collect_bytes().now_or_never());
        let sent = copy.expect("a body in memory").expect("a body in memory");
        let recorded = Recorded {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            body: String::from_utf8_lossy(&sent).into_owned(),
            status: 0,
        };
        let recording = self.recording.clone();
        // Before it is sent: what it does is seen elsewhere before the answer is here.
        let number = {
            let mut all = recording.0.lock().unwrap();
            all.push(recorded);
            all.len() - 1
        };
        self.inner
            .call(request)
            .map(move |answer| {
                recording.0.lock().unwrap()[number].status =
                    answer.as_ref().map_or(0, |answer| answer.status().as_u16());
                answer
            })
            .boxed()
    }
}
