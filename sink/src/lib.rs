//! sink: how records leave the agent: encoders, compression, and the queues.
//!
//! Knows `flow` only; meets the data plane in the traits `Encode`, `Compress` and `Sink`.

// But where `kafka/known_brokers.rs` calls librdkafka.
#![deny(unsafe_code)]

pub mod blackhole;
mod by_record;
pub mod compress;
pub mod decode;
pub mod encode;
pub mod file;
mod gap_text;
pub mod json_lines;
pub mod kafka;
pub mod late;
pub mod otlp;
#[cfg(test)]
mod payload_kit;
pub mod queue;
#[cfg(test)]
mod section_kit;
pub mod small_file;
pub mod spool;
pub mod stdout;
mod sync;
mod utf8;
