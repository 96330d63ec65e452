//! The way between one operator and the server: written down with its times, and broken when a test says so.
//!
//! Responsible for: what a replica sent and when. Must never: change what arrives.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use http::{Method, Request, Response};
use kube::client::Body;
use tokio::time::Instant;
use tower::{Layer, Service};

/// What happens to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It is answered.
    #[default]
    Whole,
    /// It goes nowhere, and nothing comes back.
    Silent,
    /// It is refused at once.
    Refusing,
    /// It is done, and the answer is lost.
    Deaf,
}

/// A request that reached the server.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: Instant,
    pub method: Method,
    pub path: String,
}

impl Sent {
    /// Whether it is about the election.
    pub fn is_election(&self) -> bool {
        self.path.contains("/leases")
    }

    /// Whether it changes something, the election left aside.
    pub fn is_work(&self) -> bool {
        self.method != Method::GET && !self.is_election()
    }
}

/// The way of one operator. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Wire(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// What happens to requests about the election.
    election: State,
    /// What happens to all others.
    work: State,
    sent: Vec<Sent>,
}

impl Wire {
    /// From now on, this happens to requests about the election.
    pub fn election(&self, state: State) {
        self.0.lock().unwrap().election = state;
    }

    /// From now on, this happens to all requests.
    pub fn all(&self, state: State) {
        let mut inner = self.0.lock().unwrap();
        (inner.election, inner.work) = (state, state);
    }

    /// What reached the server so far, and satisfies.
    pub fn sent(&self, satisfies: impl Fn(&Sent) -> bool) -> Vec<Sent> {
        self.0.lock().unwrap().sent.iter().filter(|sent| satisfies(sent)).cloned().collect()
    }
}

impl<S> Layer<S> for Wire {
    type Service = WireService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WireService { inner, wire: self.clone() }
    }
}

/// The service of the layer.
#[derive(Clone, Debug)]
pub struct WireService<S> {
    inner: S,
    wire: Wire,
}

impl<S, B> Service<Request<Body>> for WireService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<tower::BoxError>,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = tower::BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let sent = Sent { at: Instant::now(), method, path };
        let state = {
            let mut inner = self.wire.0.lock().unwrap();
            let state = if sent.is_election() { inner.election } else { inner.work };
            if matches!(state, State::Whole | State::Deaf) {
                inner.sent.push(sent);
            }
            state
        };
        match state {
            State::Whole => self.inner.call(request).map(|answer| answer.map_err(Into::into)).boxed(),
            State::Silent => pending().boxed(),
            State::Refusing => async { Err("connection refused".into()) }.boxed(),
            State::Deaf => {
                let answer = self.inner.call(request);
                async move {
                    let _ = answer.await;
                    pending().await
                }
                .boxed()
            }
        }
    }
}
