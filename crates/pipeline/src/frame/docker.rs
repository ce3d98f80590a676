//! Docker's json-file lines: `{"log":"…\n","stream":"stdout","time":"…"}`.
//!
//! The exact shape that the driver writes is read by hand, unescaping into the side buffer; any
//! other order or extra member goes the slow way through `serde_json`. A `log` that does not end in
//! a newline is a part of a longer line.

use flow::Stream;

use super::Line;
use super::time::{self, SecondCache};

/// Takes one line (without its newline) apart; `None` if it is not Docker's.
#[inline]
pub fn parse(line: &[u8], cache: &mut SecondCache, side: &mut Vec<u8>) -> Option<Line> {
    let side_len = side.len();
    let parsed = parse_exact(line, cache, side).or_else(|| {
        side.truncate(side_len);
        parse_any(line, cache, side)
    });
    if parsed.is_none() {
        side.truncate(side_len);
    }
    parsed
}

fn parse_exact(line: &[u8], cache: &mut SecondCache, side: &mut Vec<u8>) -> Option<Line> {
    let start = side.len();
    let rest = line.strip_prefix(br#"{"log":""#)?;
    let rest = unescape(rest, side)?;
    let rest = rest.strip_prefix(br#","stream":""#)?;
    let end = memchr::memchr(b'"', rest)?;
    let stream = stream(&rest[..end])?;
    let rest = rest[end..].strip_prefix(br#"","time":""#)?;
    let (time_unix_ns, len) = time::parse(rest, cache)?;
    (&rest[len..] == br#""}"#).then_some(())?;
    Some(finish(time_unix_ns, stream, start, side))
}

fn parse_any(line: &[u8], cache: &mut SecondCache, side: &mut Vec<u8>) -> Option<Line> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    let text = |name: &str| value.get(name).and_then(serde_json::Value::as_str);
    let start = side.len();
    let stream = stream(text("stream")?.as_bytes())?;
    let (time_unix_ns, _) = time::parse(text("time")?.as_bytes(), cache)?;
    side.extend_from_slice(text("log")?.as_bytes());
    Some(finish(time_unix_ns, stream, start, side))
}

fn stream(name: &[u8]) -> Option<Stream> {
    match name {
        b"stdout" => Some(Stream::Stdout),
        b"stderr" => Some(Stream::Stderr),
        _ => None,
    }
}

/// Cuts the line end off what was unescaped.
fn finish(time_unix_ns: i64, stream: Stream, start: usize, side: &mut Vec<u8>) -> Line {
    let partial = side.len() == start || side.last() != Some(&b'\n');
    if !partial {
        side.pop();
        if side.len() > start && side.last() == Some(&b'\r') {
            side.pop();
        }
    }
    Line { time_unix_ns, stream, partial, start, len: side.len() - start, in_side: true }
}

/// Appends the JSON string that `text` begins with (its opening quote already read) to `side`;
/// returns what follows the closing quote.
fn unescape<'a>(mut text: &'a [u8], side: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let stop = memchr::memchr2(b'"', b'\\', text)?;
        side.extend_from_slice(&text[..stop]);
        let is_end = text[stop] == b'"';
        text = &text[stop + 1..];
        if is_end {
            return Some(text);
        }
        let (&escape, rest) = text.split_first()?;
        text = rest;
        side.push(match escape {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'"' | b'\\' | b'/' => escape,
            b'u' => {
                text = unescape_unicode(text, side)?;
                continue;
            }
            _ => return None,
        });
    }
}

/// Appends the character whose four digits `text` begins with, and its low surrogate if it needs one.
fn unescape_unicode<'a>(text: &'a [u8], side: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (high, rest) = four_digits(text)?;
    let (code, rest) = match high {
        0xd800..0xdc00 => {
            let (low, rest) = four_digits(rest.strip_prefix(b"\\u")?)?;
            (0xdc00..0xe000).contains(&low).then_some(())?;
            (0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00), rest)
        }
        _ => (high, rest),
    };
    let mut buffer = [0; 4];
    side.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut buffer).as_bytes());
    Some(rest)
}

fn four_digits(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = text.split_at_checked(4)?;
    let mut value = 0;
    for &digit in digits {
        value = value * 16 + char::from(digit).to_digit(16)?;
    }
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(line: &str) -> Option<(i64, Stream, bool, String)> {
        let mut side = Vec::new();
        let parsed = parse(line.as_bytes(), &mut SecondCache::default(), &mut side)?;
        let text =
            String::from_utf8(side[parsed.start..parsed.start + parsed.len].to_vec()).unwrap();
        Some((parsed.time_unix_ns, parsed.stream, parsed.partial, text))
    }

    #[test]
    fn lines_as_docker_writes_them() {
        let time = r#""time":"1970-01-01T00:00:01.5Z""#;
        let cases = [
            (r#"{"log":"hello\n","stream":"stdout",TIME}"#, Stream::Stdout, false, "hello"),
            (r#"{"log":"part","stream":"stderr",TIME}"#, Stream::Stderr, true, "part"),
            (
                r#"{"log":"q\"\\\t\u00e9\ud83d\ude00\n","stream":"stdout",TIME}"#,
                Stream::Stdout,
                false,
                "q\"\\\té😀",
            ),
            (r#"{"log":"\r\n","stream":"stdout",TIME}"#, Stream::Stdout, false, ""),
            (
                r#"{"stream":"stdout","attrs":{"a":"b"},TIME,"log":"any order\n"}"#,
                Stream::Stdout,
                false,
                "any order",
            ),
        ];
        for (line, stream, partial, text) in cases {
            let line = line.replace("TIME", time);
            let want = Some((1_500_000_000, stream, partial, text.to_owned()));
            assert_eq!(content(&line), want, "{line}");
        }
    }

    #[test]
    fn what_is_not_docker_is_refused_and_leaves_no_bytes() {
        for line in [
            r#"{"log":"x\n","stream":"stdout","time":"yesterday"}"#,
            r#"{"log":"x\n","stream":"stdin","time":"1970-01-01T00:00:01Z"}"#,
            r#"{"log":"x\n","stream":"stdout""#,
            r#"{"log":"\ud800","stream":"stdout","time":"1970-01-01T00:00:01Z"}"#,
            r#"{"log":"\ud83d\ufde0","stream":"stdout","time":"1970-01-01T00:00:01Z"}"#,
            r#"{"log":"torn"#,
            "{}",
        ] {
            let mut side = b"before".to_vec();
            assert_eq!(
                parse(line.as_bytes(), &mut SecondCache::default(), &mut side),
                None,
                "{line}"
            );
            assert_eq!(side, b"before");
        }
    }
}
