//! Log disks that are mounted: `scripts/test.sh` leaves these out, loudly, where nothing can be mounted.

mod agent;
mod context;
mod crash;
mod csi;
mod full;
mod memory;
mod passing;
mod programs;
mod recall;
mod refused;
mod spill;
mod synced;
mod verified;
mod writers;

/// Options of the three modes.
const MODES: [&[&str]; 3] = [&["--mode", "writeback"], &["--mode", "strict"], &["--mode", "fast"]];
