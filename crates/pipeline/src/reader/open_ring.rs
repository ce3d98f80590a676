//! Open ring: the sources that hold descriptors, by tenant, so that the least recently active of one is found.
//!
//! A clock rather than a list in order of use: a source that was active since its last turn gets
//! another one. That costs a flag where a list would cost a move for each read.

use std::collections::VecDeque;

use crate::schedule::{SourceIndex, TenantIndex};

/// The sources that hold descriptors. Each is in it once at most, with its tenant.
#[derive(Debug, Default)]
pub(super) struct OpenRing {
    /// By tenant.
    tenants: Vec<VecDeque<SourceIndex>>,
    /// By source.
    states: Vec<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    is_in: bool,
    is_active: bool,
}

impl OpenRing {
    /// A source holds descriptors, and is active now.
    pub(super) fn touch(&mut self, tenant: TenantIndex, source: SourceIndex) {
        self.put(tenant, source);
        self.states[source].is_active = true;
    }

    /// A source holds descriptors: it comes last of its tenant, if it is not in yet.
    pub(super) fn put(&mut self, tenant: TenantIndex, source: SourceIndex) {
        if self.states.len() <= source {
            self.states.resize(source + 1, State::default());
        }
        if self.tenants.len() <= tenant {
            self.tenants.resize_with(tenant + 1, VecDeque::new);
        }
        if !std::mem::replace(&mut self.states[source].is_in, true) {
            self.tenants[tenant].push_back(source);
        }
    }

    /// Takes out the one of the tenant that was not active for longest, or the next best.
    pub(super) fn pop(&mut self, tenant: TenantIndex) -> Option<SourceIndex> {
        let sources = self.tenants.get_mut(tenant)?;
        for _ in 0..sources.len() {
            let source = sources.pop_front()?;
            if std::mem::take(&mut self.states[source].is_active) {
                sources.push_back(source);
                continue;
            }
            self.states[source].is_in = false;
            return Some(source);
        }
        let source = sources.pop_front()?;
        self.states[source].is_in = false;
        Some(source)
    }

    /// How many sources of the tenant are in it.
    pub(super) fn len(&self, tenant: TenantIndex) -> usize {
        self.tenants.get(tenant).map_or(0, VecDeque::len)
    }

    /// Tenants, the one with most sources in it first.
    pub(super) fn largest_first(&self) -> Vec<TenantIndex> {
        let mut tenants: Vec<TenantIndex> = (0..self.tenants.len()).collect();
        tenants.sort_by_key(|it| std::cmp::Reverse(self.len(*it)));
        tenants
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c10_the_one_that_was_active_gets_another_turn() {
        let mut ring = OpenRing::default();
        (0..3).for_each(|source| ring.put(0, source));
        ring.touch(0, 0);
        assert_eq!([ring.pop(0), ring.pop(0), ring.pop(0)], [Some(1), Some(2), Some(0)]);
        assert_eq!(ring.pop(0), None);
        ring.touch(0, 7);
        ring.touch(0, 7);
        assert_eq!((ring.len(0), ring.pop(0), ring.pop(0)), (1, Some(7), None));
    }

    #[test]
    fn a_tenant_gives_its_own_and_the_largest_is_first() {
        let mut ring = OpenRing::default();
        ring.put(0, 1);
        (2..5).for_each(|source| ring.put(1, source));
        assert_eq!(ring.largest_first(), [1, 0]);
        assert_eq!([ring.pop(0), ring.pop(0), ring.pop(1)], [Some(1), None, Some(2)]);
    }
}
