//! Floors: the least that a machine can do with an input, measured in the same run as the agent.
//!
//! Each goes once over a file in the page cache and says how many bytes it got through per second
//! of CPU, user and system: of the thread for work in process, of the whole process for `cat`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use memchr::memchr_iter;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::clocks::{SECOND_NS, thread_cpu_ns};
use crate::process::single_thread_cpu_ns;

/// Bytes of one read of the line count.
const READ_BYTES: usize = 1 << 20;

/// Level of compression: the agent's default.
const ZSTD_LEVEL: i32 = 1;

/// What one pass over an input took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pass {
    /// Bytes of the input.
    pub bytes: u64,
    /// CPU, user and system, in nanoseconds.
    pub cpu_ns: u64,
    /// Bytes that came out: lines for the count, compressed bytes for compression.
    pub out: u64,
}

impl Pass {
    /// Megabytes (10^6) of input per second of CPU.
    #[must_use]
    pub fn mb_per_cpu_second(&self) -> f64 {
        mb_per_second(self.bytes, self.cpu_ns)
    }
}

/// Megabytes (10^6) per second.
#[must_use]
pub fn mb_per_second(bytes: u64, ns: u64) -> f64 {
    bytes as f64 / 1e6 / (ns.max(1) as f64 / SECOND_NS as f64)
}

/// `cat FILE > /dev/null`, with the start of the process.
///
/// # Errors
/// If `cat` cannot be run or fails.
pub fn cat(path: &Path) -> io::Result<Pass> {
    let bytes = path.metadata()?.len();
    let mut child =
        Command::new("cat").arg(path).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    // Ended but not reaped, so that the kernel still knows its time.
    waitid(WaitId::Pid(Pid::from_child(&child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    let cpu_ns = single_thread_cpu_ns(child.id())?;
    let status = child.wait()?;
    if !status.success() {
        return Err(io::Error::other(format!("cat {}: {status}", path.display())));
    }
    Ok(Pass { bytes, cpu_ns, out: bytes })
}

/// Counts line feeds with memchr in pieces of 1 MiB read by `pread`.
///
/// # Errors
/// If the file cannot be read.
pub fn count_lines(path: &Path) -> io::Result<Pass> {
    let file = File::open(path)?;
    let mut buffer = vec![0; READ_BYTES];
    let start_ns = thread_cpu_ns();
    let mut pass = Pass { bytes: 0, cpu_ns: 0, out: 0 };
    loop {
        let count = file.read_at(&mut buffer, pass.bytes)?;
        if count == 0 {
            break;
        }
        pass.bytes += count as u64;
        pass.out += memchr_iter(b'\n', &buffer[..count]).count() as u64;
    }
    pass.cpu_ns = thread_cpu_ns() - start_ns;
    Ok(pass)
}

/// Compresses raw chunks of `chunk_bytes` by zstd at level 1 with one reused context; reading is
/// not counted.
///
/// # Errors
/// If the file cannot be read.
pub fn compress(path: &Path, chunk_bytes: usize) -> io::Result<Pass> {
    let file = File::open(path)?;
    let mut context = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    let mut chunk = vec![0; chunk_bytes];
    let mut compressed = vec![0; zstd::zstd_safe::compress_bound(chunk_bytes)];
    let mut pass = Pass { bytes: 0, cpu_ns: 0, out: 0 };
    loop {
        let count = read_chunk(&file, pass.bytes, &mut chunk)?;
        if count == 0 {
            return Ok(pass);
        }
        let start_ns = thread_cpu_ns();
        let small = context.compress_to_buffer(&chunk[..count], &mut compressed[..])?;
        pass.cpu_ns += thread_cpu_ns() - start_ns;
        pass.bytes += count as u64;
        pass.out += small as u64;
    }
}

/// Compresses `pieces`, each by itself, by zstd at level 1 with one reused context.
///
/// # Errors
/// If zstd fails.
pub fn compress_pieces<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> io::Result<Pass> {
    let mut context = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    let mut compressed = Vec::new();
    let mut pass = Pass { bytes: 0, cpu_ns: 0, out: 0 };
    for piece in pieces {
        compressed.resize(zstd::zstd_safe::compress_bound(piece.len()).max(compressed.len()), 0);
        let start_ns = thread_cpu_ns();
        let small = context.compress_to_buffer(piece, &mut compressed[..])?;
        pass.cpu_ns += thread_cpu_ns() - start_ns;
        pass.bytes += piece.len() as u64;
        pass.out += small as u64;
    }
    Ok(pass)
}

/// Reads until `chunk` is full or the file ends.
fn read_chunk(file: &File, offset: u64, chunk: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match file.read_at(&mut chunk[filled..], offset + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_floor_sees_every_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        let text = "some line of a log, again and again\n".repeat(100_000);
        std::fs::write(&path, &text).unwrap();
        let bytes = text.len() as u64;
        let lines = count_lines(&path).unwrap();
        assert_eq!((lines.bytes, lines.out), (bytes, 100_000));
        let small = compress(&path, 256 << 10).unwrap();
        assert_eq!(small.bytes, bytes);
        assert!(small.out > 0 && small.out < bytes / 10);
        let pieces = compress_pieces(text.as_bytes().chunks(1000)).unwrap();
        assert_eq!(pieces.bytes, bytes);
        assert!(pieces.out > small.out);
        let cat = cat(&path).unwrap();
        assert_eq!(cat.bytes, bytes);
        for pass in [lines, small, pieces, cat] {
            assert!(pass.cpu_ns > 0 && pass.mb_per_cpu_second() > 0.0);
        }
    }

    #[test]
    fn a_failing_cat_is_an_error() {
        assert!(cat(Path::new("/nonexistent")).is_err());
    }
}
