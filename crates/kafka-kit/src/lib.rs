//! The real Apache Kafka for tests: brokers as processes, faults on the way to them, and readers of
//! what they hold that share no code with the client under test.
//!
//! A [`Cluster`] is one to seven brokers (`KRaft`, each also a controller) in a temporary folder, on a loopback
//! address of its own. Each has all listeners at once: plain, TLS, mutual TLS, SASL with and without
//! TLS, and one behind a [`Proxy`] that injects [`Fault`]s. Brokers are killed, stopped and started
//! again at the same place. They end with the cluster, or with the process that has it, however it ends.
//!
//! Of use to the tests of whatever speaks with Kafka. It is not shipped.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use kafka_kit::{Access, Cluster};
//!
//! let cluster = Cluster::builder().brokers(3).set("min.insync.replicas", "2").start()?;
//! cluster.create_topic("logs", 4, 3, &[])?;
//! let mut config = cluster.client(&Access::Plain);
//! config.set("acks", "all");
//! cluster.broker(2).kill()?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

mod access;
mod admin;
mod audit;
mod batch;
mod broker;
mod client;
mod cluster;
mod folder;
mod home;
mod listener;
mod oauth;
mod place;
mod produce;
mod properties;
mod proxy;

pub use access::{AclOperation, Entity};
pub use audit::{Isolation, Read};
pub use batch::Batch;
pub use broker::Broker;
pub use client::{Access, Mechanism, User};
pub use cluster::{Builder, Cluster};
pub use listener::Listener;
pub use oauth::unsecured_token;
pub use proxy::{Api, Fault, Garble, Line, Proxy, Rule};
pub use test_kit::{Authority, Deadline, Identity, Validity, assert_within, wait_until};
