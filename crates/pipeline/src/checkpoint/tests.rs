//! Every truncation and every bit flip of a checkpoint is survived, and said.

use super::*;
use flow::{Head, Place, Position, Streams};

const NOW: i64 = 1_800_000_000;

fn entry(number: u128, cursor: u64) -> Entry {
    let head = Head::of(b"first line");
    let place = Place::of(b"last line");
    let position = Position { generation: 5, offset: cursor, head, place, ..Position::default() };
    let streams = u8::try_from(number % 4).unwrap();
    let known = Known {
        cursor,
        is_new: cursor == 0,
        generations: vec![position],
        is_newest_settled: cursor % 2 == 1,
        continued: Streams::from_bits(streams).unwrap(),
        ..Known::new(3)
    };
    Entry { context: ContextId(number), known, updated_unix_seconds: NOW, end: None }
}

fn cursors(loaded: &Loaded) -> Vec<(u128, u64)> {
    let mut all: Vec<_> = loaded.entries.iter().map(|it| (it.context.0, it.known.cursor)).collect();
    all.sort_unstable();
    all
}

/// What a start would find, whoever has the directory.
fn load_now(directory: &Path) -> Loaded {
    load::load(&HostState::unlocked(directory)).unwrap()
}

fn sequences(directory: &Path) -> Vec<u64> {
    load::sequences(&HostState::unlocked(directory).names().unwrap())
}

fn reopen(directory: &Path) -> Loaded {
    CheckpointStore::open(directory, NOW).unwrap().1
}

/// A directory with a snapshot of one context and two frames of changes; and the newest file.
fn sample() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, loaded) = CheckpointStore::open(directory.path(), NOW).unwrap();
    assert!(loaded.is_new);
    store.store(vec![entry(1, 10)], NOW, false, HashSet::new).unwrap();
    drop(store);
    let (mut store, _) = CheckpointStore::open(directory.path(), NOW).unwrap();
    store.store(vec![entry(1, 20), entry(2, 7)], NOW, false, HashSet::new).unwrap();
    store.store(vec![entry(1, 30)], NOW, false, HashSet::new).unwrap();
    let path = store.disk.path(&name(store.sequence));
    (directory, path)
}

#[test]
fn a_context_that_is_open_is_kept_however_long_it_does_not_change() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = CheckpointStore::open(directory.path(), NOW).unwrap();
    store.store(vec![entry(1, 10), entry(2, 20)], NOW, false, HashSet::new).unwrap();
    let later = NOW + KEEP_SECONDS;
    store.store(Vec::new(), later, true, || HashSet::from([ContextId(2)])).unwrap();
    drop(store);
    let (store, loaded) =
        CheckpointStore::open(directory.path(), later + KEEP_SECONDS - 1).unwrap();
    assert_eq!(cursors(&loaded), [(2, 20)]);
    assert!(store.known(ContextId(2)).is_some());
}

#[test]
fn a_snapshot_of_many_pieces_is_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = CheckpointStore::open(directory.path(), NOW).unwrap();
    let entries: Vec<Entry> = (0..5000u64).map(|it| entry(u128::from(it), it)).collect();
    store.store(entries.clone(), NOW, true, HashSet::new).unwrap();
    store.store(vec![entry(5000, 1)], NOW, false, HashSet::new).unwrap();
    drop(store);
    let loaded = reopen(directory.path());
    assert_eq!(loaded.entries.len(), 5001);
    let mut found = loaded.entries;
    found.sort_unstable_by_key(|it| it.context.0);
    assert_eq!(found[..5000], entries);
    assert!(loaded.damage.is_empty());
}

#[test]
fn the_last_entry_of_each_context_is_found_again() {
    let (directory, _) = sample();
    let loaded = reopen(directory.path());
    assert_eq!(cursors(&loaded), [(1, 30), (2, 7)]);
    assert_eq!(loaded.entries.iter().find(|it| it.context.0 == 1), Some(&entry(1, 30)));
    assert!(loaded.damage.is_empty());
    assert_eq!(sequences(directory.path()).len(), 2);
}

#[test]
fn every_truncation_is_survived_and_reported() {
    let (directory, path) = sample();
    let whole = std::fs::read(&path).unwrap();
    let previous: Vec<_> = sequences(directory.path());
    assert_eq!(previous.len(), 2);
    let mut quiet = 0;
    for len in 0..whole.len() {
        std::fs::write(&path, &whole[..len]).unwrap();
        let loaded = load_now(directory.path());
        let allowed: [&[(u128, u64)]; 4] =
            [&[(1, 10)], &[(1, 20), (2, 7)], &[(1, 30), (2, 7)], &[]];
        assert!(allowed[..3].contains(&&*cursors(&loaded)), "{len}: {:?}", cursors(&loaded));
        quiet += u32::from(loaded.damage.is_empty());
    }
    // Only a cut exactly between two frames looks like an earlier, whole file.
    assert_eq!(quiet, 2);
}

#[test]
fn every_bit_flip_is_survived_and_reported() {
    let (directory, path) = sample();
    let whole = std::fs::read(&path).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bytes).unwrap();
        let loaded = load_now(directory.path());
        assert!(!loaded.damage.is_empty(), "bit {bit}");
        for (context, cursor) in cursors(&loaded) {
            assert!([(1, 10), (1, 20), (1, 30), (2, 7)].contains(&(context, cursor)), "bit {bit}");
        }
    }
}

