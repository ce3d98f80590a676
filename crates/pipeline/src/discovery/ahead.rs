//! Ahead: how far the first scan is ahead of the readers, tenant by tenant.
//!
//! What readers were told of and have not begun with takes memory, and stands in their channels before all that is heard
//! meanwhile. So a tenant's directories are looked at as fast as readers begin with its files, and no faster. Who waits is
//! decided as for memory ([`super::standing`]): a tenant has at most as many looks on the way as it leaves free.

use std::collections::HashMap;
use std::sync::Arc;

use crate::meter::Count;
use crate::reader::Initial;

/// Looks of the first scan that no reader has begun with, at most; a piece of the scan more of each tenant.
///
/// 1,024: a tenant that is alone has half of them, which is more than a reader begins with while discovery rests.
const LOOKS_MAX: u64 = 1024;

/// Time between two looks whether readers have begun with what they were told of, in nanoseconds.
///
/// 5 ms: a reader begins with a hundred sources.
pub(super) const REST_NS: u64 = 5_000_000;

/// Looks of the first scan that no reader has begun with.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    all: Arc<Count>,
    tenants: HashMap<Arc<str>, Arc<Count>>,
}

impl Ahead {
    /// Whether more of the tenant's files may be looked at.
    pub(super) fn may_go_on(&self, tenant: &str) -> bool {
        let own = self.tenants.get(tenant).map_or(0, |it| it.get());
        self.all.get() + own < LOOKS_MAX
    }

    /// One more of the tenant's.
    pub(super) fn look(&mut self, tenant: &Arc<str>) -> Initial {
        let own = self.tenants.entry(Arc::clone(tenant)).or_default();
        Initial::new([Arc::clone(&self.all), Arc::clone(own)])
    }

    /// The first scan is over.
    pub(super) fn end(&mut self) {
        self.tenants = HashMap::new();
    }
}
