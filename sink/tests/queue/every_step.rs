//! Every step to the disk fails once, in every way, and the process dies at every step: nothing that was
//! acknowledged is lost, nothing is doubled, and the queue goes on.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use flow::{Codec, ContextId, Ledger, ReadBack, Sink, SinkError, ack_channel};
use sink::queue::{Disk, Queue, QueueOptions, QueueReadBack, SystemDisk};
use tempfile::tempdir;

use crate::fixture::*;

pub(crate) const ENOSPC: i32 = 28;
const EIO: i32 = 5;
/// Payloads, and the bytes of each.
const PAYLOADS: u64 = 9;
const BYTES: u64 = 60;

/// What happens at a step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It fails with that error number, and nothing of it is done.
    Fails(i32),
    /// Of a write, so many eighths are done, and it fails.
    Short(usize),
    /// As that, and the process does nothing more.
    Dies(usize),
}

/// The real disk, of which one step has a fault.
#[derive(Debug)]
pub(crate) struct OneFault {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    steps: u64,
    fault: Option<(u64, Fault)>,
    is_dead: bool,
}

impl OneFault {
    pub(crate) fn new(fault: Option<(u64, Fault)>) -> Arc<OneFault> {
        Arc::new(OneFault { state: Mutex::new(State { steps: 0, fault, is_dead: false }) })
    }

    pub(crate) fn steps(&self) -> u64 {
        self.state.lock().unwrap().steps
    }

    /// How many of `bytes` this step does, and how it ends.
    fn step(&self, bytes: usize) -> (usize, io::Result<()>) {
        let mut state = self.state.lock().unwrap();
        if state.is_dead {
            return (0, Err(io::Error::other("the process is dead")));
        }
        let number = state.steps;
        state.steps += 1;
        match state.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault) {
            None => (bytes, Ok(())),
            Some(Fault::Fails(errno)) => (0, Err(io::Error::from_raw_os_error(errno))),
            Some(Fault::Short(eighths)) => {
                (bytes * eighths / 8, Err(io::Error::from_raw_os_error(ENOSPC)))
            }
            Some(Fault::Dies(eighths)) => {
                state.is_dead = true;
                (bytes * eighths / 8, Err(io::Error::other("the process died")))
            }
        }
    }
}

impl Disk for OneFault {
    fn write(&self, file: &File, offset: u64, head: &[u8], block: &[u8]) -> io::Result<()> {
        let (done, outcome) = self.step(head.len() + block.len());
        let of_head = done.min(head.len());
        SystemDisk.write(file, offset, &head[..of_head], &block[..done - of_head])?;
        outcome
    }

    fn cut(&self, file: &File, bytes: u64) -> io::Result<()> {
        self.step(0).1?;
        SystemDisk.cut(file, bytes)
    }

    fn sync(&self, _file: &File) -> io::Result<()> {
        self.step(0).1
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        self.step(0).1
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(0).1?;
        SystemDisk.rename(from, to)
    }
}

/// Several payloads a segment; syncs come when they are asked for.
fn small() -> QueueOptions {
    QueueOptions { segment_bytes: 900, ..options() }
}

/// Up to where the context is in the queue, as a reader sees it.
fn readable(dir: &Path) -> u64 {
    let (batches, _) = read_all(dir, "shop");
    spans(&batches).iter().map(|(_, it)| it.end).max().unwrap_or(0)
}

/// Writes all payloads; begins anew after the last one in the queue whenever that breaks. Returns how
/// many steps to the disk the first life took.
fn write_all(dir: &Path, fault: Option<(u64, Fault)>) -> u64 {
    let disk = OneFault::new(fault);
    let mut steps = 0;
    for life in 0..5 {
        let (acks, acked) = ack_channel();
        let ledger = Arc::new(Ledger::default());
        let lives_disk = if life == 0 { Arc::clone(&disk) } else { OneFault::new(None) };
        let opened = Queue::open_on(dir, small(), StillClock::new(), Arc::clone(&lives_disk) as _);
        let Ok((queue, _)) = opened else { continue };
        let mut sink = sink(&queue, &acks);
        let persisted = QueueReadBack::of(&queue).unwrap().persisted(ContextId(1));
        let mut next = persisted.iter().map(|it| it.span.end).max().unwrap_or(0) / BYTES;
        let mut tries = 0;
        while next < PAYLOADS {
            let part = part(1, next * BYTES, next * BYTES + BYTES);
            match sink.submit(payload(&ledger, Codec::None, &[part])) {
                Ok(_) => next += 1,
                Err(refused) if matches!(refused.why, SinkError::Broken(_)) => break,
                Err(_) if tries > 3 => break,
                Err(_) => tries += 1,
            }
            if next.is_multiple_of(2) && sink.flush(far_deadline()).is_err() {
                break;
            }
        }
        let is_done = next == PAYLOADS && sink.flush(far_deadline()).is_ok();
        drop((sink, queue));
        steps = steps.max(lives_disk.steps());
        let safe = acked.try_iter().flatten().map(|it| it.span.end).max().unwrap_or(0);
        assert!(readable(dir) >= safe, "{safe} was acknowledged, {} is there", readable(dir));
        if is_done {
            return steps;
        }
    }
    panic!("it never ends");
}

/// Each way in which a step may fail.
pub(crate) fn all_faults() -> impl Iterator<Item = Fault> {
    let faults = [Fault::Fails(EIO), Fault::Fails(ENOSPC)].into_iter();
    faults.chain([0, 1, 5, 7].map(Fault::Short)).chain([0, 1, 5, 7, 8].map(Fault::Dies))
}

#[test]
fn every_step_to_the_disk_may_fail_or_be_the_last() {
    let clean = tempdir().unwrap();
    let steps = write_all(clean.path(), None);
    assert!(steps > 20, "{steps} steps");
    for fault in all_faults() {
        for step in 0..steps {
            let dir = tempdir().unwrap();
            write_all(dir.path(), Some((step, fault)));
            let (batches, problems) = read_all(dir.path(), "shop");
            let told = format!("{fault:?} at step {step} of {steps}");
            assert!(problems.is_empty(), "{told}: {problems:?}");
            let spans: Vec<(u64, u64)> =
                spans(&batches).iter().map(|(_, it)| (it.begin, it.end)).collect();
            let want: Vec<(u64, u64)> =
                (0..PAYLOADS).map(|it| (it * BYTES, it * BYTES + BYTES)).collect();
            assert_eq!(spans, want, "{told}");
            batches.iter().for_each(assert_bodies);
        }
    }
}
