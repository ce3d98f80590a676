//! Budgets: finds or makes the memory budget of a tenant.

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
    specs: HashMap<Arc<str>, BudgetSpec>,
    budgets: Mutex<HashMap<Arc<str>, Arc<Budget>>>,
}

impl Budgets {
    /// Budgets over a common pool of `pool_bytes`; tenants without a spec get the default.
    #[must_use]
    pub fn new(
        pool_bytes: usize,
        by_default: BudgetSpec,
        specs: HashMap<Arc<str>, BudgetSpec>,
    ) -> Budgets {
        let node = NodeBudget::new(pool_bytes);
        Budgets { node, by_default, specs, budgets: Mutex::default() }
    }

    /// The budget of `tenant`.
    pub fn of(&self, tenant: &Arc<str>) -> Arc<Budget> {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let whose = if is_mutant("one_budget_for_all") { Arc::from("all") } else { tenant.clone() };
        let budget = budgets.entry(whose).or_insert_with(|| {
            let spec = self.specs.get(tenant).copied().unwrap_or(self.by_default);
            Budget::new(Arc::clone(&self.node), spec.reserved_bytes, spec.max_bytes)
        });
        Arc::clone(budget)
    }

    /// Bytes in use now, by tenant.
    pub fn used(&self) -> Vec<(Arc<str>, usize)> {
        let budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.iter().map(|(tenant, budget)| (Arc::clone(tenant), budget.used())).collect()
    }
}
