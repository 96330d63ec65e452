//! A layer of a client that ends the world of its operator after a number of writes, as a crash would.
//!
//! Responsible for: the write that blows it reaches the server, its answer and everything after it reach nobody.
//! Must never: stop what the server did.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use http::{Method, Request, Response, StatusCode};
use tokio::sync::watch;
use tower::{Layer, Service};

/// A fuse for one client.
#[derive(Clone, Debug)]
pub struct Fuse {
    left: Arc<AtomicI64>,
    blown: Arc<watch::Sender<bool>>,
}

impl Fuse {
    /// A fuse that blows at this write. Dry runs do not count; what is under way with it is done too.
    pub fn at_write(number: i64) -> Self {
        Self { left: Arc::new(AtomicI64::new(number)), blown: Arc::new(watch::Sender::new(false)) }
    }

    /// A fuse that never blows.
    pub fn never() -> Self {
        Self::at_write(i64::MAX)
    }

    /// Waits until it has blown.
    pub async fn blown(&self) {
        let mut blown = self.blown.subscribe();
        blown.wait_for(|blown| *blown).await.unwrap();
    }

    fn is_blown(&self) -> bool {
        *self.blown.borrow()
    }
}

impl<S> Layer<S> for Fuse {
    type Service = FuseService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        FuseService { inner, fuse: self.clone() }
    }
}

/// The service of the layer.
#[derive(Clone, Debug)]
pub struct FuseService<S> {
    inner: S,
    fuse: Fuse,
}

impl<S, A, B> Service<Request<A>> for FuseService<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let query = request.uri().query().unwrap_or_default();
        let writes = request.method() != Method::GET && !query.contains("dryRun");
        if self.fuse.is_blown() {
            return pending().boxed();
        }
        let fuse = self.fuse.clone();
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await;
            // What is there already changes nothing, and does not count.
            let changes =
                writes && answer.as_ref().is_ok_and(|answer| answer.status() != StatusCode::CONFLICT);
            if changes && fuse.left.fetch_sub(1, Ordering::SeqCst) == 1 {
                fuse.blown.send_replace(true);
            }
            if fuse.is_blown() { pending().await } else { answer }
        }
        .boxed()
    }
}
