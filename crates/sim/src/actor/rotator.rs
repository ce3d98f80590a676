//! Rotator: copies and cuts, links, and compresses, a step at a time.

use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Actor;

impl Actor {
    /// Begins to copy the live file: half of it.
    pub(super) fn begin_copy(&mut self) {
        self.finish_rotation();
        if self.writer.is_none() || !self.is_live_there() {
            return;
        }
        // Who copies a file that its writer has lost would cut it under another name.
        self.reopen_if_renamed();
        self.make_room();
        let copier = self.world.open_writer(&self.rotated(1)).expect("the directory is there");
        self.copier = Some((copier, 0));
        let half = self.world.content(&self.live()).expect("it is there").len() / 2;
        self.copy(half);
    }

    fn reopen_if_renamed(&mut self) {
        let held = self.writer.as_ref().map(|it| it.writer.file_number());
        if held != self.world.file_number(&self.live()) {
            let old = self.writer.take();
            self.reopen();
            self.close_late();
            self.late = old;
        }
    }

    /// Copies up to `end`.
    fn copy(&mut self, end: usize) {
        let content = self.world.content(&self.live()).expect("nobody renames it meanwhile");
        if let Some((copier, copied)) = &mut self.copier
            && end > *copied
        {
            copier.append(&content[*copied..end]);
            *copied = end;
        }
    }

    /// Copies what is not copied yet, to the end of the line.
    fn copy_rest(&mut self) {
        let open = self.writer.as_mut().expect("who copies has seen to it");
        open.finish_line();
        let len = open.writer.len();
        self.copy(len);
    }

    /// Copies the rest; what is written after it is in no copy.
    pub(super) fn end_copy(&mut self) {
        if self.copier.is_none() {
            return;
        }
        self.copy_rest();
        if let Some((_, copied)) = &mut self.copier {
            *copied = usize::MAX;
        }
    }

    /// Gives the live file a second name, of a rotated one.
    pub(super) fn begin_link(&mut self) {
        self.finish_rotation();
        if self.is_live_there() {
            self.make_room();
            self.world.link(&self.live(), &self.rotated(1)).expect("there is room");
            self.leftover = Some(self.live());
        }
    }

    /// Copies the rest and cuts the file.
    pub(super) fn finish_rotation(&mut self) {
        self.take_leftover_away();
        if self.copier.is_none() {
            return;
        }
        self.copy_rest();
        self.copier = None;
        self.generations += 1;
        let open = self.writer.as_mut().expect("as before");
        open.writer.truncate(0);
        open.generation = self.generations;
    }

    /// Compresses a rotated file that nobody writes to; the original goes with the next step.
    pub(super) fn compress(&mut self, number: usize) {
        let path = self.rotated(1 + number % self.oldest().max(1));
        let is_written = self.world.is_written(&path);
        let Ok(content) = self.world.content(&path) else { return };
        if is_written {
            return;
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&content).expect("memory");
        let packed = encoder.finish().expect("memory");
        let temporary = PathBuf::from(format!("{}.tmp", path.display()));
        self.world.open_writer(&temporary).expect("the directory is there").append(&packed);
        self.rename(&temporary, &PathBuf::from(format!("{}.gz", path.display())));
        self.leftover = Some(path);
    }

    /// What was begun with the step before.
    pub(super) fn take_leftover_away(&mut self) {
        if let Some(path) = self.leftover.take() {
            self.world.unlink(&path).expect("it is there");
        }
    }
}
