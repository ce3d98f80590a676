//! Driver: the services Identity and Node of the Container Storage Interface (`csi.v1`).
//!
//! There is no Controller: a log disk is made with its pod, where the pod is.

use std::sync::Arc;

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;

use super::attributes::Sizes;
use super::calls::{self, Calls, unary};
use super::message::{
    Empty, GetPluginInfoResponse, NodeCapability, NodeGetCapabilitiesResponse, NodeGetInfoResponse,
    NodeGetVolumeStatsRequest, NodeGetVolumeStatsResponse, NodePublishVolumeRequest, NodeRpc,
    NodeServiceCapability, NodeUnpublishVolumeRequest, ProbeResponse,
};
use super::node;
use super::volumes::Volumes;

/// The driver of one node.
pub(super) struct Driver {
    pub(super) name: String,
    pub(super) node_id: String,
    pub(super) sizes: Sizes,
    pub(super) volumes: Volumes,
}

impl Calls for Driver {
    async fn answer(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        match path.as_str() {
            "/csi.v1.Identity/GetPluginInfo" => {
                let vendor_version = env!("CARGO_PKG_VERSION").to_owned();
                let info = GetPluginInfoResponse { name: self.name.clone(), vendor_version };
                same(request, info).await
            }
            // It has none: neither has it a controller nor does it know of topologies.
            "/csi.v1.Identity/GetPluginCapabilities" => same(request, Empty {}).await,
            "/csi.v1.Identity/Probe" => same(request, ProbeResponse { ready: Some(true) }).await,
            "/csi.v1.Node/NodeGetInfo" => {
                same(request, NodeGetInfoResponse { node_id: self.node_id.clone() }).await
            }
            // Nothing is staged or expanded.
            "/csi.v1.Node/NodeGetCapabilities" => {
                let rpc = Some(NodeRpc { kind: NodeCapability::GetVolumeStats.into() });
                let capabilities = vec![NodeServiceCapability { rpc }];
                same(request, NodeGetCapabilitiesResponse { capabilities }).await
            }
            "/csi.v1.Node/NodeGetVolumeStats" => {
                unary(request, move |it| std::future::ready(stats(&self, &it))).await
            }
            "/csi.v1.Node/NodePublishVolume" => {
                unary(request, move |it| publish(Arc::clone(&self), it)).await
            }
            "/csi.v1.Node/NodeUnpublishVolume" => {
                unary(request, move |it| unpublish(Arc::clone(&self), it)).await
            }
            _ => calls::unknown(&request),
        }
    }
}

/// The same answer to whatever is asked.
async fn same<A>(request: Request<Body>, answer: A) -> Response<Body>
where
    A: prost::Message + Clone + Default + 'static,
{
    unary(request, move |_: Empty| std::future::ready(Ok(answer.clone()))).await
}

async fn publish(driver: Arc<Driver>, request: NodePublishVolumeRequest) -> Result<Empty, Status> {
    let (id, record) = node::wanted(&request, driver.sizes)?;
    driver.volumes.publish(&id, record).await?;
    Ok(Empty {})
}

fn stats(
    driver: &Driver,
    request: &NodeGetVolumeStatsRequest,
) -> Result<NodeGetVolumeStatsResponse, Status> {
    let (id, target) = node::asked(request)?;
    driver.volumes.usage(&id, &target)
}

async fn unpublish(
    driver: Arc<Driver>,
    request: NodeUnpublishVolumeRequest,
) -> Result<Empty, Status> {
    let (id, target) = node::unwanted(&request)?;
    driver.volumes.unpublish(&id, &target).await?;
    Ok(Empty {})
}
