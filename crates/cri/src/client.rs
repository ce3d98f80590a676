//! Client: gRPC on the runtime's socket.

use std::path::Path;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// Largest answer, in bytes: a list of many thousands of containers.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// What containerd keeps Kubernetes' containers under.
const CONTAINERD_NAMESPACE: &str = "k8s.io";

/// A client of one socket. It connects when it is first used, and again when the runtime was started anew.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    /// Longest wait for an answer.
    patience: Duration,
}

impl Client {
    /// A client of whoever listens at `socket`, now or later, and answers within `patience`; on the runtime of tokio
    /// that it is made on.
    ///
    /// # Errors
    ///
    /// If the path is no text.
    pub fn new(socket: &Path, patience: Duration) -> Result<Client, Status> {
        let bad = |why: String| Status::invalid_argument(why);
        let text = socket.to_str().ok_or_else(|| bad("the path is not UTF-8".to_owned()))?;
        let endpoint = Endpoint::from_shared(format!("unix://{text}"))
            .map_err(|error| bad(error.to_string()))?;
        Ok(Client { channel: endpoint.connect_lazy(), patience })
    }

    /// Calls `/SERVICE/METHOD`.
    ///
    /// # Errors
    ///
    /// What the runtime says, if it refuses; `Unavailable` or `DeadlineExceeded` if nobody answers.
    pub async fn call<Q, A>(&self, method: &str, question: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (mut grpc, path, mut request) = self.request(method, question)?;
        request.set_timeout(self.patience);
        let answer = async {
            grpc.ready().await.map_err(unavailable)?;
            grpc.unary(request, path, ProstCodec::<Q, A>::default()).await
        };
        let late = || Status::deadline_exceeded("no answer");
        let answer = tokio::time::timeout(self.patience, answer).await.map_err(|_| late())?;
        Ok(answer?.into_inner())
    }

    /// Calls `/SERVICE/METHOD`, whose answers come when they like.
    ///
    /// # Errors
    ///
    /// What the runtime says, if it refuses; `Unavailable` if nobody listens.
    pub async fn listen<Q, A>(&self, method: &str, question: Q) -> Result<Streaming<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let (mut grpc, path, request) = self.request(method, question)?;
        grpc.ready().await.map_err(unavailable)?;
        let answers = grpc.server_streaming(request, path, ProstCodec::<Q, A>::default()).await?;
        Ok(answers.into_inner())
    }

    fn request<Q>(
        &self,
        method: &str,
        question: Q,
    ) -> Result<(Grpc<Channel>, PathAndQuery, Request<Q>), Status> {
        let path = PathAndQuery::try_from(method).map_err(|it| Status::internal(it.to_string()))?;
        let grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        let mut request = Request::new(question);
        // Of no meaning to the CRI.
        let namespace = MetadataValue::from_static(CONTAINERD_NAMESPACE);
        request.metadata_mut().insert("containerd-namespace", namespace);
        Ok((grpc, path, request))
    }
}

/// With the reason, which the transport keeps to itself.
fn unavailable(error: tonic::transport::Error) -> Status {
    let mut why = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        why = error.to_string();
        cause = error.source();
    }
    Status::unavailable(why)
}
