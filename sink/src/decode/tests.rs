//! What the encoders wrote reads back; what they never wrote is an error and no panic.

use flow::{Content, Section, Span};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::encode;
use crate::section_kit::{self, Line, OBSERVED_UNIX_NS};

const ENCODINGS: [Encoding; 2] = [Encoding::OtlpProto, Encoding::JsonLines];

fn encoded(encoding: Encoding, section: &Section) -> Vec<u8> {
    let mut out = Vec::new();
    encode::make(encoding).encode(section, &mut out);
    out
}

fn obvious(encoding: Encoding, section: &Section) -> Vec<DecodedRecord<'_>> {
    let Content::Records { chunk, .. } = &section.content else { unreachable!() };
    let records = chunk.records().iter().map(|record| {
        let is_otlp = encoding == Encoding::OtlpProto;
        let has_time = if is_otlp { record.time_unix_ns > 0 } else { record.time_unix_ns != 0 };
        let time = has_time.then_some(record.time_unix_ns);
        let observed = Some(section.observed_unix_ns);
        let (time_unix_ns, observed_unix_ns) = match (encoding, time) {
            (_, Some(time)) => (Some(time), None),
            (Encoding::OtlpProto, None) => (None, observed),
            (_, None) => (observed, None),
        };
        let is_text = is_otlp || std::str::from_utf8(chunk.body(record)).is_ok();
        let binary = if is_text { RecordFlags::NONE } else { RecordFlags::BINARY };
        let flags = record.flags.with(binary);
        let named = RecordFlags::NAMED.into_iter().filter(|(flag, _)| flags.has(*flag));
        DecodedRecord {
            cursor: section.span.begin + u64::from(record.cursor),
            time_unix_ns,
            observed_unix_ns,
            stream: record.flags.stream(),
            flags: named.fold(RecordFlags::NONE, |flags, (flag, _)| flags.with(flag)),
            body: Cow::Borrowed(chunk.body(record)),
            gap: None,
        }
    });
    records.collect()
}

#[test]
fn b8_records_of_any_time_are_kept_in_the_order_of_their_cursors() {
    let second = 1_000_000_000;
    let times = [1_795_000_000 * second, 1, i64::MAX, -1, i64::MIN, 0, 1_794_000_000 * second];
    let line = |time_unix_ns: &i64| Line { time_unix_ns: *time_unix_ns, ..Line::plain("text") };
    let lines: Vec<Line> = times.iter().map(line).collect();
    let section = section_kit::records(7, &lines);
    for encoding in ENCODINGS {
        let payload = encoded(encoding, &section);
        let records = decode(encoding, &payload).unwrap();
        assert!(records.is_sorted_by(|one, other| one.cursor < other.cursor));
        let shown = records.iter().map(|it| it.time_unix_ns.or(it.observed_unix_ns).unwrap());
        let want = times.map(|time| match encoding {
            // Its times begin in 1970: what is before is not passed off as the far future.
            Encoding::OtlpProto if time <= 0 => section.observed_unix_ns,
            _ if time == 0 => section.observed_unix_ns,
            _ => time,
        });
        assert_eq!(shown.collect::<Vec<i64>>(), want);
    }
}

