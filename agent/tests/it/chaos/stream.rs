//! Stream: one writer of lines that tell their number and whether they are whole, and its files.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::dice::Dice;
use crate::kit::Bed;

/// One writer and its files.
pub(super) struct Stream {
    number: usize,
    live: PathBuf,
    file: File,
    pub(super) lines: u64,
    /// The end of a line that was begun.
    rest: String,
    rotated: u32,
}

impl Stream {
    pub(super) fn new(bed: &Bed, number: usize) -> Stream {
        let live = bed.log(format!("app-{number}.log"));
        Stream { number, file: appending(&live), live, lines: 0, rest: String::new(), rotated: 0 }
    }

    pub(super) fn rotated(&self, number: u32) -> PathBuf {
        self.live.with_extension(format!("log.{number}"))
    }

    pub(super) fn packed(&self, number: u32) -> PathBuf {
        self.live.with_extension(format!("log.{number}.gz"))
    }

    /// Lines, the last of which may be written in part.
    pub(super) fn write(&mut self, dice: &mut Dice) {
        let mut text = std::mem::take(&mut self.rest);
        for _ in 0..=dice.roll(60) {
            self.lines += 1;
            let filler = "x".repeat(usize::try_from(dice.roll(300)).expect("small"));
            writeln!(text, "{}", line(self.number, self.lines, &filler)).expect("memory");
        }
        let cut =
            if dice.roll(3) == 0 { usize::try_from(dice.roll(20)).expect("small") } else { 0 };
        self.rest = text.split_off(text.len() - cut.min(text.len()));
        self.file.write_all(text.as_bytes()).expect("the disk of the logs is not full");
    }

    pub(super) fn finish_line(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        self.file.write_all(rest.as_bytes()).expect("the disk of the logs is not full");
    }

    /// Renames all files, the oldest first; the writer goes on in the old one until it reopens.
    pub(super) fn rotate(&mut self) {
        for number in (1..=self.rotated).rev() {
            rename(&self.rotated(number), &self.rotated(number + 1));
            rename(&self.packed(number), &self.packed(number + 1));
        }
        self.rotated += 1;
        if !rename(&self.live, &self.rotated(1)) {
            self.reopen();
        }
    }

    pub(super) fn reopen(&mut self) {
        // A line is not torn over two files.
        self.finish_line();
        self.file = appending(&self.live);
    }

    /// Compresses a rotated file that nobody writes to, as the kubelet does.
    pub(super) fn compress(&self, dice: &mut Dice) {
        let number = 2 + u32::try_from(dice.roll(4)).expect("small");
        let path = self.rotated(number);
        let Ok(content) = fs::read(&path) else { return };
        let temporary = path.with_extension(format!("{number}.gz.tmp"));
        let mut encoder =
            GzEncoder::new(File::create(&temporary).expect("ours"), Compression::fast());
        encoder.write_all(&content).expect("ours");
        encoder.finish().expect("ours");
        fs::rename(&temporary, self.packed(number)).expect("ours");
        fs::remove_file(&path).expect("ours");
    }
}

/// Returns whether there was such a file.
fn rename(from: &Path, to: &Path) -> bool {
    match fs::rename(from, to) {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => panic!("{}: {error}", from.display()),
    }
}

fn appending(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).expect("ours")
}

/// A line that tells its stream and number, and whether it is whole.
fn line(stream: usize, number: u64, filler: &str) -> String {
    let text = format!("{stream} {number} {filler}");
    format!("{text} {:08x}", sum(&text))
}

fn sum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Stream and number of a line; `None` if it is not as it was written.
pub(super) fn parse(body: &str) -> Option<(usize, u64)> {
    let (text, check) = body.rsplit_once(' ')?;
    if u32::from_str_radix(check, 16).ok()? != sum(text) {
        return None;
    }
    let mut parts = text.split(' ');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
