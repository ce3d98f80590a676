use std::collections::VecDeque;
use std::sync::Arc;

use flow::{Acked, Ledger, Position, SourceId, ack_channel};
use proptest::prelude::*;

use super::*;
use crate::kafka::in_flight::Rejection;
use crate::section_kit::{Line as Given, begins, lines as given_lines, records};

const ENCODINGS: [Encoding; 4] = Encoding::ALL;
/// How values can be: compressed by themselves only where they are sections.
const FORMS: [(Encoding, Codec); 6] = [
    (Encoding::OtlpProto, Codec::None),
    (Encoding::OtlpProto, Codec::Zstd),
    (Encoding::JsonLines, Codec::None),
    (Encoding::JsonLines, Codec::Zstd),
    (Encoding::Json, Codec::None),
    (Encoding::Raw, Codec::None),
];

/// What was sent: the messages in order, as spans, records and whether a restart can go on behind.
#[derive(Default)]
struct Arrived {
    spans: Vec<(Span, Vec<Position>, bool)>,
    lines: Vec<(RecordFlags, Vec<u8>)>,
    codecs: Vec<Codec>,
    gaps: usize,
    acked: Vec<Acked>,
}

/// Sends the section as a lane does to a topic that takes `bytes_max` at once.
fn send(encoding: Encoding, section: &Section, is_divisible: bool, bytes_max: usize) -> Arrived {
    send_form((encoding, Codec::None), section, is_divisible, bytes_max)
}

fn send_form(
    form: (Encoding, Codec),
    section: &Section,
    is_divisible: bool,
    bytes_max: usize,
) -> Arrived {
    let ledger = Arc::new(Ledger::default());
    let (whole, heard) = batch(form, section, is_divisible, &ledger);
    let mut waiting = VecDeque::from([whole]);
    let mut arrived = Arrived::default();
    while let Some(batch) = waiting.pop_front() {
        let is_gap = batch.payload.headers.iter().any(|it| it.gap.is_some());
        if batch.bytes > bytes_max && !is_gap {
            match divide(&batch) {
                Some(halves) => halves.into_iter().rev().for_each(|it| waiting.push_front(it)),
                None => waiting.push_front(declare(&batch).expect("no gap yet")),
            }
            continue;
        }
        deliver(batch, &mut arrived);
    }
    arrived.acked = heard();
    assert_eq!(ledger.dropped(), 0);
    arrived
}

/// The section as a batch, and who hears of its ticket.
fn batch(
    (encoding, codec): (Encoding, Codec),
    section: &Section,
    is_divisible: bool,
    ledger: &Arc<Ledger>,
) -> (Batch, impl Fn() -> Vec<Acked> + use<>) {
    let (mut raw, mut block) = (Vec::new(), Vec::new());
    encode::make(encoding).encode(section, &mut raw);
    compress::make(codec, LEVEL_DEFAULT).compress(&raw, &mut block).unwrap();
    let positions = vec![Position { generation: 7, offset: 1 << 40, ..Position::default() }];
    let header = PayloadHeader {
        context: section.context.clone(),
        epoch: section.epoch,
        span: section.span,
        marks: section.marks,
        records: u32::try_from(section.records().len()).unwrap(),
        filtered: 0,
        gap: None,
        observed_unix_ns: section.observed_unix_ns,
        positions: positions.clone(),
        is_divisible,
        part_of: None,
        is_inner: false,
        range: 0..offset(block.len()),
    };
    let acked = Acked {
        source: SourceId(1),
        span: section.span,
        positions,
        is_inner: false,
        records: header.records,
        filtered_bytes: 0,
        gap: None,
        seen_ns: 0,
    };
    let ticket = Ticket::new(acked, Arc::clone(ledger));
    let payload = Payload {
        tenant: Arc::from("shop"),
        encoding,
        codec,
        raw_bytes: offset(raw.len()),
        block,
        headers: vec![header],
        tickets: Vec::new(),
        permit: None,
    };
    let (acks, heard) = ack_channel();
    let heard = move || heard.try_iter().flatten().collect();
    (Batch::new(1, payload, vec![Some(ticket)], Arc::default(), acks), heard)
}

