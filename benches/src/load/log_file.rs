//! Log file of a load: its streams, its clock, and the lines it writes next.

use std::io;

use super::Lines;
use crate::clocks::{SecondText, unix_ns};
use crate::layout::Place;
use crate::random::Random;
use crate::rotation::{RollingFile, Rotation};
use crate::token::Token;
use crate::truth::StreamTruth;
use crate::wrap::{Format, IoStream, PART_BYTES_MAX, parts, push_cri_head, push_docker_line};

/// Where virtual time begins: 2026-01-01T00:00:00Z, in nanoseconds since 1970.
const VIRTUAL_START_NS: u64 = 1_767_225_600_000_000_000;

/// Virtual time passes by 1 to 100 µs a line: full nanoseconds, so that the times in a load cost a
/// compressor what real ones do.
const VIRTUAL_STEP_NS: (u64, u32) = (1_000, 99_000);

/// Which time lines carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ContentClock {
    /// Passes with each line by a step out of the seed: the same bytes in every run.
    Virtual,
    /// The machine's: bytes differ from run to run.
    Wall,
}

/// One sequence of numbered lines.
#[derive(Debug)]
struct Stream {
    io: IoStream,
    token: Token,
    /// Index in the pool of the next line.
    at: usize,
    bytes: u64,
    file_bytes: u64,
}

/// Buffers that all files of a load share.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    out: Vec<u8>,
    messages: [Vec<u8>; 2],
}

/// How much to write at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Goal {
    /// Stop at the first line that reaches this many bytes in the file.
    pub(super) bytes: u64,
    /// Stop at this many lines.
    pub(super) lines: u64,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes in files, with wrapping and line ends.
    pub bytes: u64,
    /// Messages.
    pub lines: u64,
}

/// One file with its streams.
#[derive(Debug)]
pub(super) struct LogFile {
    place: Place,
    file: RollingFile,
    streams: Vec<Stream>,
    stderr_share: f64,
    clock: ContentClock,
    now_ns: u64,
    text: SecondText,
    random: Random,
}

impl LogFile {
    /// Makes the file; its streams are `first_stream` and, with a share of stderr, the next one.
    pub(super) fn create(
        place: Place,
        first_stream: u32,
        stderr_share: f64,
        clock: ContentClock,
        rotation: Option<Rotation>,
        mut random: Random,
        lines: &Lines,
    ) -> io::Result<LogFile> {
        let file = RollingFile::create(&place.path, rotation)?;
        let ios = [IoStream::Stdout, IoStream::Stderr];
        let count = if stderr_share > 0.0 { 2 } else { 1 };
        let streams = (first_stream..)
            .zip(&ios[..count])
            .map(|(stream, &io)| Stream {
                io,
                token: Token { stream, number: 0 },
                at: lines.pool.start(&mut random),
                bytes: 0,
                file_bytes: 0,
            })
            .collect();
        let text = SecondText::new(VIRTUAL_START_NS);
        let now_ns = VIRTUAL_START_NS;
        Ok(LogFile { place, file, streams, stderr_share, clock, now_ns, text, random })
    }

