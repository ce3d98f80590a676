//! Generation: one inode of a chain, from its creation or truncation on.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use flow::{Head, Place, Position, is_mutant};

use super::SeenFile;
use super::carrier::{Carrier, is_packed};
use super::classify::Proof;
use super::holes::Holes;
use super::identity::generation_key;
use crate::frame::{Format, utf16};
use crate::fs::{FileId, FileKind, Fs, GzipFile, Inflaters, LogFile, Stat};

/// One inode of a chain.
#[derive(Debug)]
pub struct Generation {
    /// Which inode has its bytes; that of its carrier, if that is not the original.
    pub id: FileId,
    /// How often it was begun anew by truncation.
    pub incarnation: u32,
    /// Stable key: a hash of the original's inode and the incarnation.
    pub key: u64,
    /// What holds its bytes.
    pub carrier: Carrier,
    /// Nothing is read of it before that is known.
    pub proof: Proof,
    /// Copies of it that are being made or were made, the youngest last, as they were when they were
    /// compared; of one that was cut, those that it is not read from.
    pub copies: Vec<SeenFile>,
    /// Its compressed form, as soon as that stood beside it.
    pub packed: Option<FileId>,
    /// Turns to inflate, for compressed carriers.
    pub inflaters: Arc<Inflaters>,
    /// Since when its carrier is known to end too early.
    pub defect_since_ns: Option<u64>,
    /// Where it was last seen.
    pub path: PathBuf,
    /// No name of the chain leads to it any more.
    pub is_gone: bool,
    /// Since when that is so.
    pub gone_since_ns: Option<u64>,
    /// Since when it is known to be removed and not merely renamed.
    pub unlinked_since_ns: Option<u64>,
    /// A link led to it: it lives on elsewhere when it leads there no more.
    pub is_linked: bool,
    /// Bytes that are still read of one that is gone and lives on elsewhere, once it was watched for
    /// late writes long enough.
    pub owed: Option<u64>,
    /// The last open or read failed, and not for want of a name.
    pub is_unreadable: bool,
    /// Held from discovery until it is read and idle; an unlinked one until it is done with.
    pub file: Option<Box<dyn LogFile>>,
    /// How many generations came and went before it, unseen, and are yet to be declared.
    pub missed_before: u32,
    /// Next byte to be read.
    pub offset: u64,
    /// Largest size seen of this incarnation.
    pub size: u64,
    /// When its own size was last asked for: what a look showed before says nothing new.
    pub stat_ns: u64,
    /// Its time of change when its content was last known to be the same; 0 if it must be looked at.
    pub modified_ns: i64,
    /// It came, or was written to, since it was last looked into.
    pub has_news: bool,
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
    /// An unfinished line at the end.
    pub tail: Option<UnfinishedTail>,
    /// NULs that may not be written yet.
    pub holes: Holes,
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
    /// All lines are whole; a record's last part, or what may belong to it, is missing.
    pub open_join: bool,
    /// A line or a join waits for its end, not only a group of lines for its next.
    pub is_line_open: bool,
    /// When a group of lines has waited long enough.
    pub group_due_ns: Option<u64>,
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
            carrier: if is_packed(&seen.path) { Carrier::Copy } else { Carrier::Original },
            proof: Proof::Known,
            copies: Vec::new(),
            packed: seen.packed,
            inflaters: Arc::default(),
            defect_since_ns: None,
            path: seen.path.clone(),
            is_gone: false,
            unlinked_since_ns: None,
            is_linked: seen.stat.is_linked,
            file: None,
            missed_before: 0,
            offset: 0,
            size: if is_packed(&seen.path) { 0 } else { seen.stat.size },
            stat_ns: 0,
            modified_ns: seen.stat.modified_ns,
            // It is there, and nobody has looked into it.
            has_news: true,
            is_checked: true,
            head: Head::default(),
            place: Place::default(),
            format: None,
            mid_line: Some(false),
            mid_part: false,
            tail: None,
            holes: Holes::default(),
            done_since_ns: None,
            gone_since_ns: None,
            owed: None,
            is_unreadable: false,
        }
    }

    /// The chain has a name for it, or none any more.
    pub fn set_gone(&mut self, is_gone: bool, now_ns: u64) {
        self.is_gone = is_gone;
        if is_gone {
            self.gone_since_ns.get_or_insert(now_ns);
        } else {
            (self.gone_since_ns, self.owed) = (None, None);
        }
    }

    /// One that was read up to `position` before the start.
    #[must_use]
    pub fn resumed(seen: &SeenFile, incarnation: u32, position: Position) -> Generation {
        let mut generation = Generation::new(seen, incarnation);
        generation.offset = position.offset;
        generation.head = position.head;
        generation.place = position.place;
        generation.mid_line = None;
        // A file that was cut while nobody looked: `look` finds out, and starts over.
        generation.size = generation.size.max(position.offset);
        generation.is_checked = false;
        generation.modified_ns = 0;
        generation
    }

    /// One that was read up to `position` before the start, in a file that is no more.
    #[must_use]
    pub fn resumed_in_copy(seen: &SeenFile, position: Position) -> Generation {
        let mut generation = Generation::resumed(seen, 0, position);
        generation.key = position.generation;
        generation.carrier = Carrier::Copy;
        generation
    }

    /// One that was read to its end before the start.
    #[must_use]
    pub fn read_before(seen: &SeenFile) -> Generation {
        let mut generation = Generation::new(seen, 0);
        generation.offset = generation.size;
        generation.has_news = false;
        generation.done_since_ns = Some(0);
        generation
    }

    /// One that was there at the first start, and whose bytes until now are not wanted.
    #[must_use]
    pub fn left_out(fs: &dyn Fs, seen: &SeenFile) -> Generation {
        if is_packed(&seen.path) {
            return Generation::read_before(seen);
        }
        let mut generation = Generation::new(seen, 0);
        generation.offset = seen.stat.size;
        generation.mid_line = None;
        // One that cannot be read yet is known by its inode alone.
        drop(generation.is_same(fs));
        generation
    }

    /// A look at the directory showed its file at that time.
    pub fn see(&mut self, seen: &SeenFile, seen_ns: u64) {
        self.is_gone = false;
        self.path.clone_from(&seen.path);
        self.packed = seen.packed.or(self.packed);
        let is_news = seen_ns > self.stat_ns || is_mutant("stale_look_counts");
        if !is_packed(&seen.path) && is_news {
            self.has_news |= seen.stat.modified_ns != self.modified_ns;
            self.size = self.size.max(seen.stat.size);
        }
    }

    /// Its bytes are in this file now.
    pub fn carry_on_in(&mut self, seen: &SeenFile) {
        self.id = seen.stat.id;
        self.path.clone_from(&seen.path);
        self.packed = seen.packed;
        self.carrier = Carrier::Copy;
        self.is_gone = false;
        self.defect_since_ns = None;
        if !is_packed(&seen.path) {
            self.size = self.size.max(seen.stat.size);
            self.done_since_ns = None;
        }
    }

    /// Leaves out what comes before `offset`.
    pub fn skip_to(&mut self, offset: u64) {
        self.offset = offset;
        self.size = offset;
        self.place = Place::default();
        self.tail = None;
        self.holes = Holes::default();
        self.mid_line = None;
        self.mid_part = false;
    }

    /// Whether nothing was read of it, ever.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_checked && self.offset == 0 && self.done_since_ns.is_none()
    }

    /// How far it was read.
    #[must_use]
    pub fn position(&self) -> Position {
        let (generation, offset) = (self.key, self.offset);
        Position { generation, offset, head: self.head, place: self.place, ..Position::default() }
    }

    /// Holds the open file of its carrier.
    pub fn hold(&mut self, file: Box<dyn LogFile>) -> &dyn LogFile {
        let file: Box<dyn LogFile> = if is_packed(&self.path) {
            let inflaters = Arc::clone(&self.inflaters);
            Box::new(GzipFile::new(file, self.offset, inflaters))
        } else {
            file
        };
        &**self.file.insert(file)
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
                return Ok(self.hold(file));
            }
        };
        Ok(&**self.file.insert(file))
    }

    /// Closes the file if it can be opened again by name: what it is is checked then.
    ///
    /// The file system is asked: a name may be gone that no look at the directory has missed yet. A
    /// compressed file that ends too early stays open until the next look has heard of that.
    pub fn close_if_named(&mut self) {
        let file = self.file.as_ref().filter(|it| it.defect().is_none());
        let Some(Ok(stat)) = file.map(|file| file.stat()) else { return };
        self.size = self.size.max(stat.size);
        if stat.links > 0 {
            self.file = None;
        }
    }

    /// Its file as a look would show it, as far as is known.
    #[must_use]
    pub fn seen(&self) -> SeenFile {
        let (id, size) = (self.id, self.size);
        let stat =
            Stat { id, kind: FileKind::Regular, size, modified_ns: 0, links: 1, is_linked: false };
        SeenFile { path: self.path.clone(), stat, packed: self.packed }
    }

    /// The generation that its inode holds since it was cut, `size` bytes long now.
    ///
    /// What was not read of this one is in `copy`, if there is one.
    #[must_use]
    pub fn cut(&mut self, size: u64, copy: Option<&SeenFile>, now_ns: u64) -> Generation {
        let mut seen = self.seen();
        seen.stat.size = size;
        let mut next = Generation::new(&seen, self.incarnation + 1);
        next.inflaters = Arc::clone(&self.inflaters);
        next.is_gone = self.is_gone;
        next.file = self.file.take();
        next.stat_ns = now_ns;
        // What a restart remembers of the size is what was read: more may have been there.
        self.size = if self.is_checked { self.size } else { self.offset };
        self.tail = None;
        self.holes = Holes::default();
        match copy {
            Some(copy) => self.carry_on_in(copy),
            None => {
                self.id = FileId::NONE;
                self.carrier = Carrier::Lost(now_ns);
                self.is_gone = true;
            }
        }
        next
    }

    /// Whether what stands before `offset` is no line end, that is, a line was delivered in part.
    pub fn starts_mid_line(&mut self, fs: &dyn Fs, format: Option<Format>) -> bool {
        if let Some(known) = self.mid_line {
            return known;
        }
        let mut before = [0; utf16::UNIT_BYTES];
        let unit = format.map_or(1, Format::unit_bytes);
        let start = self.offset.checked_sub(unit as u64);
        // An error here shows again when the bytes themselves are read.
        let len =
            start.and_then(|start| self.open(fs).ok()?.read_at(&mut before[..unit], start).ok());
        let is_line_end = match format {
            Some(Format::Utf16(order)) => order.ends_line(before),
            _ => before[0] == b'\n',
        };
        // No line goes on over a hole, which ends with a NUL.
        let is_hole = before == [0; utf16::UNIT_BYTES];
        let is_mid_line = len.is_some_and(|len| len == unit) && !is_line_end && !is_hole;
        self.mid_line = Some(is_mid_line);
        is_mid_line
    }
}
