//! Stream: one writer of lines that tell whose they are, their number and whether they are whole.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::dice::Dice;
use super::plan::Form;
use super::truth::{Content, Life};
use crate::kit::{Bed, now_ns};

/// Who writes: each tenant has a sink of its own.
pub(super) const TENANTS: [&str; 2] = ["alpha", "beta"];

/// Least bytes of a hole: several blocks.
const HOLE_BYTES: u64 = 16 << 10;

/// One writer and its files.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) tenant: &'static str,
    number: usize,
    pub(super) form: Form,
    pub(super) live: PathBuf,
    /// What the agent calls it.
    pub(super) context: String,
    /// What the writer writes to, whatever it is called now; none while there is no power.
    pub(super) file: Option<File>,
    /// … and the content that it makes.
    pub(super) into: usize,
    /// The content of the file with the live name, if there is one.
    pub(super) named: Option<usize>,
    /// Newest first.
    pub(super) rotated: Vec<Rotated>,
    /// Rotated files are named after seconds, as the kubelet does, and not by number.
    pub(super) is_dated: bool,
    /// Its rotator copies and cuts, and does not rename: one or the other, as rotators do.
    pub(super) is_copied: bool,
    /// A line may be written in two parts.
    pub(super) writes_parts: bool,
    pub(super) rotations: i64,
    pub(super) lines: u64,
    /// The end of a line that was begun.
    rest: String,
    pub(super) truth: Vec<Content>,
    /// The life of the agent, as last asked.
    pub(super) life: Option<Life>,
    /// How long the agent watches for late writes.
    pub(super) late_writes_ns: u64,
    /// Inodes and times of birth of files, and whose content they have.
    pub(super) files: HashMap<FileKey, usize>,
    /// How many bytes of a content are synced.
    pub(super) synced: Option<(usize, u64)>,
}

/// A rotated file: what has a content now.
#[derive(Debug, Clone)]
pub(super) struct Rotated {
    pub(super) path: PathBuf,
    pub(super) content: usize,
    pub(super) is_packed: bool,
    /// It was copied, and the file that it is a copy of was cut.
    pub(super) is_copy: bool,
}

impl Stream {
    pub(super) fn new(bed: &Bed, number: usize, form: Form, late_writes_ns: u64) -> Stream {
        let tenant = TENANTS[number % TENANTS.len()];
        let live = bed.log(match form {
            Form::Container => format!("pods/{tenant}_pod-{number}_uid-{number}/app/0.log"),
            Form::Holed => format!("{tenant}_holed-{number}.log"),
            Form::Plain | Form::Linked => format!("{tenant}-{number}.log"),
        });
        fs::create_dir_all(live.parent().expect("is in a folder")).expect("ours");
        let context = match form {
            Form::Container => format!("{tenant}/pod-{number}/app/0"),
            _ => live.to_string_lossy().into_owned(),
        };
        let mut stream = Stream {
            tenant,
            number,
            form,
            live,
            context,
            file: None,
            into: 0,
            named: None,
            rotated: Vec::new(),
            is_dated: form == Form::Container,
            is_copied: false,
            writes_parts: form != Form::Holed,
            rotations: 0,
            lines: 0,
            rest: String::new(),
            truth: Vec::new(),
            life: None,
            late_writes_ns,
            files: HashMap::new(),
            synced: None,
        };
        stream.reopen();
        stream
    }

    /// Opens the live file, and makes it if it is not there.
    pub(super) fn reopen(&mut self) {
        // A line is not torn over two files.
        self.finish_line();
        if self.named.is_none() && self.form == Form::Linked {
            let target = self.new_target();
            symlink(target, &self.live).expect("is free");
        }
        self.file = Some(appending(&self.live));
        self.into = match self.named {
            Some(content) => content,
            None => self.begin(),
        };
        self.named = Some(self.into);
        self.note_file(&self.live.clone(), self.into);
    }

    /// A file for a link, which is not there yet.
    pub(super) fn new_target(&self) -> PathBuf {
        let folder = self.live.with_file_name("targets");
        fs::create_dir_all(&folder).expect("ours");
        folder.join(format!("{}-{}", self.number, self.truth.len()))
    }

    /// This file has that content.
    pub(super) fn note_file(&mut self, path: &Path, content: usize) {
        self.files.insert(key_of(path), content);
    }

    /// A new content; returns which.
    pub(super) fn begin(&mut self) -> usize {
        self.truth.push(Content::begun(self.life));
        self.truth.len() - 1
    }

