//! Positions: up to where the sink has acknowledged what a spool kept, in a small file of its own.
//!
//! It may be behind: then the sink's read-back tells what is not to be sent again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::queue::FrameId;
use crate::small_file;

/// The file's version.
const VERSION: u32 = 1;

/// By tenant.
pub(super) type Table = BTreeMap<Arc<str>, FrameId>;

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// By tenant: sequence of the segment, and offset in it, of the first frame that is owed.
    owed_from: BTreeMap<String, (u64, u64)>,
}

/// The file, and what it says.
#[derive(Debug)]
pub(super) struct Positions {
    path: PathBuf,
    table: Table,
}

impl Positions {
    /// What the file says; nothing if there is none.
    ///
    /// # Errors
    /// If it cannot be read, or is not what was written.
    pub(super) fn open(path: &Path) -> io::Result<Positions> {
        let Some(bytes) = small_file::read(path)? else {
            return Ok(Positions { path: path.to_owned(), table: Table::new() });
        };
        let stored: Stored = serde_json::from_slice(&bytes)?;
        if stored.version != VERSION {
            let why = format!("version {} is not known", stored.version);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let frame = |(sequence, offset)| FrameId { sequence, offset };
        let table = stored.owed_from.into_iter().map(|(it, at)| (it.into(), frame(at))).collect();
        Ok(Positions { path: path.to_owned(), table })
    }

    /// Of the tenant; the beginning if nothing is known.
    pub(super) fn of(&self, tenant: &str) -> FrameId {
        self.table.get(tenant).copied().unwrap_or_default()
    }

    /// Stores all positions anew if they changed.
    ///
    /// # Errors
    /// If they cannot be stored; the old ones stay.
    pub(super) fn store(&mut self, table: Table) -> io::Result<()> {
        if table == self.table {
            return Ok(());
        }
        let position =
            |(tenant, at): (&Arc<str>, &FrameId)| (tenant.to_string(), (at.sequence, at.offset));
        let stored = Stored { version: VERSION, owed_from: table.iter().map(position).collect() };
        small_file::replace(&self.path, &serde_json::to_vec(&stored)?)?;
        self.table = table;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn positions_come_back_and_damage_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("owed.json");
        let at = FrameId { sequence: 3, offset: 70 };
        let mut positions = Positions::open(&path).unwrap();
        assert_eq!(positions.of("shop"), FrameId::default());
        positions.store([(Arc::from("shop"), at)].into()).unwrap();
        assert_eq!(Positions::open(&path).unwrap().of("shop"), at);
        fs::write(&path, b"{").unwrap();
        assert!(Positions::open(&path).is_err());
    }
}
