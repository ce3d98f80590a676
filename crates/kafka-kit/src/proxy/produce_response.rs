//! The answer to a Produce request: where it says how a partition has fared.
//!
//! The layout is that of Kafka's `ProduceResponse.json`. From version 9 on lengths are varints and
//! tagged fields follow each structure; from 13 on topics have ids in place of names, which are not
//! known here.

use std::io;

use super::cursor::{Cursor, FIRST_FLEXIBLE, LAST_WITH_NAMES};
use super::frame::invalid;

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
            skip_rest_of_partition(&mut cursor, version)?;
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

fn skip_rest_of_partition(cursor: &mut Cursor<'_>, version: i16) -> io::Result<()> {
    // Error code, offset, time of the log, first offset of the log.
    cursor.skip(2 + 8)?;
    cursor.skip(if version >= 2 { 8 } else { 0 })?;
    cursor.skip(if version >= 5 { 8 } else { 0 })?;
    if version >= 8 {
        for _ in 0..cursor.array()? {
            cursor.skip(4)?;
            cursor.string()?;
            cursor.skip_tags()?;
        }
        cursor.string()?;
    }
    cursor.skip_tags()
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
