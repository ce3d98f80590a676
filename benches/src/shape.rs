//! Shape: what generated messages look like, and the pool of lines rendered before the load starts.
//!
//! A load writes hundreds of MB/s, so a line is not composed when it is written: a pool of some
//! thousand lines is, and each use copies one and stamps time and token into it. The pool is
//! larger than any chunk that an agent compresses, so that a repeat never helps the compressor.

mod fixed;
mod java;
mod json;
mod nginx;

use std::fmt;

use crate::clocks::{SECOND_NS, SecondText};
use crate::digits::put_decimal;
use crate::random::Random;
use crate::token::{BLANK, Token, stamp};

pub use fixed::FIXED_BYTES_MIN;

/// Bytes that a pool has at least: four times the largest chunk that the floors compress.
pub const POOL_BYTES_MIN: usize = 4 << 20;

/// What messages look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Access lines of nginx with request time, 256 bytes in the mean.
    Nginx,
    /// Lines of an application that logs JSON objects.
    Json,
    /// Java stack traces of six lines, each a record of its own.
    Java,
    /// Words of an application log, exactly this many bytes a message.
    Fixed(usize),
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Nginx => f.write_str("nginx"),
            Shape::Json => f.write_str("json"),
            Shape::Java => f.write_str("java"),
            Shape::Fixed(bytes) => write!(f, "fixed {bytes} B"),
        }
    }
}

/// How a line writes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeField {
    /// `31/Jan/2026:23:59:59 +0000`.
    Nginx,
    /// `2026-01-31T23:59:59.123Z`.
    Rfc3339Millis,
    /// `2026-01-31 23:59:59,123`.
    JavaMillis,
}

impl TimeField {
    fn blank(self) -> &'static str {
        match self {
            TimeField::Nginx => "00/Jan/0000:00:00:00 +0000",
            TimeField::Rfc3339Millis => "0000-00-00T00:00:00.000Z",
            TimeField::JavaMillis => "0000-00-00 00:00:00,000",
        }
    }

    #[inline]
    fn put(self, place: &mut [u8], unix_ns: u64, text: &SecondText) {
        let millis = unix_ns % SECOND_NS / 1_000_000;
        match self {
            TimeField::Nginx => place[..26].copy_from_slice(text.nginx()),
            TimeField::Rfc3339Millis => {
                place[..19].copy_from_slice(text.rfc3339());
                put_decimal(&mut place[20..23], millis);
            }
            TimeField::JavaMillis => {
                place[..10].copy_from_slice(&text.rfc3339()[..10]);
                place[11..19].copy_from_slice(&text.rfc3339()[11..]);
                put_decimal(&mut place[20..23], millis);
            }
        }
    }
}

/// One line while it is composed.
#[derive(Debug, Default)]
struct Draft {
    text: String,
    time: Option<(usize, TimeField)>,
    token_at: usize,
}

impl Draft {
    fn push(&mut self, text: &str) -> &mut Draft {
        self.text.push_str(text);
        self
    }

    fn number(&mut self, number: u32) -> &mut Draft {
        self.push(&number.to_string())
    }

    fn time(&mut self, field: TimeField) -> &mut Draft {
        self.time = Some((self.text.len(), field));
        self.push(field.blank())
    }

    fn token(&mut self) -> &mut Draft {
        self.token_at = self.text.len();
        self.push(BLANK)
    }
}

#[derive(Debug, Clone, Copy)]
struct Template {
    start: usize,
    end: usize,
    time: Option<(usize, TimeField)>,
    token_at: usize,
}

/// Lines of one shape, rendered but for time and token.
#[derive(Debug)]
pub struct LinePool {
    bytes: Vec<u8>,
    templates: Vec<Template>,
    group: usize,
}

impl LinePool {
    /// The pool of `shape` that `random` leads to.
    #[must_use]
    pub fn new(shape: Shape, mut random: Random) -> LinePool {
        let group = if shape == Shape::Java { java::TRACE_LINES } else { 1 };
        let mut pool = LinePool { bytes: Vec::new(), templates: Vec::new(), group };
        let mut draft = Draft::default();
        while pool.bytes.len() < POOL_BYTES_MIN || !pool.templates.len().is_multiple_of(group) {
            draft.text.clear();
            draft.time = None;
            match shape {
                Shape::Nginx => nginx::compose(&mut random, &mut draft),
                Shape::Json => json::compose(&mut random, &mut draft),
                Shape::Java => java::compose(&mut random, pool.templates.len(), &mut draft),
                Shape::Fixed(bytes) => fixed::compose(&mut random, bytes, &mut draft),
            }
            let start = pool.bytes.len();
            pool.bytes.extend_from_slice(draft.text.as_bytes());
            let end = pool.bytes.len();
            pool.templates.push(Template {
                start,
                end,
                time: draft.time,
                token_at: draft.token_at,
            });
        }
        pool
    }

