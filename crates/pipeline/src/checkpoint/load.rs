//! Load: reads the newest checkpoint file that is whole, and says what is wrong with the others.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

use flow::ContextId;

use super::format::{self, FrameError, HEADER_BYTES, HeaderError, Kind};
use super::{Entry, NAME_PREFIX, OpenError, StateDisk, name};

/// Something that is wrong with a checkpoint file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Which file.
    pub path: PathBuf,
    /// From which byte on.
    pub offset: u64,
    /// What, and what it means.
    pub what: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: byte {}: {}", self.path.display(), self.offset, self.what)
    }
}

/// What was found in the state directory.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The last entry of every context.
    pub entries: Vec<Entry>,
    /// What is wrong; must be said, whatever was recovered.
    pub damage: Vec<Damage>,
    /// There was no checkpoint at all.
    pub is_new: bool,
    /// Number of the newest file, whole or not.
    pub last_sequence: u64,
}

const NO_HEADER: &str = "not a checkpoint, or its header is damaged; using the previous file";
const NO_SNAPSHOT: &str = "the snapshot is damaged; using the previous file";
const TORN: &str = "the last write was cut short by a crash; going on from the one before";
const DAMAGED: &str =
    "damaged; going on from the last whole entry before, reading again what came after";
const NONE_LEFT: &str = "no whole checkpoint is left; going on from what the queue holds, and from \
                         the beginning of each file where the queue holds nothing";

/// Reads the newest whole checkpoint of the folder.
///
/// # Errors
/// If the directory cannot be read, or a file is of a later version.
pub(super) fn load(disk: &dyn StateDisk) -> Result<Loaded, OpenError> {
    let mut sequences = sequences(&disk.names().map_err(OpenError::io(&disk.path("")))?);
    sequences.sort_unstable();
    let mut loaded = Loaded {
        is_new: sequences.is_empty(),
        last_sequence: sequences.last().copied().unwrap_or(0),
        ..Loaded::default()
    };
    for sequence in sequences.into_iter().rev() {
        let path = disk.path(&name(sequence));
        let bytes = disk.read(&name(sequence)).map_err(OpenError::io(&path))?;
        match read_file(&bytes) {
            Ok((entries, damage)) => {
                loaded.entries = entries;
                let damage = damage.map(|(offset, what)| Damage { path, offset, what });
                loaded.damage.extend(damage);
                return Ok(loaded);
            }
            Err(FileError::Version(version)) => return Err(OpenError::Version { path, version }),
            Err(FileError::Damaged(offset, what)) => {
                loaded.damage.push(Damage { path, offset, what });
            }
        }
    }
    if !loaded.is_new {
        let path = disk.path("");
        loaded.damage.push(Damage { path, offset: 0, what: NONE_LEFT });
    }
    Ok(loaded)
}

enum FileError {
    Version(u32),
    Damaged(u64, &'static str),
}

type FileContent = (Vec<Entry>, Option<(u64, &'static str)>);

fn read_file(bytes: &[u8]) -> Result<FileContent, FileError> {
    match format::read_header(bytes) {
        Ok(_) => {}
        Err(HeaderError::Version(version)) => return Err(FileError::Version(version)),
        Err(HeaderError::Damaged) => return Err(FileError::Damaged(0, NO_HEADER)),
    }
    let mut at = HEADER_BYTES;
    let Ok((Kind::Snapshot, snapshot, len)) = format::read_frame(&bytes[at..]) else {
        return Err(FileError::Damaged(at as u64, NO_SNAPSHOT));
    };
    at += len;
    let mut entries: HashMap<ContextId, Entry> =
        snapshot.into_iter().map(|it| (it.context, it)).collect();
    let mut damage = None;
    while at < bytes.len() {
        match format::read_frame(&bytes[at..]) {
            Ok((_, changed, len)) => {
                entries.extend(changed.into_iter().map(|it| (it.context, it)));
                at += len;
            }
            Err(error) => {
                let what = if error == FrameError::Torn { TORN } else { DAMAGED };
                damage = Some((at as u64, what));
                break;
            }
        }
    }
    Ok((entries.into_values().collect(), damage))
}

/// The numbers of the checkpoint files among these names.
pub(super) fn sequences(names: &[String]) -> Vec<u64> {
    let number = |name: &String| u64::from_str_radix(name.strip_prefix(NAME_PREFIX)?, 16).ok();
    names.iter().filter_map(number).collect()
}
