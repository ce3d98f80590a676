//! Reader bed: the real discovery and the real reader over a world, ticked by hand. Payloads go to a
//! queue that takes them when it is told to.

use std::path::Path;
use std::sync::{Arc, Mutex};

use crossbeam::channel::{Receiver, Sender, bounded};
use crossbeam::sync::Parker;
use flow::{ContextId, Ledger, Payload, PayloadHeader, PersistedSpan, ReadBack};
use pipeline::Tick;
use pipeline::budgets::{BudgetSpec, Budgets};
use pipeline::buffers::Buffers;
use pipeline::checkpoint::Entry;
use pipeline::discovery::Discovery;
use pipeline::doorbell::Doorbell;
use pipeline::frame::Format;
use pipeline::lane::{LaneDirectory, LaneReceiver, ShipperDoor};
use pipeline::memory::Memory;
use pipeline::meter::Meter;
use pipeline::pins::Pins;
use pipeline::reader::{BatchLimits, Command, Reader, ReaderParts, ReaderSink};
use pipeline::source::{Known, SourceOptions};
use pipeline::tracker::TrackerCommand;
use sim::{Delivery, EPOCH_UNIX_NS, Model, SimQueue, Verdict, World};

use crate::actor::DIRECTORY;
use crate::bed::{
    Bed, CHUNK_BYTES, FLUSH_NS, LATE_NS, LINE_BYTES_MAX, discovery, forget, grouping, judge, lose,
    options, persisted, resume,
};

/// Most rounds of a thousand ticks, and payloads, without a pause: far more than a few megabytes take.
const ROUNDS_MAX: usize = 300;

/// Tells what the queue holds.
#[derive(Debug)]
struct Holds(Arc<Mutex<Vec<PersistedSpan>>>);

impl ReadBack for Holds {
    fn persisted(&mut self, _context: ContextId) -> Vec<PersistedSpan> {
        self.0.lock().expect("one thread").clone()
    }
}

#[derive(Debug)]
struct Agent {
    discovery: Discovery,
    found: Receiver<Command>,
    reader: Reader,
    commands: Sender<Command>,
    tracker: Receiver<TrackerCommand>,
    new_lanes: Receiver<LaneReceiver>,
    lanes: Vec<LaneReceiver>,
    /// What its readers encode with.
    encoded: SimQueue,
}

#[derive(Debug)]
pub(crate) struct ReaderBed {
    world: World,
    options: SourceOptions,
    model: Model,
    agent: Option<Agent>,
    context: Option<ContextId>,
    sources: u32,
    queue: Vec<Delivery>,
    held: Arc<Mutex<Vec<PersistedSpan>>>,
    checkpoint: Known,
    forgotten: Vec<(u64, u64)>,
    open_files_max: u64,
}

impl ReaderBed {
    /// One that keeps so many files open; with none, its source rests whenever it can.
    pub(crate) fn new(format: Format, open_files_max: u64) -> ReaderBed {
        ReaderBed {
            open_files_max,
            options: options(format),
            world: World::new(),
            model: Model { format, line_bytes_max: LINE_BYTES_MAX as usize },
            agent: None,
            context: None,
            sources: 0,
            queue: Vec::new(),
            held: Arc::default(),
            checkpoint: Known::new(1),
            forgotten: Vec::new(),
        }
    }

    /// One that takes lines together.
    pub(crate) fn grouping(self) -> ReaderBed {
        ReaderBed { options: grouping(self.model.format), ..self }
    }

    fn start(&self) -> Agent {
        let (discovery, found, asker) = discovery(&self.world, self.options.clone());
        let (commands, for_reader) = bounded(1000);
        let (tracker_sender, tracker) = bounded(1000);
        let (lane_sender, new_lanes) = bounded(10);
        let unparker = Parker::new().unparker().clone();
        let door = ShipperDoor { lanes: lane_sender, unparker: unparker.clone() };
        let encoded = SimQueue::default();
        let for_sink = encoded.clone();
        let sink = ReaderSink {
            limits: BatchLimits { bytes_max: 3 * CHUNK_BYTES as u64, records_max: 100 },
            encode: Arc::new(move || for_sink.encoder()),
            compress: Arc::new(SimQueue::compressor),
        };
        let spec = BudgetSpec { reserved_bytes: CHUNK_BYTES, max_bytes: 16 * CHUNK_BYTES };
        // The context is known once it was met.
        let entries = self.context.map(|it| Entry::new(it, self.checkpoint.clone()));
        let read_back: Box<dyn ReadBack> = Box::new(Holds(Arc::clone(&self.held)));
        let reader = Reader::new(ReaderParts {
            clock: self.world.clock(),
            commands: for_reader,
            discovery: asker,
            tracker: tracker_sender,
            lanes: Arc::new(LaneDirectory::new(vec![vec![door]])),
            budgets: Arc::new(Budgets::new(
                0,
                spec,
                usize::MAX,
                1,
                std::collections::HashMap::new(),
            )),
            limits: Arc::default(),
            chunk_bytes: CHUNK_BYTES,
            buffers: Arc::new(Buffers::new(CHUNK_BYTES)),
            ledger: Arc::new(Ledger::default()),
            meter: Arc::new(Meter::default()),
            memory: Arc::new(Memory::new(
                entries.into_iter().collect(),
                false,
                vec![Some(read_back)],
            )),
            sinks: vec![sink],
            doorbell: Doorbell::new(unparker),
            open_files_max: self.open_files_max,
            pins: Arc::new(Pins::new(u64::MAX)),
            first_id: 0,
            id_step: 1,
        });
        Agent { discovery, found, reader, commands, tracker, new_lanes, lanes: Vec::new(), encoded }
    }

