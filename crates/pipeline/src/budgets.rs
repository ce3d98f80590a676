//! Budgets: finds or makes the memory budget of a tenant, and finds its window of bytes in flight.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use flow::{Budget, NodeBudget, SharedReserve, is_mutant};

use crate::sync::Mutex;

/// What a tenant may use, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetSpec {
    /// Never refused.
    pub reserved_bytes: usize,
    /// No more is granted: what grew since it was read stands beyond it, and nothing is granted until that is back.
    pub max_bytes: usize,
}

/// All tenants' budgets on this node.
#[derive(Debug)]
pub struct Budgets {
    node: Arc<NodeBudget>,
    by_default: BudgetSpec,
    /// How many tenants without a spec have a reserve of their own: there is memory for one more, which all others share.
    own_reserves: usize,
    others_reserve: Arc<SharedReserve>,
    specs: HashMap<Arc<str>, BudgetSpec>,
    budgets: Mutex<HashMap<Arc<str>, Arc<Budget>>>,
    /// Bytes of files that may be read and not acknowledged, of tenants that have a limit.
    windows: HashMap<Arc<str>, Arc<Budget>>,
}

impl Budgets {
    /// Budgets over a common pool of `pool_bytes`. Tenants without a spec get the default, and have `default_reserves`
    /// (one or more) of its reserve: all but the last of these one each, and who comes then shares the last, in parts of
    /// `chunk_bytes` or more.
    #[must_use]
    pub fn new(
        pool_bytes: usize,
        by_default: BudgetSpec,
        default_reserves: usize,
        chunk_bytes: usize,
        specs: HashMap<Arc<str>, BudgetSpec>,
    ) -> Budgets {
        let node = NodeBudget::new(pool_bytes);
        let own_reserves = default_reserves.saturating_sub(1);
        let others_reserve = SharedReserve::new(by_default.reserved_bytes, chunk_bytes);
        let (budgets, windows) = (Mutex::default(), HashMap::new());
        Budgets { node, by_default, own_reserves, others_reserve, specs, budgets, windows }
    }

    /// The same, and of these tenants no more than so many bytes of files are read and not acknowledged.
    #[must_use]
    pub fn windowed(self, windows: HashMap<Arc<str>, usize>) -> Budgets {
        // A budget that is all reserve: it borrows from nobody.
        let window = |bytes| Budget::new(NodeBudget::new(0), bytes, bytes);
        let windows = windows.into_iter().map(|(tenant, bytes)| (tenant, window(bytes)));
        Budgets { windows: windows.collect(), ..self }
    }

    /// The pool that all share.
    #[must_use]
    pub fn pool(&self) -> Arc<NodeBudget> {
        Arc::clone(&self.node)
    }

    /// The window of `tenant` over all its lanes, if it has one.
    #[must_use]
    pub fn window(&self, tenant: &str) -> Option<Arc<Budget>> {
        self.windows.get(tenant).cloned()
    }

    /// The budget of `tenant`.
    pub fn of(&self, tenant: &Arc<str>) -> Arc<Budget> {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let whose = if is_mutant("one_budget_for_all") { Arc::from("all") } else { tenant.clone() };
        if let Some(budget) = budgets.get(&whose) {
            return Arc::clone(budget);
        }
        let node = || Arc::clone(&self.node);
        let own = |spec: &BudgetSpec| Budget::new(node(), spec.reserved_bytes, spec.max_bytes);
        let others = || budgets.keys().filter(|it| !self.specs.contains_key(*it)).count();
        let budget = match self.specs.get(tenant) {
            Some(spec) => own(spec),
            None => match others().checked_sub(self.own_reserves) {
                None => own(&self.by_default),
                Some(before) => {
                    self.say_shared(tenant, before);
                    let reserve = Arc::clone(&self.others_reserve);
                    Budget::sharing(node(), reserve, self.by_default.max_bytes)
                }
            },
        };
        budgets.insert(whose, Arc::clone(&budget));
        budget
    }

    /// Says that there is no reserve for `tenant` alone, as for so many before: of thousands once, or all would be hidden
    /// by it. The first has the shared one to itself.
    fn say_shared(&self, tenant: &str, before: usize) {
        let reserves = self.own_reserves;
        match before {
            0 => {}
            1 => tracing::warn!(
                tenant,
                reserves,
                "more tenants than reserves fit: this one, the one before and all that come later share the last, and \
                 wait for each other where the common pool is in use; write more memory, or a LogTenant that groups them"
            ),
            _ => {
                tracing::debug!(tenant, reserves, before, "one more tenant shares the last reserve")
            }
        }
    }

    /// Bytes in use now, by tenant.
    pub fn used(&self) -> Vec<(Arc<str>, usize)> {
        let budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.iter().map(|(tenant, budget)| (Arc::clone(tenant), budget.used())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_tenants_than_reserves_fit_share_the_last_and_never_have_more_than_all_of_it() {
        let spec = BudgetSpec { reserved_bytes: 100, max_bytes: 1000 };
        let specs = HashMap::from([(Arc::from("listed"), spec)]);
        let budgets = Budgets::new(50, spec, 2, 10, specs);
        let names = ["a", "b", "c", "listed", "d"].map(Arc::<str>::from);
        let all: Vec<_> = names.iter().map(|it| budgets.of(it)).collect();
        // The first without a spec, and the one with it.
        let reserved: Vec<usize> = all.iter().map(|it| it.reserved_bytes()).collect();
        assert_eq!(reserved, [100, 0, 0, 100, 0]);
        assert_eq!(budgets.of(&names[2]).reserved_bytes(), 0, "asked again, it is the same");
        let mut permits = Vec::new();
        while let Some(permit) = all.iter().find_map(|it| it.try_acquire(10)) {
            permits.push(permit);
        }
        let used: usize = budgets.used().iter().map(|(_, used)| used).sum();
        // A third of the shared one each, as far as it can be taken by tens.
        assert_eq!(used, 50 + 2 * 100 + 3 * 30);
    }

    #[test]
    fn a_tenant_that_comes_when_all_reserves_are_taken_is_read_although_the_pool_is_gone() {
        let spec = BudgetSpec { reserved_bytes: 100, max_bytes: 1000 };
        let budgets = Budgets::new(50, spec, 1, 10, HashMap::new());
        let [stuck, victim] = ["a", "b"].map(|it| budgets.of(&Arc::from(it)));
        // More files are known than there is memory for.
        budgets.pool().stand(1000);
        let mut held = Vec::new();
        while let Some(permit) = stuck.try_acquire(10) {
            held.push(permit);
        }
        assert!(victim.try_acquire(10).is_some());
    }
}
