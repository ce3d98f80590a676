//! Bed: the real discovery and the real source over a world, stepped by hand.

use std::path::Path;
use std::sync::Arc;

use crossbeam::channel::{Receiver, bounded};
use crossbeam::sync::Parker;
use flow::{Chunk, PersistedSpan, RecordFlags, SourceId};
use globset::GlobSet;
use pipeline::discovery::{
    Discovery, FileSelection, Place, ReaderDoor, Rule, Selection, TenantMap,
};
use pipeline::frame::Format;
use pipeline::meter::Meter;
use pipeline::reader::Command;
use pipeline::source::{Known, Look, Source, SourceOptions, StartAt};
use sim::{Delivery, Model, Verdict, World, check};

use crate::actor::DIRECTORY;

pub(crate) const FLUSH_NS: u64 = 1_000_000_000;
pub(crate) const LATE_NS: u64 = 5_000_000_000;
const LINE_BYTES_MAX: u32 = 200;
const CHUNK_BYTES: usize = 4096;

/// An agent in the middle of its work.
#[derive(Debug)]
struct Agent {
    discovery: Discovery,
    commands: Receiver<Command>,
    source: Option<Source>,
    /// What the last look said, and nobody did yet.
    next: Option<Look>,
}

#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) world: World,
    model: Model,
    agent: Option<Agent>,
    /// Number of sources before this one.
    sources: u32,
    chunk: Chunk,
    /// What the queue holds.
    queue: Vec<Delivery>,
    /// As stored last.
    checkpoint: Known,
    forgotten: Vec<(u64, u64)>,
}

impl Bed {
    pub(crate) fn new(format: Format) -> Bed {
        Bed {
            world: World::new(),
            model: Model { format, line_bytes_max: LINE_BYTES_MAX as usize },
            agent: None,
            sources: 0,
            chunk: Chunk::new(CHUNK_BYTES),
            queue: Vec::new(),
            checkpoint: Known::new(1),
            forgotten: Vec::new(),
        }
    }

    /// Looks at the directory.
    pub(crate) fn scan(&mut self) {
        let now_ns = self.world.clock().now_ns();
        if self.agent.is_none() {
            self.agent = Some(self.start());
        }
        let Some(agent) = &mut self.agent else { return };
        agent.discovery.tick();
        for command in agent.commands.try_iter() {
            let Command::Look { spec, files, .. } = command else { continue };
            if agent.source.is_none() && files.is_empty() {
                continue;
            }
            let mut known = Known::new(0);
            let source = agent.source.get_or_insert_with(|| {
                known = resume(&self.checkpoint, &self.queue);
                Source::new(SourceId(0), spec, Arc::default(), &known)
            });
            source.reconcile(&self.world, &files, &known, StartAt::Beginning, now_ns);
        }
    }

    fn start(&self) -> Agent {
        let (sender, commands) = bounded(1000);
        let door = ReaderDoor { commands: sender, unparker: Parker::new().unparker().clone() };
        let glob = Path::new(DIRECTORY).join("*.log").display().to_string();
        let selection = FileSelection::new(&[glob], GlobSet::empty()).expect("a glob");
        let options = SourceOptions {
            format: Some(self.model.format),
            start_at: StartAt::Beginning,
            line_bytes_max: LINE_BYTES_MAX,
            flush_timeout_ns: FLUSH_NS,
            late_writes_ns: LATE_NS,
            skip: RecordFlags::NONE,
            linger_ns: 0,
        };
        let rule = Rule {
            name: Arc::from("rule"),
            selection: Selection::Files(selection),
            tenants: TenantMap::default(),
            sink: 0,
            options: Arc::new(options),
        };
        let (fs, clock) = (Arc::new(self.world.clone()), self.world.clock());
        let (place, meter) = (Place::default(), Arc::new(Meter::default()));
        let discovery = Discovery::new(fs, clock, None, vec![rule], place, vec![door], meter, 0);
        Agent { discovery, commands, source: None, next: None }
    }

    /// Decides what to do next. A gap is declared at once, as it is not decided again; a read waits, as
    /// it does for memory. Returns whether there is something to do.
    pub(crate) fn look(&mut self) -> bool {
        let now_ns = self.world.clock().now_ns();
        let Some(agent) = &mut self.agent else { return false };
        let Some(source) = &mut agent.source else { return false };
        let look = source.look(&self.world, now_ns);
        agent.next = Some(look);
        match look {
            Look::Wait(until_ns) => until_ns.is_some_and(|until_ns| until_ns <= now_ns),
            Look::Gap(_) => {
                self.act();
                true
            }
            Look::Read { .. } | Look::End => true,
        }
    }

