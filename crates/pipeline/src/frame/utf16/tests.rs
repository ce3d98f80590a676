//! UTF-16 against an obvious model, and a corpus of what Windows programs write.

use proptest::prelude::*;

use super::*;

const ORDERS: [ByteOrder; 2] = [ByteOrder::Little, ByteOrder::Big];

fn bytes_of(order: ByteOrder, units: impl IntoIterator<Item = u16>) -> Vec<u8> {
    let bytes = |unit: u16| match order {
        ByteOrder::Little => unit.to_le_bytes(),
        ByteOrder::Big => unit.to_be_bytes(),
    };
    units.into_iter().flat_map(bytes).collect()
}

fn encode(order: ByteOrder, text: &str) -> Vec<u8> {
    bytes_of(order, text.encode_utf16())
}

struct Run {
    texts: Vec<(String, RecordFlags)>,
    cursors: Vec<u32>,
    framed: Framed,
    carry: Carry,
}

fn run(order: ByteOrder, bytes: &[u8], max: u32, tail: Tail, mut carry: Carry) -> Run {
    let at_start = carry == Carry::default();
    let options = FrameOptions { line_bytes_max: max, tail, skip: RecordFlags::NONE, at_start };
    let (mut side, mut records) = (Vec::new(), Vec::new());
    let mut output = Output { side: &mut side, records: &mut records };
    let framed = frame(bytes, &options, &mut carry, &mut output, order);
    let text = |it: &Record| {
        assert!(it.flags.has(RecordFlags::SIDE));
        String::from_utf8(side[it.start as usize..(it.start + it.len) as usize].to_vec()).unwrap()
    };
    Run {
        texts: records.iter().map(|it| (text(it), it.flags)).collect(),
        cursors: records.iter().map(|it| it.cursor).collect(),
        framed,
        carry,
    }
}

fn texts(run: &Run) -> Vec<&str> {
    run.texts.iter().map(|(text, _)| text.as_str()).collect()
}

#[test]
fn b5_lines_of_utf16_come_as_utf8_and_cursors_count_the_bytes_of_the_file() {
    for order in ORDERS {
        // U+0A0D, U+0D0A, U+010A and U+0A01 have the bytes of line ends in them.
        let text = "\u{feff}one\r\nZürich 🦀\n\nlone\rreturn\n\u{a0d}\u{d0a}\u{10a}\u{a01}\n\u{feff}x\r\r\nta";
        let bytes = encode(order, text);
        let run = run(order, &bytes, 1000, Tail::Wait, Carry::default());
        let want =
            ["one", "Zürich 🦀", "", "lone\rreturn", "\u{a0d}\u{d0a}\u{10a}\u{a01}", "\u{feff}x\r"];
        assert_eq!(texts(&run), want, "{order:?}");
        assert_eq!(run.cursors, [2, 12, 32, 34, 58, 68]);
        assert_eq!(run.framed.consumed, bytes.len() - 4);
        assert!(run.texts.iter().all(|(_, flags)| !flags.has(RecordFlags::UNUSUAL)));
    }
}

#[test]
fn b5_surrogates_without_their_other_half_are_replaced_and_flagged() {
    for order in ORDERS {
        let units = [0xd800, 0x61, 0xa, 0xdc00, 0xd83e, 0xdd80, 0xd800, 0xa, 0x62, 0xa];
        let run = run(order, &bytes_of(order, units), 1000, Tail::Wait, Carry::default());
        assert_eq!(texts(&run), ["\u{fffd}a", "\u{fffd}🦀\u{fffd}", "b"]);
        let is_binary: Vec<bool> =
            run.texts.iter().map(|(_, flags)| flags.has(RecordFlags::BINARY)).collect();
        assert_eq!(is_binary, [true, true, false]);
    }
}

#[test]
fn b5_only_the_part_that_has_the_replaced_character_is_flagged() {
    for order in ORDERS {
        let bytes = bytes_of(order, [0x61, 0x62, 0xd800, 0x63, 0xa]);
        let run = run(order, &bytes, 4, Tail::Wait, Carry::default());
        assert_eq!(texts(&run), ["ab", "\u{fffd}c"]);
        let is_binary: Vec<bool> =
            run.texts.iter().map(|(_, flags)| flags.has(RecordFlags::BINARY)).collect();
        assert_eq!(is_binary, [false, true]);
    }
}

