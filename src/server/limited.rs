//! Serving with limits: on connections at a time, on how long a request may take to arrive, and on idle connections.
//!
//! Responsible for: that no stranger takes more than a bounded part of memory and file descriptors. Must never: read a
//! request.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Most connections at a time; others wait in the queue of the listener.
const CONNECTIONS: usize = 64;
/// Longest time until the head of a request is there, from the beginning of the connection or the end of the last answer.
const HEAD: Duration = Duration::from_secs(10);
/// Longest life of a connection: whoever keeps one gives way to others.
const LIFE: Duration = Duration::from_secs(300);
/// Largest head of a request, in bytes.
const HEAD_SIZE: usize = 16 * 1024;
/// Pause after an error of the listener, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves routes until shutdown. What is under way then is given up: nobody depends on an answer.
pub(super) async fn serve(listener: TcpListener, routes: Router, shutdown: impl Future<Output = ()>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections: JoinSet<()> = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accept = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = &mut shutdown => return,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept => accepted,
        };
        let (Ok(permit), Ok((stream, _))) = (permit, accepted) else {
            sleep(PAUSE).await;
            continue;
        };
        let service = TowerToHyperService::new(routes.clone());
        connections.spawn(async move {
            let _permit = permit;
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(HEAD_SIZE)
                .serve_connection(TokioIo::new(stream), service);
            // How it ends is the stranger's business.
            let _ended: Result<Result<(), hyper::Error>, _> = timeout(LIFE, connection).await;
        });
    }
}
