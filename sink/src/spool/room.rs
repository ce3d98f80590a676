//! Room: how much disk the spools of all sinks may take, together and of each tenant.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// By sink and tenant: bytes on the disk.
type Used = BTreeMap<(Arc<str>, Arc<str>), u64>;

/// The disk of all spools.
#[derive(Debug)]
pub struct SpoolRoom {
    bytes_max: u64,
    tenant_bytes_max: u64,
    /// Of tenants that have a limit of their own.
    own_bytes_max: BTreeMap<Arc<str>, u64>,
    used: Mutex<Used>,
}

impl SpoolRoom {
    /// At most `bytes_max` for all, and `tenant_bytes_max` for each tenant.
    #[must_use]
    pub fn new(bytes_max: u64, tenant_bytes_max: u64) -> Arc<SpoolRoom> {
        SpoolRoom::with_own(bytes_max, tenant_bytes_max, BTreeMap::new())
    }

    /// As [`SpoolRoom::new`], with limits of their own for some tenants.
    #[must_use]
    pub fn with_own(
        bytes_max: u64,
        tenant_bytes_max: u64,
        own_bytes_max: BTreeMap<Arc<str>, u64>,
    ) -> Arc<SpoolRoom> {
        let used = Mutex::default();
        Arc::new(SpoolRoom { bytes_max, tenant_bytes_max, own_bytes_max, used })
    }

    /// The lowest limit of any tenant, in bytes.
    pub(super) fn lowest_bytes_max(&self) -> u64 {
        self.own_bytes_max.values().copied().chain([self.tenant_bytes_max]).min().unwrap_or(0)
    }

    /// Whether so many bytes more of the tenant may be kept.
    pub(super) fn has(&self, tenant: &Arc<str>, bytes: u64) -> bool {
        let used = self.lock();
        let all: u64 = used.values().sum();
        let own: u64 = used.iter().filter(|((_, it), _)| it == tenant).map(|(_, it)| it).sum();
        all + bytes <= self.bytes_max && own + bytes <= self.bytes_max_of(tenant)
    }

    /// Whether it is for the tenant itself to give, if so many bytes more are to be kept: it has no room of its own
    /// left, or takes more of all than any other.
    pub(super) fn is_to_give(&self, tenant: &Arc<str>, bytes: u64) -> bool {
        let used = self.lock();
        let of = |tenant: &Arc<str>| -> u64 {
            used.iter().filter(|((_, it), _)| it == tenant).map(|(_, it)| it).sum()
        };
        let (own, own_max) = (of(tenant), self.bytes_max_of(tenant));
        // What can never be kept is worth nobody's bytes.
        let is_worth_it = bytes <= own_max.min(self.bytes_max) / 2;
        is_worth_it && (own + bytes > own_max || used.keys().all(|(_, it)| of(it) <= own))
    }

    fn bytes_max_of(&self, tenant: &Arc<str>) -> u64 {
        self.own_bytes_max.get(tenant).copied().unwrap_or(self.tenant_bytes_max)
    }

    /// What the tenant takes now in the spool of that sink.
    pub(super) fn set(&self, sink: &Arc<str>, tenant: &Arc<str>, bytes: u64) {
        self.lock().insert((Arc::clone(sink), Arc::clone(tenant)), bytes);
    }

    /// The spool of that sink is closed.
    pub(super) fn forget(&self, sink: &Arc<str>) {
        self.lock().retain(|(it, _), _| it != sink);
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_its_own_limit_over_all_sinks_and_all_share_one() {
        let [a, b, c]: [Arc<str>; 3] = ["a", "b", "c"].map(Arc::from);
        let room = SpoolRoom::with_own(100, 60, [(Arc::clone(&c), 10)].into());
        assert!(room.has(&c, 10) && !room.has(&c, 11));
        let [x, y]: [Arc<str>; 2] = ["x", "y"].map(Arc::from);
        room.set(&x, &a, 30);
        room.set(&y, &a, 20);
        assert!(room.has(&a, 10) && !room.has(&a, 11));
        assert!(room.has(&b, 50) && !room.has(&b, 51));
        room.forget(&y);
        assert!(room.has(&a, 30) && !room.has(&a, 31));
    }

    #[test]
    fn a_tenant_gives_when_it_is_full_itself_or_takes_most_of_all() {
        let [a, b, x]: [Arc<str>; 3] = ["a", "b", "x"].map(Arc::from);
        let room = SpoolRoom::new(100, 60);
        room.set(&x, &a, 51);
        room.set(&x, &b, 49);
        assert!(!room.has(&a, 1) && room.is_to_give(&a, 1));
        assert!(!room.has(&b, 1) && !room.is_to_give(&b, 1), "another has more");
        room.set(&x, &b, 60);
        assert!(room.is_to_give(&b, 1) && !room.is_to_give(&b, 31), "that would never fit");
    }
}