    /// Up to so many lines, the last of which may be written in part.
    pub(super) fn write(&mut self, dice: &mut Dice, lines_max: u64) {
        let mut text = std::mem::take(&mut self.rest);
        let content = &mut self.truth[self.into];
        for _ in 0..=dice.roll(lines_max) {
            self.lines += 1;
            let filler = "x".repeat(dice.index(300));
            let line = line(self.tenant, self.number, self.lines, &filler);
            let begin = text.len();
            match self.form {
                Form::Container => in_cri(&line, dice, &mut text),
                _ => writeln!(text, "{line}").expect("memory"),
            }
            content.add(self.lines, &line, (text.len() - begin) as u64);
        }
        let cut = if self.writes_parts && dice.one_in(3) { dice.index(20) } else { 0 };
        self.rest = text.split_off(text.len() - cut.min(text.len()));
        self.put(&text);
    }

    /// A line of which the end is to come: it is seen, and cannot be read.
    pub(super) fn begin_line(&mut self, dice: &mut Dice) {
        while self.writes_parts && self.rest.is_empty() {
            self.write(dice, 1);
        }
    }

    /// Makes the file longer, and goes on behind that.
    pub(super) fn dig(&mut self, dice: &mut Dice) {
        let Some(file) = &self.file else { return };
        let content = &mut self.truth[self.into];
        // Beside what the file system has to fill with NULs, some blocks that it has not.
        content.add_hole(HOLE_BYTES + dice.roll(HOLE_BYTES));
        file.set_len(content.bytes).expect("the disk of the logs is well");
        self.write(dice, 2);
    }

    pub(super) fn finish_line(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        self.put(&rest);
    }

    fn put(&mut self, text: &str) {
        let Some(file) = &mut self.file else { return };
        let before_ns = now_ns();
        file.write_all(text.as_bytes()).expect("the disk of the logs is not full");
        let content = &mut self.truth[self.into];
        content.bytes += text.len() as u64;
        let owed = &mut content.owed;
        if !content.is_there && owed.life == self.life && now_ns() < owed.followed_until_ns {
            // The agent looks at it once more, and then has this too.
            owed.bytes = content.bytes;
            owed.followed_until_ns = before_ns + self.late_writes_ns;
        } else {
            owed.followed_until_ns = 0;
        }
    }

    /// The writer does not go on with the line it has begun: its file is cut, or it dies.
    pub(super) fn forget_line(&mut self) {
        self.rest.clear();
        let content = &mut self.truth[self.into];
        let bytes = content.bytes;
        content.end_at(bytes);
    }

    /// Whether nothing is written to the content any more.
    pub(super) fn is_left(&self, content: usize) -> bool {
        self.into != content
    }

    /// The writer makes sure that what it wrote survives a power cut.
    pub(super) fn sync(&mut self) {
        let Some(file) = &self.file else { return };
        file.sync_all().expect("the disk of the logs is well");
        let folder = self.live.parent().expect("is in a folder");
        File::open(folder).and_then(|it| it.sync_all()).expect("the disk of the logs is well");
        self.synced = Some((self.into, self.truth[self.into].bytes));
    }
}

/// A line as a runtime writes it, in two parts at times.
fn in_cri(line: &str, dice: &mut Dice, text: &mut String) {
    const TIME: &str = "2026-01-02T03:04:05.678901234Z";
    let name = if dice.one_in(3) { "stderr" } else { "stdout" };
    let (first, last) = line.split_at(if dice.one_in(4) { dice.index(line.len()) } else { 0 });
    if !first.is_empty() {
        writeln!(text, "{TIME} {name} P {first}").expect("memory");
    }
    writeln!(text, "{TIME} {name} F {last}").expect("memory");
}

/// Inode and time of birth: what a file is, also after a power cut.
pub(super) type FileKey = (u64, SystemTime);

pub(super) fn key_of(path: &Path) -> FileKey {
    let metadata = path.metadata().expect("is there");
    (metadata.ino(), metadata.created().expect("ext4 has a time of birth"))
}

fn appending(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).expect("ours")
}

/// A line that tells its tenant, stream and number, and whether it is whole.
fn line(tenant: &str, stream: usize, number: u64, filler: &str) -> String {
    let text = format!("{tenant} {stream} {number} {filler}");
    format!("{text} {:08x}", sum(&text))
}

fn sum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Tenant, stream and number of a line; `None` if it is not as it was written.
pub(super) fn parse(body: &str) -> Option<(&str, usize, u64)> {
    let (text, check) = body.rsplit_once(' ')?;
    if check.len() != 8 || u32::from_str_radix(check, 16).ok()? != sum(text) {
        return None;
    }
    let mut parts = text.split(' ');
    Some((parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
