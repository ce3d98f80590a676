//! Actor: who writes and rotates, as programs, logrotate and the kubelet do.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::schedule::Step;
use crate::{World, Writer};
use pipeline::frame::Format;

/// Where the files of the one context are.
pub const DIRECTORY: &str = "/logs";

/// Bytes at the beginning of a line that no other line begins with: no write is cut within them, so
/// that no two generations begin with the same bytes. (Those that do are told apart by other tests.)
fn unique_bytes(format: Format) -> usize {
    if format == Format::Plain { 7 } else { 31 }
}

/// A line to be written.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    /// Length of its filler.
    pub len: u16,
    /// To which stream, in container format.
    pub is_stderr: bool,
    /// Only a part of a line, in container format.
    pub is_partial: bool,
}

/// Writes and rotates one chain.
#[derive(Debug)]
pub struct Actor {
    world: World,
    directory: PathBuf,
    format: Format,
    writer: Option<Open>,
    /// The writer of the generation before, which has not noticed the rotation.
    late: Option<Open>,
    lines: u32,
}

#[derive(Debug)]
struct Open {
    writer: Writer,
    /// Of a line that was begun.
    rest: Vec<u8>,
}

impl Actor {
    /// One whose files are in [`DIRECTORY`].
    #[must_use]
    pub fn new(world: World, format: Format) -> Actor {
        Actor::new_in(Path::new(DIRECTORY), world, format)
    }

    /// One whose files are in that directory.
    pub fn new_in(directory: &Path, world: World, format: Format) -> Actor {
        world.make_directory(directory);
        let directory = directory.to_path_buf();
        Actor { world, directory, format, writer: None, late: None, lines: 0 }
    }

    /// Does what a step says of files.
    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Append(texts, cut) => self.append(texts, *cut),
            Step::AppendLate(texts, cut) => self.append_late(texts, *cut),
            Step::CloseLate => self.close_late(),
            Step::Rotate => self.rotate(),
            Step::Reopen => self.reopen(),
            Step::RenameBack => self.rename_back(),
            Step::DeleteOldest => self.delete_oldest(),
            Step::Recreate => self.recreate(),
            Step::Unlink => self.unlink(),
            Step::Truncate => self.truncate(),
            Step::RefuseOpens(is_on) => {
                self.world.refuse_opens(is_on.then_some(ErrorKind::PermissionDenied));
            }
            Step::RefuseReads(is_on) => {
                self.world.refuse_reads(is_on.then_some(ErrorKind::Other));
            }
            Step::ShortenReads(bytes_max) => self.world.shorten_reads(*bytes_max),
            _ => unreachable!("that happens to the agent"),
        }
    }

    fn live(&self) -> PathBuf {
        self.directory.join("a.log")
    }

    fn rotated(&self, number: usize) -> PathBuf {
        self.directory.join(format!("a.log.{number}"))
    }

    /// Highest number in use.
    fn oldest(&self) -> usize {
        (1..).find(|number| self.world.content(&self.rotated(*number)).is_err()).unwrap_or(1) - 1
    }

    fn is_live_there(&self) -> bool {
        self.world.content(&self.live()).is_ok()
    }

    /// The writer opens the live file, unless it has it open.
    fn reopen(&mut self) {
        if self.writer.is_some() && self.is_live_there() {
            return;
        }
        let writer = self.world.open_writer(&self.live()).expect("the directory is there");
        let old = self.writer.replace(Open { writer, rest: Vec::new() });
        if old.is_some() {
            self.late = old;
        }
    }

    /// Lines, of the last of which `cut` bytes wait for the next time.
    fn append(&mut self, texts: &[Text], cut: usize) {
        if self.writer.is_none() {
            self.reopen();
        }
        let (format, lines) = (self.format, &mut self.lines);
        write(self.writer.as_mut().expect("just opened"), format, lines, texts, cut);
    }

    /// As [`Actor::append`], to the generation before.
    fn append_late(&mut self, texts: &[Text], cut: usize) {
        let (format, lines) = (self.format, &mut self.lines);
        if let Some(late) = &mut self.late {
            write(late, format, lines, texts, cut);
        }
    }

    /// The old generation's writer ends.
    fn close_late(&mut self) {
        self.late = None;
    }

    /// Renames all generations; the writer does not notice.
    fn rotate(&mut self) {
        if !self.is_live_there() {
            return;
        }
        for number in (1..=self.oldest()).rev() {
            self.rename(&self.rotated(number), &self.rotated(number + 1));
        }
        self.rename(&self.live(), &self.rotated(1));
    }

    /// Takes the last rotation back, as the kubelet does if the runtime does not reopen.
    fn rename_back(&mut self) {
        if !self.is_live_there() && self.oldest() > 0 {
            self.rename(&self.rotated(1), &self.live());
            for number in 2.. {
                if self.world.content(&self.rotated(number)).is_err() {
                    break;
                }
                self.rename(&self.rotated(number), &self.rotated(number - 1));
            }
        }
    }

    fn rename(&self, from: &Path, to: &Path) {
        self.world.rename(from, to).expect("it is there");
    }

    /// Removes the oldest rotated generation.
    fn delete_oldest(&mut self) {
        let oldest = self.oldest();
        if oldest > 0 {
            self.world.unlink(&self.rotated(oldest)).expect("it is there");
        }
    }

    /// Removes the live file and makes it anew; its inode number may be the same.
    fn recreate(&mut self) {
        if self.is_live_there() {
            self.world.unlink(&self.live()).expect("it is there");
        }
        self.writer = None;
        self.reopen();
    }

    /// Removes the live file; its writer does not notice.
    fn unlink(&mut self) {
        if self.is_live_there() {
            self.world.unlink(&self.live()).expect("it is there");
        }
    }

    /// Cuts what the writer has open to nothing.
    fn truncate(&mut self) {
        if let Some(open) = &mut self.writer {
            open.writer.truncate(0);
            open.rest.clear();
        }
    }
}

fn write(open: &mut Open, format: Format, lines: &mut u32, texts: &[Text], cut: usize) {
    let mut bytes = std::mem::take(&mut open.rest);
    let mut last = 0;
    for text in texts {
        last = bytes.len();
        *lines += 1;
        bytes.extend(line(format, *lines, *text));
    }
    let uncut = last + unique_bytes(format);
    let end = bytes.len().saturating_sub(cut).max(uncut.min(bytes.len()));
    open.rest = bytes.split_off(end);
    if !bytes.is_empty() {
        open.writer.append(&bytes);
    }
}

fn line(format: Format, number: u32, text: Text) -> Vec<u8> {
    let filler: String = ('a'..='z').cycle().take(usize::from(text.len)).collect();
    if format == Format::Plain {
        return format!("{number:06} {filler}\n").into_bytes();
    }
    let stream = if text.is_stderr { "stderr" } else { "stdout" };
    let tag = if text.is_partial { "P" } else { "F" };
    format!("2026-01-02T03:04:05.{number:09}Z {stream} {tag} {number}{filler}\n").into_bytes()
}
