//! Recovery: what was found, and what was done, when a queue was opened for writing.

use std::fmt;
use std::path::PathBuf;

/// One thing that was not as a clean stop leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoveryNote {
    /// The torn end of a segment was cut off. What it held was never acknowledged, unless the disk
    /// lost what it had promised to keep.
    Cut {
        /// The segment.
        segment: PathBuf,
        /// Where the file ends now; 0 if nothing was in it and it was removed.
        offset: u64,
        /// Bytes cut off.
        bytes: u64,
        /// What was wrong there.
        why: String,
    },
    /// Bytes inside of a segment are not what was written. They are left as they are, and nothing is
    /// appended to the segment.
    Damaged {
        /// The segment.
        segment: PathBuf,
        /// First byte that is not readable.
        offset: u64,
        /// Bytes that are not readable.
        bytes: u64,
        /// What is wrong.
        why: String,
    },
    /// A segment that a crash had left open was given its index.
    Sealed {
        /// The segment.
        segment: PathBuf,
    },
    /// A segment could not be given its index; it is readable without, only slower.
    NotSealed {
        /// The segment.
        segment: PathBuf,
        /// Why not.
        why: String,
    },
    /// Something in the folder is not of the queue; it is left as it is.
    Foreign {
        /// File or folder.
        path: PathBuf,
    },
}

impl fmt::Display for RecoveryNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecoveryNote::Cut { segment, offset, bytes, why } => {
                let segment = segment.display();
                write!(f, "{segment}: cut {bytes} bytes at offset {offset}: {why}")
            }
            RecoveryNote::Damaged { segment, offset, bytes, why } => {
                let segment = segment.display();
                write!(
                    f,
                    "{segment}: {bytes} bytes at offset {offset} are damaged: {why}; the segment \
                     is left as it is; check the disk"
                )
            }
            RecoveryNote::Sealed { segment } => {
                write!(f, "{}: sealed after a crash", segment.display())
            }
            RecoveryNote::NotSealed { segment, why } => {
                write!(f, "{}: not sealed: {why}; it is readable without", segment.display())
            }
            RecoveryNote::Foreign { path } => {
                write!(f, "{}: not of the queue; left as it is", path.display())
            }
        }
    }
}

/// The report of an opening.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Tenants found.
    pub tenants: usize,
    /// Segments found, after repair and retention.
    pub segments: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// Segments removed by retention while opening.
    pub removed: usize,
    /// What was not as a clean stop leaves it, in the order of tenants and segments.
    pub notes: Vec<RecoveryNote>,
}

impl Recovery {
    /// Whether anything was cut or is damaged.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let is_harmless = |note: &RecoveryNote| {
            matches!(note, RecoveryNote::Sealed { .. } | RecoveryNote::Foreign { .. })
        };
        self.notes.iter().all(is_harmless)
    }
}

impl fmt::Display for Recovery {
    /// One line for the whole, and one per note.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Recovery { tenants, segments, bytes, removed, notes } = self;
        write!(
            f,
            "queue: {tenants} tenants, {segments} segments, {bytes} bytes; {removed} segments \
             removed by retention"
        )?;
        for note in notes {
            write!(f, "\n{note}")?;
        }
        Ok(())
    }
}
