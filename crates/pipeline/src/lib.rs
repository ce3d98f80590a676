//! pipeline: the data plane, from files to acknowledged batches.
//!
//! Stages are state machines that can be stepped; threads are loops around them. The pipeline sees
//! the world only through small traits: [`fs::Fs`], `flow::Clock`, `flow::Sink`. It knows neither
//! tokio, nor Kubernetes, nor the wall clock.

#![forbid(unsafe_code)]

pub mod frame;
pub mod fs;
