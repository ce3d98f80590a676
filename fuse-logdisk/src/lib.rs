//! logdisk: a volume that applications write logs to, and that no disk stores.
//!
//! A volume is a folder of a tmpfs (the [`store`]). What applications write lies in files that the agent tails as it
//! tails any others; what it has acknowledged for good (the [`acks`]) is punched out of them.

pub mod acks;
pub mod meter;
pub mod store;
