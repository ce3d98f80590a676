//! Files that give errors, for a while or for ever.

use std::ffi::OsStr;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::fs::LogFile;

/// EIO of Linux.
const EIO: i32 = 5;
/// Longer than any pause between two tries.
const PAUSE: u64 = 6_000_000_000;

/// The file system, whose reads fail as long as `is_bad`.
#[derive(Debug)]
struct Faulty {
    fs: HostFs,
    is_bad: Arc<AtomicBool>,
}

#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn LogFile>,
    is_bad: Arc<AtomicBool>,
}

impl Fs for Faulty {
    fn list(&self, dir: &Path, each: &mut dyn FnMut(&OsStr)) -> io::Result<()> {
        self.fs.list(dir, each)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.fs.stat(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(FaultyFile { file: self.fs.open(path)?, is_bad: Arc::clone(&self.is_bad) }))
    }
}

impl LogFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.is_bad.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.file.read_at(buffer, offset)
    }

    fn stat(&self) -> io::Result<Stat> {
        self.file.stat()
    }
}

fn bed() -> (Bed, Arc<AtomicBool>) {
    let mut bed = Bed::new(Some(Format::Plain));
    let is_bad = Arc::new(AtomicBool::new(false));
    bed.source.spec.fs = Arc::new(Faulty { fs: everything(), is_bad: Arc::clone(&is_bad) });
    (bed, is_bad)
}

#[test]
fn c12_a_disk_error_is_tried_again_and_nothing_is_lost_or_doubled() {
    let (mut bed, is_bad) = bed();
    bed.append("app.log", "one\n");
    bed.look(&["app.log"]);
    assert_eq!(bed.run(), ["one"]);
    bed.append("app.log", "two\n");
    is_bad.store(true, Ordering::Relaxed);
    for _ in 0..20 {
        let bodies = bed.wait(PAUSE);
        assert!(bodies.iter().all(|it| it == "error Some(5)"), "{bodies:?}");
    }
    assert!(bed.source.report().failures >= 20);
    is_bad.store(false, Ordering::Relaxed);
    assert_eq!(bed.wait(PAUSE), ["two"]);
    assert_eq!(bed.source.report().failures, 0);
}

#[test]
fn c12_what_gives_errors_until_its_name_is_gone_is_a_gap_and_what_follows_is_read() {
    let (mut bed, is_bad) = bed();
    bed.append("app.log", "one\n");
    bed.look(&["app.log"]);
    assert_eq!(bed.run(), ["one"]);
    bed.append("app.log", "never read\n");
    is_bad.store(true, Ordering::Relaxed);
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
    is_bad.store(false, Ordering::Relaxed);
    assert_eq!(bed.wait(PAUSE), ["new"]);
}
