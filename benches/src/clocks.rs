//! Clocks: time of the machine, of this thread and of the calendar, as load and measurement need it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use rustix::time::{ClockId, clock_gettime};

use crate::digits::put_decimal;

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn read(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec.unsigned_abs() * SECOND_NS + now.tv_nsec.unsigned_abs()
}

/// Nanoseconds since an arbitrary start, never going back.
#[must_use]
pub fn monotonic_ns() -> u64 {
    read(ClockId::Monotonic)
}

/// Nanoseconds since 1970 by the wall clock.
#[must_use]
pub fn unix_ns() -> u64 {
    read(ClockId::Realtime)
}

/// Nanoseconds of CPU, user and system, that all threads of this process have used.
#[must_use]
pub fn process_cpu_ns() -> u64 {
    read(ClockId::ProcessCPUTime)
}

/// Nanoseconds of CPU, user and system, that the calling thread has used.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    read(ClockId::ThreadCPUTime)
}

/// The texts of one second in UTC, made again only when the second changes.
#[derive(Debug, Clone)]
pub struct SecondText {
    second: u64,
    rfc3339: [u8; 19],
    nginx: [u8; 26],
}

impl SecondText {
    /// The texts of the second that `unix_ns` is in.
    #[must_use]
    pub fn new(unix_ns: u64) -> SecondText {
        let mut text = SecondText { second: u64::MAX, rfc3339: [0; 19], nginx: [0; 26] };
        text.turn_to(unix_ns);
        text
    }

    /// Moves to the second that `unix_ns` is in.
    #[inline]
    pub fn turn_to(&mut self, unix_ns: u64) {
        let second = unix_ns / SECOND_NS;
        if second != self.second {
            self.set(second);
        }
    }

    /// `2026-01-31T23:59:59`.
    #[must_use]
    pub fn rfc3339(&self) -> &[u8; 19] {
        &self.rfc3339
    }

    /// `31/Jan/2026:23:59:59 +0000`, as nginx writes `$time_local`.
    #[must_use]
    pub fn nginx(&self) -> &[u8; 26] {
        &self.nginx
    }

    fn set(&mut self, second: u64) {
        let at = civil(second);
        let part = |number: i8| u64::from(number.unsigned_abs());
        self.second = second;
        self.rfc3339 = *b"0000-00-00T00:00:00";
        put_decimal(&mut self.rfc3339[0..4], u64::from(at.year().unsigned_abs()));
        put_decimal(&mut self.rfc3339[5..7], part(at.month()));
        put_decimal(&mut self.rfc3339[8..10], part(at.day()));
        put_decimal(&mut self.rfc3339[11..13], part(at.hour()));
        put_decimal(&mut self.rfc3339[14..16], part(at.minute()));
        put_decimal(&mut self.rfc3339[17..19], part(at.second()));
        self.nginx = *b"00/Jan/0000:00:00:00 +0000";
        self.nginx[0..2].copy_from_slice(&self.rfc3339[8..10]);
        let month = MONTHS[usize::from(at.month().unsigned_abs()) - 1];
        self.nginx[3..6].copy_from_slice(month.as_bytes());
        self.nginx[7..11].copy_from_slice(&self.rfc3339[0..4]);
        self.nginx[12..20].copy_from_slice(&self.rfc3339[11..19]);
    }
}

/// `YYYYMMDD-HHMMSS` in UTC: the suffix that the kubelet gives a rotated file.
#[must_use]
pub fn rotation_suffix(unix_second: u64) -> String {
    civil(unix_second).strftime("%Y%m%d-%H%M%S").to_string()
}

/// Appends what follows the second in RFC 3339 with nanoseconds as Go's `RFC3339Nano` has it:
/// trailing zeros of the fraction are cut, and no fraction at all at a full second.
#[inline]
pub fn push_fraction_and_zone(unix_ns: u64, out: &mut Vec<u8>) {
    let mut text = *b".000000000Z";
    put_decimal(&mut text[1..10], unix_ns % SECOND_NS);
    let mut end = 10;
    while text[end - 1] == b'0' {
        end -= 1;
    }
    if end == 1 {
        end = 0;
    }
    text[end] = b'Z';
    out.extend_from_slice(&text[..=end]);
}

fn civil(unix_second: u64) -> DateTime {
    let second = i64::try_from(unix_second).unwrap_or(i64::MAX);
    Offset::UTC.to_datetime(Timestamp::from_second(second).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_the_texts_of_nginx_go_and_the_kubelet() {
        let mut text = SecondText::new(0);
        assert_eq!(text.rfc3339(), b"1970-01-01T00:00:00");
        text.turn_to(1_795_255_199 * SECOND_NS + 5);
        assert_eq!(text.rfc3339(), b"2026-11-21T09:59:59");
        assert_eq!(text.nginx(), b"21/Nov/2026:09:59:59 +0000");
        assert_eq!(rotation_suffix(1_795_255_199), "20261121-095959");
    }

    #[test]
    fn fractions_lose_trailing_zeros_only() {
        for (nanos, want) in [
            (0, "Z"),
            (1, ".000000001Z"),
            (10, ".00000001Z"),
            (120_000_000, ".12Z"),
            (123_456_789, ".123456789Z"),
            (100_000_000, ".1Z"),
        ] {
            let mut out = Vec::new();
            push_fraction_and_zone(SECOND_NS + nanos, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }

    #[test]
    fn thread_time_grows_with_work_only() {
        let before = thread_cpu_ns();
        let sum: u64 = (0..1_000_000u64).map(std::hint::black_box).sum();
        assert!(sum > 0);
        assert!(thread_cpu_ns() > before);
    }
}
