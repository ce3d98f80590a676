//! Door: by which readers ask discovery, and wake it.

use flow::is_mutant;

use super::Ask;
use crate::sync::Unparker;
use crate::sync::channel::{Receiver, Sender, unbounded};

/// Discovery's end for questions.
#[derive(Debug, Clone)]
pub struct DiscoveryDoor {
    asks: Sender<Ask>,
    /// Wakes discovery.
    pub unparker: Unparker,
}

impl DiscoveryDoor {
    /// A door, and what comes in by it.
    ///
    /// Who asks never waits, as discovery may be waiting for just that one.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "one question at most for each source at rest")]
    pub fn new(unparker: Unparker) -> (DiscoveryDoor, Receiver<Ask>) {
        let (asks, asked) = unbounded();
        (DiscoveryDoor { asks, unparker }, asked)
    }

    /// Asks. If discovery died, the data plane ends anyway.
    pub fn ask(&self, ask: Ask) {
        if is_mutant("discovery_woken_before_the_question") {
            self.unparker.unpark();
            return drop(self.asks.send(ask));
        }
        drop(self.asks.send(ask));
        self.unparker.unpark();
    }
}
