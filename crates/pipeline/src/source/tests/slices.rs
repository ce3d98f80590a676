//! Reads of parts of a chunk, as limits grant them.

use flow::Chunk;
use proptest::prelude::*;

use super::*;
use crate::frame::multiline::{Multiline, Rule};
use crate::frame::{ByteOrder, Tail};

/// Longer than each file.
const CHUNK_BYTES: usize = 512 << 10;
/// How long groups wait for their next line.
const TIMEOUT: u64 = 300;

/// A line of this kind and length.
fn line(kind: u8, len: usize) -> String {
    let begin = ["", "a.B.CException: no ", "\tat x", "Caused by: a.B "][usize::from(kind % 4)];
    format!("{begin}{}", "x".repeat(len))
}

/// A file of the format with these lines; those of CRI may be in parts, of both streams.
fn written(format: Format, lines: &[(u8, usize)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, len) in lines {
        let text = line(*kind, *len);
        match format {
            Format::Cri => {
                let stream = if kind & 4 == 0 { "stdout" } else { "stderr" };
                let (first, last) = text.split_at(text.len() / 2);
                if kind & 8 == 0 {
                    bytes.extend(format!("1970-01-01T00:00:01Z {stream} P {first}\n").into_bytes());
                    bytes.extend(format!("1970-01-01T00:00:01Z {stream} F {last}\n").into_bytes());
                } else {
                    bytes.extend(format!("1970-01-01T00:00:01Z {stream} F {text}\n").into_bytes());
                }
            }
            Format::Docker => {
                let text = text.replace('\t', "\\t");
                let time = "1970-01-01T00:00:01Z";
                let stream = if kind & 4 == 0 { "stdout" } else { "stderr" };
                let log = format!(
                    "{{\"log\":\"{text}\\n\",\"stream\":\"{stream}\",\"time\":\"{time}\"}}\n"
                );
                bytes.extend(log.into_bytes());
            }
            Format::Utf16(_) => {
                let units = text.chars().chain(['\n']).map(|it| it as u16);
                units.for_each(|it| bytes.extend(it.to_le_bytes()));
            }
            Format::Plain => bytes.extend(format!("{text}\n").into_bytes()),
        }
    }
    bytes
}

/// What comes of the file if reads bring so much, with a pause after each.
fn bodies(
    bytes: &[u8],
    format: Format,
    is_grouped: bool,
    reads: &[Portion],
    pause: u64,
) -> Vec<String> {
    let mut bed = Bed::new(Some(format));
    // Room for the longest group, in any format: where there is none, it is cut where the chunk ends.
    bed.chunk = Chunk::new(CHUNK_BYTES);
    if is_grouped {
        let rule = Rule::Java;
        let multiline = Multiline { rule, timeout_ns: TIMEOUT, lines_max: 50, bytes_max: 2048 };
        let options = options(Some(format));
        bed.source.spec.options = Arc::new(SourceOptions { multiline: Some(multiline), ..options });
    }
    std::fs::write(bed.directory.path().join("a.log"), bytes).unwrap();
    bed.look(&["a.log"]);
    let mut bodies = Vec::new();
    let mut reads = reads.iter().copied().cycle();
    for _ in 0..20_000 {
        bed.source.portion = reads.next().unwrap();
        let fs = Arc::clone(&bed.source.spec.fs);
        match bed.source.look(&*fs, bed.now_ns) {
            Look::Read { tail, bridge, .. } => {
                let before = bed.delivered.len();
                bodies.extend(bed.read(tail, bridge));
                let is_whole = !is_grouped && !bytes.windows(8).any(|it| it.ends_with(b" P "));
                if bed.delivered.len() > before && is_whole {
                    assert_within(&bed);
                }
            }
            Look::Wait(Some(until_ns)) => bed.now_ns = bed.now_ns.max(until_ns),
            Look::Wait(None) => {
                bed.check_tiling();
                return bodies;
            }
            other => panic!("{other:?}"),
        }
        bed.now_ns += pause;
    }
    panic!("the source never rests");
}

/// What was just read is within its portion, up to the record that crosses it.
fn assert_within(bed: &Bed) {
    let Portion { bytes, records, .. } = bed.source.portion;
    let read = bed.chunk.records();
    assert!(read.len() as u64 <= records, "{} records of {records}", read.len());
    let last = read.last().map_or(0, |it| u64::from(it.cursor));
    assert!(last < bytes, "a record begins behind {last} of {bytes} bytes");
}