    fn agent(&mut self) -> &mut Agent {
        if self.agent.is_none() {
            self.agent = Some(self.start());
        }
        self.agent.as_mut().expect("just started")
    }

    fn take(&mut self, header: &PayloadHeader, block: &[u8]) {
        let records = self.agent().encoded.records(header, block);
        if !header.span.is_empty() || header.gap.is_some() {
            self.queue.push(Delivery {
                source: self.sources,
                span: header.span,
                at_ns: header.observed_unix_ns.abs_diff(EPOCH_UNIX_NS),
                positions: header.positions.clone(),
                gap: header.gap,
                records,
            });
        }
        self.sources += u32::from(header.marks.last);
        self.hold();
    }

    /// What the reader tells the tracker is done with.
    fn hear_forgotten(&mut self) {
        if let Some(agent) = &self.agent {
            for command in agent.tracker.try_iter() {
                if let TrackerCommand::Forget { cursor, key, .. } = command {
                    self.forgotten.push((cursor, key));
                }
            }
        }
    }

    fn hold(&self) {
        let spans = persisted(self.checkpoint.epoch, &self.queue);
        *self.held.lock().expect("one thread") = spans;
    }
}

impl Bed for ReaderBed {
    fn world(&self) -> &World {
        &self.world
    }

    fn scan(&mut self) {
        let agent = self.agent();
        agent.discovery.tick();
        let found: Vec<Command> = agent.found.try_iter().collect();
        for command in found {
            if let Command::Look { spec, .. } = &command {
                self.context = Some(spec.context.id);
            }
            self.agent().commands.send(command).expect("the reader is there");
        }
    }

    /// The watch hears of a change.
    fn look(&mut self) {
        if let (Some(agent), Some(context)) = (&self.agent, self.context) {
            let path = Path::new(DIRECTORY).join("a.log");
            agent.commands.send(Command::Poke { context, path }).expect("the reader is there");
        }
    }

    fn work(&mut self, times: usize) -> bool {
        let now_ns = self.world.clock().now_ns();
        let Some(agent) = &mut self.agent else { return false };
        let is_busy = |tick| match tick {
            Tick::Busy => true,
            Tick::Idle(until_ns) => until_ns.is_some_and(|until_ns| until_ns <= now_ns),
        };
        let is_busy = (0..times).all(|_| is_busy(agent.reader.tick()));
        self.hear_forgotten();
        is_busy
    }

    fn ship(&mut self, payloads: usize) -> usize {
        let agent = self.agent();
        agent.lanes.extend(agent.new_lanes.try_iter());
        let mut taken: Vec<Payload> = Vec::new();
        for lane in &agent.lanes {
            taken.extend(lane.payloads.try_iter().take(payloads));
        }
        for payload in &taken {
            for header in &payload.headers {
                self.take(header, &payload.block);
            }
        }
        taken.len()
    }

    fn store(&mut self) {
        self.hear_forgotten();
        self.checkpoint = resume(&self.checkpoint, &self.queue);
        forget(&mut self.checkpoint, &mut self.forgotten);
    }

    fn kill(&mut self, lost: usize) {
        self.world.kill(self.agent.take());
        self.sources += 1;
        self.forgotten.clear();
        lose(&mut self.queue, &self.checkpoint, lost);
        self.hold();
    }

    fn verdict(&mut self) -> Result<Verdict, String> {
        for _ in 0..self.world.waits() + 6 {
            self.scan();
            for round in 0.. {
                let is_busy = self.work(1000);
                if self.ship(usize::MAX) == 0 && !is_busy {
                    break;
                }
                if round > ROUNDS_MAX {
                    return Err("the reader never rests".to_owned());
                }
            }
            self.world.clock().advance(LATE_NS + FLUSH_NS);
        }
        judge(&self.world, &self.model, &self.options, &self.queue)
    }
}
