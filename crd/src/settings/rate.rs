//! Rates, ready to run.

use std::time::Duration;

/// How much may be read in a second: of the node, a tenant, a LogConfig or a container alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateSettings {
    /// Most bytes of files a second; `None` for no limit.
    pub bytes_per_second: Option<u64>,
    /// Most records a second; `None` for no limit.
    pub records_per_second: Option<u64>,
    /// What was not used of so much time may be used at once.
    pub burst: Duration,
}

impl RateSettings {
    /// Whether there is a limit.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.bytes_per_second.is_some() || self.records_per_second.is_some()
    }
}
