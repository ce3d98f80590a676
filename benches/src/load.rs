//! Load: writes generated lines into files, flat out or at a rate, until a limit or a signal.
//!
//! One thread. Files take turns, so that all of them grow together.

mod log_file;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::clocks::{SECOND_NS, monotonic_ns};
use crate::layout::{Layout, places};
use crate::random::Random;
use crate::rotation::Rotation;
use crate::shape::{FIXED_BYTES_MIN, LinePool, Shape};
use crate::token::STREAMS_MAX;
use crate::truth::StreamTruth;
use crate::wrap::Format;

pub use log_file::{ContentClock, Totals};
use log_file::{Goal, LogFile, Scratch};

/// Bytes written to one file before the next one has its turn, flat out: stays in the L2 cache.
const TURN_BYTES: u64 = 256 << 10;

/// Step of a paced load.
const STEP_NS: u64 = 10_000_000;

/// Descriptors that a process needs beside its log files.
const OTHER_FILES: u64 = 64;

/// Which parts of a seed's randomness go where.
const POOL_PART: u64 = 1 << 32;
const LAYOUT_PART: u64 = POOL_PART + 1;

/// What to write, and where.
#[derive(Debug, Clone)]
pub struct LoadSpec {
    /// What messages look like.
    pub shape: Shape,
    /// How they stand in files.
    pub format: Format,
    /// How files lie in `out`.
    pub layout: Layout,
    /// Folder of the files; made if it is not there.
    pub out: PathBuf,
    /// Number of files.
    pub files: u32,
    /// Number of the first stream; others follow. For several loads with one truth.
    pub first_stream: u32,
    /// Share of lines that go to stderr, 0 to 1.
    pub stderr_share: f64,
    /// Rotation of each file, if any.
    pub rotation: Option<Rotation>,
    /// Which time lines carry.
    pub clock: ContentClock,
    /// Names all that is random.
    pub seed: u64,
    /// When to stop.
    pub limits: Limits,
    /// Bytes a second into all files together; 0 for flat out.
    pub rate: u64,
}

/// When a load stops by itself: at the first limit reached, or never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Bytes in all files together; passed by less than a line (a message, or two whose parts mix).
    pub bytes: Option<u64>,
    /// Lines in all files together.
    pub lines: Option<u64>,
    /// Time, in nanoseconds.
    pub time_ns: Option<u64>,
}

/// Why a load could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The specification contradicts itself.
    #[error("load: {0}")]
    Spec(String),
    /// The file system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The live file, or the folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Lines to write and how they are wrapped: the same for all files.
#[derive(Debug)]
struct Lines {
    pool: LinePool,
    format: Format,
}

/// Files being written.
#[derive(Debug)]
pub struct Load {
    lines: Lines,
    files: Vec<LogFile>,
    paths: Vec<PathBuf>,
    limits: Limits,
    rate: u64,
    scratch: Scratch,
    /// File whose turn is next.
    turn: usize,
    written: Totals,
}

impl Load {
    /// Makes the files, empty.
    ///
    /// # Errors
    /// If the specification makes no sense or a file cannot be made.
    pub fn create(spec: &LoadSpec) -> Result<Load, LoadError> {
        check(spec)?;
        allow_open_files(u64::from(spec.files) + OTHER_FILES)?;
        let refused = |path: PathBuf| |source| LoadError::Io { path, source };
        std::fs::create_dir_all(&spec.out).map_err(refused(spec.out.clone()))?;
        let out = spec.out.canonicalize().map_err(refused(spec.out.clone()))?;
        let random = Random::new(spec.seed);
        let lines =
            Lines { pool: LinePool::new(spec.shape, random.fork(POOL_PART)), format: spec.format };
        let mut files = Vec::new();
        let mut paths = Vec::new();
        let places = places(spec.layout, &out, spec.files, random.fork(LAYOUT_PART));
        for (number, place) in (0..).zip(places) {
            let path = place.path.clone();
            let file = LogFile::create(
                place,
                spec.first_stream + number * streams_per_file(spec),
                spec.stderr_share,
                spec.clock,
                spec.rotation,
                random.fork(u64::from(number)),
                &lines,
            );
            files.push(file.map_err(refused(path.clone()))?);
            paths.push(path);
        }
        let scratch = Scratch::default();
        let (limits, rate) = (spec.limits, spec.rate);
        Ok(Load { lines, files, paths, limits, rate, scratch, turn: 0, written: Totals::default() })
    }

    /// Writes until a limit is reached or `stop` is set; lines are whole then.
    ///
    /// # Errors
    /// If a file cannot be written; what was written before stays.
    pub fn run(&mut self, stop: &AtomicBool) -> Result<Totals, LoadError> {
        self.run_noting(stop, |_| {})
    }

