//! Limits: readers that share buckets never get more than there is, and pay together for what they read beyond it.

use std::collections::HashMap;
use std::sync::Arc;

use model::pipeline::limits::{Answer, LimitPlan, Limits, Rates, TenantLimits};
use model::sync::thread;

use crate::{in_every_order, join_all};

const SECOND: u64 = 1_000_000_000;

/// A node and a tenant that may read 10 bytes a second, or 6; both have as many now.
fn limits() -> Arc<Limits> {
    let rates =
        |bytes| Rates { bytes_per_second: Some(bytes), records_per_second: None, burst_ns: SECOND };
    let tenant = TenantLimits { rates: rates(6), ..TenantLimits::default() };
    let tenants = HashMap::from([(Arc::from("shop"), tenant)]);
    let plan = LimitPlan { node: rates(10), tenants, log_configs: HashMap::new() };
    Arc::new(Limits::new(plan, 0))
}

/// Asks for 4 bytes, and reads so many times what is granted; returns what was granted.
fn read(limits: &Limits, tenant: &str, came: u64) -> u64 {
    let mut toll = limits.toll(tenant, "config", 0).expect("the node has a limit");
    match limits.ask(&mut toll, 4, SECOND) {
        Answer::Granted(grant) => {
            limits.settle(&mut toll, grant, grant.bytes * came, 1);
            grant.bytes
        }
        Answer::Later(_) => 0,
    }
}

#[test]
fn two_readers_of_a_tenant_never_get_more_than_its_tokens() {
    in_every_order(|| {
        let limits = limits();
        let readers = [(); 2].map(|()| {
            let limits = Arc::clone(&limits);
            thread::spawn(move || read(&limits, "shop", 1))
        });
        let granted: u64 = readers.map(|it| it.join().unwrap()).iter().sum();
        assert!((4..=6).contains(&granted), "{granted} of 6 bytes");
        assert_eq!(limits.debts(SECOND), [(Arc::from("shop"), 0)]);
    });
}

#[test]
fn what_two_readers_read_beyond_their_tokens_is_owed_once() {
    in_every_order(|| {
        let limits = limits();
        let readers = ["shop", "other"].map(|tenant| {
            let limits = Arc::clone(&limits);
            thread::spawn(move || read(&limits, tenant, 3))
        });
        let [shop, other] = join_all(readers);
        assert!(shop + other > 0, "there were tokens for one");
        assert_eq!(limits.debts(SECOND)[0].1, (3 * shop).saturating_sub(6));
        let toll = limits.toll("other", "config", 0).expect("the node has a limit");
        assert_eq!(limits.report(&toll, SECOND)[0].debt, 3 * (shop + other) - 10);
    });
}
