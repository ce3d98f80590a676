//! Obvious: container lines taken apart by the letter of their formats, slowly; and times.

use flow::Stream;
use pipeline::frame::{self, time::SecondCache};
use serde_json::Value;

/// Length of `YYYY-MM-DD`.
const DATE_BYTES: usize = 10;

/// One line of a container's file, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// Nanoseconds since 1970.
    pub(crate) time: i64,
    pub(crate) stream: Stream,
    pub(crate) is_partial: bool,
    pub(crate) content: Vec<u8>,
}

/// `TIME SP STREAM SP TAG[:TAG…] SP CONTENT`; without content the last space may be missing.
pub(crate) fn cri(line: &[u8]) -> Option<Parsed> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let time = unix_ns(words.next()?)?;
    let stream = stream(words.next()?)?;
    let tags = words.next()?;
    let content = words.next();
    let is_partial = match tags.split(|byte| *byte == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    // More tags than one without content is no line that a runtime writes.
    let mut content = if tags.len() > 1 { content? } else { content.unwrap_or_default() };
    if !is_partial {
        content = content.strip_suffix(b"\r").unwrap_or(content);
    }
    Some(Parsed { time, stream, is_partial, content: content.to_vec() })
}

/// A JSON object with the texts `log`, `stream` and `time`.
///
/// The scanner takes bytes that a JSON text may not have as they are; of those lines it has the say,
/// and [`docker_json`](crate::docker_json) looks at it.
pub(crate) fn docker(line: &[u8]) -> Option<Parsed> {
    if !is_clean(line) {
        return scanned(line);
    }
    let value: Value = serde_json::from_slice(line).ok()?;
    let text = |name: &str| value.as_object()?.get(name)?.as_str();
    let stream = stream(text("stream")?.as_bytes())?;
    let time = prefix_unix_ns(text("time")?.as_bytes())?;
    let log = text("log")?.as_bytes();
    let Some(content) = log.strip_suffix(b"\n") else {
        return Some(Parsed { time, stream, is_partial: true, content: log.to_vec() });
    };
    let content = content.strip_suffix(b"\r").unwrap_or(content);
    Some(Parsed { time, stream, is_partial: false, content: content.to_vec() })
}

/// Whether the line has nothing that a JSON text may not have.
pub(crate) fn is_clean(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok() && !line.iter().any(u8::is_ascii_control)
}

/// What the real scanner makes of a line.
pub(crate) fn scanned(line: &[u8]) -> Option<Parsed> {
    let mut side = Vec::new();
    let line = frame::docker::parse(line, &mut SecondCache::default(), &mut side)?;
    let content = side[line.start..line.start + line.len].to_vec();
    let (time, stream, is_partial) = (line.time_unix_ns, line.stream, line.partial);
    Some(Parsed { time, stream, is_partial, content })
}

fn stream(name: &[u8]) -> Option<Stream> {
    match name {
        b"stdout" => Some(Stream::Stdout),
        b"stderr" => Some(Stream::Stderr),
        _ => None,
    }
}

/// A time that `text` begins with; something may follow.
fn prefix_unix_ns(text: &[u8]) -> Option<i64> {
    let zone = text.iter().skip(DATE_BYTES).position(|it| b"Zz+-".contains(it))? + DATE_BYTES;
    [1, 6].into_iter().find_map(|len| unix_ns(text.get(..zone + len)?))
}

/// Nanoseconds since 1970 of a whole text of RFC 3339; the nearest there is if it is beyond them.
pub(crate) fn unix_ns(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (date, rest) = text.split_once(['T', 't'])?;
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone_at);
    let (second, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(second, ':', [2, 2, 2])?;
    let is_time = hour <= 23 && minute <= 59 && second <= 60;
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|it| it.is_ascii_digit());
    if !is_time || !is_fraction || !(1..=12).contains(&month) {
        return None;
    }
    if day < 1 || day > month_days(year, month) {
        return None;
    }
    let nanoseconds: i128 = format!("{fraction:0<9}")[..9].parse().ok()?;
    let leap_days = (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
    let months: i128 = (1..month).map(|it| month_days(year, it)).sum();
    // The year 0 began 719,528 days before 1970.
    let days = year * 365 + leap_days + months + day - 1 - 719_528;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - zone_seconds(zone)?;
    // What is beyond is the same as the last second that can be said, and the fraction with it.
    let whole = (seconds * 1_000_000_000).clamp(i64::MIN.into(), i64::MAX.into());
    i64::try_from((whole + nanoseconds).min(i64::MAX.into())).ok()
}

fn zone_seconds(zone: &str) -> Option<i128> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let [hours, minutes] = numbers(zone.get(1..)?, ':', [2, 2])?;
    let seconds = hours * 3600 + minutes * 60;
    let seconds = match zone.chars().next()? {
        '+' => seconds,
        '-' => -seconds,
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(seconds)
}

/// Numbers of just so many digits.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i128; N]> {
    let parts: Vec<&str> = text.split(between).collect();
    let mut numbers = [0; N];
    if parts.len() != N {
        return None;
    }
    for ((number, part), digits) in numbers.iter_mut().zip(parts).zip(digits) {
        let is_number = part.len() == digits && part.bytes().all(|it| it.is_ascii_digit());
        *number = part.parse().ok().filter(|_| is_number)?;
    }
    Some(numbers)
}

fn month_days(year: i128, month: i128) -> i128 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i128::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