    /// Does what the last look said.
    fn act(&mut self) {
        let now_ns = self.world.clock().now_ns();
        let Some(agent) = &mut self.agent else { return };
        let (Some(source), Some(next)) = (&mut agent.source, agent.next.take()) else { return };
        let mut delivery = Delivery {
            source: self.sources,
            span: flow::Span::new(0, 0),
            at_ns: now_ns,
            positions: Vec::new(),
            gap: None,
            records: Vec::new(),
        };
        match next {
            Look::Read { tail, bridge, .. } => {
                let chunk = &mut self.chunk;
                let Ok(outcome) = source.read(&self.world, chunk, tail, bridge, now_ns) else {
                    return;
                };
                let begin = outcome.span.begin;
                let record = |it: &flow::Record| {
                    (begin + u64::from(it.cursor), it.flags, chunk.body(it).to_vec())
                };
                if !outcome.span.is_empty() {
                    delivery.records = chunk.records().iter().map(record).collect();
                }
                (delivery.span, delivery.positions) = (outcome.span, outcome.positions);
            }
            Look::Gap(missing) => {
                (delivery.span, delivery.positions) = source.gap(missing.bytes);
                delivery.gap = Some(missing.reason);
            }
            Look::Wait(_) => return,
            Look::End => {
                // The next source of this context is told what this one knew.
                self.checkpoint = source.known();
                agent.source = None;
                self.sources += 1;
                return;
            }
        }
        self.note_forgotten();
        if !delivery.span.is_empty() {
            self.queue.push(delivery);
        }
    }

    fn note_forgotten(&mut self) {
        let Some(source) = self.agent.as_mut().and_then(|it| it.source.as_mut()) else { return };
        self.forgotten.append(&mut source.forgotten);
    }

    /// Does what there is to do, at most so many times; returns whether there is more.
    pub(crate) fn work(&mut self, times: usize) -> bool {
        for _ in 0..times {
            if !self.look() {
                return false;
            }
            self.act();
        }
        true
    }

    /// Closes the descriptors that are not needed now.
    pub(crate) fn close_idle(&mut self) {
        if let Some(source) = self.agent.as_mut().and_then(|it| it.source.as_mut()) {
            source.close_idle();
        }
    }

    /// Stores a checkpoint of all that the queue holds.
    pub(crate) fn store(&mut self) {
        self.note_forgotten();
        self.checkpoint = resume(&self.checkpoint, &self.queue);
        let cursor = self.checkpoint.cursor;
        let (reached, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.forgotten).into_iter().partition(|(at, _)| *at <= cursor);
        self.forgotten = waiting;
        self.checkpoint
            .generations
            .retain(|it| !reached.iter().any(|(_, key)| *key == it.generation));
    }

    /// The agent dies; of what is not in the checkpoint, the queue loses the last `lost` sections.
    pub(crate) fn kill(&mut self, lost: usize) {
        self.world.kill(self.agent.take());
        self.sources += 1;
        self.forgotten.clear();
        for _ in 0..lost {
            let is_stored =
                self.queue.last().is_none_or(|it| it.span.begin < self.checkpoint.cursor);
            if is_stored {
                break;
            }
            self.queue.pop();
        }
    }

    pub(crate) fn wait(&mut self, time_ns: u64) {
        self.world.clock().advance(time_ns);
    }

    /// Faults end, and so does everything else; then what came out is checked.
    pub(crate) fn verdict(&mut self) -> Result<Verdict, String> {
        self.world.refuse_opens(None);
        self.world.refuse_reads(None);
        self.world.shorten_reads(None);
        for _ in 0..4 {
            self.scan();
            if self.work(100_000) {
                return Err("the source never rests".to_owned());
            }
            self.wait(LATE_NS + FLUSH_NS);
        }
        check(&self.world, &self.model, &self.queue)
    }
}

/// What a start knows, from checkpoint and queue.
fn resume(checkpoint: &Known, queue: &[Delivery]) -> Known {
    let persisted = queue.iter().map(|it| PersistedSpan {
        epoch: 1,
        span: it.span,
        positions: it.positions.clone(),
    });
    let persisted: Vec<PersistedSpan> = persisted.collect();
    Known::resume(Some(checkpoint.clone()), &persisted).expect("a checkpoint is there")
}
