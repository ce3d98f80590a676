//! Queue: the embedded queue after any history of appends, restarts, torn ends and damage.
//!
//! A plain list says what was appended. A torn end leaves a prefix of it; damage leaves a part of it
//! and is told of; whatever happened, the queue opens, takes more, and gives it back.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::input::Input;
use flow::{Codec, ContextId, Ledger, ReadBack, Sink, Span, ack_channel};
use sink::queue::{
    BatchFrame, Queue, QueueOptions, QueueReadBack, QueueReader, QueueSink, Recovery, RecoveryNote,
};

mod parts;

use parts::{Folder, LazyDisk, StillClock, body, payload};

const TENANT: &str = "shop";
const CONTEXTS: usize = 4;
/// Most steps: each goes to a real file system.
const STEPS_MAX: usize = 24;

/// One section: context and span.
type Sections = Vec<(usize, Span)>;

/// One input: the size of segments, then the steps.
///
/// # Panics
/// If the queue does not hold what it must.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let segment_bytes = input.number() as u64 % 4096 + 200;
    let mut bed = Bed::new(segment_bytes);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        bed.step(&mut input);
        if bed.is_damaged {
            break;
        }
        bed.assert_holds_all();
    }
    bed.assert_takes_more();
}

/// A queue in a folder of its own, and what it must hold.
struct Bed {
    dir: Folder,
    options: QueueOptions,
    queue: Option<Arc<Queue>>,
    model: Vec<Sections>,
    /// Where each context ends.
    ends: [u64; CONTEXTS],
    /// Bytes were changed that had been written well.
    is_damaged: bool,
    /// What the last opening said.
    recovery: Recovery,
}

impl Bed {
    fn new(segment_bytes: u64) -> Bed {
        let sync_interval = Duration::from_secs(10);
        let options = QueueOptions { segment_bytes, sync_interval, ..QueueOptions::default() };
        let mut bed = Bed {
            dir: Folder::new(),
            options,
            queue: None,
            model: Vec::new(),
            ends: [0; CONTEXTS],
            is_damaged: false,
            recovery: Recovery::default(),
        };
        bed.open();
        bed
    }

    fn open(&mut self) {
        let (options, clock) = (self.options.clone(), Arc::new(StillClock));
        let opened = Queue::open_on(&self.dir.0, options, clock, Arc::new(LazyDisk));
        let (queue, recovery) = opened.unwrap_or_else(|why| panic!("{why}"));
        (self.queue, self.recovery) = (Some(queue), recovery);
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(8) {
            0..=3 => self.append(input),
            4 => {
                self.queue = None;
                self.open();
                assert!(self.recovery.is_clean(), "{}", self.recovery);
            }
            5 | 6 => self.crash(input.number() as u64),
            _ => self.damage(input),
        }
    }

    fn append(&mut self, input: &mut Input<'_>) {
        let codec = [Codec::None, Codec::Zstd, Codec::Lz4][input.below(3)];
        let mut sections = Sections::new();
        for _ in 0..input.below(4) + 1 {
            let (context, bytes) = (input.below(CONTEXTS), input.byte());
            let begin = self.ends[context];
            self.ends[context] += u64::from(bytes);
            sections.push((context, Span::new(begin, self.ends[context])));
        }
        self.submit(codec, &sections);
        self.model.push(sections);
    }

    fn submit(&self, codec: Codec, sections: &[(usize, Span)]) {
        let queue = self.queue.as_ref().expect("it is open");
        let (acks, acked) = ack_channel();
        let ledger = Arc::new(Ledger::default());
        let mut sink = QueueSink::new(Arc::clone(queue), acks);
        let payload = payload(codec, sections, &ledger);
        let submitted = sink.submit(payload);
        assert!(submitted.is_ok(), "{:?}", submitted.map(drop));
        let flushed = sink.flush(u64::MAX);
        assert!(flushed.is_ok(), "{flushed:?}");
        assert_eq!(acked.try_iter().flatten().count(), sections.len());
        assert_eq!(ledger.dropped(), 0);
    }

    /// The writer dies, and the newest segment lost its end: what is left is a prefix.
    fn crash(&mut self, bytes: u64) {
        self.queue = None;
        let Some(path) = self.segments().pop() else { return self.open() };
        let file = File::options().write(true).open(&path).expect("a segment");
        let len = file.metadata().expect("a file").len();
        file.set_len(len.saturating_sub(bytes % (len + 1))).expect("in memory");
        self.open();
        let is_cut = |it: &RecoveryNote| {
            matches!(it, RecoveryNote::Cut { .. } | RecoveryNote::Sealed { .. })
        };
        assert!(self.recovery.notes.iter().all(is_cut), "{}", self.recovery);
        let left: Vec<Sections> = self.read().0.iter().map(sections_of).collect();
        assert!(self.model.starts_with(&left), "{left:?} of {:?}", self.model);
        self.model = left;
        self.ends = [0; CONTEXTS];
        for (context, span) in self.model.iter().flatten() {
            self.ends[*context] = span.end;
        }
    }

