//! The real tailer against the model, over worlds in memory.

mod actor;
mod regressions;
mod schedule;
mod source_bed;
