//! Benches: generated logs, the proof of their delivery, floors, and runs of the real agent.
#![forbid(unsafe_code)]

pub mod clocks;
pub mod digits;
pub mod random;
pub mod shape;
pub mod size;
pub mod token;
