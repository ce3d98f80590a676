//! What the agent of one node says of the LogConfigs there. Written by the agent, read by the operator.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an agent does on its node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LogNodeStatus {
    /// Version of the agent.
    pub version: String,
    /// When this was true; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_time: Option<String>,
    /// Why the agent is not ready, if it is not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// LogConfigs that collect something here, or cannot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log_configs: Vec<LogConfigOnNode>,
    /// How many more there are than are written here.
    #[serde(skip_serializing_if = "is_zero")]
    pub omitted_log_configs: u64,
}

/// What becomes of a LogConfig on a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LogConfigOnNode {
    /// Namespace; a ClusterLogConfig has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// What it collects.
    pub counts: LogCounts,
    /// What is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// What a LogConfig collects. What is counted began with the agent's start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LogCounts {
    /// Pods of which something is collected now.
    pub pods: u64,
    /// Containers of which something is collected now.
    pub containers: u64,
    /// Logs that are being read: each with its rotated files.
    pub sources: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes that the queue has acknowledged.
    pub delivered_bytes: u64,
    /// Records that the queue has acknowledged.
    pub delivered_records: u64,
    /// Bytes known to be unread.
    pub lag_bytes: u64,
    /// Since when the oldest bytes that were read wait to be acknowledged; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_unacked_time: Option<String>,
    /// Records left out because of a limit.
    pub shed_records: u64,
    /// Bytes that could not be delivered, and never will.
    pub lost_bytes: u64,
}

impl LogCounts {
    /// Adds what is collected on another node.
    pub fn add(&mut self, other: &LogCounts) {
        self.pods += other.pods;
        self.containers += other.containers;
        self.sources += other.sources;
        self.read_bytes += other.read_bytes;
        self.delivered_bytes += other.delivered_bytes;
        self.delivered_records += other.delivered_records;
        self.lag_bytes += other.lag_bytes;
        self.shed_records += other.shed_records;
        self.lost_bytes += other.lost_bytes;
        // Both of one form, so that the earlier one is the lesser text.
        let times = [self.oldest_unacked_time.take(), other.oldest_unacked_time.clone()];
        self.oldest_unacked_time = times.into_iter().flatten().min();
    }
}

/// A text of a status, cut to so many bytes at the end of a character, and then with an ellipsis behind.
#[must_use]
pub fn shortened(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push('…');
    }
    text
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_nodes_add_up_and_the_oldest_time_stays() {
        let counts = |bytes: u64, time: Option<&str>| LogCounts {
            pods: 1,
            delivered_bytes: bytes,
            oldest_unacked_time: time.map(str::to_owned),
            ..LogCounts::default()
        };
        let mut sum = LogCounts::default();
        sum.add(&counts(3, None));
        sum.add(&counts(4, Some("2026-01-02T03:04:06Z")));
        sum.add(&counts(5, Some("2026-01-02T03:04:05Z")));
        sum.add(&counts(6, None));
        assert_eq!(sum, LogCounts { pods: 4, ..counts(18, Some("2026-01-02T03:04:05Z")) });
    }
}
