//! Record: one framed line, as an index into its chunk. Plain data, 24 bytes, no strings.

/// Which of a container's streams a record came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Both.
    pub const BOTH: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

    /// The other one.
    #[must_use]
    pub fn other(self) -> Stream {
        match self {
            Stream::Stdout => Stream::Stderr,
            Stream::Stderr => Stream::Stdout,
        }
    }

    /// The name that CRI and OpenTelemetry use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// One thing per stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Streams<T> {
    /// That of standard output.
    pub stdout: T,
    /// That of standard error.
    pub stderr: T,
}

impl<T> Streams<T> {
    /// The one of `stream`.
    #[must_use]
    pub fn get(&self, stream: Stream) -> &T {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        }
    }

    /// The one of `stream`.
    pub fn get_mut(&mut self, stream: Stream) -> &mut T {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

impl<T: Copy> Streams<T> {
    /// The same for both.
    #[must_use]
    pub fn both(value: T) -> Streams<T> {
        Streams { stdout: value, stderr: value }
    }
}

impl Streams<bool> {
    /// As bits: 1 standard output, 2 standard error.
    #[must_use]
    pub fn bits(self) -> u8 {
        u8::from(self.stdout) | u8::from(self.stderr) << 1
    }

    /// What [`Streams::bits`] made; `None` if it makes no such bits.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Streams<bool>> {
        (bits < 4).then_some(Streams { stdout: bits & 1 != 0, stderr: bits & 2 != 0 })
    }

    /// Which lines go on before a record, from which do behind it.
    #[must_use]
    pub fn before(mut self, record: RecordFlags) -> Streams<bool> {
        if let Some(stream) = record.stream() {
            *self.get_mut(stream) = record.has(RecordFlags::CONTINUED);
        }
        self
    }
}

/// What is unusual about a record, and its stream. A set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecordFlags(u16);

impl RecordFlags {
    /// Nothing unusual, no stream.
    pub const NONE: RecordFlags = RecordFlags(0);
    /// From standard output.
    pub const STDOUT: RecordFlags = RecordFlags(1);
    /// From standard error.
    pub const STDERR: RecordFlags = RecordFlags(1 << 1);
    /// The bytes are in the chunk's side buffer (joined or unescaped), not in its data.
    pub const SIDE: RecordFlags = RecordFlags(1 << 2);
    /// A part of a longer line, and more parts follow.
    pub const PART: RecordFlags = RecordFlags(1 << 3);
    /// Delivered before its line end was seen: at a time-out or at the end of the source.
    pub const UNTERMINATED: RecordFlags = RecordFlags(1 << 4);
    /// Not in the format of its file: the raw line is delivered instead.
    pub const MALFORMED: RecordFlags = RecordFlags(1 << 5);
    /// Goes on from the previous part of the same line.
    pub const CONTINUED: RecordFlags = RecordFlags(1 << 6);
    /// The bytes are no text: not UTF-8, or not of the encoding that they were declared to be of.
    pub const BINARY: RecordFlags = RecordFlags(1 << 7);
    /// Put together from parts that the runtime wrote: lines of the other stream may lie between.
    pub const JOINED: RecordFlags = RecordFlags(1 << 8);

    /// Flags that a reader is told of, with their names.
    pub const NAMED: [(RecordFlags, &'static str); 5] = [
        (RecordFlags::PART, "part"),
        (RecordFlags::CONTINUED, "continued"),
        (RecordFlags::UNTERMINATED, "unterminated"),
        (RecordFlags::MALFORMED, "malformed"),
        (RecordFlags::BINARY, "binary"),
    ];
    /// The bits of all of [`RecordFlags::NAMED`]: zero for an ordinary record.
    pub const UNUSUAL: RecordFlags = RecordFlags(
        RecordFlags::PART.0
            | RecordFlags::CONTINUED.0
            | RecordFlags::UNTERMINATED.0
            | RecordFlags::MALFORMED.0
            | RecordFlags::BINARY.0,
    );

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: RecordFlags) -> RecordFlags {
        RecordFlags(self.0 | other.0)
    }

    /// Whether any bit of `other` is set.
    #[must_use]
    pub const fn has(self, other: RecordFlags) -> bool {
        self.0 & other.0 != 0
    }

    /// The stream, where the format tells it.
    #[must_use]
    pub const fn stream(self) -> Option<Stream> {
        if self.has(RecordFlags::STDOUT) {
            Some(Stream::Stdout)
        } else if self.has(RecordFlags::STDERR) {
            Some(Stream::Stderr)
        } else {
            None
        }
    }
}

impl From<Stream> for RecordFlags {
    fn from(stream: Stream) -> RecordFlags {
        match stream {
            Stream::Stdout => RecordFlags::STDOUT,
            Stream::Stderr => RecordFlags::STDERR,
        }
    }
}

/// One framed line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Time the line carries, nanoseconds since 1970; 0 if it carries none.
    pub time_unix_ns: i64,
    /// Where its bytes begin, in the chunk's data or, with [`RecordFlags::SIDE`], in its side buffer.
    pub start: u32,
    /// Length in bytes, without line end.
    pub len: u32,
    /// Cursor of its first byte in the source, counted from the begin of the section's span.
    /// Strictly increasing within a section.
    pub cursor: u32,
    /// Stream and oddities.
    pub flags: RecordFlags,
}

const _: () = assert!(size_of::<Record>() == 24);
