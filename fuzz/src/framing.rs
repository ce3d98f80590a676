//! Framing of a whole file, read as a source reads it: a run of bytes, then what is left and some more.
//!
//! Checks on the way what must hold of every single run: cursors grow, records are of the bytes
//! consumed and no longer than allowed, and what waits ends no run inside a line.

use flow::RecordFlags;
use pipeline::frame::{Carry, Format, FrameOptions, Output, RECORDS_MAX, Tail};
use sim::{Delivered, Run};

use crate::input::Input;

/// The one file, and its one life.
pub(crate) const PLACE: (usize, usize) = (0, 0);

/// How a file is read.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    pub(crate) format: Format,
    /// Longest record, in bytes.
    pub(crate) line_bytes_max: u32,
    pub(crate) skip: RecordFlags,
    /// How many bytes more are there with each read, again and again, and what becomes of a line
    /// without an end. At the end of the file it is delivered.
    pub(crate) reads: Vec<(usize, Tail)>,
}

/// What came out of a file.
#[derive(Debug, Default)]
pub(crate) struct Framed {
    pub(crate) records: Vec<Delivered>,
    /// Time of each record, nanoseconds since 1970.
    pub(crate) times: Vec<i64>,
    /// The bytes that each read was done with.
    pub(crate) runs: Vec<Run>,
    pub(crate) filtered: u64,
    pub(crate) filtered_bytes: u64,
}

impl Reading {
    /// Everything there from the beginning.
    pub(crate) fn at_once(&self) -> Reading {
        Reading { reads: vec![(usize::MAX, Tail::Wait)], ..self.clone() }
    }

    /// Nothing is delivered before its end, but at the end of the file.
    pub(crate) fn with_patience(&self) -> Reading {
        let reads = self.reads.iter().map(|(bytes, _)| (*bytes, Tail::Wait)).collect();
        Reading { reads, ..self.clone() }
    }

    /// The records of a file with these bytes.
    pub(crate) fn frame(&self, bytes: &[u8]) -> Framed {
        let (mut framed, mut carry) = (Framed::default(), Carry::default());
        let (mut at, mut visible, mut reads) = (0, 0, self.reads.iter().cycle());
        let mut idle = 0;
        while at < bytes.len() {
            let (more, tail) = *reads.next().expect("there is a read");
            let was_all = visible == bytes.len();
            visible = visible.saturating_add(more).min(bytes.len());
            // More must follow what is cut, and nothing follows the end.
            let tail = match tail {
                _ if was_all => Tail::Deliver,
                Tail::Cut if visible == bytes.len() => Tail::Wait,
                tail => tail,
            };
            let done = self.run(&bytes[at..visible], at, tail, &mut carry, &mut framed);
            idle = if done == 0 && was_all { idle + 1 } else { 0 };
            assert!(idle < 3, "{} bytes are never done with", bytes.len() - at);
            at += done;
        }
        framed
    }

    /// One run; returns how many bytes it is done with.
    fn run(
        &self,
        run: &[u8],
        at: usize,
        tail: Tail,
        carry: &mut Carry,
        framed: &mut Framed,
    ) -> usize {
        let (mut side, mut records) = (Vec::new(), Vec::new());
        let mut output = Output { side: &mut side, records: &mut records };
        let options = FrameOptions {
            line_bytes_max: self.line_bytes_max,
            tail,
            skip: self.skip,
            at_start: at == 0,
        };
        carry.mid_unit = !at.is_multiple_of(self.format.unit_bytes());
        let outcome = self.format.frame(run, &options, carry, &mut output);
        assert!(outcome.consumed <= run.len());
        let longest = run.len() / self.line_bytes_max as usize;
        assert!(records.len() <= RECORDS_MAX + longest + 2, "{} records", records.len());
        assert!(side.len() <= 2 * run.len() + 3, "{} bytes copied of {}", side.len(), run.len());
        if tail == Tail::Wait && outcome.consumed > 0 && !carry.mid_line {
            let is_mark = at == 0 && records.is_empty();
            assert!(is_mark || self.ends_line(&run[..outcome.consumed]), "ends inside a line");
        }
        let mut last = None;
        for record in &records {
            let from = if record.flags.has(RecordFlags::SIDE) { &side[..] } else { run };
            let body = from[record.start as usize..][..record.len as usize].to_vec();
            assert!(body.len() <= self.line_bytes_max as usize, "{} bytes", body.len());
            assert!(last < Some(record.cursor), "cursors grow");
            assert!((record.cursor as usize) < outcome.consumed, "a record of what is left");
            last = Some(record.cursor);
            let cursor = at as u64 + u64::from(record.cursor);
            framed.times.push(record.time_unix_ns);
            framed.records.push(Delivered {
                cursor,
                flags: record.flags,
                body,
                place: PLACE,
                holes: 0,
            });
        }
        framed.filtered += u64::from(outcome.filtered);
        framed.filtered_bytes += outcome.filtered_bytes;
        framed.runs.push(Run {
            place: PLACE,
            offset: at as u64,
            cursor: at as u64,
            source: 0,
            holes: 0,
            is_behind_nul: false,
            bytes: run[..outcome.consumed].to_vec(),
        });
        outcome.consumed
    }

    fn ends_line(&self, bytes: &[u8]) -> bool {
        match self.format {
            Format::Utf16(order) => bytes.last_chunk().is_some_and(|it| order.ends_line(*it)),
            _ => bytes.last() == Some(&b'\n'),
        }
    }
}

/// How a file is read, as the first bytes say: the longest record, then the reads.
pub(crate) fn reading(format: Format, input: &mut Input<'_>) -> Reading {
    // 4: as much as one character takes.
    let line_bytes_max = u32::from(input.byte()) + 4;
    let count = input.below(8) + 1;
    let read = |_| {
        let tail = match input.below(4) {
            0 | 1 => Tail::Wait,
            2 => Tail::Deliver,
            _ => Tail::Cut,
        };
        (usize::from(input.byte()) + 3, tail)
    };
    let reads = (0..count).map(read).collect();
    Reading { format, line_bytes_max, skip: RecordFlags::NONE, reads }
}

/// However reads cut the file, the same records come out of it.
pub(crate) fn assert_reads_do_not_matter(reading: &Reading, bytes: &[u8]) {
    let (one, other) = (reading.at_once().frame(bytes), reading.with_patience().frame(bytes));
    let texts = |framed: &Framed| -> Vec<_> {
        let records = framed.records.iter().zip(&framed.times);
        records.map(|(it, time)| (it.cursor, it.flags, it.body.clone(), *time)).collect()
    };
    assert_eq!(texts(&one), texts(&other), "at once, and in pieces");
    let filtered = |it: &Framed| (it.filtered, it.filtered_bytes);
    assert_eq!(filtered(&one), filtered(&other), "left out at once, and in pieces");
}
