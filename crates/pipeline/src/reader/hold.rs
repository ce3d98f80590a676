//! Hold: looks after the removed files that the reader's sources hold open.
//!
//! They keep space on the node's disk, which nobody else sees in any folder. What is over the budget
//! is let go, and what was unread of it declared as a gap, also while the lane takes nothing.

use std::sync::Arc;

use flow::{ContextId, SourceId};

use super::{Opened, Reader};
use crate::schedule::SourceIndex;

/// How often removed files are asked for their size, in nanoseconds.
///
/// 100 ms: a writer that goes on in a removed file adds a few MiB in between.
const LOOK_NS: u64 = 100_000_000;

/// Which sources hold removed files.
#[derive(Debug, Default)]
pub(super) struct Holds {
    sources: Vec<SourceIndex>,
    next_look_ns: u64,
}

impl Holds {
    /// When the next look is due, if there is anything to look at.
    pub(super) fn due_ns(&self) -> Option<u64> {
        (!self.sources.is_empty()).then_some(self.next_look_ns)
    }

    /// Whether the source may hold removed files.
    pub(super) fn has(&self, index: SourceIndex) -> bool {
        self.sources.contains(&index)
    }
}

impl Reader {
    /// A look at the directory may have shown that files of the source were removed.
    pub(super) fn hold(&mut self, index: SourceIndex, now_ns: u64) {
        let may_pin = self.slots[index].as_ref().is_some_and(|slot| slot.source.may_pin());
        if !may_pin || self.holds.has(index) {
            return;
        }
        self.count_pins(index, now_ns);
        self.holds.sources.push(index);
    }

    /// Asks for sizes if it is time, and lets go of what is over the budget.
    pub(super) fn tend_holds(&mut self, now_ns: u64) {
        if self.holds.sources.is_empty() {
            return;
        }
        if now_ns >= self.holds.next_look_ns {
            self.holds.next_look_ns = now_ns + LOOK_NS;
            let mut sources = std::mem::take(&mut self.holds.sources);
            sources.retain(|index| self.count_pins(*index, now_ns));
            self.holds.sources = sources;
        }
        if self.parts.pins.is_over() && !self.is_stopping {
            for (source, generation) in self.parts.pins.excess() {
                self.release(source, generation, now_ns);
            }
        }
    }

    /// Files that discovery opened are held in place of those that could not be opened any more.
    pub(super) fn adopt(&mut self, context: ContextId, opened: Opened) {
        let Some(index) = self.awake(context) else { return };
        let Some(slot) = &mut self.slots[index] else { return };
        opened.hand_over(|file| slot.source.adopt(file));
        self.settle_files(index);
    }

    /// A generation of the chain came and went that no look ever showed. A look came before, and so the
    /// source is awake.
    pub(super) fn missed(&mut self, context: ContextId) {
        let Some(index) = self.awake(context) else { return };
        let Some(slot) = &mut self.slots[index] else { return };
        slot.source.note_missed();
        self.make_ready(index);
    }

    /// Tells the register what the source holds; returns whether it may hold anything.
    fn count_pins(&mut self, index: SourceIndex, now_ns: u64) -> bool {
        let Some(slot) = &mut self.slots[index] else { return false };
        let pins = slot.source.pins(now_ns);
        self.parts.pins.set(slot.source.id, &slot.source.spec.context.tenant, pins);
        slot.source.may_pin()
    }

    /// Lets go of a generation, if it is one of this reader's.
    fn release(&mut self, source: SourceId, generation: u64, now_ns: u64) {
        let is_it = |index: &SourceIndex| {
            self.slots[*index].as_ref().is_some_and(|slot| slot.source.id == source)
        };
        let Some(index) = self.holds.sources.iter().copied().find(is_it) else { return };
        let Some(slot) = &mut self.slots[index] else { return };
        let (lane, context) = (slot.lane, Arc::clone(&slot.source.spec.context));
        let fs = Arc::clone(&slot.source.spec.fs);
        if let Some(missing) = slot.source.release(&*fs, generation) {
            let bytes = missing.bytes;
            tracing::warn!(%context, bytes, "removed files hold too much disk; let go unread");
            self.declare(lane, index, missing);
        }
        self.count_pins(index, now_ns);
        self.settle_files(index);
    }
}
