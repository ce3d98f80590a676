//! Room: how much disk the spools of all sinks may take, together and of each tenant, and who gives where it is short.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use flow::is_mutant;

use super::SpoolStore;

/// By sink and tenant: bytes on the disk.
type Used = BTreeMap<(Arc<str>, Arc<str>), u64>;

/// What is said of some tenants.
#[derive(Debug, Default)]
pub struct TenantRooms {
    /// Bytes of those that have a limit of their own.
    pub bytes_max: BTreeMap<Arc<str>, u64>,
    /// Where room is short, lower ones give first; 0 of all that are not here.
    pub priorities: BTreeMap<Arc<str>, i32>,
}

/// Whose oldest is let go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Giver {
    /// That of a tenant of lower priority, in the spool of that sink.
    Lower(Arc<str>, Arc<str>),
    /// That of the tenant which asks, in the spool that it asks.
    Itself,
}

/// The disk of all spools.
#[derive(Debug)]
pub struct SpoolRoom {
    bytes_max: u64,
    tenant_bytes_max: u64,
    tenants: TenantRooms,
    used: Mutex<Used>,
    /// By sink.
    stores: Mutex<BTreeMap<Arc<str>, Weak<SpoolStore>>>,
}

impl SpoolRoom {
    /// At most `bytes_max` for all, and `tenant_bytes_max` for each tenant.
    #[must_use]
    pub fn new(bytes_max: u64, tenant_bytes_max: u64) -> Arc<SpoolRoom> {
        SpoolRoom::with_tenants(bytes_max, tenant_bytes_max, TenantRooms::default())
    }

    /// As [`SpoolRoom::new`], where more is said of some tenants.
    #[must_use]
    pub fn with_tenants(
        bytes_max: u64,
        tenant_bytes_max: u64,
        tenants: TenantRooms,
    ) -> Arc<SpoolRoom> {
        let (used, stores) = (Mutex::default(), Mutex::default());
        Arc::new(SpoolRoom { bytes_max, tenant_bytes_max, tenants, used, stores })
    }

    /// The lowest limit of any tenant, in bytes.
    pub(super) fn lowest_bytes_max(&self) -> u64 {
        self.tenants.bytes_max.values().copied().chain([self.tenant_bytes_max]).min().unwrap_or(0)
    }

    /// Whether so many bytes more of the tenant may be kept.
    pub(super) fn has(&self, tenant: &Arc<str>, bytes: u64) -> bool {
        let used = self.lock();
        let all: u64 = used.values().sum();
        let own: u64 = used.iter().filter(|((_, it), _)| it == tenant).map(|(_, it)| it).sum();
        all + bytes <= self.bytes_max && own + bytes <= self.bytes_max_of(tenant)
    }

    /// Whose oldest go, the first first, if so many bytes more of the tenant are to be kept: its own if it
    /// has no room of its own left, or `has_room` and it has too many payloads. Else those of tenants of lower
    /// priority, the lowest first and of these the one that takes most; and then its own if it takes no less than
    /// any other of its priority.
    pub(super) fn givers(&self, tenant: &Arc<str>, bytes: u64, has_room: bool) -> Vec<Giver> {
        let used = self.lock();
        let of = |tenant: &Arc<str>| -> u64 {
            used.iter().filter(|((_, it), _)| it == tenant).map(|(_, it)| it).sum()
        };
        let (own, own_max) = (of(tenant), self.bytes_max_of(tenant));
        // What can never be kept is worth nobody's bytes.
        if bytes > own_max.min(self.bytes_max) / 2 {
            return Vec::new();
        }
        if own + bytes > own_max || has_room {
            return vec![Giver::Itself];
        }
        let priority = self.priority(tenant);
        let is_lower = |it: &Arc<str>| match is_mutant("spool_releases_anothers") {
            true => it != tenant,
            false => self.priority(it) < priority,
        };
        let mut lower: Vec<_> =
            used.iter().filter(|((_, it), bytes)| **bytes > 0 && is_lower(it)).collect();
        lower.sort_by_key(|((_, it), bytes)| (self.priority(it), Reverse((of(it), *bytes))));
        let lower = lower.into_iter();
        let mut givers: Vec<Giver> =
            lower.map(|((sink, it), _)| Giver::Lower(Arc::clone(sink), Arc::clone(it))).collect();
        let is_peer = |it: &Arc<str>| self.priority(it) == priority;
        if used.keys().all(|(_, it)| !is_peer(it) || of(it) <= own) {
            givers.push(Giver::Itself);
        }
        givers
    }

