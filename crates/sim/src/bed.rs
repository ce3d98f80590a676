//! Bed: what schedules are run on, and what all beds have in common.

use std::path::Path;
use std::sync::Arc;

use crate::actor::DIRECTORY;
use crate::{Delivery, Model, Verdict, World, check, check_groups, groups};
use crossbeam::channel::{Receiver, bounded};
use crossbeam::sync::Parker;
use flow::{PersistedSpan, RecordFlags};
use globset::GlobSet;
use pipeline::discovery::{
    Discovery, DiscoveryParts, FileSelection, Place, ReaderDoor, Rule, Selection, TenantMap,
};
use pipeline::frame::Format;
use pipeline::meter::Meter;
use pipeline::reader::{Command, DiscoveryDoor};
use pipeline::source::{Known, SourceOptions, StartAt};

mod source;

pub use source::SourceBed;

/// How long a line without an end is waited for, in nanoseconds.
pub const FLUSH_NS: u64 = 1_000_000_000;
/// How long a rotated file is watched for late writes, in nanoseconds.
pub const LATE_NS: u64 = 5_000_000_000;
/// Longest record, in bytes.
pub const LINE_BYTES_MAX: u32 = 200;
/// Bytes read at a time.
pub const CHUNK_BYTES: usize = 4096;

/// An agent over a world, stepped by hand.
pub trait Bed {
    /// The world that it reads.
    fn world(&self) -> &World;

    /// Looks at the directory; starts the agent if it does not run.
    fn scan(&mut self);

    /// Looks at the files, without memory to read, or as the watch has it.
    fn look(&mut self);

    /// Does what there is to do, at most so many times; returns whether there is more.
    fn work(&mut self, times: usize) -> bool;

    /// Closes the descriptors that are not needed now.
    fn close_idle(&mut self) {}

    /// The queue takes so many payloads; returns how many there were.
    fn ship(&mut self, _payloads: usize) -> usize {
        0
    }

    /// Stores a checkpoint of all that the queue holds.
    fn store(&mut self);

    /// The agent dies; of what is not in the checkpoint, the queue loses the last `lost` sections.
    fn kill(&mut self, lost: usize);

    /// Waits until everything is quiet, and checks what came out.
    ///
    /// # Errors
    /// What is wrong first.
    fn verdict(&mut self) -> Result<Verdict, String>;
}

/// How all beds read.
#[must_use]
pub fn options(format: Format) -> SourceOptions {
    SourceOptions {
        format: Some(format),
        start_at: StartAt::Beginning,
        line_bytes_max: LINE_BYTES_MAX,
        flush_timeout_ns: FLUSH_NS,
        late_writes_ns: LATE_NS,
        sample_one_in: None,
        skip: RecordFlags::NONE,
        linger_ns: 0,
        multiline: None,
    }
}

/// How those beds read that group lines.
#[must_use]
pub fn grouping(format: Format) -> SourceOptions {
    SourceOptions { multiline: Some(groups::multiline()), ..options(format) }
}

/// A discovery of the one context, and what it finds.
#[must_use]
pub fn discovery(
    world: &World,
    options: SourceOptions,
) -> (Discovery, Receiver<Command>, DiscoveryDoor) {
    let (sender, commands) = bounded(1000);
    let door = ReaderDoor { commands: sender, unparker: Parker::new().unparker().clone() };
    let glob = Path::new(DIRECTORY).join("*.log").display().to_string();
    let selection = FileSelection::new(&[glob], GlobSet::empty()).expect("a glob");
    let rule = Rule {
        name: Arc::from("rule"),
        selection: Selection::Files(selection),
        tenants: TenantMap::default(),
        sink: 0,
        topic: None,
        options: Arc::new(options),
        fs: Arc::new(world.clone()),
    };
    let clock = world.clock();
    let (place, meter) = (Place::default(), Arc::new(Meter::default()));
    let (asker, asks) = DiscoveryDoor::new(Parker::new().unparker().clone());
    let discovery = Discovery::new(DiscoveryParts {
        clock,
        watch: None,
        rules: vec![rule],
        place,
        readers: vec![door],
        asks,
        meter,
        scan_interval_ns: 0,
        open_files_max: u64::MAX,
    });
    (discovery, commands, asker)
}

/// What came out of a world that is quiet.
///
/// # Errors
/// What is wrong first.
pub fn judge(
    world: &World,
    model: &Model,
    options: &SourceOptions,
    queue: &[Delivery],
) -> Result<Verdict, String> {
    if options.multiline.is_some() {
        return check_groups(world, model, queue);
    }
    check(world, model, queue)
}

/// What a start knows, from checkpoint and queue.
#[must_use]
pub fn resume(checkpoint: &Known, queue: &[Delivery]) -> Known {
    Known::resume(Some(checkpoint.clone()), &persisted(1, queue), false)
        .expect("a checkpoint is there")
}

/// What a queue tells at a start of what it holds.
#[must_use]
pub fn persisted(epoch: u32, queue: &[Delivery]) -> Vec<PersistedSpan> {
    let mut spans = Vec::new();
    for it in queue {
        PersistedSpan::append(&mut spans, epoch, it.span, &it.positions, false);
    }
    spans
}

/// The tracker forgets generations once what is before is safe.
pub fn forget(checkpoint: &mut Known, forgotten: &mut Vec<(u64, u64)>) {
    let cursor = checkpoint.cursor;
    let is_reached = |key| forgotten.iter().any(|it| *it == (it.0, key) && it.0 <= cursor);
    checkpoint.forget(is_reached);
    forgotten.retain(|(at, _)| *at > cursor);
}

/// The queue loses its last sections, but none that the checkpoint counts on.
pub fn lose(queue: &mut Vec<Delivery>, checkpoint: &Known, lost: usize) {
    for _ in 0..lost {
        if queue.last().is_some_and(|it| it.span.begin >= checkpoint.cursor) {
            queue.pop();
        }
    }
}
