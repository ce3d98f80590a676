//! CRI log lines: `TIME SP STREAM SP TAGS SP CONTENT`.
//!
//! Source: Kubernetes' CRI log format (kubelet/pkg/cri/streaming and containerd's logger). The time
//! is RFC 3339 with 0 to 9 fraction digits, since containerd cuts trailing zeros. The first tag is
//! `F` for a whole line or the last part, `P` for a part; more tags may follow after colons.

use flow::Stream;

use super::Line;
use super::time::{self, SecondCache};

/// Takes one line (without its newline) apart; `None` if it is not CRI.
#[inline]
pub fn parse(line: &[u8], cache: &mut SecondCache, _side: &mut Vec<u8>) -> Option<Line> {
    let (time_unix_ns, len) = time::parse(line, cache)?;
    // " stdout F" and a space; the content may be empty, and then the last space too.
    let rest = line.get(len..)?;
    let head: &[u8; 9] = rest.first_chunk()?;
    let stream = match &head[..8] {
        b" stdout " => Stream::Stdout,
        b" stderr " => Stream::Stderr,
        _ => return None,
    };
    let partial = match head[8] {
        b'P' => true,
        b'F' => false,
        _ => return None,
    };
    let mut start = len + 9;
    match line.get(start) {
        Some(b' ') => start += 1,
        None => {}
        Some(b':') => start += memchr::memchr(b' ', &line[start..])? + 1,
        Some(_) => return None,
    }
    let mut content = line.len() - start;
    // containerd strips one carriage return; other runtimes may leave it.
    if !partial && content > 0 && line[line.len() - 1] == b'\r' {
        content -= 1;
    }
    Some(Line { time_unix_ns, stream, partial, start, len: content, in_side: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(line: &str) -> Option<(Stream, bool, String)> {
        let parsed = parse(line.as_bytes(), &mut SecondCache::default(), &mut Vec::new())?;
        let text = line[parsed.start..parsed.start + parsed.len].to_owned();
        Some((parsed.stream, parsed.partial, text))
    }

    #[test]
    fn lines_as_runtimes_write_them() {
        let cases = [
            ("2023-11-14T22:13:20.1Z stdout F hello world", Stream::Stdout, false, "hello world"),
            ("2023-11-14T22:13:20Z stderr P part", Stream::Stderr, true, "part"),
            ("2023-11-14T22:13:20+01:00 stderr F ", Stream::Stderr, false, ""),
            ("2023-11-14T22:13:20+01:00 stderr F", Stream::Stderr, false, ""),
            ("2023-11-14T22:13:20Z stdout F:x:y tagged", Stream::Stdout, false, "tagged"),
            ("2023-11-14T22:13:20Z stdout F  two spaces", Stream::Stdout, false, " two spaces"),
            ("2023-11-14T22:13:20Z stdout F crlf\r", Stream::Stdout, false, "crlf"),
        ];
        for (line, stream, partial, text) in cases {
            assert_eq!(content(line), Some((stream, partial, text.to_owned())), "{line}");
        }
    }

    #[test]
    fn what_is_not_cri_is_refused() {
        for line in [
            "",
            "hello",
            "2023-11-14T22:13:20Z",
            "2023-11-14T22:13:20Z stdin F x",
            "2023-11-14T22:13:20Z stdout X x",
            "2023-11-14T22:13:20Z stdout Fx",
            "2023-11-14T22:13:20Z stdout F:nospace",
        ] {
            assert_eq!(content(line), None, "{line}");
        }
    }
}