#[test]
fn two_agents_never_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let _first = CheckpointStore::open(directory.path(), NOW).unwrap();
    let error = CheckpointStore::open(directory.path(), NOW).unwrap_err();
    assert!(matches!(error, OpenError::Locked(_)));
    assert!(error.to_string().contains("in use by another logferry"));
}

#[test]
fn a_later_version_is_refused_and_left_alone() {
    let (directory, path) = sample();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 2;
    let sum = flow::checksum(&bytes[..20]).to_le_bytes();
    bytes[20..28].copy_from_slice(&sum);
    std::fs::write(&path, &bytes).unwrap();
    let error = CheckpointStore::open(directory.path(), NOW).unwrap_err();
    assert!(matches!(error, OpenError::Version { version: 2, .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_file_that_outgrows_its_snapshot_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = CheckpointStore::open(directory.path(), NOW).unwrap();
    let first = store.sequence;
    for round in 0..400u64 {
        store
            .store((0..100).map(|it| entry(it, round)).collect(), NOW, false, HashSet::new)
            .unwrap();
    }
    assert!(store.sequence > first);
    assert!(store.bytes < 2 * COMPACT_BYTES_MIN);
    drop(store);
    let loaded = reopen(directory.path());
    assert_eq!(loaded.entries.len(), 100);
    assert!(loaded.entries.iter().all(|it| it.known.cursor == 399));
}

#[test]
fn contexts_that_no_longer_change_are_dropped_in_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, _) = CheckpointStore::open(directory.path(), NOW).unwrap();
    store.store(vec![entry(1, 10)], NOW, false, HashSet::new).unwrap();
    drop(store);
    drop(CheckpointStore::open(directory.path(), NOW + KEEP_SECONDS).unwrap());
    assert_eq!(load_now(directory.path()).entries.len(), 0);
}

#[test]
fn an_entry_of_any_time_is_kept_or_dropped() {
    for (updated_unix_seconds, is_kept) in [(i64::MIN, false), (i64::MAX, true)] {
        let directory = tempfile::tempdir().unwrap();
        let (mut store, _) = CheckpointStore::open(directory.path(), NOW).unwrap();
        let odd = Entry { updated_unix_seconds, ..entry(1, 10) };
        store.store(vec![odd.clone()], NOW, false, HashSet::new).unwrap();
        drop(store);
        let (store, loaded) = CheckpointStore::open(directory.path(), NOW).unwrap();
        assert_eq!(loaded.entries, std::slice::from_ref(&odd));
        assert_eq!(store.known(odd.context).is_some(), is_kept);
        assert_eq!(store.has(odd.context, &odd.known, NOW), is_kept);
    }
}

#[test]
fn a_full_disk_keeps_the_last_good_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let mount = crate::test_mount::Tmpfs::new(directory.path(), "256k");
    let (mut store, _) = CheckpointStore::open(mount.path(), NOW).unwrap();
    store.store(vec![entry(1, 10)], NOW, false, HashSet::new).unwrap();
    let filler = mount.path().join("filler");
    drop(std::fs::write(&filler, vec![1; 1 << 20]));
    let many: Vec<Entry> = (0..2000).map(|it| entry(it, 99)).collect();
    store.store(many, NOW, false, HashSet::new).unwrap_err();
    assert_eq!(cursors(&load_now(mount.path())), [(1, 10)]);
    std::fs::remove_file(&filler).unwrap();
    store.store(vec![entry(1, 50)], NOW, false, HashSet::new).unwrap();
    drop(store);
    let loaded = reopen(mount.path());
    assert!(cursors(&loaded).contains(&(1, 50)));
    assert!(loaded.damage.is_empty(), "{:?}", loaded.damage);
}

#[test]
fn a_follower_hears_of_all_that_is_stored_once_also_in_new_files() {
    let directory = tempfile::tempdir().unwrap();
    let mut follower = Follower::new(&directory.path().join("state"));
    let mut poll = || {
        let mut heard = Vec::new();
        follower.poll(|it| heard.push((it.context.0, it.known.cursor))).unwrap();
        heard
    };
    assert_eq!(poll(), []);
    let (mut store, _) = CheckpointStore::open(&directory.path().join("state"), NOW).unwrap();
    assert_eq!(poll(), []);
    store.store(vec![entry(1, 10), entry(2, 5)], NOW, false, HashSet::new).unwrap();
    assert_eq!(poll(), [(1, 10), (2, 5)]);
    assert_eq!(poll(), []);
    store.store(vec![entry(1, 20)], NOW, false, HashSet::new).unwrap();
    store.store(vec![entry(2, 6)], NOW, true, HashSet::new).unwrap();
    let mut heard = poll();
    assert_eq!(heard.remove(0), (1, 20), "the end of the old file");
    heard.sort_unstable();
    assert_eq!(heard, [(1, 20), (2, 6)], "the new file");
    store.store(vec![entry(1, 30)], NOW, false, HashSet::new).unwrap();
    assert_eq!(poll(), [(1, 30)]);
}

#[test]
fn a_follower_tells_nothing_of_a_frame_that_is_not_whole() {
    let (directory, path) = sample();
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let mut follower = Follower::new(directory.path());
        let mut heard = Vec::new();
        follower.poll(|it| heard.push((it.context.0, it.known.cursor))).unwrap();
        std::fs::write(&path, &whole).unwrap();
        follower.poll(|it| heard.push((it.context.0, it.known.cursor))).unwrap();
        assert_eq!(heard, [(1, 10), (1, 20), (2, 7), (1, 30)], "cut at {cut}");
    }
}
