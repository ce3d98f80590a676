//! A reader over files in memory, stepped by hand, with a clock that moves when files are opened and read.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::bounded;
use crossbeam::sync::Parker;
use flow::{Codec, Compress, CompressError, Context, Encode, Encoding, RecordFlags, Section};

use super::*;
use crate::budgets::BudgetSpec;
use crate::frame::Format;
use crate::fs::{FileId, FileKind, Fs, LogFile, Stat};
use crate::lane::{LaneReceiver, ShipperDoor};
use crate::source::{SeenFile, SourceOptions, SourceSpec, StartAt};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const CHUNK: usize = 64 << 10;

/// Time that only work takes.
#[derive(Debug, Default)]
struct WorkClock(AtomicU64);

impl Clock for WorkClock {
    fn monotonic_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn unix_ns(&self) -> i64 {
        1_768_000_000_000_000_000
    }
}

/// Files of lines of 100 bytes; a path says how they are.
#[derive(Debug)]
struct Lines {
    clock: Arc<WorkClock>,
    /// How long it takes to open a file, in nanoseconds.
    open_ns: u64,
    sizes: Mutex<HashMap<PathBuf, (u64, u64)>>,
}

#[derive(Debug)]
struct Open {
    clock: Arc<WorkClock>,
    stat: Stat,
}

impl Lines {
    fn stat_of(&self, path: &Path) -> io::Result<Stat> {
        let sizes = self.sizes.lock().unwrap();
        let (inode, size) = *sizes.get(path).ok_or(io::ErrorKind::NotFound)?;
        let id = FileId { device: 1, inode, birth_ns: 1 };
        Ok(Stat { id, kind: FileKind::Regular, size, modified_ns: 1, links: 1, is_linked: false })
    }
}

impl Fs for Lines {
    fn list(&self, _dir: &Path, _each: &mut dyn FnMut(&OsStr)) -> io::Result<()> {
        unreachable!("readers list nothing")
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.stat_of(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        self.clock.0.fetch_add(self.open_ns, Ordering::Relaxed);
        Ok(Box::new(Open { clock: Arc::clone(&self.clock), stat: self.stat_of(path)? }))
    }
}

impl LogFile for Open {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.stat.size.saturating_sub(offset)).unwrap();
        let count = left.min(buffer.len());
        for (at, byte) in (offset..).zip(&mut buffer[..count]) {
            *byte = if at % 100 == 99 { b'\n' } else { b'a' };
        }
        self.clock.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(self.stat)
    }
}

#[derive(Debug)]
struct Plain;

impl Encode for Plain {
    fn encoding(&self) -> Encoding {
        Encoding::JsonLines
    }

    fn encode(&mut self, section: &Section, out: &mut Vec<u8>) {
        out.resize(out.len() + usize::try_from(section.span.bytes()).unwrap(), b'x');
    }
}

impl Compress for Plain {
    fn codec(&self) -> Codec {
        Codec::None
    }

    fn compress(&mut self, _raw: &[u8], _out: &mut Vec<u8>) -> Result<(), CompressError> {
        unreachable!("nothing is compressed")
    }
}

struct Bed {
    reader: Reader,
    fs: Arc<Lines>,
    commands: Sender<Command>,
    new_lanes: Receiver<LaneReceiver>,
    lanes: Vec<LaneReceiver>,
    files: u64,
    _tracker: Receiver<TrackerCommand>,
}

impl Bed {
    fn new(open_ns: u64, open_files_max: u64) -> Bed {
        let clock = Arc::new(WorkClock(AtomicU64::new(1_000_000_000)));
        let (commands, for_reader) = bounded(20_000);
        let (tracker, told) = bounded(100_000);
        let (lanes, new_lanes) = bounded(100);
        let unparker = Parker::new().unparker().clone();
        let door = ShipperDoor { lanes, unparker: unparker.clone() };
        let sink = ReaderSink {
            limits: BatchLimits { bytes_max: 2 * MIB, records_max: 100_000 },
            encode: Arc::new(|| Box::new(Plain)),
            compress: Arc::new(|| Box::new(Plain)),
        };
        let spec = BudgetSpec { reserved_bytes: 1 << 20, max_bytes: 1 << 30 };
        let budgets = Budgets::new(1 << 30, spec, usize::MAX, HashMap::new());
        let reader = Reader::new(ReaderParts {
            clock: clock.clone(),
            commands: for_reader,
            discovery: DiscoveryDoor::new(unparker.clone()).0,
            tracker,
            lanes: Arc::new(LaneDirectory::new(vec![vec![door]])),
            budgets: Arc::new(budgets),
            limits: Arc::default(),
            chunk_bytes: CHUNK,
            buffers: Arc::new(Buffers::new(CHUNK)),
            ledger: Arc::default(),
            meter: Arc::default(),
            memory: Arc::new(Memory::new(Vec::new(), false, vec![None])),
            sinks: vec![sink],
            doorbell: Doorbell::new(unparker),
            open_files_max,
            pins: Arc::new(Pins::new(u64::MAX)),
            first_id: 0,
            id_step: 1,
        });
        let fs = Arc::new(Lines { clock, open_ns, sizes: Mutex::default() });
        Bed { reader, fs, commands, new_lanes, lanes: Vec::new(), files: 0, _tracker: told }
    }

