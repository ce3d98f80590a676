//! Generation: one inode of a chain, from its creation or truncation on.

use std::io;
use std::path::PathBuf;

use flow::{HEAD_BYTES_MAX, Head, PLACE_BYTES_MAX, Place, Position};

use super::SeenFile;
use super::identity::generation_key;
use crate::frame::Format;
use crate::fs::{FileId, Fs, LogFile};

/// One inode of a chain.
#[derive(Debug)]
pub struct Generation {
    /// Which inode.
    pub id: FileId,
    /// How often it was begun anew by truncation.
    pub incarnation: u32,
    /// Stable key: a hash of the two above.
    pub key: u64,
    /// Where it was last seen.
    pub path: PathBuf,
    /// No name leads to it any more.
    pub is_gone: bool,
    /// Held from discovery until it is read and idle; an unlinked one until it is done with.
    pub file: Option<Box<dyn LogFile>>,
    /// Next byte to be read.
    pub offset: u64,
    /// Largest size seen of this incarnation.
    pub size: u64,
    /// `size` is of the content that `head` is of: not so after a restart, until it was looked at.
    pub is_checked: bool,
    /// Fingerprint of the first bytes.
    pub head: Head,
    /// Fingerprint of the bytes before `offset`.
    pub place: Place,
    /// How its lines are written, once known.
    pub format: Option<Format>,
    /// The bytes at `offset` continue a line that was delivered in part; `None` if unknown.
    pub mid_line: Option<bool>,
    /// … and another part of that line was announced.
    pub mid_part: bool,
    /// The last read filled its chunk: more is there for sure.
    pub is_hot: bool,
    /// An unfinished line at the end.
    pub tail: Option<UnfinishedTail>,
    /// Read to the end, and the writer has moved on to a later generation, since then.
    pub done_since_ns: Option<u64>,
}

/// Bytes at the end that framing did not consume.
#[derive(Debug, Clone, Copy)]
pub struct UnfinishedTail {
    /// Size of the file when they were looked at.
    pub size: u64,
    /// Since when they wait.
    pub since_ns: u64,
    /// All lines are whole; a record's last part is missing.
    pub open_join: bool,
    /// How many of the next generation's bytes it was already tried together with.
    pub bridged_bytes: u64,
}

impl Generation {
    /// A generation for `seen` that nothing was read of.
    #[must_use]
    pub fn new(seen: &SeenFile, incarnation: u32) -> Generation {
        Generation {
            id: seen.stat.id,
            incarnation,
            key: generation_key(seen.stat.id, incarnation),
            path: seen.path.clone(),
            is_gone: false,
            file: None,
            offset: 0,
            size: seen.stat.size,
            is_checked: true,
            head: Head::default(),
            place: Place::default(),
            format: None,
            mid_line: Some(false),
            mid_part: false,
            is_hot: false,
            tail: None,
            done_since_ns: None,
        }
    }

    /// How far it was read.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { generation: self.key, offset: self.offset, head: self.head, place: self.place }
    }

    /// Opens the file if it is not open, and makes sure that the path still leads to this inode.
    ///
    /// # Errors
    /// As `open`; `NotFound` too if another file has the path now.
    pub fn open(&mut self, fs: &dyn Fs) -> io::Result<&dyn LogFile> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let file = fs.open(&self.path)?;
                if file.stat()?.id != self.id {
                    return Err(io::Error::new(
                        io::ErrorKind::NotFound,
                        "another file is there now",
                    ));
                }
                file
            }
        };
        Ok(&**self.file.insert(file))
    }

    /// Starts over: the inode was truncated.
    pub fn begin_anew(&mut self) {
        self.incarnation += 1;
        self.key = generation_key(self.id, self.incarnation);
        self.offset = 0;
        self.size = 0;
        self.is_checked = true;
        self.head = Head::default();
        self.place = Place::default();
        self.format = None;
        self.mid_line = Some(false);
        self.mid_part = false;
        self.is_hot = false;
        self.tail = None;
        self.done_since_ns = None;
    }

    /// Compares the file with the fingerprints, and lets that of the head grow.
    ///
    /// Returns whether it is still the same content.
    ///
    /// # Errors
    /// As `pread`.
    pub fn is_same(&mut self, fs: &dyn Fs) -> io::Result<bool> {
        let mut bytes = [0; HEAD_BYTES_MAX];
        let len = self.open(fs)?.read_at(&mut bytes, 0)?;
        let head = &bytes[..len];
        if !self.head.matches(head) || !self.is_same_place(fs, head)? {
            return Ok(false);
        }
        self.is_checked = true;
        self.head = Head::of(head);
        Ok(true)
    }

    fn is_same_place(&mut self, fs: &dyn Fs, head: &[u8]) -> io::Result<bool> {
        let (place, len) = (self.place, usize::from(self.place.len));
        let begin = self.offset.saturating_sub(len as u64);
        let in_head = usize::try_from(begin).ok().and_then(|it| head.get(it..it + len));
        if let Some(bytes) = in_head {
            return Ok(place.matches(bytes));
        }
        let mut bytes = [0; PLACE_BYTES_MAX];
        let read = self.open(fs)?.read_at(&mut bytes[..len], begin)?;
        Ok(place.matches(&bytes[..read]))
    }

    /// Whether the byte before `offset` is not a line end, that is, a line was delivered in part.
    pub fn starts_mid_line(&mut self, fs: &dyn Fs) -> bool {
        if let Some(known) = self.mid_line {
            return known;
        }
        let mut byte = [b'\n'];
        if let (Some(before), Ok(file)) = (self.offset.checked_sub(1), self.open(fs)) {
            // An error here shows again when the bytes themselves are read.
            drop(file.read_at(&mut byte, before));
        }
        let is_mid_line = byte[0] != b'\n';
        self.mid_line = Some(is_mid_line);
        is_mid_line
    }
}
