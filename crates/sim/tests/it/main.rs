//! The real tailer against the model, over worlds in memory.

mod copy_regressions;
mod every_step;
mod kafka_schedule;
mod node;
mod node_schedule;
mod reader_bed;
mod regressions;
mod schedule;
mod tenants;

use sim::{actor, bed};
