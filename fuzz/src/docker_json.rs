//! Docker JSON: the scanner of json-file lines against a whole JSON parser, and times against the
//! calendar.

use pipeline::frame::{cri, time};

use crate::obvious::{docker, is_clean, scanned, unix_ns};

/// One input: a line. Without a brace at its beginning, a time stamp.
///
/// # Panics
/// If what the scanner says of it is not so.
pub fn run(data: &[u8]) {
    let line = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if !line.starts_with(b"{") {
        return assert_time(line);
    }
    let got = scanned(line);
    if is_clean(line) {
        assert_eq!(got, docker(line), "{:?}", String::from_utf8_lossy(line));
    } else if let Some(got) = got {
        assert!(got.content.len() <= line.len());
    }
    // What was in the side buffer before stays, whatever becomes of the line.
    let mut side = b"before".to_vec();
    let parsed = pipeline::frame::docker::parse(line, &mut time::SecondCache::default(), &mut side);
    assert!(side.starts_with(b"before"));
    assert!(parsed.is_some() || side.len() == b"before".len(), "left behind: {side:?}");
}

/// The time that a text begins with is that of the calendar, whatever second was read before.
fn assert_time(text: &[u8]) {
    let word = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    let mut cache = time::SecondCache::default();
    for _ in 0..2 {
        let got = time::parse(text, &mut cache).filter(|(_, len)| *len == word.len());
        assert_eq!(got.map(|(time, _)| time), unix_ns(word), "{:?}", String::from_utf8_lossy(text));
    }
    let line = [word, b" stdout F x"].concat();
    let line = cri::parse(&line, &mut cache, &mut Vec::new());
    assert_eq!(line.map(|it| it.time_unix_ns), unix_ns(word));
}
