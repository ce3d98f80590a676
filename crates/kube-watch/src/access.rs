//! Access: where the API server is, and who the agent is to it.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// By the service account of the pod that this runs in. Its token is read again when it changes.
    InCluster,
    /// By the current context of a kubeconfig file.
    Kubeconfig(PathBuf),
}

/// Why the API server cannot even be asked.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// This is no pod, or has no service account.
    #[error("no service account of a pod: {0}; give --kubeconfig outside of a cluster")]
    InCluster(#[from] InClusterError),
    /// The file is not there, or is none.
    #[error("{}: {source}", path.display())]
    Kubeconfig {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<KubeconfigError>,
    },
    /// The certificates or the key cannot be used.
    #[error("the access to the API server cannot be used: {0}")]
    Client(#[from] Box<kube::Error>),
}

impl Access {
    /// A client; nothing is sent yet. Within a tokio runtime.
    ///
    /// # Errors
    /// If there is no such file or account, or it cannot be used.
    pub async fn client(&self) -> Result<Client, AccessError> {
        let mut config = match self {
            Access::InCluster => Config::incluster()?,
            Access::Kubeconfig(path) => {
                let broken = |source| AccessError::Kubeconfig {
                    path: path.clone(),
                    source: Box::new(source),
                };
                let file = Kubeconfig::read_from(path).map_err(broken)?;
                let options = KubeConfigOptions::default();
                Config::from_custom_kubeconfig(file, &options).await.map_err(broken)?
            }
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // Who asks has pauses of its own.
        config.default_retry = false;
        Client::try_from(config).map_err(|error| AccessError::Client(Box::new(error)))
    }
}
