//! Runtime: what is asked of it about one container, and how it is to be understood.

use std::path::Path;

use cri::Client;
use cri::message::{
    ContainerStatusRequest, ContainerStatusResponse, Empty, ListContainersResponse,
    ListPodSandboxResponse, ListedContainer, PodSandbox, VersionResponse,
};
use serde::Deserialize;
use tonic::Status;

use crate::message::{MountsRequest, MountsResponse};
use crate::{Layers, Mount, layers, mounts};

/// The snapshotter of containers of which containerd does not say it.
const SNAPSHOTTER: &str = "overlayfs";

/// A runtime that answers.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    pub(crate) client: Client,
    /// It has containerd's own services beside the CRI.
    pub(crate) is_containerd: bool,
}

/// What a runtime tells of a container if it is asked for more than the CRI says, as JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Info {
    snapshotter: String,
    snapshot_key: String,
    runtime_spec: Option<RuntimeSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RuntimeSpec {
    root: Root,
    mounts: Vec<RuntimeMount>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Root {
    path: String,
}

/// A mount as runc is told of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RuntimeMount {
    pub(crate) destination: String,
    pub(crate) source: String,
}

impl Info {
    pub(crate) fn mounts(&self) -> &[RuntimeMount] {
        self.runtime_spec.as_ref().map_or(&[], |it| &it.mounts)
    }
}

impl Runtime {
    /// Finds out who answers.
    pub(crate) async fn greet(client: Client) -> Result<Runtime, Status> {
        let method = "/runtime.v1.RuntimeService/Version";
        let version: VersionResponse = client.call(method, Empty {}).await?;
        let (name, version) = (&version.runtime_name, &version.runtime_version);
        tracing::info!(name, version, "the container runtime answers");
        Ok(Runtime { is_containerd: name == "containerd", client })
    }

    /// All pods that it has.
    pub(crate) async fn sandboxes(&self) -> Result<Vec<PodSandbox>, Status> {
        let method = "/runtime.v1.RuntimeService/ListPodSandbox";
        let answer: ListPodSandboxResponse = self.client.call(method, Empty {}).await?;
        Ok(answer.items)
    }

    /// All containers that it has, running or not.
    pub(crate) async fn containers(&self) -> Result<Vec<ListedContainer>, Status> {
        let method = "/runtime.v1.RuntimeService/ListContainers";
        let answer: ListContainersResponse = self.client.call(method, Empty {}).await?;
        Ok(answer.containers)
    }

    /// The parts of a container's file system; its volumes are those of the pod `uid` below the kubelet's `directory`.
    pub(crate) async fn parts(
        &self,
        id: &str,
        uid: &str,
        directory: &Path,
    ) -> Result<(Option<Layers>, Vec<Mount>), Status> {
        let method = "/runtime.v1.RuntimeService/ContainerStatus";
        let question = ContainerStatusRequest { container_id: id.to_owned(), verbose: true };
        let answer: ContainerStatusResponse = self.client.call(method, question).await?;
        let info: Info = match answer.info.get("info").map(|it| serde_json::from_str(it)) {
            Some(Ok(info)) => info,
            Some(Err(error)) => {
                tracing::warn!(id, %error, "what the container runtime tells of a container is not understood");
                Info::default()
            }
            None => Info::default(),
        };
        let told = answer.status.unwrap_or_default().mounts;
        let mounts = mounts::of(directory, uid, id, &told, &info);
        Ok((self.layers(id, &info).await?, mounts))
    }

    async fn layers(&self, id: &str, info: &Info) -> Result<Option<Layers>, Status> {
        if !self.is_containerd {
            let root = info.runtime_spec.as_ref().map_or("", |it| &it.root.path);
            return layers::of_storage(Path::new(root))
                .map_err(|it| Status::internal(it.to_string()));
        }
        let or = |written: &str, other: &str| {
            if written.is_empty() { other.to_owned() } else { written.to_owned() }
        };
        let question = MountsRequest {
            snapshotter: or(&info.snapshotter, SNAPSHOTTER),
            key: or(&info.snapshot_key, id),
        };
        let method = "/containerd.services.snapshots.v1.Snapshots/Mounts";
        let answer: MountsResponse = self.client.call(method, question).await?;
        Ok(layers::of_snapshot(&answer.mounts))
    }
}
