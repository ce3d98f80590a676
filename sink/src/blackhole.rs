//! Blackhole: a sink that keeps nothing and acknowledges everything, for benches and dry runs.
//!
//! Owned by a shipper, on its thread. Tickets complete before `submit` returns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flow::{AckSender, Payload, Refused, Sink, SinkError};

/// What black holes have swallowed; shared by all that were made with it.
#[derive(Debug, Default)]
pub struct Swallowed {
    payloads: AtomicU64,
    records: AtomicU64,
    raw_bytes: AtomicU64,
    block_bytes: AtomicU64,
}

impl Swallowed {
    /// Payloads so far.
    #[must_use]
    pub fn payloads(&self) -> u64 {
        self.payloads.load(Ordering::Relaxed)
    }

    /// Records so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Bytes of blocks before compression.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of blocks as they came.
    #[must_use]
    pub fn block_bytes(&self) -> u64 {
        self.block_bytes.load(Ordering::Relaxed)
    }
}

/// Acknowledges and forgets.
#[derive(Debug)]
pub struct BlackholeSink {
    acks: AckSender,
    swallowed: Arc<Swallowed>,
}

impl BlackholeSink {
    /// A sink that counts in `swallowed`.
    #[must_use]
    pub fn new(swallowed: Arc<Swallowed>, acks: AckSender) -> BlackholeSink {
        BlackholeSink { acks, swallowed }
    }
}

impl Sink for BlackholeSink {
    fn submit(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        let records = payload.headers.iter().map(|header| u64::from(header.records)).sum();
        let count = &self.swallowed;
        count.payloads.fetch_add(1, Ordering::Relaxed);
        count.records.fetch_add(records, Ordering::Relaxed);
        count.raw_bytes.fetch_add(u64::from(payload.raw_bytes), Ordering::Relaxed);
        count.block_bytes.fetch_add(payload.block.len() as u64, Ordering::Relaxed);
        self.acks.complete(payload.tickets);
        Ok(Some(payload.block))
    }

    fn flush(&mut self, _deadline_ns: u64) -> Result<(), SinkError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flow::{Codec, Encoding};

    use super::*;
    use crate::payload_kit::Payloads;

    #[test]
    fn everything_is_counted_acknowledged_and_its_buffer_returned() {
        let payloads = Payloads::new();
        let swallowed = Arc::new(Swallowed::default());
        let mut sink = BlackholeSink::new(Arc::clone(&swallowed), payloads.acks.clone());
        let payload = payloads.payload(Encoding::OtlpProto, Codec::None, b"block");
        assert_eq!(sink.submit(payload).unwrap().unwrap(), b"block");
        assert_eq!(payloads.acked(), 1);
        sink.flush(0).unwrap();
        assert_eq!((swallowed.payloads(), swallowed.records()), (1, 1));
        assert_eq!((swallowed.raw_bytes(), swallowed.block_bytes()), (5, 5));
    }
}
