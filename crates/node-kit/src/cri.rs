//! CRI: what the kubelet asks of a runtime, as gRPC on its socket (`runtime.v1`).
//!
//! The messages are written out in [`message`], of the whole interface what is used here. So the build needs no
//! compiler of protocol buffers, and compiles a dozen of messages instead of two hundred in two versions.

pub(crate) mod message;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use http::uri::PathAndQuery;
use prost::Message;
use tokio::runtime::{Builder, Runtime};
use tonic::Request;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

/// Longest wait for an answer. The slowest, a new sandbox, takes 0.3 s on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of one socket. It connects when it is first used, and again when the runtime was started anew.
#[derive(Debug)]
pub(crate) struct Cri {
    runtime: Runtime,
    channel: Channel,
}

impl Cri {
    /// A client of the runtime that listens at `socket`, now or later.
    ///
    /// # Errors
    ///
    /// If the path is no text.
    pub(crate) fn new(socket: &Path) -> Result<Cri> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let socket = socket.to_str().context("the path of the socket is no text")?;
        let endpoint = Endpoint::from_shared(format!("unix://{socket}"))?;
        let channel = {
            let _context = runtime.enter();
            endpoint.connect_lazy()
        };
        Ok(Cri { runtime, channel })
    }

    /// Calls a method of the `RuntimeService`.
    ///
    /// # Errors
    ///
    /// What the runtime says, if it refuses, or nobody answers.
    pub(crate) fn call<Q, A>(&self, method: &str, request: Q) -> Result<A>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = PathAndQuery::try_from(format!("/runtime.v1.RuntimeService/{method}"))?;
        let mut grpc = Grpc::new(self.channel.clone());
        let mut request = Request::new(request);
        request.set_timeout(PATIENCE);
        let answer = self.runtime.block_on(async {
            grpc.ready().await.map_err(|error| anyhow!("{error:?}"))?;
            let codec: ProstCodec<Q, A> = ProstCodec::default();
            let answer = grpc.unary(request, path, codec).await;
            answer.map_err(|status| anyhow!("{:?}: {}", status.code(), status.message()))
        });
        Ok(answer.with_context(|| format!("CRI: {method}"))?.into_inner())
    }
}
