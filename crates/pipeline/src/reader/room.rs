//! Room: looks after the sources on log disks, whose bytes take memory until they are delivered.
//!
//! That a log disk is being used up, each turn of a source shows, and each word that it grew. That it is not any more, and
//! that bytes have waited for long, nothing tells of a source that was read to its end.

use std::collections::BTreeSet;

use super::Reader;
use crate::schedule::SourceIndex;

/// How often these sources are looked at, in nanoseconds.
const LOOK_NS: u64 = 1_000_000_000;
/// How long bytes may wait for their acknowledgement in the memory of a log disk, in nanoseconds.
///
/// A minute: longer than brokers take to start anew. What waits for longer may wait for hours, and memory is lost with the
/// machine, or given up some time after its pod.
const WAIT_NS: u64 = 60_000_000_000;

/// Sources on log disks that may have something that is not acknowledged.
#[derive(Debug, Default)]
pub(super) struct LogDisks {
    sources: BTreeSet<SourceIndex>,
    next_look_ns: u64,
}

impl LogDisks {
    /// When the next look is due, if there is anything to look at.
    pub(super) fn due_ns(&self) -> Option<u64> {
        (!self.sources.is_empty()).then_some(self.next_look_ns)
    }
}

impl Reader {
    /// Looks how full the log disk of the source is, if it is on one; before its unread bytes are counted.
    pub(super) fn look_at_room(&mut self, index: SourceIndex) {
        let Some(slot) = &mut self.slots[index] else { return };
        if slot.source.spec.is_on_log_disk {
            slot.source.look_at_room();
            self.log_disks.sources.insert(index);
        }
    }

    /// Looks at all of them, if it is time.
    pub(super) fn tend_log_disks(&mut self, now_ns: u64) {
        if self.log_disks.due_ns().is_none_or(|due_ns| now_ns < due_ns) {
            return;
        }
        self.log_disks.next_look_ns = now_ns + LOOK_NS;
        let mut sources = std::mem::take(&mut self.log_disks.sources);
        sources.retain(|index| {
            let Some(slot) = &mut self.slots[*index] else { return false };
            let unacked_ns = slot.source.meter.oldest_unacked_ns();
            let waits = |since_ns: u64| now_ns.saturating_sub(since_ns) >= WAIT_NS;
            slot.source.note_wait(unacked_ns.is_some_and(waits));
            let is_pressed = slot.source.look_at_room();
            slot.source.count_unread();
            is_pressed || unacked_ns.is_some()
        });
        self.log_disks.sources = sources;
    }
}
