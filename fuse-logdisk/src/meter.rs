//! Meter: what one volume did, as counters that are only added to.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// What it has come to.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one volume did since its daemon started.
#[derive(Debug, Default)]
pub struct Meter {
    /// Requests of the kernel that were begun.
    pub requests: Counter,
    /// Bytes that applications wrote.
    pub written_bytes: Counter,
    /// Bytes that were given back after their acknowledgement.
    pub released_bytes: Counter,
    /// Bytes written over what was released already: collected as they were before.
    pub overwritten_bytes: Counter,
    /// Bytes that were let go before anybody had delivered them.
    pub dropped_bytes: Counter,
    /// Files that the agent was done with and that no application sees any more.
    pub removed_files: Counter,
    /// Requests that a log disk does not serve, such as hard links.
    pub refused: Counter,
    /// Writes that waited for room.
    pub blocked_writes: Counter,
    /// For how long, all together, in milliseconds.
    pub blocked_ms: Counter,
    /// Writes that failed for want of room.
    pub full_writes: Counter,
    /// Calls of `fsync` that failed since the queue did not have the bytes in time.
    pub late_syncs: Counter,
    /// Writes that came before those of the bytes in front of them.
    pub early_writes: Counter,
    /// Bytes that were read and came back from the queue.
    pub recalled_bytes: Counter,
    /// Reads that failed since their bytes could not come back.
    pub failed_recalls: Counter,
}

impl Meter {
    /// The counters and two gauges in Prometheus' text format.
    #[must_use]
    pub fn text(&self, held_bytes: u64, waiting_files: usize) -> String {
        let counters = [
            ("requests_total", "Requests of the kernel.", &self.requests),
            ("written_bytes_total", "Bytes that applications wrote.", &self.written_bytes),
            ("released_bytes_total", "Bytes given back once acknowledged.", &self.released_bytes),
            (
                "overwritten_bytes_total",
                "Bytes written over released ones, and not delivered.",
                &self.overwritten_bytes,
            ),
            ("dropped_bytes_total", "Bytes let go undelivered.", &self.dropped_bytes),
            ("removed_files_total", "Delivered files that were removed.", &self.removed_files),
            ("refused_total", "Requests that a log disk does not serve.", &self.refused),
            ("blocked_writes_total", "Writes that waited for room.", &self.blocked_writes),
            ("blocked_milliseconds_total", "Time that writes waited for room.", &self.blocked_ms),
            ("full_writes_total", "Writes that failed for want of room.", &self.full_writes),
            (
                "late_syncs_total",
                "Calls of fsync that failed for want of the queue.",
                &self.late_syncs,
            ),
            ("early_writes_total", "Writes that waited for others.", &self.early_writes),
            ("recalled_bytes_total", "Bytes read back from the queue.", &self.recalled_bytes),
            ("failed_recalls_total", "Reads of what cannot be read back.", &self.failed_recalls),
        ];
        let mut text = String::new();
        let mut line = |name: &str, help: &str, kind: &str, value: u64| {
            let name = format!("logdisk_{name}");
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"));
        };
        for (name, help, counter) in counters {
            line(name, help, "counter", counter.get());
        }
        line("held_bytes", "Memory in use.", "gauge", held_bytes);
        let files = waiting_files as u64;
        line("waiting_files", "Removed files that wait for their acknowledgement.", "gauge", files);
        text
    }
}
