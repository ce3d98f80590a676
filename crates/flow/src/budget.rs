//! Budget: memory for bytes in flight, per tenant, with a minimum that is never refused.
//!
//! A tenant draws first on its own reserve and then on the node's common pool. Since a reserve is
//! never lent to others, a tenant can always read one more chunk once its own are acknowledged:
//! a budget without a guaranteed minimum would be a deadlock waiting for load. Tenants that come when all reserves
//! are taken share the last one, in parts. One short lock per chunk, taken by readers and shippers.

use std::cmp::Ordering;
use std::sync::{Arc, PoisonError};

use crate::is_mutant;
use crate::sync::{Mutex, MutexGuard};

/// The pool that all tenants of a node share.
#[derive(Debug)]
pub struct NodeBudget {
    /// Bytes of the pool not lent out; below zero while encoded bytes stand beyond the limits.
    free: Mutex<isize>,
    pool_bytes: usize,
    /// Bytes that are no tenant's, and that the pool has to do without.
    standing: Mutex<usize>,
}

impl NodeBudget {
    /// A common pool of `pool_bytes`, beside the reserves.
    #[must_use]
    pub fn new(pool_bytes: usize) -> Arc<NodeBudget> {
        let free = Mutex::new(bytes_owed(pool_bytes));
        Arc::new(NodeBudget { free, pool_bytes, standing: Mutex::new(0) })
    }

    /// Size of the pool, in bytes.
    #[must_use]
    pub fn pool_bytes(&self) -> usize {
        self.pool_bytes
    }

    /// Takes `bytes` out of the pool in place of those that were taken so before, for what is in memory whatever the
    /// limits say. While that is more than there is, tenants have their reserves alone.
    pub fn stand(&self, bytes: usize) {
        let mut standing = lock(&self.standing);
        *lock(&self.free) -= bytes_owed(bytes) - bytes_owed(*standing);
        *standing = bytes;
    }

    /// Bytes of the pool that tenants have now.
    #[must_use]
    pub fn lent(&self) -> usize {
        let standing = lock(&self.standing);
        let lent = bytes_owed(self.pool_bytes) - bytes_owed(*standing) - *lock(&self.free);
        usize::try_from(lent).unwrap_or(0)
    }

    /// Takes `bytes`, or nothing.
    fn try_take(&self, bytes: usize) -> bool {
        let mut free = lock(&self.free);
        let left = *free - bytes_owed(bytes);
        if left < 0 {
            return false;
        }
        if is_mutant("pool_taken_after_the_look") {
            drop(free);
            free = lock(&self.free);
        }
        *free = left;
        true
    }
}

/// A reserve that tenants without one of their own share.
///
/// One of them alone may have all of it, more of them an equal part each, of so many parts as can be read into. So
/// that many have to hold theirs for ever before another one waits for the common pool.
#[derive(Debug)]
pub struct SharedReserve {
    bytes: usize,
    parts_max: usize,
    shared: Mutex<Shared>,
}

#[derive(Debug)]
struct Shared {
    free: usize,
    members: usize,
}

impl SharedReserve {
    /// A reserve of `bytes`, whose parts are never smaller than `part_bytes_min`, what one read takes.
    #[must_use]
    pub fn new(bytes: usize, part_bytes_min: usize) -> Arc<SharedReserve> {
        let parts_max = (bytes / part_bytes_min.max(1)).max(1);
        let shared = Mutex::new(Shared { free: bytes, members: 0 });
        Arc::new(SharedReserve { bytes, parts_max, shared })
    }

    /// Takes up to `bytes` for one who holds `held` already; returns how much.
    fn take(&self, bytes: usize, held: usize) -> usize {
        let mut shared = lock(&self.shared);
        let part = self.bytes / shared.members.clamp(1, self.parts_max);
        let taken = bytes.min(part.saturating_sub(held)).min(shared.free);
        shared.free -= taken;
        taken
    }

    fn give_back(&self, bytes: usize) {
        lock(&self.shared).free += bytes;
    }
}

