//! Reconcile: what a look at the directory means for the chain.

use super::generation::Generation;
use super::identity::generation_key;
use super::{Known, SeenFile, Source, StartAt};
use crate::fs::Fs;

/// How many incarnations of an inode are looked for after a restart.
///
/// An inode truncated more often than this between two checkpoints is read from its beginning.
const INCARNATIONS_MAX: u32 = 64;

impl Source {
    /// Takes in the files that a look showed, oldest first, the live one last.
    ///
    /// Files already known are found by identity, whatever they are called now. A new file is opened
    /// at once, so that it can be read even if its name is gone a moment later. `known` is what was
    /// known of the context before; `start_at` only concerns files of which nothing is known.
    pub fn reconcile(
        &mut self,
        fs: &dyn Fs,
        files: &[SeenFile],
        known: &Known,
        start_at: StartAt,
        now_ns: u64,
    ) {
        for generation in &mut self.generations {
            generation.is_gone = true;
        }
        let mut newest_known = None;
        for file in files {
            if let Some(index) = self.generations.iter().position(|it| it.id == file.stat.id) {
                let generation = &mut self.generations[index];
                generation.is_gone = false;
                generation.path.clone_from(&file.path);
                if file.stat.size > generation.size {
                    generation.size = file.stat.size;
                }
                newest_known = Some(index);
                continue;
            }
            let generation = first_look(fs, file, known, start_at);
            // New files stand behind the known one that precedes them in the look.
            let index = newest_known.map_or(0, |index| index + 1).max(self.insert_from());
            self.generations.insert(index, generation);
            newest_known = Some(index);
            // What cannot be opened now is tried again when it is its turn.
            drop(self.generations[index].open(fs));
        }
        match (files.is_empty(), self.gone_since_ns) {
            (true, None) => self.gone_since_ns = Some(now_ns),
            (false, _) => self.gone_since_ns = None,
            (true, Some(_)) => {}
        }
        self.drop_finished(now_ns);
    }

    /// New generations are never put before what is being read.
    fn insert_from(&self) -> usize {
        let reading = self.generations.iter().rposition(|it| it.offset > 0 || it.is_gone);
        reading.map_or(0, |index| index + 1)
    }

    /// Forgets generations that have no name, were read to the end, and were watched long enough.
    pub(super) fn drop_finished(&mut self, now_ns: u64) {
        let late_writes_ns = self.spec.options.late_writes_ns;
        let (forgotten, cursor) = (&mut self.forgotten, self.cursor);
        self.generations.retain_mut(|it| {
            let watched = it.done_since_ns.is_some_and(|since| now_ns >= since + late_writes_ns);
            if !(it.is_gone && watched) {
                return true;
            }
            // The last look: what was written since the one before is still read.
            if let Some(Ok(stat)) = it.file.as_ref().map(|file| file.stat()) {
                it.size = it.size.max(stat.size);
            }
            let is_finished = it.size <= it.offset;
            if is_finished {
                forgotten.push((cursor, it.key));
            }
            !is_finished
        });
    }
}

/// A generation for a file of which this source knows nothing yet.
fn first_look(fs: &dyn Fs, file: &SeenFile, known: &Known, start_at: StartAt) -> Generation {
    let marked = (0..INCARNATIONS_MAX)
        .rev()
        .find_map(|it| known.position(generation_key(file.stat.id, it)).map(|mark| (it, mark)));
    let Some((incarnation, mark)) = marked else {
        let mut generation = Generation::new(file, 0);
        if start_at == StartAt::End {
            generation.offset = file.stat.size;
            generation.mid_line = None;
            // One that cannot be read yet is known by its inode alone.
            drop(generation.is_same(fs));
        }
        return generation;
    };
    let mut generation = Generation::new(file, incarnation);
    generation.offset = mark.offset;
    generation.head = mark.head;
    generation.place = mark.place;
    generation.mid_line = None;
    // A file that was cut while nobody looked: `look` finds out, and starts over.
    generation.size = file.stat.size.max(mark.offset);
    generation.is_checked = false;
    generation
}
