//! Budgets: finds or makes the memory budget of a tenant, and finds its window of bytes in flight.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use flow::{Budget, NodeBudget, is_mutant};

use crate::sync::Mutex;

/// What a tenant may use, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetSpec {
    /// Never refused.
    pub reserved_bytes: usize,
    /// Never exceeded.
    pub max_bytes: usize,
}

/// All tenants' budgets on this node.
#[derive(Debug)]
pub struct Budgets {
    node: Arc<NodeBudget>,
    by_default: BudgetSpec,
    /// How many tenants without a spec have a reserve: there is memory for no more.
    default_reserves: usize,
    specs: HashMap<Arc<str>, BudgetSpec>,
    budgets: Mutex<HashMap<Arc<str>, Arc<Budget>>>,
    /// Bytes of files that may be read and not acknowledged, of tenants that have a limit.
    windows: HashMap<Arc<str>, Arc<Budget>>,
}

impl Budgets {
    /// Budgets over a common pool of `pool_bytes`; tenants without a spec get the default, `default_reserves` of
    /// them with its reserve.
    #[must_use]
    pub fn new(
        pool_bytes: usize,
        by_default: BudgetSpec,
        default_reserves: usize,
        specs: HashMap<Arc<str>, BudgetSpec>,
    ) -> Budgets {
        let node = NodeBudget::new(pool_bytes);
        let (budgets, windows) = (Mutex::default(), HashMap::new());
        Budgets { node, by_default, default_reserves, specs, budgets, windows }
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
        let others = || budgets.keys().filter(|it| !self.specs.contains_key(*it)).count();
        let spec = match self.specs.get(tenant) {
            Some(spec) => *spec,
            None => match others().checked_sub(self.default_reserves) {
                None => self.by_default,
                Some(beyond) => {
                    self.say_beyond(tenant, beyond);
                    BudgetSpec { reserved_bytes: 0, ..self.by_default }
                }
            },
        };
        let budget = Budget::new(Arc::clone(&self.node), spec.reserved_bytes, spec.max_bytes);
        budgets.insert(whose, Arc::clone(&budget));
        budget
    }

    /// Says that there is no reserve for `tenant`, as for so many before: of thousands once, or all would be hidden by it.
    fn say_beyond(&self, tenant: &str, beyond: usize) {
        let reserves = self.default_reserves;
        if beyond > 0 {
            return tracing::debug!(tenant, reserves, beyond, "one more tenant without a reserve");
        }
        tracing::error!(
            tenant,
            reserves,
            "more tenants than reserves fit: this one and all that come later have none, and wait where the common \
             pool is in use; write more memory, or a LogTenant that groups them"
        );
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
    fn more_tenants_than_reserves_fit_never_have_more_than_all_of_it() {
        let spec = BudgetSpec { reserved_bytes: 100, max_bytes: 1000 };
        let specs = HashMap::from([(Arc::from("listed"), spec)]);
        let budgets = Budgets::new(50, spec, 2, specs);
        let names = ["a", "b", "c", "listed", "d"].map(Arc::<str>::from);
        let all: Vec<_> = names.iter().map(|it| budgets.of(it)).collect();
        // The first two without a spec, and the one with it.
        let reserved: Vec<usize> = all.iter().map(|it| it.reserved_bytes()).collect();
        assert_eq!(reserved, [100, 100, 0, 100, 0]);
        assert_eq!(budgets.of(&names[2]).reserved_bytes(), 0, "asked again, it is the same");
        let mut permits = Vec::new();
        while let Some(permit) = all.iter().find_map(|it| it.try_acquire(10)) {
            permits.push(permit);
        }
        let used: usize = budgets.used().iter().map(|(_, used)| used).sum();
        assert_eq!(used, 50 + 3 * 100);
    }
}
