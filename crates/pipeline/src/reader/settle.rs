//! Settle: the counts of open files and unread bytes after each step of a source, and the closing of
//! files where too many are open.

use super::Reader;
use crate::schedule::SourceIndex;

impl Reader {
    /// Keeps the count of open files and of unread bytes true.
    pub(super) fn settle_files(&mut self, index: SourceIndex) {
        let Some(slot) = &mut self.slots[index] else { return };
        let meter = &self.parts.meter;
        let open_files = slot.source.open_files();
        meter.open_files.add(open_files as u64);
        meter.open_files.sub(slot.open_files as u64);
        if open_files > 0 {
            self.open.touch(index);
        }
        slot.open_files = open_files;
        slot.source.count_unread();
        if self.parts.meter.open_files.get() > self.parts.open_files_max {
            self.close_some();
        }
    }

    /// Closes the files of the least recently active sources, if there are too many open ones.
    fn close_some(&mut self) {
        let max = self.parts.open_files_max;
        for _ in 0..self.open.len() {
            if self.parts.meter.open_files.get() <= max {
                return;
            }
            let Some(index) = self.open.pop() else { return };
            let Some(slot) = &mut self.slots[index] else { continue };
            slot.source.close_named();
            let open_files = slot.source.open_files();
            self.parts.meter.open_files.sub((slot.open_files - open_files) as u64);
            slot.open_files = open_files;
            if open_files > 0 {
                self.open.put(index);
            } else {
                self.rest(index);
            }
        }
    }
}