/// One tenant's budget.
#[derive(Debug)]
pub struct Budget {
    node: Arc<NodeBudget>,
    reserved_bytes: usize,
    max_bytes: usize,
    /// In place of a reserve of its own.
    shared: Option<Arc<SharedReserve>>,
    used: Mutex<Used>,
}

/// Bytes in use.
#[derive(Debug, Default)]
struct Used {
    bytes: usize,
    /// Out of the shared reserve.
    of_shared: usize,
}

impl Budget {
    /// A budget of `reserved_bytes` that are never refused, and up to `max_bytes` with the pool's help.
    ///
    /// # Panics
    /// If `max_bytes` is below `reserved_bytes`.
    #[must_use]
    pub fn new(node: Arc<NodeBudget>, reserved_bytes: usize, max_bytes: usize) -> Arc<Budget> {
        assert!(reserved_bytes <= max_bytes);
        Arc::new(Budget { node, reserved_bytes, max_bytes, shared: None, used: Mutex::default() })
    }

    /// A budget of up to `max_bytes` whose reserve is a part of a shared one.
    #[must_use]
    pub fn sharing(
        node: Arc<NodeBudget>,
        shared: Arc<SharedReserve>,
        max_bytes: usize,
    ) -> Arc<Budget> {
        lock(&shared.shared).members += 1;
        let shared = Some(shared);
        Arc::new(Budget { node, reserved_bytes: 0, max_bytes, shared, used: Mutex::default() })
    }

    /// Takes `bytes`, or nothing if neither reserve nor pool has them.
    #[must_use]
    pub fn try_acquire(self: &Arc<Budget>, bytes: usize) -> Option<Permit> {
        let mut used = lock(&self.used);
        let after = used.bytes.checked_add(bytes)?;
        if after > self.max_bytes {
            return None;
        }
        let borrowed = self.borrowed(after) - self.borrowed(used.bytes);
        if borrowed > 0 {
            let shared = self.shared.as_deref();
            let of_shared = shared.map_or(0, |it| it.take(borrowed, used.of_shared));
            let of_pool = borrowed - of_shared;
            if of_pool > 0 && !self.node.try_take(of_pool) {
                if let Some(shared) = shared {
                    shared.give_back(of_shared);
                }
                return None;
            }
            used.of_shared += of_shared;
        }
        used.bytes = after;
        drop(used);
        Some(Permit { budget: Arc::clone(self), bytes })
    }

    /// Bytes in use now.
    #[must_use]
    pub fn used(&self) -> usize {
        lock(&self.used).bytes
    }

    /// Bytes that are never refused, and nobody else's.
    #[must_use]
    pub fn reserved_bytes(&self) -> usize {
        self.reserved_bytes
    }

    /// Takes `bytes` whatever the limits say.
    fn force(&self, bytes: usize) {
        let mut used = lock(&self.used);
        let borrowed = self.borrowed(used.bytes + bytes) - self.borrowed(used.bytes);
        used.bytes += bytes;
        if borrowed > 0 {
            *lock(&self.node.free) -= bytes_owed(borrowed);
        }
    }

    /// How much of `used` is beyond a reserve of its own.
    fn borrowed(&self, used: usize) -> usize {
        if is_mutant("reserve_taken_from_the_pool") {
            return used;
        }
        used.saturating_sub(self.reserved_bytes)
    }

    fn release(&self, bytes: usize) {
        let mut used = lock(&self.used);
        let after = used.bytes.checked_sub(bytes).expect("a permit gives back what it took");
        let returned = self.borrowed(used.bytes) - self.borrowed(after);
        // First what all others wait for.
        let to_pool = returned.min(self.borrowed(used.bytes) - used.of_shared);
        used.bytes = after;
        if to_pool > 0 {
            *lock(&self.node.free) += bytes_owed(to_pool);
        }
        if let Some(shared) = self.shared.as_deref().filter(|_| returned > to_pool) {
            used.of_shared -= returned - to_pool;
            shared.give_back(returned - to_pool);
        }
    }
}

