//! A Produce request: where the records for a partition are.
//!
//! The layout is that of Kafka's `ProduceRequest.json`, from version 3 on.

use std::io;

use super::cursor::{Cursor, FIRST_FLEXIBLE, LAST_WITH_NAMES};
use super::frame::invalid;

/// The first version whose records are batches with a checksum of their own.
const FIRST_WITH_BATCHES: i16 = 3;
/// Where a batch's checksum is: behind its offset, length, epoch of the leader and format.
const CHECKSUM_AT: usize = 8 + 4 + 4 + 1;

/// Where the first batch for this partition begins; `None` if the request has none for it.
///
/// # Errors
///
/// If the version is not known here, or the request ends too early.
pub(super) fn find(
    request: &[u8],
    version: i16,
    topic: &str,
    partition: i32,
) -> io::Result<Option<usize>> {
    if !(FIRST_WITH_BATCHES..=LAST_WITH_NAMES).contains(&version) {
        return Err(invalid(&format!(
            "a Produce request of version {version}, which is not known here"
        )));
    }
    let mut cursor = Cursor { bytes: request, at: 0, is_flexible: false };
    // Kind, version, number; then the client's name, whose length has never been a varint.
    cursor.skip(2 + 2 + 4)?;
    cursor.string()?;
    cursor.is_flexible = version >= FIRST_FLEXIBLE;
    cursor.skip_tags()?;
    // Transaction, acks, timeout.
    cursor.string()?;
    cursor.skip(2 + 4)?;
    for _ in 0..cursor.array()? {
        let is_topic = cursor.string()? == topic.as_bytes();
        for _ in 0..cursor.array()? {
            let is_partition = cursor.int()? == partition;
            let begin = cursor.bytes()?;
            if is_topic && is_partition && cursor.at > begin + CHECKSUM_AT {
                return Ok(Some(begin));
            }
            cursor.skip_tags()?;
        }
        cursor.skip_tags()?;
    }
    Ok(None)
}

/// Spoils the checksum of a batch that [`find`] has found: the broker refuses it.
pub(super) fn spoil(request: &mut [u8], place: usize) {
    request[place + CHECKSUM_AT] ^= 0xff;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request for partitions 0 and 7 of `a`, and 7 of `logs`; each batch has 40 bytes of its own.
    fn request(version: i16) -> Vec<u8> {
        let is_flexible = version >= FIRST_FLEXIBLE;
        let tags: &[u8] = if is_flexible { &[1, 0, 2, 0xaa, 0xbb] } else { &[] };
        let array = |count: u8| if is_flexible { vec![count + 1] } else { vec![0, 0, 0, count] };
        let string = |text: &str| {
            let length = u8::try_from(text.len()).unwrap();
            let head = if is_flexible { vec![length + 1] } else { vec![0, length] };
            [head, text.as_bytes().to_vec()].concat()
        };
        let null: &[u8] = if is_flexible { &[0] } else { &[0xff, 0xff] };
        let mut bytes = [&[0, 0][..], &version.to_be_bytes(), &[0, 0, 0, 9, 0, 2], b"me"].concat();
        bytes.extend([tags, null, &[0xff, 0xff, 0, 0, 0, 1]].concat());
        bytes.extend(array(2));
        for (topic, partitions) in
            [("a", vec![(0_i32, b'x'), (7, b'y')]), ("logs", vec![(7, b'z')])]
        {
            bytes.extend(string(topic));
            bytes.extend(array(u8::try_from(partitions.len()).unwrap()));
            for (partition, letter) in partitions {
                bytes.extend(partition.to_be_bytes());
                bytes.extend(array(40));
                bytes.extend([letter; 40]);
                bytes.extend(tags);
            }
            bytes.extend(tags);
        }
        bytes.extend(tags);
        bytes
    }

    #[test]
    fn the_batch_of_a_partition_is_found_in_every_layout_and_its_checksum_spoiled() {
        for version in FIRST_WITH_BATCHES..=LAST_WITH_NAMES {
            let bytes = request(version);
            for (topic, partition, letter) in [("a", 0, b'x'), ("a", 7, b'y'), ("logs", 7, b'z')] {
                let place = find(&bytes, version, topic, partition).unwrap().unwrap();
                assert_eq!(bytes[place..place + 40], [letter; 40], "version {version}");
                let mut spoiled = bytes.clone();
                spoil(&mut spoiled, place);
                let differ: Vec<usize> =
                    (0..bytes.len()).filter(|it| bytes[*it] != spoiled[*it]).collect();
                assert_eq!(differ, [place + CHECKSUM_AT]);
            }
            assert_eq!(find(&bytes, version, "logs", 0).unwrap(), None);
            let end = find(&bytes, version, "logs", 7).unwrap().unwrap();
            assert!(find(&bytes[..end], version, "logs", 7).is_err());
        }
        assert!(find(&request(12), 13, "logs", 7).is_err());
    }
}
