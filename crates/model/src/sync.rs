//! Sync: what the modules of this name have in the shipped crates, for the model.
//!
//! Locks and atomics are loom's. Channels, parkers, condition variables with a time limit and names of
//! threads loom does not have: they are built from its locks, as what their documentation promises.
//! So the model tells nothing of the channels themselves, but all of what is done with them.

pub use loom::sync::{Mutex, MutexGuard, RwLock, atomic};

pub mod channel;
pub mod condvar;
mod parker;
pub mod thread;

pub use condvar::Condvar;
pub use parker::{Parker, Unparker};
