//! Room: looks after the sources whose log disk is being used up.
//!
//! Whether it is, each turn of a source shows, and each word that it grew. That it is not any more nothing tells of one that
//! was read to its end: the acknowledgements of others make room, too.

use std::collections::BTreeSet;

use super::Reader;
use crate::schedule::SourceIndex;

/// How often these sources look how full their log disk is, in nanoseconds.
///
/// 100 ms: as often as shippers ask whether what they are refused is at risk.
const LOOK_NS: u64 = 100_000_000;

/// Sources whose log disk is being used up.
#[derive(Debug, Default)]
pub(super) struct ShortDisks {
    sources: BTreeSet<SourceIndex>,
    next_look_ns: u64,
}

impl ShortDisks {
    /// When the next look is due, if there is anything to look at.
    pub(super) fn due_ns(&self) -> Option<u64> {
        (!self.sources.is_empty()).then_some(self.next_look_ns)
    }
}

impl Reader {
    /// Looks how full the log disk of the source is, if it is on one; before its unread bytes are counted.
    pub(super) fn look_at_room(&mut self, index: SourceIndex) {
        let Some(slot) = &mut self.slots[index] else { return };
        if slot.source.look_at_room() {
            self.short_disks.sources.insert(index);
        }
    }

    /// Looks again at those that were being used up, if it is time.
    pub(super) fn tend_short_disks(&mut self, now_ns: u64) {
        if self.short_disks.due_ns().is_none_or(|due_ns| now_ns < due_ns) {
            return;
        }
        self.short_disks.next_look_ns = now_ns + LOOK_NS;
        let mut sources = std::mem::take(&mut self.short_disks.sources);
        sources.retain(|index| {
            let Some(slot) = &mut self.slots[*index] else { return false };
            let is_short = slot.source.look_at_room();
            slot.source.count_unread();
            is_short
        });
        self.short_disks.sources = sources;
    }
}
