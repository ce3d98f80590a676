//! Format: the one place where the queue's integers become bytes and come back.
//!
//! Little-endian, whatever the machine. Reading never panics and never allocates by a length that
//! was not checked: every field says how many bytes it wants, and too few are an error. The layouts
//! are in `docs/FORMAT.md`, which is the truth.

/// Why bytes that had the right checksum are not what they should be.
///
/// With a right checksum this is a defect of the writer or a newer writer, not of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Fewer bytes than the fields need.
    #[error("ends early")]
    Short,
    /// More bytes than the fields need.
    #[error("is longer than its fields")]
    Long,
    /// A field holds what it may not.
    #[error("field {0} is out of range")]
    Field(&'static str),
}

/// Reads fields from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Fields<'a> {
        Fields { rest: bytes }
    }

    /// The next `count` bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(super) fn u128(&mut self) -> Result<u128, Malformed> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    /// The next `count` bytes as text.
    pub(super) fn text(&mut self, count: usize, name: &'static str) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes(count)?).map_err(|_| Malformed::Field(name))
    }

    /// A field that must be zero.
    pub(super) fn zero(&mut self, count: usize, name: &'static str) -> Result<(), Malformed> {
        match self.bytes(count)?.iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(Malformed::Field(name)),
        }
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Long) }
    }

    /// Bytes not read yet.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }
}

/// Appends fields to a buffer.
pub(super) trait Put {
    /// Appends bytes as they are.
    fn put(&mut self, bytes: &[u8]);

    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    fn put_i64(&mut self, value: i64) {
        self.put(&value.to_le_bytes());
    }

    fn put_u128(&mut self, value: u128) {
        self.put(&value.to_le_bytes());
    }
}

impl Put for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A length in memory as the `u32` that stands in files.
///
/// # Panics
/// If it does not fit: callers have compared it with a limit far below.
pub(super) fn len_u32(len: usize) -> u32 {
    u32::try_from(len).expect("limits are far below 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_and_are_little_endian() {
        let mut bytes = Vec::new();
        bytes.put_u8(1);
        bytes.put_u16(0x0203);
        bytes.put_u32(4);
        bytes.put_i64(-5);
        bytes.put_u128(6);
        bytes.put(b"seven");
        assert_eq!(bytes[1..3], [3, 2]);
        let mut fields = Fields::new(&bytes);
        assert_eq!(fields.u8(), Ok(1));
        assert_eq!(fields.u16(), Ok(0x0203));
        assert_eq!(fields.u32(), Ok(4));
        assert_eq!(fields.i64(), Ok(-5));
        assert_eq!(fields.u128(), Ok(6));
        assert_eq!(fields.end(), Err(Malformed::Long));
        assert_eq!(fields.text(5, "name"), Ok("seven"));
        assert_eq!(fields.end(), Ok(()));
        assert_eq!(fields.u64(), Err(Malformed::Short));
    }
}
