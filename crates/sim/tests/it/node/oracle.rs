//! Oracle: what must hold of a node after every step, and once nothing fails any more.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use flow::{ContextId, GapReason, PayloadHeader, Span};
use pipeline::checkpoint::CheckpointStore;
use pipeline::shipper::Shipper;
use sim::{
    Delivery, EPOCH_UNIX_NS, Model, Stored, Verdict, World, Written, check_lines, check_sample,
    unheard_of,
};

use super::spool::Kept;
use super::{Node, NodeSpool, Queue, STAGES, Stage, Sums, directory, sink_name};
use crate::bed::{FLUSH_NS, LATE_NS, LINE_BYTES_MAX};

/// Descriptors beyond the limit, per stream: of the generation that is read and the next, and of one that
/// was renamed since.
const OPEN_FILES_EXTRA: u64 = 3;
/// Rounds between two long waits in which a tenant beside a stuck one has everything delivered.
const ROUNDS_BESIDE: usize = 30;

/// What the deliveries are held against.
#[derive(Debug)]
pub(crate) enum Truth {
    /// All bytes that the worlds know of.
    Bytes,
    /// The lines of each stream, and generations that may be missing.
    Lines(Vec<(Vec<Written>, BTreeSet<u32>)>),
}

impl Node {
    /// What must hold at any time.
    pub(crate) fn look(&mut self) -> Result<(), String> {
        if self.disk.is_dead() || self.spools.iter().any(|it| it.disk.is_dead()) {
            // The process died at a step to the disk.
            self.kill(0, 0, None);
        }
        self.spools.iter().for_each(NodeSpool::settle);
        self.look_at_checkpoint()?;
        let Some(plane) = &self.plane else { return Ok(()) };
        self.books.update((&self.queues, &self.spools), &self.plan, &self.watch, self.lives);
        // I5: memory and descriptors are bounded.
        let open: u64 = self.worlds.iter().map(World::open_files).sum();
        let extra = OPEN_FILES_EXTRA * self.worlds.len() as u64;
        if open > self.plan.files.open_files_max + extra {
            return Err(format!("I5: {open} files are open"));
        }
        for (tenant, bytes) in plane.budgets.used() {
            if bytes > self.plan.memory_of(&tenant).max_bytes + self.grown(&tenant) {
                return Err(format!("{tenant} has {bytes} bytes of memory"));
            }
        }
        // I8: what was refused was counted.
        for (number, queue) in self.queues.iter().enumerate() {
            let (refused, retries) =
                (queue.refused(), self.meter.sink(&sink_name(number)).retries.get());
            let away = self.away[number].load(Ordering::Relaxed);
            if !refused.contains(&retries.saturating_sub(away)) {
                return Err(format!("I8: {retries} retries of {refused:?} refusals"));
            }
        }
        // I9: what was read is accounted for, or on its way.
        for (tenant, meter) in self.meter.tenants() {
            let (read, accounted) = (meter.read_bytes.get(), meter.accounted_bytes());
            let safe = self.books.of(&tenant).safe_bytes;
            if self.books.are_due() && safe != self.safe_bytes(&tenant) {
                let bytes = self.safe_bytes(&tenant);
                return Err(format!("books: {tenant}: {bytes} bytes are safe, summed as {safe}"));
            }
            if accounted > read || accounted > safe {
                return Err(format!(
                    "I9: {tenant}: {read} bytes read, {accounted} accounted for, {safe} are safe"
                ));
            }
        }
        Ok(())
    }

    /// Bytes that a tenant may have beyond what was granted: what is on its way became so much more than was read for it.
    /// Brokers do not say what they were handed; there nobody comes near what may be granted.
    pub(crate) fn grown(&self, tenant: &str) -> usize {
        if self.queues.iter().any(|it| matches!(it, Queue::Kafka(_))) {
            return 0;
        }
        let Sums { encoded, handed, .. } = self.books.of(tenant);
        let grown = encoded.grown.checked_sub(handed.grown).expect("what was handed was encoded");
        usize::try_from(grown).expect("it is in memory")
    }

