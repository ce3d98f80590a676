//! Schedule: whose turn it is, by deficit round robin in bytes over lanes, then over sources.
//!
//! Pure state of one reader thread. A lane gets a quantum of bytes a round, so that a lane of large
//! reads gets no more than one of small ones; within a lane, sources take turns chunk by chunk.

use std::collections::VecDeque;

/// Index of a lane within its reader.
pub type LaneIndex = usize;
/// Index of a source within its reader.
pub type SourceIndex = usize;

/// Who is ready to be read.
#[derive(Debug, Default)]
pub struct Schedule {
    lanes: Vec<LaneTurns>,
    /// Lanes with ready sources, in turn.
    ring: VecDeque<LaneIndex>,
    ready: usize,
    quantum_bytes: i64,
}

#[derive(Debug, Default)]
struct LaneTurns {
    sources: VecDeque<SourceIndex>,
    deficit_bytes: i64,
    is_in_ring: bool,
    /// Cannot take more now: no memory, or the lane is full.
    is_blocked: bool,
}

impl Schedule {
    /// A schedule in which a lane may read `quantum_bytes` a round.
    #[must_use]
    pub fn new(quantum_bytes: u32) -> Schedule {
        Schedule { quantum_bytes: i64::from(quantum_bytes), ..Schedule::default() }
    }

    /// Adds a lane.
    pub fn add_lane(&mut self) -> LaneIndex {
        self.lanes.push(LaneTurns::default());
        self.lanes.len() - 1
    }

    /// A source of the lane has something to do. Must not be called twice before its turn.
    pub fn ready(&mut self, lane: LaneIndex, source: SourceIndex) {
        self.ready += 1;
        let turns = &mut self.lanes[lane];
        turns.sources.push_back(source);
        if !turns.is_in_ring {
            turns.is_in_ring = true;
            self.ring.push_back(lane);
        }
    }

    /// The source whose turn it is. After the turn, [`Schedule::spent`] must be called.
    pub fn next_turn(&mut self) -> Option<(LaneIndex, SourceIndex)> {
        for _ in 0..self.ring.len() {
            let lane = *self.ring.front()?;
            let turns = &mut self.lanes[lane];
            if turns.is_blocked {
                self.ring.rotate_left(1);
                continue;
            }
            if turns.sources.is_empty() {
                turns.is_in_ring = false;
                turns.deficit_bytes = 0;
                self.ring.pop_front();
                continue;
            }
            if turns.deficit_bytes <= 0 {
                turns.deficit_bytes += self.quantum_bytes;
            }
            self.ready -= 1;
            return turns.sources.pop_front().map(|source| (lane, source));
        }
        None
    }

    /// The source's turn is over: it read so many bytes.
    pub fn spent(&mut self, lane: LaneIndex, bytes: u64) {
        let turns = &mut self.lanes[lane];
        turns.deficit_bytes -= i64::try_from(bytes).unwrap_or(i64::MAX);
        if turns.deficit_bytes <= 0 && self.ring.front() == Some(&lane) {
            self.ring.rotate_left(1);
        }
    }

    /// The lane cannot take more: its sources keep their places.
    pub fn block(&mut self, lane: LaneIndex, source: SourceIndex) {
        let turns = &mut self.lanes[lane];
        turns.is_blocked = true;
        turns.sources.push_front(source);
        self.ready += 1;
    }

    /// Blocked lanes are tried again.
    pub fn unblock_all(&mut self) {
        self.lanes.iter_mut().for_each(|turns| turns.is_blocked = false);
    }

    /// How many sources are ready, those of blocked lanes too.
    #[must_use]
    pub fn ready_count(&self) -> usize {
        self.ready
    }

    /// Whether nobody is ready in a lane that is not blocked.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.ring.iter().all(|lane| {
            let turns = &self.lanes[*lane];
            turns.is_blocked || turns.sources.is_empty()
        })
    }

    /// Whether any lane waits for memory or for its shipper.
    #[must_use]
    pub fn has_blocked(&self) -> bool {
        self.lanes.iter().any(|turns| turns.is_blocked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `turns` turns; each source reads what `bytes` says and is ready again.
    fn share(schedule: &mut Schedule, turns: usize, bytes: impl Fn(LaneIndex) -> u64) -> Vec<u64> {
        let mut read = vec![0; schedule.lanes.len()];
        for _ in 0..turns {
            let (lane, source) = schedule.next_turn().unwrap();
            read[lane] += bytes(lane);
            schedule.spent(lane, bytes(lane));
            schedule.ready(lane, source);
        }
        read
    }

    #[test]
    fn lanes_share_bytes_whatever_the_size_of_their_reads() {
        let mut schedule = Schedule::new(1000);
        for lane in 0..3 {
            assert_eq!(schedule.add_lane(), lane);
        }
        // Lane 0 has fifty sources, the others one each.
        (0..50).for_each(|source| schedule.ready(0, source));
        schedule.ready(1, 100);
        schedule.ready(2, 101);
        let read = share(&mut schedule, 10_000, |lane| [1000, 100, 333][lane]);
        let mean = read.iter().sum::<u64>() / 3;
        assert!(read.iter().all(|it| it.abs_diff(mean) < mean / 50), "{read:?}");
    }

    #[test]
    fn a_blocked_lane_keeps_its_place_and_others_go_on() {
        let mut schedule = Schedule::new(10);
        schedule.add_lane();
        schedule.add_lane();
        schedule.ready(0, 7);
        schedule.ready(1, 8);
        let (lane, source) = schedule.next_turn().unwrap();
        assert_eq!((lane, source), (0, 7));
        schedule.block(lane, source);
        assert_eq!(schedule.next_turn(), Some((1, 8)));
        schedule.spent(1, 10);
        assert_eq!(schedule.next_turn(), None);
        assert!(schedule.is_idle());
        schedule.unblock_all();
        assert_eq!(schedule.next_turn(), Some((0, 7)));
    }
}
