//! Progress: one line a second about what is going on, on standard error.

use std::io::{IsTerminal, Write};

use pipeline::meter::Meter;

use crate::place;

/// Prints the difference since the last line.
#[derive(Debug)]
pub(super) struct Progress {
    at_ns: u64,
    records: u64,
    bytes: u64,
}

impl Progress {
    pub(super) fn new(now_ns: u64) -> Progress {
        Progress { at_ns: now_ns, records: 0, bytes: 0 }
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub(super) fn print(&mut self, meter: &Meter, now_ns: u64) {
        let tenants = meter.tenants();
        let sum = |of: fn(&pipeline::meter::TenantMeter) -> u64| -> u64 {
            tenants.iter().map(|(_, it)| of(it)).sum()
        };
        let records = sum(|it| it.delivered_records.get());
        let bytes = sum(|it| it.delivered_bytes.get());
        let lag = sum(|it| it.lag_bytes.get());
        let sources = sum(|it| it.sources.get());
        let seconds = (now_ns.saturating_sub(self.at_ns) as f64 / 1e9).max(1e-3);
        let line = format!(
            "{:>9.0} records/s {:>8.1} MB/s   delivered {:>8.1} MB   lag {:>7.1} MB   {sources} sources   {:.1} MiB memory",
            (records - self.records) as f64 / seconds,
            (bytes - self.bytes) as f64 / seconds / 1e6,
            bytes as f64 / 1e6,
            lag as f64 / 1e6,
            place::resident_bytes() as f64 / f64::from(1 << 20),
        );
        let mut out = std::io::stderr();
        // A terminal shows one line that lives; anything else gets a line each.
        let written =
            if out.is_terminal() { write!(out, "\r{line}") } else { writeln!(out, "{line}") };
        // Progress that nobody can read is no reason to stop.
        drop(written);
        (self.at_ns, self.records, self.bytes) = (now_ns, records, bytes);
    }
}