    /// Writes lines until `goal` is reached.
    pub(super) fn fill(
        &mut self,
        lines: &Lines,
        goal: Goal,
        scratch: &mut Scratch,
    ) -> io::Result<Totals> {
        scratch.out.clear();
        let mut written = Totals::default();
        while written.lines < goal.lines && written.bytes < goal.bytes {
            written.lines += self.push_line(lines, goal.lines - written.lines, scratch);
            written.bytes = scratch.out.len() as u64;
        }
        self.file.write(&scratch.out, self.now_ns)?;
        Ok(written)
    }

    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.file.finish()
    }

    pub(super) fn truth(&self, format: Format) -> impl Iterator<Item = StreamTruth> {
        self.streams.iter().map(move |stream| {
            let pod = self.place.pod.as_ref();
            StreamTruth {
                stream: stream.token.stream,
                lines: stream.token.number,
                bytes: stream.bytes,
                file_bytes: stream.file_bytes,
                path: self.place.path.to_string_lossy().into_owned(),
                iostream: (format != Format::Plain).then(|| stream.io.name().to_owned()),
                namespace: pod.map(|pod| pod.namespace.clone()),
                pod: pod.map(|pod| pod.pod.clone()),
                pod_uid: pod.map(|pod| pod.pod_uid.clone()),
                container: pod.map(|pod| pod.container.clone()),
            }
        })
    }

    /// Appends the next line to the scratch buffer, or the next two with their parts mixed.
    #[inline]
    fn push_line(&mut self, lines: &Lines, lines_max: u64, scratch: &mut Scratch) -> u64 {
        let chosen = usize::from(self.stderr_share > 0.0 && self.random.chance(self.stderr_share));
        let message_bytes = lines.pool.message_bytes(self.streams[chosen].at);
        let whole = match lines.format {
            Format::Plain => true,
            Format::Cri => message_bytes <= PART_BYTES_MAX,
            Format::Docker => false,
        };
        if whole {
            self.push_whole_line(lines, chosen, &mut scratch.out);
            return 1;
        }
        // Two goroutines of containerd write stdout and stderr, so parts of long lines mix.
        let mixes = message_bytes > PART_BYTES_MAX
            && self.streams.len() == 2
            && lines_max >= 2
            && self.random.chance(0.5);
        self.push_parts(lines, chosen, mixes, scratch);
        if mixes { 2 } else { 1 }
    }

    #[inline]
    fn push_whole_line(&mut self, lines: &Lines, chosen: usize, out: &mut Vec<u8>) {
        self.tick();
        let stream = &mut self.streams[chosen];
        let start = out.len();
        if lines.format == Format::Cri {
            push_cri_head(stream.io, true, self.now_ns, &self.text, out);
        }
        stream.render(lines, self.now_ns, &self.text, out);
        out.push(b'\n');
        stream.file_bytes += (out.len() - start) as u64;
    }

    fn push_parts(&mut self, lines: &Lines, chosen: usize, mixes: bool, scratch: &mut Scratch) {
        self.tick();
        let Scratch { out, messages } = scratch;
        for (index, message) in messages.iter_mut().enumerate() {
            message.clear();
            if index == chosen || mixes {
                self.streams[index].render(lines, self.now_ns, &self.text, message);
            }
        }
        let [first, second] = messages;
        let mut left = [parts(first).peekable(), parts(second).peekable()];
        while left.iter_mut().any(|parts| parts.peek().is_some()) {
            let mut index = self.random.below(2) as usize;
            if left[index].peek().is_none() {
                index = 1 - index;
            }
            let Some((part, last)) = left[index].next() else { break };
            self.push_part(lines.format, index, part, last, out);
            self.tick();
        }
    }

    fn push_part(
        &mut self,
        format: Format,
        index: usize,
        part: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) {
        let stream = &mut self.streams[index];
        let start = out.len();
        match format {
            Format::Docker => {
                push_docker_line(part, stream.io, last, self.now_ns, &self.text, out);
            }
            Format::Cri => {
                push_cri_head(stream.io, last, self.now_ns, &self.text, out);
                out.extend_from_slice(part);
                out.push(b'\n');
            }
            Format::Plain => unreachable!("plain lines are written whole"),
        }
        stream.file_bytes += (out.len() - start) as u64;
    }

    #[inline]
    fn tick(&mut self) {
        self.now_ns = match self.clock {
            ContentClock::Virtual => {
                let (least, spread) = VIRTUAL_STEP_NS;
                self.now_ns + least + u64::from(self.random.below(spread))
            }
            ContentClock::Wall => unix_ns(),
        };
        self.text.turn_to(self.now_ns);
    }
}

impl Stream {
    /// Appends the next message to `out`.
    #[inline]
    fn render(&mut self, lines: &Lines, unix_ns: u64, text: &SecondText, out: &mut Vec<u8>) {
        let start = out.len();
        lines.pool.render(self.at, unix_ns, text, self.token, out);
        self.token.number += 1;
        self.at = if self.at + 1 == lines.pool.lines() { 0 } else { self.at + 1 };
        self.bytes += (out.len() - start) as u64;
    }
}
