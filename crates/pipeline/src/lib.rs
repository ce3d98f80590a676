//! pipeline: the data plane, from files to acknowledged payloads.
//!
//! Stages are state machines that can be stepped; threads are loops around them. The pipeline sees
//! the world only through small traits: [`fs::Fs`], [`watch::Watch`], `flow::Clock`, `flow::Sink`. It
//! knows neither tokio, nor Kubernetes, nor the wall clock.
//!
//! The way of a byte: [`discovery`] finds the file, the [`reader`] reads, frames, encodes and
//! compresses it through its [`source`], the [`lane`] hands the payload to the [`shipper`], the sink completes
//! the ticket, the [`tracker`] moves the watermark and stores it in the [`checkpoint`].

#![forbid(unsafe_code)]

pub mod budgets;
pub mod buffers;
pub mod checkpoint;
pub mod discovery;
pub mod doorbell;
pub mod frame;
pub mod fs;
pub mod lane;
pub mod limits;
pub mod memory;
pub mod meter;
pub mod pins;
pub mod plane;
pub mod reader;
pub mod schedule;
pub mod shipper;
pub mod source;
mod sync;
#[cfg(test)]
mod test_clock;
#[cfg(test)]
mod test_mount;
pub mod tracker;
pub mod watch;

/// What a stage's tick comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tick {
    /// Something was done: tick again.
    Busy,
    /// Nothing to do until that monotonic time, or until somebody wakes the stage.
    Idle(Option<u64>),
}
