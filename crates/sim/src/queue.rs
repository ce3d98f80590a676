//! Queue: a sink in memory that acknowledges late or never, refuses, breaks in the middle of a payload,
//! and loses what it did not make safe.

use std::collections::VecDeque;
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
    /// Payloads that are not safe: how many sections, and their tickets.
    held: VecDeque<(usize, Vec<Ticket>)>,
    refused: u64,
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

    /// Makes the oldest payloads that it holds safe, and says so.
    pub fn settle(&self, payloads: usize, acks: &AckSender) {
        for _ in 0..payloads {
            let mut state = self.lock();
            let Some((sections, tickets)) = state.held.pop_front() else { return };
            let first = state.stored.iter().position(|it| !it.is_safe).unwrap_or(0);
            state.stored[first..first + sections].iter_mut().for_each(|it| it.is_safe = true);
            drop(state);
            acks.complete(tickets);
        }
    }

    /// Who wrote to it is dead. Of what is not safe, so many sections stay, as if they had been; what
    /// comes after is gone.
    pub fn lose(&self, kept: usize) {
        let mut state = self.lock();
        state.held.clear();
        let safe = state.stored.iter().filter(|it| it.is_safe).count();
        state.stored.truncate(safe + kept);
        state.stored.iter_mut().for_each(|it| it.is_safe = true);
        state.mode = Mode::Safe;
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
        let range = header.range.start as usize..header.range.end as usize;
        let number = block[range].try_into().map(usize::from_le_bytes);
        self.encoded[number.expect("one number")].clone()
    }

    fn take(&mut self, payload: &Payload, sections: usize, is_safe: bool) {
        for header in payload.headers.iter().take(sections) {
            let records = self.records(header, &payload.block);
            self.stored.push(Stored { header: header.clone(), records, is_safe });
        }
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
            Mode::Safe if state.held.is_empty() => {
                state.take(&payload, sections, true);
                drop(state);
                self.acks.complete(payload.tickets);
                return Ok(Some(payload.block));
            }
            // In order: not before those that are held.
            Mode::Safe | Mode::Held => {
                state.take(&payload, sections, false);
                state.held.push_back((sections, std::mem::take(&mut payload.tickets)));
                return Ok(Some(payload.block));
            }
            Mode::Refuses => SinkError::Retry("for now".to_owned()),
            Mode::IsBusy => SinkError::Busy,
            Mode::Breaks(kept) => {
                state.take(&payload, kept, false);
                SinkError::Broken("in the middle".to_owned())
            }
        };
        state.refused += 1;
        Err(Box::new(Refused { payload, why }))
    }

    fn flush(&mut self, _deadline_ns: u64) -> Result<(), SinkError> {
        self.queue.settle(usize::MAX, &self.acks);
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
        let span = |it: &Stored| PersistedSpan {
            epoch: it.header.epoch,
            span: it.header.span,
            positions: it.header.positions.clone(),
        };
        own.map(span).collect()
    }
}
