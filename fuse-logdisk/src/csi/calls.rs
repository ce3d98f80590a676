//! Calls: what is asked on a socket by gRPC, by the path of each call, and who answers it.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use http::{Request, Response};
use prost::Message;
use tokio::net::UnixListener;
use tonic::Status;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::transport::Server;
use tonic_prost::ProstCodec;
use tower::service_fn;

/// Who answers the calls of one socket.
pub(super) trait Calls: Send + Sync + 'static {
    /// Answers a call.
    fn answer(
        self: Arc<Self>,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// A socket at `path`, in place of what is there: whoever looks for one finds the one or the other.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // The kubelet does not look at names that begin so.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = path.with_file_name(format!(".{name}.new"));
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&unfinished)?;
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600))?;
    fs::rename(unfinished, path)?;
    Ok(listener)
}

/// Answers what is asked on `listener`, for ever.
pub(super) async fn serve(listener: UnixListener, calls: Arc<impl Calls>) -> anyhow::Result<()> {
    let service = service_fn(move |request: Request<Body>| {
        let calls = Arc::clone(&calls);
        async move { Ok::<_, std::convert::Infallible>(calls.answer(request).await) }
    });
    let incoming = futures_util::stream::unfold(listener, async |listener| {
        let accepted = listener.accept().await.map(|(stream, _)| stream);
        Some((accepted, listener))
    });
    Ok(Server::builder().serve_with_incoming(service, incoming).await?)
}

/// Answers a call with one question and one answer.
///
/// It is done to its end once it is begun, whether or not who asked still waits.
pub(super) async fn unary<Q, A, F>(
    request: Request<Body>,
    answer: impl Fn(Q) -> F + Clone + Send + Sync + 'static,
) -> Response<Body>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
    F: Future<Output = Result<A, Status>> + Send + 'static,
{
    let path = request.uri().path().to_owned();
    let service = service_fn(move |question: tonic::Request<Q>| {
        let done = tokio::spawn(answer(question.into_inner()));
        let path = path.clone();
        async move {
            let done = done.await.map_err(|error| Status::internal(error.to_string()))?;
            if let Err(status) = &done {
                let (code, why) = (status.code(), status.message());
                tracing::warn!(%path, ?code, %why, "refused");
            }
            done.map(tonic::Response::new)
        }
    });
    Grpc::new(ProstCodec::<A, Q>::default()).unary(service, request).await
}

/// To a call that there is not.
pub(super) fn unknown(request: &Request<Body>) -> Response<Body> {
    Status::unimplemented(format!("{} is not served here", request.uri().path())).into_http()
}