    /// A sum over all that is in any queue.
    pub(crate) fn sum(&self, part: impl Fn(&Stored) -> u64) -> u64 {
        let sum = |queue: &Queue| queue.look(|stored| stored.iter().map(&part).sum::<u64>());
        self.queues.iter().map(sum).sum()
    }

    /// Bytes of a tenant's that no death can take any more: in a queue, or in a spool on the way there.
    fn safe_bytes(&self, tenant: &str) -> u64 {
        let in_queues = self.sum(|it| {
            let is_own = *it.header.context.tenant == *tenant && it.is_safe;
            let is_let_go = it.header.gap == Some(GapReason::SpoolFull);
            if is_own && !is_let_go { it.header.span.bytes() } else { 0 }
        });
        let in_spool = |(spool, queue): (&NodeSpool, &Queue)| {
            let is_counted = |kept: &Kept| {
                let there = |it: &Stored| it.is_safe && kept.is_same(it);
                queue.look(|stored| stored.iter().any(there))
            };
            spool.look(|kept| {
                let own = kept.iter().filter(|it| *it.header.context.tenant == *tenant);
                let own = own.filter(|it| it.is_safe && !is_counted(it));
                own.map(|it| it.header.span.bytes()).sum::<u64>()
            })
        };
        in_queues + self.spools.iter().zip(&self.queues).map(in_spool).sum::<u64>()
    }

    /// I4: a stored checkpoint is never ahead of what is safe in the queue, and never moves back.
    fn look_at_checkpoint(&mut self) -> Result<(), String> {
        if self.disk.steps() == self.checkpoint_steps {
            return Ok(());
        }
        self.checkpoint_steps = self.disk.steps();
        self.look_at_loaded()?;
        if self.meter.checkpoints.get() > self.stores {
            self.stores = self.meter.checkpoints.get();
            self.durable.clone_from(&self.checkpoint);
        }
        Ok(())
    }

    fn look_at_loaded(&mut self) -> Result<(), String> {
        let opened = CheckpointStore::open_on(Box::new(self.disk.copy()), self.unix_seconds());
        let (_, loaded) = opened.map_err(|error| error.to_string())?;
        let is_there = |context: &ContextId| loaded.entries.iter().any(|it| it.context == *context);
        if let Some(context) = self.checkpoint.keys().find(|it| !is_there(it)) {
            return Err(format!("I4: the checkpoint of {context} is gone"));
        }
        for entry in loaded.entries {
            let (epoch, cursor) = (entry.known.epoch, entry.known.cursor);
            let mut own: Vec<Span> = Vec::new();
            for queue in &self.queues {
                queue.look(|stored| {
                    let is_own = |it: &&Stored| {
                        let header = &it.header;
                        header.context.id == entry.context && header.epoch == epoch && it.is_acked
                    };
                    own.extend(stored.iter().filter(is_own).map(|it| it.header.span));
                });
            }
            for spool in &self.spools {
                spool.look(|kept| {
                    let is_own = |it: &&Kept| {
                        let header = &it.header;
                        header.context.id == entry.context && header.epoch == epoch && it.is_safe
                    };
                    own.extend(kept.iter().filter(is_own).map(|it| it.header.span));
                });
            }
            own.sort_by_key(|it| it.begin);
            let reach =
                |reach: u64, it: &Span| if it.begin > reach { reach } else { reach.max(it.end) };
            let acked = own.iter().fold(0, reach);
            if cursor > acked {
                return Err(format!("I4: a checkpoint at {cursor}, acknowledged up to {acked}"));
            }
            let before = self.checkpoint.insert(entry.context, (epoch, cursor));
            if before.is_some_and(|before| before > (epoch, cursor)) {
                return Err(format!("I4: a checkpoint went back from {before:?} to {cursor}"));
            }
        }
        Ok(())
    }

