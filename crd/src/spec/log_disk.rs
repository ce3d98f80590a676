//! Which log disks the operator gives to pods; docs/LOGDISK.md.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{ByteSize, Period};

/// The log disks of selected pods that ask for them. What is not written, the driver of the node chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogDiskSpec {
    /// Folders as the containers see them: a log disk each, for pods that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folders: Option<Vec<String>>,
    /// Budget of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<ByteSize>,
    /// How writes come from applications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<LogDiskMode>,
    /// What is kept for readers at the end of each file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<ByteSize>,
    /// What becomes of writes when there is no room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<LogDiskFull>,
    /// How long writes wait for room; in whole seconds, rounded up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_timeout: Option<Period>,
    /// When `fsync` returns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fsync: Option<LogDiskFsync>,
    /// How long `fsync` waits for the queue; in whole seconds, rounded up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fsync_timeout: Option<Period>,
}

/// How writes come from applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogDiskMode {
    /// Into the page cache.
    Writeback,
    /// Each write by itself.
    Strict,
    /// Past the daemon, where a file is opened to append.
    Fast,
}

/// What becomes of writes when there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogDiskFull {
    /// They wait, and fail after a time.
    Block,
    /// They fail.
    Enospc,
    /// The oldest bytes are let go for them, and declared as gaps.
    DropOldest,
}

/// When `fsync` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogDiskFsync {
    /// When the bytes are in the store.
    Accept,
    /// When the queue has acknowledged them.
    Ack,
}

impl LogDiskMode {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LogDiskMode::Writeback => "writeback",
            LogDiskMode::Strict => "strict",
            LogDiskMode::Fast => "fast",
        }
    }
}

impl LogDiskFull {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LogDiskFull::Block => "block",
            LogDiskFull::Enospc => "enospc",
            LogDiskFull::DropOldest => "drop_oldest",
        }
    }
}

impl LogDiskFsync {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LogDiskFsync::Accept => "accept",
            LogDiskFsync::Ack => "ack",
        }
    }
}
