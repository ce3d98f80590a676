//! Payloads made for the queue, a clock that stands still, and a disk that does not wait.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flow::{
    Acked, Attribute, Clock, Codec, Context, ContextId, Encoding, Ledger, Marks, Payload,
    PayloadHeader, Position, SourceId, Span, SystemClock, Ticket,
};
use sink::compress;
use sink::queue::{Disk, SystemDisk};

use super::TENANT;

/// Wall-clock time, nanoseconds since 1970: it stands still.
const NOW_UNIX_NS: i64 = 1_000_000_000_000;

/// Text that stands for the bytes of a span: different for every byte.
pub(super) fn body(context: usize, span: Span) -> Vec<u8> {
    let byte =
        |at: u64| b'a' + u8::try_from((at * 7 + at / 26 + context as u64) % 26).expect("a letter");
    (span.begin..span.end).map(byte).collect()
}

/// A payload of these sections, whose bodies tell where they belong.
pub(super) fn payload(codec: Codec, sections: &[(usize, Span)], ledger: &Arc<Ledger>) -> Payload {
    let (mut raw, mut headers, mut tickets) = (Vec::new(), Vec::new(), Vec::new());
    for (number, span) in sections {
        let start = raw.len();
        raw.extend(body(*number, *span));
        let positions = vec![Position { generation: 9, offset: span.end, ..Position::default() }];
        headers.push(PayloadHeader {
            context: context(*number),
            epoch: 0,
            span: *span,
            marks: Marks { first: span.begin == 0, last: false },
            records: 1,
            filtered: 0,
            gap: None,
            observed_unix_ns: NOW_UNIX_NS,
            positions: positions.clone(),
            is_divisible: false,
            part_of: None,
            is_inner: false,
            range: length(start)..length(raw.len()),
        });
        let acked = Acked {
            source: SourceId(0),
            span: *span,
            positions,
            records: 1,
            filtered_bytes: 0,
            gap: None,
            is_inner: false,
            seen_ns: 0,
        };
        tickets.push(Ticket::new(acked, Arc::clone(ledger)));
    }
    let raw_bytes = length(raw.len());
    let mut block = Vec::new();
    compress::make(codec, compress::LEVEL_DEFAULT).compress(&raw, &mut block).expect("small");
    let (tenant, encoding) = (Arc::from(TENANT), Encoding::OtlpProto);
    Payload { tenant, encoding, codec, raw_bytes, block, headers, tickets, permit: None }
}

fn context(number: usize) -> Arc<Context> {
    let attributes = vec![Attribute::text("k8s.pod.name", format!("web-{number}"))];
    Arc::new(Context { id: ContextId(number as u128), tenant: Arc::from(TENANT), attributes })
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a small payload")
}

/// A folder that is gone when this is.
#[derive(Debug)]
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    /// In memory, where there is a place for it: nothing is to last.
    pub(super) fn new() -> Folder {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let shared_memory = Path::new("/dev/shm");
        let place =
            if shared_memory.is_dir() { shared_memory.into() } else { std::env::temp_dir() };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = place.join(format!("logferry-fuzz-{}-{number}", std::process::id()));
        std::fs::create_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(why) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{}: {why}", self.0.display());
        }
    }
}

/// A wall clock that stands still; the monotonic one is real, so that waiting ends.
#[derive(Debug)]
pub(super) struct StillClock;

impl Clock for StillClock {
    fn monotonic_ns(&self) -> u64 {
        SystemClock.monotonic_ns()
    }

    fn unix_ns(&self) -> i64 {
        NOW_UNIX_NS
    }
}

/// The real disk, but for syncs: nobody cuts the power.
#[derive(Debug)]
pub(super) struct LazyDisk;

impl Disk for LazyDisk {
    fn write(&self, file: &File, offset: u64, head: &[u8], block: &[u8]) -> io::Result<()> {
        SystemDisk.write(file, offset, head, block)
    }

    fn cut(&self, file: &File, bytes: u64) -> io::Result<()> {
        SystemDisk.cut(file, bytes)
    }

    fn sync(&self, _file: &File) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }
}
