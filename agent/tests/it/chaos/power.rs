//! Power: what a stream's files are after the disk that they are on lost its power.
//!
//! What was not synced may be gone: the ends of files, whole files, and new names. What is left of a
//! file is a content of its own, which begins as the one before did: the agent goes on in it if it has
//! delivered no more than is left, and reads it from its beginning if it has.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::dice::Dice;
use super::rotator::{number_of, with};
use super::stream::{Rotated, Stream, key_of};
use super::truth::Content;

impl Stream {
    /// The writer died, and with it the line that it had begun.
    pub(super) fn lose_power(&mut self) {
        self.file = None;
        self.forget_line();
    }

    /// Sees what is left, and has another writer go on.
    pub(super) fn find_power(&mut self, dice: &mut Dice) {
        let before = self.truth.len();
        for content in &mut self.truth {
            (content.is_there, content.copied, content.was_removed) = (false, 0, true);
        }
        let (named, rotated) = (self.live.clone(), self.names_left());
        let mut left = Vec::new();
        for path in rotated {
            let content = self.take_stock(&path);
            let is_packed = path.extension().is_some_and(|it| it == "gz");
            left.insert(0, Rotated { path, content, is_packed, is_copy: false });
        }
        self.rotated = left;
        let is_named = named.try_exists().expect("ours");
        self.named = is_named.then(|| self.take_stock(&named));
        if let Some((content, bytes)) = self.synced.take() {
            let rest =
                self.truth[before..].iter().find(|it| it.rest_of.is_some_and(|it| it.0 == content));
            let left = rest.map(|it| it.bytes);
            assert!(left >= Some(bytes), "{bytes} bytes were synced, and {left:?} are left");
        }
        self.reopen();
        // What was left of a line is never at the end while an agent runs: it would be delivered.
        self.write(dice, 1);
    }

    /// Rotated files, oldest first; of one and what was made of it, the compressed one.
    fn names_left(&mut self) -> Vec<PathBuf> {
        let folder = self.live.parent().expect("is in a folder");
        let all = fs::read_dir(folder).expect("ours").map(|entry| entry.expect("ours").path());
        let mut names: Vec<PathBuf> = all.filter(|path| self.is_rotated(path)).collect();
        for packed in names.clone().iter().filter(|it| it.extension().is_some_and(|it| it == "gz"))
        {
            let plain = packed.with_extension("");
            if let Some(at) = names.iter().position(|it| *it == plain) {
                // As the kubelet does at its next rotation.
                fs::remove_file(names.remove(at)).expect("is there");
            }
        }
        names.sort();
        if !self.is_dated {
            names.sort_by_key(|path| std::cmp::Reverse(number_of(path)));
        }
        names
    }

    fn is_rotated(&self, path: &Path) -> bool {
        let (own, path) = (with(&self.live, "."), path.to_string_lossy());
        path.starts_with(&*own.to_string_lossy()) && !path.ends_with(".tmp")
    }

    /// A content for what is left of the one that a file has.
    fn take_stock(&mut self, path: &Path) -> usize {
        let of = self.files[&key_of(path)];
        let mut text = Vec::new();
        let mut file = File::open(path).expect("is there");
        if path.extension().is_some_and(|it| it == "gz") {
            MultiGzDecoder::new(file)
                .read_to_end(&mut text)
                .expect("it was synced before it was named");
        } else {
            file.read_to_end(&mut text).expect("can be read");
        }
        let whole = self.truth[of].text();
        // The file may be longer than what of it was safe: the rest of the block reads as NULs.
        let same = whole.iter().zip(&text).take_while(|(one, other)| one == other).count();
        let is_rest = text[same..].iter().all(|byte| *byte == 0);
        assert!(is_rest, "{}: not as written from {same} on", path.display());
        let bytes = text.len() as u64;
        self.truth[of].was_removed = false;
        let mut rest = Content::begun(None);
        rest.lines.clone_from(&self.truth[of].lines);
        rest.end_at(same as u64);
        rest.add_nuls(bytes - same as u64);
        (rest.bytes, rest.rest_of) = (bytes, Some((of, same as u64)));
        self.truth.push(rest);
        let content = self.truth.len() - 1;
        self.note_file(path, content);
        content
    }
}