    /// I7: once nothing fails any more, everything is delivered, and soon; and then I1 to I3: all of it, once, in
    /// order.
    pub(crate) fn verdict(&mut self, truth: &Truth) -> Result<(), String> {
        self.lift_faults();
        self.catch_up()?;
        let files: usize = self.worlds.iter().map(|it| it.files().len()).sum();
        for _ in 0..files + 6 {
            self.rest()?;
            self.clock.advance(LATE_NS + FLUSH_NS);
        }
        for stream in 0..self.worlds.len() {
            self.check_stream(stream, truth)?;
        }
        for (tenant, meter) in self.meter.tenants() {
            let (read, accounted) = (meter.read_bytes.get(), meter.accounted_bytes());
            if read != accounted || meter.oldest_unacked_ns().is_some() {
                return Err(format!("I9: {tenant}: {read} bytes read, {accounted} accounted for"));
            }
        }
        Ok(())
    }

    /// I6: one tenant is stuck and floods, and everything of the other is delivered all the same.
    pub(crate) fn verdict_beside(
        &mut self,
        stuck: usize,
        truth: &Truth,
        mut flood: impl FnMut(),
    ) -> Result<(), String> {
        self.lift_faults();
        let whose = self.plan.streams[stuck].tenant.clone();
        self.queues[0].refuse(Some(&whose));
        let beside = 1 - stuck;
        for _ in 0..self.worlds[beside].files().len() + 6 {
            flood();
            self.tick(Stage::Discovery);
            for _ in 0..ROUNDS_BESIDE {
                self.settle(usize::MAX);
                for stage in STAGES {
                    self.tick(stage);
                }
                self.look()?;
                self.clock.advance(self.queues[0].round_ns());
            }
            self.clock.advance(LATE_NS + FLUSH_NS);
        }
        self.check_stream(beside, truth).map_err(|why| format!("I6: {why}"))?;
        self.queues[0].refuse(None);
        Ok(())
    }

    pub(crate) fn lift_faults(&mut self) {
        self.is_quiet = true;
        self.queues.iter().for_each(Queue::lift_faults);
        self.disk.revive();
        self.spools.iter().for_each(NodeSpool::lift_faults);
    }

    /// Generations that may be missing as the agent has died: compressed files of which nothing is known.
    pub(crate) fn unheard_of(
        &self,
        stream: usize,
        written: &[Written],
    ) -> Result<BTreeSet<u32>, String> {
        let names = self.worlds[stream].names(&directory(stream));
        if !names.iter().any(|it| it.to_string_lossy().ends_with(".gz")) {
            return Ok(BTreeSet::new());
        }
        Ok(unheard_of(written, &self.deliveries(stream)?))
    }

    /// I1 to I3 of one stream, once it is quiet.
    pub(crate) fn check_stream(&self, stream: usize, truth: &Truth) -> Result<Verdict, String> {
        let deliveries = self.deliveries(stream)?;
        let outcome = match truth {
            Truth::Bytes => {
                let model = Model { format: self.format, line_bytes_max: LINE_BYTES_MAX as usize };
                let left_out = self.left_out(stream);
                check_sample(&self.worlds[stream], &model, &deliveries, left_out)
            }
            Truth::Lines(all) => {
                let (written, unheard) = &all[stream];
                check_lines(written, &deliveries, unheard).map(|()| Verdict::default())
            }
        };
        outcome.map_err(|why| format!("stream {stream}: {why}"))
    }

    /// Whether all that is known of a stream's tenant is read and acknowledged.
    pub(crate) fn is_delivered(&self, stream: usize) -> bool {
        let meter = self.meter.tenant(&self.plan.streams[stream].tenant);
        meter.lag_bytes.get() == 0 && meter.oldest_unacked_ns().is_none()
    }

    /// Records of a stream that the queue says were left out.
    pub(crate) fn left_out(&self, stream: usize) -> usize {
        let context = self.context(stream);
        let own = self.sum(|it| {
            let is_own = Some(it.header.context.id) == context;
            if is_own { u64::from(it.header.filtered) } else { 0 }
        });
        usize::try_from(own).expect("few records")
    }

