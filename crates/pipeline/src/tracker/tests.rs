//! The watermark moves over the gap-free prefix only.

use std::path::Path;

use crossbeam::channel::{Sender, bounded};
use flow::{AckSender, ContextId, Ledger, Position, Span, Ticket, ack_channel};

use super::*;

#[derive(Debug, Default)]
struct FixedClock;

impl Clock for FixedClock {
    fn monotonic_ns(&self) -> u64 {
        1
    }
    fn unix_ns(&self) -> i64 {
        1_800_000_000_000_000_000
    }
}

#[derive(Debug)]
struct Deaf;

impl Observe for Deaf {
    fn acknowledged(&self, _latency_ns: u64) {}
}

struct Bed {
    tracker: Tracker,
    acks: AckSender,
    commands: Sender<TrackerCommand>,
    ledger: Arc<Ledger>,
    directory: tempfile::TempDir,
}

const CONTEXT: ContextId = ContextId(9);

fn bed() -> Bed {
    let directory = tempfile::tempdir().unwrap();
    let (tracker, acks, commands) = tracker_in(directory.path());
    Bed { tracker, acks, commands, ledger: Arc::default(), directory }
}

fn tracker_in(directory: &Path) -> (Tracker, AckSender, Sender<TrackerCommand>) {
    let (store, _) = CheckpointStore::open(directory, 1_800_000_000).unwrap();
    let (acks, receiver) = ack_channel();
    let (commands, command_receiver) = bounded(100);
    let (clock, meter) = (Arc::new(FixedClock), Arc::new(Meter::default()));
    let tracker = Tracker::new(receiver, command_receiver, clock, store, 0, meter, Arc::new(Deaf));
    (tracker, acks, commands)
}

impl Bed {
    fn open(&self, source: u32, cursor: u64) {
        let known = Known { cursor, is_new: cursor == 0, ..Known::new(1) };
        let meter = Arc::default();
        let source = SourceId(source);
        self.commands
            .send(TrackerCommand::Open { source, context: CONTEXT, known, meter })
            .unwrap();
    }

    fn ack(&self, source: u32, begin: u64, end: u64) {
        self.ack_part(source, begin, end, false);
    }

    /// A gap of unknown size at that cursor is acknowledged.
    fn ack_gap(&self, source: u32, at: u64) {
        self.ack_with(source, (at, at), false, Some(flow::GapReason::RotatedBeforeRead));
    }

    fn ack_part(&self, source: u32, begin: u64, end: u64, is_inner: bool) {
        self.ack_with(source, (begin, end), is_inner, None);
    }

    fn ack_with(
        &self,
        source: u32,
        (begin, end): (u64, u64),
        is_inner: bool,
        gap: Option<flow::GapReason>,
    ) {
        let position = Position { generation: 5, offset: end, ..Position::default() };
        let acked = Acked {
            source: SourceId(source),
            span: Span::new(begin, end),
            positions: if is_inner { Vec::new() } else { vec![position] },
            records: 1,
            filtered_bytes: 0,
            gap,
            is_inner,
            seen_ns: 0,
        };
        self.acks.complete(vec![Ticket::new(acked, Arc::clone(&self.ledger))]);
    }

    fn stored(self) -> Option<Known> {
        drop(self.tracker);
        let (_, loaded) = CheckpointStore::open(self.directory.path(), 1_800_000_000).unwrap();
        loaded.entries.into_iter().next().map(|it| it.known)
    }
}

#[test]
fn an_early_ack_waits_for_its_predecessors() {
    let mut bed = bed();
    bed.open(0, 0);
    bed.ack(0, 10, 20);
    bed.ack(0, 30, 40);
    bed.tracker.store_now();
    bed.ack(0, 0, 10);
    bed.tracker.store_now();
    let known = bed.stored().unwrap();
    assert_eq!((known.cursor, known.position(5).unwrap().offset), (20, 20));
}

#[test]
fn a_hole_is_never_stored_as_delivered() {
    let mut bed = bed();
    bed.open(0, 0);
    bed.ack(0, 10, 20);
    bed.tracker.store_now();
    assert_eq!(bed.stored(), None);
}

