//! Protobuf wire format: the few forms that OTLP logs need, written without a code generator.
//!
//! Field numbers are those of `opentelemetry/proto/logs/v1/logs.proto` and its imports; the wire
//! format is that of <https://protobuf.dev/programming-guides/encoding/>.

/// Tags (field number times eight, plus wire type) of the messages we write.
pub(crate) mod tag {
    /// `ExportLogsServiceRequest.resource_logs`.
    pub(crate) const REQUEST_RESOURCE_LOGS: u8 = 0x0A;
    /// `ResourceLogs.resource`.
    pub(crate) const RESOURCE_LOGS_RESOURCE: u8 = 0x0A;
    /// `ResourceLogs.scope_logs`.
    pub(crate) const RESOURCE_LOGS_SCOPE_LOGS: u8 = 0x12;
    /// `Resource.attributes`.
    pub(crate) const RESOURCE_ATTRIBUTES: u8 = 0x0A;
    /// `ScopeLogs.scope`.
    pub(crate) const SCOPE_LOGS_SCOPE: u8 = 0x0A;
    /// `ScopeLogs.log_records`.
    pub(crate) const SCOPE_LOGS_LOG_RECORDS: u8 = 0x12;
    /// `InstrumentationScope.name`.
    pub(crate) const SCOPE_NAME: u8 = 0x0A;
    /// `InstrumentationScope.version`.
    pub(crate) const SCOPE_VERSION: u8 = 0x12;
    /// `InstrumentationScope.attributes`.
    pub(crate) const SCOPE_ATTRIBUTES: u8 = 0x1A;
    /// `LogRecord.time_unix_nano`, eight bytes, little endian.
    pub(crate) const RECORD_TIME: u8 = 0x09;
    /// `LogRecord.severity_number`.
    pub(crate) const RECORD_SEVERITY_NUMBER: u8 = 0x10;
    /// `LogRecord.severity_text`.
    pub(crate) const RECORD_SEVERITY_TEXT: u8 = 0x1A;
    /// `LogRecord.body`.
    pub(crate) const RECORD_BODY: u8 = 0x2A;
    /// `LogRecord.attributes`.
    pub(crate) const RECORD_ATTRIBUTES: u8 = 0x32;
    /// `LogRecord.observed_time_unix_nano`, eight bytes, little endian.
    pub(crate) const RECORD_OBSERVED_TIME: u8 = 0x59;
    /// `KeyValue.key`.
    pub(crate) const KEY: u8 = 0x0A;
    /// `KeyValue.value`.
    pub(crate) const VALUE: u8 = 0x12;
    /// `AnyValue.string_value`.
    pub(crate) const ANY_STRING: u8 = 0x0A;
    /// `AnyValue.int_value`.
    pub(crate) const ANY_INT: u8 = 0x18;
    /// `AnyValue.bytes_value`.
    pub(crate) const ANY_BYTES: u8 = 0x3A;
}

/// Longest varint, in bytes: 64 bits in groups of seven.
pub(crate) const VARINT_BYTES_MAX: usize = 10;
/// Length of a length that is filled in afterwards, in bytes: room for 2^35, more than a `Vec` of
/// records can make of the largest chunk.
const PADDED_BYTES: usize = 5;

/// Bytes of the varint of `value`.
#[inline]
pub(crate) fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    // bits / 7, rounded up, for 1..=64.
    (bits * 9 + 64) / 64
}

/// The varint of a value below 2^56, as little-endian bytes; the caller knows its length.
///
/// Three steps that each halve the groups, instead of a loop over them.
#[inline]
fn varint_word(value: u64, len: usize) -> u64 {
    let mut word = value;
    word = (word & 0x0000_0000_0FFF_FFFF) | ((word & 0x00FF_FFFF_F000_0000) << 4);
    word = (word & 0x0000_3FFF_0000_3FFF) | ((word & 0x0FFF_C000_0FFF_C000) << 2);
    word = (word & 0x007F_007F_007F_007F) | ((word & 0x3F80_3F80_3F80_3F80) << 1);
    let more = (1_u64 << (8 * (len - 1))) - 1;
    word | (0x8080_8080_8080_8080 & more)
}

/// A few bytes being written at the end of a buffer, in a window of constant size.
///
/// The window is what makes it fast: bounds are those of an array, and room is asked for once. The
/// bytes go to their place directly; put together beside and then copied, the copy would wait for
/// the narrow writes before it. `N` leaves eight bytes of slack behind the longest content, as
/// varints are written as words.
#[derive(Debug)]
pub(crate) struct Piece<'a, const N: usize> {
    window: &'a mut [u8; N],
    len: usize,
}

