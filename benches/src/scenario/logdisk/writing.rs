//! Writing: lines flat out into a folder, and what it took.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{anyhow, ensure};

use super::LINE_BYTES;
use crate::clocks::{SECOND_NS, monotonic_ns, thread_cpu_ns};
use crate::log_disk::LogDisk;

/// Time between two looks at how much has arrived.
const LOOK: Duration = Duration::from_millis(2);
/// What was written has to arrive so long after its last byte.
const PATIENCE_NS: u64 = 60 * SECOND_NS;

/// What is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    /// Writers at once, each to its own file.
    pub(super) writers: u32,
    /// Bytes of one write: whole lines.
    pub(super) write_bytes: usize,
    /// Bytes that each of them writes.
    pub(super) bytes: u64,
}

/// What writing took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    pub(super) bytes: u64,
    /// From the first write to the return of the last.
    pub(super) wall_ns: u64,
    /// CPU of the writers.
    pub(super) cpu_ns: u64,
    /// CPU of the volume, until all was where the agent reads.
    pub(super) daemon_cpu_ns: u64,
}

/// Writes to `folder`; on a log disk, until all is in the volume's files below the path that is given with it.
pub(super) fn write(
    flow: &Flow,
    folder: &Path,
    volume: Option<(&LogDisk, &Path)>,
) -> anyhow::Result<Written> {
    let daemon_begin_ns = volume.map_or(Ok(0), |it| it.0.cpu_ns())?;
    let names: Vec<String> = (0..flow.writers).map(|it| format!("{it}.log")).collect();
    let files =
        names.iter().map(|it| append_to(&folder.join(it))).collect::<Result<Vec<_>, _>>()?;
    let begin_ns = monotonic_ns();
    let cpus = thread::scope(|scope| {
        let writers: Vec<_> =
            files.into_iter().map(|file| scope.spawn(|| one(flow, file))).collect();
        let ended =
            writers.into_iter().map(|it| it.join().map_err(|_| anyhow!("a writer panicked"))?);
        ended.collect::<anyhow::Result<Vec<u64>>>()
    })?;
    let wall_ns = monotonic_ns() - begin_ns;
    let mut daemon_cpu_ns = 0;
    if let Some((disk, logs)) = volume {
        for name in &names {
            wait_for_bytes(&logs.join(name), flow.bytes)?;
        }
        daemon_cpu_ns = disk.cpu_ns()? - daemon_begin_ns;
    }
    let bytes = flow.bytes * u64::from(flow.writers);
    Ok(Written { bytes, wall_ns, cpu_ns: cpus.into_iter().sum(), daemon_cpu_ns })
}

/// Opens a file as loggers do.
pub(super) fn append_to(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Waits until a file of the volume has so many bytes.
pub(super) fn wait_for_bytes(path: &Path, bytes: u64) -> anyhow::Result<()> {
    let begin_ns = monotonic_ns();
    loop {
        let len = fs::metadata(path).map_or(0, |it| it.len());
        if len >= bytes {
            return Ok(());
        }
        let took_ns = monotonic_ns() - begin_ns;
        ensure!(took_ns < PATIENCE_NS, "{}: {len} of {bytes} bytes arrived", path.display());
        thread::sleep(LOOK);
    }
}

/// One writer; returns its CPU, in nanoseconds.
fn one(flow: &Flow, mut file: File) -> anyhow::Result<u64> {
    let line = [b'x'; LINE_BYTES - 1];
    let mut piece = Vec::with_capacity(flow.write_bytes);
    while piece.len() < flow.write_bytes {
        piece.extend_from_slice(&line);
        piece.push(b'\n');
    }
    let begin_ns = thread_cpu_ns();
    for _ in 0..flow.bytes / piece.len() as u64 {
        file.write_all(&piece)?;
    }
    Ok(thread_cpu_ns() - begin_ns)
}
