//! Turn: one source reads one chunk, or finds out that there is nothing to do.

use std::sync::Arc;

use flow::{Acked, Content, Gap, GapReason, Marks, Position, Section, Span, Ticket, is_mutant};

use super::gather::Permits;
use super::pace::Kept;
use super::{Reader, Slot};
use crate::frame::{Framed, Tail};
use crate::schedule::{LaneIndex, SourceIndex};
use crate::source::{Look, Missing, Source};
use crate::tracker::TrackerCommand;

/// What a section is made of, beside its source.
struct Piece {
    span: Span,
    positions: Vec<Position>,
    content: Content,
    framed: Framed,
    gap: Option<GapReason>,
    is_divisible: bool,
    is_last: bool,
}

impl Piece {
    /// Declares what is not delivered.
    fn gap(span: Span, positions: Vec<Position>, reason: GapReason) -> Piece {
        let (content, framed) = (Content::Gap(Gap { reason }), Framed::default());
        let (is_divisible, is_last) = (false, false);
        Piece { span, positions, content, framed, gap: Some(reason), is_divisible, is_last }
    }

    /// What the tracker hears once it is acknowledged.
    fn acked(&self, source: &Source) -> Acked {
        let records = match &self.content {
            Content::Records { chunk, .. } => chunk.records().len(),
            Content::Gap(_) | Content::End => 0,
        };
        Acked {
            source: source.id,
            span: self.span,
            positions: self.positions.clone(),
            records: u32::try_from(records).expect("a chunk holds fewer records"),
            filtered_bytes: self.framed.filtered_bytes,
            gap: self.gap,
            is_inner: false,
            seen_ns: source.seen_ns,
        }
    }
}

impl Slot {
    /// There is nothing to read now: nor is there anything that a limit holds back.
    fn idle(&mut self) {
        self.is_ready = false;
        self.pace.held.forget();
    }
}

impl Reader {
    /// The source's turn; returns whether anything was done.
    pub(super) fn turn(&mut self, lane: LaneIndex, index: SourceIndex, now_ns: u64) -> bool {
        if self.naps_on(index, now_ns) {
            return false;
        }
        let Some(slot) = &mut self.slots[index] else { return false };
        let fs = Arc::clone(&slot.source.spec.fs);
        let look = slot.source.look(&*fs, now_ns);
        self.parts.meter.read_errors.add(std::mem::take(&mut slot.source.errors));
        match look {
            Look::Read { pending, tail, bridge } => {
                let is_read = self.read(lane, index, pending, tail, bridge, now_ns);
                if !is_read {
                    // The look may have closed what is read to its end.
                    self.settle_files(index);
                }
                return is_read;
            }
            Look::Gap(missing) => {
                self.declare(lane, index, missing);
                self.settle_files(index);
                self.schedule.ready(lane, index);
            }
            Look::Wait(until_ns) => {
                slot.idle();
                self.wait(index, until_ns);
            }
            Look::End => self.end(lane, index),
        }
        true
    }

    fn read(
        &mut self,
        lane: LaneIndex,
        index: SourceIndex,
        pending: u64,
        tail: Tail,
        bridge: bool,
        now_ns: u64,
    ) -> bool {
        let chunk_bytes = self.pressure.read_bytes(self.parts.chunk_bytes);
        let bytes_max = usize::try_from(pending).unwrap_or(chunk_bytes).min(chunk_bytes);
        let gather = &mut self.gathers[lane];
        let packer = &mut self.packers[gather.key.sink];
        if !gather.has_room(bytes_max as u64, packer) {
            self.schedule.block(lane, index);
            return false;
        }
        let slice_bytes = self.slice(index, bytes_max as u64);
        let Some(leave) = self.ask_limits(lane, index, slice_bytes, now_ns) else { return false };
        let grant = leave.grant;
        let permits = self.gathers[lane].acquire(bytes_max);
        let is_refused = permits.is_none() && self.gathers[lane].full_window().is_none();
        self.pressure.asked(is_refused);
        let Some(permits) = permits else {
            self.settle_limits(index, grant, (0, 0), now_ns);
            self.schedule.block(lane, index);
            return false;
        };
        let Some(slot) = &mut self.slots[index] else { return false };
        let source = &mut slot.source;
        let fs = Arc::clone(&source.spec.fs);
        source.portion = leave.portion(bytes_max, chunk_bytes);
        let mut outcome = match source.read(&*fs, &mut self.chunk, tail, bridge, now_ns) {
            Ok(outcome) => outcome,
            Err(error) => {
                self.parts.meter.read_errors.add(std::mem::take(&mut source.errors));
                tracing::debug!(context = %source.spec.context, %error, "read failed");
                self.settle_limits(index, grant, (0, 0), now_ns);
                self.settle_files(index);
                self.schedule.ready(lane, index);
                return true;
            }
        };
        let bytes = outcome.span.bytes();
        self.turn_bytes = bytes;
        let kept = self.keep(index, &mut outcome, leave);
        self.settle_limits(index, grant, kept, now_ns);
        self.parts.meter.copied_bytes.add(outcome.framed.copied);
        if bytes > 0 && leave.kept == Kept::None {
            let (span, positions) = (outcome.span, outcome.positions);
            if !is_mutant("shed_without_a_gap") {
                self.push(lane, index, Piece::gap(span, positions, GapReason::Shed), None);
            }
        } else if bytes > 0 {
            let chunk = std::mem::take(&mut self.chunk);
            let content = Content::Records { chunk, filtered: outcome.framed.filtered };
            let (span, positions) = (outcome.span, outcome.positions);
            let framed = outcome.framed;
            let is_divisible = outcome.is_divisible;
            let piece =
                Piece { span, positions, content, framed, gap: None, is_divisible, is_last: false };
            if let Content::Records { chunk, .. } = self.push(lane, index, piece, Some(permits)) {
                self.chunk = chunk;
            }
        }
        self.tell_forgotten(index);
        self.settle_files(index);
        if outcome.is_hot {
            self.schedule.ready(lane, index);
            return true;
        }
        let Some(slot) = &mut self.slots[index] else { return true };
        slot.idle();
        // What is written meanwhile gathers in the file; then there is another look, which also
        // finds out whether the generation is done or a line stays unfinished.
        let due_ns = next_tick(now_ns, slot.source.spec.options.linger_ns);
        slot.source.seen_ns = now_ns;
        self.wake_at(index, due_ns);
        true
    }

