//! A reader over files in memory, stepped by hand, with a clock that moves when files are opened and read.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::bounded;
use crossbeam::sync::Parker;
use flow::{
    AckSender, Acked, Codec, Compress, CompressError, Context, Encode, Encoding, RecordFlags,
    Section, Ticket, ack_channel,
};

use super::*;
use crate::budgets::BudgetSpec;
use crate::frame::Format;
use crate::fs::{FileId, FileKind, Fs, LogFile, Stat};
use crate::lane::{LaneReceiver, ShipperDoor};
use crate::limits::{Level, LimitPlan, LogConfigLimits, Rates, TenantLimits};
use crate::meter::TenantMeter;
use crate::source::{SeenFile, SourceOptions, SourceReport, SourceSpec, StartAt};
use crate::test_clock::HandClock;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const CHUNK: usize = 64 << 10;

/// Files of lines of 100 bytes; a path says how they are. Only work takes time.
#[derive(Debug)]
struct Lines {
    clock: Arc<HandClock>,
    /// How long it takes to open a file, in nanoseconds.
    open_ns: AtomicU64,
    sizes: Mutex<HashMap<PathBuf, (u64, u64)>>,
}

#[derive(Debug)]
struct Open {
    clock: Arc<HandClock>,
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
        self.clock.0.fetch_add(self.open_ns.load(Ordering::Relaxed), Ordering::Relaxed);
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

/// What it says was eased is seen by the test.
#[derive(Debug, Default)]
struct Plain(Arc<AtomicU64>);

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

    fn ease(&mut self, levels: u8) {
        self.0.store(levels.into(), Ordering::Relaxed);
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
    eased: Arc<AtomicU64>,
    /// What the sink took and does not acknowledge, if it does not.
    held: Option<Vec<Ticket>>,
    acks: AckSender,
    acked: Receiver<Vec<Acked>>,
    _tracker: Receiver<TrackerCommand>,
}

impl Bed {
    fn new(open_ns: u64) -> Bed {
        Bed::limited(open_ns, u64::MAX, HashMap::new(), LimitPlan::default())
    }

