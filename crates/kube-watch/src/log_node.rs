//! LogNode: the one object that an agent writes.

use std::time::Duration;

use kube::Client;
use kube::core::params::{Patch, PatchParams, PostParams};
use kube::core::{Request, Status};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::{Access, AccessError};

/// Longest that a write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// What the server says of an object that is not there.
const NOT_FOUND: u16 = 404;

/// The object of this node, in the namespace of the account.
pub struct LogNode {
    client: Client,
    name: String,
    url: String,
}

impl std::fmt::Debug for LogNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogNode")
            .field("name", &self.name)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Why it was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The server refused it.
    #[error("{0}")]
    Api(Box<Status>),
    /// The server was not reached.
    #[error("{0}")]
    Client(Box<kube::Error>),
    /// The server took too long.
    #[error("no answer within {} s", WRITE_TIMEOUT.as_secs())]
    Late,
}

impl LogNode {
    /// That of the node `name`; nothing is sent yet. Within a tokio runtime.
    ///
    /// # Errors
    /// If the API server cannot even be asked.
    pub async fn of(access: &Access, name: String) -> Result<LogNode, AccessError> {
        let client = access.client().await?;
        let namespace = client.default_namespace();
        let url = format!("/apis/logferry.dev/v1alpha1/namespaces/{namespace}/lognodes");
        Ok(LogNode { client, name, url })
    }

    /// Makes `status` what it says, in one write, or two if it is not there yet.
    ///
    /// # Errors
    /// If the server does not take it; it may have all the same.
    pub async fn write(&self, status: &Value) -> Result<(), WriteError> {
        let write = tokio::time::timeout(WRITE_TIMEOUT, self.put(status));
        match write.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(kube::Error::Api(status))) => Err(WriteError::Api(status)),
            Ok(Err(error)) => Err(WriteError::Client(Box::new(error))),
            Err(_) => Err(WriteError::Late),
        }
    }

    async fn put(&self, status: &Value) -> Result<(), kube::Error> {
        let object = json!({
            "apiVersion": "logferry.dev/v1alpha1",
            "kind": "LogNode",
            "metadata": {"name": self.name},
            "status": status,
        });
        // What is not said any more is to go: of a mapping, a merge would keep it. So absent fields are said.
        let merge =
            json!({"status": {"problems": null, "logConfigs": null, "omittedLogConfigs": null}});
        let merge = merged(merge, status);
        let params =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let request = Request::new(self.url.clone())
            .patch(&self.name, &params, &Patch::Merge(merge))
            .map_err(kube::Error::BuildRequest)?;
        match self.client.request::<IgnoredAny>(request).await {
            Err(kube::Error::Api(status)) if status.code == NOT_FOUND => {}
            other => return other.map(drop),
        }
        let body = serde_json::to_vec(&object).map_err(kube::Error::SerdeError)?;
        let params =
            PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let request = Request::new(self.url.clone())
            .create(&params, body)
            .map_err(kube::Error::BuildRequest)?;
        self.client.request::<IgnoredAny>(request).await.map(drop)
    }
}

/// Who the server says has written it.
const MANAGER: &str = "logferry";

/// `base` with the fields of `status`.
fn merged(mut base: Value, status: &Value) -> Value {
    for (name, value) in status.as_object().into_iter().flatten() {
        base["status"][name] = value.clone();
    }
    base
}
