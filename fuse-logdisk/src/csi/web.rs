//! Web: `/live`, `/ready` and `/metrics` of the driver, also while it waits for its turn. GET only; nothing here changes anything.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use super::driver::Driver;
use super::metrics::exposition;
use super::registration::{Heard, Registration};

/// Content type of Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Who serves, once the driver has its turn.
#[derive(Default)]
pub(super) struct Desk(OnceLock<Serving>);

struct Serving {
    driver: Arc<Driver>,
    /// `None` where the kubelet is not told.
    registration: Option<Arc<Registration>>,
}

impl Desk {
    /// The driver serves from now on.
    pub(super) fn serves(&self, driver: Arc<Driver>, registration: Option<Arc<Registration>>) {
        self.0.get_or_init(|| Serving { driver, registration });
    }

    /// # Errors
    /// Why it is not ready. One that waits for its turn is: the one before ends only then (`maxSurge`).
    fn ready(&self) -> Result<&'static str, String> {
        let Some(serving) = self.0.get() else {
            return Ok("waiting for the end of the driver before\n");
        };
        match serving.registration.as_ref().map(|it| it.heard()) {
            None | Some(Heard::Registered) => Ok("ok\n"),
            Some(Heard::Nothing) => {
                Err("the kubelet has not registered the driver yet\n".to_owned())
            }
            Some(Heard::Refused(why)) => Err(format!("the kubelet refuses the driver: {why}\n")),
        }
    }
}

/// Answers at `listen` as long as the runtime runs.
///
/// # Errors
/// If the address cannot be listened on.
pub(super) async fn start(listen: SocketAddr, desk: Arc<Desk>) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("{listen}: cannot listen; set another --listen"))?;
    let router = Router::new()
        // The thread that answers is the one that does all else.
        .route("/live", get(|| async { "ok\n" }))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(desk);
    drop(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the web server ended");
        }
    }));
    Ok(())
}

async fn ready(State(desk): State<Arc<Desk>>) -> (StatusCode, String) {
    match desk.ready() {
        Ok(said) => (StatusCode::OK, said.to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

async fn metrics(State(desk): State<Arc<Desk>>) -> impl IntoResponse {
    let volumes = desk.0.get().map(|it| &it.driver.volumes);
    ([(CONTENT_TYPE, TEXT_FORMAT)], exposition(volumes))
}
