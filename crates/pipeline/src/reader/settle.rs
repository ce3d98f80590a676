//! Settle: the counts of open files and unread bytes after each step of a source, and the closing of
//! files where too many are open.
//!
//! Beyond its own `openFiles` a tenant closes its own. Beyond the agent's, the tenant of most sources with
//! open files gives first: a tenant with no more than an equal share keeps its files, whatever others open.

use std::sync::Arc;

use super::Reader;
use crate::meter::TenantMeter;
use crate::schedule::{SourceIndex, TenantIndex};

impl Reader {
    /// Keeps the count of open files and of unread bytes true.
    pub(super) fn settle_files(&mut self, index: SourceIndex) {
        let Some(slot) = &mut self.slots[index] else { return };
        let open_files = slot.source.open_files();
        let tenant = self.schedule.tenant_of(slot.lane);
        if open_files > 0 {
            self.open.touch(tenant, index);
        }
        self.look_at_room(index);
        let Some(slot) = &mut self.slots[index] else { return };
        slot.source.count_unread();
        self.count_open(index, open_files);
        let Some(slot) = &self.slots[index] else { return };
        if let Some(max) = self.parts.limits.open_files_max(&slot.source.spec.context.tenant) {
            let meter = Arc::clone(&slot.source.meter);
            self.close_while(tenant, || meter.open_files.get() > max);
        }
        let max = self.parts.open_files_max;
        if self.parts.meter.open_files.get() > max {
            let meter = Arc::clone(&self.parts.meter);
            for tenant in self.open.largest_first() {
                self.close_while(tenant, || meter.open_files.get() > max);
            }
        }
    }

    /// How many files a source of the tenant may open before it is their turn.
    pub(super) fn open_room(&self, tenant: &str, meter: &TenantMeter) -> u64 {
        let (all_max, own) = (self.parts.open_files_max, meter.open_files.get());
        let room = all_max.saturating_sub(self.parts.meter.open_files.get());
        let share = all_max / self.tenants.len().max(1) as u64;
        let own_max = self.parts.limits.open_files_max(tenant).unwrap_or(u64::MAX);
        room.max(share.saturating_sub(own)).min(own_max.saturating_sub(own))
    }

    /// The source in this slot has so many files open now.
    fn count_open(&mut self, index: SourceIndex, open_files: usize) {
        let Some(slot) = &mut self.slots[index] else { return };
        for count in [&self.parts.meter.open_files, &slot.source.meter.open_files] {
            count.add(open_files as u64);
            count.sub(slot.open_files as u64);
        }
        slot.open_files = open_files;
    }

    /// Closes files of the tenant's least recently active sources, each asked once.
    fn close_while(&mut self, tenant: TenantIndex, is_over: impl Fn() -> bool) {
        for _ in 0..self.open.len(tenant) {
            if !is_over() {
                return;
            }
            let Some(index) = self.open.pop(tenant) else { return };
            let Some(slot) = &mut self.slots[index] else { continue };
            slot.source.close_named();
            let open_files = slot.source.open_files();
            self.count_open(index, open_files);
            if open_files > 0 {
                self.open.put(tenant, index);
            } else {
                self.rest(index);
            }
        }
    }
}
