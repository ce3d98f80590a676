//! Controllers: what the leader does. All is gone when the future of [`run`] is dropped.

use std::sync::Arc;

use kube::Client;
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::flags::Flags;
use crate::{metrics, watch};

mod admission;
mod nodes;
mod status;

/// Runs all of them; for ever.
///
/// # Errors
/// If one has ended, which it never should; then the process is to start again.
pub(crate) async fn run(client: Client, namespace: &str, flags: &Flags) -> anyhow::Result<()> {
    let cluster = Arc::new(Cluster::new(flags.aliyun));
    let mut tasks = JoinSet::new();
    watch::spawn(&mut tasks, &client, namespace, &cluster);
    tasks.spawn(admission::run(Arc::clone(&cluster), flags.paths.clone()));
    tasks.spawn(nodes::run(client.clone(), namespace.to_owned(), Arc::clone(&cluster)));
    status::spawn(&mut tasks, &client, flags, &cluster);
    tasks.spawn(metrics::publish(Arc::clone(&cluster)));
    let ended = tasks.join_next().await;
    anyhow::bail!("a controller ended: {ended:?}")
}
