//! Count: what discovery says of itself after each tick.

use super::Discovery;
use super::walk::Walk;

impl Discovery {
    /// Says in the metrics what is known now, and has the pool pay for it.
    pub(super) fn count(&mut self) {
        let (walks, meter) = (&self.walks, &self.outlet.meter);
        meter.denied_pods.set(walks.iter().map(Walk::denied).sum::<usize>() as u64);
        meter.waiting_pods.set(walks.iter().map(Walk::waiting).sum::<usize>() as u64);
        if let Some(standing) = &mut self.standing {
            meter.known_bytes.set(standing.pay(walks.iter().map(Walk::known)) as u64);
        }
        self.outlet.count_unwatched(self.walks.iter().map(Walk::unwatched).sum());
        self.timetable.has_polled = self.walks.iter().any(Walk::has_polled);
    }
}
