//! Acks: up to where the agent has acknowledged which file, for good.
//!
//! It is the agent's stored checkpoint that is read here, and nothing else: what stands in it is what the
//! agent goes on from after a crash, so that no byte before it is ever asked for again.

use std::io;
use std::path::Path;

use pipeline::checkpoint::Follower;

/// Where acknowledgements come from.
pub trait Acks: Send {
    /// Tells what changed since the last call: key of a generation
    /// ([`pipeline::source::generation_key`]), and its acknowledged bytes.
    ///
    /// # Errors
    /// If they cannot be read now; the next call tells what this one did not.
    fn poll(&mut self, tell: &mut dyn FnMut(u64, u64)) -> io::Result<()>;
}

/// Acknowledgements of an agent on this machine, by the checkpoint in its state directory.
#[derive(Debug)]
pub struct CheckpointAcks(Follower);

impl CheckpointAcks {
    /// Those of the agent that has this state directory; it may be there later.
    #[must_use]
    pub fn new(directory: &Path) -> CheckpointAcks {
        CheckpointAcks(Follower::new(directory))
    }
}

impl Acks for CheckpointAcks {
    fn poll(&mut self, tell: &mut dyn FnMut(u64, u64)) -> io::Result<()> {
        self.0.poll(|entry| {
            entry.known.generations.iter().for_each(|it| tell(it.generation, it.offset));
        })
    }
}