fn deliver(batch: Batch, arrived: &mut Arrived) {
    let batch = Arc::new(batch);
    for message in &batch.messages {
        let header = header_of(&batch, message);
        arrived.spans.push((message.span, header.positions.clone(), header.is_inner));
        arrived.codecs.push(batch.value(message).1);
        arrived.gaps += usize::from(header.gap.is_some());
        if header.gap.is_none() {
            let value = opened(&batch, message).unwrap();
            for line in lines(&batch, message, &value).unwrap() {
                arrived.lines.push((line.flags, line.body.into_owned()));
            }
        }
    }
    let reported = batch.send(|_, _, _| Ok(())).map(|_| ()).or_else(|| {
        let reports = (0..batch.messages.len()).map(|it| batch.delivered(it, ("logs", 0, 0)));
        let reported = reports.flatten().next().expect("all reports are there");
        batch.acks.complete(reported.acked);
        Some(())
    });
    assert!(reported.is_some());
}

/// The lines with those put together that were cut.
fn joined(arrived: &[(RecordFlags, Vec<u8>)], given: &[Given]) -> Vec<Vec<u8>> {
    let mut joined: Vec<Vec<u8>> = Vec::new();
    let mut given = given.iter();
    let mut missing = 0;
    for (_, body) in arrived {
        if missing == 0 {
            missing = given.next().expect("no more lines than given").body.len();
            joined.push(Vec::new());
        }
        missing = missing.checked_sub(body.len()).expect("no longer than given");
        joined.last_mut().unwrap().extend_from_slice(body);
    }
    joined
}

proptest! {
    #[test]
    fn whatever_is_divided_comes_once_and_in_order(
        begin in begins(),
        given in given_lines(),
        form in 0..FORMS.len(),
        is_divisible: bool,
        bytes_max in 600_usize..20_000,
    ) {
        let section = records(begin, &given);
        prop_assume!(!given.is_empty() && begin < 1 << 62);
        let arrived = send_form(FORMS[form], &section, is_divisible, bytes_max);
        let mut at = begin;
        for (span, positions, is_inner) in &arrived.spans {
            prop_assert_eq!(span.begin, at);
            at = span.end;
            prop_assert_eq!(positions.is_empty(), *is_inner);
            if let [position] = positions.as_slice() {
                prop_assert_eq!((1 << 40) - position.offset, section.span.end - at);
            }
        }
        prop_assert_eq!(at, section.span.end);
        prop_assert!(!arrived.spans.last().unwrap().2);
        if arrived.gaps == 0 {
            let bodies: Vec<Vec<u8>> = given.iter().map(|it| it.body.clone()).collect();
            prop_assert_eq!(joined(&arrived.lines, &given), bodies);
        }
        let mut acked_to = begin;
        for acked in &arrived.acked {
            prop_assert_eq!(acked.span.begin, acked_to);
            acked_to = acked.span.end;
            prop_assert_eq!(acked.is_inner, acked.positions.is_empty());
        }
        prop_assert_eq!(acked_to, section.span.end);
    }
}

fn texts(arrived: &Arrived) -> Vec<&str> {
    arrived.lines.iter().map(|it| std::str::from_utf8(&it.1).unwrap()).collect()
}

#[test]
fn records_are_kept_whole_as_long_as_they_fit() {
    let given: Vec<Given> = (0..40).map(|it| Given::plain(format!("line {it}"))).collect();
    for encoding in ENCODINGS {
        let arrived = send(encoding, &records(100, &given), true, 2000);
        assert_eq!(
            texts(&arrived),
            given.iter().map(|it| std::str::from_utf8(&it.body).unwrap()).collect::<Vec<_>>()
        );
        assert!(arrived.spans.len() > 1, "{encoding}: {}", arrived.spans.len());
        assert!(arrived.spans.iter().all(|it| !it.2), "{encoding}");
    }
}

