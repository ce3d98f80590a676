//! Web: `/metrics`, `/live`, `/ready`, `/debug/sources` and `/debug/short`. GET only, on loopback by default.
//!
//! Nothing here changes anything, and nothing here shows log content.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream::{self, StreamExt};
use metrics_exporter_prometheus::PrometheusHandle;
use pipeline::fs::Printable;
use pipeline::limits::LimitReport;
use pipeline::reader::{ShortFolder, WaitsFor};
use pipeline::source::SourceReport;
use tokio::net::TcpListener;

use crate::metrics::publish;
use crate::status::Status;

/// What the routes work with.
#[derive(Debug, Clone)]
struct Desk {
    status: Arc<Status>,
    prometheus: Arc<PrometheusHandle>,
}

/// Serves until the process ends, on a thread of its own: it answers whatever the supervisor does.
pub(crate) fn start(
    listener: std::net::TcpListener,
    status: Arc<Status>,
    prometheus: PrometheusHandle,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("lf-web-ask")
        .max_blocking_threads(1)
        .build()?;
    let body = move || runtime.block_on(serve(listener, status, prometheus));
    std::thread::Builder::new().name("lf-web".to_owned()).spawn(body)?;
    Ok(())
}

async fn serve(listener: std::net::TcpListener, status: Arc<Status>, prometheus: PrometheusHandle) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "no web server; collecting goes on"),
    };
    let desk = Desk { status, prometheus: Arc::new(prometheus) };
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/debug/sources", get(sources))
        .route("/debug/short", get(short))
        .with_state(desk);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the web server ended; collecting goes on");
    }
}

/// Content type of Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

async fn metrics(State(desk): State<Desk>) -> impl IntoResponse {
    publish::all(&desk.status);
    ([(CONTENT_TYPE, TEXT_FORMAT)], desk.prometheus.render())
}

/// Whether the process should be left alone: it answers, so it should.
async fn live() -> &'static str {
    "live\n"
}

/// Whether everything asked for is being collected and taken by the sinks.
async fn ready(State(desk): State<Desk>) -> (StatusCode, String) {
    let mut reasons = desk.status.unready();
    let is_ready = reasons.is_empty();
    // No reasons to be unready: the last good ones are in force.
    let now = desk.status.now();
    reasons.extend(now.config_problem.iter().map(|it| format!("configuration: {it}")));
    reasons.extend(now.credentials_problem.iter().map(|it| format!("credentials: {it}")));
    drop(now);
    let first = if is_ready { "ready" } else { "not ready" };
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let lines = std::iter::once(first.to_owned()).chain(reasons);
    (status, lines.map(|line| line + "\n").collect())
}

/// All sources, written as they are asked about: of very many, all at once would be more memory than there may be.
async fn sources(State(desk): State<Desk>) -> impl IntoResponse {
    let (sender, mut pieces) = tokio::sync::mpsc::channel(PIECES_MAX);
    let status = Arc::clone(&desk.status);
    tokio::task::spawn_blocking(move || write_sources(&status, &sender));
    let next = stream::poll_fn(move |context| pieces.poll_recv(context));
    let body = Body::from_stream(next.map(Ok::<String, Infallible>));
    ([(CONTENT_TYPE, "application/json")], body)
}

/// Pieces of an answer that wait to be sent.
const PIECES_MAX: usize = 2;
/// A piece is sent when it is so large, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// Writes what the readers say, piece by piece; nothing more once nobody listens.
fn write_sources(status: &Status, pieces: &tokio::sync::mpsc::Sender<String>) {
    let reporter = status.now().reporter.clone();
    let (mut text, mut is_first, mut is_heard) = ("[".to_owned(), true, true);
    let mut write = |report: SourceReport| {
        if !is_heard {
            return;
        }
        let comma = if std::mem::take(&mut is_first) { "" } else { "," };
        write!(text, "{comma}{}", source(&report, status)).expect("memory");
        if text.len() >= PIECE_BYTES {
            is_heard = pieces.blocking_send(std::mem::take(&mut text)).is_ok();
        }
    };
    if let Some(reporter) = reporter {
        reporter.report_each(&mut write);
    }
    text.push(']');
    // Who asked may have gone.
    drop(pieces.blocking_send(text));
}

/// Folders with files that wait for memory to know them by.
async fn short(State(desk): State<Desk>) -> impl IntoResponse {
    let reporter = desk.status.now().reporter.clone();
    let asked = tokio::task::spawn_blocking(move || reporter.map(|it| it.short_folders())).await;
    let folders = asked.ok().flatten().unwrap_or_default();
    let folder = |it: &ShortFolder| {
        let waiting = it.waiting.iter().map(|(tenant, files)| (tenant.to_string(), *files));
        serde_json::json!({
            "path": Printable(&it.path).to_string(),
            "log_config": &*it.rule,
            "waiting": waiting.collect::<BTreeMap<_, _>>(),
        })
    };
    Json(folders.iter().map(folder).collect::<Vec<_>>())
}

/// What a source waits for; times in milliseconds.
fn waits_for(it: WaitsFor) -> serde_json::Value {
    const MILLISECOND_NS: u64 = 1_000_000;
    match it {
        WaitsFor::Limit { level, for_ns } => serde_json::json!({
            "what": "limit", "level": level.name(), "for_ms": for_ns.div_ceil(MILLISECOND_NS),
        }),
        WaitsFor::Memory { used_bytes } => {
            serde_json::json!({"what": "memory", "used_bytes": used_bytes})
        }
        WaitsFor::Window { used_bytes } => {
            serde_json::json!({"what": "inFlightBytes", "used_bytes": used_bytes})
        }
        WaitsFor::Lane => serde_json::json!({"what": "lane"}),
        WaitsFor::Sink { since_ns } => {
            serde_json::json!({"what": "sink", "since_ms": since_ns / MILLISECOND_NS})
        }
        WaitsFor::Turn => serde_json::json!({"what": "turn"}),
    }
}

fn limit(it: &LimitReport) -> serde_json::Value {
    serde_json::json!({
        "level": it.level.name(),
        "unit": if it.is_bytes { "bytes" } else { "records" },
        "per_second": it.per_second,
        "tokens": it.tokens,
        "debt": it.debt,
    })
}

fn source(report: &SourceReport, status: &Status) -> serde_json::Value {
    let spool = match report.waits_for {
        Some(WaitsFor::Sink { .. }) => status.awaited_spool(&report.rule, &report.context.tenant),
        _ => None,
    };
    let waits_for = match spool {
        Some(why) => Some(serde_json::json!({"what": "spool", "why": why})),
        None => report.waits_for.map(waits_for),
    };
    let generations = report.generations.iter().map(|it| {
        serde_json::json!({
            "path": Printable(&it.path).to_string(),
            "offset": it.offset,
            "size": it.size,
            "gone": it.is_gone,
            "endangered": it.is_endangered,
        })
    });
    serde_json::json!({
        "context": report.context.to_string(),
        "context_id": report.context.id.to_string(),
        "tenant": &*report.context.tenant,
        "log_config": &*report.rule,
        "epoch": report.epoch,
        "cursor": report.cursor,
        "lag_bytes": report.lag_bytes,
        "at_risk_bytes": report.at_risk_bytes,
        "log_disk_pressed": report.is_disk_pressed,
        "failures": report.failures,
        "waits_for": waits_for,
        "limits": report.limits.iter().map(limit).collect::<Vec<_>>(),
        "generations": generations.collect::<Vec<_>>(),
    })
}
