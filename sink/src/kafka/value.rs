//! Value: the bytes of a message, compressed by us if that is wanted.

use flow::{Codec, Compress};

use super::in_flight::{Batch, Rejection};
use crate::compress::Zstd;

/// Makes the values of one shipper's messages.
#[derive(Debug)]
pub(super) struct Values {
    compress: Option<Zstd>,
    compressed: Vec<u8>,
}

impl Values {
    /// Compresses by Zstandard at that level, or leaves it to Kafka's record batches.
    pub(super) fn new(level: Option<i32>) -> Values {
        Values { compress: level.map(Zstd::new), compressed: Vec::new() }
    }

    /// The value of a message, and how it is compressed.
    pub(super) fn of<'a>(
        &'a mut self,
        batch: &'a Batch,
        message: usize,
    ) -> Result<(&'a [u8], Codec), Rejection> {
        let value = &batch.payload.block[batch.messages[message].range.clone()];
        let Some(compress) = self.compress.as_mut().filter(|_| !value.is_empty()) else {
            return Ok((value, Codec::None));
        };
        compress
            .compress(value, &mut self.compressed)
            .map_err(|error| Rejection { why: error.to_string(), is_too_large: false })?;
        Ok((&self.compressed, Codec::Zstd))
    }
}
