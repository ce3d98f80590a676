//! Survey: what a spool holds, seen from outside, whether or not an agent uses it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::positions::Positions;
use super::{POSITIONS_NAME, SpoolError, queue_folder};
use crate::queue::{QueueReader, SystemDisk};

/// What a spool holds of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Whose.
    pub tenant: String,
    /// Payloads that the sink has not acknowledged, as far as was noted.
    pub payloads: u64,
    /// Bytes of them.
    pub payload_bytes: u64,
    /// When the oldest of it was read, nanoseconds since 1970.
    pub oldest_unix_ns: Option<i64>,
    /// Bytes on the disk.
    pub disk_bytes: u64,
    /// Places that could not be read.
    pub problems: u64,
}

/// What the spool of a sink in `dir` holds, by tenant; nothing if there is none.
///
/// # Errors
/// If it cannot be read.
pub fn survey(dir: &Path) -> Result<Vec<Held>, SpoolError> {
    let queue = queue_folder(dir);
    match std::fs::metadata(&queue) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        _ => {}
    }
    let path = dir.join(POSITIONS_NAME);
    let failed = |source| SpoolError::Positions { path: path.clone(), source };
    let positions = Positions::open(&path, Arc::new(SystemDisk)).map_err(failed)?;
    let reader = QueueReader::open(&queue)?;
    let mut all = Vec::new();
    for tenant in reader.tenants()? {
        let owed = positions.of(&tenant);
        let mut held = Held {
            disk_bytes: disk_bytes(&queue.join(&tenant)).map_err(failed)?,
            tenant: tenant.clone(),
            payloads: 0,
            payload_bytes: 0,
            oldest_unix_ns: None,
            problems: 0,
        };
        for frame in reader.scan(&tenant)? {
            let Ok(frame) = frame else {
                held.problems += 1;
                continue;
            };
            if !owed.has(&frame) {
                continue;
            }
            held.payloads += 1;
            held.payload_bytes += u64::from(frame.block.bytes());
            let oldest = frame.entries.iter().map(|it| it.header.observed_unix_ns).min();
            held.oldest_unix_ns = held.oldest_unix_ns.into_iter().chain(oldest).min();
        }
        all.push(held);
    }
    Ok(all)
}

fn disk_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
