//! Pins: which removed files are held open, and how many bytes of the node's disk they keep.
//!
//! A file that is removed while it is read stays on its disk until it is closed. One register per
//! data plane, shared by its readers, which tell it what they hold and ask it what to let go. It is
//! asked per look at a file without a name, never per record.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use flow::{SourceId, is_mutant};

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// A removed file that is held open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Key of the generation.
    pub generation: u64,
    /// Its size, in bytes: what the disk gets back.
    pub bytes: u64,
    /// Everything in it was read: letting it go loses nothing but late writes.
    pub is_read: bool,
    /// Monotonic time at which it was first seen to have no name.
    pub since_ns: u64,
}

/// Who holds which generation.
pub type PinId = (SourceId, u64);

/// All pins of a data plane.
#[derive(Debug)]
pub struct Pins {
    bytes_max: u64,
    /// Of tenants that have a limit of their own.
    tenants_max: HashMap<Arc<str>, u64>,
    /// Of tenants that have another than 0.
    priorities: HashMap<Arc<str>, i32>,
    bytes: AtomicU64,
    /// How many tenants hold more than their own limit.
    tenants_over: AtomicU64,
    held: Mutex<Held>,
}

/// Who holds what, and its sums.
#[derive(Debug, Default)]
struct Held {
    sources: BTreeMap<SourceId, (Arc<str>, Vec<Pin>)>,
    bytes: u64,
    /// Of tenants that have a limit of their own.
    tenants: HashMap<Arc<str>, u64>,
    tenants_over: u64,
}

impl Held {
    /// The source of the tenant, which may have `own_max` of its own, holds these and no others.
    fn put(&mut self, source: SourceId, tenant: &Arc<str>, pins: Vec<Pin>, own_max: Option<u64>) {
        let sum = |pins: &[Pin]| pins.iter().map(|pin| pin.bytes).sum::<u64>();
        let after = sum(&pins);
        let replaced = if pins.is_empty() {
            self.sources.remove(&source)
        } else {
            self.sources.insert(source, (Arc::clone(tenant), pins))
        };
        let before = replaced.map_or(0, |(_, pins)| sum(&pins));
        self.bytes = self.bytes + after - before;
        let Some(own_max) = own_max else { return };
        let own = self.tenants.entry(Arc::clone(tenant)).or_default();
        let was_over = *own > own_max;
        *own = *own + after - before;
        self.tenants_over += u64::from(*own > own_max);
        self.tenants_over -= u64::from(was_over);
    }
}

impl Pins {
    /// Pins of at most `bytes_max` together.
    #[must_use]
    pub fn new(bytes_max: u64) -> Pins {
        Pins {
            bytes_max,
            tenants_max: HashMap::new(),
            priorities: HashMap::new(),
            bytes: AtomicU64::new(0),
            tenants_over: AtomicU64::new(0),
            held: Mutex::default(),
        }
    }

    /// Of these tenants no more than so many bytes each.
    #[must_use]
    pub fn limited(self, tenants_max: HashMap<Arc<str>, u64>) -> Pins {
        Pins { tenants_max, ..self }
    }

    /// Those of lower priority give before others.
    #[must_use]
    pub fn ranked(self, priorities: HashMap<Arc<str>, i32>) -> Pins {
        Pins { priorities, ..self }
    }

    /// All that a source, always of the same tenant, holds now.
    pub fn set(&self, source: SourceId, tenant: &Arc<str>, pins: Vec<Pin>) {
        let mut held = self.lock();
        held.put(source, tenant, pins, self.tenants_max.get(tenant).copied());
        let (bytes, tenants_over) = (held.bytes, held.tenants_over);
        self.tenants_over.store(tenants_over, Ordering::Relaxed);
        if is_mutant("pins_summed_outside_the_lock") {
            drop(held);
        }
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Whether more is held than may be.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.bytes_max
            || self.tenants_over.load(Ordering::Relaxed) > 0
    }

    /// What to let go so that the rest is within the budget.
    ///
    /// A tenant beyond its own limit gives first; then, of those of the lowest priority, the one that holds most, so
    /// that none pays for another of its priority: of its pins those that are read, then the oldest.
    #[must_use]
    pub fn excess(&self) -> Vec<PinId> {
        let held = self.lock();
        let mut tenants: BTreeMap<&str, (u64, BTreeSet<_>)> = BTreeMap::new();
        let mut bytes = 0;
        for (source, (tenant, pins)) in &held.sources {
            let (sum, order) = tenants.entry(tenant).or_default();
            for pin in pins {
                order.insert((!pin.is_read, pin.since_ns, *source, pin.generation, pin.bytes));
                *sum += pin.bytes;
                bytes += pin.bytes;
            }
        }
        let mut excess = Vec::new();
        for (tenant, (sum, order)) in &mut tenants {
            let own_max = self.tenants_max.get(*tenant).copied().unwrap_or(u64::MAX);
            while *sum > own_max {
                let Some((_, _, source, generation, released)) = order.pop_first() else { break };
                excess.push((source, generation));
                *sum -= released;
                bytes -= released;
            }
        }
        while bytes > self.bytes_max {
            let giving = tenants.iter_mut().filter(|(_, (_, order))| !order.is_empty());
            let first = giving.min_by_key(|(it, (sum, _))| (self.priority(it), Reverse(*sum)));
            let Some((_, (sum, order))) = first else { break };
            let Some((_, _, source, generation, released)) = order.pop_first() else { break };
            excess.push((source, generation));
            *sum -= released;
            bytes -= released;
        }
        excess
    }

