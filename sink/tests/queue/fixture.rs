//! Fixture: payloads made by hand, a clock that stands still, a disk that fails on request.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use flow::{
    AckSender, Attribute, Clock, Codec, Context, ContextId, Encoding, GapReason, Ledger, Marks,
    Payload, PayloadHeader, Position, SourceId, Span, SystemClock, Ticket, attribute,
};
use sink::queue::{
    BatchFrame, Disk, Entry, Problem, Queue, QueueOptions, QueueReader, QueueSink, Recovery,
    SystemDisk,
};

/// A wall clock that stands where it is put; the monotonic one is real, so that waiting ends.
#[derive(Debug)]
pub(crate) struct StillClock(pub(crate) AtomicI64);

impl StillClock {
    pub(crate) fn new() -> Arc<StillClock> {
        Arc::new(StillClock(AtomicI64::new(1_000_000_000_000)))
    }
}

impl Clock for StillClock {
    fn monotonic_ns(&self) -> u64 {
        SystemClock.monotonic_ns()
    }

    fn unix_ns(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A deadline far away: reached only by a test that hangs.
pub(crate) fn far_deadline() -> u64 {
    SystemClock.monotonic_ns() + 60_000_000_000
}

/// The real disk, but calls fail as told, and all are counted.
#[derive(Debug, Default)]
pub(crate) struct FailingDisk {
    pub(crate) fail_sync: AtomicBool,
    pub(crate) fail_folder_sync: AtomicBool,
    pub(crate) fail_cut: AtomicBool,
    /// Error number of the next writes; 0 for none. Half of the bytes are written first.
    pub(crate) fail_write: AtomicI64,
    pub(crate) syncs: AtomicU64,
    /// Held by a test while no sync may end.
    pub(crate) gate: Mutex<()>,
    /// Do not really sync: for tests that open thousands of queues.
    pub(crate) is_lazy: bool,
}

impl Disk for FailingDisk {
    fn write(&self, file: &File, offset: u64, head: &[u8], block: &[u8]) -> io::Result<()> {
        let error = self.fail_write.load(Ordering::SeqCst);
        if error == 0 {
            return SystemDisk.write(file, offset, head, block);
        }
        SystemDisk.write(file, offset, &head[..head.len() / 2], &[])?;
        Err(io::Error::from_raw_os_error(i32::try_from(error).unwrap()))
    }

    fn cut(&self, file: &File, bytes: u64) -> io::Result<()> {
        fail_if(&self.fail_cut)?;
        SystemDisk.cut(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let _gate = self.gate.lock().unwrap();
        fail_if(&self.fail_sync)?;
        if !self.is_lazy {
            SystemDisk.sync(file)?;
        }
        self.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        fail_if(&self.fail_folder_sync)?;
        if self.is_lazy { Ok(()) } else { SystemDisk.sync_folder(folder) }
    }
}

fn fail_if(flag: &AtomicBool) -> io::Result<()> {
    if flag.load(Ordering::SeqCst) { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
}

pub(crate) fn context(number: u128) -> Arc<Context> {
    Arc::new(Context {
        id: ContextId(number),
        tenant: Arc::from("shop"),
        attributes: vec![
            Attribute::text(attribute::K8S_NAMESPACE_NAME, "shop"),
            Attribute::text(attribute::K8S_POD_NAME, format!("web-{number}")),
            Attribute::int(attribute::K8S_CONTAINER_RESTART_COUNT, 2),
        ],
    })
}

/// Text that stands for the bytes `[begin, end)` of a context: different for every byte.
pub(crate) fn body(context: u128, span: Span) -> Vec<u8> {
    const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";
    let byte = |at: u64| LETTERS[((at * 7 + at / 26) % 26) as usize];
    let mut body = format!("{context} ").into_bytes();
    body.extend((span.begin..span.end).map(byte));
    body
}

/// A section to be put into a payload.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) context: Arc<Context>,
    pub(crate) epoch: u32,
    pub(crate) span: Span,
    pub(crate) marks: Marks,
    pub(crate) gap: Option<GapReason>,
    pub(crate) observed_unix_ns: i64,
}

pub(crate) fn part(number: u128, begin: u64, end: u64) -> Part {
    Part {
        context: context(number),
        epoch: 0,
        span: Span::new(begin, end),
        marks: Marks { first: begin == 0, last: false },
        gap: None,
        observed_unix_ns: 1_000_000_000_000,
    }
}

pub(crate) fn payload(ledger: &Arc<Ledger>, codec: Codec, parts: &[Part]) -> Payload {
    payload_of("shop", ledger, codec, parts)
}

pub(crate) fn payload_of(
    tenant: &str,
    ledger: &Arc<Ledger>,
    codec: Codec,
    parts: &[Part],
) -> Payload {
    let mut raw = Vec::new();
    let mut headers = Vec::new();
    let mut tickets = Vec::new();
    for part in parts {
        let start = u32::try_from(raw.len()).unwrap();
        if part.gap.is_none() {
            raw.extend(body(part.context.id.0, part.span));
        }
        let positions =
            vec![Position { generation: 9, offset: part.span.end, ..Position::default() }];
        headers.push(PayloadHeader {
            context: Arc::clone(&part.context),
            epoch: part.epoch,
            span: part.span,
            marks: part.marks,
            records: u32::from(part.gap.is_none()),
            filtered: 0,
            gap: part.gap,
            observed_unix_ns: part.observed_unix_ns,
            positions: positions.clone(),
            is_divisible: false,
            part_of: None,
            is_inner: false,
            range: start..u32::try_from(raw.len()).unwrap(),
        });
        let source = SourceId(u32::try_from(part.context.id.0 % 1000).unwrap());
        let acked = flow::Acked {
            source,
            span: part.span,
            positions,
            records: 0,
            filtered_bytes: 0,
            gap: None,
            is_inner: false,
            seen_ns: 0,
        };
        tickets.push(Ticket::new(acked, Arc::clone(ledger)));
    }
    Payload {
        tenant: Arc::from(tenant),
        encoding: Encoding::OtlpProto,
        codec,
        raw_bytes: u32::try_from(raw.len()).unwrap(),
        block: match codec {
            Codec::None => raw,
            Codec::Zstd => zstd::bulk::compress(&raw, 1).unwrap(),
            Codec::Lz4 => lz4_flex::block::compress(&raw),
        },
        headers,
        tickets,
        permit: None,
    }
}

/// A queue that syncs only when told to.
pub(crate) fn options() -> QueueOptions {
    QueueOptions { sync_interval: std::time::Duration::from_secs(60), ..QueueOptions::default() }
}

pub(crate) fn open(dir: &Path) -> (Arc<Queue>, Recovery) {
    Queue::open(dir, options(), StillClock::new()).unwrap()
}

/// As [`open`], without really syncing.
pub(crate) fn open_lazily(dir: &Path, options: QueueOptions) -> (Arc<Queue>, Recovery) {
    let disk = Arc::new(FailingDisk { is_lazy: true, ..FailingDisk::default() });
    Queue::open_on(dir, options, StillClock::new(), disk).unwrap()
}

pub(crate) fn sink(queue: &Arc<Queue>, acks: &AckSender) -> QueueSink {
    QueueSink::new(Arc::clone(queue), acks.clone())
}

/// Everything a scan gives now.
pub(crate) fn read_all(dir: &Path, tenant: &str) -> (Vec<BatchFrame>, Vec<Problem>) {
    let (mut batches, mut problems) = (Vec::new(), Vec::new());
    for item in QueueReader::open(dir).unwrap().scan(tenant).unwrap() {
        match item {
            Ok(batch) => batches.push(batch),
            Err(problem) => problems.push(problem),
        }
    }
    (batches, problems)
}

/// The body of each section of a batch is what was made for its context and span.
pub(crate) fn assert_bodies(batch: &BatchFrame) {
    let block = batch.block().unwrap();
    for Entry { header, .. } in &batch.entries {
        let got = &block[header.in_block()];
        let want = match header.gap {
            None => body(header.context.id.0, header.span),
            Some(_) => Vec::new(),
        };
        assert!(got == want, "{} {}", header.context.id, header.span);
    }
}

pub(crate) fn spans(batches: &[BatchFrame]) -> Vec<(u128, Span)> {
    let entries = batches.iter().flat_map(|batch| &batch.entries);
    entries.map(|entry| (entry.header.context.id.0, entry.header.span)).collect()
}

/// Segment files of a tenant, oldest first.
pub(crate) fn segments(dir: &Path, tenant: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir.join(tenant)).unwrap().map(|it| it.unwrap().path()).collect();
    paths.sort();
    paths
}
