//! Which log disks selected pods get, ready to be given.

use std::time::Duration;

use crate::spec::{LogDiskFsync, LogDiskFull, LogDiskMode};

/// The log disks of pods. What is `None`, the driver of the node chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDiskSettings {
    /// Folders as the containers see them, for pods that name none; none if it only says how disks are.
    pub folders: Vec<String>,
    /// Budget of each.
    pub size_bytes: Option<u64>,
    /// How writes come from applications.
    pub mode: Option<LogDiskMode>,
    /// What is kept for readers at the end of each file.
    pub keep_bytes: Option<u64>,
    /// What becomes of writes when there is no room.
    pub full: Option<LogDiskFull>,
    /// How long writes wait for room.
    pub full_timeout: Option<Duration>,
    /// When `fsync` returns.
    pub fsync: Option<LogDiskFsync>,
    /// How long `fsync` waits for the queue.
    pub fsync_timeout: Option<Duration>,
}
