//! Positions: up to where the sink has acknowledged what a spool kept, and what was released of it, in a small
//! file of its own.
//!
//! It may be behind: then the sink's read-back tells what is not to be sent again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flow::GapReason;
use serde::{Deserialize, Serialize};

use crate::queue::{BatchFrame, Disk, Entry, FrameId};
use crate::small_file;

/// The file's version.
const VERSION: u32 = 1;

/// By tenant.
pub(super) type Table = BTreeMap<Arc<str>, Owed>;

/// What a spool owes of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Owed {
    /// The first frame that is owed.
    pub(super) from: FrameId,
    /// Frames of gaps that stand in the place of others, in the order of these.
    pub(super) released: Vec<Released>,
}

impl Owed {
    /// Whether the frame is owed: gaps are once they are said to stand for others, which need not be removed yet.
    pub(super) fn has(&self, frame: &BatchFrame) -> bool {
        let is_full = |it: &Entry| it.header.gap == Some(GapReason::SpoolFull);
        let is_owed = || self.is_of_gaps(frame.id()) || !frame.entries.iter().any(is_full);
        frame.id() >= self.from && is_owed()
    }

    /// Whether it is one of those that stand in the place of others.
    pub(super) fn is_of_gaps(&self, frame: FrameId) -> bool {
        self.released.iter().any(|it| it.gaps == frame)
    }
}

/// A frame of gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Released {
    pub(super) gaps: FrameId,
    /// The first frame that it stands for.
    pub(super) place: FrameId,
}

/// Sequence of the segment, and offset in it.
type StoredFrame = (u64, u64);

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// By tenant.
    owed_from: BTreeMap<String, StoredFrame>,
    /// By tenant: the frame of gaps, and the first one that it stands for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    released: BTreeMap<String, Vec<(StoredFrame, StoredFrame)>>,
}

/// The file, and what it says.
#[derive(Debug)]
pub(super) struct Positions {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    table: Table,
}

impl Positions {
    /// What the file says; nothing if there is none.
    ///
    /// # Errors
    /// If it cannot be read, or is not what was written.
    pub(super) fn open(path: &Path, disk: Arc<dyn Disk>) -> io::Result<Positions> {
        let path = path.to_owned();
        let Some(bytes) = small_file::read(&path)? else {
            return Ok(Positions { path, disk, table: Table::new() });
        };
        let mut stored: Stored = serde_json::from_slice(&bytes)?;
        if stored.version != VERSION {
            let why = format!("version {} is not known", stored.version);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let frame = |(sequence, offset)| FrameId { sequence, offset };
        let released = |(gaps, place)| Released { gaps: frame(gaps), place: frame(place) };
        let owed = |(tenant, from): (String, StoredFrame)| {
            let of_tenant = stored.released.remove(&tenant).unwrap_or_default();
            let released = of_tenant.into_iter().map(released).collect();
            (Arc::from(tenant), Owed { from: frame(from), released })
        };
        let table = stored.owed_from.into_iter().map(owed).collect();
        Ok(Positions { path, disk, table })
    }

    /// Of the tenant; from the beginning if nothing is known.
    pub(super) fn of(&self, tenant: &str) -> Owed {
        self.table.get(tenant).cloned().unwrap_or_default()
    }

    /// Stores all positions anew if they changed.
    ///
    /// # Errors
    /// If they cannot be stored; the file has the old ones then, or the new ones.
    pub(super) fn store(&mut self, table: Table) -> io::Result<()> {
        if table == self.table {
            return Ok(());
        }
        let frame = |it: FrameId| (it.sequence, it.offset);
        let released = |it: &Released| (frame(it.gaps), frame(it.place));
        let stored = Stored {
            version: VERSION,
            owed_from: table.iter().map(|(it, owed)| (it.to_string(), frame(owed.from))).collect(),
            released: table
                .iter()
                .filter(|(_, owed)| !owed.released.is_empty())
                .map(|(it, owed)| (it.to_string(), owed.released.iter().map(released).collect()))
                .collect(),
        };
        small_file::replace(&self.path, &serde_json::to_vec(&stored)?, &*self.disk)?;
        self.table = table;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::queue::SystemDisk;

    #[test]
    fn positions_come_back_and_damage_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("owed.json");
        let open = || Positions::open(&path, Arc::new(SystemDisk));
        let frame = |sequence| FrameId { sequence, offset: 70 };
        let released = vec![Released { gaps: frame(9), place: frame(2) }];
        let owed = Owed { from: frame(3), released };
        let plain = Owed { from: frame(1), released: Vec::new() };
        let mut positions = open().unwrap();
        assert_eq!(positions.of("shop"), Owed::default());
        let table = [(Arc::from("shop"), owed.clone()), (Arc::from("web"), plain.clone())];
        positions.store(table.into()).unwrap();
        assert_eq!((open().unwrap().of("shop"), open().unwrap().of("web")), (owed, plain));
        fs::write(&path, b"{").unwrap();
        assert!(open().is_err());
    }
}
