//! Serving with limits: on connections at a time, on how long a request may take to arrive, and on idle connections.
//!
//! Responsible for: that no stranger takes more than a bounded part of memory and file descriptors. Must never: read a
//! request.

use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// Most connections at a time. When there are more, the oldest gives way: whoever asks at once is answered, however many
/// others hold a connection and say nothing.
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
    let mut connections: JoinSet<()> = JoinSet::new();
    let mut oldest_first: VecDeque<AbortHandle> = VecDeque::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => return,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        oldest_first.retain(|connection| !connection.is_finished());
        if oldest_first.len() >= CONNECTIONS
            && let Some(oldest) = oldest_first.pop_front()
        {
            oldest.abort();
        }
        let service = TowerToHyperService::new(routes.clone());
        let connection = connections.spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(HEAD_SIZE)
                .serve_connection(TokioIo::new(stream), service);
            // How it ends is the stranger's business.
            let _ended: Result<Result<(), hyper::Error>, _> = timeout(LIFE, connection).await;
        });
        oldest_first.push_back(connection);
    }
}
