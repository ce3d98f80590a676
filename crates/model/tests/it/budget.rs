//! Budgets: never more is lent than there is, the reserve is never refused, and all comes back.

use std::sync::Arc;

use model::sync::atomic::{AtomicUsize, Ordering};
use model::sync::thread;
use model::vocabulary::budget::{Budget, NodeBudget, SharedReserve};

use crate::{in_every_order, in_orders_with, join_all};

const POOL: usize = 2;
const RESERVE: usize = 1;
const MAX: usize = RESERVE + POOL;

#[test]
fn two_tenants_never_get_more_than_pool_and_reserves() {
    in_every_order(|| {
        let node = NodeBudget::new(POOL);
        let budgets = [(); 2].map(|()| Budget::new(Arc::clone(&node), RESERVE, MAX));
        // What was granted, as the tenants see it. In the model too, so that they hold permits at once.
        let granted = Arc::new(AtomicUsize::new(0));
        let tenants = budgets.clone().map(|budget| {
            let granted = Arc::clone(&granted);
            thread::spawn(move || {
                let all = budget.try_acquire(MAX);
                let permit = all.or_else(|| budget.try_acquire(RESERVE));
                let permit = permit.expect("the reserve is never refused");
                let before = granted.fetch_add(permit.bytes(), Ordering::SeqCst);
                assert!(before + permit.bytes() <= POOL + 2 * RESERVE, "lent twice");
                granted.fetch_sub(permit.bytes(), Ordering::SeqCst);
            })
        });
        join_all(tenants);
        assert_eq!(budgets.each_ref().map(|it| it.used()), [0, 0]);
        drop(budgets[0].try_acquire(MAX).expect("all was given back"));
        assert!(budgets[1].try_acquire(MAX).is_some());
    });
}

/// Those that share one have no less each than a part, and together no more than all of it.
#[test]
fn two_tenants_that_share_a_reserve_have_a_part_each_and_never_more_than_all_of_it() {
    in_every_order(|| {
        let node = NodeBudget::new(1);
        let shared = SharedReserve::new(2 * RESERVE, RESERVE);
        let budgets = [(); 2].map(|()| Budget::sharing(node.clone(), Arc::clone(&shared), MAX));
        let granted = Arc::new(AtomicUsize::new(0));
        let tenants = budgets.clone().map(|budget| {
            let granted = Arc::clone(&granted);
            thread::spawn(move || {
                let more = budget.try_acquire(RESERVE + 1);
                let permit = more.or_else(|| budget.try_acquire(RESERVE));
                let permit = permit.expect("a part is never refused");
                let before = granted.fetch_add(permit.bytes(), Ordering::SeqCst);
                assert!(before + permit.bytes() <= 1 + 2 * RESERVE, "lent twice");
                granted.fetch_sub(permit.bytes(), Ordering::SeqCst);
            })
        });
        join_all(tenants);
        assert_eq!(budgets.each_ref().map(|it| it.used()), [0, 0]);
        assert!(budgets[1].try_acquire(RESERVE + 1).is_some(), "all was given back");
    });
}

/// Encoded bytes may stand beyond the limits for a while; others' reserves do not pay for it.
#[test]
fn what_grows_beyond_the_limits_takes_no_reserve_and_is_given_back() {
    in_orders_with(3, || {
        let node = NodeBudget::new(POOL);
        let greedy = Budget::new(Arc::clone(&node), RESERVE, MAX);
        let modest = Budget::new(node, RESERVE, MAX);
        let grows = {
            let greedy = Arc::clone(&greedy);
            thread::spawn(move || {
                let all = greedy.try_acquire(MAX).or_else(|| greedy.try_acquire(RESERVE));
                let mut permit = all.expect("the reserve is never refused");
                permit.resize(MAX + 4);
                assert!(greedy.try_acquire(1).is_none());
                permit.resize(1);
            })
        };
        let all = modest.try_acquire(MAX);
        drop(all.or_else(|| modest.try_acquire(RESERVE)).expect("the reserve is never refused"));
        grows.join().unwrap();
        assert_eq!((greedy.used(), modest.used()), (0, 0));
        assert!(modest.try_acquire(MAX).is_some(), "the pool is whole again");
    });
}

/// A reader takes and joins, the shipper gives back, of one tenant.
#[test]
fn permits_of_one_tenant_add_up_over_threads() {
    in_orders_with(3, || {
        let budget = Budget::new(NodeBudget::new(POOL), RESERVE, MAX);
        let first = budget.try_acquire(1).expect("nothing is used");
        let shipper = thread::spawn(move || drop(first));
        let mut permit = budget.try_acquire(1).expect("two of three are free");
        permit.join(budget.try_acquire(1).expect("one of three is free"));
        let used = budget.used();
        assert!((2..=MAX).contains(&used), "{used}");
        shipper.join().unwrap();
        assert_eq!(budget.used(), 2);
        drop(permit);
        assert_eq!(budget.used(), 0);
    });
}
