//! Controllers: what the leader does. Each ends only if it cannot go on.

use kube::Client;

use crate::flags::Flags;

/// Runs all of them.
///
/// # Errors
/// If one cannot go on; then the process is to start again.
pub(crate) async fn run(_client: Client, _namespace: &str, _flags: &Flags) -> anyhow::Result<()> {
    std::future::pending().await
}
