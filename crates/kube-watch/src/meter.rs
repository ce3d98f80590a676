//! Meter: how the watch of one kind fares.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counts of one watch; times are monotonic nanoseconds.
#[derive(Debug, Default)]
pub struct WatchMeter {
    is_open: AtomicBool,
    lists: AtomicU64,
    failures: AtomicU64,
    heard_ns: AtomicU64,
    failing_since_ns: AtomicU64,
    objects: AtomicU64,
}

impl WatchMeter {
    /// Whether a watch is open now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// How often all objects were listed: once, and again whenever the server had forgotten too much.
    #[must_use]
    pub fn lists(&self) -> u64 {
        self.lists.load(Ordering::Relaxed)
    }

    /// Lists and watches that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// When the server last said anything; `None` if it never did.
    #[must_use]
    pub fn heard_ns(&self) -> Option<u64> {
        Some(self.heard_ns.load(Ordering::Relaxed)).filter(|it| *it > 0)
    }

    /// Since when nothing goes well; `None` if it does.
    #[must_use]
    pub fn failing_since_ns(&self) -> Option<u64> {
        Some(self.failing_since_ns.load(Ordering::Relaxed)).filter(|it| *it > 0)
    }

    /// Objects that are kept.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }

    pub(crate) fn listed(&self) {
        self.lists.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn keeps(&self, objects: usize) {
        self.objects.store(objects as u64, Ordering::Relaxed);
    }

    pub(crate) fn open(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::Relaxed);
    }

    pub(crate) fn heard(&self, now_ns: u64) {
        self.heard_ns.store(now_ns.max(1), Ordering::Relaxed);
        self.failing_since_ns.store(0, Ordering::Relaxed);
    }

    /// Returns whether it went well before.
    pub(crate) fn failed(&self, now_ns: u64) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let since = &self.failing_since_ns;
        since.compare_exchange(0, now_ns.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
