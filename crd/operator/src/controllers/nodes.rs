//! Nodes: removes what agents said of nodes that are gone.
//!
//! Without it their counts would stay for ever. What the watch says is asked again before anything is removed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::DeleteParams;
use kube::{Api, Client};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::metrics::count_write;
use crate::watch::log_nodes;

/// How long a node has to be missing: two watches may tell in any order.
const PATIENCE: Duration = Duration::from_secs(5);

/// For ever.
pub(crate) async fn run(client: Client, namespace: String, cluster: Arc<Cluster>) {
    let nodes: Api<Node> = Api::all(client.clone());
    let log_nodes = log_nodes(client, &namespace);
    // Since when a node is missing, of those that are.
    let mut missing: HashMap<String, Instant> = HashMap::new();
    loop {
        let name = cluster.nodes.next().await;
        if !is_missing(&cluster, &name) {
            missing.remove(&name);
            cluster.nodes.done(&name);
            continue;
        }
        let since = *missing.entry(name.clone()).or_insert_with(Instant::now);
        if let Some(rest) = PATIENCE.checked_sub(since.elapsed()) {
            cluster.nodes.done(&name);
            cluster.nodes.add_after(name, rest);
            continue;
        }
        let removed = async {
            if nodes.get_metadata_opt(&name).await?.is_none() {
                let deleted = log_nodes.delete(&name, &DeleteParams::default()).await;
                count_write("LogNode", deleted.is_ok());
                deleted?;
                tracing::info!(node = name, "the node is gone, and so is what its agent said");
            }
            Ok::<(), kube::Error>(())
        };
        match removed.await {
            Err(kube::Error::Api(status)) if status.code == 404 => cluster.nodes.done(&name),
            Err(error) => {
                tracing::warn!(node = name, %error, "what its agent said stays; trying again");
                cluster.nodes.failed(name.clone());
            }
            Ok(()) => cluster.nodes.done(&name),
        }
    }
}

/// Whether an agent has said something on a node that is not there.
fn is_missing(cluster: &Cluster, name: &str) -> bool {
    let state = cluster.state();
    state.nodes.as_ref().is_some_and(|it| !it.contains(name)) && state.has_log_node(name)
}
