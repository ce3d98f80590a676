//! What became of a resource in a cluster, as its writer reads it there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::log_node::LogCounts;

/// What became of a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The `metadata.generation` that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted` says whether it is in force, and why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Vec<Condition>>,
}

/// What became of a LogConfig on all nodes. Written by the operator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LogConfigStatus {
    /// The `metadata.generation` that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted` says whether it is valid and can be in force; `Ready` whether all that it selects is collected and
    /// delivered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Nodes on which it collects something, or cannot.
    pub nodes: u64,
    /// What it collects on all of them. Of a node that is gone nothing counts.
    pub counts: LogCounts,
    /// Nodes on which something is wrong.
    pub nodes_with_problems: u64,
    /// What is wrong there, of the first of them by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub node_problems: Vec<NodeProblem>,
}

/// What is wrong on a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeProblem {
    /// Which node.
    pub node: String,
    /// What is wrong.
    pub message: String,
}

/// One thing that is known of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub about: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// Since when; RFC 3339.
    pub last_transition_time: String,
    /// The `metadata.generation` that it was found out from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Whether something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It does.
    True,
    /// It does not.
    False,
    /// Nobody can tell.
    Unknown,
}