    fn priority(&self, tenant: &str) -> i32 {
        let known = self.priorities.get(tenant).filter(|_| !is_mutant("pins_ignore_priority"));
        known.copied().unwrap_or(0)
    }

    /// What is known stays right even if a thread died while it held the lock.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_sums_are_those_of_counting_all_anew(
            steps in prop::collection::vec((0..12_u32, prop::collection::vec(0..40_u64, 0..4)), 1..80),
        ) {
            let names = ["free", "tight", "wide"].map(Arc::<str>::from);
            let limited = HashMap::from([(Arc::clone(&names[1]), 50), (Arc::clone(&names[2]), 90)]);
            let pins = Pins::new(150).limited(limited);
            let mut all: HashMap<u32, Vec<u64>> = HashMap::new();
            for (source, sizes) in steps {
                let tenant = &names[source as usize % names.len()];
                let held = (0..).zip(&sizes).map(|(generation, bytes)| pin(generation, *bytes));
                pins.set(SourceId(source), tenant, held.collect());
                all.insert(source, sizes);
                let of = |tenant: usize| {
                    let own = all.iter().filter(|it| *it.0 as usize % names.len() == tenant);
                    own.flat_map(|it| it.1).sum::<u64>()
                };
                let bytes = [of(0), of(1), of(2)];
                let is_over = bytes.iter().sum::<u64>() > 150 || bytes[1] > 50 || bytes[2] > 90;
                prop_assert_eq!(pins.is_over(), is_over, "{:?}", bytes);
                prop_assert_eq!(!pins.excess().is_empty(), is_over);
            }
        }
    }

    fn pin(generation: u64, bytes: u64) -> Pin {
        Pin { generation, bytes, is_read: false, since_ns: generation }
    }

    #[test]
    fn the_oldest_goes_until_the_rest_is_within_the_budget() {
        let pins = Pins::new(100);
        let tenant = Arc::from("shop");
        pins.set(SourceId(1), &tenant, vec![pin(3, 50), pin(1, 50)]);
        assert!(!pins.is_over());
        assert_eq!(pins.excess(), []);
        pins.set(SourceId(2), &tenant, vec![pin(2, 60)]);
        assert!(pins.is_over());
        assert_eq!(pins.excess(), [(SourceId(1), 1), (SourceId(2), 2)]);
        pins.set(SourceId(1), &tenant, Vec::new());
        assert!(!pins.is_over());
    }

    #[test]
    fn what_is_read_goes_before_what_is_older() {
        let pins = Pins::new(50);
        let read = Pin { is_read: true, ..pin(9, 20) };
        pins.set(SourceId(1), &Arc::from("shop"), vec![pin(1, 50), read]);
        assert_eq!(pins.excess(), [(SourceId(1), 9)]);
    }

    #[test]
    fn the_tenant_that_holds_most_gives_first() {
        let pins = Pins::new(100);
        pins.set(SourceId(1), &Arc::from("modest"), vec![pin(1, 40)]);
        pins.set(SourceId(2), &Arc::from("greedy"), vec![pin(2, 40), pin(3, 40)]);
        assert_eq!(pins.excess(), [(SourceId(2), 2)]);
    }

    #[test]
    fn the_lowest_priority_gives_first_however_little_it_holds() {
        let priorities = [("batch", -10), ("payments", 900)];
        let priorities = priorities.map(|(it, priority)| (Arc::from(it), priority)).into();
        let pins = Pins::new(100).ranked(priorities);
        pins.set(SourceId(1), &Arc::from("payments"), vec![pin(1, 80), pin(2, 10)]);
        pins.set(SourceId(2), &Arc::from("batch"), vec![pin(3, 5)]);
        pins.set(SourceId(3), &Arc::from("usual"), vec![pin(4, 30)]);
        assert_eq!(pins.excess(), [(SourceId(2), 3), (SourceId(3), 4)]);
        pins.set(SourceId(1), &Arc::from("payments"), vec![pin(1, 80), pin(2, 50)]);
        let excess = [(SourceId(2), 3), (SourceId(3), 4), (SourceId(1), 1)];
        assert_eq!(pins.excess(), excess, "and then the higher one");
    }

    #[test]
    fn a_tenant_beyond_its_own_limit_gives_and_no_other_does() {
        let limited = HashMap::from([(Arc::from("limited"), 50)]);
        let pins = Pins::new(1000).limited(limited);
        pins.set(SourceId(1), &Arc::from("large"), vec![pin(1, 500)]);
        pins.set(SourceId(2), &Arc::from("limited"), vec![pin(2, 50)]);
        assert!(!pins.is_over());
        pins.set(SourceId(3), &Arc::from("limited"), vec![pin(3, 40)]);
        assert!(pins.is_over());
        assert_eq!(pins.excess(), [(SourceId(2), 2)]);
        pins.set(SourceId(2), &Arc::from("limited"), Vec::new());
        assert!(!pins.is_over());
    }
}
