//! Priorities: tenants of several sinks contend for the disk of all spools, and the lowest gives first.

use std::sync::Arc;

use flow::{Codec, Sink, Spool};
use proptest::prelude::*;
use sink::queue::SystemDisk;
use sink::spool::{SpoolRoom, TenantRooms};
use tempfile::{TempDir, tempdir};

use super::{BYTES, Life};
use crate::fixture::*;

/// The lowest first.
const TENANTS: [(&str, i32); 4] = [("lowest", -100), ("low", -5), ("usual", 0), ("high", 900)];
const SINKS: [&str; 2] = ["one", "other"];
/// Room for all; a segment is an eighth of it.
const ROOM: u64 = 8 << 10;
/// The segment that is written cannot be let go: its limit, and a frame that crosses it.
const OPEN_BYTES: u64 = ROOM / 8 + 600;

/// The spools of both sinks, of which nothing is on its way.
struct Bed {
    dirs: [TempDir; SINKS.len()],
    lives: Vec<Life>,
    /// By tenant: payloads kept for each sink, and bytes let go in any.
    kept: [[u64; SINKS.len()]; TENANTS.len()],
    released: [u64; TENANTS.len()],
}

impl Bed {
    fn new() -> Bed {
        let priorities = TENANTS.into_iter().map(|(it, priority)| (Arc::from(it), priority));
        let tenants = TenantRooms { priorities: priorities.collect(), ..TenantRooms::default() };
        let room = SpoolRoom::with_tenants(ROOM, ROOM, tenants);
        let dirs = [tempdir().unwrap(), tempdir().unwrap()];
        let life = |(dir, name): (&TempDir, &str)| {
            Life::of(name, dir.path(), &room, Arc::new(SystemDisk)).unwrap()
        };
        let lives = dirs.iter().zip(SINKS).map(life).collect();
        let kept = [[0; SINKS.len()]; TENANTS.len()];
        Bed { dirs, lives, kept, released: [0; TENANTS.len()] }
    }

    fn context(tenant: usize, sink: usize) -> u128 {
        (tenant * SINKS.len() + sink + 1) as u128
    }

    fn bytes(&self, tenant: usize) -> Vec<u64> {
        let stats = self.lives.iter().map(|it| it.store.stats());
        let own = |it: Vec<sink::spool::SpoolStats>| {
            it.into_iter().find(|it| *it.tenant == *TENANTS[tenant].0).map_or(0, |it| it.bytes)
        };
        stats.map(own).collect()
    }

    /// One more payload is to be kept, at the cost of whoever is to give.
    fn keep(&mut self, tenant: usize, sink: usize) {
        let begin = self.kept[tenant][sink] * BYTES;
        let part = part(Bed::context(tenant, sink), begin, begin + BYTES);
        let life = &mut self.lives[sink];
        let payload = payload_of(TENANTS[tenant].0, &life.ledger, Codec::None, &[part]);
        let Err(refused) = life.end.keep(payload) else {
            self.kept[tenant][sink] += 1;
            return;
        };
        let bytes = refused.payload.block.len() as u64;
        let released = super::full::make_room(life, TENANTS[tenant].0, bytes);
        for (giver, bytes) in released {
            let giver = TENANTS.iter().position(|it| *it.0 == *giver).unwrap();
            assert!(giver <= tenant, "{giver} gives for {tenant}");
            self.released[giver] += bytes;
            for lower in 0..giver {
                let left = self.bytes(lower);
                assert!(left.iter().all(|it| *it <= OPEN_BYTES), "{giver} gives: {lower} {left:?}");
            }
        }
        match self.lives[sink].end.keep(refused.payload) {
            Ok(_) => self.kept[tenant][sink] += 1,
            // It waits in its file.
            Err(refused) => drop(refused),
        }
    }

    /// All of it comes out: each byte of each context once, or in a gap.
    fn finish(mut self) {
        for life in &mut self.lives {
            life.end.flush(far_deadline()).unwrap();
            for (tenant, _) in TENANTS {
                while let Some(payload) = life.end.next(tenant) {
                    life.drain.submit(payload).unwrap();
                }
            }
            life.note().unwrap();
            assert!(life.end.tenants().is_empty());
        }
        for (tenant, (name, _)) in TENANTS.into_iter().enumerate() {
            let mut missing = 0;
            for (sink, dir) in self.dirs.iter().enumerate() {
                if self.kept[tenant][sink] == 0 {
                    continue;
                }
                let (batches, problems) = read_all(&dir.path().join("sink"), name);
                assert!(problems.is_empty(), "{problems:?}");
                let mut end = 0;
                for entry in batches.iter().flat_map(|it| &it.entries) {
                    let header = &entry.header;
                    assert_eq!(header.context.id.0, Bed::context(tenant, sink));
                    assert_eq!(header.span.begin, end);
                    end = header.span.end;
                    missing += header.gap.map_or(0, |_| header.span.bytes());
                }
                assert_eq!(end, self.kept[tenant][sink] * BYTES);
            }
            assert_eq!(missing, self.released[tenant], "{name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_a_higher_priority_gives_while_a_lower_one_could(
        steps in prop::collection::vec((0..TENANTS.len(), 0..SINKS.len()), 40..160),
    ) {
        let mut bed = Bed::new();
        steps.into_iter().for_each(|(tenant, sink)| bed.keep(tenant, sink));
        bed.finish();
    }
}
