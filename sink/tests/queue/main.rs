//! The embedded queue as its users see it: real files, real threads, and disks that fail on request.

#![expect(clippy::unwrap_used, reason = "a fixture that fails fails its test")]

mod every_step;
mod faults;
mod fixture;
mod follow;
mod golden;
mod located;
mod model;
mod retention;
mod round_trip;
mod small_file;
mod spool;
mod torn;
