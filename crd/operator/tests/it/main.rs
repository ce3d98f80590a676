//! The operator as a process, with a real API server. `scripts/test.sh` leaves out what is in `real_cluster::` where it
//! is not built.

mod kit;
mod real_cluster;