#[test]
fn a_gap_of_unknown_size_is_stored_once_nothing_is_missing_before_it() {
    let mut bed = bed();
    bed.open(0, 0);
    bed.ack_gap(0, 10);
    bed.tracker.store_now();
    assert!(!bed.tracker.contexts[&CONTEXT].known.is_newest_settled);
    bed.ack(0, 0, 10);
    bed.tracker.store_now();
    assert!(bed.tracker.store.known(CONTEXT).unwrap().is_newest_settled);
    bed.ack_gap(0, 10);
    bed.ack(0, 10, 20);
    bed.tracker.store_now();
    assert!(!bed.stored().unwrap().is_newest_settled, "it turned up and was read");
}

#[test]
fn a_part_of_a_section_is_stored_with_the_rest_of_it() {
    let mut bed = bed();
    bed.open(0, 0);
    bed.ack(0, 0, 10);
    bed.ack_part(0, 10, 13, true);
    bed.ack_part(0, 13, 16, true);
    bed.tracker.store_now();
    let known = &bed.tracker.contexts[&CONTEXT].known;
    assert_eq!((known.cursor, known.position(5).unwrap().offset), (10, 10));
    bed.ack(0, 16, 20);
    bed.tracker.store_now();
    let known = bed.stored().unwrap();
    assert_eq!((known.cursor, known.position(5).unwrap().offset), (20, 20));
}

#[test]
fn a_checkpoint_that_cannot_be_stored_is_said_not_to_be() {
    let directory = tempfile::tempdir().unwrap();
    let mount = crate::test_mount::Tmpfs::new(directory.path(), "256k");
    let (mut tracker, ..) = tracker_in(mount.path());
    assert!(tracker.store_now(), "there is nothing to store");
    let filler = mount.path().join("filler");
    drop(std::fs::write(&filler, vec![1; 1 << 20]));
    let known = Known { cursor: 70, is_new: false, ..Known::new(3) };
    let mut tracker =
        tracker.restoring((0..2000).map(|it| (ContextId(it), known.clone())).collect());
    assert!(!tracker.store_now());
    std::fs::remove_file(&filler).unwrap();
    assert!(tracker.store_now());
}

#[test]
fn what_a_queue_knew_at_the_start_is_stored_though_its_file_does_not_turn_up() {
    let Bed { tracker, directory, acks, .. } = bed();
    let known = Known { cursor: 70, is_new: false, ..Known::new(3) };
    let mut tracker = tracker.restoring(vec![(CONTEXT, known.clone())]).marking(acks.stored_mark());
    tracker.tick();
    assert_eq!(acks.stored_ns(), 1, "all that was news is stored");
    drop(tracker);
    let (_, loaded) = CheckpointStore::open(directory.path(), 1_800_000_000).unwrap();
    assert_eq!(loaded.entries[0].known, known);
}

#[test]
fn a_chain_that_comes_back_goes_on_with_the_old_watermark() {
    let mut bed = bed();
    bed.open(0, 0);
    bed.commands
        .send(TrackerCommand::Close { source: SourceId(0), cursor: 20, has_end: false })
        .unwrap();
    bed.open(1, 20);
    bed.ack(1, 20, 30);
    bed.tracker.store_now();
    bed.ack(0, 0, 10);
    bed.tracker.store_now();
    assert_eq!(bed.stored().unwrap().cursor, 10);
}

#[test]
fn a_generation_is_forgotten_only_when_nothing_refers_to_it() {
    let mut bed = bed();
    bed.open(0, 0);
    bed.ack(0, 0, 10);
    bed.commands.send(TrackerCommand::Forget { source: SourceId(0), cursor: 20, key: 5 }).unwrap();
    bed.tracker.store_now();
    assert!(bed.tracker.contexts[&CONTEXT].known.position(5).is_some());
    bed.ack(0, 10, 20);
    bed.tracker.store_now();
    assert!(bed.stored().unwrap().position(5).is_none());
}

#[test]
fn a_generation_moves_into_its_copy_once_what_was_read_of_it_is_acknowledged() {
    let mut bed = bed();
    bed.open(0, 0);
    bed.ack(0, 0, 10);
    let at = |offset| Position { generation: 5, offset, ..Position::default() };
    let (source, cursor, position) = (SourceId(0), 20, at(7));
    bed.commands.send(TrackerCommand::Move { source, cursor, position }).unwrap();
    bed.tracker.store_now();
    assert_ne!(bed.tracker.contexts[&CONTEXT].known.position(5), Some(at(7)));
    bed.ack(0, 10, 20);
    bed.tracker.store_now();
    assert_eq!(bed.stored().unwrap().position(5), Some(at(7)));
}

