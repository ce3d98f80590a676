//! CRI: what the kubelet asks of a runtime, by the client that the agent has, too; one question after the other.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use cri::Client;
use prost::Message;
use tokio::runtime::{Builder, Runtime};

/// Longest wait for an answer. The slowest, a new sandbox, takes 0.3 s on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of one socket. It connects when it is first used, and again when the runtime was started anew.
#[derive(Debug)]
pub(crate) struct Cri {
    runtime: Runtime,
    client: Client,
}

impl Cri {
    /// A client of the runtime that listens at `socket`, now or later.
    ///
    /// # Errors
    ///
    /// If the path is no text.
    pub(crate) fn new(socket: &Path) -> Result<Cri> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = {
            let _context = runtime.enter();
            Client::new(socket, PATIENCE)?
        };
        Ok(Cri { runtime, client })
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
        let path = format!("/runtime.v1.RuntimeService/{method}");
        let answer = self.runtime.block_on(self.client.call(&path, request));
        let answer = answer.map_err(|it| anyhow!("{:?}: {}", it.code(), it.message()));
        answer.with_context(|| format!("CRI: {method}"))
    }
}
