//! The operator's own HTTP servers: health and metrics, each on a port of its own.
//!
//! Responsible for: routes, and limits on whoever asks. Must never: know a controller; it shows what others have noted.

use std::future::Future;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::health::Health;
use crate::metrics::Metrics;

mod limited;

/// The form of OpenMetrics.
const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The older form of Prometheus.
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Listens on an address, for what is to be served there.
///
/// # Errors
/// It is taken, or not this machine's; the message names it.
pub async fn bind(address: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    let listener = bound.map_err(|error| anyhow::anyhow!("cannot listen on {address}: {error}"))?;
    // Port 0 is any that is free.
    tracing::info!(address = %listener.local_addr()?, serves = what, "listening");
    Ok(listener)
}

/// Serves `/livez` and `/readyz` until shutdown.
pub async fn health(listener: TcpListener, health: Health, shutdown: impl Future<Output = ()>) {
    let routes = Router::new()
        .route("/livez", get(|State(health): State<Health>| async move { told(health.live()) }))
        .route("/readyz", get(|State(health): State<Health>| async move { told(health.ready()) }))
        .with_state(health);
    limited::serve(listener, routes, shutdown).await;
}

/// Serves `/metrics` until shutdown.
pub async fn metrics(listener: TcpListener, metrics: Metrics, shutdown: impl Future<Output = ()>) {
    let routes = Router::new().route("/metrics", get(scrape)).with_state(metrics);
    limited::serve(listener, routes, shutdown).await;
}

async fn scrape(State(metrics): State<Metrics>, headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    let open = accepted.is_some_and(wants_open);
    let form = if open { OPEN } else { PLAIN };
    ([(header::CONTENT_TYPE, form)], metrics.render(open)).into_response()
}

/// Whether OpenMetrics is liked best of what is accepted, and named.
fn wants_open(accepted: &str) -> bool {
    let weight = |wanted: &str| {
        let entries = accepted.split(',').filter_map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            (parts.next() == Some(wanted)).then(|| {
                let weight = parts.find_map(|part| part.strip_prefix("q="));
                weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0))
            })
        });
        entries.fold(0.0, f32::max)
    };
    let open = weight("application/openmetrics-text");
    open > 0.0 && open >= weight("text/plain")
}

fn told(result: Result<(), Vec<String>>) -> Response {
    match result {
        Ok(()) => "ok\n".into_response(),
        Err(problems) => {
            let lines: String = problems.into_iter().map(|problem| problem + "\n").collect();
            (StatusCode::SERVICE_UNAVAILABLE, lines).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_is_liked_best_is_given() {
        for accepted in [
            "application/openmetrics-text; version=1.0.0",
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
        ] {
            assert!(wants_open(accepted), "{accepted}");
        }
        for accepted in [
            "*/*",
            "text/plain",
            "application/openmetrics-text;q=0,*/*",
            "application/openmetrics-text;q=0.5,text/plain;q=0.9",
            "application/openmetrics-text;q=x",
        ] {
            assert!(!wants_open(accepted), "{accepted}");
        }
    }
}
