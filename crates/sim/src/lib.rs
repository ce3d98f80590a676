//! sim: a node in memory, and what must come of it.
//!
//! [`World`] is a file system that keeps everything ever written to it. [`Model`] is the reference
//! tailer: slow, naive, and right by reading. [`check`] compares what the real pipeline delivered from
//! a world with what the world knows and the model says; [`check_lines`] with the lines that were
//! written, where files are copied and compressed. [`SimQueue`] and [`SimDisk`] are the queue and
//! the folder of checkpoints, with all that can go wrong, [`SimKafka`] the brokers of the real Kafka sink,
//! [`FileDisk`] the disk of real files that a spool is on.
//! A [`schedule`] is what writers, rotators and
//! the agent do, step by step; a [`Bed`](bed::Bed) is an agent over a world that it is run on. Nothing
//! here runs in production.

#![forbid(unsafe_code)]

pub mod actor;
pub mod bed;
mod check;
mod clock;
mod file_disk;
pub mod groups;
mod kafka;
mod lines;
mod model;
mod order;
mod queue;
pub mod schedule;
mod state_disk;
mod world;

pub use bed::SourceBed;
pub use check::{Delivered, Delivery, Verdict, check, check_groups, check_sample};
pub use clock::{EPOCH_UNIX_NS, SimClock};
pub use file_disk::FileDisk;
pub use kafka::{Fate, KafkaSetting, KafkaStep, SimKafka};
pub use lines::{Written, check_lines, unheard_of};
pub use model::{Line, Model, Run, Whole, mend};
pub use queue::{Encoded, Mode, SimQueue, Stored};
pub use state_disk::{DiskFault, SimDisk};
pub use world::{End, File, Life, Lost, World, Writer};