    fn limited(
        open_ns: u64,
        open_files_max: u64,
        windows: HashMap<Arc<str>, usize>,
        limits: LimitPlan,
    ) -> Bed {
        let clock = Arc::new(HandClock(AtomicU64::new(1_000_000_000)));
        let (commands, for_reader) = bounded(20_000);
        let (tracker, told) = bounded(100_000);
        let (lanes, new_lanes) = bounded(100);
        let (acks, acked) = ack_channel();
        let unparker = Parker::new().unparker().clone();
        let door = ShipperDoor { lanes, unparker: unparker.clone() };
        let eased = Arc::new(AtomicU64::new(0));
        let for_sink = Arc::clone(&eased);
        let sink = ReaderSink {
            limits: BatchLimits { bytes_max: 2 * MIB, records_max: 100_000 },
            encode: Arc::new(|| Box::new(Plain::default())),
            compress: Arc::new(move || Box::new(Plain(Arc::clone(&for_sink)))),
        };
        let spec = BudgetSpec { reserved_bytes: 1 << 20, max_bytes: 1 << 30 };
        let budgets = Budgets::new(1 << 30, spec, usize::MAX, 1, HashMap::new());
        let reader = Reader::new(ReaderParts {
            clock: clock.clone(),
            commands: for_reader,
            discovery: DiscoveryDoor::new(unparker.clone()).0,
            tracker,
            lanes: Arc::new(LaneDirectory::new(vec![vec![door]])),
            budgets: Arc::new(budgets.windowed(windows)),
            limits: Arc::new(Limits::new(limits, 0)),
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
        let fs = Arc::new(Lines { clock, open_ns: open_ns.into(), sizes: Mutex::default() });
        let (lanes, held, files) = (Vec::new(), None, 0);
        let _tracker = told;
        Bed { reader, fs, commands, new_lanes, lanes, files, eased, held, acks, acked, _tracker }
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
            sample_one_in: None,
            skip: RecordFlags::NONE,
            linger_ns: 0,
        };
        let spec = SourceSpec {
            context: Arc::new(context),
            rule: Arc::from("rule"),
            sink: 0,
            options: Arc::new(options),
            fs: self.fs.clone(),
            is_on_log_disk: false,
        };
        let files = vec![SeenFile { stat: self.fs.stat_of(&path).unwrap(), path, packed: None }];
        let initial = is_initial.then(|| Initial::new(Default::default()));
        let look = Command::Look { spec, files, seen_ns: 1, opened: Opened::default(), initial };
        self.commands.send(look).unwrap();
    }

    /// One tick, and the sink takes all there is.
    fn tick(&mut self) {
        self.tick_and_tell();
    }

    /// The same; returns whose payloads there were.
    fn tick_and_tell(&mut self) -> Vec<Arc<str>> {
        self.reader.tick();
        self.lanes.extend(self.new_lanes.try_iter());
        let taken: Vec<_> = self.lanes.iter().flat_map(|it| it.payloads.try_iter()).collect();
        let tenants = taken.iter().map(|it| Arc::clone(&it.tenant)).collect();
        let tickets: Vec<Ticket> = taken.into_iter().flat_map(|it| it.tickets).collect();
        self.acked.try_iter().for_each(drop);
        match &mut self.held {
            Some(held) => held.extend(tickets),
            None => self.acks.complete(tickets),
        }
        tenants
    }

    /// A tenant has more to read than the reader can, until it is short of CPU.
    fn fall_behind(&mut self) {
        for _ in 0..120 {
            self.tell("busy", 2 * MIB, false);
            self.tick();
        }
    }

    fn meter(&self, tenant: &str) -> Arc<TenantMeter> {
        self.reader.parts.meter.tenant(&Arc::from(tenant))
    }

    fn read_bytes(&self, tenant: &str) -> u64 {
        self.meter(tenant).read_bytes.get()
    }
}

#[test]
fn news_of_one_tenant_are_not_billed_to_the_tenant_whose_turn_is_next() {
    // Opening takes as long as forty chunks.
    let mut bed = Bed::new(5_000_000);
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
    let mut bed = Bed::new(0);
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
    let mut bed = Bed::new(0);
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

#[test]
fn no_more_of_a_tenant_is_read_and_not_acknowledged_than_its_window_has() {
    const WINDOW: usize = 5 * CHUNK / 2;
    let windows = HashMap::from([(Arc::from("narrow"), WINDOW)]);
    let mut bed = Bed::limited(0, u64::MAX, windows, LimitPlan::default());
    bed.held = Some(Vec::new());
    ["narrow", "narrow", "wide"].iter().for_each(|it| bed.tell(it, 8 * MIB, false));
    (0..20).for_each(|_| bed.tick());
    let read = bed.read_bytes("narrow");
    assert!((WINDOW as u64 - CHUNK as u64..=WINDOW as u64).contains(&read), "{read}");
    assert_eq!(bed.read_bytes("wide"), 8 * MIB, "nobody else waits");
    let report = bed.reader.report();
    let waits: Vec<_> = report.awake.iter().filter_map(|it| it.waits_for).collect();
    let used_bytes = usize::try_from(read).unwrap();
    assert_eq!(waits, [WaitsFor::Window { used_bytes }; 2]);
    // Once acknowledged, it goes on, by no more at a time.
    for _ in 0..10 {
        let before = bed.read_bytes("narrow");
        bed.acks.complete(bed.held.replace(Vec::new()).unwrap());
        (0..3).for_each(|_| bed.tick());
        let more = bed.read_bytes("narrow") - before;
        assert!(more > 0 && more <= WINDOW as u64, "{more}");
    }
    bed.acks.complete(bed.held.take().unwrap());
    (0..200).for_each(|_| bed.tick());
    assert_eq!(bed.read_bytes("narrow"), 2 * 8 * MIB);
}

#[test]
fn a_flood_of_files_closes_no_file_of_a_tenant_within_its_share() {
    let mut bed = Bed::limited(0, 40, HashMap::new(), LimitPlan::default());
    (0..10).for_each(|_| bed.tell("calm", 100, false));
    (0..5).for_each(|_| bed.tick());
    assert_eq!(bed.meter("calm").open_files.get(), 10);
    for _ in 0..500 {
        bed.tell("flood", 100, false);
        bed.tick();
        assert_eq!(bed.meter("calm").open_files.get(), 10);
        assert!(bed.reader.parts.meter.open_files.get() <= 40);
    }
    assert_eq!(bed.meter("flood").open_files.get(), 30, "what nobody else uses");
    assert_eq!(bed.read_bytes("flood"), 500 * 100);
    // Who comes later has a share too, at the cost of the one that has most.
    (0..10).for_each(|_| bed.tell("late", 100, false));
    (0..5).for_each(|_| bed.tick());
    let open = ["calm", "flood", "late"].map(|it| bed.meter(it).open_files.get());
    assert_eq!(open, [10, 20, 10]);
}

#[test]
fn beyond_its_own_open_files_a_tenant_closes_its_own() {
    let limited = TenantLimits { open_files_max: Some(4), ..TenantLimits::default() };
    let tenants = HashMap::from([(Arc::from("limited"), limited)]);
    let limits = LimitPlan { tenants, ..LimitPlan::default() };
    let mut bed = Bed::limited(0, 1000, HashMap::new(), limits);
    for _ in 0..50 {
        bed.tell("limited", 100, false);
        bed.tell("other", 100, false);
        bed.tick();
        assert!(bed.meter("limited").open_files.get() <= 4);
    }
    (0..5).for_each(|_| bed.tick());
    assert_eq!(bed.meter("other").open_files.get(), 50);
    assert_eq!([bed.read_bytes("limited"), bed.read_bytes("other")], [5000, 5000]);
    let meter = Arc::clone(&bed.reader.parts.meter);
    drop(bed.reader);
    assert_eq!(meter.open_files.get(), 0);
    assert!(meter.tenants().iter().all(|(_, it)| it.open_files.get() == 0));
}

#[test]
fn a_reader_that_falls_behind_eases_and_is_as_configured_when_it_has_time() {
    // Opening takes a twentieth of a second.
    let mut bed = Bed::new(50_000_000);
    let pressure =
        |bed: &Bed| (bed.eased.load(Ordering::Relaxed), bed.reader.parts.meter.cpu_pressure.get());
    assert_eq!(pressure(&bed), (0, 0));
    bed.fall_behind();
    assert_eq!(pressure(&bed), (2, 2), "it worked all the time, and more became unread");
    while bed.read_bytes("busy") < 240 * MIB {
        bed.tick();
    }
    for _ in 0..12 {
        bed.tick();
        bed.fs.clock.0.fetch_add(1_000_000_000, Ordering::Relaxed);
    }
    assert_eq!(pressure(&bed), (0, 0), "it is restored");
}

#[test]
fn what_a_tenant_within_its_share_has_is_not_gathered_while_cpu_is_short() {
    let mut bed = Bed::new(50_000_000);
    bed.fall_behind();
    assert_eq!(bed.reader.parts.meter.cpu_pressure.get(), 2);
    bed.fs.open_ns.store(0, Ordering::Relaxed);
    let began_ns = bed.fs.clock.monotonic_ns();
    for _ in 0..50 {
        bed.tell("calm", 100, false);
        let tenants = bed.tick_and_tell();
        assert!(tenants.iter().any(|it| **it == *"calm"), "it waits for a batch: {tenants:?}");
    }
    let took_ms = (bed.fs.clock.monotonic_ns() - began_ns) / 1_000_000;
    assert!((10..100).contains(&took_ms), "less than batches are gathered for: {took_ms} ms");
}

/// It said that it waited for its turn, as soon as the time was over, or if it had only seen that others wait.
#[test]
fn a_source_that_naps_for_a_limit_says_so_until_it_is_woken() {
    let rates = Rates { bytes_per_second: Some(1000), records_per_second: None, burst_ns: 1 };
    let limited = LogConfigLimits { rates, per_container: Rates::default() };
    let log_configs = HashMap::from([(Arc::from("rule"), limited)]);
    let limits = LimitPlan { log_configs, ..LimitPlan::default() };
    let mut bed = Bed::limited(0, 1000, HashMap::new(), limits);
    (0..3).for_each(|_| bed.tell("limited", 10 * KIB, false));
    (0..2).for_each(|_| bed.tick());
    for pause_ns in [0, 1_000_000_000] {
        bed.fs.clock.0.fetch_add(pause_ns, Ordering::Relaxed);
        let naps = |it: &SourceReport| {
            let level = Level::LogConfig;
            matches!(it.waits_for, Some(WaitsFor::Limit { level: it, .. }) if it == level)
        };
        let awake = bed.reader.report().awake;
        assert_eq!(awake.iter().filter(|it| naps(it)).count(), 3, "{pause_ns}: {awake:?}");
    }
    bed.tick();
    assert!(bed.read_bytes("limited") > 0);
}
