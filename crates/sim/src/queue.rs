//! Queue: a sink in memory that acknowledges late or never, refuses, breaks in the middle of a payload,
//! and loses what it did not make safe.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow::{
    AckSender, Codec, Compress, CompressError, Content, ContextId, Encode, Encoding, KeepCopy,
    Payload, PayloadHeader, PersistedSpan, ReadBack, RecordFlags, Refused, Section, Sink,
    SinkError,
};

/// What the queue does with the next payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Takes them, and makes them safe at once.
    #[default]
    Safe,
    /// Takes them, and makes them safe when told to.
    Held,
    /// Refuses them for now.
    Refuses,
    /// Has no place for them now.
    IsBusy,
    /// Takes so many sections of one, and breaks.
    Breaks(usize),
}

/// Cursor, flags and body of a record.
pub type Encoded = (u64, RecordFlags, Vec<u8>);

/// A section in the queue.
#[derive(Debug, Clone)]
pub struct Stored {
    /// What is known without opening it.
    pub header: PayloadHeader,
    /// Its records.
    pub records: Vec<Encoded>,
    /// It survives everything.
    pub is_safe: bool,
    /// Whoever waits for it was told, or began after it was safe.
    pub is_acked: bool,
    /// Which life of the agent's read it, by number.
    pub life: u32,
    /// It came out of a spool.
    pub is_drained: bool,
}

impl Stored {
    /// Its first records, as a queue has them that takes records one by one. `None` if that is all or none,
    /// or ends where no restart can go on: then these are sent again, which is no promise broken.
    fn part(&self, records: usize) -> Option<Stored> {
        let (cursor, ..) = self.records.get(records).filter(|_| records > 0)?;
        let is_in_line = self.header.goes_on_before(self.records[records..].iter().map(|it| it.1));
        let positions = self.header.positions_at(*cursor).filter(|_| !is_in_line)?;
        let mut part = self.clone();
        part.records.truncate(records);
        part.header.span.end = *cursor;
        part.header.marks.last = false;
        part.header.positions = positions;
        Some(part)
    }
}

/// A queue. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct SimQueue {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    mode: Mode,
    stored: Vec<Stored>,
    /// What was encoded, by number, and in which life: a block holds the numbers.
    encoded: Vec<(u32, Vec<Encoded>)>,
    /// Payloads that are not safe.
    held: VecDeque<Waiting>,
    /// Payloads that are safe, and nobody was told.
    untold: Vec<Waiting>,
    /// Whose payloads are refused, whatever the mode.
    stuck: Option<Arc<str>>,
    refused: u64,
    /// Which life of the agent this is.
    life: u32,
}

/// A payload that waits for its acknowledgement.
#[derive(Debug)]
struct Waiting {
    /// Its place among all sections.
    sections: Range<usize>,
    /// Without the permit.
    payload: Payload,
    acks: AckSender,
    is_drained: bool,
}

impl Waiting {
    /// Offers a copy, with the tickets that are there still; returns whether it was kept.
    fn copy(&mut self, keep: &mut KeepCopy<'_>) -> bool {
        let it = &mut self.payload;
        let copy = Payload {
            tenant: Arc::clone(&it.tenant),
            block: it.block.clone(),
            headers: it.headers.clone(),
            tickets: std::mem::take(&mut it.tickets),
            permit: None,
            ..*it
        };
        match keep(copy) {
            Ok(()) => true,
            Err(refused) => {
                it.tickets = refused.payload.tickets;
                false
            }
        }
    }
}

impl SimQueue {
    /// Looks at all sections, in order.
    pub fn look<T>(&self, look: impl FnOnce(&[Stored]) -> T) -> T {
        look(&self.lock().stored)
    }

