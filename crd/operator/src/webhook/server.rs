//! Server: HTTPS for the API server, within limits of connections, of time and of size.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::middleware::map_response_with_state;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::post;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metrics::{counter, histogram};
use openssl::ssl::{Ssl, SslAcceptor};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_openssl::SslStream;

use super::mutate::Injector;
use super::review::{Answer, Request, Review};
use super::validate::validate;
use crate::certificate::Served;
use crate::metrics::{WEBHOOK_REVIEWS, WEBHOOK_SECONDS};

/// Most connections at a time; others wait to be accepted. API servers use one for each question at a time.
const CONNECTIONS_MAX: usize = 256;
/// How long a connection may take to come about.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// How long a connection may be idle: longer than Go's clients keep one, so that they end it and not we, just as they ask.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// Largest question: API servers take objects of 3 MiB, and send the old one with the new one.
const BODY_BYTES_MAX: usize = 8 << 20;
/// How long an answer may take; those who ask wait no longer than a few seconds.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// The routes; once it `is_ending`, each answer is the last of its connection.
pub(super) fn router(injector: Arc<Injector>, is_ending: Arc<AtomicBool>) -> Router {
    Router::new()
        .route("/validate", post(validated))
        .route("/mutate", post(mutated))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(map_response_with_state(is_ending, part))
        .with_state(injector)
}

async fn part(State(is_ending): State<Arc<AtomicBool>>, mut answer: Response) -> Response {
    if is_ending.load(Ordering::Acquire) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, router: Router, served: Served) -> Infallible {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let permit = Arc::clone(&connections).acquire_owned().await;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors: others end in time.
                tracing::warn!(%error, "a connection of the webhooks could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Without a certificate nobody can be answered, and who asks goes on without us.
        let Some(acceptor) = served.borrow().clone() else { continue };
        let router = router.clone();
        drop(tokio::spawn(async move {
            if let Err(error) = connection(stream, &acceptor, router).await {
                tracing::debug!(error = format!("{error:#}"), "a connection of the webhooks ended");
            }
            drop(permit);
        }));
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: &SslAcceptor,
    router: Router,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = SslStream::new(Ssl::new(acceptor.context())?, stream)?;
    timeout(HANDSHAKE_MAX, std::pin::Pin::new(&mut stream).accept()).await??;
    let service = TowerToHyperService::new(router);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE_MAX);
    Ok(builder.serve_connection(TokioIo::new(stream), service).await?)
}

async fn validated(State(_): State<Arc<Injector>>, body: Bytes) -> Response {
    answer("validate", &body, async |request| validate(&request)).await
}

async fn mutated(State(injector): State<Arc<Injector>>, body: Bytes) -> Response {
    answer("mutate", &body, async |request| injector.mutate(&request).await).await
}

async fn answer(
    webhook: &'static str,
    body: &[u8],
    judge: impl AsyncFnOnce(Request) -> Answer,
) -> Response {
    let begun = Instant::now();
    let review = serde_json::from_slice::<Review>(body).map_err(|error| error.to_string());
    let request = match review.and_then(Review::request) {
        Ok(request) => request,
        Err(why) => {
            counter!(WEBHOOK_REVIEWS, "webhook" => webhook, "outcome" => "malformed").increment(1);
            return (StatusCode::BAD_REQUEST, format!("no review: {why}\n")).into_response();
        }
    };
    let uid = request.uid.clone();
    let Ok(answer) = timeout(ANSWER_MAX, judge(request)).await else {
        counter!(WEBHOOK_REVIEWS, "webhook" => webhook, "outcome" => "late").increment(1);
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let outcome = match (&answer.problems[..], &answer.patch[..]) {
        ([], []) => "allowed",
        ([], _) => "patched",
        _ => "refused",
    };
    counter!(WEBHOOK_REVIEWS, "webhook" => webhook, "outcome" => outcome).increment(1);
    histogram!(WEBHOOK_SECONDS, "webhook" => webhook).record(begun.elapsed().as_secs_f64());
    Json(answer.to_review(&uid)).into_response()
}
