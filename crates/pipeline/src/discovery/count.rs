//! Count: what discovery says of itself after each tick.

use super::Discovery;
use super::walk::{Numbers, Walk};
use crate::reader::ShortFolder;

/// Most directories with files that wait which are told of.
const SHORT_FOLDERS_MAX: usize = 1000;

impl Discovery {
    /// Says in the metrics what is known now, and has the pool pay for it.
    pub(super) fn count(&mut self) {
        let standing = &mut self.outlet.standing;
        let mut sum = Numbers::default();
        standing.begin_count();
        self.walks.iter().for_each(|it| it.add_to(&mut sum, standing));
        let meter = &self.outlet.meter;
        meter.denied_pods.set(sum.denied as u64);
        meter.waiting_pods.set(sum.waiting as u64);
        let walks = self.walks.iter().zip(&self.rules);
        let mut short = walks.flat_map(|(walk, rule)| walk.short_folders(rule));
        standing.end_count(meter, || short.next());
        self.outlet.count_unwatched(self.walks.iter().map(Walk::unwatched).sum());
        self.timetable.has_polled = self.walks.iter().any(Walk::has_polled);
    }

    /// Directories with files that wait for memory.
    pub(super) fn short_folders(&self) -> Vec<ShortFolder> {
        let walks = self.walks.iter().zip(&self.rules);
        let folders = walks.flat_map(|(walk, rule)| walk.short_folders(rule));
        folders.take(SHORT_FOLDERS_MAX).collect()
    }
}