/// The last message had the ticket, and completed it.
#[test]
fn what_is_divided_between_messages_is_acknowledged_with_all_of_them() {
    let given: Vec<Given> = (0..8).map(|it| Given::plain(format!("line {it}"))).collect();
    let ledger = Arc::new(Ledger::default());
    let form = (Encoding::Json, Codec::None);
    let (whole, heard) = batch(form, &records(0, &given), true, &ledger);
    let [_, half] = divide(&whole).expect("it has messages");
    let refuse = |batch: &Batch| {
        batch.refused(Rejection { why: "no right".to_owned(), is_too_large: false })
    };
    let half = Arc::new(half);
    assert!(half.send(|_, _, _| Ok(())).is_none());
    assert!(refuse(&half).is_none() && refuse(&half).is_none());
    let reported = (2..half.messages.len()).find_map(|it| half.delivered(it, ("logs", 0, 0)));
    assert!(reported.expect("all reports are there").acked.is_empty());
    let [first, second] = divide(&half).expect("two are left").map(Arc::new);
    for (part, acked) in [(first, 0), (second, 1)] {
        assert!(part.send(|_, _, _| Ok(())).is_none());
        let reported = part.delivered(0, ("logs", 0, 0)).expect("all reports are there");
        assert_eq!(reported.acked.len(), acked);
        part.acks.complete(reported.acked);
    }
    assert_eq!((heard().len(), ledger.dropped()), (1, 0));
}

#[test]
fn d5_a_line_that_is_too_large_comes_in_parts_of_whole_characters() {
    let long = "ü".repeat(3000);
    for encoding in ENCODINGS {
        let given = [Given::plain("before"), Given::plain(long.as_str()), Given::plain("behind")];
        let arrived = send(encoding, &records(0, &given), true, 2500);
        let texts = texts(&arrived);
        assert_eq!((texts[0], texts[texts.len() - 1]), ("before", "behind"));
        assert_eq!(texts[1..texts.len() - 1].concat(), long);
        assert!(texts.len() > 3, "{texts:?}");
        for (number, (flags, _)) in arrived.lines.iter().enumerate() {
            let is_inside = |number: usize| (1..texts.len() - 1).contains(&number);
            let follows = is_inside(number) && is_inside(number + 1);
            let continues = is_inside(number) && number > 1;
            assert_eq!(flags.has(RecordFlags::PART), follows, "{encoding} {number}");
            assert_eq!(flags.has(RecordFlags::CONTINUED), continues, "{encoding} {number}");
        }
    }
}

#[test]
fn values_that_the_agent_compressed_are_divided_into_such_values() {
    // Noise: it takes as much when it is compressed.
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b' ' + (state >> 58) as u8)
    };
    let given: Vec<Given> =
        (0..40).map(|_| Given::plain((0..100).map(|_| noise()).collect::<String>())).collect();
    for encoding in [Encoding::OtlpProto, Encoding::JsonLines] {
        let arrived = send_form((encoding, Codec::Zstd), &records(100, &given), true, 2000);
        let bodies: Vec<_> = given.iter().map(|it| it.body.as_slice()).collect();
        let texts: Vec<_> = arrived.lines.iter().map(|it| it.1.as_slice()).collect();
        assert_eq!(texts, bodies);
        assert!(arrived.spans.len() > 1, "{encoding}");
        assert_eq!(arrived.codecs, vec![Codec::Zstd; arrived.spans.len()], "{encoding}");
    }
}

#[test]
fn d5_what_cannot_be_cut_any_more_is_a_declared_gap() {
    let given = [Given::plain("x".repeat(LIMIT_BYTES_MIN))];
    for encoding in ENCODINGS {
        let arrived = send(encoding, &records(0, &given), true, 100);
        assert_eq!((arrived.gaps, arrived.spans.len(), arrived.lines.len()), (1, 1, 0));
        let is_told = !encoding.is_by_record();
        let wanted = is_told.then_some(GapReason::OverLong);
        assert_eq!(arrived.acked[0].gap, wanted, "{encoding}");
    }
}

#[test]
fn no_restart_goes_on_between_the_parts_of_a_line_whatever_the_other_stream_has_there() {
    let line = |flags| Given { flags, ..Given::plain(vec![b'x'; 1500]) };
    let stdout = RecordFlags::STDOUT;
    let lines = [
        line(RecordFlags::STDERR),
        line(stdout.with(RecordFlags::PART)),
        line(RecordFlags::STDERR),
        line(stdout.with(RecordFlags::CONTINUED)),
        line(RecordFlags::STDERR),
    ];
    for encoding in ENCODINGS {
        let bytes_max = if encoding.is_by_record() { usize::MAX } else { 2500 };
        let arrived = send(encoding, &records(10, &lines), true, bytes_max);
        let inner: Vec<bool> = arrived.spans.iter().map(|(_, _, is_inner)| *is_inner).collect();
        assert_eq!(inner[1..], [true, true, false, false], "{encoding}");
    }
}
