//! Count: what discovery says of itself after each tick.

use super::walk::{Numbers, Walk};
use super::{Discovery, Rule};
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
        standing.end_count(meter, || short_folders(&self.walks, &self.rules).next());
        self.outlet.count_unwatched(self.walks.iter().map(Walk::unwatched).sum());
        self.timetable.has_polled = self.walks.iter().any(Walk::has_polled);
    }

    /// Directories with files that wait for memory.
    pub(super) fn short_folders(&self) -> Vec<ShortFolder> {
        short_folders(&self.walks, &self.rules).take(SHORT_FOLDERS_MAX).collect()
    }
}

fn short_folders<'a>(
    walks: &'a [Walk],
    rules: &'a [Rule],
) -> impl Iterator<Item = ShortFolder> + 'a {
    walks.iter().zip(rules).flat_map(|(walk, rule)| walk.short_folders(rule))
}
