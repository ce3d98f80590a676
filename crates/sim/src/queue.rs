//! Queue: a sink in memory that acknowledges late or never, refuses, breaks in the middle of a payload,
//! and loses what it did not make safe.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flow::{
    AckSender, Codec, Compress, CompressError, Content, ContextId, Encode, Encoding, Payload,
    PayloadHeader, PersistedSpan, ReadBack, RecordFlags, Refused, Section, Sink, SinkError, Ticket,
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
    /// Which life of the agent's wrote it, by number.
    pub life: u32,
}

impl Stored {
    /// Its first records, as a queue has them that takes records one by one. `None` if that is all or none,
    /// or ends where no restart can go on: then these are sent again, which is no promise broken.
    fn part(&self, records: usize) -> Option<Stored> {
        let (cursor, flags, _) = self.records.get(records).filter(|_| records > 0)?;
        let is_followed = flags.has(RecordFlags::CONTINUED);
        let positions = self.header.positions_at(*cursor).filter(|_| !is_followed)?;
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
    /// What was encoded, by number: a block holds the numbers.
    encoded: Vec<Vec<Encoded>>,
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
    tickets: Vec<Ticket>,
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

    /// How many payloads were refused.
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
    pub fn settle(&self, payloads: usize, acks: &AckSender) {
        for _ in 0..payloads {
            let mut state = self.lock();
            let Some(payload) = state.make_safe() else { return };
            state.tell(payload, acks);
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
    pub fn acknowledge(&self, number: usize, acks: &AckSender) {
        let mut state = self.lock();
        if !state.untold.is_empty() {
            let number = number % state.untold.len();
            let payload = state.untold.remove(number);
            state.tell(payload, acks);
        }
    }

    /// Makes everything safe, and says so.
    pub fn settle_all(&self, acks: &AckSender) {
        self.make_safe(usize::MAX);
        while !self.lock().untold.is_empty() {
            self.acknowledge(0, acks);
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
        self.lock().records(header, block)
    }

    /// A sink that writes to it.
    #[must_use]
    pub fn sink(&self, acks: AckSender) -> Box<dyn Sink> {
        Box::new(Writer { queue: self.clone(), acks })
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
    fn records(&self, header: &PayloadHeader, block: &[u8]) -> Vec<Encoded> {
        let number = block[header.in_block()].try_into().map(usize::from_le_bytes);
        self.encoded[number.expect("one number")].clone()
    }

    fn take(&mut self, payload: &mut Payload, sections: usize) -> Waiting {
        let first = self.stored.len();
        for header in payload.headers.iter().take(sections) {
            let (records, header) = (self.records(header, &payload.block), header.clone());
            let (is_safe, is_acked, life) = (false, false, self.life);
            self.stored.push(Stored { header, records, is_safe, is_acked, life });
        }
        let tickets = std::mem::take(&mut payload.tickets);
        Waiting { sections: first..self.stored.len(), tickets }
    }

    /// The oldest payload that is not safe, made safe.
    fn make_safe(&mut self) -> Option<Waiting> {
        let payload = self.held.pop_front()?;
        self.stored[payload.sections.clone()].iter_mut().for_each(|it| it.is_safe = true);
        Some(payload)
    }

    fn tell(&mut self, payload: Waiting, acks: &AckSender) {
        self.stored[payload.sections].iter_mut().for_each(|it| it.is_acked = true);
        acks.complete(payload.tickets);
    }

    fn is_stuck(&self, payload: &Payload) -> bool {
        payload.headers.iter().any(|it| Some(&it.context.tenant) == self.stuck.as_ref())
    }
}

#[derive(Debug)]
struct Writer {
    queue: SimQueue,
    acks: AckSender,
}

impl Sink for Writer {
    fn submit(&mut self, mut payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        let mut state = self.queue.lock();
        let sections = payload.headers.len();
        let why = match state.mode {
            _ if state.is_stuck(&payload) => SinkError::Retry("not from you".to_owned()),
            // In order: not before those that are held.
            Mode::Safe | Mode::Held => {
                let waiting = state.take(&mut payload, sections);
                state.held.push_back(waiting);
                let is_safe = state.mode == Mode::Safe && state.held.len() == 1;
                drop(state);
                self.queue.settle(usize::from(is_safe), &self.acks);
                return Ok(Some(payload.block));
            }
            Mode::Refuses => SinkError::Retry("for now".to_owned()),
            Mode::IsBusy => SinkError::Busy,
            Mode::Breaks(kept) => {
                let tickets = state.take(&mut payload, kept).tickets;
                payload.tickets = tickets;
                SinkError::Broken("in the middle".to_owned())
            }
        };
        state.refused += 1;
        Err(Box::new(Refused { payload, why }))
    }

    fn flush(&mut self, _deadline_ns: u64) -> Result<(), SinkError> {
        self.queue.settle_all(&self.acks);
        Ok(())
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
        out.extend_from_slice(&state.encoded.len().to_le_bytes());
        let mut records = Vec::new();
        if let Content::Records { chunk, .. } = &section.content {
            for it in chunk.records() {
                let cursor = section.span.begin + u64::from(it.cursor);
                records.push((cursor, it.flags, chunk.body(it).to_vec()));
            }
        }
        state.encoded.push(records);
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
