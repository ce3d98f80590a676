//! logdisk: a volume that applications write logs to, and that no disk stores.
//!
//! A volume is a folder of a tmpfs (the [`store`]) behind a FUSE mount (the [`front`]). What applications
//! write lies in files that the agent tails as it tails any others; what it has acknowledged for good
//! (the [`acks`]) is punched out of them. The [`daemon`] does that; the [`supervisor`] keeps the mount, and starts
//! another daemon when one ends; the [`holder`] has the connection when the supervisor itself is killed. In Kubernetes, [`csi`]
//! starts a supervisor for each volume of a pod.

pub mod acks;
pub mod context;
pub mod csi;
pub mod daemon;
pub mod front;
pub mod holder;
pub mod lock;
pub mod meter;
pub mod mounting;
pub mod options;
pub mod parked;
pub mod passthrough;
pub mod recall;
pub mod resume;
pub mod store;
pub mod supervisor;
pub mod syncs;
mod waiting;
