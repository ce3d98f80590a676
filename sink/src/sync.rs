//! Sync: what threads share and wait with.
//!
//! Structures that threads share take their locks, atomics and threads from here, and from nowhere
//! else: `crates/model` builds the same files against a `sync` of its own, whose locks and atomics go
//! through every order of events.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, RwLock, atomic};
pub(crate) use std::thread;
