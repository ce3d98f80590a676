//! Files that give errors, for a while or for ever.

use std::ffi::OsStr;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::copies::gzip;
use super::*;
use crate::fs::LogFile;

/// EIO of Linux.
const EIO: i32 = 5;
/// Longer than any pause between two tries.
const PAUSE: u64 = 6_000_000_000;

/// No byte is bad.
const NONE: u64 = u64::MAX;

/// The file system, whose reads fail from the offset `bad_from` on.
#[derive(Debug)]
struct Faulty {
    fs: HostFs,
    bad_from: Arc<AtomicU64>,
}

#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn LogFile>,
    bad_from: Arc<AtomicU64>,
}

impl Fs for Faulty {
    fn list(&self, dir: &Path, each: &mut dyn FnMut(&OsStr)) -> io::Result<()> {
        self.fs.list(dir, each)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.fs.stat(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(FaultyFile { file: self.fs.open(path)?, bad_from: Arc::clone(&self.bad_from) }))
    }
}

impl LogFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.bad_from.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.file.read_at(buffer, offset)
    }

    fn stat(&self) -> io::Result<Stat> {
        self.file.stat()
    }
}

fn bed() -> (Bed, Arc<AtomicU64>) {
    let mut bed = Bed::new(Some(Format::Plain));
    let bad_from = Arc::new(AtomicU64::new(NONE));
    bed.source.spec.fs = Arc::new(Faulty { fs: everything(), bad_from: Arc::clone(&bad_from) });
    (bed, bad_from)
}

#[test]
fn c12_a_disk_error_is_tried_again_and_nothing_is_lost_or_doubled() {
    let (mut bed, bad_from) = bed();
    bed.append("app.log", "one\n");
    bed.look(&["app.log"]);
    assert_eq!(bed.run(), ["one"]);
    bed.append("app.log", "two\n");
    bad_from.store(0, Ordering::Relaxed);
    for _ in 0..20 {
        let bodies = bed.wait(PAUSE);
        assert!(bodies.iter().all(|it| it == "error Some(5)"), "{bodies:?}");
    }
    assert!(bed.source.report().failures >= 20);
    bad_from.store(NONE, Ordering::Relaxed);
    assert_eq!(bed.wait(PAUSE), ["two"]);
    assert_eq!(bed.source.report().failures, 0);
}

#[test]
fn c12_what_gives_errors_until_its_name_is_gone_is_a_gap_and_what_follows_is_read() {
    let (mut bed, bad_from) = bed();
    bed.append("app.log", "one\n");
    bed.look(&["app.log"]);
    assert_eq!(bed.run(), ["one"]);
    bed.append("app.log", "never read\n");
    bad_from.store(0, Ordering::Relaxed);
    bed.wait(PAUSE);
    fs::remove_file(bed.path("app.log")).unwrap();
    bed.append("app.log", "new\n");
    bed.look(&["app.log"]);
    let mut bodies = Vec::new();
    while bodies.is_empty() {
        bodies = bed.wait(PAUSE);
        bodies.retain(|it| it != "error Some(5)");
    }
    assert_eq!(bodies, ["gap unreadable 11"]);
    bad_from.store(NONE, Ordering::Relaxed);
    assert_eq!(bed.wait(PAUSE), ["new"]);
}

/// A look in the middle of the renaming shows it under none of its names.
#[test]
fn c12_what_gave_errors_until_it_was_compressed_is_read_from_that_and_no_gap() {
    for is_hidden in [false, true] {
        let (mut bed, bad_from) = bed();
        bad_from.store(0, Ordering::Relaxed);
        bed.append("a.log", "one\n");
        bed.look(&["a.log"]);
        (0..10).for_each(|_| drop(bed.wait(PAUSE)));
        fs::write(bed.path("a.log.1.gz"), gzip(b"one\n")).unwrap();
        fs::remove_file(bed.path("a.log")).unwrap();
        bed.append("a.log", "two\n");
        let files = ["a.log.1.gz", "a.log"];
        bed.look(&files[usize::from(is_hidden)..]);
        assert!(bed.run().iter().all(|it| it == "error Some(5)"));
        bed.look(&files);
        (0..10).for_each(|_| drop(bed.wait(PAUSE)));
        bad_from.store(NONE, Ordering::Relaxed);
        bed.wait(PAUSE);
        let got: Vec<String> = bed.delivered.iter().flat_map(|it| it.1.clone()).collect();
        assert_eq!(got, ["one", "two"]);
        bed.check_tiling();
    }
}

#[test]
fn an_error_before_the_offset_does_not_hide_that_the_file_begins_otherwise() {
    let (mut bed, bad_from) = bed();
    let lines = |letter: &str| format!("{}\n", letter.repeat(99)).repeat(30);
    bed.append("a.log", &lines("a"));
    bed.look(&["a.log"]);
    assert_eq!(bed.run().len(), 30);
    fs::write(bed.path("a.log"), lines("b") + "more\n").unwrap();
    bad_from.store(2000, Ordering::Relaxed);
    let bodies = bed.run();
    assert_eq!((bodies.len(), &*bodies[0]), (31, &*"b".repeat(99)));
    bed.check_tiling();
}
