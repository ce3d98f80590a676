//! Web: `/healthz`, `/readyz` and `/metrics`. GET only; nothing here changes anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics::gauge;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use crate::metrics::{RESIDENT_BYTES, resident_bytes};

/// Content type of Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether this replica can do its work: lead, or take over; and answer the API server, if it is to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// It can.
    pub(crate) fn is_ready(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What the routes work with.
#[derive(Debug, Clone)]
struct Desk {
    readiness: Readiness,
    prometheus: Arc<PrometheusHandle>,
}

/// Serves from now on, as long as the runtime runs.
///
/// # Errors
/// If the address cannot be listened on.
pub(crate) async fn start(
    listen: std::net::SocketAddr,
    readiness: Readiness,
    prometheus: PrometheusHandle,
) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("{listen}: cannot listen; set another --bind-address or --port")
    })?;
    let desk = Desk { readiness, prometheus: Arc::new(prometheus) };
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(desk);
    // It ends with the runtime; an error of a connection is no error of the server.
    drop(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the web server ended");
        }
    }));
    Ok(())
}

async fn ready(State(desk): State<Desk>) -> (StatusCode, &'static str) {
    if desk.readiness.0.load(Ordering::Acquire) {
        (StatusCode::OK, "ok\n")
    } else {
        let why = "the API server was not reached yet, or the webhooks have no certificate\n";
        (StatusCode::SERVICE_UNAVAILABLE, why)
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating point by Prometheus' rule")]
async fn metrics(State(desk): State<Desk>) -> impl IntoResponse {
    gauge!(RESIDENT_BYTES).set(resident_bytes() as f64);
    ([(CONTENT_TYPE, TEXT_FORMAT)], desk.prometheus.render())
}