    /// Bytes of a segment are others now, or are gone, or stand there twice.
    fn damage(&mut self, input: &mut Input<'_>) {
        self.queue = None;
        let segments = self.segments();
        if segments.is_empty() {
            return self.open();
        }
        let path = &segments[input.below(segments.len())];
        let mut bytes = std::fs::read(path).expect("a segment");
        let before = bytes.clone();
        for _ in 0..input.below(4) + 1 {
            let (how, at) = (input.byte(), input.number() % bytes.len().max(1));
            let end = (at + input.below(80)).min(bytes.len());
            match how % 5 {
                0 if at < bytes.len() => bytes[at] ^= 1 << (how >> 5),
                1 => bytes[at..end].fill(how),
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let twice = bytes[at..end].to_vec();
                    bytes.splice(at..at, twice);
                }
                _ => {
                    let other = input.bytes(end - at);
                    bytes[at..at + other.len()].copy_from_slice(other);
                }
            }
        }
        std::fs::write(path, &bytes).expect("in memory");
        self.is_damaged = bytes != before;
        self.open();
    }

    /// Everything appended is there, once and in order, and nothing is said against it.
    fn assert_holds_all(&self) {
        let (batches, problems) = self.read();
        assert_eq!(problems, Vec::<String>::new());
        let got: Vec<Sections> = batches.iter().map(sections_of).collect();
        assert_eq!(got, self.model);
        let queue = self.queue.as_ref().expect("it is open");
        let Some(mut read_back) = QueueReadBack::of(queue).ok().filter(|_| !self.model.is_empty())
        else {
            return;
        };
        for (number, end) in self.ends.into_iter().enumerate() {
            let persisted = read_back.persisted(ContextId(number as u128));
            let spans = persisted.iter().map(|it| it.span).filter(|it| !it.is_empty());
            let want = Some(Span::new(0, end)).filter(|it| !it.is_empty());
            assert_eq!(spans.collect::<Vec<Span>>(), want.into_iter().collect::<Vec<Span>>());
        }
    }

    /// Whatever happened, it takes more; what can be read was appended, and what cannot is told of.
    fn assert_takes_more(&mut self) {
        let context = CONTEXTS - 1;
        let begin = self.ends[context];
        let more: Sections = vec![(context, Span::new(begin, begin + 10))];
        self.submit(Codec::None, &more);
        self.model.push(more);
        let (batches, problems) = self.read();
        let is_told = !self.recovery.is_clean() || !problems.is_empty();
        let mut model = self.model.iter();
        let mut readable = 0;
        for batch in batches.iter().filter(|it| it.block().is_ok()) {
            let sections = sections_of(batch);
            // In order, and none twice.
            assert!(model.any(|it| *it == sections), "{sections:?} was not appended here");
            readable += 1;
        }
        assert_eq!(batches.last().map(sections_of), self.model.last().cloned());
        let is_whole = readable == self.model.len();
        assert!(
            is_whole || is_told || readable < batches.len(),
            "{readable} of {}, and not a word",
            self.model.len()
        );
    }

    /// Every batch, and what a reader says against the rest.
    fn read(&self) -> (Vec<BatchFrame>, Vec<String>) {
        let (mut batches, mut problems) = (Vec::new(), Vec::new());
        if self.segments().is_empty() {
            return (batches, problems);
        }
        let scan = QueueReader::open(&self.dir.0).and_then(|it| it.scan(TENANT));
        for item in scan.unwrap_or_else(|why| panic!("{why}")) {
            match item {
                Ok(batch) => batches.push(batch),
                Err(problem) => problems.push(problem.to_string()),
            }
        }
        batches.iter().for_each(assert_bodies);
        (batches, problems)
    }

    fn segments(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.dir.0.join(TENANT)) else {
            return Vec::new();
        };
        let mut paths: Vec<PathBuf> = entries.map(|it| it.expect("an entry").path()).collect();
        paths.sort();
        paths
    }
}

fn sections_of(batch: &BatchFrame) -> Sections {
    let number = |it: ContextId| usize::try_from(it.0).unwrap_or(usize::MAX);
    batch.entries.iter().map(|it| (number(it.header.context.id), it.header.span)).collect()
}

/// What can be read of a batch is what was put there for its context and span.
fn assert_bodies(batch: &BatchFrame) {
    let Ok(block) = batch.block() else { return };
    for entry in &batch.entries {
        let number = usize::try_from(entry.header.context.id.0).expect("a context of ours");
        assert!(
            block[entry.header.in_block()] == body(number, entry.header.span),
            "another content"
        );
    }
}