/// Bytes taken from a budget; dropping it gives them back.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Permit {
    /// How many bytes it pays for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes it pay for `bytes` instead: what is in memory is counted, even beyond the limits.
    ///
    /// Encoded bytes are more than the bytes read for which the permit was taken. Beyond a limit,
    /// nothing new is granted until enough has been given back.
    pub fn resize(&mut self, bytes: usize) {
        match bytes.cmp(&self.bytes) {
            Ordering::Less => self.budget.release(self.bytes - bytes),
            Ordering::Greater => self.budget.force(bytes - self.bytes),
            Ordering::Equal => {}
        }
        self.bytes = bytes;
    }

    /// Joins another permit of the same budget to this one.
    pub fn join(&mut self, mut other: Permit) {
        assert!(Arc::ptr_eq(&self.budget, &other.budget), "permits of two budgets");
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}

/// A number of bytes as a change of the pool.
fn bytes_owed(bytes: usize) -> isize {
    isize::try_from(bytes).expect("memory is less than half of the address space")
}

/// The numbers stay right even if a thread died while it held the lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_reserve_is_never_lent() {
        let node = NodeBudget::new(100);
        let greedy = Budget::new(Arc::clone(&node), 10, 1000);
        let modest = Budget::new(Arc::clone(&node), 10, 1000);
        let all = greedy.try_acquire(110).unwrap();
        assert!(greedy.try_acquire(1).is_none());
        let own = modest.try_acquire(10).unwrap();
        assert!(modest.try_acquire(1).is_none());
        drop(all);
        assert!(modest.try_acquire(100).is_some());
        drop(own);
    }

    proptest! {
        /// Tenants flood, hold on, grow by encoding and give back as they like: each can have what is left of its
        /// reserve, and a chunk once its own are back.
        #[test]
        fn the_rest_of_a_reserve_is_never_refused_whatever_others_take(
            pool in 0..2000_usize,
            reserves in prop::collection::vec(1..300_usize, 2..6),
            steps in prop::collection::vec((0..6_usize, 0..4_u8, 1..800_usize), 1..120),
        ) {
            let node = NodeBudget::new(pool);
            let budget = |reserve: &usize| Budget::new(Arc::clone(&node), *reserve, reserve + 1000);
            let budgets: Vec<Arc<Budget>> = reserves.iter().map(budget).collect();
            let mut held: Vec<Vec<Permit>> = budgets.iter().map(|_| Vec::new()).collect();
            for (number, what, bytes) in steps {
                let number = number % budgets.len();
                let own = &mut held[number];
                match what {
                    0 | 1 => own.extend(budgets[number].try_acquire(bytes)),
                    2 => own.truncate(own.len() / 2),
                    _ => own.iter_mut().for_each(|it| it.resize(bytes)),
                }
                for (budget, reserve) in budgets.iter().zip(&reserves) {
                    let left = reserve.saturating_sub(budget.used());
                    let has = left == 0 || budget.try_acquire(left).is_some();
                    prop_assert!(has, "{} of {}", left, reserve);
                }
            }
            for number in 0..budgets.len() {
                held[number].clear();
                prop_assert!(budgets[number].try_acquire(reserves[number]).is_some());
            }
            prop_assert_eq!(*lock(&node.free), bytes_owed(pool), "nothing is left behind");
        }
    }

    #[test]
    fn tenants_that_share_a_reserve_go_on_when_the_pool_is_empty_and_others_hold_their_parts() {
        let node = NodeBudget::new(100);
        let shared = SharedReserve::new(80, 20);
        let budget = || Budget::sharing(Arc::clone(&node), Arc::clone(&shared), 1000);
        let alone = budget();
        node.stand(1000);
        assert!(alone.try_acquire(81).is_none());
        assert!(alone.try_acquire(80).is_some(), "nobody else is there");
        let others: Vec<_> = (0..6).map(|_| budget()).collect();
        let stuck: Vec<_> = others.iter().take(3).map(|it| it.try_acquire(20).unwrap()).collect();
        assert!(others[0].try_acquire(1).is_none(), "it has its part");
        for budget in others[3..].iter().chain([&alone]) {
            assert!(budget.try_acquire(21).is_none());
            assert!(budget.try_acquire(20).is_some());
        }
        // Encoded it is more, for which the pool has to pay, and which goes back there.
        let mut permit = alone.try_acquire(20).unwrap();
        permit.resize(50);
        assert_eq!(*lock(&node.free), 100 - 1000 - 30);
        node.stand(0);
        permit.join(alone.try_acquire(70).unwrap());
        assert!(others[4].try_acquire(1).is_none(), "both are in use");
        permit.resize(20);
        assert_eq!(*lock(&node.free), 100);
        assert!(others[4].try_acquire(101).is_none());
        drop(permit);
        assert!(others[4].try_acquire(120).is_some());
        drop(stuck);
        assert_eq!((*lock(&node.free), lock(&shared.shared).free), (100, 80));
    }

    #[test]
    fn a_refusal_takes_nothing() {
        let node = NodeBudget::new(10);
        let budget = Budget::new(node, 5, 100);
        assert!(budget.try_acquire(16).is_none());
        let permit = budget.try_acquire(15).unwrap();
        assert_eq!(budget.used(), 15);
        drop(permit);
        assert_eq!(budget.used(), 0);
        assert!(budget.try_acquire(15).is_some());
    }

    #[test]
    fn what_is_in_memory_is_counted_beyond_the_limits() {
        let node = NodeBudget::new(10);
        let budget = Budget::new(Arc::clone(&node), 5, 15);
        let other = Budget::new(node, 5, 15);
        let mut permit = budget.try_acquire(5).unwrap();
        permit.resize(40);
        assert_eq!(budget.used(), 40);
        assert!(budget.try_acquire(1).is_none());
        assert!(other.try_acquire(6).is_none(), "the pool is overdrawn");
        let mut reserve = other.try_acquire(5).unwrap();
        permit.resize(3);
        reserve.join(other.try_acquire(10).unwrap());
        assert_eq!((reserve.bytes(), other.used()), (15, 15));
        drop(reserve);
        drop(permit);
        assert_eq!((budget.used(), other.used()), (0, 0));
        assert!(other.try_acquire(15).is_some());
    }

    #[test]
    fn what_stands_in_memory_is_out_of_the_pool_and_of_no_reserve() {
        let node = NodeBudget::new(10);
        let budget = Budget::new(Arc::clone(&node), 5, 100);
        node.stand(4);
        assert!(budget.try_acquire(12).is_none());
        let permit = budget.try_acquire(11).unwrap();
        node.stand(30);
        assert_eq!(node.lent(), 6, "beside its reserve");
        drop(permit);
        assert_eq!(node.lent(), 0);
        assert!(budget.try_acquire(6).is_none(), "the pool is overdrawn");
        let reserve = budget.try_acquire(5).unwrap();
        node.stand(0);
        drop(reserve);
        assert!(budget.try_acquire(15).is_some());
    }

    #[test]
    fn permits_taken_and_given_back_on_many_threads_leave_nothing_behind() {
        const THREADS: usize = 3;
        let node = NodeBudget::new(10);
        let budgets = [(); 2].map(|()| Budget::new(Arc::clone(&node), 5, 15));
        std::thread::scope(|scope| {
            for number in 0..THREADS {
                let budget = &budgets[number % 2];
                scope.spawn(move || {
                    for bytes in 1..=15 {
                        let Some(mut permit) = budget.try_acquire(bytes) else { continue };
                        permit.resize(bytes + 3);
                        permit.resize(1);
                    }
                });
            }
        });
        assert_eq!(budgets.each_ref().map(|it| it.used()), [0, 0]);
        assert!(budgets[0].try_acquire(15).is_some());
    }

    #[test]
    fn the_maximum_holds_even_if_the_pool_has_more() {
        let budget = Budget::new(NodeBudget::new(1000), 10, 50);
        assert!(budget.try_acquire(51).is_none());
        assert!(budget.try_acquire(50).is_some());
    }
}
