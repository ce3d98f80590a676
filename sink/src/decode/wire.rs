//! Protobuf reader: the fields of one message, borrowed. Checks every length against the message.

use super::DecodeError;

/// A message, and where it lies in the payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What a field holds, by its wire type.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(Message<'a>),
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) wire: Wire<'a>,
}

impl<'a> Message<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Message<'a> {
        Message { bytes: payload, at: 0 }
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Calls `each` with every field, in order.
    pub(super) fn each_field(
        mut self,
        mut each: impl FnMut(Field<'a>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        while !self.bytes.is_empty() {
            let key = self.varint()?;
            let wire = match key & 7 {
                0 => Wire::Varint(self.varint()?),
                1 => Wire::Fixed64(u64::from_le_bytes(self.fixed()?)),
                2 => Wire::Bytes(self.delimited()?),
                5 => {
                    let _: [u8; 4] = self.fixed()?;
                    Wire::Fixed32
                }
                _ => return Err(self.wrong("a wire type that OTLP does not use")),
            };
            each(Field { number: key >> 3, wire })?;
        }
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.fixed()?;
            // The tenth byte has room for one bit; what lies above it is cut off, as protobuf does.
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.wrong("a number of more than ten bytes"))
    }

    fn delimited(&mut self) -> Result<Message<'a>, DecodeError> {
        let len = self.varint()?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let Some((inner, rest)) = self.bytes.split_at_checked(len) else {
            return Err(self.wrong("a length beyond the end"));
        };
        let message = Message { bytes: inner, at: self.at };
        self.bytes = rest;
        self.at += len;
        Ok(message)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((fixed, rest)) = self.bytes.split_first_chunk::<N>() else {
            return Err(self.wrong("cut off inside a field"));
        };
        self.bytes = rest;
        self.at += N;
        Ok(*fixed)
    }

    fn wrong(&self, why: &'static str) -> DecodeError {
        DecodeError::Wire { at: self.at, why }
    }
}