    fn wait(&mut self, index: SourceIndex, until_ns: Option<u64>) {
        if let Some(until_ns) = until_ns {
            self.wake_at(index, until_ns);
        }
        self.tell_forgotten(index);
        self.settle_files(index);
    }

    pub(super) fn declare(&mut self, lane: LaneIndex, index: SourceIndex, missing: Missing) {
        let Some(slot) = &mut self.slots[index] else { return };
        let (span, positions) = slot.source.gap(&missing);
        self.push(lane, index, Piece::gap(span, positions, missing.reason), None);
    }

    /// The chain is gone and was read to the end: says so in the queue, and closes the source.
    fn end(&mut self, lane: LaneIndex, index: SourceIndex) {
        self.tell_forgotten(index);
        let Some(slot) = &mut self.slots[index] else { return };
        let span = slot.source.end();
        let has_end = !slot.source.is_first;
        // Before the end is on its way, so that the tracker hears of it before its ack.
        let (source, cursor) = (slot.source.id, slot.source.cursor);
        self.tell_tracker(TrackerCommand::Close { source, cursor, has_end });
        if has_end {
            let (content, framed) = (Content::End, Framed::default());
            let positions = Vec::new();
            let (is_divisible, is_last) = (false, true);
            let piece =
                Piece { span, positions, content, framed, gap: None, is_divisible, is_last };
            self.push(lane, index, piece, None);
        }
        let Some(slot) = self.slots[index].take() else { return };
        let source = slot.source;
        self.parts.meter.open_files.sub(slot.open_files as u64);
        source.meter.open_files.sub(slot.open_files as u64);
        source.forget_gauges();
        self.parts.pins.set(source.id, &source.spec.context.tenant, Vec::new());
        source.meter.sources.sub(1);
        self.by_context.remove(&source.context_id());
        self.parts.memory.keep(source.context_id(), source.known(), source.id);
        self.free.push(index);
    }

    /// Has the piece encoded; gives its content back, whose buffers are used again.
    fn push(
        &mut self,
        lane: LaneIndex,
        index: SourceIndex,
        piece: Piece,
        permits: Option<Permits>,
    ) -> Content {
        let Some(slot) = &mut self.slots[index] else { return piece.content };
        let source = &mut slot.source;
        let acked = piece.acked(source);
        let section = Section {
            context: Arc::clone(&source.spec.context),
            epoch: source.epoch,
            span: piece.span,
            marks: Marks { first: source.is_first, last: piece.is_last },
            observed_unix_ns: self.parts.clock.unix_ns(),
            is_divisible: piece.is_divisible,
            content: piece.content,
        };
        source.is_first = false;
        source.meter.read(section.span.bytes());
        if !section.span.is_empty() {
            source.meter.begin((source.seen_ns, source.id, section.span.begin));
        }
        let mut ticket = Ticket::new(acked, Arc::clone(&self.parts.ledger));
        let (memory, window) = permits.map_or((None, None), |it| (Some(it.memory), it.window));
        if let Some(mut window) = window {
            window.resize(usize::try_from(section.span.bytes()).unwrap_or(usize::MAX));
            ticket = ticket.paying(window);
        }
        let gather = &mut self.gathers[lane];
        gather.push(&section, ticket, memory, &mut self.packers[gather.key.sink]);
        section.content
    }

    /// Tells the tracker which generations to forget, and which stand elsewhere now.
    fn tell_forgotten(&mut self, index: SourceIndex) {
        let Some(slot) = &mut self.slots[index] else { return };
        let source = slot.source.id;
        let forgotten = std::mem::take(&mut slot.source.forgotten);
        for (cursor, key) in forgotten {
            self.tell_tracker(TrackerCommand::Forget { source, cursor, key });
        }
        let Some(slot) = &mut self.slots[index] else { return };
        for (cursor, position) in std::mem::take(&mut slot.source.moved) {
            self.tell_tracker(TrackerCommand::Move { source, cursor, position });
        }
    }
}

/// The next multiple of `linger_ns`: sources that become ready together are read together.
pub(super) fn next_tick(now_ns: u64, linger_ns: u64) -> u64 {
    let linger_ns = linger_ns.max(1);
    (now_ns / linger_ns + 1) * linger_ns
}
