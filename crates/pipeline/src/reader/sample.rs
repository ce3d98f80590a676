//! Sample: which records are kept where one in so many is. Parts of a line stay together; what is left out is counted
//! with its bytes.

use flow::{Chunk, ContextId, RecordFlags, Span, Stream, checksum};

use crate::limits::Grant;

/// The share of a LogConfig's records that is kept, by the cursor of each: so every reading of the same bytes, also
/// after a restart, keeps the same.
#[derive(Debug)]
pub(super) struct Share {
    keeps: Streams,
}

impl Share {
    /// What goes on from before the first read is kept: nobody knows what became of its first part.
    pub(super) fn new() -> Share {
        Share { keeps: [true; 3] }
    }

    /// Leaves one in so many records, by chance, of those of the chunk, which has that span; returns how many
    /// records and bytes were left out.
    pub(super) fn thin(
        &mut self,
        chunk: &mut Chunk,
        span: Span,
        context: ContextId,
        one_in: u32,
    ) -> (u32, u64) {
        // Sources that begin alike are not to keep the same places.
        let own = checksum(&context.0.to_le_bytes());
        let keeps = |cursor: u32, _| {
            let place = mix(own ^ (span.begin + u64::from(cursor)));
            (u128::from(place) * u128::from(one_in)) >> 64 == 0
        };
        thin(chunk, span.bytes(), &mut self.keeps, keeps)
    }
}

/// The sample that is kept at a limit: every so many-th record, as they come.
#[derive(Debug, Default)]
pub(super) struct Sample {
    seen: u32,
    keeps: Streams,
}

impl Sample {
    /// Leaves one in so many records in the chunk, whose span has so many bytes, and none for which there are no
    /// tokens left; returns how many records and bytes were left out.
    pub(super) fn thin(
        &mut self,
        chunk: &mut Chunk,
        span_bytes: u64,
        one_in: u32,
        tokens: Grant,
    ) -> (u32, u64) {
        let (seen, mut lines_kept) = (&mut self.seen, 0);
        let keeps = |_, bytes_kept| {
            let is_paid = bytes_kept < tokens.bytes && lines_kept < tokens.records;
            let is_kept = *seen == 0 && is_paid;
            lines_kept += u64::from(is_kept);
            // What is its turn, and has no tokens, is its turn again.
            if *seen > 0 || is_paid {
                *seen = (*seen + 1) % one_in.max(1);
            }
            is_kept
        };
        thin(chunk, span_bytes, &mut self.keeps, keeps)
    }
}

/// Whether the last record was kept: by stream, as parts of a line stay together.
type Streams = [bool; 3];

/// Leaves the records in the chunk that `keeps` says by their cursors and by how many bytes are kept already, with the
/// parts that go on from them.
fn thin(
    chunk: &mut Chunk,
    span_bytes: u64,
    last: &mut Streams,
    mut keeps: impl FnMut(u32, u64) -> bool,
) -> (u32, u64) {
    let (_, _, records) = chunk.parts_mut();
    let total = records.len();
    let (mut bytes, mut bytes_kept, mut kept) = (0, 0, 0);
    for index in 0..total {
        let record = records[index];
        let stream = match record.flags.stream() {
            None => 0,
            Some(Stream::Stdout) => 1,
            Some(Stream::Stderr) => 2,
        };
        let end = records.get(index + 1).map_or(span_bytes, |next| u64::from(next.cursor));
        let record_bytes = end.saturating_sub(u64::from(record.cursor));
        if !record.flags.has(RecordFlags::CONTINUED) {
            last[stream] = keeps(record.cursor, bytes_kept);
        }
        if last[stream] {
            records[kept] = record;
            kept += 1;
            bytes_kept += record_bytes;
        } else {
            bytes += record_bytes;
        }
    }
    records.truncate(kept);
    (u32::try_from(total - kept).unwrap_or(u32::MAX), bytes)
}

/// Spreads numbers that lie side by side over all numbers: the last step of SplitMix64.
fn mix(number: u64) -> u64 {
    let mut it = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    it ^ (it >> 31)
}

#[cfg(test)]
mod tests {
    use flow::Record;

    use super::*;