proptest! {
    #[test]
    fn any_section_reads_back(begin in section_kit::begins(), lines in section_kit::lines()) {
        let section = section_kit::records(begin, &lines);
        for encoding in ENCODINGS {
            let payload = encoded(encoding, &section);
            let want = obvious(encoding, &section);
            prop_assert_eq!(decode(encoding, &payload).unwrap(), want.clone());
            let want: Vec<u64> = want.iter().map(|record| record.cursor).collect();
            prop_assert_eq!(cursors(encoding, &payload).unwrap(), want);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(payload: Vec<u8>) {
        for encoding in ENCODINGS {
            if let Ok(records) = decode(encoding, &payload) {
                let want = records.iter().map(|record| record.cursor).collect();
                prop_assert_eq!(cursors(encoding, &payload), Ok(want));
            }
        }
    }

    #[test]
    fn a_damaged_payload_is_read_or_refused(
        lines in section_kit::lines(), damage in proptest::collection::vec(any::<(u16, u8)>(), 1..4),
    ) {
        let section = section_kit::records(1 << 40, &lines);
        for encoding in ENCODINGS {
            let mut payload = encoded(encoding, &section);
            for &(at, byte) in &damage {
                let len = payload.len().max(1);
                if let Some(place) = payload.get_mut(usize::from(at) % len) {
                    *place = byte;
                }
            }
            // Both outcomes are right; a panic is not.
            drop(decode(encoding, &payload));
        }
    }

    #[test]
    fn a_cut_otlp_payload_is_refused(lines in section_kit::lines(), cut: prop::sample::Index) {
        let payload = encoded(Encoding::OtlpProto, &section_kit::records(0, &lines));
        if !payload.is_empty() {
            let cut = cut.index(payload.len());
            prop_assert_eq!(decode(Encoding::OtlpProto, &payload[..cut]).is_ok(), cut == 0);
        }
    }
}

#[test]
fn what_another_library_wrote_in_its_own_field_order_reads_the_same() {
    let line = Line { flags: RecordFlags::STDERR.with(RecordFlags::PART), ..Line::plain("x") };
    let section = section_kit::records(7, &[line, Line::plain(b"\xff")]);
    let payload = encoded(Encoding::OtlpProto, &section);
    let rewritten = ExportLogsServiceRequest::decode(payload.as_slice()).unwrap().encode_to_vec();
    assert_ne!(rewritten, payload);
    assert_eq!(
        decode(Encoding::OtlpProto, &rewritten).unwrap(),
        obvious(Encoding::OtlpProto, &section)
    );
}

#[test]
fn a_gap_reads_back_with_range_and_reason() {
    for reason in GapReason::ALL {
        let section = section_kit::gap(Span::new(1 << 33, (1 << 33) + 42), reason);
        for encoding in ENCODINGS {
            let payload = encoded(encoding, &section);
            let records = decode(encoding, &payload).unwrap();
            let [record] = records.as_slice() else { panic!("{records:?}") };
            assert_eq!(record.cursor, 1 << 33);
            assert_eq!(record.gap, Some(DecodedGap { reason: Some(reason), bytes: 42 }));
            let time = record.observed_unix_ns.or(record.time_unix_ns);
            assert_eq!(time, Some(OBSERVED_UNIX_NS));
        }
    }
}

#[test]
fn an_error_says_where_and_never_what() {
    let refused = |encoding, payload: &[u8]| decode(encoding, payload).unwrap_err().to_string();
    let json = |payload: &str| refused(Encoding::JsonLines, payload.as_bytes());
    let otlp = |payload: &[u8]| refused(Encoding::OtlpProto, payload);
    for (error, want) in [
        (
            json("{\"log.cursor\":1}\n{\"log.cursor\":\"secret\"}"),
            "line 2: column 22: not an object",
        ),
        (json("{\"secret"), "line 1: column 8: cut off"),
        (json("secret"), "line 1: column 1: not JSON"),
        (json("{\"body\":\"secret\"}"), "record 0 has no log.cursor"),
        (json("{\"log.cursor\":1,\"body.base64\":\"!\"}"), "body.base64 is not base64"),
        (otlp(&[0x0A, 5, 1]), "byte 2: a length beyond the end"),
        (otlp(&[0x0A, 4, 0x12, 2, 0x12, 0]), "record 0 has no log.cursor"),
        (otlp(&[0x0A, 2, 0x12, 0x80]), "byte 4: cut off inside a field"),
        (otlp(&[0x0B]), "byte 1: a wire type that OTLP does not use"),
        (otlp(&[0xFF; 11]), "byte 10: a number of more than ten bytes"),
    ] {
        assert!(error.contains(want), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
