//! Waiting: since when the open groups of a source wait for their next line.
//!
//! By stream, and by cursor: what is written to the other stream meanwhile, and what is read again,
//! makes no group wait longer.

use flow::Stream;

use crate::frame::Streams;

/// Since when open groups wait.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    groups: Streams<Option<Since>>,
}

/// A group that waits.
#[derive(Debug, Clone, Copy)]
struct Since {
    /// Cursor of its last line.
    last: u64,
    since_ns: u64,
}

impl Waiting {
    /// Whether no group waits.
    pub(super) fn is_empty(&self) -> bool {
        Stream::BOTH.into_iter().all(|stream| self.groups.get(stream).is_none())
    }

    /// Takes note of what framing found behind `cursor`: where the last lines of open groups begin.
    pub(super) fn note(&mut self, cursor: u64, found: &Streams<Option<u32>>, now_ns: u64) {
        for stream in Stream::BOTH {
            let last = found.get(stream).map(|offset| cursor + u64::from(offset));
            let group = self.groups.get_mut(stream);
            let is_known = group.map(|it| it.last) == last;
            if !is_known {
                *group = last.map(|last| Since { last, since_ns: now_ns });
            }
        }
    }

    /// Which streams' groups have waited long enough.
    pub(super) fn expired(&self, timeout_ns: u64, now_ns: u64) -> Streams<bool> {
        let mut expired = Streams::default();
        for stream in Stream::BOTH {
            let group = self.groups.get(stream);
            *expired.get_mut(stream) = group.is_some_and(|it| now_ns >= it.since_ns + timeout_ns);
        }
        expired
    }

    /// When the first of those groups that are still open has waited long enough.
    pub(super) fn due_ns(&self, open: &Streams<Option<u32>>, timeout_ns: u64) -> Option<u64> {
        let is_open = |stream: &Stream| open.get(*stream).is_some();
        let groups = Stream::BOTH.into_iter().filter(is_open).filter_map(|it| *self.groups.get(it));
        groups.map(|it| it.since_ns + timeout_ns).min()
    }
}
