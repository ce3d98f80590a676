//! Any bytes at all, in every format: nothing is lost, nothing is made up, cursors grow.

use proptest::prelude::*;

use super::*;

/// Everything of `bytes`, framed as a source does: read by `step`, what is left waits, then it is
/// delivered. Texts with their flags, and their cursors.
fn frame_all(format: Format, bytes: &[u8], step: usize, max: u32) -> Vec<(Vec<u8>, RecordFlags)> {
    let (mut all, mut carry) = (Vec::new(), Carry::default());
    let (mut at, mut visible, mut last) = (0, 0, None);
    while at < bytes.len() {
        let tail = if visible == bytes.len() { Tail::Deliver } else { Tail::Wait };
        visible = (visible + step).min(bytes.len());
        let (mut side, mut records) = (Vec::new(), Vec::new());
        let mut output = Output { side: &mut side, records: &mut records };
        let skip = RecordFlags::NONE;
        let options = FrameOptions { line_bytes_max: max, tail, skip, at_start: at == 0 };
        let run = &bytes[at..visible];
        let framed = format.frame(run, &options, &mut carry, &mut output);
        for record in &records {
            let from = if record.flags.has(RecordFlags::SIDE) { &side[..] } else { run };
            let text = &from[record.start as usize..][..record.len as usize];
            assert!(text.len() <= max as usize);
            let cursor = at + record.cursor as usize;
            assert!(last.is_none_or(|last| last < cursor), "cursors grow strictly");
            assert!(cursor < at + framed.consumed, "a record is of the bytes consumed");
            last = Some(cursor);
            all.push((text.to_vec(), record.flags));
        }
        at += framed.consumed;
    }
    all
}

/// The line without the one carriage return that may belong to its end.
fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Bytes that come close to container lines, and some that do not.
fn container_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(&b"2026-01-02T03:04:05.6Z stdout F text\n"[..]),
        2 => Just(&b"2026-01-02T03:04:05.6Z stderr P part\n"[..]),
        2 => Just(&b"2026-01-02T03:04:05Z stdout "[..]),
        2 => Just(&b"{\"log\":\"text\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}\n"[..]),
        2 => Just(&b"{\"log\":\"part\",\"stream\":\"stderr\",\"time\":\"2026-01-02T03:04:05Z\"}\n"[..]),
        1 => Just(&b"{\"log\":\"\\ud800\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}\n"[..]),
        1 => Just(&b"{\"log\":\""[..]),
        2 => Just(&b"\n"[..]),
        1 => Just(&b"\xff\x00\r"[..]),
    ];
    let mixed =
        prop_oneof![piece.prop_map(<[u8]>::to_vec), proptest::collection::vec(any::<u8>(), 0..8),];
    proptest::collection::vec(mixed, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn b7_what_is_not_a_container_line_is_delivered_raw(
        bytes in container_bytes(), step in 1_usize..200,
    ) {
        for format in [Format::Cri, Format::Docker] {
            let got = frame_all(format, &bytes, step, 10_000);
            let mut cache = time::SecondCache::default();
            let mut parse = |line: &[u8]| {
                let mut side = Vec::new();
                let parsed = match format {
                    Format::Cri => cri::parse(line, &mut cache, &mut side),
                    _ => docker::parse(line, &mut cache, &mut side),
                };
                parsed.map(|it| {
                    let from = if it.in_side { &side[..] } else { line };
                    (it.stream, from[it.start..it.start + it.len].to_vec())
                })
            };
            // By stream, and raw: joining changes the order of lines of different streams only.
            let mut want: [Vec<u8>; 3] = Default::default();
            let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
            let unended = lines.pop().unwrap();
            for line in lines {
                match parse(line) {
                    Some((Stream::Stdout, text)) => want[0].extend_from_slice(&text),
                    Some((Stream::Stderr, text)) => want[1].extend_from_slice(&text),
                    None => want[2].extend_from_slice(line),
                }
            }
            want[2].extend_from_slice(unended);
            let mut out: [Vec<u8>; 3] = Default::default();
            for (text, flags) in &got {
                let place = match flags.stream() {
                    Some(Stream::Stdout) => 0,
                    Some(Stream::Stderr) => 1,
                    None => 2,
                };
                prop_assert_eq!(place == 2, flags.has(RecordFlags::MALFORMED));
                out[place].extend_from_slice(text);
            }
            prop_assert_eq!(&out, &want, "{:?}", format);
        }
    }

    #[test]
    fn b4_any_bytes_in_a_plain_file_come_out_as_they_are(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r')], 0..300),
        step in 1_usize..100,
        max in 1_u32..50,
    ) {
        prop_assume!(!bytes.starts_with(b"\xef\xbb\xbf"));
        let got = frame_all(Format::Plain, &bytes, step, max);
        let mut joined = Vec::new();
        for (text, flags) in &got {
            joined.extend_from_slice(text);
            if !flags.has(RecordFlags::PART) && !flags.has(RecordFlags::UNTERMINATED) {
                joined.push(b'\n');
            }
        }
        let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        let unended = lines.pop().unwrap();
        let mut want: Vec<u8> =
            lines.iter().flat_map(|line| [trimmed(line), b"\n"].concat()).collect();
        want.extend_from_slice(unended);
        prop_assert_eq!(joined, want);
    }
}

#[test]
fn b4_bytes_that_are_no_utf8_come_out_as_they_are() {
    let all: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    // Overlong forms, surrogates, beyond the last character, a character cut off.
    let odd = [
        &b"\xc0\x80"[..],
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"caf\xc3",
        &all,
    ];
    for line in odd {
        let plain = [line, b"\n"].concat();
        assert_eq!(frame_all(Format::Plain, &plain, 7, 1000)[0].0, line);
        let cri = [b"2026-01-02T03:04:05.6Z stdout F ", line, b"\n"].concat();
        assert_eq!(frame_all(Format::Cri, &cri, 7, 1000)[0].0, line);
    }
}

#[test]
fn b5_line_ends_of_plain_files() {
    let cases: [(&[u8], &[&[u8]]); 7] = [
        (b"one\r\ntwo\r\n", &[b"one", b"two"]),
        (b"\r\n\n\r\r\n", &[b"", b"", b"\r"]),
        (b"10%\r50%\r100%\n", &[b"10%\r50%\r100%"]),
        (b"\r\rlone\n", &[b"\r\rlone"]),
        (b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n", &[b"one", b"\xef\xbb\xbftwo"]),
        (b"\xef\xbb\xbf\xef\xbb\xbfone\n", &[b"\xef\xbb\xbfone"]),
        (b"vertical\x0btab\x0cfeed\xe2\x80\xa8\n", &[b"vertical\x0btab\x0cfeed\xe2\x80\xa8"]),
    ];
    for (bytes, want) in cases {
        let got = frame_all(Format::Plain, bytes, 1000, 1000);
        let texts: Vec<&[u8]> = got.iter().map(|(text, _)| &text[..]).collect();
        assert_eq!(texts, want, "{bytes:?}");
    }
}
