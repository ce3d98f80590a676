//! Payloads made for tests of sinks, and an ear for what becomes of their tickets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flow::{
    AckSender, Acked, Codec, Encoding, Ledger, Marks, Payload, PayloadHeader, Span, ack_channel,
};

use crate::section_kit;

/// How long a test waits for what must come before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

type Hear = Box<dyn Fn(Duration) -> Option<Vec<Acked>> + Send + Sync>;

/// Makes payloads of one section each.
pub(crate) struct Payloads {
    pub(crate) acks: AckSender,
    hear: Hear,
    heard: AtomicU64,
    ledger: Arc<Ledger>,
}

impl Payloads {
    pub(crate) fn new() -> Payloads {
        let (acks, receiver) = ack_channel();
        let hear: Hear = Box::new(move |patience| receiver.recv_timeout(patience).ok());
        Payloads { acks, hear, heard: AtomicU64::new(0), ledger: Arc::default() }
    }

    pub(crate) fn payload(&self, encoding: Encoding, codec: Codec, block: &[u8]) -> Payload {
        let bytes = u32::try_from(block.len()).unwrap();
        let span = Span::new(0, u64::from(bytes));
        let header = PayloadHeader {
            context: section_kit::context(),
            epoch: 0,
            span,
            marks: Marks::NONE,
            records: 1,
            filtered: 0,
            gap: None,
            observed_unix_ns: 0,
            positions: Vec::new(),
            is_divisible: false,
            part_of: None,
            is_inner: false,
            range: 0..bytes,
        };
        Payload {
            tenant: Arc::from("shop"),
            encoding,
            codec,
            raw_bytes: bytes,
            block: block.to_vec(),
            headers: vec![header],
            tickets: vec![section_kit::ticket(span, &self.ledger)],
            permit: None,
        }
    }

    /// Plain lines.
    pub(crate) fn lines(&self, lines: &str) -> Payload {
        self.payload(Encoding::JsonLines, Codec::None, lines.as_bytes())
    }

    /// Tickets acknowledged so far.
    pub(crate) fn acked(&self) -> u64 {
        while self.hear_one(Duration::ZERO) {}
        self.heard.load(Ordering::Relaxed)
    }

    /// Waits until `wanted` tickets are acknowledged.
    pub(crate) fn await_acked(&self, wanted: u64) {
        while self.acked() < wanted {
            assert!(self.hear_one(PATIENCE), "{} of {wanted} acks came", self.acked());
        }
    }

    /// Tickets dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.ledger.dropped()
    }

    fn hear_one(&self, patience: Duration) -> bool {
        let Some(acked) = (self.hear)(patience) else { return false };
        self.heard.fetch_add(acked.len() as u64, Ordering::Relaxed);
        true
    }
}
