//! Initial: marks a look of the first scan, and counts it until its source is begun.

use std::sync::Arc;

use crate::meter::Count;

/// A look of the first scan that no reader has begun with.
#[derive(Debug)]
pub struct Initial {
    /// All, and those of its tenant.
    counts: [Arc<Count>; 2],
}

impl Initial {
    /// One more of these.
    #[must_use]
    pub fn new(counts: [Arc<Count>; 2]) -> Initial {
        counts.iter().for_each(|it| it.add(1));
        Initial { counts }
    }
}

impl Drop for Initial {
    fn drop(&mut self) {
        self.counts.iter().for_each(|it| it.sub(1));
    }
}