#[test]
fn b5_a_torn_character_waits_and_half_a_unit_is_delivered_at_last() {
    for order in ORDERS {
        let mut bytes = encode(order, "a🦀");
        let crab = bytes.split_off(2);
        bytes.extend_from_slice(&crab[..3]);
        let first = run(order, &bytes, 1000, Tail::Deliver, Carry::default());
        assert_eq!((texts(&first), first.framed.consumed), (vec!["a"], 2));
        assert!(first.texts[0].1.has(RecordFlags::UNTERMINATED));
        // What is left is delivered when it has waited alone, but no half of a unit before it.
        let second = run(order, &bytes[2..], 1000, Tail::Deliver, first.carry);
        assert_eq!((texts(&second), second.framed.consumed), (vec!["\u{fffd}"], 2));
        let third = run(order, &bytes[4..], 1000, Tail::Deliver, second.carry);
        assert_eq!((texts(&third), third.framed.consumed), (vec!["\u{fffd}"], 1));
        assert!(third.texts[0].1.has(RecordFlags::BINARY));
        // The other half of the unit is skipped, and lines are found again.
        let carry = Carry { mid_unit: true, ..third.carry };
        let rest = [&crab[3..], &encode(order, "b\nc\n")].concat();
        let fourth = run(order, &rest, 1000, Tail::Wait, carry);
        assert_eq!((texts(&fourth), fourth.framed.consumed), (vec!["b", "c"], 9));
        assert!(fourth.texts[0].1.has(RecordFlags::CONTINUED));
    }
}

#[test]
fn b5_too_many_lines_are_framed_in_turns() {
    let bytes = encode(ByteOrder::Little, &"\n".repeat(RECORDS_MAX + 3));
    let first = run(ByteOrder::Little, &bytes, 1000, Tail::Wait, Carry::default());
    assert_eq!((first.texts.len(), first.framed.is_cut), (RECORDS_MAX, true));
    assert_eq!(first.framed.consumed, 2 * RECORDS_MAX);
}

proptest! {
    /// However reads cut the bytes, the lines of the text come out, in parts that fit.
    #[test]
    fn b5_any_text_in_utf16_comes_out_as_itself(
        lines in proptest::collection::vec("[a-z\rü€🦀\u{a0a}]{0,12}", 0..12),
        cuts in proptest::collection::vec(1_usize..30, 1..20),
        max in 4_u32..40,
    ) {
        for order in ORDERS {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let bytes = encode(order, &text);
            let (mut at, mut visible, mut carry) = (0, 0, Carry::default());
            let (mut got, mut cursors) = (String::new(), Vec::new());
            let mut cut = cuts.iter().cycle();
            while at < bytes.len() {
                visible = (visible + cut.next().unwrap()).min(bytes.len());
                let run = run(order, &bytes[at..visible], max, Tail::Wait, carry);
                for (text, flags) in &run.texts {
                    prop_assert!(text.len() <= max as usize);
                    got.push_str(text);
                    if !flags.has(RecordFlags::PART) {
                        got.push('\n');
                    }
                }
                cursors.extend(run.cursors.iter().map(|cursor| at + *cursor as usize));
                carry = run.carry;
                at += run.framed.consumed;
            }
            let want: String = lines
                .iter()
                .map(|line| format!("{}\n", line.strip_suffix('\r').unwrap_or(line)))
                .collect();
            prop_assert_eq!(got, want);
            prop_assert!(cursors.is_sorted_by(|one, other| one < other));
        }
    }

    /// Any bytes at all: all are consumed in the end, and cursors grow.
    #[test]
    fn b5_any_bytes_are_consumed(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        for order in ORDERS {
            let (mut at, mut carry) = (0, Carry::default());
            for tail in [Tail::Wait, Tail::Deliver, Tail::Deliver, Tail::Deliver] {
                let run = run(order, &bytes[at..], 8, tail, carry);
                prop_assert!(run.cursors.is_sorted_by(|one, other| one < other));
                (at, carry) = (at + run.framed.consumed, run.carry);
            }
            prop_assert_eq!(at, bytes.len());
        }
    }
}
