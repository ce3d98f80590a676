//! Count: what discovery says of itself after each tick.

use super::Discovery;
use super::walk::{Numbers, Walk};

impl Discovery {
    /// Says in the metrics what is known now, and has the pool pay for it.
    pub(super) fn count(&mut self) {
        let (meter, mut sum) = (&self.outlet.meter, Numbers::default());
        self.walks.iter().for_each(|it| it.add_to(&mut sum));
        meter.denied_pods.set(sum.denied as u64);
        meter.waiting_pods.set(sum.waiting as u64);
        if let Some(standing) = &mut self.standing {
            meter.known_bytes.set(standing.pay(sum.chains, sum.directories) as u64);
        }
        self.outlet.count_unwatched(self.walks.iter().map(Walk::unwatched).sum());
        self.timetable.has_polled = self.walks.iter().any(Walk::has_polled);
    }
}
