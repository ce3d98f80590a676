//! Benches: generated logs, the proof of their delivery, floors, and runs of the real agent.
#![forbid(unsafe_code)]

pub mod agent;
pub mod agent_config;
pub mod check;
pub mod clocks;
pub mod digits;
pub mod exposition;
pub mod fairness;
pub mod floors;
pub mod kafka;
pub mod layout;
pub mod load;
pub mod log_disk;
pub mod machine;
pub mod process;
pub mod random;
pub mod report;
pub mod rotation;
pub mod scenario;
pub mod shape;
pub mod size;
pub mod token;
pub mod truth;
pub mod wrap;