#[test]
fn a12_what_rests_is_kept_in_the_store_alone_and_goes_on_from_there() {
    let mut bed = bed();
    bed.open(0, 0);
    bed.ack(0, 0, 10);
    bed.tracker.store_now();
    assert!(bed.tracker.contexts.is_empty(), "nothing of it waits");
    bed.ack(0, 20, 30);
    bed.tracker.store_now();
    assert_eq!(bed.tracker.contexts.len(), 1, "an early ack waits");
    bed.ack(0, 10, 20);
    bed.tracker.store_now();
    assert!(bed.tracker.contexts.is_empty() && bed.tracker.sources.len() == 1);
    bed.commands
        .send(TrackerCommand::Close { source: SourceId(0), cursor: 30, has_end: false })
        .unwrap();
    bed.tracker.store_now();
    assert!(bed.tracker.contexts.is_empty() && bed.tracker.sources.is_empty());
    assert_eq!(bed.stored().unwrap().cursor, 30);
}

#[test]
fn a_source_that_ended_is_known_until_its_end_is_acknowledged() {
    let mut bed = bed();
    bed.open(0, 0);
    bed.ack(0, 0, 20);
    bed.commands
        .send(TrackerCommand::Close { source: SourceId(0), cursor: 20, has_end: true })
        .unwrap();
    bed.tracker.store_now();
    assert_eq!(bed.tracker.sources.len(), 1, "its end is on its way");
    bed.ack(0, 20, 20);
    bed.tracker.store_now();
    assert!(bed.tracker.sources.is_empty() && bed.tracker.contexts.is_empty());
}

/// Contexts of two tenants that come and go, by a tracker that lets 50 of them be remembered.
struct Churn {
    bed: Bed,
    memory: Arc<Memory>,
    tenants: [Arc<SourceMeter>; 2],
}

/// For fifty without generations.
const CHURN_BYTES: usize = 50 * 384;

impl Churn {
    fn new() -> Churn {
        let memory = Arc::new(Memory::new(Vec::new(), false, Vec::new()));
        let Bed { tracker, acks, commands, ledger, directory } = bed();
        let tracker = tracker.bounded(Arc::clone(&memory), CHURN_BYTES);
        let bed = Bed { tracker, acks, commands, ledger, directory };
        let meter = Meter::default();
        let tenants = ["shop", "flood"].map(|it| meter.source(&it.into(), &"rule".into()));
        Churn { bed, memory, tenants }
    }

    /// A source begins, as the reader has it.
    fn open(&self, source: u32, context: u128, tenant: usize) {
        let context = ContextId(context);
        let known = self.memory.recall(context, 0);
        let known = known.unwrap_or_else(|| Known { cursor: 7, is_new: false, ..Known::new(1) });
        let (source, meter) = (SourceId(source), Arc::clone(&self.tenants[tenant]));
        self.bed.commands.send(TrackerCommand::Open { source, context, known, meter }).unwrap();
    }

    /// It ends, and its context stays in memory.
    fn close(&self, source: u32, context: u128) {
        let (cursor, has_end) = (7, false);
        let known = Known { cursor, is_new: false, ..Known::new(1) };
        self.bed
            .commands
            .send(TrackerCommand::Close { source: SourceId(source), cursor, has_end })
            .unwrap();
        self.memory.keep(ContextId(context), known, SourceId(source));
    }

    fn remembered(&self) -> usize {
        let store = &self.bed.tracker.store;
        (0..2000).filter(|it| store.has_ended(ContextId(*it))).count()
    }
}