/// Parts of this size, of which no more than so much and so many are wanted.
fn portions() -> impl Strategy<Value = Vec<Portion>> {
    let portion = (1..3000_usize, prop::option::of(1..3000_u64), prop::option::of(1..9_u64));
    let portion = portion.prop_map(|(room, bytes, records)| Portion {
        room,
        bytes: bytes.unwrap_or(u64::MAX),
        records: records.unwrap_or(u64::MAX),
    });
    prop::collection::vec(portion, 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_read_in_small_parts_is_what_is_read_at_once(
        lines in prop::collection::vec((0..16_u8, prop_oneof![4 => 0..60_usize, 1 => 0..1500_usize]), 1..60),
        format in prop::sample::select(vec![
            Format::Plain, Format::Cri, Format::Docker, Format::Utf16(ByteOrder::Little),
        ]),
        is_grouped in any::<bool>(),
        reads in portions(),
        pause in prop::sample::select(vec![0, 10, TIMEOUT, 10 * TIMEOUT]),
    ) {
        let bytes = written(format, &lines);
        let at_once = bodies(&bytes, format, is_grouped, &[Portion::ALL], 0);
        prop_assert!(!at_once.is_empty());
        prop_assert_eq!(bodies(&bytes, format, is_grouped, &reads, pause), at_once);
    }
}

#[test]
fn a_line_longer_than_the_part_is_read_whole() {
    let long = "x".repeat(3000);
    let bytes = format!("one\n{long}\ntwo\n").into_bytes();
    let bodies = bodies(&bytes, Format::Plain, false, &[Portion::of(10)], 0);
    assert_eq!(bodies, ["one", &long, "two"]);
}

#[test]
fn a_read_cut_to_few_bytes_brings_one_record_more_and_not_two() {
    let bytes = "a\n".repeat(30).into_bytes();
    let few = Portion { room: 1, bytes: 1, records: u64::MAX };
    assert_eq!(bodies(&bytes, Format::Plain, false, &[few], 0), ["a"; 30]);
    // The part that is read first holds none; the next one, four times as long, holds many.
    let bytes = "0123456\n".repeat(30).into_bytes();
    let few = Portion { room: 7, bytes: 7, records: u64::MAX };
    assert_eq!(bodies(&bytes, Format::Plain, false, &[few], 0), ["0123456"; 30]);
}

#[test]
fn a_bridge_brings_no_more_than_its_portion() {
    let mut bed = Bed::new(Some(Format::Cri));
    bed.append("a.log", "1970-01-01T00:00:01Z stdout P be\n");
    bed.look(&["a.log"]);
    bed.run();
    bed.rename("a.log", "a.log.1");
    bed.append("a.log", "1970-01-01T00:00:01Z stdout F gin\n");
    bed.append("a.log", &"1970-01-01T00:00:01Z stdout F x\n".repeat(50));
    bed.look(&["a.log.1", "a.log"]);
    bed.source.portion = Portion { room: 20, bytes: 20, records: 20 };
    let first = bed.read(Tail::Wait, true);
    assert_eq!(first, ["begin"]);
    assert_eq!(bed.run(), ["x"; 50]);
    bed.check_tiling();
}

#[test]
fn records_whose_lines_lie_between_each_other_s_come_together() {
    let line = |stream: &str, tag: char, text: &str| {
        format!("1970-01-01T00:00:01Z {stream} {tag} {text}\n")
    };
    let mut bed = Bed::new(Some(Format::Cri));
    let mut written = line("stdout", 'P', "a");
    (0..5).for_each(|_| written += &line("stderr", 'F', "e"));
    written += &line("stdout", 'F', "b");
    (0..50).for_each(|_| written += &line("stdout", 'F', "x"));
    bed.append("a.log", &written);
    bed.look(&["a.log"]);
    bed.source.portion = Portion { room: 10, bytes: 10, records: 1 };
    assert_eq!(bed.read(Tail::Wait, false), ["ab", "e", "e", "e", "e", "e"]);
    assert_eq!(bed.read(Tail::Wait, false), ["x"]);
    assert_eq!(bed.run(), ["x"; 49]);
    bed.check_tiling();
}
