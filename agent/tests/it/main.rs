//! The agent as its users run it: the real program over real files, with its embedded queue.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod kit;

// What is read, and what becomes of it.
mod content;
mod deletion;
mod gz;
mod identity;
mod multiline;
mod plain_files;
mod pods;
mod real_cluster;
mod real_node;
mod rotation;
mod sampling;
mod shares;
mod short_lived;
mod sidecar;
mod sinks;

// What must not lose or double anything.
mod chaos;
mod copies;
mod crash;
mod ending;
mod fail_points;
mod full_disk;
mod kafka;
mod limits;
mod lock;
mod logrotate;
mod memory;
mod permission;
mod pinned;
mod recall;
mod reload;
mod resting;
mod rights;
mod safety;
mod spool;
mod state;
mod store;
mod unreadable;

// What a cluster says.
mod cluster;

// What people and machines ask it.
mod audit;
mod configuration;
mod consumers;
mod explain;
mod getting_in;
mod linkage;
mod metrics;
mod prometheus;
mod tail;
mod topics;