    /// Lines in the pool.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.templates.len()
    }

    /// Bytes of the message of line `index`.
    #[must_use]
    #[inline]
    pub fn message_bytes(&self, index: usize) -> usize {
        self.templates[index].end - self.templates[index].start
    }

    /// Any line at which a stream can begin: the first of a stack trace, for Java.
    #[must_use]
    pub fn start(&self, random: &mut Random) -> usize {
        let groups = u32::try_from(self.lines() / self.group).expect("a pool is a few MiB");
        random.below(groups) as usize * self.group
    }

    /// Appends line `index` of the pool to `out`, stamped with time and token; without line end.
    #[inline]
    pub fn render(
        &self,
        index: usize,
        unix_ns: u64,
        text: &SecondText,
        token: Token,
        out: &mut Vec<u8>,
    ) {
        let template = &self.templates[index];
        let start = out.len();
        out.extend_from_slice(&self.bytes[template.start..template.end]);
        let message = &mut out[start..];
        if let Some((at, field)) = template.time {
            field.put(&mut message[at..], unix_ns, text);
        }
        stamp(message, template.token_at, token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::verify;

    const SHAPES: [Shape; 5] =
        [Shape::Nginx, Shape::Json, Shape::Java, Shape::Fixed(FIXED_BYTES_MIN), Shape::Fixed(512)];

    fn render(pool: &LinePool, index: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let unix_ns = 1_795_255_199_123_456_789;
        let token = Token { stream: 3, number: index as u64 };
        pool.render(index, unix_ns, &SecondText::new(unix_ns), token, &mut out);
        out
    }

    #[test]
    fn every_line_verifies_and_is_one_line_of_utf8() {
        for shape in SHAPES {
            let pool = LinePool::new(shape, Random::new(1));
            for index in 0..pool.lines() {
                let line = render(&pool, index);
                assert_eq!(verify(&line), Ok(Token { stream: 3, number: index as u64 }), "{shape}");
                let line = String::from_utf8(line).unwrap();
                assert!(!line.contains(char::is_control) || shape == Shape::Java, "{line:?}");
                assert!(!line.contains('\n'), "{line:?}");
            }
        }
    }

    #[test]
    fn fixed_lines_have_exactly_their_bytes() {
        for bytes in [FIXED_BYTES_MIN, 256, 512, 16_384, 40_000] {
            let pool = LinePool::new(Shape::Fixed(bytes), Random::new(1));
            assert!((0..pool.lines()).all(|index| render(&pool, index).len() == bytes));
        }
    }

    #[test]
    fn nginx_lines_have_256_bytes_in_the_mean() {
        let pool = LinePool::new(Shape::Nginx, Random::new(1));
        let mean = pool.bytes.len() / pool.lines();
        assert!((251..=261).contains(&mean), "mean is {mean}");
    }

    #[test]
    fn json_lines_are_objects() {
        let pool = LinePool::new(Shape::Json, Random::new(1));
        for index in 0..pool.lines() {
            let object: serde_json::Value = serde_json::from_slice(&render(&pool, index)).unwrap();
            assert_eq!(object["ts"], "2026-11-21T09:59:59.123Z");
        }
    }

    #[test]
    fn times_stand_where_the_shape_has_them() {
        let line = |shape| render(&LinePool::new(shape, Random::new(1)), 0);
        let text = |shape| String::from_utf8(line(shape)).unwrap();
        assert!(text(Shape::Nginx).contains("[21/Nov/2026:09:59:59 +0000]"));
        assert!(text(Shape::Java).starts_with("2026-11-21 09:59:59,123 "));
    }

    #[test]
    fn chunks_compress_five_to_seven_times_at_level_1() {
        for shape in [Shape::Nginx, Shape::Fixed(512)] {
            let pool = LinePool::new(shape, Random::new(1));
            let mut chunk = Vec::new();
            let mut index = 0;
            let mut text = SecondText::new(0);
            while chunk.len() < 256 << 10 {
                let unix_ns = 1_795_255_199_000_000_000 + index as u64 * 50_000;
                text.turn_to(unix_ns);
                let token = Token { stream: 0, number: index as u64 };
                pool.render(index, unix_ns, &text, token, &mut chunk);
                chunk.push(b'\n');
                index += 1;
            }
            let small = zstd::bulk::compress(&chunk, 1).unwrap();
            let ratio = chunk.len() as f64 / small.len() as f64;
            assert!((5.0..7.0).contains(&ratio), "{shape}: ratio is {ratio}");
        }
    }
}
