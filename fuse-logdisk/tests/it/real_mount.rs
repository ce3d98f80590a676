//! Log disks that are mounted: `scripts/test.sh` leaves these out, loudly, where nothing can be mounted.

mod agent;
mod crash;
mod full;
mod memory;
mod programs;
mod refused;
mod synced;
mod writers;

/// Options of the two modes.
const MODES: [&[&str]; 2] = [&["--mode", "writeback"], &["--mode", "strict"]];
