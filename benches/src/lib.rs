//! Benches: generated logs, the proof of their delivery, floors, and runs of the real agent.
#![forbid(unsafe_code)]

pub mod check;
pub mod clocks;
pub mod digits;
pub mod layout;
pub mod load;
pub mod random;
pub mod rotation;
pub mod shape;
pub mod size;
pub mod token;
pub mod truth;
pub mod wrap;
