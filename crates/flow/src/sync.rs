//! Sync: what threads share, wait and hand over with.
//!
//! Structures that threads share take their locks, atomics and channels from here, and from nowhere
//! else: `crates/model` builds the same files against a `sync` of its own, whose locks and atomics go
//! through every order of events.

pub(crate) use std::sync::{Mutex, MutexGuard, atomic};

pub(crate) use crossbeam::channel;