    const ALL: Grant = Grant { bytes: u64::MAX, records: u64::MAX };

    #[test]
    fn a_sample_keeps_one_in_so_many_and_never_a_part_alone() {
        let (mut chunk, mut sample) = (Chunk::new(4096), Sample::default());
        let mut kept = Vec::new();
        let mut left_out = (0, 0);
        // Lines of ten bytes; the fourth of each seven goes on in the next record.
        for begin in [0_u32, 35] {
            let record = |number: u32| Record {
                time_unix_ns: i64::from(number),
                start: 0,
                len: 9,
                cursor: (number - begin) * 10,
                flags: if number % 7 == 4 { RecordFlags::CONTINUED } else { RecordFlags::NONE },
            };
            *chunk.parts_mut().2 = (begin..begin + 35).map(record).collect();
            let (records, bytes) = sample.thin(&mut chunk, 350, 3, ALL);
            left_out = (left_out.0 + records, left_out.1 + bytes);
            kept.extend(chunk.records().iter().map(|it| it.time_unix_ns));
        }
        assert_eq!(left_out.1, u64::from(left_out.0) * 10);
        assert_eq!(left_out.0 as usize + kept.len(), 70);
        let lines = kept.iter().filter(|it| *it % 7 != 4).count();
        assert_eq!(lines, 20, "of sixty lines");
        for part in kept.iter().filter(|it| *it % 7 == 4) {
            assert!(kept.contains(&(part - 1)), "{part} goes on from what was left out");
        }
    }

    #[test]
    fn a_share_is_the_same_however_the_bytes_are_read() {
        const RECORDS: u32 = 20_000;
        let read = |reads: &[u32]| {
            let (mut chunk, mut share) = (Chunk::new(4096), Share::new());
            let (mut kept, mut left_out, mut begin) = (Vec::new(), (0, 0), 0_u32);
            for count in reads {
                let record = |number: u32| Record {
                    time_unix_ns: i64::from(number),
                    start: 0,
                    len: 9,
                    cursor: (number - begin) * 10,
                    flags: if number % 7 == 4 { RecordFlags::CONTINUED } else { RecordFlags::NONE },
                };
                *chunk.parts_mut().2 = (begin..begin + count).map(record).collect();
                let span = Span::new(u64::from(begin) * 10, u64::from(begin + count) * 10);
                let (records, bytes) = share.thin(&mut chunk, span, ContextId(77), 10);
                left_out = (left_out.0 + records, left_out.1 + bytes);
                kept.extend(chunk.records().iter().map(|it| it.time_unix_ns));
                begin += count;
            }
            assert_eq!(left_out.0 as usize + kept.len(), RECORDS as usize);
            assert_eq!(left_out.1, u64::from(left_out.0) * 10);
            kept
        };
        let whole = read(&[RECORDS]);
        assert_eq!(read(&[1, 4, 9995, 10_000]), whole);
        let share = whole.len() as f64 / f64::from(RECORDS);
        assert!((0.09..0.11).contains(&share), "one in ten: {share}");
        for part in whole.iter().filter(|it| *it % 7 == 4) {
            assert!(whole.contains(&(part - 1)), "{part} goes on from what was left out");
        }
    }

    #[test]
    fn a_sample_keeps_nothing_for_which_there_are_no_tokens() {
        let record = |number: u32| {
            let (start, len, cursor) = (0, 9, number * 10);
            Record { time_unix_ns: 0, start, len, cursor, flags: RecordFlags::NONE }
        };
        let kept = |tokens: Grant, sample: &mut Sample| {
            let mut chunk = Chunk::new(4096);
            *chunk.parts_mut().2 = (0..30).map(record).collect();
            sample.thin(&mut chunk, 300, 3, tokens);
            chunk.records().iter().map(|it| it.cursor).collect::<Vec<_>>()
        };
        let mut sample = Sample::default();
        let few = Grant { bytes: 21, records: u64::MAX };
        assert_eq!(kept(few, &mut sample), [0, 30, 60], "the last one crosses them");
        let one = Grant { bytes: u64::MAX, records: 1 };
        assert_eq!(
            kept(one, &mut sample),
            [0],
            "the next one is kept where there are tokens again"
        );
    }
}
