//! Counts: what several threads add is all there, and nothing is counted that nobody holds.

use std::sync::Arc;

use flow::SourceId;
use model::pipeline::meter::Meter;
use model::pipeline::pins::{Pin, Pins};
use model::sync::thread;

use crate::{in_every_order, join_all};

#[test]
fn two_who_count_for_a_new_tenant_count_together() {
    in_every_order(|| {
        let meter = Arc::new(Meter::default());
        let threads = [3, 4].map(|amount| {
            let meter = Arc::clone(&meter);
            thread::spawn(move || {
                let tenant = meter.tenant(&Arc::from("shop"));
                tenant.read_bytes.add(amount);
                tenant.begin((amount, SourceId(1), amount));
                tenant.end(&(amount, SourceId(1), amount));
            })
        });
        join_all(threads);
        let tenant = meter.tenant(&Arc::from("shop"));
        assert_eq!(tenant.read_bytes.get(), 7);
        assert_eq!(tenant.oldest_unacked_ns(), None);
    });
}

#[test]
fn pinned_bytes_are_those_that_sources_hold() {
    in_every_order(|| {
        let pins = Arc::new(Pins::new(10));
        let tenant: Arc<str> = Arc::from("shop");
        let readers = [1, 2].map(|source| {
            let (pins, tenant) = (Arc::clone(&pins), Arc::clone(&tenant));
            thread::spawn(move || {
                let pin = Pin { generation: 7, bytes: 6, is_read: false, since_ns: 0 };
                pins.set(SourceId(source), &tenant, vec![pin]);
            })
        });
        join_all(readers);
        assert!(pins.is_over(), "two hold 12 bytes of 10");
        let held = pins.excess();
        assert_eq!(held.len(), 1);
        pins.set(held[0].0, &tenant, Vec::new());
        assert!(!pins.is_over());
    });
}
