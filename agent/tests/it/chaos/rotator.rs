//! Rotator: what is done to a stream's files, as the kubelet, logrotate and people do it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::dice::Dice;
use super::plan::Form;
use super::stream::{Rotated, Stream};

/// Second since 1970 that the first rotated file is named after: 2026-01-02T03:04:05Z.
const FIRST_SECOND: i64 = 1_767_323_045;

impl Stream {
    /// Renames all files, the oldest first; the writer goes on in the old one until it reopens.
    pub(super) fn rotate(&mut self) {
        let Some(content) = self.named.take() else { return self.reopen() };
        let path = self.make_room();
        fs::rename(&self.live, &path).expect("is there");
        self.rotated.insert(0, Rotated { path, content, is_packed: false, is_copy: false });
    }

    /// Renames all files, and the writer reopens at once; with `maxsize`, only a file that is large.
    pub(super) fn rotate_and_reopen(&mut self, bytes_min: u64) {
        let is_large = self.named.is_some_and(|it| self.truth[it].bytes >= bytes_min);
        if is_large {
            self.rotate();
            self.reopen();
        }
    }

    /// What is left of earlier rotations is compressed, then the live file is renamed.
    pub(super) fn rotate_as_kubelet(&mut self) {
        for index in 0..self.rotated.len() {
            self.compress_one(index);
        }
        self.rotate();
        self.reopen();
    }

    /// The runtime could not make the new file: the kubelet gives the old one its name back.
    pub(super) fn rename_back(&mut self) {
        let is_newest = |it: &Rotated| it.content == self.into && !it.is_packed && !it.is_copy;
        if self.named.is_none() && self.rotated.first().is_some_and(is_newest) {
            let newest = self.rotated.remove(0);
            fs::rename(newest.path, &self.live).expect("is there");
            self.named = Some(newest.content);
        }
    }

    /// The live link leads to another file from now on; its writer goes on in the old one until it reopens.
    pub(super) fn lead_elsewhere(&mut self) {
        let Some(content) = self.named else { return self.reopen() };
        let (target, link) = (self.new_target(), with(&self.live, ".new"));
        File::create(&target).expect("ours");
        symlink(&target, &link).expect("is free");
        fs::rename(link, &self.live).expect("ours");
        self.lose(content, false);
        let next = self.begin();
        self.named = Some(next);
        self.note_file(&target, next);
    }

    /// Copies the live file and cuts it; `between` is done after the copy, and what it writes is lost.
    pub(super) fn copy_and_cut(&mut self, between: impl FnOnce(&mut Stream)) {
        let Some(content) = self.written_live() else { return self.reopen() };
        // So that the copy ends with a whole line.
        self.finish_line();
        let path = self.make_room();
        fs::copy(&self.live, &path).expect("ours");
        self.rotated.insert(0, Rotated { path, content, is_packed: false, is_copy: true });
        let copied = self.truth[content].bytes;
        between(self);
        self.cut();
        (self.truth[content].copied, self.truth[content].was_copied) = (copied, true);
    }

    /// How long the live file is, in bytes; nothing if the writer writes elsewhere.
    pub(super) fn live_bytes(&self) -> u64 {
        self.written_live().map_or(0, |content| self.truth[content].bytes)
    }

    /// Cuts the live file; the writer goes on behind what is left of it: nothing.
    pub(super) fn cut(&mut self) {
        let Some(content) = self.written_live() else { return self.reopen() };
        let file = OpenOptions::new().write(true).open(&self.live).expect("is there");
        file.set_len(0).expect("ours");
        self.forget_line();
        let next = self.begin();
        let old = &mut self.truth[content];
        (old.is_there, old.was_cut, old.cut_into) = (false, true, Some(next));
        (self.named, self.into) = (Some(next), next);
    }

    /// The content of the live file, if that is what the writer writes to.
    fn written_live(&self) -> Option<usize> {
        self.named.filter(|it| *it == self.into)
    }

    /// Compresses some rotated file that nobody writes to.
    pub(super) fn compress(&mut self, dice: &mut Dice, first: usize) {
        if self.rotated.len() > first {
            self.compress_one(first + dice.index(self.rotated.len() - first));
        }
    }

    fn compress_one(&mut self, index: usize) {
        let Rotated { path, content, is_packed, is_copy } = self.rotated[index].clone();
        // NULs of a hole are bytes to who compresses it.
        if self.form == Form::Holed {
            return;
        }
        if is_packed || !self.is_left(content) {
            return;
        }
        let (temporary, packed) = (with(&path, ".tmp"), with(&path, ".gz"));
        let mut encoder =
            GzEncoder::new(File::create(&temporary).expect("ours"), Compression::fast());
        encoder.write_all(&fs::read(&path).expect("is there")).expect("ours");
        encoder.finish().and_then(|file| file.sync_all()).expect("ours");
        fs::rename(&temporary, &packed).expect("ours");
        fs::remove_file(&path).expect("is there");
        self.note_file(&packed, content);
        self.truth[content].was_packed = true;
        self.rotated[index] = Rotated { path: packed, content, is_packed: true, is_copy };
    }

    /// Removes a rotated file.
    pub(super) fn remove_rotated(&mut self, index: usize) {
        let file = self.rotated.remove(index);
        fs::remove_file(&file.path).expect("is there");
        self.lose(file.content, file.is_copy);
    }

    /// Removes the live file; its writer goes on in it until it reopens.
    pub(super) fn remove_live(&mut self) {
        let Some(content) = self.named.take() else { return };
        fs::remove_file(&self.live).expect("is there");
        self.lose(content, false);
    }

    /// Moves the live file to a folder of which nothing is collected.
    pub(super) fn move_away(&mut self, to: &Path) {
        let Some(content) = self.named.take() else { return };
        fs::rename(&self.live, to).expect("is the same file system");
        self.lose(content, false);
    }

    /// As [`Stream::move_away`] to another file system: it is copied there, and removed.
    pub(super) fn move_across(&mut self, to: &Path) {
        if self.named.is_some() {
            fs::copy(&self.live, to).expect("ours");
            self.remove_live();
        }
    }

    fn lose(&mut self, content: usize, is_copy: bool) {
        let content = &mut self.truth[content];
        content.was_removed = true;
        if is_copy {
            content.copied = 0;
        } else {
            content.is_there = false;
        }
    }

    /// Gives all rotated files their next names; returns the name that is free then.
    fn make_room(&mut self) -> PathBuf {
        self.rotations += 1;
        if self.is_dated {
            let second = FIRST_SECOND + self.rotations;
            let time = jiff::Timestamp::from_second(second).expect("in range");
            return with(&self.live, &time.strftime(".%Y%m%d-%H%M%S").to_string());
        }
        for index in (0..self.rotated.len()).rev() {
            let number = number_of(&self.rotated[index].path) + 1;
            let end = if self.rotated[index].is_packed { ".gz" } else { "" };
            let path = with(&self.live, &format!(".{number}{end}"));
            let before = std::mem::replace(&mut self.rotated[index].path, path);
            fs::rename(before, &self.rotated[index].path).expect("is there");
        }
        with(&self.live, ".1")
    }
}

/// The number in a rotated file's name.
pub(super) fn number_of(path: &Path) -> u64 {
    let name = path.to_string_lossy();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    plain.rsplit('.').next().and_then(|it| it.parse().ok()).expect("a rotated file's name")
}

pub(super) fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
