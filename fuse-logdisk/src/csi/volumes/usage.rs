//! Usage: what volumes take, and what is known of each, for the kubelet and for metrics.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use tonic::Status;

use super::{Entry, Stage, Volumes};
use crate::csi::message::{NodeGetVolumeStatsResponse, Unit, VolumeUsage};

/// What a volume is just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::csi) enum State {
    Mounted,
    /// Somebody mounts or unmounts it.
    Changing,
    /// Its pod is gone, and not all of it is delivered.
    Leftover,
}

/// A volume as it is seen now.
#[derive(Debug)]
pub(in crate::csi) struct Seen {
    pub(in crate::csi) namespace: String,
    pub(in crate::csi) pod: String,
    pub(in crate::csi) uid: String,
    /// Its name in the pod.
    pub(in crate::csi) volume: String,
    pub(in crate::csi) state: State,
    /// Where its daemon writes its numbers.
    pub(in crate::csi) store: PathBuf,
    /// Its budget.
    pub(in crate::csi) size_bytes: u64,
    /// Memory that it has or may take.
    pub(in crate::csi) promised_bytes: u64,
    /// What is left to be delivered of one whose pod is gone.
    pub(in crate::csi) left_bytes: u64,
    /// Supervisors that were started after one that ended by itself.
    pub(in crate::csi) restarts: u64,
}

impl Volumes {
    /// What a volume takes of its budget. `statvfs` of the mount would say that it never fills.
    pub(in crate::csi) fn usage(
        &self,
        id: &str,
        target: &Path,
    ) -> Result<NodeGetVolumeStatsResponse, Status> {
        let is_there = self.entries().get(id).is_some_and(|it| {
            it.record.target == target && !matches!(it.stage, Stage::Over { .. })
        });
        if !is_there || !self.has_store(id)? {
            let target = target.display();
            return Err(Status::not_found(format!("{id} is not published at {target}")));
        }
        let of = rustix::fs::statvfs(self.state.store(id)).map_err(std::io::Error::from)?;
        let usage = |unit: Unit, total: u64, free: u64| {
            let number = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
            VolumeUsage {
                available: number(free),
                total: number(total),
                used: number(total.saturating_sub(free)),
                unit: unit.into(),
            }
        };
        let bytes = usage(Unit::Bytes, of.f_blocks * of.f_frsize, of.f_bfree * of.f_frsize);
        Ok(NodeGetVolumeStatsResponse {
            usage: vec![bytes, usage(Unit::Inodes, of.f_files, of.f_ffree)],
        })
    }

    /// All volumes, as they are now.
    pub(in crate::csi) fn seen(&self) -> Vec<Seen> {
        self.entries().iter().map(|(id, entry)| self.see(id, entry)).collect()
    }

    /// What all of them may take together, in bytes.
    pub(in crate::csi) fn memory_bytes(&self) -> u64 {
        self.how.memory_bytes
    }

    /// What was given up undelivered of volumes whose pods are gone, in bytes, since the driver started.
    pub(in crate::csi) fn lost_bytes(&self) -> u64 {
        self.lost_bytes.load(Ordering::Relaxed)
    }

    fn see(&self, id: &str, entry: &Entry) -> Seen {
        let [namespace, pod, uid] = entry.record.pod.names().map(str::to_owned);
        let (state, left_bytes) = match &entry.stage {
            Stage::Mounted(_) => (State::Mounted, 0),
            Stage::Busy => (State::Changing, 0),
            Stage::Over { left_bytes, .. } => (State::Leftover, *left_bytes),
        };
        Seen {
            namespace,
            pod,
            uid,
            volume: name_in_pod(&entry.record.target).unwrap_or(id).to_owned(),
            state,
            store: self.state.store(id),
            size_bytes: entry.record.attributes.size_bytes,
            promised_bytes: entry.bytes(),
            left_bytes,
            restarts: entry.restarts,
        }
    }
}

/// What the pod calls the volume: kubelets publish at `…/volumes/kubernetes.io~csi/NAME/mount`.
fn name_in_pod(target: &Path) -> Option<&str> {
    let folder = target.parent()?;
    let is_kubelets = folder.parent()?.file_name()? == "kubernetes.io~csi";
    folder.file_name()?.to_str().filter(|_| is_kubelets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_name_of_a_volume_is_in_the_path_that_kubelets_publish_at() {
        let name = |it: &'static str| name_in_pod(Path::new(it));
        let pods = "/var/lib/kubelet/pods/0f/volumes/kubernetes.io~csi/logs/mount";
        assert_eq!(name(pods), Some("logs"));
        assert_eq!(name("/srv/logs/mount"), None);
        assert_eq!(name("/mount"), None);
    }
}
