//! sim: a node in memory, and what must come of it.
//!
//! [`World`] is a file system that keeps everything ever written to it. [`Model`] is the reference
//! tailer: slow, naive, and right by reading. [`check`] compares what the real pipeline delivered from
//! a world with what the world knows and the model says. Nothing here runs in production.

#![forbid(unsafe_code)]

mod check;
mod clock;
mod model;
mod order;
mod world;

pub use check::{Delivered, Delivery, Verdict, check};
pub use clock::{EPOCH_UNIX_NS, SimClock};
pub use model::{Line, Model, Run, Whole, mend};
pub use world::{End, File, Life, Lost, World, Writer};
