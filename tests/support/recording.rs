//! A layer of a client that writes down every request.
//!
//! Responsible for: the counts that tests hold. Must never: change a request or an answer.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
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
    /// Status of the answer; 0 if there was none.
    pub status: u16,
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
        self.all().iter().filter(|one| one.method == method && one.path.ends_with(path_ends)).count()
    }

    /// How many requests satisfy.
    pub fn count_that(&self, satisfies: impl Fn(&Recorded) -> bool) -> usize {
        self.all().iter().filter(|one| satisfies(one)).count()
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

impl<S, A, B> Service<Request<A>> for RecordingService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let mut recorded = Recorded {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            status: 0,
        };
        let recording = self.recording.clone();
        self.inner
            .call(request)
            .map(move |answer| {
                recorded.status = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
                recording.0.lock().unwrap().push(recorded);
                answer
            })
            .boxed()
    }
}
