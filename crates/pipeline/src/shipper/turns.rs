//! Turns: whose payload is drained next, of those who hold any: the one of which least was drained for its weight.
//!
//! All share one pace, so whoever came first each time would have all of it. Pure; one per shipper.

use std::collections::HashMap;
use std::sync::Arc;

/// What weights divide: large, so that nothing is lost to rounding.
const SCALE: u128 = 1 << 32;

/// Who was drained how much.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Bytes by weight, of tenants that hold something.
    drained: HashMap<Arc<str>, u128>,
    /// What the one that went last had before.
    now: u128,
}

impl Turns {
    /// Puts the tenants that hold something into the order of their turns. Who could not go for a while saves
    /// nothing up.
    pub(super) fn sort(&mut self, tenants: &mut [Arc<str>]) {
        if self.drained.len() > tenants.len() {
            self.drained.retain(|it, _| tenants.contains(it));
        }
        for tenant in &*tenants {
            let drained = self.drained.entry(Arc::clone(tenant)).or_default();
            *drained = self.now.max(*drained);
        }
        tenants.sort_by_key(|it| self.drained.get(it).copied());
    }

    /// So many bytes of the tenant were drained.
    pub(super) fn went(&mut self, tenant: &Arc<str>, bytes: u64, weight: u32) {
        let drained = self.drained.entry(Arc::clone(tenant)).or_insert(self.now);
        self.now = *drained;
        *drained += u128::from(bytes) * SCALE / u128::from(weight.max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_could_not_go_for_a_while_has_no_more_than_its_share_then() {
        let mut turns = Turns::default();
        let [a, b]: [Arc<str>; 2] = ["a", "b"].map(Arc::from);
        let first = |turns: &mut Turns| {
            let mut both = [Arc::clone(&a), Arc::clone(&b)];
            turns.sort(&mut both);
            Arc::clone(&both[0])
        };
        for _ in 0..10 {
            first(&mut turns);
            turns.went(&b, 100, 100);
        }
        let mut order = Vec::new();
        for _ in 0..6 {
            let next = first(&mut turns);
            turns.went(&next, 100, 100);
            order.push(next);
        }
        let count = order.iter().filter(|it| **it == a).count();
        assert!((3..=4).contains(&count), "one more than its share at most: {order:?}");
        turns.sort(&mut [Arc::clone(&b)]);
        assert_eq!(turns.drained.len(), 1, "who holds nothing is forgotten");
    }
}
