//! The kit itself: what others take for granted of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod real_cluster;
mod real_node;