    /// Discovery tells of a new file of so many bytes.
    fn tell(&mut self, tenant: &str, bytes: u64, is_initial: bool) {
        self.files += 1;
        let path = PathBuf::from(format!("/{}.log", self.files));
        self.fs.sizes.lock().unwrap().insert(path.clone(), (self.files, bytes));
        let id = ContextId(u128::from(self.files));
        let context = Context { id, tenant: Arc::from(tenant), attributes: Vec::new() };
        let options = SourceOptions {
            format: Some(Format::Plain),
            start_at: StartAt::Beginning,
            line_bytes_max: 4096,
            flush_timeout_ns: 0,
            multiline: None,
            late_writes_ns: 0,
            skip: RecordFlags::NONE,
            linger_ns: 0,
        };
        let spec = SourceSpec {
            context: Arc::new(context),
            rule: Arc::from("rule"),
            sink: 0,
            options: Arc::new(options),
            fs: self.fs.clone(),
        };
        let files = vec![SeenFile { stat: self.fs.stat_of(&path).unwrap(), path }];
        let look = Command::Look { spec, files, seen_ns: 1, opened: Vec::new(), is_initial };
        self.commands.send(look).unwrap();
    }

    /// One tick, and the sink takes all there is.
    fn tick(&mut self) {
        self.reader.tick();
        self.lanes.extend(self.new_lanes.try_iter());
        let taken = self.lanes.iter().flat_map(|it| it.payloads.try_iter());
        taken.flat_map(|it| it.tickets).for_each(std::mem::forget);
    }

    fn read_bytes(&self, tenant: &str) -> u64 {
        self.reader.parts.meter.tenant(&Arc::from(tenant)).read_bytes.get()
    }
}

#[test]
fn news_of_one_tenant_are_not_billed_to_the_tenant_whose_turn_is_next() {
    // Opening takes as long as forty chunks.
    let mut bed = Bed::new(5_000_000, u64::MAX);
    bed.tell("left", 1 << 30, false);
    bed.tell("right", 1 << 30, false);
    (0..10).for_each(|_| bed.tick());
    for _ in 0..20 {
        // More than are taken in one go: the last comes in between two turns.
        for _ in 0..64 {
            let context = ContextId(u128::MAX);
            bed.commands.send(Command::Poke { context, path: PathBuf::new() }).unwrap();
        }
        bed.tell("flood", 100, false);
        bed.tick();
        let read = ["left", "right"].map(|it| bed.read_bytes(it));
        assert!(read[0].abs_diff(read[1]) <= 2 * CHUNK as u64, "{read:?}");
    }
    assert!(bed.read_bytes("left") > 8 * MIB);
}

#[test]
fn a_file_that_was_there_before_is_read_early_beside_a_thousand_of_another_tenant() {
    let mut bed = Bed::new(0, u64::MAX);
    (0..1000).for_each(|_| bed.tell("many", MIB, true));
    bed.tell("single", MIB, true);
    while bed.read_bytes("single") < MIB {
        bed.tick();
        assert!(bed.read_bytes("many") < 10 * MIB, "the single file waits");
    }
    // And one begun later waits for none of the many.
    bed.tell("late", 256 * KIB, false);
    let before = bed.read_bytes("many");
    while bed.read_bytes("late") < 256 * KIB {
        bed.tick();
    }
    assert!(bed.read_bytes("many") - before < 2 * MIB);
}

#[test]
fn all_sources_are_begun_and_hold_their_files_although_the_sink_takes_nothing() {
    let mut bed = Bed::new(0, u64::MAX);
    (0..500).for_each(|_| bed.tell("stuck", MIB, true));
    bed.reader.tick();
    let awake = |bed: &Bed| bed.reader.slots.iter().flatten().count();
    assert!(awake(&bed) < 2 * TURNS_MAX, "few at a time: {}", awake(&bed));
    for _ in 0..500 {
        bed.reader.tick();
    }
    assert_eq!(awake(&bed), 500);
    assert_eq!(bed.reader.parts.meter.open_files.get(), 500);
}
