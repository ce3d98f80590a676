//! Cursor: reads a Produce request or its answer field by field.

use std::io;

use super::frame::invalid;

/// The first version of both with varints.
pub(super) const FIRST_FLEXIBLE: i16 = 9;
/// The last version of both with names of topics; then they have ids, which are not known here.
pub(super) const LAST_WITH_NAMES: i16 = 12;

/// A place in a frame, up to which it was read.
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    /// Whether lengths are varints, and tagged fields follow each structure.
    pub(super) is_flexible: bool,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken =
            rest.get(..count).ok_or_else(|| invalid("a Produce frame that ends too early"))?;
        self.at += count;
        Ok(taken)
    }

    /// Passes over so many bytes.
    pub(super) fn skip(&mut self, count: usize) -> io::Result<()> {
        self.take(count).map(drop)
    }

    /// Four bytes.
    pub(super) fn int(&mut self) -> io::Result<i32> {
        let bytes = self.take(4)?.first_chunk().copied().expect("four bytes");
        Ok(i32::from_be_bytes(bytes))
    }

    fn varint(&mut self) -> io::Result<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = usize::from(self.take(1)?[0]);
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(invalid("a Produce frame with a number of more than 32 bits"))
    }

    /// The length of an array; one that is null has none.
    pub(super) fn array(&mut self) -> io::Result<usize> {
        if self.is_flexible {
            return Ok(self.varint()?.saturating_sub(1));
        }
        Ok(usize::try_from(self.int()?).unwrap_or(0))
    }

    /// The bytes of a string; one that is null has none.
    pub(super) fn string(&mut self) -> io::Result<&'a [u8]> {
        let length = if self.is_flexible {
            self.varint()?.saturating_sub(1)
        } else {
            let bytes = self.take(2)?.first_chunk().copied().expect("two bytes");
            usize::try_from(i16::from_be_bytes(bytes)).unwrap_or(0)
        };
        self.take(length)
    }

    /// Passes over an array of bytes, and returns where it began; one that is null is empty.
    pub(super) fn bytes(&mut self) -> io::Result<usize> {
        let length = self.array()?;
        let begin = self.at;
        self.skip(length)?;
        Ok(begin)
    }

    /// Passes over tagged fields, if there are any.
    pub(super) fn skip_tags(&mut self) -> io::Result<()> {
        if self.is_flexible {
            for _ in 0..self.varint()? {
                self.varint()?;
                let length = self.varint()?;
                self.skip(length)?;
            }
        }
        Ok(())
    }
}
