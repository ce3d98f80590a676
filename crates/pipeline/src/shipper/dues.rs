//! Dues: a tenant that reads beyond its limit into the spool pays for that when it is drained.
//!
//! Such a tenant (`atLimit: spool`) takes no tokens for what goes to the spool. A payload is drained once there are
//! tokens for any of it, and what it has more is a debt, which is paid before the next one.

use std::collections::HashMap;
use std::sync::Arc;

use flow::{Payload, PayloadHeader, is_mutant};

use crate::limits::{Answer, AtLimit, Grant, Limits, Toll};

/// What is owed for draining.
#[derive(Debug)]
pub(super) struct Dues {
    limits: Arc<Limits>,
    /// Of tenants that pay, once they have drained something.
    tolls: HashMap<Arc<str>, Option<Box<Toll>>>,
}

/// Leave to drain a payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    /// None if nothing is to be paid.
    grant: Option<Grant>,
}

impl Dues {
    pub(super) fn new(limits: Arc<Limits>) -> Dues {
        Dues { limits, tolls: HashMap::new() }
    }

    /// Whether the tenant is read beyond its limit into the spool.
    pub(super) fn is_payer(&self, tenant: &str) -> bool {
        self.limits.policy(tenant).is_some_and(|it| it.at_limit == AtLimit::Spool)
    }

    /// The tenant's weight among others.
    pub(super) fn weight(&self, tenant: &str) -> u32 {
        self.limits.weight(tenant)
    }

    /// Leave for one payload, to be settled; or when to ask again, as long as there are no tokens.
    pub(super) fn ask(&mut self, tenant: &Arc<str>, now_ns: u64) -> Result<Leave, u64> {
        if !self.is_payer(tenant) {
            return Ok(Leave { grant: None });
        }
        let toll = self.tolls.entry(Arc::clone(tenant));
        let toll = toll.or_insert_with(|| self.limits.toll(tenant, "", now_ns));
        let Some(toll) = toll else { return Ok(Leave { grant: None }) };
        match self.limits.ask(toll, 1, now_ns) {
            Answer::Granted(grant) => Ok(Leave { grant: Some(grant) }),
            Answer::Later(later) => Err(later.until_ns),
        }
    }

    /// So many bytes of the source, and records, were drained with that leave.
    pub(super) fn settle(&mut self, tenant: &str, leave: Leave, (bytes, records): (u64, u64)) {
        if let (Some(grant), Some(Some(toll))) = (leave.grant, self.tolls.get_mut(tenant)) {
            self.limits.settle(toll, grant, bytes, records);
        }
    }
}

/// Bytes of the source that a payload accounts for: what became a gap in the spool had been read, too.
pub(super) fn accounted(payload: &Payload) -> u64 {
    let counts = |it: &&PayloadHeader| it.gap.is_none() || !is_mutant("released_is_never_drained");
    payload.headers.iter().filter(counts).map(|it| it.span.bytes()).sum()
}

/// Bytes of the source, and records, in a payload: gaps cost nothing.
pub(super) fn cost(payload: &Payload) -> (u64, u64) {
    let paid = payload.headers.iter().filter(|it| it.gap.is_none());
    paid.fold((0, 0), |(bytes, records), it| {
        (bytes + it.span.bytes(), records + u64::from(it.records))
    })
}
