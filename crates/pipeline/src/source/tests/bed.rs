//! Bed: a source over real files in a folder of its own, stepped by hand.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use flow::{Chunk, Context, ContextId, RecordFlags, SourceId, Span};

use super::super::*;
use crate::frame::{Format, Tail};
use crate::fs::{Fs, HostFs, Reach};

pub(super) const LATE: u64 = 1000;
pub(super) const FLUSH: u64 = 100;

pub(super) struct Bed {
    pub(super) source: Source,
    pub(super) chunk: Chunk,
    pub(super) directory: tempfile::TempDir,
    pub(super) now_ns: u64,
    /// What was delivered: begin of the span, bodies; and what is the checkpoint's view of it.
    pub(super) delivered: Vec<(Span, Vec<String>)>,
    pub(super) known: Known,
}

pub(super) fn options(format: Option<Format>) -> SourceOptions {
    SourceOptions {
        format,
        start_at: StartAt::Beginning,
        line_bytes_max: 4096,
        flush_timeout_ns: FLUSH,
        multiline: None,
        late_writes_ns: LATE,
        sample_one_in: None,
        skip: RecordFlags::NONE,
        linger_ns: 0,
    }
}

/// Everything: what a source asks for is what discovery found.
pub(super) fn everything() -> HostFs {
    HostFs::new(Reach::own_trees(vec![PathBuf::from("/")], Vec::new()))
}

pub(super) fn source(known: &Known, format: Option<Format>) -> Source {
    let id = ContextId(1);
    let context = Context { id, tenant: Arc::from("t"), attributes: Vec::new() };
    let spec = SourceSpec {
        context: Arc::new(context),
        rule: Arc::from("rule"),
        sink: 0,
        options: Arc::new(options(format)),
        fs: Arc::new(everything()),
        is_on_log_disk: false,
    };
    Source::new(SourceId(0), spec, Arc::default(), known)
}

impl Bed {
    pub(super) fn new(format: Option<Format>) -> Bed {
        let known = Known::new(1);
        Bed {
            source: source(&known, format),
            chunk: Chunk::new(4096),
            directory: tempfile::tempdir().unwrap(),
            now_ns: 1_000_000,
            delivered: Vec::new(),
            known,
        }
    }

    /// A new agent that knows what the last one delivered.
    pub(super) fn restart(&mut self) {
        self.known.cursor = self.source.cursor;
        self.known.is_new = false;
        self.source.moved.iter().for_each(|(_, it)| self.known.move_to(*it));
        let format = self.source.spec.options.format;
        self.source = source(&self.known, format);
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn append(&self, name: &str, text: &str) {
        let mut options = fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Its time of change is another one then, however coarse the file system's clock is.
    pub(super) fn rewrite(&self, name: &str, text: &str) {
        let before = fs::metadata(self.path(name)).unwrap().modified().unwrap();
        fs::write(self.path(name), text).unwrap();
        let file = fs::File::options().write(true).open(self.path(name)).unwrap();
        file.set_modified(before + std::time::Duration::from_secs(1)).unwrap();
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(super) fn seen(&self, names: &[&str]) -> Vec<SeenFile> {
        let seen = |name: &&str| {
            let path = self.directory.path().join(name);
            SeenFile { stat: everything().stat(&path).unwrap(), path, packed: None }
        };
        names.iter().map(seen).collect()
    }

    pub(super) fn look(&mut self, names: &[&str]) {
        let files = self.seen(names);
        let fs = Arc::clone(&self.source.spec.fs);
        self.source.reconcile(&*fs, &files, u64::MAX, StartAt::Beginning, self.now_ns);
    }

    /// Does everything there is to do at this time; returns the bodies delivered.
    pub(super) fn run(&mut self) -> Vec<String> {
        let mut bodies = Vec::new();
        for _ in 0..1000 {
            let fs = Arc::clone(&self.source.spec.fs);
            match self.source.look(&*fs, self.now_ns) {
                Look::Read { tail, bridge, .. } => {
                    bodies.extend(self.read(tail, bridge));
                }
                Look::Gap(missing) => {
                    let (span, positions) = self.source.gap(&missing);
                    positions.into_iter().for_each(|it| self.known.move_to(it));
                    bodies.push(format!("gap {} {}", missing.reason, missing.bytes));
                    self.delivered.push((span, Vec::new()));
                }
                Look::Wait(Some(until)) if until <= self.now_ns => {}
                Look::Wait(_) => return bodies,
                Look::End => {
                    bodies.push("end".to_owned());
                    return bodies;
                }
            }
        }
        panic!("the source never rests");
    }

    pub(super) fn read(&mut self, tail: Tail, bridge: bool) -> Vec<String> {
        let fs = Arc::clone(&self.source.spec.fs);
        let outcome = match self.source.read(&*fs, &mut self.chunk, tail, bridge, self.now_ns) {
            Ok(outcome) => outcome,
            Err(error) => return vec![format!("error {:?}", error.raw_os_error())],
        };
        outcome.positions.iter().for_each(|it| self.known.move_to(*it));
        let continued = outcome.positions.last().map(|it| it.continued);
        self.known.continued = continued.unwrap_or_default();
        let text = |it| String::from_utf8(self.chunk.body(it).to_vec()).unwrap();
        let bodies: Vec<String> = self.chunk.records().iter().map(text).collect();
        if !outcome.span.is_empty() {
            self.delivered.push((outcome.span, bodies.clone()));
        }
        bodies
    }

    pub(super) fn wait(&mut self, time_ns: u64) -> Vec<String> {
        self.now_ns += time_ns;
        self.run()
    }

    /// Spans tile the cursors from 0 without hole or overlap.
    pub(super) fn check_tiling(&self) {
        let mut end = 0;
        for (span, _) in &self.delivered {
            assert_eq!(span.begin, end, "{:?}", self.delivered);
            end = span.end;
        }
    }
}
