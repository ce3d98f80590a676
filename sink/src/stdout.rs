//! Stdout sink: writes blocks to a stream that cannot be taken back, as a pipe or a terminal.
//!
//! Owned by a shipper, on its thread, which blocks while the reader of the pipe does. Tickets
//! complete once the block is flushed: what the reader then does with it is not known here.

use std::io::{ErrorKind, Write};

use flow::{AckSender, Codec, Payload, Refused, Sink, SinkError};

/// Writes to a stream.
pub struct StdoutSink<W> {
    out: W,
    acks: AckSender,
    /// Why nothing can be written any more.
    broken: Option<String>,
}

impl<W> std::fmt::Debug for StdoutSink<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StdoutSink").field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl<W: Write + Send> StdoutSink<W> {
    /// A sink that writes to `out`.
    #[must_use]
    pub fn new(out: W, acks: AckSender) -> StdoutSink<W> {
        StdoutSink { out, acks, broken: None }
    }
}

impl<W: Write + Send> Sink for StdoutSink<W> {
    fn submit(&mut self, payload: Payload) -> Result<Option<Vec<u8>>, Box<Refused>> {
        if let Err(why) = self.health() {
            return Err(Box::new(Refused { payload, why }));
        }
        if payload.codec != Codec::None {
            let codec = payload.codec.name();
            let text = format!("stdout: a block compressed by {codec} is not for it; set none");
            return Err(Box::new(Refused { payload, why: SinkError::Broken(text) }));
        }
        let written = self.out.write_all(&payload.block).and_then(|()| self.out.flush());
        if let Err(error) = written {
            // How much arrived is not known, and it cannot be taken back.
            let text = match error.kind() {
                ErrorKind::BrokenPipe => "stdout: its reader is gone".to_owned(),
                _ => format!("stdout: a block was not written as a whole: {error}"),
            };
            self.broken = Some(text.clone());
            return Err(Box::new(Refused { payload, why: SinkError::Broken(text) }));
        }
        self.acks.complete(payload.tickets);
        Ok(Some(payload.block))
    }

    fn flush(&mut self, _deadline_ns: u64) -> Result<(), SinkError> {
        self.health()
    }

    fn health(&self) -> Result<(), SinkError> {
        self.broken.clone().map_or(Ok(()), |why| Err(SinkError::Broken(why)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flow::Encoding;

    use super::*;
    use crate::payload_kit::Payloads;

    #[test]
    fn blocks_arrive_in_order_and_are_acknowledged() {
        let payloads = Payloads::new();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut sink = StdoutSink::new(writer, payloads.acks.clone());
        for block in [b"one\n", b"two\n"] {
            sink.submit(payloads.payload(Encoding::JsonLines, Codec::None, block)).unwrap();
        }
        sink.flush(0).unwrap();
        drop(sink);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
        assert_eq!((payloads.acked(), payloads.dropped()), (2, 0));
    }

    #[test]
    fn a_reader_gone_breaks_the_sink_and_gives_the_payload_back() {
        let payloads = Payloads::new();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut sink = StdoutSink::new(writer, payloads.acks.clone());
        for _ in 0..2 {
            let payload = payloads.payload(Encoding::JsonLines, Codec::None, b"one\n");
            let refused = sink.submit(payload).unwrap_err();
            assert!(matches!(&refused.why, SinkError::Broken(why) if why.contains("reader")));
            assert_eq!(refused.payload.block, b"one\n");
        }
        assert!(sink.health().is_err());
        assert_eq!(payloads.acked(), 0);
    }

    #[test]
    fn a_compressed_block_is_refused() {
        let payloads = Payloads::new();
        let mut sink = StdoutSink::new(Vec::new(), payloads.acks.clone());
        let payload = payloads.payload(Encoding::JsonLines, Codec::Zstd, b"frame");
        assert!(matches!(sink.submit(payload).unwrap_err().why, SinkError::Broken(_)));
    }
}