/// Appends to `out` what `fill` puts into the piece.
#[inline]
pub(crate) fn append<const N: usize>(out: &mut Vec<u8>, fill: impl FnOnce(&mut Piece<'_, N>)) {
    let begin = out.len();
    out.extend_from_slice(&[0; N]);
    let window = out.last_chunk_mut().expect("N bytes were just appended");
    let mut piece = Piece { window, len: 0 };
    fill(&mut piece);
    let end = begin + piece.len;
    out.truncate(end);
}

impl<const N: usize> Piece<'_, N> {
    /// Adds `bytes`.
    #[inline]
    pub(crate) fn put<const M: usize>(&mut self, bytes: [u8; M]) {
        self.window[self.len..self.len + M].copy_from_slice(&bytes);
        self.len += M;
    }

    /// Adds the varint of `value`, whose length is `len`.
    #[inline]
    pub(crate) fn put_varint(&mut self, value: u64, len: usize) {
        if len <= 8 {
            let word = varint_word(value, len).to_le_bytes();
            self.window[self.len..self.len + 8].copy_from_slice(&word);
            self.len += len;
        } else {
            self.put_long_varint(value);
        }
    }

    #[cold]
    fn put_long_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put([low_byte(value) | 0x80]);
            value >>= 7;
        }
        self.put([low_byte(value)]);
    }
}

#[inline]
fn low_byte(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

/// Appends a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, value: u64) {
    append(out, |piece: &mut Piece<'_, { VARINT_BYTES_MAX + 8 }>| {
        piece.put_varint(value, varint_len(value));
    });
}

/// Appends a field of bytes or text.
pub(crate) fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Length of a field of `len` bytes, with its tag and length.
pub(crate) fn field_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

/// Appends a `KeyValue` field with a text.
pub(crate) fn put_text_attribute(out: &mut Vec<u8>, tag: u8, key: &str, text: &str) {
    let any = field_len(text.len());
    out.push(tag);
    put_varint(out, (field_len(key.len()) + field_len(any)) as u64);
    put_bytes(out, tag::KEY, key.as_bytes());
    out.push(tag::VALUE);
    put_varint(out, any as u64);
    put_bytes(out, tag::ANY_STRING, text.as_bytes());
}

/// Appends a `KeyValue` field with an integer.
pub(crate) fn put_int_attribute(out: &mut Vec<u8>, tag: u8, key: &str, number: i64) {
    let number = number.cast_unsigned();
    let any = 1 + varint_len(number);
    out.push(tag);
    put_varint(out, (field_len(key.len()) + field_len(any)) as u64);
    put_bytes(out, tag::KEY, key.as_bytes());
    out.push(tag::VALUE);
    put_varint(out, any as u64);
    out.push(tag::ANY_INT);
    put_varint(out, number);
}

/// Begins a message whose length is not known yet, and says where its content begins.
pub(crate) fn open(out: &mut Vec<u8>, tag: u8) -> usize {
    out.push(tag);
    out.extend_from_slice(&[0; PADDED_BYTES]);
    out.len()
}

/// Ends the message whose content began at `at`: fills in its length, padded with empty groups.
pub(crate) fn close(out: &mut [u8], at: usize) {
    let mut rest = (out.len() - at) as u64;
    let (length, _) = out[at - PADDED_BYTES..].split_at_mut(PADDED_BYTES);
    for byte in &mut *length {
        *byte = low_byte(rest) | 0x80;
        rest >>= 7;
    }
    assert_eq!(rest, 0, "a message of 32 GiB");
    length[PADDED_BYTES - 1] &= 0x7F;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_those_of_prost() {
        let edges = (0..64).flat_map(|bit| [1_u64 << bit, (1 << bit) - 1, (1 << bit) + 1]);
        for value in edges.chain([u64::MAX, 0x0123_4567_89AB_CDEF]) {
            let mut want = Vec::new();
            prost::encoding::encode_varint(value, &mut want);
            let mut got = Vec::new();
            put_varint(&mut got, value);
            assert_eq!((got, varint_len(value)), (want.clone(), want.len()), "{value:#x}");
        }
    }

    #[test]
    fn a_length_filled_in_afterwards_reads_back() {
        for len in [0, 1, 127, 128, 70_000] {
            let mut out = vec![9];
            let at = open(&mut out, 0x0A);
            out.resize(at + len, 1);
            close(&mut out, at);
            let mut rest = &out[2..];
            assert_eq!(prost::encoding::decode_varint(&mut rest).unwrap(), len as u64);
            assert_eq!(rest.len(), len);
        }
    }
}
