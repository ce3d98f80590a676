//! cri-watch: what an agent on a node asks of the container runtime: which containers there are, and where the parts of
//! their file systems lie on the host.
//!
//! One list, and the runtime's own events that say when to ask for it again, on one thread. Nobody waits for the runtime:
//! what it said last stays true until it says something else. Nothing is ever asked that changes anything. Knows nothing
//! of log files.

#![forbid(unsafe_code)]

mod container;
mod containers;
mod events;
mod layers;
mod message;
mod mounts;
mod runtime;
mod watch;

pub use container::{Container, Layers, Mount, Origin};
pub use containers::Containers;
pub use watch::{ContainerWatch, WatchOptions, WellKnown};
