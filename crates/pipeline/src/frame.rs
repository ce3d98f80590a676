//! Framing: finds the records in a run of bytes, in place.
//!
//! A frame function is pure: bytes in, records out, and how many bytes are done with. It keeps no
//! bytes of its own: what it does not consume stays in the file and is read again. Records refer to
//! the bytes by offset; only joined partial lines and unescaped JSON are copied, to the side buffer.
//!
//! Rule that recovery rests on: the bytes consumed never end inside an open line. A batch boundary
//! is therefore always a place from which a restart can go on, knowing nothing else.

use flow::{Record, RecordFlags, Stream};

pub mod cri;
pub mod docker;
pub mod group;
mod join;
pub mod multiline;
pub mod plain;
pub mod time;
pub mod utf16;

pub use flow::Streams;
pub use utf16::ByteOrder;

/// Records that one run of framing finds at most.
///
/// 16,384: lines of 16 bytes in a chunk of 256 KiB. A chunk of nothing but line ends would otherwise
/// become a hundred times its size in attributes.
pub const RECORDS_MAX: usize = 16_384;

/// How a file's lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Newline-terminated lines.
    Plain,
    /// Lines of the CRI log format, as containerd and CRI-O write them.
    Cri,
    /// Lines of Docker's json-file driver.
    Docker,
    /// Newline-terminated lines of UTF-16.
    Utf16(ByteOrder),
}

/// What to do with bytes that no line end follows yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Leave them: more may come.
    Wait,
    /// Deliver them now, flagged: a time-out, or nothing will ever follow.
    Deliver,
    /// Deliver them as a part: they fill the chunk, and more follows for sure.
    Cut,
}

impl Tail {
    /// The flag of what is delivered before its end.
    fn flag(self) -> RecordFlags {
        if self == Tail::Cut { RecordFlags::PART } else { RecordFlags::UNTERMINATED }
    }
}

/// What framing is told beside the bytes.
#[derive(Debug, Clone, Copy)]
pub struct FrameOptions {
    /// Longest record, in bytes; a longer line comes in parts of this length.
    pub line_bytes_max: u32,
    /// What to do at the end of the bytes.
    pub tail: Tail,
    /// Streams whose records are left out.
    pub skip: RecordFlags,
    /// The bytes are a file's first: a byte order mark may stand there.
    pub at_start: bool,
}

/// What framing found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Framed {
    /// Bytes done with: all of them are in records, in line ends and prefixes, or filtered.
    pub consumed: usize,
    /// Records left out.
    pub filtered: u32,
    /// Bytes of the lines left out.
    pub filtered_bytes: u64,
    /// Bytes copied to the side buffer.
    pub copied: u64,
    /// Framing stopped at [`RECORDS_MAX`]: there is more in the bytes.
    pub is_cut: bool,
    /// Bytes at the end belong to a record whose lines are whole but whose last part is missing.
    pub open_join: bool,
}

/// What carries over from one run of bytes to the next, beside the bytes themselves: flags only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carry {
    /// The bytes begin inside a line of the file whose beginning was delivered.
    pub mid_line: bool,
    /// … and what was delivered last of it said that a part follows.
    pub mid_part: bool,
    /// The bytes begin with the second half of a unit of UTF-16.
    pub mid_unit: bool,
    /// The next part of this stream goes on from one already delivered.
    pub continued: Streams<bool>,
}

/// Where records and copied bytes go.
#[derive(Debug)]
pub struct Output<'a> {
    /// Joined and unescaped bytes.
    pub side: &'a mut Vec<u8>,
    /// Records, in the order of their first bytes.
    pub records: &'a mut Vec<Record>,
}

impl Format {
    /// Finds the records in `bytes`.
    pub fn frame(
        self,
        bytes: &[u8],
        options: &FrameOptions,
        carry: &mut Carry,
        output: &mut Output<'_>,
    ) -> Framed {
        match self {
            Format::Plain => plain::frame(bytes, options, carry, output),
            Format::Cri => join::frame(bytes, options, carry, output, cri::parse),
            Format::Docker => join::frame(bytes, options, carry, output, docker::parse),
            Format::Utf16(order) => utf16::frame(bytes, options, carry, output, order),
        }
    }

    /// How many bytes make the smallest thing that is written: a byte, or a unit of UTF-16.
    #[must_use]
    pub fn unit_bytes(self) -> usize {
        match self {
            Format::Plain | Format::Cri | Format::Docker => 1,
            Format::Utf16(_) => utf16::UNIT_BYTES,
        }
    }

    /// The format of a container's stdout file, by its first line; `None` if too little is there.
    #[must_use]
    pub fn detect(head: &[u8]) -> Option<Format> {
        let end = match memchr::memchr(b'\n', head) {
            Some(end) => end,
            None if head.len() >= PREFIX_BYTES_MAX => head.len(),
            None => return None,
        };
        if head.first() == Some(&b'{') {
            return Some(Format::Docker);
        }
        let line = cri::parse(&head[..end], &mut time::SecondCache::default(), &mut Vec::new());
        Some(if line.is_some() { Format::Cri } else { Format::Plain })
    }
}

/// Longest prefix of a CRI line that is waited for, in bytes: the time stamp, the stream and tags.
const PREFIX_BYTES_MAX: usize = 128;

/// One line of a container's stdout file, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// When the runtime wrote it, nanoseconds since 1970.
    pub time_unix_ns: i64,
    /// Which stream.
    pub stream: Stream,
    /// Whether more parts of the same line follow.
    pub partial: bool,
    /// Where the content begins: in the line, or in the side buffer if `in_side`.
    pub start: usize,
    /// Length of the content in bytes.
    pub len: usize,
    /// Whether the content was unescaped into the side buffer.
    pub in_side: bool,
}

#[cfg(test)]
mod tests;