    /// How many sections there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().stored.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often payloads were refused, but for want of a place.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.lock().refused
    }

    /// What it does from now on.
    pub fn set_mode(&self, mode: Mode) {
        self.lock().mode = mode;
    }

    /// From now on it has no place for the payloads of this tenant; `None`: it has.
    pub fn refuse(&self, tenant: Option<&str>) {
        self.lock().stuck = tenant.map(Arc::from);
    }

    /// Makes the oldest payloads that it holds safe, and says so.
    pub fn settle(&self, payloads: usize) {
        for _ in 0..payloads {
            let mut state = self.lock();
            let Some(payload) = state.make_safe() else { return };
            state.tell(payload);
        }
    }

    /// Makes the oldest payloads that it holds safe, and tells nobody.
    pub fn make_safe(&self, payloads: usize) {
        let mut state = self.lock();
        for _ in 0..payloads {
            let Some(payload) = state.make_safe() else { return };
            state.untold.push(payload);
        }
    }

    /// Says of one payload that is safe that it is, whatever became of those before it.
    pub fn acknowledge(&self, number: usize) {
        let mut state = self.lock();
        if !state.untold.is_empty() {
            let number = number % state.untold.len();
            let payload = state.untold.remove(number);
            state.tell(payload);
        }
    }

    /// Makes everything safe, and says so.
    pub fn settle_all(&self) {
        self.make_safe(usize::MAX);
        while !self.lock().untold.is_empty() {
            self.acknowledge(0);
        }
    }

    /// Who wrote to it is dead. Of what is not safe, so many sections stay, as if they had been, and some
    /// `records` of the next; what comes after is gone.
    pub fn lose(&self, kept: usize, records: usize) {
        let mut state = self.lock();
        state.held.clear();
        state.untold.clear();
        let safe = state.stored.iter().filter(|it| it.is_safe).count();
        let part = state.stored.get(safe + kept).and_then(|it| it.part(records));
        state.stored.truncate(safe + kept);
        state.stored.extend(part);
        // Who comes next reads back what is there.
        state.stored.iter_mut().for_each(|it| (it.is_safe, it.is_acked) = (true, true));
        state.mode = Mode::Safe;
        state.life += 1;
    }

    /// The records of a section that was encoded into a block.
    #[must_use]
    pub fn records(&self, header: &PayloadHeader, block: &[u8]) -> Vec<Encoded> {
        self.lock().encoded(header, block).map_or(Vec::new(), |it| it.1.clone())
    }

    /// A sink that writes to it.
    #[must_use]
    pub fn sink(&self, acks: AckSender) -> Box<dyn Sink> {
        Box::new(Writer { queue: self.clone(), acks, is_draining: false })
    }

    /// The same, for what comes out of a spool.
    #[must_use]
    pub fn draining(&self, acks: AckSender) -> Box<dyn Sink> {
        Box::new(Writer { queue: self.clone(), acks, is_draining: true })
    }

    /// An encoder for it.
    #[must_use]
    pub fn encoder(&self) -> Box<dyn Encode> {
        Box::new(Encoder(self.clone()))
    }

    /// A compressor for it, that does nothing.
    #[must_use]
    pub fn compressor() -> Box<dyn Compress> {
        Box::new(Plain)
    }

    /// Tells what it holds.
    #[must_use]
    pub fn read_back(&self) -> Box<dyn ReadBack> {
        Box::new(Reader(self.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// In which life it was read, and its records; none of a gap that a spool made, which is no number.
    fn encoded(&self, header: &PayloadHeader, block: &[u8]) -> Option<&(u32, Vec<Encoded>)> {
        let number = block[header.in_block()].first_chunk().copied().map(usize::from_le_bytes)?;
        let encoded = self.encoded.get(number);
        assert!(encoded.is_some() || header.records == 0, "what the encoder wrote");
        encoded
    }

    fn take(&mut self, payload: &Payload, sections: usize, is_drained: bool) -> Range<usize> {
        let first = self.stored.len();
        for header in payload.headers.iter().take(sections) {
            let encoded = self.encoded(header, &payload.block).cloned();
            let (life, records) = encoded.unwrap_or((self.life, Vec::new()));
            let (header, is_safe, is_acked) = (header.clone(), false, false);
            self.stored.push(Stored { header, records, is_safe, is_acked, life, is_drained });
        }
        first..self.stored.len()
    }

    /// The oldest payload that is not safe, made safe.
    fn make_safe(&mut self) -> Option<Waiting> {
        let payload = self.held.pop_front()?;
        self.stored[payload.sections.clone()].iter_mut().for_each(|it| it.is_safe = true);
        Some(payload)
    }

    fn tell(&mut self, waiting: Waiting) {
        self.stored[waiting.sections].iter_mut().for_each(|it| it.is_acked = true);
        waiting.acks.complete(waiting.payload.tickets);
    }

    fn is_stuck(&self, payload: &Payload) -> bool {
        payload.headers.iter().any(|it| Some(&it.context.tenant) == self.stuck.as_ref())
    }
}

#[derive(Debug)]
struct Writer {
    queue: SimQueue,
    acks: AckSender,
    is_draining: bool,
}

impl Sink for Writer {
    fn submit(&mut self, mut payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        let mut state = self.queue.lock();
        let sections = payload.headers.len();
        let why = match state.mode {
            _ if state.is_stuck(&payload) => SinkError::Retry("not from you".to_owned()),
            // In order: not before those that are held.
            Mode::Safe | Mode::Held => {
                let (acks, is_drained) = (self.acks.clone(), self.is_draining);
                let sections = state.take(&payload, sections, is_drained);
                payload.permit = None;
                let block = payload.block.clone();
                state.held.push_back(Waiting { sections, payload, acks, is_drained });
                let is_safe = state.mode == Mode::Safe && state.held.len() == 1;
                drop(state);
                self.queue.settle(usize::from(is_safe));
                return Ok(Some(block));
            }
            Mode::Refuses => SinkError::Retry("for now".to_owned()),
            Mode::IsBusy => SinkError::Busy,
            Mode::Breaks(kept) => {
                state.take(&payload, kept, self.is_draining);
                SinkError::Broken("in the middle".to_owned())
            }
        };
        // Of what comes out of a spool nobody counts it.
        state.refused += u64::from(matches!(why, SinkError::Retry(_)) && !self.is_draining);
        Err(Box::new(Refused { payload, why }))
    }

    fn flush(&mut self, _deadline_ns: u64) -> Result<(), SinkError> {
        self.queue.settle_all();
        Ok(())
    }

    fn is_clear(&self, tenant: &str) -> bool {
        let state = self.queue.lock();
        let mut waiting = state.held.iter().chain(&state.untold);
        !waiting.any(|it| !it.is_drained && *it.payload.tenant == *tenant)
    }

    fn copy_unacknowledged(&self, tenant: &str, keep: &mut KeepCopy<'_>) -> bool {
        let state = &mut *self.queue.lock();
        let waiting = state.held.iter_mut().chain(&mut state.untold);
        let is_own = |it: &&mut Waiting| !it.is_drained && *it.payload.tenant == *tenant;
        let mut own: Vec<_> = waiting.filter(is_own).collect();
        own.sort_by_key(|it| it.sections.start);
        own.into_iter().all(|it| it.copy(keep))
    }
}

#[derive(Debug)]
struct Encoder(SimQueue);

impl Encode for Encoder {
    fn encoding(&self) -> Encoding {
        Encoding::JsonLines
    }

    fn encode(&mut self, section: &Section, out: &mut Vec<u8>) {
        let mut state = self.0.lock();
        let begin = out.len();
        out.extend_from_slice(&state.encoded.len().to_le_bytes());
        let mut records = Vec::new();
        if let Content::Records { chunk, .. } = &section.content {
            for it in chunk.records() {
                let cursor = section.span.begin + u64::from(it.cursor);
                records.push((cursor, it.flags, chunk.body(it).to_vec()));
            }
        }
        // As large as what it stands for, so that memory is short when it would be.
        let bytes: usize = records.iter().map(|(_, _, body)| body.len()).sum();
        out.resize(out.len().max(begin + bytes), 0);
        let life = state.life;
        state.encoded.push((life, records));
    }
}

/// Leaves blocks as they are.
#[derive(Debug)]
struct Plain;

impl Compress for Plain {
    fn codec(&self) -> Codec {
        Codec::None
    }

    fn compress(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        out.extend_from_slice(raw);
        Ok(())
    }
}

#[derive(Debug)]
struct Reader(SimQueue);

impl ReadBack for Reader {
    fn persisted(&mut self, context: ContextId) -> Vec<PersistedSpan> {
        let state = self.0.lock();
        let own = state.stored.iter().filter(|it| it.header.context.id == context);
        let mut spans = Vec::new();
        for Stored { header, .. } in own {
            let PayloadHeader { epoch, span, positions, is_inner, .. } = header;
            PersistedSpan::append(&mut spans, *epoch, *span, positions, *is_inner);
        }
        spans
    }
}