    /// The same, and calls `note` after each step of a paced load with all that is written by then.
    ///
    /// # Errors
    /// If a file cannot be written; what was written before stays.
    pub fn run_noting(
        &mut self,
        stop: &AtomicBool,
        mut note: impl FnMut(Totals),
    ) -> Result<Totals, LoadError> {
        let start_ns = monotonic_ns();
        let mut step_ns = start_ns;
        while !stop.load(Ordering::Relaxed) && !self.is_done(monotonic_ns() - start_ns) {
            if self.rate == 0 {
                self.take_turn(TURN_BYTES)?;
                continue;
            }
            self.catch_up(monotonic_ns() - start_ns)?;
            note(self.written);
            step_ns = (step_ns + STEP_NS).max(monotonic_ns());
            std::thread::sleep(Duration::from_nanos(step_ns.saturating_sub(monotonic_ns())));
        }
        for (file, path) in self.files.iter_mut().zip(&self.paths) {
            file.finish().map_err(|source| LoadError::Io { path: path.clone(), source })?;
        }
        Ok(self.written)
    }

    /// What each stream has written so far.
    #[must_use]
    pub fn truth(&self) -> Vec<StreamTruth> {
        self.files.iter().flat_map(|file| file.truth(self.lines.format)).collect()
    }

    fn is_done(&self, elapsed_ns: u64) -> bool {
        self.limits.bytes.is_some_and(|max| self.written.bytes >= max)
            || self.limits.lines.is_some_and(|max| self.written.lines >= max)
            || self.limits.time_ns.is_some_and(|max| elapsed_ns >= max)
    }

    /// Writes what a paced load owes after `elapsed_ns`, each file in turn a share of it.
    fn catch_up(&mut self, elapsed_ns: u64) -> Result<(), LoadError> {
        let due = u128::from(self.rate) * u128::from(elapsed_ns) / u128::from(SECOND_NS);
        let due = u64::try_from(due).unwrap_or(u64::MAX);
        let owed = due.saturating_sub(self.written.bytes);
        let share = (owed / self.files.len() as u64).clamp(1, TURN_BYTES);
        while self.written.bytes < due && !self.is_done(0) {
            self.take_turn(share.min(due - self.written.bytes))?;
        }
        Ok(())
    }

    /// Has the next file write `bytes` or less: no more than its share of what the limits leave.
    fn take_turn(&mut self, bytes: u64) -> Result<(), LoadError> {
        let files = self.files.len() as u64;
        let left = |max: Option<u64>, done: u64| max.map_or(u64::MAX, |max| max - done.min(max));
        let share = |max: Option<u64>| max.map_or(u64::MAX, |max| max.div_ceil(files).max(1));
        let goal = Goal {
            bytes: bytes
                .min(share(self.limits.bytes))
                .min(left(self.limits.bytes, self.written.bytes)),
            lines: share(self.limits.lines).min(left(self.limits.lines, self.written.lines)),
        };
        let written = self.files[self.turn]
            .fill(&self.lines, goal, &mut self.scratch)
            .map_err(|source| LoadError::Io { path: self.paths[self.turn].clone(), source })?;
        self.written.bytes += written.bytes;
        self.written.lines += written.lines;
        self.turn = (self.turn + 1) % self.files.len();
        Ok(())
    }
}

fn streams_per_file(spec: &LoadSpec) -> u32 {
    if spec.stderr_share > 0.0 { 2 } else { 1 }
}

fn check(spec: &LoadSpec) -> Result<(), LoadError> {
    let problem = |text: String| Err(LoadError::Spec(text));
    let streams = spec.files.checked_mul(streams_per_file(spec));
    let last_stream = streams.and_then(|count| count.checked_add(spec.first_stream));
    if spec.files == 0 {
        return problem("no files: want at least 1".to_owned());
    }
    if last_stream.is_none_or(|last| last > STREAMS_MAX) {
        return problem(format!("too many streams: numbers have to stay below {STREAMS_MAX}"));
    }
    if let Shape::Fixed(bytes) = spec.shape
        && bytes < FIXED_BYTES_MIN
    {
        return problem(format!("lines of {bytes} bytes: must be at least {FIXED_BYTES_MIN}"));
    }
    if !(0.0..=1.0).contains(&spec.stderr_share) {
        return problem(format!("stderr share {}: must be 0 to 1", spec.stderr_share));
    }
    if spec.stderr_share > 0.0 && spec.format == Format::Plain {
        return problem("plain lines do not say stderr: use format cri or docker".to_owned());
    }
    if let Some(rotation) = spec.rotation
        && (rotation.files_max < 2 || rotation.bytes == 0)
    {
        return problem("rotation: want a size, and at least 2 files to keep".to_owned());
    }
    Ok(())
}

/// Raises the soft limit of open files to what the load needs.
fn allow_open_files(want: u64) -> Result<(), LoadError> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|now| now >= want) {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(want), maximum: limit.maximum }).map_err(
        |error| {
            LoadError::Spec(format!("{want} open files: {error}; use fewer or raise ulimit -n"))
        },
    )
}

#[cfg(test)]
mod tests;
