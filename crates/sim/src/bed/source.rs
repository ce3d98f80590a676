//! Source bed: the real discovery and the real source over a world, stepped by hand.

use std::sync::Arc;

use super::{
    Bed, CHUNK_BYTES, FLUSH_NS, LATE_NS, LINE_BYTES_MAX, discovery, forget, judge, lose, options,
    resume,
};
use crate::{Delivery, Model, Verdict, World};
use crossbeam::channel::Receiver;
use flow::{Chunk, SourceId};
use pipeline::discovery::Discovery;
use pipeline::frame::Format;
use pipeline::reader::Command;
use pipeline::source::{Known, Look, Source, SourceOptions, StartAt};

/// Most that there is to do without a pause: of a few megabytes at most.
const WORK_MAX: usize = 5_000;

/// An agent in the middle of its work.
#[derive(Debug)]
struct Agent {
    discovery: Discovery,
    commands: Receiver<Command>,
    source: Option<Source>,
    /// What the last look said, and nobody did yet.
    next: Option<Look>,
}

/// The real discovery and the real source of one context, stepped by hand.
#[derive(Debug)]
pub struct SourceBed {
    world: World,
    options: SourceOptions,
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

impl SourceBed {
    /// An empty world, and no agent yet.
    #[must_use]
    pub fn new(format: Format) -> SourceBed {
        SourceBed::reading(format, options(format))
    }

    /// As [`SourceBed::new`], of an agent that takes lines together.
    #[must_use]
    pub fn grouping(format: Format) -> SourceBed {
        SourceBed::reading(format, super::grouping(format))
    }

    fn reading(format: Format, options: SourceOptions) -> SourceBed {
        SourceBed {
            options,
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

    fn start(&self) -> Agent {
        let (discovery, commands, _) = discovery(&self.world, self.options.clone());
        Agent { discovery, commands, source: None, next: None }
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
                (delivery.span, delivery.positions) = source.gap(&missing);
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
        if !delivery.span.is_empty() || delivery.gap.is_some() {
            self.queue.push(delivery);
        }
    }

    fn note_forgotten(&mut self) {
        let Some(source) = self.agent.as_mut().and_then(|it| it.source.as_mut()) else { return };
        self.forgotten.append(&mut source.forgotten);
    }

    /// Decides what to do next. A gap is declared at once, as it is not decided again; a read waits, as
    /// it does for memory. Returns whether there is something to do.
    fn decide(&mut self) -> bool {
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
}

impl Bed for SourceBed {
    fn world(&self) -> &World {
        &self.world
    }

    fn scan(&mut self) {
        let now_ns = self.world.clock().now_ns();
        if self.agent.is_none() {
            self.agent = Some(self.start());
        }
        let Some(agent) = &mut self.agent else { return };
        agent.discovery.tick();
        for command in agent.commands.try_iter() {
            let Command::Look { spec, files, seen_ns, .. } = command else { continue };
            if agent.source.is_none() && files.is_empty() {
                continue;
            }
            let source = agent.source.get_or_insert_with(|| {
                let known = resume(&self.checkpoint, &self.queue);
                Source::new(SourceId(0), spec, Arc::default(), &known)
            });
            source.reconcile(&self.world, &files, seen_ns, StartAt::Beginning, now_ns);
        }
    }

    fn look(&mut self) {
        self.decide();
    }

    fn work(&mut self, times: usize) -> bool {
        for _ in 0..times {
            if !self.decide() {
                return false;
            }
            self.act();
        }
        true
    }

    fn close_idle(&mut self) {
        if let Some(source) = self.agent.as_mut().and_then(|it| it.source.as_mut()) {
            source.close_named();
        }
    }

    fn store(&mut self) {
        self.note_forgotten();
        self.checkpoint = resume(&self.checkpoint, &self.queue);
        forget(&mut self.checkpoint, &mut self.forgotten);
    }

    fn kill(&mut self, lost: usize) {
        self.world.kill(self.agent.take());
        self.sources += 1;
        self.forgotten.clear();
        lose(&mut self.queue, &self.checkpoint, lost);
    }

    fn verdict(&mut self) -> Result<Verdict, String> {
        // A line that never ends is waited for in each generation.
        for _ in 0..self.world.waits() + 6 {
            self.scan();
            if self.work(WORK_MAX) {
                return Err("the source never rests".to_owned());
            }
            self.world.clock().advance(LATE_NS + FLUSH_NS);
        }
        judge(&self.world, &self.model, &self.options, &self.queue)
    }
}
