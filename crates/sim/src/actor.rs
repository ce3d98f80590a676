//! Actor: who writes and rotates, as programs, logrotate and the kubelet do.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::schedule::Step;
use crate::{World, Writer, Written};
use pipeline::frame::Format;

mod rotator;

/// Where the files of the one context are.
pub const DIRECTORY: &str = "/logs";

/// Bytes at the beginning of a line that no other line begins with: no write is cut within them, so
/// that no two generations begin with the same bytes. (Those that do are told apart by other tests.)
fn unique_bytes(format: Format) -> usize {
    match format {
        Format::Plain => 7,
        Format::Docker => 14,
        _ => 31,
    }
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
    /// Writers end their lines before they end.
    is_tidy: bool,
    /// All lines that were begun.
    written: Vec<Written>,
    /// How many generations there were.
    generations: u32,
    /// Who copies the live file, and how much it has copied.
    copier: Option<(Writer, usize)>,
    /// A name that a rotator still has to take away.
    leftover: Option<PathBuf>,
}

#[derive(Debug)]
struct Open {
    writer: Writer,
    /// Of a line that was begun.
    rest: Vec<u8>,
    /// Bytes that it leaves out before it writes again.
    hole: usize,
    generation: u32,
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
        Actor {
            world,
            directory,
            format,
            writer: None,
            late: None,
            lines: 0,
            is_tidy: false,
            written: Vec::new(),
            generations: 0,
            copier: None,
            leftover: None,
        }
    }

    /// One whose writers end their lines before they end.
    #[must_use]
    pub fn tidy(self) -> Actor {
        Actor { is_tidy: true, ..self }
    }

    /// What was written so far.
    #[must_use]
    pub fn written(&self) -> &[Written] {
        &self.written
    }

    /// All writers end; what was written.
    pub fn finish(&mut self) -> &[Written] {
        self.finish_rotation();
        self.close_late();
        if let Some(open) = &mut self.writer {
            open.finish_line();
        }
        &self.written
    }

    /// Does what a step says of files.
    pub fn step(&mut self, step: &Step) {
        self.take_leftover_away();
        match step {
            Step::BeginCopy => self.begin_copy(),
            Step::BeginLink => self.begin_link(),
            Step::EndCopy => self.end_copy(),
            Step::FinishRotation => self.finish_rotation(),
            Step::Compress(number) => self.compress(*number),
            Step::Append(texts, cut) => self.append(texts, *cut),
            Step::AppendBehind(hole, texts) => self.append_behind(*hole, texts),
            Step::Sync => self.writer.iter().for_each(|it| it.writer.sync()),
            Step::CutPower(kept, is_zeroed) => self.cut_power(*kept, *is_zeroed),
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

    fn compressed(&self, number: usize) -> PathBuf {
        self.directory.join(format!("a.log.{number}.gz"))
    }

    fn is_there(&self, path: &Path) -> bool {
        self.world.content(path).is_ok()
    }

    /// Highest number in use.
    fn oldest(&self) -> usize {
        let is_free = |number: &usize| {
            !self.is_there(&self.rotated(*number)) && !self.is_there(&self.compressed(*number))
        };
        (1..).find(is_free).unwrap_or(1) - 1
    }

    fn is_live_there(&self) -> bool {
        self.is_there(&self.live())
    }

    /// The writer opens the live file, unless it has it open.
    fn reopen(&mut self) {
        if self.writer.is_some() && self.is_live_there() {
            return;
        }
        let writer = self.world.open_writer(&self.live()).expect("the directory is there");
        self.generations += 1;
        let open = Open { writer, rest: Vec::new(), hole: 0, generation: self.generations };
        let old = self.writer.replace(open);
        if old.is_some() {
            self.close_late();
            self.late = old;
        }
    }

    /// Lines, of the last of which `cut` bytes wait for the next time.
    fn append(&mut self, texts: &[Text], cut: usize) {
        if self.writer.is_none() {
            self.reopen();
        }
        let texts = self.texts(texts);
        let open = self.writer.as_mut().expect("just opened");
        self.written.extend(open.write(self.format, &texts, cut));
    }

    /// Whole lines behind a hole, as one does who has the file open twice, and each time at another offset.
    fn append_behind(&mut self, hole: usize, texts: &[Text]) {
        if self.writer.is_none() {
            self.reopen();
        }
        let texts = self.texts(texts);
        let open = self.writer.as_mut().expect("just opened");
        open.rest.clear();
        open.hole = hole;
        self.written.extend(open.write(self.format, &texts, 0));
    }

    /// Writers are dead, and their files hold what is left.
    fn cut_power(&mut self, kept: usize, is_zeroed: bool) {
        (self.writer, self.late) = (None, None);
        self.world.cut_power(kept, is_zeroed);
    }

    /// Lines with their numbers.
    fn texts(&mut self, texts: &[Text]) -> Vec<(u32, Text)> {
        let first = self.lines + 1;
        self.lines += u32::try_from(texts.len()).expect("few lines");
        (first..).zip(texts.iter().copied()).collect()
    }

    /// As [`Actor::append`], to the generation before.
    fn append_late(&mut self, texts: &[Text], cut: usize) {
        if self.late.is_some() {
            let texts = self.texts(texts);
            let late = self.late.as_mut().expect("just seen");
            self.written.extend(late.write(self.format, &texts, cut));
        }
    }

    /// The old generation's writer ends.
    fn close_late(&mut self) {
        if let Some(mut late) = self.late.take().filter(|_| self.is_tidy) {
            late.finish_line();
        }
    }

    /// Renames all generations; the writer does not notice.
    fn rotate(&mut self) {
        self.finish_rotation();
        if self.is_live_there() {
            self.make_room();
            self.rename(&self.live(), &self.rotated(1));
        }
    }

    /// Renames all rotated generations, so that 1 is free.
    fn make_room(&self) {
        for number in (1..=self.oldest()).rev() {
            for name in [Actor::rotated, Actor::compressed] {
                if self.is_there(&name(self, number)) {
                    self.rename(&name(self, number), &name(self, number + 1));
                }
            }
        }
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

impl Open {
    /// Lines, of the last of which `cut` bytes wait for the next time; returns them.
    fn write(&mut self, format: Format, texts: &[(u32, Text)], cut: usize) -> Vec<Written> {
        let mut bytes = std::mem::take(&mut self.rest);
        let (mut last, mut written) = (0, Vec::new());
        for (number, text) in texts {
            last = bytes.len();
            let content = content(format, *number, *text);
            bytes.extend(line(format, *number, *text, &content));
            written.push(Written { generation: self.generation, content: content.into_bytes() });
        }
        let uncut = last + unique_bytes(format);
        let end = bytes.len().saturating_sub(cut).max(uncut.min(bytes.len()));
        self.rest = bytes.split_off(end);
        if !bytes.is_empty() {
            let hole = std::mem::take(&mut self.hole);
            self.writer.write_at(self.writer.len() + hole, &bytes);
        }
        written
    }

    fn finish_line(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        if !rest.is_empty() {
            self.writer.append(&rest);
        }
    }
}

/// No other line has the same 64 bytes anywhere, by which agents know a place: its number comes again and again.
fn content(format: Format, number: u32, text: Text) -> String {
    let filler = format!("abcdefghijklmnopqrstuvwxyz{number:06}");
    let filler: String = filler.chars().cycle().take(usize::from(text.len)).collect();
    match format {
        Format::Plain | Format::Docker => format!("{number:06} {filler}"),
        _ => format!("{number}{filler}"),
    }
}

fn line(format: Format, number: u32, text: Text, content: &str) -> Vec<u8> {
    let stream = if text.is_stderr { "stderr" } else { "stdout" };
    let line = match format {
        Format::Plain => format!("{content}\n"),
        Format::Docker => {
            let end = if text.is_partial { "" } else { "\\n" };
            let time = format!("2026-01-02T03:04:05.{number:09}Z");
            format!("{{\"log\":\"{content}{end}\",\"stream\":\"{stream}\",\"time\":\"{time}\"}}\n")
        }
        _ => {
            let tag = if text.is_partial { "P" } else { "F" };
            format!("2026-01-02T03:04:05.{number:09}Z {stream} {tag} {content}\n")
        }
    };
    line.into_bytes()
}