#[test]
fn contexts_that_come_and_go_take_no_more_than_they_may_and_those_that_are_open_stay() {
    let mut churn = Churn::new();
    for number in 0..5 {
        churn.open(number, u128::from(number), 0);
    }
    churn.open(5, 5, 0);
    churn.close(5, 5);
    churn.bed.tracker.store_now();
    for number in 10..1000 {
        churn.open(number, u128::from(number), 1);
        churn.close(number, u128::from(number));
        churn.bed.tracker.store_now();
        assert!(churn.remembered() <= 51 && churn.memory.len() <= 51, "{}", churn.remembered());
    }
    // What is stored last is forgotten no sooner than with the next.
    let store = &churn.bed.tracker.store;
    assert!(store.ended_bytes() <= CHURN_BYTES + 384, "{}", store.ended_bytes());
    assert!((0..5).all(|it| store.known(ContextId(it)).is_some()), "they are open");
    assert!(store.has_ended(ContextId(5)), "its tenant has one");
    assert!(store.has_ended(ContextId(999)) && !store.has_ended(ContextId(10)));
    // A restart has the same, and tells those that ended from those that were open.
    let known: Vec<bool> = (0..1000).map(|it| store.known(ContextId(it)).is_some()).collect();
    let ended: Vec<bool> = (0..1000).map(|it| store.has_ended(ContextId(it))).collect();
    assert!(churn.bed.tracker.store.store(Vec::new(), 1_800_000_000, true, HashSet::new).is_ok());
    let Churn { bed, .. } = churn;
    drop(bed.tracker);
    let (store, _) = CheckpointStore::open(bed.directory.path(), 1_800_000_000).unwrap();
    let again = (0..1000).map(|it| store.known(ContextId(it)).is_some());
    assert_eq!(again.collect::<Vec<_>>(), known);
    assert_eq!((0..1000).map(|it| store.has_ended(ContextId(it))).collect::<Vec<_>>(), ended);
}

#[test]
fn one_that_came_back_is_open_in_the_next_checkpoint_and_is_not_forgotten() {
    let mut churn = Churn::new();
    churn.open(0, 0, 1);
    churn.close(0, 0);
    churn.bed.tracker.store_now();
    assert!(churn.bed.tracker.store.has_ended(ContextId(0)));
    // It is back, with nothing new; and one whose source the tracker has not heard of yet.
    churn.open(1, 0, 1);
    churn.bed.tracker.store_now();
    assert!(!churn.bed.tracker.store.has_ended(ContextId(0)));
    churn.open(2, 1, 1);
    churn.close(2, 1);
    churn.bed.tracker.store_now();
    assert!(churn.memory.recall(ContextId(1), 0).is_some());
    for number in 10..200 {
        churn.open(number, u128::from(number), 1);
        churn.close(number, u128::from(number));
        churn.bed.tracker.store_now();
    }
    let store = &churn.bed.tracker.store;
    assert!([0, 1].iter().all(|it| store.known(ContextId(*it)).is_some()));
    drop(churn.bed.tracker);
    let (store, _) = CheckpointStore::open(churn.bed.directory.path(), 1_800_000_000).unwrap();
    assert!(store.known(ContextId(0)).is_some() && !store.has_ended(ContextId(0)));
}

#[test]
fn what_is_not_acknowledged_has_not_ended() {
    let mut churn = Churn::new();
    churn.open(0, 0, 1);
    let (source, cursor, has_end) = (SourceId(0), 20, false);
    churn.bed.commands.send(TrackerCommand::Close { source, cursor, has_end }).unwrap();
    churn.bed.tracker.store_now();
    assert!(!churn.bed.tracker.store.has_ended(ContextId(0)));
    churn.bed.ack(0, 7, 20);
    churn.bed.tracker.store_now();
    assert!(churn.bed.tracker.store.has_ended(ContextId(0)));
}

#[test]
fn what_is_too_old_for_the_checkpoint_is_forgotten_by_memory_too() {
    let mut churn = Churn::new();
    churn.open(0, 0, 1);
    churn.close(0, 0);
    churn.open(1, 1, 1);
    churn.bed.tracker.store_now();
    let later = 1_800_000_000 + crate::checkpoint::KEEP_SECONDS;
    let open = || HashSet::from([ContextId(1)]);
    churn.bed.tracker.store.store(Vec::new(), later, true, open).unwrap();
    assert!(churn.memory.is_empty());
    let store = &churn.bed.tracker.store;
    assert_eq!([0, 1].map(|it| store.known(ContextId(it)).is_some()), [false, true]);
    assert_eq!(store.ended_bytes(), 0);
}