    /// Ticks everything until nothing has anything to do.
    pub(crate) fn rest(&mut self) -> Result<(), String> {
        self.tick(Stage::Discovery);
        for round in 0.. {
            let is_busy = self.round()?;
            let is_empty =
                self.plane.as_ref().is_some_and(|it| it.shippers.iter().all(Shipper::is_empty));
            // A lane of Kafka's may send one thing after the other, and sleep in between.
            let is_acked =
                self.meter.tenants().iter().all(|(_, it)| it.oldest_unacked_ns().is_none());
            if !is_busy && is_empty && is_acked {
                return Ok(());
            }
            if round > 5_000 {
                return Err("I7: the node never rests".to_owned());
            }
            self.clock.advance(self.queues[0].round_ns());
        }
        Ok(())
    }

    /// The sections that a gap of a full spool stands for.
    fn let_go(&self, sink: usize, gap: &PayloadHeader) -> Result<Vec<Kept>, String> {
        let spool = self.spools.get(sink).ok_or("a gap of a spool, and there is none")?;
        spool.behind(gap.context.id, gap.epoch, gap.span)
    }

    /// Records of a tenant that were passed over within what a full spool let go of.
    pub(crate) fn let_go_filtered(&self, tenant: &str) -> Result<usize, String> {
        let mut gaps: Vec<(usize, PayloadHeader)> = Vec::new();
        for (sink, queue) in self.queues.iter().enumerate() {
            queue.look(|stored| {
                let is_it = |it: &&Stored| {
                    let header = &it.header;
                    header.gap == Some(GapReason::SpoolFull) && *header.context.tenant == *tenant
                };
                gaps.extend(stored.iter().filter(is_it).map(|it| (sink, it.header.clone())));
            });
        }
        let mut filtered = 0;
        for (sink, gap) in gaps {
            filtered += self
                .let_go(sink, &gap)?
                .iter()
                .map(|it| it.header.filtered as usize)
                .sum::<usize>();
        }
        Ok(filtered)
    }

    /// What is in the queue of a stream; parts of a section as one, up to where a restart can go on.
    fn deliveries(&self, stream: usize) -> Result<Vec<Delivery>, String> {
        let (plan, context) = (&self.plan.streams[stream], self.context(stream));
        let once = self.queues[plan.sink].once(&plan.tenant);
        let mut lives = 0;
        let mut deliveries: Vec<Delivery> = Vec::new();
        let mut is_open = false;
        for Stored { header, records, life, .. } in
            once.map_err(|why| format!("stream {stream}: {why}"))?
        {
            if Some(header.context.id) != context {
                continue;
            }
            if header.gap == Some(GapReason::SpoolFull) {
                for kept in self.let_go(plan.sink, &header)? {
                    deliveries.push(Delivery {
                        source: lives + kept.life,
                        span: kept.header.span,
                        at_ns: kept.header.observed_unix_ns.abs_diff(EPOCH_UNIX_NS),
                        positions: kept.header.positions,
                        gap: header.gap,
                        records: Vec::new(),
                    });
                }
            } else if !header.span.is_empty() || header.gap.is_some() {
                let source = lives + life;
                match deliveries.last_mut().filter(|_| is_open) {
                    Some(last) if last.span.end == header.span.begin => {
                        last.span.end = header.span.end;
                        last.source = source;
                        last.at_ns = header.observed_unix_ns.abs_diff(EPOCH_UNIX_NS);
                        last.positions = header.positions;
                        last.records.extend(records);
                    }
                    _ => deliveries.push(Delivery {
                        source,
                        span: header.span,
                        at_ns: header.observed_unix_ns.abs_diff(EPOCH_UNIX_NS),
                        positions: header.positions,
                        gap: header.gap,
                        records,
                    }),
                }
                is_open = header.is_inner;
            }
            lives += u32::from(header.marks.last);
        }
        Ok(deliveries)
    }
}
