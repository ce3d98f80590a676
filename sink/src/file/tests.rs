//! Real files in a fresh folder, and files that fail as they are told.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use flow::SystemClock;
use tempfile::TempDir;

use super::*;
use crate::payload_kit::Payloads;

mod every_step;

const FOREVER: Duration = Duration::from_secs(3600);

struct Bench {
    folder: TempDir,
    payloads: Payloads,
}

impl Bench {
    fn new() -> Bench {
        Bench { folder: tempfile::tempdir().unwrap(), payloads: Payloads::new() }
    }

    fn config(&self) -> FileConfig {
        let path = self.folder.path().join("out.log");
        FileConfig { sync_interval: Duration::ZERO, ..FileConfig::new(path) }
    }

    fn open(&self, config: FileConfig) -> FileSink {
        let file = LogFile::open(config, Arc::new(SystemClock)).unwrap();
        FileSink::new(file, self.payloads.acks.clone())
    }

    fn open_faulty(&self, config: FileConfig) -> (FileSink, Arc<Faults>) {
        let file = LogFile::open_with(config, Arc::new(SystemClock), open_faulty).unwrap();
        let faults = FAULTS.with(Arc::clone);
        (FileSink::new(file, self.payloads.acks.clone()), faults)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn soon() -> u64 {
    SystemClock.monotonic_ns() + 20_000_000_000
}

#[derive(Debug, Default)]
struct Faults {
    append_half: AtomicBool,
    cut: AtomicBool,
    sync: AtomicBool,
}

thread_local! {
    /// The faults of the files that this test's thread opens.
    static FAULTS: Arc<Faults> = Arc::default();
}

#[derive(Debug)]
struct Faulty {
    disk: Arc<dyn Storage>,
    faults: Arc<Faults>,
}

fn open_faulty(path: &Path) -> io::Result<Arc<dyn Storage>> {
    let (disk, faults) = (Disk::open(path)?, FAULTS.with(Arc::clone));
    Ok(Arc::new(Faulty { disk, faults }))
}

fn fail_if(told: &AtomicBool) -> io::Result<()> {
    if told.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

impl Storage for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    fn last_byte(&self, end: u64) -> io::Result<u8> {
        self.disk.last_byte(end)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        if self.faults.append_half.load(Ordering::SeqCst) {
            self.disk.append(&bytes[..bytes.len() / 2])?;
        }
        fail_if(&self.faults.append_half)?;
        self.disk.append(bytes)
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        fail_if(&self.faults.cut)?;
        self.disk.cut(len)
    }

    fn sync(&self) -> io::Result<()> {
        fail_if(&self.faults.sync)?;
        self.disk.sync()
    }
}

#[test]
fn lines_are_appended_and_acknowledged_without_another_payload() {
    let bench = Bench::new();
    let mut sink =
        bench.open(FileConfig { sync_interval: Duration::from_millis(5), ..bench.config() });
    let spent = sink.submit(bench.payloads.lines("one\n")).unwrap().unwrap();
    assert_eq!(spent, b"one\n");
    bench.payloads.await_acked(1);
    sink.submit(bench.payloads.lines("two\n")).unwrap();
    bench.payloads.await_acked(2);
    assert_eq!(bench.read("out.log"), "one\ntwo\n");
}

#[test]
fn nothing_is_acknowledged_before_the_interval_but_by_flush() {
    let bench = Bench::new();
    let mut sink = bench.open(FileConfig { sync_interval: FOREVER, ..bench.config() });
    sink.submit(bench.payloads.lines("one\n")).unwrap();
    assert_eq!(bench.payloads.acked(), 0);
    assert!(matches!(sink.flush(0), Err(SinkError::Retry(_))));
    sink.flush(soon()).unwrap();
    assert_eq!(bench.payloads.acked(), 1);
    sink.flush(0).unwrap();
}

#[test]
fn the_last_owner_dropped_syncs_and_acknowledges() {
    let bench = Bench::new();
    let mut sink = bench.open(FileConfig { sync_interval: FOREVER, ..bench.config() });
    sink.submit(bench.payloads.lines("one\n")).unwrap();
    drop(sink);
    assert_eq!((bench.payloads.acked(), bench.payloads.dropped()), (1, 0));
}

#[test]
fn full_files_move_up_and_the_oldest_goes() {
    let bench = Bench::new();
    let mut sink = bench.open(FileConfig { rotate_bytes: 10, keep: 2, ..bench.config() });
    for block in
        ["1111\n", "2222\n", "3333\n", "a larger one than fits\n", "5555\n", "6666\n", "7\n"]
    {
        sink.submit(bench.payloads.lines(block)).unwrap();
    }
    sink.flush(soon()).unwrap();
    assert_eq!(bench.names(), ["out.log", "out.log.1", "out.log.2"]);
    assert_eq!(bench.read("out.log.2"), "a larger one than fits\n");
    assert_eq!(bench.read("out.log.1"), "5555\n6666\n");
    assert_eq!(bench.read("out.log"), "7\n");
    assert_eq!((bench.payloads.acked(), bench.payloads.dropped()), (7, 0));
}

#[test]
fn a_shift_that_was_interrupted_loses_nothing() {
    let bench = Bench::new();
    // The live file and the first were moved already, to 2 and to nowhere yet.
    for (name, text) in [("out.log", "c\n"), ("out.log.2", "a\n")] {
        fs::write(bench.folder.path().join(name), text).unwrap();
    }
    let mut sink = bench.open(FileConfig { rotate_bytes: 1, keep: u32::MAX, ..bench.config() });
    sink.submit(bench.payloads.lines("d\n")).unwrap();
    sink.submit(bench.payloads.lines("e\n")).unwrap();
    let texts = bench.names().iter().map(|name| bench.read(name)).collect::<Vec<_>>();
    assert_eq!(texts, ["e\n", "d\n", "c\n", "a\n"]);
}

#[test]
fn to_keep_none_leaves_only_the_live_file() {
    let bench = Bench::new();
    let mut sink = bench.open(FileConfig { rotate_bytes: 5, keep: 0, ..bench.config() });
    for block in ["1111\n", "2222\n"] {
        sink.submit(bench.payloads.lines(block)).unwrap();
    }
    assert_eq!(bench.names(), ["out.log"]);
    assert_eq!(bench.read("out.log"), "2222\n");
}

#[test]
fn files_beyond_a_lowered_number_are_removed_at_the_start() {
    let bench = Bench::new();
    for name in ["out.log.1", "out.log.2", "out.log.3", "out.log.4", "out.log.old"] {
        fs::write(bench.folder.path().join(name), name).unwrap();
    }
    drop(bench.open(FileConfig { keep: 2, ..bench.config() }));
    assert_eq!(bench.names(), ["out.log", "out.log.1", "out.log.2", "out.log.old"]);
}

#[test]
fn lines_do_not_go_on_a_torn_one() {
    let bench = Bench::new();
    fs::write(bench.folder.path().join("out.log"), "whole\ntor").unwrap();
    bench.open(bench.config()).submit(bench.payloads.lines("new\n")).unwrap();
    assert_eq!(bench.read("out.log"), "whole\ntor\nnew\n");
}

#[test]
fn half_a_block_is_cut_off_and_the_payload_given_back() {
    let bench = Bench::new();
    let (mut sink, faults) = bench.open_faulty(bench.config());
    sink.submit(bench.payloads.lines("one\n")).unwrap();
    faults.append_half.store(true, Ordering::SeqCst);
    let refused = sink.submit(bench.payloads.lines("two\n")).unwrap_err();
    assert!(matches!(refused.why, SinkError::Retry(_)), "{:?}", refused.why);
    assert_eq!(bench.read("out.log"), "one\n");
    faults.append_half.store(false, Ordering::SeqCst);
    sink.submit(refused.payload).unwrap();
    sink.flush(soon()).unwrap();
    assert_eq!(bench.read("out.log"), "one\ntwo\n");
    assert_eq!((bench.payloads.acked(), bench.payloads.dropped()), (2, 0));
}

#[test]
fn half_a_block_that_stays_breaks_the_sink() {
    let bench = Bench::new();
    let (mut sink, faults) =
        bench.open_faulty(FileConfig { sync_interval: FOREVER, ..bench.config() });
    sink.submit(bench.payloads.lines("one\n")).unwrap();
    faults.append_half.store(true, Ordering::SeqCst);
    faults.cut.store(true, Ordering::SeqCst);
    let refused = sink.submit(bench.payloads.lines("two\n")).unwrap_err();
    assert!(matches!(refused.why, SinkError::Broken(_)), "{:?}", refused.why);
    assert!(matches!(sink.health(), Err(SinkError::Broken(_))));
    assert!(matches!(sink.flush(soon()), Err(SinkError::Broken(_))));
    assert_eq!((bench.payloads.acked(), bench.payloads.dropped()), (0, 1));
}

#[test]
fn a_failed_sync_drops_the_tickets_and_breaks_the_sink() {
    let bench = Bench::new();
    let (mut sink, faults) =
        bench.open_faulty(FileConfig { sync_interval: FOREVER, ..bench.config() });
    faults.sync.store(true, Ordering::SeqCst);
    sink.submit(bench.payloads.lines("one\n")).unwrap();
    sink.submit(bench.payloads.lines("two\n")).unwrap();
    assert!(matches!(sink.flush(soon()), Err(SinkError::Broken(_))));
    faults.sync.store(false, Ordering::SeqCst);
    let refused = sink.submit(bench.payloads.lines("three\n")).unwrap_err();
    assert!(matches!(refused.why, SinkError::Broken(_)));
    assert_eq!((bench.payloads.acked(), bench.payloads.dropped()), (0, 2));
}

#[test]
fn a_full_device_asks_to_retry() {
    let bench = Bench::new();
    let mut sink =
        bench.open(FileConfig { sync_interval: FOREVER, ..FileConfig::new("/dev/full") });
    let refused = sink.submit(bench.payloads.lines("one\n")).unwrap_err();
    assert!(matches!(&refused.why, SinkError::Retry(why) if why.contains("/dev/full")));
    sink.health().unwrap();
}

#[test]
fn blocks_of_several_shippers_never_mix() {
    let bench = Bench::new();
    let config = FileConfig { rotate_bytes: 4096, keep: 1000, ..bench.config() };
    let file = LogFile::open(config, Arc::new(SystemClock)).unwrap();
    std::thread::scope(|scope| {
        for shipper in ["a", "b", "c"] {
            let mut sink = FileSink::new(Arc::clone(&file), bench.payloads.acks.clone());
            let payloads = &bench.payloads;
            scope.spawn(move || {
                for _ in 0..100 {
                    let line = shipper.repeat(99) + "\n";
                    sink.submit(payloads.lines(&line.repeat(3))).unwrap();
                }
            });
        }
    });
    drop(file);
    bench.payloads.await_acked(300);
    let texts: Vec<String> = bench.names().iter().map(|name| bench.read(name)).collect();
    for line in texts.iter().flat_map(|text| text.lines()) {
        assert_eq!(line, line[..1].repeat(99));
    }
    assert_eq!(texts.iter().map(|text| text.lines().count()).sum::<usize>(), 900);
}

#[test]
fn lz4_is_refused_and_zstd_frames_follow_each_other() {
    let bench = Bench::new();
    let mut sink = bench.open(bench.config());
    let lz4 = bench.payloads.payload(Encoding::JsonLines, Codec::Lz4, b"block");
    assert!(matches!(sink.submit(lz4).unwrap_err().why, SinkError::Broken(_)));
    for block in [b"x", b"y"] {
        sink.submit(bench.payloads.payload(Encoding::JsonLines, Codec::Zstd, block)).unwrap();
    }
    assert_eq!(bench.read("out.log"), "xy");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let bench = Bench::new();
    let path = bench.folder.path().join("absent/out.log");
    let error = LogFile::open(FileConfig::new(&path), Arc::new(SystemClock)).unwrap_err();
    assert!(error.to_string().contains("absent/out.log: opening: "), "{error}");
}
