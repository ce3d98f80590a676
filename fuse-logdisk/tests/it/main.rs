//! The program `logdisk`, mounted for real, and used by real programs.

mod holder;
mod kit;
mod real_mount;
