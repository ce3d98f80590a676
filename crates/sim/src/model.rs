//! Model: the reference tailer, for one context. Slow, naive, and right by reading.
//!
//! It is given all bytes that were handed over, in the order of their cursors, and where they come
//! from. It splits them by lines, takes container lines apart, joins parts per stream, and so says
//! which whole records there are. How a tailer cuts these into pieces (lines longer than the limit,
//! lines that waited too long for their end) depends on the moment it looks; [`mend`] puts pieces
//! together again, by their flags alone, so that both can be compared.

use std::collections::BTreeMap;

use flow::{RecordFlags, Stream};
use pipeline::frame::Format;

use crate::Delivered;

/// How the context's lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// Format; Docker's is not modelled.
    pub format: Format,
    /// Longest record, in bytes.
    pub line_bytes_max: usize,
}

/// Bytes of one life that were handed over in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Which file and which of its lives, by number.
    pub place: (usize, usize),
    /// Offset of the first byte.
    pub offset: u64,
    /// Cursor of the first byte.
    pub cursor: u64,
    /// Which life of the source's handed it over, by number.
    pub source: u32,
    /// How many holes were declared before it, in whatever file.
    pub holes: u32,
    /// The byte before it was a NUL when it was read.
    pub is_behind_nul: bool,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// One line of a file, as far as it was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Cursor of the first byte.
    pub cursor: u64,
    /// Offset of the first byte.
    pub offset: u64,
    /// Which life of the source's handed its first byte over.
    pub source: u32,
    /// How many holes were declared before that.
    pub holes: u32,
    /// Without the newline.
    pub bytes: Vec<u8>,
    /// The newline is there.
    pub is_ended: bool,
    /// It begins behind bytes that were not handed over, and are no hole.
    pub is_behind_gap: bool,
    /// Lengths at which a run ended inside the line: the tailer did not wait for the rest.
    pub tears: Vec<usize>,
}

/// A whole record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Cursor of its first line's first byte.
    pub cursor: u64,
    /// Stream, if the format tells it.
    pub stream: Option<Stream>,
    /// Not in the format of its file.
    pub is_malformed: bool,
    /// Content.
    pub content: Vec<u8>,
}

impl Run {
    /// Offset behind its last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }
}

impl Model {
    /// The lines in `runs`, in the order of their first bytes. No line goes on in another life, or over a
    /// hole.
    #[must_use]
    pub fn lines(&self, runs: &[Run]) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut open: BTreeMap<(usize, usize), Line> = BTreeMap::new();
        let mut ends: BTreeMap<(usize, usize), (u64, u32, u32)> = BTreeMap::new();
        for run in runs {
            let (end, source, holes) = ends
                .insert(run.place, (run.end(), run.source, run.holes))
                .unwrap_or((0, run.source, 0));
            // Who begins behind a NUL takes it for the end of a hole.
            if end != run.offset || run.is_behind_nul && source != run.source {
                lines.extend(open.remove(&run.place));
            }
            let mut is_behind_gap = end != run.offset && holes == run.holes;
            for (at, byte) in (0u64..).zip(&run.bytes) {
                let line = open.entry(run.place).or_insert_with(|| Line {
                    cursor: run.cursor + at,
                    offset: run.offset + at,
                    source: run.source,
                    holes: run.holes,
                    bytes: Vec::new(),
                    is_ended: false,
                    is_behind_gap: std::mem::take(&mut is_behind_gap),
                    tears: Vec::new(),
                });
                if *byte == b'\n' {
                    line.is_ended = true;
                    lines.extend(open.remove(&run.place));
                } else {
                    line.bytes.push(*byte);
                }
            }
            if let Some(line) = open.get_mut(&run.place) {
                line.tears.push(line.bytes.len());
            }
        }
        lines.extend(open.into_values());
        lines.sort_by_key(|line| line.cursor);
        lines
    }

    /// The whole records in `runs`, in the order of their first bytes.
    ///
    /// # Panics
    /// If the format is not modelled.
    #[must_use]
    pub fn records(&self, runs: &[Run]) -> Vec<Whole> {
        let lines = self.lines(runs);
        match self.format {
            Format::Plain => lines.iter().map(plain).collect(),
            Format::Cri => join(&lines),
            Format::Docker | Format::Utf16(_) => panic!("not modelled: {:?}", self.format),
        }
    }
}

