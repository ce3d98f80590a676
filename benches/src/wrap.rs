//! Wrap: how a message stands in its file: bare, as containerd writes it, or as Docker does.

use crate::clocks::{SecondText, push_fraction_and_zone};

/// Longest message that containerd and Docker write in one piece, in bytes.
///
/// containerd: `max_container_log_line_size` of its CRI plugin; Docker: the buffer of its copier.
/// Both are 16 KiB by default, and a message of exactly that is still one piece.
pub const PART_BYTES_MAX: usize = 16 << 10;

/// How messages stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The message and a line feed.
    Plain,
    /// `TIME stdout|stderr P|F MESSAGE`, as the CRI log format has it and containerd writes it.
    Cri,
    /// JSON objects of `log`, `stream` and `time`: Docker's `json-file` driver.
    Docker,
}

/// Where a container wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl IoStream {
    /// The name in both container formats.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            IoStream::Stdout => "stdout",
            IoStream::Stderr => "stderr",
        }
    }
}

/// The pieces in which `message` is written, each with whether it is the last.
pub fn parts(message: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    let count = message.len().div_ceil(PART_BYTES_MAX);
    message.chunks(PART_BYTES_MAX).enumerate().map(move |(index, part)| (part, index + 1 == count))
}

/// Appends the head of a CRI line: all that stands before the message.
#[inline]
pub fn push_cri_head(io: IoStream, last: bool, unix_ns: u64, text: &SecondText, out: &mut Vec<u8>) {
    out.extend_from_slice(text.rfc3339());
    push_fraction_and_zone(unix_ns, out);
    out.extend_from_slice(match (io, last) {
        (IoStream::Stdout, true) => b" stdout F ",
        (IoStream::Stdout, false) => b" stdout P ",
        (IoStream::Stderr, true) => b" stderr F ",
        (IoStream::Stderr, false) => b" stderr P ",
    });
}

/// Appends one line of Docker's `json-file` driver; only the last part of a message carries the
/// line feed.
pub fn push_docker_line(
    part: &[u8],
    io: IoStream,
    last: bool,
    unix_ns: u64,
    text: &SecondText,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"log\":\"");
    push_escaped(part, out);
    out.extend_from_slice(if last { b"\\n\",\"stream\":\"" } else { b"\",\"stream\":\"" });
    out.extend_from_slice(io.name().as_bytes());
    out.extend_from_slice(b"\",\"time\":\"");
    out.extend_from_slice(text.rfc3339());
    push_fraction_and_zone(unix_ns, out);
    out.extend_from_slice(b"\"}\n");
}

/// Escapes as Docker's own encoder does, which guards `<`, `>` and `&` against HTML readers.
///
/// UTF-8 passes through. A character that is cut by the end of a part becomes U+FFFD in Docker's
/// files, which no reader can mend; messages of this generator longer than a part are ASCII.
fn push_escaped(part: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for &byte in part {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 | b'<' | b'>' | b'&' => {
                let (high, low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_the_limit_of_16_kib() {
        for (bytes, want) in [
            (1, vec![1]),
            (16_383, vec![16_383]),
            (16_384, vec![16_384]),
            (16_385, vec![16_384, 1]),
            (32_768, vec![16_384, 16_384]),
            (40_000, vec![16_384, 16_384, 7_232]),
        ] {
            let message = vec![b'x'; bytes];
            let lengths: Vec<usize> = parts(&message).map(|(part, _)| part.len()).collect();
            assert_eq!(lengths, want);
            let last: Vec<bool> = parts(&message).map(|(_, last)| last).collect();
            assert_eq!(last.iter().filter(|&&last| last).count(), 1);
            assert_eq!(last.last(), Some(&true));
        }
    }

    #[test]
    fn docker_lines_parse_back() {
        let message = "tab\t \"quoted\" back\\slash <b>&amp;</b> Zürich \u{1}".as_bytes();
        for (last, end) in [(true, "\n"), (false, "")] {
            let mut out = Vec::new();
            let unix_ns = 1_795_255_199_120_000_000;
            let text = SecondText::new(unix_ns);
            push_docker_line(message, IoStream::Stderr, last, unix_ns, &text, &mut out);
            let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
            let want = format!("{}{end}", std::str::from_utf8(message).unwrap());
            assert_eq!(line["log"], want);
            assert_eq!(line["stream"], "stderr");
            assert_eq!(line["time"], "2026-11-21T09:59:59.12Z");
            assert!(!out.contains(&b'<'));
        }
    }
}