    fn priority(&self, tenant: &Arc<str>) -> i32 {
        self.tenants.priorities.get(tenant).copied().unwrap_or(0)
    }

    /// The spool of that sink is open.
    pub(super) fn open(&self, sink: &Arc<str>, store: &Arc<SpoolStore>) {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.insert(Arc::clone(sink), Arc::downgrade(store));
    }

    /// The spool of that sink, if it is open.
    pub(super) fn store(&self, sink: &Arc<str>) -> Option<Arc<SpoolStore>> {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let store = stores.get(sink).cloned();
        // A store that is dropped takes the lock.
        drop(stores);
        store?.upgrade()
    }

    fn bytes_max_of(&self, tenant: &Arc<str>) -> u64 {
        self.tenants.bytes_max.get(tenant).copied().unwrap_or(self.tenant_bytes_max)
    }

    /// What the tenant takes now in the spool of that sink.
    pub(super) fn set(&self, sink: &Arc<str>, tenant: &Arc<str>, bytes: u64) {
        self.lock().insert((Arc::clone(sink), Arc::clone(tenant)), bytes);
    }

    /// The spool of that sink is closed.
    pub(super) fn forget(&self, sink: &Arc<str>) {
        self.lock().retain(|(it, _), _| it != sink);
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).remove(sink);
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
        let bytes_max = [(Arc::clone(&c), 10)].into();
        let tenants = TenantRooms { bytes_max, ..TenantRooms::default() };
        let room = SpoolRoom::with_tenants(100, 60, tenants);
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
        let gives = |it: &Arc<str>, bytes| room.givers(it, bytes, false) == [Giver::Itself];
        room.set(&x, &a, 51);
        room.set(&x, &b, 49);
        assert!(!room.has(&a, 1) && gives(&a, 1));
        assert!(!room.has(&b, 1) && !gives(&b, 1), "another has more");
        room.set(&x, &b, 60);
        assert!(gives(&b, 1) && !gives(&b, 31), "that would never fit");
    }

    #[test]
    fn tenants_of_lower_priority_give_the_lowest_first_whatever_their_sink() {
        let names: [Arc<str>; 4] = ["low", "lower", "usual", "high"].map(Arc::from);
        let [low, lower, usual, high] = &names;
        let priorities = [(low, -50), (lower, -90), (high, 900)];
        let priorities = priorities.map(|(it, priority)| (Arc::clone(it), priority)).into();
        let tenants = TenantRooms { priorities, ..TenantRooms::default() };
        let room = SpoolRoom::with_tenants(100, 60, tenants);
        let [x, y]: [Arc<str>; 2] = ["x", "y"].map(Arc::from);
        names.iter().for_each(|it| room.set(&x, it, 20));
        room.set(&y, low, 20);
        let of = |sink: &Arc<str>, it: &Arc<str>| Giver::Lower(Arc::clone(sink), Arc::clone(it));
        let givers = |it| room.givers(it, 10, false);
        let both = [of(&x, lower), of(&x, low), of(&y, low)];
        assert_eq!(givers(usual)[..3], both);
        assert_eq!(givers(usual)[3..], [Giver::Itself]);
        assert_eq!(givers(high)[3..], [of(&x, usual), Giver::Itself]);
        assert_eq!(givers(lower), [Giver::Itself], "the oldest for the newest, and no other's");
        assert_eq!(room.givers(high, 50, false), [], "that would never fit");
        assert_eq!(room.givers(high, 10, true), [Giver::Itself], "it has too many payloads");
    }
}