/// A plain line: without a byte order mark at its file's beginning, and without a carriage return
/// that was read together with the newline.
fn plain(line: &Line) -> Whole {
    let mut content = line.bytes.as_slice();
    if line.offset == 0 {
        content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    }
    if line.is_ended && !line.tears.contains(&line.bytes.len()) {
        content = content.strip_suffix(b"\r").unwrap_or(content);
    }
    Whole { cursor: line.cursor, stream: None, is_malformed: false, content: content.to_vec() }
}

/// Container lines: parts are joined per stream, over generations too. What was torn is no line of
/// the format any more, and is delivered as it is.
fn join(lines: &[Line]) -> Vec<Whole> {
    let mut records: Vec<Whole> = Vec::new();
    // By stream, the record that its next part belongs to.
    let mut open: [Option<usize>; 2] = [None, None];
    let mut holes = 0;
    for line in lines {
        if line.holes != holes || line.is_behind_gap {
            // A hole ends joins where it is declared: a part that was read behind it, late, of whatever file, goes
            // on in what is read next.
            (open, holes) = ([None, None], line.holes);
        }
        let parsed = if line.tears.is_empty() { container_line(&line.bytes) } else { None };
        let Some((stream, is_partial, content)) = parsed else {
            let content = line.bytes.clone();
            records.push(Whole { cursor: line.cursor, stream: None, is_malformed: true, content });
            continue;
        };
        let slot = &mut open[usize::from(stream == Stream::Stderr)];
        let index = slot.take().unwrap_or_else(|| {
            let (content, is_malformed) = (Vec::new(), false);
            records.push(Whole {
                cursor: line.cursor,
                stream: Some(stream),
                is_malformed,
                content,
            });
            records.len() - 1
        });
        records[index].content.extend_from_slice(content);
        *slot = is_partial.then_some(index);
    }
    records
}

/// Takes `TIME SP STREAM SP TAG SP CONTENT` apart: stream, whether it is a part, content.
fn container_line(line: &[u8]) -> Option<(Stream, bool, &[u8])> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    // Two that were written to one line by accident are none.
    let is_time = |time: &&[u8]| {
        let only = time.iter().filter(|byte| **byte == b'T').count() == 1;
        only && time.get(10) == Some(&b'T') && time.starts_with(b"2")
    };
    words.next().filter(is_time)?;
    let stream = match words.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    let is_partial = match words.next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    let content = words.next().unwrap_or_default();
    let content = if is_partial { content } else { content.strip_suffix(b"\r").unwrap_or(content) };
    Some((stream, is_partial, content))
}

/// Puts the pieces of records together by their flags.
///
/// # Errors
/// If a piece goes on from one that said nothing of it, or one that was announced did not come.
pub fn mend(pieces: &[Delivered]) -> Result<Vec<Whole>, String> {
    let mut records: Vec<Whole> = Vec::new();
    // By stream, or by place where there is none: the last record, its piece's flags, the holes before it.
    let mut last: BTreeMap<(usize, usize, usize), (usize, RecordFlags, u32)> = BTreeMap::new();
    for piece in pieces {
        let stream = piece.flags.stream();
        let thread = match stream {
            Some(stream) => (usize::MAX, usize::MAX, usize::from(stream == Stream::Stderr)),
            None => (piece.place.0, piece.place.1, 0),
        };
        let before = last.get(&thread).copied();
        let is_behind_hole = before.is_some_and(|(_, _, holes)| holes < piece.holes);
        let index = if piece.flags.has(RecordFlags::CONTINUED) {
            let goes_on = RecordFlags::PART.with(RecordFlags::UNTERMINATED);
            let before = before.filter(|(_, flags, _)| flags.has(goes_on));
            before.ok_or_else(|| format!("goes on from nothing: {piece:?}"))?.0
        } else {
            let was_announced = before.is_some_and(|(_, flags, _)| flags.has(RecordFlags::PART));
            if was_announced && !is_behind_hole && stream.is_some() {
                return Err(format!("a part was announced, and this came: {piece:?}"));
            }
            records.push(Whole {
                cursor: piece.cursor,
                stream,
                is_malformed: piece.flags.has(RecordFlags::MALFORMED),
                content: Vec::new(),
            });
            records.len() - 1
        };
        records[index].content.extend_from_slice(&piece.body);
        last.insert(thread, (index, piece.flags, piece.holes));
    }
    Ok(records)
}
