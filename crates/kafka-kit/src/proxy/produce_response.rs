//! The answer to a Produce request: where it says how a partition has fared.
//!
//! The layout is that of Kafka's `ProduceResponse.json`. From version 9 on lengths are varints and
//! tagged fields follow each structure; from 13 on topics have ids in place of names, which are not
//! known here.

use std::io;

use super::frame::invalid;

/// The first version with varints.
const FIRST_FLEXIBLE: i16 = 9;
/// The last version with names of topics.
const LAST_WITH_NAMES: i16 = 12;

/// Where the error code of this partition begins; `None` if the answer is not about it.
///
/// # Errors
///
/// If the version is not known here, or the answer ends too early.
pub(crate) fn find(
    response: &[u8],
    version: i16,
    topic: &str,
    partition: i32,
) -> io::Result<Option<usize>> {
    if !(0..=LAST_WITH_NAMES).contains(&version) {
        return Err(invalid(&format!(
            "a Produce answer of version {version}, which is not known here"
        )));
    }
    let mut cursor = Cursor { bytes: response, at: 0, is_flexible: version >= FIRST_FLEXIBLE };
    // The number of the request, and the tagged fields of the head.
    cursor.skip(4)?;
    cursor.skip_tags()?;
    for _ in 0..cursor.array()? {
        let is_topic = cursor.string()? == topic.as_bytes();
        for _ in 0..cursor.array()? {
            let is_partition = cursor.int()? == partition;
            if is_topic && is_partition {
                return Ok(Some(cursor.at));
            }
            cursor.skip_rest_of_partition(version)?;
        }
        cursor.skip_tags()?;
    }
    Ok(None)
}

/// Puts an error code at a place that [`find`] has found. As brokers do, takes back the offset.
pub(crate) fn set_error(response: &mut [u8], place: usize, code: i16) {
    response[place..place + 2].copy_from_slice(&code.to_be_bytes());
    response[place + 2..place + 10].copy_from_slice(&(-1_i64).to_be_bytes());
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    is_flexible: bool,
}

impl<'a> Cursor<'a> {
    fn skip_rest_of_partition(&mut self, version: i16) -> io::Result<()> {
        // Error code, offset, time of the log, first offset of the log.
        self.skip(2 + 8)?;
        self.skip(if version >= 2 { 8 } else { 0 })?;
        self.skip(if version >= 5 { 8 } else { 0 })?;
        if version >= 8 {
            for _ in 0..self.array()? {
                self.skip(4)?;
                self.string()?;
                self.skip_tags()?;
            }
            self.string()?;
        }
        self.skip_tags()
    }

    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken =
            rest.get(..count).ok_or_else(|| invalid("a Produce answer that ends too early"))?;
        self.at += count;
        Ok(taken)
    }

    fn skip(&mut self, count: usize) -> io::Result<()> {
        self.take(count).map(drop)
    }

    fn int(&mut self) -> io::Result<i32> {
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
        Err(invalid("a Produce answer with a number of more than 32 bits"))
    }

    /// The length of an array; one that is null has none.
    fn array(&mut self) -> io::Result<usize> {
        if self.is_flexible {
            return Ok(self.varint()?.saturating_sub(1));
        }
        Ok(usize::try_from(self.int()?).unwrap_or(0))
    }

    /// The bytes of a string; one that is null has none.
    fn string(&mut self) -> io::Result<&'a [u8]> {
        let length = if self.is_flexible {
            self.varint()?.saturating_sub(1)
        } else {
            let bytes = self.take(2)?.first_chunk().copied().expect("two bytes");
            usize::try_from(i16::from_be_bytes(bytes)).unwrap_or(0)
        };
        self.take(length)
    }

    fn skip_tags(&mut self) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer about partitions 0 and 7 of `a`, with record errors, and 7 of `logs`.
    fn answer(version: i16) -> Vec<u8> {
        let is_flexible = version >= FIRST_FLEXIBLE;
        let mut bytes = 99_i32.to_be_bytes().to_vec();
        let tags: &[u8] = if is_flexible { &[1, 0, 2, 0xaa, 0xbb] } else { &[] };
        let array = |count: u8| if is_flexible { vec![count + 1] } else { vec![0, 0, 0, count] };
        let string = |text: &str| {
            let length = u8::try_from(text.len()).unwrap();
            let head = if is_flexible { vec![length + 1] } else { vec![0, length] };
            [head, text.as_bytes().to_vec()].concat()
        };
        bytes.extend(tags);
        bytes.extend(array(2));
        for (topic, partitions) in [("a", vec![0_i32, 7]), ("logs", vec![7])] {
            bytes.extend(string(topic));
            bytes.extend(array(u8::try_from(partitions.len()).unwrap()));
            for partition in partitions {
                bytes.extend(partition.to_be_bytes());
                bytes.extend([0; 2]);
                bytes.extend(1000_i64.to_be_bytes());
                bytes.extend(vec![0; if version >= 2 { 8 } else { 0 }]);
                bytes.extend(vec![0; if version >= 5 { 8 } else { 0 }]);
                if version >= 8 {
                    bytes.extend(array(1));
                    bytes.extend([0; 4]);
                    bytes.extend(string("bad record"));
                    bytes.extend(tags);
                    bytes.extend(string("bad batch"));
                }
                bytes.extend(tags);
            }
            bytes.extend(tags);
        }
        bytes
    }

    #[test]
    fn a_partition_is_found_in_every_layout() {
        for version in 0..=LAST_WITH_NAMES {
            let mut bytes = answer(version);
            let place = find(&bytes, version, "logs", 7).unwrap().unwrap();
            assert_eq!(bytes[place - 4..place], 7_i32.to_be_bytes(), "version {version}");
            assert_eq!(bytes[place + 2..place + 10], 1000_i64.to_be_bytes(), "version {version}");
            set_error(&mut bytes, place, 45);
            assert_eq!(bytes[place..place + 3], [0, 45, 0xff], "version {version}");
            let other = find(&bytes, version, "a", 7).unwrap().unwrap();
            assert!(other < place, "version {version}");
            assert_eq!(find(&bytes, version, "logs", 0).unwrap(), None, "version {version}");
        }
    }

    #[test]
    fn an_answer_that_ends_too_early_is_refused() {
        for version in [3, 8, 9, 12] {
            let bytes = answer(version);
            let place = find(&bytes, version, "logs", 7).unwrap().unwrap();
            for length in 0..place {
                assert!(find(&bytes[..length], version, "logs", 7).is_err(), "{version} {length}");
            }
        }
        assert!(find(&answer(12), 13, "logs", 7).is_err());
    }
}
