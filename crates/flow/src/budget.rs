//! Budget: memory for bytes in flight, per tenant, with a minimum that is never refused.
//!
//! A tenant draws first on its own reserve and then on the node's common pool. Since a reserve is
//! never lent to others, a tenant can always read one more chunk once its own are acknowledged:
//! a budget without a guaranteed minimum would be a deadlock waiting for load. One short lock per
//! chunk, taken by readers and shippers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The pool that all tenants of a node share.
#[derive(Debug)]
pub struct NodeBudget {
    /// Bytes of the pool not lent out.
    free: Mutex<usize>,
    pool_bytes: usize,
}

impl NodeBudget {
    /// A common pool of `pool_bytes`, beside the reserves.
    #[must_use]
    pub fn new(pool_bytes: usize) -> Arc<NodeBudget> {
        Arc::new(NodeBudget { free: Mutex::new(pool_bytes), pool_bytes })
    }

    /// Size of the pool, in bytes.
    #[must_use]
    pub fn pool_bytes(&self) -> usize {
        self.pool_bytes
    }
}

/// One tenant's budget.
#[derive(Debug)]
pub struct Budget {
    node: Arc<NodeBudget>,
    reserved_bytes: usize,
    max_bytes: usize,
    used: Mutex<usize>,
}

impl Budget {
    /// A budget of `reserved_bytes` that are never refused, and up to `max_bytes` with the pool's help.
    ///
    /// # Panics
    /// If `max_bytes` is below `reserved_bytes`.
    #[must_use]
    pub fn new(node: Arc<NodeBudget>, reserved_bytes: usize, max_bytes: usize) -> Arc<Budget> {
        assert!(reserved_bytes <= max_bytes);
        Arc::new(Budget { node, reserved_bytes, max_bytes, used: Mutex::new(0) })
    }

    /// Takes `bytes`, or nothing if neither reserve nor pool has them.
    #[must_use]
    pub fn try_acquire(self: &Arc<Budget>, bytes: usize) -> Option<Permit> {
        let mut used = lock(&self.used);
        let after = used.checked_add(bytes)?;
        if after > self.max_bytes {
            return None;
        }
        let borrowed = self.borrowed(after) - self.borrowed(*used);
        if borrowed > 0 {
            let mut free = lock(&self.node.free);
            *free = free.checked_sub(borrowed)?;
        }
        *used = after;
        drop(used);
        Some(Permit { budget: Arc::clone(self), bytes })
    }

    /// Bytes in use now.
    #[must_use]
    pub fn used(&self) -> usize {
        *lock(&self.used)
    }

    /// Bytes that are never refused.
    #[must_use]
    pub fn reserved_bytes(&self) -> usize {
        self.reserved_bytes
    }

    /// How much of `used` comes out of the common pool.
    fn borrowed(&self, used: usize) -> usize {
        used.saturating_sub(self.reserved_bytes)
    }

    fn release(&self, bytes: usize) {
        let mut used = lock(&self.used);
        let after = used.checked_sub(bytes).expect("a permit gives back what it took");
        let returned = self.borrowed(*used) - self.borrowed(after);
        *used = after;
        if returned > 0 {
            *lock(&self.node.free) += returned;
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
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}

/// The numbers stay right even if a thread died while it held the lock.
fn lock(mutex: &Mutex<usize>) -> MutexGuard<'_, usize> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
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
    fn the_maximum_holds_even_if_the_pool_has_more() {
        let budget = Budget::new(NodeBudget::new(1000), 10, 50);
        assert!(budget.try_acquire(51).is_none());
        assert!(budget.try_acquire(50).is_some());
    }
}
