//! Drain: reads on after the signal to end, where nobody will come to read the rest: in a sidecar, whose files go with its
//! pod. Lines and groups that are open are over once their time-outs are, as ever.

use std::time::Duration;

use flow::nanoseconds;

use super::{LOOK_INTERVAL, Supervisor};

/// Nothing must be unread for so long: longer than discovery may take to see what was written last, also where it is
/// not told and looks every second.
const QUIET: Duration = Duration::from_secs(2);
/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(100);
/// What part of the grace is left for what was read and is not acknowledged yet.
const SHIPPING_SHARE: u32 = 5;

impl Supervisor {
    /// Returns once all there is was read, or when `deadline_ns`, the end of the grace, is near.
    pub(super) async fn drain(&mut self, deadline_ns: u64) {
        let shipping = self.settings.agent.shutdown_grace / SHIPPING_SHARE;
        let end_ns = deadline_ns.saturating_sub(nanoseconds(shipping));
        tracing::info!("reading to the end");
        let now_ns = self.world.clock.monotonic_ns();
        let (mut unread_ns, mut looked_ns, mut looks) = (now_ns, now_ns, 0);
        loop {
            tokio::time::sleep(PAUSE).await;
            let now_ns = self.world.clock.monotonic_ns();
            let lag: u64 =
                self.world.meter.tenants().iter().map(|(_, it)| it.lag_bytes.get()).sum();
            // Without a plane nobody knows.
            if lag > 0 || self.plane.is_none() {
                unread_ns = now_ns;
            }
            if now_ns.saturating_sub(unread_ns) >= nanoseconds(QUIET) {
                return;
            }
            if now_ns >= end_ns {
                if lag > 0 {
                    tracing::warn!(
                        lag_bytes = lag,
                        "not everything is read, and the grace is over"
                    );
                }
                return;
            }
            // What goes wrong meanwhile is put right as ever.
            if now_ns.saturating_sub(looked_ns) >= nanoseconds(LOOK_INTERVAL) {
                looks += 1;
                looked_ns = now_ns;
                self.look(looks);
            }
        }
    }
}
